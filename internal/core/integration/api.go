package integration

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/mesh"
	"github.com/engardehq/madansara/mesh/signature"
)

const path = "/api/v1/integrations"

type (
	providersOutput struct {
		Body struct {
			Providers []Provider `json:"providers"`
		}
	}
	createInput struct {
		Body struct {
			Provider    string            `json:"provider" maxLength:"63" example:"sendgrid"`
			Name        string            `json:"name,omitempty" maxLength:"200" default:"default" doc:"Tells several accounts at one provider apart"`
			Settings    map[string]string `json:"settings,omitempty"`
			Credentials map[string]string `json:"credentials,omitempty" writeOnly:"true" doc:"Stored encrypted and never answered"`
			Enabled     bool              `json:"enabled,omitempty" default:"true"`
		}
	}
	listInput struct {
		Provider string `query:"provider" maxLength:"63"`
	}
	listOutput struct {
		Body struct {
			Integrations []Integration `json:"integrations"`
		}
	}
	oneInput struct {
		ID uuid.UUID `path:"integration_uuid" format:"uuid"`
	}
	updateInput struct {
		ID   uuid.UUID `path:"integration_uuid" format:"uuid"`
		Body Change
	}
	oneOutput   struct{ Body Integration }
	revealInput struct {
		Provider string `path:"provider" maxLength:"63"`
		Name     string `query:"name" maxLength:"200" doc:"Without it the integration called default, else the oldest"`
	}
	revealOutput struct {
		CacheControl string `header:"Cache-Control"`
		Body         *mesh.IntegrationCredentials
	}
)

// Register adds the operations on integrations to api.
func (s *Service) Register(api huma.API) {
	op := func(id, method, path, summary, scope string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{"integrations"}, Security: httpkit.Scoped(scope), MaxBodyBytes: 128 << 10,
			Metadata: httpkit.NotForServices(),
		}
	}
	const read, write = "integrations:read", "integrations:write"
	httpkit.Register(api, op("list-providers", http.MethodGet, path+"/providers", "The providers, and what each needs to know", read),
		func(context.Context, *struct{}) (*providersOutput, error) {
			out := &providersOutput{}
			out.Body.Providers = Providers
			return out, nil
		})
	httpkit.Register(api, op("list-integrations", http.MethodGet, path, "List integrations", read),
		func(ctx context.Context, in *listInput) (*listOutput, error) {
			list, err := s.List(ctx, httpkit.Tenant(ctx), in.Provider)
			out := &listOutput{}
			out.Body.Integrations = list
			return out, err
		})
	create := op("create-integration", http.MethodPost, path, "Add an integration", write)
	create.DefaultStatus = http.StatusCreated
	httpkit.Register(api, create, func(ctx context.Context, in *createInput) (*oneOutput, error) {
		made, err := s.Create(ctx, httpkit.Tenant(ctx), Draft(in.Body))
		return &oneOutput{made}, err
	})
	httpkit.Register(api, op("get-integration", http.MethodGet, path+"/{integration_uuid}", "Get an integration", read),
		func(ctx context.Context, in *oneInput) (*oneOutput, error) {
			one, err := s.Get(ctx, httpkit.Tenant(ctx), in.ID)
			return &oneOutput{one}, err
		})
	httpkit.Register(api, op("update-integration", http.MethodPatch, path+"/{integration_uuid}", "Change an integration", write),
		func(ctx context.Context, in *updateInput) (*oneOutput, error) {
			updated, err := s.Update(ctx, httpkit.Tenant(ctx), in.ID, in.Body)
			return &oneOutput{updated}, err
		})
	httpkit.Register(api, op("delete-integration", http.MethodDelete, path+"/{integration_uuid}", "Remove an integration and its credentials", write),
		func(ctx context.Context, in *oneInput) (*struct{}, error) {
			return nil, s.Delete(ctx, httpkit.Tenant(ctx), in.ID)
		})
	reveal := op("read-credentials", http.MethodGet, path+"/credentials/{provider}", "Give a service a tenant's credentials", "*")
	reveal.Metadata = nil
	reveal.Description = "Answers requests that a service of the platform has signed, nobody else: no key and no log-in is enough. Each answer is in the audit log."
	httpkit.Register(api, reveal, s.reveal)
}

func (s *Service) reveal(ctx context.Context, in *revealInput) (*revealOutput, error) {
	identity, signed := signature.From(ctx)
	if !signed || identity.Legacy { // a shared secret in a header protects no answer worth this much
		return nil, fault.New(fault.Forbidden, "Credentials are given to the platform's services alone, by a signed request.")
	}
	credentials, err := s.Reveal(ctx, identity.Source, httpkit.Tenant(ctx), in.Provider, in.Name)
	if err != nil {
		return nil, err
	}
	return &revealOutput{CacheControl: "no-store", Body: credentials}, nil
}
