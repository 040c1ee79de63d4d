package campaign

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/sankore/adreport"
)

const path = "/api/v1/campaigns"

type (
	csvInput struct {
		Platform string `query:"platform" enum:"google_ads,meta_ads" doc:"Without it, told by the columns"`
		Currency string `query:"currency" pattern:"^[A-Z]{3}$" doc:"For a report that names none" example:"USD"`
		Dates    string `query:"dates" enum:"dmy,mdy" doc:"For dates that could be either, such as 03/04/2026"`
		FileName string `query:"file_name" maxLength:"255" doc:"To know the import by"`
		RawBody  []byte `contentType:"text/csv" doc:"The file as it was exported, in whatever encoding"`
	}
	rowsInput struct {
		Body struct {
			Platform string   `json:"platform" pattern:"^[a-z][a-z0-9_]{1,31}$" example:"tiktok_ads"`
			Rows     []rowDTO `json:"rows" minItems:"1" maxItems:"5000"`
		}
	}
	rowDTO struct {
		Campaign     string  `json:"campaign" minLength:"1" maxLength:"500" doc:"Its name"`
		ExternalID   string  `json:"external_id,omitempty" maxLength:"100" doc:"The platform's own id"`
		Day          string  `json:"day" minLength:"10" maxLength:"10" example:"2026-03-01"`
		Currency     string  `json:"currency" pattern:"^[A-Z]{3}$" example:"USD"`
		Status       string  `json:"status,omitempty" enum:"active,paused,ended,unknown" default:"unknown"`
		SpendMinor   int64   `json:"spend_minor" minimum:"0" maximum:"1000000000000000" doc:"In minor units, cents for instance"`
		Impressions  int64   `json:"impressions" minimum:"0" maximum:"1000000000000"`
		Clicks       int64   `json:"clicks" minimum:"0" maximum:"1000000000000"`
		Conversions  float64 `json:"conversions,omitempty" minimum:"0" maximum:"1000000000000"`
		RevenueMinor int64   `json:"revenue_minor,omitempty" minimum:"0" maximum:"1000000000000000"`
		BudgetKind   string  `json:"budget_kind,omitempty" enum:"daily,total"`
		BudgetMinor  int64   `json:"budget_minor,omitempty" minimum:"0" maximum:"1000000000000000"`
	}
	importOutput   struct{ Body *Import }
	campaignOutput struct{ Body Campaign }
	listInput      struct {
		Platform string    `query:"platform" maxLength:"32" doc:"Only this platform's"`
		Status   string    `query:"status" enum:"active,paused,ended,unknown" doc:"Only these"`
		Cursor   uuid.UUID `query:"cursor" format:"uuid" doc:"next_cursor of the page before"`
		Limit    int       `query:"limit" minimum:"1" maximum:"200" default:"50"`
	}
	listOutput struct {
		Body struct {
			Campaigns  []Campaign `json:"campaigns"`
			NextCursor *uuid.UUID `json:"next_cursor,omitempty" format:"uuid"`
		}
	}
	updateInput struct {
		OneInput

		Body struct {
			UTMCampaign *string `json:"utm_campaign,omitempty" maxLength:"500" doc:"What its ads' links carry, when that is neither its id nor its name"`
			BudgetKind  *string `json:"budget_kind,omitempty" enum:",daily,total"`
			BudgetMinor *int64  `json:"budget_minor,omitempty" minimum:"0" maximum:"1000000000000000"`
			StartsOn    *string `json:"starts_on,omitempty" maxLength:"10" doc:"The first day of a total budget; empty takes it away"`
			EndsOn      *string `json:"ends_on,omitempty" maxLength:"10" doc:"The last day of a total budget; empty takes it away"`
		}
	}
	performanceInput struct {
		OneInput
		PeriodInput
	}
	performanceOutput struct {
		Body struct {
			Campaign Campaign `json:"campaign"`
			From     string   `json:"from,omitempty"`
			To       string   `json:"to,omitempty"`
			Days     []Day    `json:"days" doc:"Those with figures, in order"`
		}
	}
	importsInput struct {
		Cursor uuid.UUID `query:"cursor" format:"uuid" doc:"next_cursor of the page before"`
		Limit  int       `query:"limit" minimum:"1" maximum:"200" default:"50"`
	}
	importsOutput struct {
		Body struct {
			Imports    []Import   `json:"imports"`
			NextCursor *uuid.UUID `json:"next_cursor,omitempty" format:"uuid"`
		}
	}
	importInput struct {
		ID uuid.UUID `path:"import_uuid" format:"uuid"`
	}
)

