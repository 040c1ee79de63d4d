package backlink

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/httpkit"
)

const path = "/api/v1/seo/backlinks"

// maxFile is how large a CSV file may be, in bytes.
const maxFile = 4 << 20

type (
	importCSVInput struct {
		Site    string `query:"site" required:"true" minLength:"1" maxLength:"300" doc:"Which is linked to" example:"timachann.example"`
		RawBody []byte `contentType:"text/csv"`
	}
	importInput struct {
		Body struct {
			Site      string `json:"site" minLength:"1" maxLength:"300" example:"timachann.example"`
			Backlinks []struct {
				SourceURL   string     `json:"source_url" minLength:"1" maxLength:"2048" example:"https://blog.example/oils"`
				TargetURL   string     `json:"target_url,omitempty" maxLength:"2048" doc:"Without it, any page of the site"`
				Anchor      string     `json:"anchor,omitempty" maxLength:"2000"`
				Rel         string     `json:"rel,omitempty" maxLength:"100"`
				FirstSeenAt *time.Time `json:"first_seen_at,omitempty"`
			} `json:"backlinks" minItems:"1" maxItems:"1000"`
		}
	}
	outcomeOutput struct{ Body *Outcome }

	listInput struct {
		Site   string    `query:"site" maxLength:"300"`
		Status string    `query:"status" enum:"unchecked,live,lost,unreachable"`
		Cursor uuid.UUID `query:"cursor" format:"uuid" doc:"next_cursor of the page before"`
		Limit  int       `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	}
	listOutput struct {
		Body struct {
			Backlinks  []Stored   `json:"backlinks"`
			NextCursor *uuid.UUID `json:"next_cursor,omitempty" format:"uuid"`
		}
	}
	changesInput struct {
		Site  string    `query:"site" required:"true" minLength:"1" maxLength:"300"`
		From  time.Time `query:"from" required:"true"`
		To    time.Time `query:"to" required:"true" doc:"Not included"`
		Kind  string    `query:"kind" enum:"new,lost,regained"`
		Limit int       `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Changes that are listed; the counts are of all"`
	}
	changesOutput struct{ Body *Changes }
	checkInput    struct {
		Body struct {
			Site string `json:"site" minLength:"1" maxLength:"300"`
		}
	}
	checkOutput struct {
		Body struct {
			Known int `json:"known" doc:"Backlinks that will be looked at"`
		}
	}
	oneInput struct {
		ID uuid.UUID `path:"backlink_uuid" format:"uuid"`
	}
)

// Register adds the operations on backlinks to api.
func (s *Service) Register(api huma.API) {
	op := func(id, method, path, summary, scope string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: path, Summary: summary,
			Tags: []string{"backlinks"}, Security: httpkit.Scoped(scope),
		}
	}
	const read, write = "seo:read", "seo:write"
	csv := op("import-backlinks-csv", http.MethodPost, path+"/import", "Import backlinks from a CSV file", write)
	csv.MaxBodyBytes = maxFile
	csv.Description = "Takes the exports of Google Search Console, Ahrefs, Semrush, Moz and Majestic, and a generic form with the columns source_url and, as far as known, " +
		"target_url, anchor, rel, first_seen. Importing a file again changes nothing. Rows that cannot be taken are reported by their line; the others are taken."
	httpkit.Register(api, csv, s.importCSV)
	httpkit.Register(api, op("import-backlinks", http.MethodPost, path, "Import backlinks", write), s.importJSON)
	httpkit.Register(api, op("list-backlinks", http.MethodGet, path, "List backlinks, newest first", read), s.list)
	httpkit.Register(api, op("backlink-changes", http.MethodGet, path+"/changes", "Links that came and went over a period", read), s.changes)
	check := op("check-backlinks", http.MethodPost, path+"/check", "Look at every known backlink of a site again", write)
	check.DefaultStatus = http.StatusAccepted
	check.Description = "A job fetches each linking page: a link that is there is live, one that is not is lost; a page that cannot be had three times in a row is lost too."
	httpkit.Register(api, check, s.check)
	httpkit.Register(api, op("delete-backlink", http.MethodDelete, path+"/{backlink_uuid}", "Forget a backlink", write), s.delete)
}

func (s *Service) importCSV(ctx context.Context, in *importCSVInput) (*outcomeOutput, error) {
	outcome, err := s.ImportCSV(ctx, httpkit.Tenant(ctx), in.Site, in.RawBody)
	return &outcomeOutput{Body: outcome}, err
}

func (s *Service) importJSON(ctx context.Context, in *importInput) (*outcomeOutput, error) {
	links := make([]Link, 0, len(in.Body.Backlinks))
	for _, b := range in.Body.Backlinks {
		link := Link{Source: b.SourceURL, Target: b.TargetURL, Anchor: b.Anchor, Rel: b.Rel}
		if b.FirstSeenAt != nil {
			link.FirstSeen = b.FirstSeenAt.UTC()
		}
		links = append(links, link)
	}
	outcome, err := s.Import(ctx, httpkit.Tenant(ctx), in.Body.Site, links)
	return &outcomeOutput{Body: outcome}, err
}

func (s *Service) list(ctx context.Context, in *listInput) (*listOutput, error) {
	before := in.Cursor
	if before == uuid.Nil {
		before = uuid.Max
	}
	list, err := s.List(ctx, httpkit.Tenant(ctx), in.Site, in.Status, before, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listOutput{}
	out.Body.Backlinks = list
	out.Body.NextCursor = httpkit.NextCursor(list, in.Limit, func(s *Stored) uuid.UUID { return s.UUID })
	return out, nil
}

func (s *Service) changes(ctx context.Context, in *changesInput) (*changesOutput, error) {
	changes, err := s.Changes(ctx, httpkit.Tenant(ctx), in.Site, in.From, in.To, in.Kind, in.Limit)
	return &changesOutput{Body: changes}, err
}

func (s *Service) check(ctx context.Context, in *checkInput) (*checkOutput, error) {
	known, err := s.Check(ctx, httpkit.Tenant(ctx), in.Body.Site)
	out := &checkOutput{}
	out.Body.Known = known
	return out, err
}

func (s *Service) delete(ctx context.Context, in *oneInput) (*struct{}, error) {
	return nil, s.Delete(ctx, httpkit.Tenant(ctx), in.ID)
}
