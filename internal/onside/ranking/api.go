package ranking

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
)

const path = "/api/v1/seo/rankings"

// maxFile is how large a CSV file may be, in bytes.
const maxFile = 4 << 20

// FilterInput narrows what is read; it is exported because huma reads only
// embedded types that are.
type FilterInput struct {
	Source  string `query:"source" maxLength:"50"`
	Country string `query:"country" maxLength:"60"`
	Device  string `query:"device" enum:"desktop,mobile,tablet"`
	From    string `query:"from" format:"date" doc:"The first day"`
	To      string `query:"to" format:"date" doc:"The last day"`
}

type (
	importCSVInput struct {
		Site     string `query:"site" required:"true" minLength:"1" maxLength:"300" doc:"Whose rankings they are" example:"timachann.example"`
		RankedOn string `query:"ranked_on" format:"date" doc:"The day of rows that name none; of an export over a period, its last day"`
		Country  string `query:"country" maxLength:"60" doc:"Of rows that name none"`
		Device   string `query:"device" enum:"desktop,mobile,tablet" doc:"Of rows that name none"`
		Source   string `query:"source" maxLength:"50" doc:"Of rows that name none; told from the file otherwise"`
		RawBody  []byte `contentType:"text/csv"`
	}
	importInput struct {
		Body struct {
			Site     string `json:"site" minLength:"1" maxLength:"300" example:"timachann.example"`
			Rankings []struct {
				Keyword     string  `json:"keyword" minLength:"1" maxLength:"200" example:"black castor oil"`
				RankedOn    string  `json:"ranked_on" format:"date"`
				Position    float64 `json:"position" minimum:"1" maximum:"1000"`
				Source      string  `json:"source,omitempty" maxLength:"50"`
				Country     string  `json:"country,omitempty" maxLength:"60"`
				Device      string  `json:"device,omitempty" enum:"desktop,mobile,tablet"`
				Page        string  `json:"page,omitempty" maxLength:"2048"`
				Clicks      *int64  `json:"clicks,omitempty" minimum:"0" maximum:"1000000000000000"`
				Impressions *int64  `json:"impressions,omitempty" minimum:"0" maximum:"1000000000000000"`
			} `json:"rankings" minItems:"1" maxItems:"1000"`
		}
	}
	outcomeOutput struct{ Body *Outcome }

	listInput struct {
		Site    string `query:"site" maxLength:"300"`
		Keyword string `query:"keyword" maxLength:"200"`
		FilterInput
		Cursor uuid.UUID `query:"cursor" format:"uuid" doc:"next_cursor of the page before"`
		Limit  int       `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	}
	listOutput struct {
		Body struct {
			Rankings   []Stored   `json:"rankings"`
			NextCursor *uuid.UUID `json:"next_cursor,omitempty" format:"uuid"`
		}
	}
	historyInput struct {
		Site    string `query:"site" required:"true" minLength:"1" maxLength:"300"`
		Keyword string `query:"keyword" required:"true" minLength:"1" maxLength:"200"`
		FilterInput
	}
	historyOutput struct {
		Body struct {
			Days []Day `json:"days"`
		}
	}
	movementInput struct {
		Site   string `query:"site" required:"true" minLength:"1" maxLength:"300"`
		From   string `query:"from" required:"true" format:"date"`
		To     string `query:"to" required:"true" format:"date"`
		Window int    `query:"window_days" minimum:"1" maximum:"90" default:"7" doc:"How many days a ranking holds when no newer one was told"`
		Kind   string `query:"kind" enum:"gained,lost,up,down,unchanged" doc:"Moves of this kind only; otherwise all but the unchanged"`
		Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Moves that are listed; the counts are of all"`
	}
	movementOutput struct{ Body *Movement }
)

