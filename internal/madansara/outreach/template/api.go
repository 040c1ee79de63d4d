package template

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/httpkit"
)

const (
	path  = "/api/v1/outreach/templates"
	read  = "outreach:read"
	write = "outreach:write"
)

// maxRequest holds two bodies at their limits, escaped as JSON.
const maxRequest = 2 << 20

type (
	templateOutput struct{ Body Template }
	createInput    struct {
		Body struct {
			Draft
			Channel string `json:"channel,omitempty" enum:"email" default:"email"`
		}
	}
	updateInput struct {
		ID   uuid.UUID `path:"template_uuid" format:"uuid"`
		Body Draft
	}
	oneInput struct {
		ID uuid.UUID `path:"template_uuid" format:"uuid"`
	}
	listInput struct {
		Cursor uuid.UUID `query:"cursor" format:"uuid" doc:"next_cursor of the page before"`
		Limit  int       `query:"limit" minimum:"1" maximum:"200" default:"50"`
	}
	listOutput struct {
		Body struct {
			Templates  []Template `json:"templates"`
			NextCursor *uuid.UUID `json:"next_cursor,omitempty" format:"uuid"`
		}
	}
	previewInput struct {
		ID   uuid.UUID `path:"template_uuid" format:"uuid"`
		Body PreviewFor
	}
	previewDraftInput struct {
		Body struct {
			PreviewFor
			Subject  string `json:"subject,omitempty" maxLength:"2000"`
			BodyHTML string `json:"body_html,omitempty" maxLength:"262144"`
			BodyText string `json:"body_text,omitempty" maxLength:"262144"`
		}
	}
	previewOutput struct{ Body Preview }
)

// Register adds the operations to api.
func (s *Service) Register(api huma.API) {
	operation := func(id, method, path, summary, scope string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{"outreach"},
			Security: httpkit.Scoped(scope), MaxBodyBytes: maxRequest,
		}
	}
	create := operation("create-template", http.MethodPost, path, "Create a template", write)
	create.DefaultStatus = http.StatusCreated
	httpkit.Register(api, create, func(ctx context.Context, in *createInput) (*templateOutput, error) {
		created, err := s.Create(ctx, httpkit.Tenant(ctx), in.Body.Channel, in.Body.Draft)
		return &templateOutput{Body: created}, err
	})
	httpkit.Register(api, operation("list-templates", http.MethodGet, path, "List templates, newest first", read), s.list)
	httpkit.Register(api, operation("get-template", http.MethodGet, path+"/{template_uuid}", "Get a template", read),
		func(ctx context.Context, in *oneInput) (*templateOutput, error) {
			found, err := s.Get(ctx, httpkit.Tenant(ctx), in.ID)
			return &templateOutput{Body: found}, err
		})
	httpkit.Register(api, operation("update-template", http.MethodPut, path+"/{template_uuid}", "Replace a template", write),
		func(ctx context.Context, in *updateInput) (*templateOutput, error) {
			updated, err := s.Update(ctx, httpkit.Tenant(ctx), in.ID, in.Body)
			return &templateOutput{Body: updated}, err
		})
	httpkit.Register(api, operation("preview-template", http.MethodPost, path+"/{template_uuid}/preview", "Render a template for a contact, sending nothing", read),
		func(ctx context.Context, in *previewInput) (*previewOutput, error) {
			found, err := s.Get(ctx, httpkit.Tenant(ctx), in.ID)
			if err != nil {
				return nil, err
			}
			preview, err := s.Preview(ctx, httpkit.Tenant(ctx), Source{Subject: found.Subject, BodyHTML: found.BodyHTML, BodyText: found.BodyText}, in.Body)
			return &previewOutput{Body: preview}, err
		})
	httpkit.Register(api, operation("preview-draft", http.MethodPost, path+"/preview", "Render a template that is not stored, sending nothing", read),
		func(ctx context.Context, in *previewDraftInput) (*previewOutput, error) {
			source := Source{Subject: in.Body.Subject, BodyHTML: in.Body.BodyHTML, BodyText: in.Body.BodyText}
			preview, err := s.Preview(ctx, httpkit.Tenant(ctx), source, in.Body.PreviewFor)
			return &previewOutput{Body: preview}, err
		})
}

func (s *Service) list(ctx context.Context, in *listInput) (*listOutput, error) {
	templates, err := s.List(ctx, httpkit.Tenant(ctx), in.Cursor, in.Limit+1)
	if err != nil {
		return nil, err
	}
	out := &listOutput{}
	if len(templates) > in.Limit {
		templates = templates[:in.Limit]
		out.Body.NextCursor = &templates[in.Limit-1].UUID
	}
	out.Body.Templates = templates
	return out, nil
}
