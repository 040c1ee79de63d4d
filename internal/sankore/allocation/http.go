package allocation

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/httpkit"
)

const path = "/api/v1/budget-allocations"

type (
	createInput struct {
		Body struct {
			Name       string      `json:"name,omitempty" maxLength:"200" doc:"To know it by"`
			TotalMinor int64       `json:"total_minor" minimum:"1" maximum:"1000000000000000" doc:"In minor units of the campaigns' currency"`
			Days       int         `json:"days,omitempty" minimum:"1" maximum:"366" default:"30" doc:"That the total is for"`
			Campaigns  []limitsDTO `json:"campaigns" minItems:"1" maxItems:"50"`
		}
	}
	limitsDTO struct {
		CampaignID string `json:"campaign_id" minLength:"1" maxLength:"100" doc:"Its campaign_uuid, or the platform's own id"`
		MinMinor   int64  `json:"min_minor,omitempty" minimum:"0" maximum:"1000000000000000" doc:"The least it gets"`
		MaxMinor   *int64 `json:"max_minor,omitempty" minimum:"0" maximum:"1000000000000000" doc:"The most it gets; without it, the total"`
	}
	oneInput struct {
		ID uuid.UUID `path:"allocation_uuid" format:"uuid"`
	}
	listInput struct {
		Cursor uuid.UUID `query:"cursor" format:"uuid" doc:"next_cursor of the page before"`
		Limit  int       `query:"limit" minimum:"1" maximum:"100" default:"20"`
	}
	oneOutput  struct{ Body *Allocation }
	listOutput struct {
		Body struct {
			Allocations []Allocation `json:"allocations"`
			NextCursor  *uuid.UUID   `json:"next_cursor,omitempty" format:"uuid"`
		}
	}
)

// Register adds the operations to api.
func (s *Service) Register(api huma.API) {
	tags := []string{"budget allocations"}
	httpkit.Register(api, huma.Operation{
		OperationID: "create-budget-allocation", Method: http.MethodPost, Path: path, Tags: tags, Security: httpkit.Scoped("ads:write"),
		DefaultStatus: http.StatusCreated, Summary: "Share a budget out among campaigns",
		Description: "Fits how each campaign's conversions answer to its spend and shares the total out so that the expected conversions are the most " +
			"they can be, within each campaign's limits. Says how many more that is than the same total split as it is spent now, with a 95 % credible interval.",
	}, s.create)
	httpkit.Register(api, huma.Operation{
		OperationID: "list-budget-allocations", Method: http.MethodGet, Path: path, Tags: tags, Security: httpkit.Scoped("ads:read"),
		Summary: "List allocations, newest first",
	}, s.list)
	httpkit.Register(api, huma.Operation{
		OperationID: "get-budget-allocation", Method: http.MethodGet, Path: path + "/{allocation_uuid}", Tags: tags, Security: httpkit.Scoped("ads:read"),
		Summary: "Get an allocation",
	}, s.get)
}

func (s *Service) create(ctx context.Context, in *createInput) (*oneOutput, error) {
	principal, _ := httpkit.PrincipalFrom(ctx)
	request := Request{Name: in.Body.Name, TotalMinor: in.Body.TotalMinor, Days: in.Body.Days, By: principal.Name}
	for _, limits := range in.Body.Campaigns {
		request.Campaigns = append(request.Campaigns, Limits(limits))
	}
	a, err := s.Create(ctx, principal.Tenant, request)
	return &oneOutput{Body: a}, err
}

func (s *Service) get(ctx context.Context, in *oneInput) (*oneOutput, error) {
	a, err := s.Get(ctx, httpkit.Tenant(ctx), in.ID)
	return &oneOutput{Body: &a}, err
}

func (s *Service) list(ctx context.Context, in *listInput) (*listOutput, error) {
	list, err := s.List(ctx, httpkit.Tenant(ctx), in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listOutput{}
	out.Body.Allocations = list
	out.Body.NextCursor = httpkit.NextCursor(list, in.Limit, func(a *Allocation) uuid.UUID { return a.UUID })
	return out, nil
}