// OneInput names a campaign; exported as PeriodInput is.
type OneInput struct {
	ID string `path:"campaign_id" maxLength:"100" doc:"Its campaign_uuid, or the platform's own id"`
}

// PeriodInput is the query of a campaign's history; exported, because huma reads
// embedded structs only when they are.
type PeriodInput struct {
	From string `query:"from" maxLength:"10" doc:"The first day; without it, 55 days before to" example:"2026-03-01"`
	To   string `query:"to" maxLength:"10" doc:"The last day; without it, the last one known. At most 731 days" example:"2026-03-31"`
}

// Register adds the campaign operations to api.
func (s *Service) Register(api huma.API) {
	op := func(id, method, path, summary, scope string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{"campaigns"}, Security: httpkit.Scoped(scope),
		}
	}
	const read, write = "ads:read", "ads:write"
	file := op("import-campaign-report", http.MethodPost, path+"/import/csv", "Import a report exported from Google Ads or Meta Ads Manager", write)
	file.Description = "The campaign report, by day, as CSV: Google's with its title and totals, in UTF-8 or UTF-16, in English, German, French, Spanish, " +
		"Portuguese or Italian. A day that comes again replaces what was known of it; the same file twice changes nothing. Lines that cannot be read " +
		"are told by number, and the others imported. A negative figure is one that cannot: a campaign report has none, since Google shows credits (for invalid " +
		"clicks, say) on its billing pages and in a report of their own. Write 0 or the day's cost there, and import the file again."
	file.MaxBodyBytes = adreport.MaxBytes
	httpkit.Register(api, file, s.importCSV)
	rows := op("import-campaign-days", http.MethodPost, path+"/import", "Import campaigns' days as JSON, of any platform", write)
	rows.MaxBodyBytes = adreport.MaxBytes
	httpkit.Register(api, rows, s.importRows)
	httpkit.Register(api, op("list-campaign-imports", http.MethodGet, "/api/v1/campaign-imports", "List imports, newest first", read), s.listImports)
	httpkit.Register(api, op("get-campaign-import", http.MethodGet, "/api/v1/campaign-imports/{import_uuid}", "Get an import with its problems", read), s.getImport)
	httpkit.Register(api, op("list-ad-campaigns", http.MethodGet, path, "List campaigns, newest first", read), s.list)
	httpkit.Register(api, op("get-ad-campaign", http.MethodGet, path+"/{campaign_id}", "Get a campaign", read), s.get)
	httpkit.Register(api, op("update-ad-campaign", http.MethodPatch, path+"/{campaign_id}", "Say what a campaign's links carry, or its budget", write), s.update)
	httpkit.Register(api, op("delete-ad-campaign", http.MethodDelete, path+"/{campaign_id}", "Delete a campaign with all its days", write), s.delete)
	httpkit.Register(api, op("campaign-performance", http.MethodGet, path+"/{campaign_id}/performance", "A campaign's days as its platform reports them", read), s.performance)
}

func (s *Service) importCSV(ctx context.Context, in *csvInput) (*importOutput, error) {
	report, err := adreport.Read(in.RawBody, adreport.Options{
		Platform: adreport.Platform(in.Platform), Currency: in.Currency, Dates: adreport.Order(in.Dates),
	})
	if err != nil {
		return nil, err
	}
	return s.imported(ctx, Batch{Report: report, Source: FromCSV, FileName: strings.ToValidUTF8(in.FileName, "")})
}

func (s *Service) importRows(ctx context.Context, in *rowsInput) (*importOutput, error) {
	report := &adreport.Report{Platform: adreport.Platform(in.Body.Platform), Lines: len(in.Body.Rows)}
	for i, row := range in.Body.Rows {
		r, err := row.read()
		if err != nil {
			report.Refused++
			if len(report.Problems) < adreport.MaxProblems {
				report.Problems = append(report.Problems, adreport.Problem{Line: i + 1, Message: err.Error()})
			}
			continue
		}
		r.Line = i + 1
		report.Rows = append(report.Rows, r)
	}
	return s.imported(ctx, Batch{Report: report, Source: FromAPI})
}