// Register adds the operations on rankings to api.
func (s *Service) Register(api huma.API) {
	op := func(id, method, path, summary, scope string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: path, Summary: summary,
			Tags: []string{"rankings"}, Security: httpkit.Scoped(scope),
		}
	}
	const read, write = "seo:read", "seo:write"
	csv := op("import-rankings-csv", http.MethodPost, path+"/import", "Import rankings from a CSV file", write)
	csv.MaxBodyBytes = maxFile
	csv.Description = "Takes Google Search Console's export of queries (Queries.csv, in English, French, Spanish or Portuguese) and a generic form with the columns " +
		"keyword, position and, as far as known, date, clicks, impressions, page, country, device, source. Importing a file again changes nothing. " +
		"Rows that cannot be taken are reported by their line; the others are taken."
	httpkit.Register(api, csv, s.importCSV)
	httpkit.Register(api, op("import-rankings", http.MethodPost, path, "Import rankings", write), s.importJSON)
	httpkit.Register(api, op("list-rankings", http.MethodGet, path, "List rankings, those imported last first", read), s.list)
	httpkit.Register(api, op("ranking-history", http.MethodGet, path+"/history", "A keyword's positions by day", read), s.history)
	httpkit.Register(api, op("ranking-movement", http.MethodGet, path+"/movement", "What was gained, lost and moved between two days", read), s.movement)
}

func day(location, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.DateOnly, text)
	if err != nil || at.Year() < 1990 || at.Year() > 2200 {
		return time.Time{}, fault.At(location, text, "must be a date such as 2026-03-01")
	}
	return at, nil
}

func (s *Service) importCSV(ctx context.Context, in *importCSVInput) (*outcomeOutput, error) {
	on, err := day("query.ranked_on", in.RankedOn)
	if err != nil {
		return nil, err
	}
	outcome, err := s.ImportCSV(ctx, httpkit.Tenant(ctx), in.Site, in.RawBody, Defaults{RankedOn: on, Country: in.Country, Device: in.Device, Source: in.Source})
	return &outcomeOutput{Body: outcome}, err
}

func (s *Service) importJSON(ctx context.Context, in *importInput) (*outcomeOutput, error) {
	rankings := make([]Ranking, 0, len(in.Body.Rankings))
	for i, r := range in.Body.Rankings {
		on, err := day(fmt.Sprintf("body.rankings[%d].ranked_on", i), r.RankedOn)
		if err != nil {
			return nil, err
		}
		rankings = append(rankings, Ranking{
			Keyword: r.Keyword, RankedOn: on, Position: r.Position, Source: r.Source, Country: r.Country, Device: r.Device, Page: r.Page,
			Clicks: r.Clicks, Impressions: r.Impressions,
		})
	}
	outcome, err := s.Import(ctx, httpkit.Tenant(ctx), in.Body.Site, rankings)
	return &outcomeOutput{Body: outcome}, err
}

func (in FilterInput) filter(site, keyword string) (f Filter, err error) {
	f = Filter{Site: site, Keyword: keyword, Source: in.Source, Country: in.Country, Device: in.Device}
	if f.From, err = day("query.from", in.From); err == nil {
		f.To, err = day("query.to", in.To)
	}
	return f, err
}

func (s *Service) list(ctx context.Context, in *listInput) (*listOutput, error) {
	filter, err := in.filter(in.Site, in.Keyword)
	if err != nil {
		return nil, err
	}
	before := in.Cursor
	if before == uuid.Nil {
		before = uuid.Max
	}
	out := &listOutput{}
	if out.Body.Rankings, err = s.List(ctx, httpkit.Tenant(ctx), filter, before, in.Limit); err != nil {
		return nil, err
	}
	out.Body.NextCursor = httpkit.NextCursor(out.Body.Rankings, in.Limit, func(s *Stored) uuid.UUID { return s.UUID })
	return out, nil
}

func (s *Service) history(ctx context.Context, in *historyInput) (*historyOutput, error) {
	filter, err := in.filter(in.Site, in.Keyword)
	if err != nil {
		return nil, err
	}
	out := &historyOutput{}
	out.Body.Days, err = s.History(ctx, httpkit.Tenant(ctx), filter)
	return out, err
}

func (s *Service) movement(ctx context.Context, in *movementInput) (*movementOutput, error) {
	from, err := day("query.from", in.From)
	if err != nil {
		return nil, err
	}
	to, err := day("query.to", in.To)
	if err != nil {
		return nil, err
	}
	movement, err := s.Movement(ctx, httpkit.Tenant(ctx), in.Site, from, to, in.Window, in.Kind, in.Limit)
	return &movementOutput{Body: movement}, err
}
