package seo

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/mesh"
)

const path = "/api/v1/seo"

type (
	analyzeInput struct {
		Body struct {
			URL        string    `json:"url" minLength:"1" maxLength:"2048" doc:"The page, http or https" example:"https://example.com/page"`
			TenantUUID uuid.UUID `json:"tenant_uuid" format:"uuid" doc:"The caller's own tenant"`
		}
	}
	analyzeOutput struct{ Body mesh.SEOAnalysis }

	oneInput struct {
		ID uuid.UUID `path:"analysis_uuid" format:"uuid"`
	}
	analysisOutput struct{ Body *Analysis }

	listInput struct {
		URL    string    `query:"url" maxLength:"2048" doc:"Analyses of this page only"`
		Cursor uuid.UUID `query:"cursor" format:"uuid" doc:"next_cursor of the page before"`
		Limit  int       `query:"limit" minimum:"1" maximum:"200" default:"50"`
	}
	listOutput struct {
		Body struct {
			Analyses   []Summary  `json:"analyses"`
			NextCursor *uuid.UUID `json:"next_cursor,omitempty" format:"uuid"`
		}
	}

	auditInput struct {
		ID uuid.UUID `path:"audit_uuid" format:"uuid"`
	}
	auditOutput struct{ Body *StoredAudit }

	auditsInput struct {
		Kind   string    `query:"kind" enum:"page,site" doc:"Audits of single pages, or of whole sites"`
		Cursor uuid.UUID `query:"cursor" format:"uuid" doc:"next_cursor of the page before"`
		Limit  int       `query:"limit" minimum:"1" maximum:"200" default:"50"`
	}
	auditsOutput struct {
		Body struct {
			Audits     []AuditSummary `json:"audits"`
			NextCursor *uuid.UUID     `json:"next_cursor,omitempty" format:"uuid"`
		}
	}
)

// Register adds the operations on pages to api.
func (s *Service) Register(api huma.API) {
	op := func(id, method, path, summary, scope string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: path, Summary: summary,
			Tags: []string{"pages"}, Security: httpkit.Scoped(scope),
		}
	}
	const read, write = "seo:read", "seo:write"
	analyze := op("analyze-page", http.MethodPost, path+"/analyze", "Fetch, analyse and audit a page", write)
	analyze.Description = "Obeys the site's robots.txt. The page is read as sent (scripts are not run), up to 2 MB of it. " +
		"A page with an error status is analysed all the same; one that cannot be had is an error that says why. " +
		"Of a tenant two pages are analysed at a time, and of all tenants four, in a process; others wait up to 10 s for their turn, then the answer is 429 or 503 with Retry-After."
	httpkit.Register(api, analyze, s.analyzePage)
	httpkit.Register(api, op("list-analyses", http.MethodGet, path+"/analyses", "List analyses, newest first", read), s.list)
	httpkit.Register(api, op("get-analysis", http.MethodGet, path+"/analyses/{analysis_uuid}", "Get an analysis with all that was found", read), s.get)
	httpkit.Register(api, op("delete-analysis", http.MethodDelete, path+"/analyses/{analysis_uuid}", "Delete an analysis and its audit", write), s.delete)
	httpkit.Register(api, op("list-audits", http.MethodGet, path+"/audits", "List technical audits, newest first", read), s.audits)
	httpkit.Register(api, op("get-audit", http.MethodGet, path+"/audits/{audit_uuid}", "Get a technical audit with its checks", read), s.audit)
}

func (s *Service) analyzePage(ctx context.Context, in *analyzeInput) (*analyzeOutput, error) {
	tenant := httpkit.Tenant(ctx)
	if in.Body.TenantUUID != tenant {
		return nil, fault.New(fault.Forbidden, "body.tenant_uuid: the caller may not act for the tenant %s.", in.Body.TenantUUID)
	}
	analysis, err := s.Analyze(ctx, tenant, in.Body.URL)
	if err != nil {
		return nil, err
	}
	return &analyzeOutput{Body: analysis.Wire()}, nil
}

func (s *Service) get(ctx context.Context, in *oneInput) (*analysisOutput, error) {
	analysis, err := s.Get(ctx, httpkit.Tenant(ctx), in.ID)
	return &analysisOutput{Body: analysis}, err
}

func (s *Service) delete(ctx context.Context, in *oneInput) (*struct{}, error) {
	return nil, s.Delete(ctx, httpkit.Tenant(ctx), in.ID)
}

// before is where a list that goes back in time begins.
func before(cursor uuid.UUID) uuid.UUID {
	if cursor == uuid.Nil {
		return uuid.Max
	}
	return cursor
}

func (s *Service) list(ctx context.Context, in *listInput) (*listOutput, error) {
	analyses, err := s.List(ctx, httpkit.Tenant(ctx), in.URL, before(in.Cursor), in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listOutput{}
	out.Body.Analyses = analyses
	out.Body.NextCursor = httpkit.NextCursor(analyses, in.Limit, func(s *Summary) uuid.UUID { return s.UUID })
	return out, nil
}

func (s *Service) audits(ctx context.Context, in *auditsInput) (*auditsOutput, error) {
	audits, err := s.Audits(ctx, httpkit.Tenant(ctx), in.Kind, before(in.Cursor), in.Limit)
	if err != nil {
		return nil, err
	}
	out := &auditsOutput{}
	out.Body.Audits = audits
	out.Body.NextCursor = httpkit.NextCursor(audits, in.Limit, func(a *AuditSummary) uuid.UUID { return a.UUID })
	return out, nil
}

func (s *Service) audit(ctx context.Context, in *auditInput) (*auditOutput, error) {
	audit, err := s.Audit(ctx, httpkit.Tenant(ctx), in.ID)
	return &auditOutput{Body: audit}, err
}