func (r rowDTO) read() (adreport.Row, error) {
	day, err := ParseDay("day", r.Day)
	if err != nil {
		return adreport.Row{}, err
	}
	if !adreport.IsCurrency(r.Currency) {
		return adreport.Row{}, fault.At("currency", r.Currency, "must be an ISO 4217 code such as USD")
	}
	if strings.TrimSpace(r.Campaign) == "" {
		return adreport.Row{}, fault.At("campaign", r.Campaign, "must name the campaign")
	}
	if (r.BudgetKind == "") != (r.BudgetMinor == 0) {
		return adreport.Row{}, fault.At("budget_minor", r.BudgetMinor, "and budget_kind belong together")
	}
	return adreport.Row{
		Campaign: strings.TrimSpace(r.Campaign), ExternalID: strings.TrimSpace(r.ExternalID), Status: adreport.Status(r.Status), Day: day,
		Currency: r.Currency, Spend: r.SpendMinor, Impressions: r.Impressions, Clicks: r.Clicks, Conversions: r.Conversions,
		Revenue: r.RevenueMinor, Budget: r.BudgetMinor, BudgetKind: adreport.BudgetKind(r.BudgetKind),
	}, nil
}

func (s *Service) imported(ctx context.Context, batch Batch) (*importOutput, error) {
	principal, _ := httpkit.PrincipalFrom(ctx)
	batch.By = principal.Name
	done, err := s.Import(ctx, principal.Tenant, batch)
	return &importOutput{Body: done}, err
}

func (s *Service) listImports(ctx context.Context, in *importsInput) (*importsOutput, error) {
	imports, err := s.Imports(ctx, httpkit.Tenant(ctx), in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &importsOutput{}
	out.Body.Imports = imports
	out.Body.NextCursor = httpkit.NextCursor(imports, in.Limit, func(i *Import) uuid.UUID { return i.UUID })
	return out, nil
}

func (s *Service) getImport(ctx context.Context, in *importInput) (*importOutput, error) {
	found, err := s.ImportOf(ctx, httpkit.Tenant(ctx), in.ID)
	return &importOutput{Body: &found}, err
}

func (s *Service) list(ctx context.Context, in *listInput) (*listOutput, error) {
	campaigns, err := s.List(ctx, httpkit.Tenant(ctx), Filter{Platform: in.Platform, Status: in.Status}, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listOutput{}
	out.Body.Campaigns = campaigns
	out.Body.NextCursor = httpkit.NextCursor(campaigns, in.Limit, func(c *Campaign) uuid.UUID { return c.UUID })
	return out, nil
}

func (s *Service) get(ctx context.Context, in *OneInput) (*campaignOutput, error) {
	campaign, err := s.Get(ctx, httpkit.Tenant(ctx), in.ID)
	return &campaignOutput{Body: campaign}, err
}

func (s *Service) update(ctx context.Context, in *updateInput) (*campaignOutput, error) {
	settings := Settings{
		UTMCampaign: in.Body.UTMCampaign, BudgetMinor: in.Body.BudgetMinor, StartsOn: in.Body.StartsOn, EndsOn: in.Body.EndsOn,
	}
	if in.Body.BudgetKind != nil {
		kind := adreport.BudgetKind(*in.Body.BudgetKind)
		settings.BudgetKind = &kind
	}
	campaign, err := s.Update(ctx, httpkit.Tenant(ctx), in.ID, settings)
	return &campaignOutput{Body: campaign}, err
}

func (s *Service) delete(ctx context.Context, in *OneInput) (*struct{}, error) {
	return nil, s.Delete(ctx, httpkit.Tenant(ctx), in.ID)
}

func (s *Service) performance(ctx context.Context, in *performanceInput) (*performanceOutput, error) {
	from, to, err := in.Range()
	if err != nil {
		return nil, err
	}
	history, err := s.History(ctx, httpkit.Tenant(ctx), in.ID, from, to)
	if err != nil {
		return nil, err
	}
	out := &performanceOutput{}
	out.Body.Campaign, out.Body.Days = history.Campaign, history.Days
	if !history.To.IsZero() {
		out.Body.From, out.Body.To = history.Period()
	}
	return out, nil
}
