package insight

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/mesh"
)

type customerInput struct {
	CustomerID string `path:"customer_id" maxLength:"255" doc:"A contact's or visitor's uuid, your own user id, or an e-mail address"`
}

type customerOutput struct{ Body *mesh.CustomerInsights }

type (
	// CampaignPath names the campaign.
	CampaignPath struct {
		ID uuid.UUID `path:"campaign_uuid" format:"uuid"`
	}
	contextOutput struct{ Body CampaignContext }
	linkInput     struct {
		CampaignPath
		Body Links
	}
)

// Register adds the operations to api.
func (s *Service) Register(api huma.API) {
	httpkit.Register(api, huma.Operation{
		OperationID: "customer-insights", Method: http.MethodGet, Path: "/api/v1/conversion/customers/{customer_id}/insights",
		Tags: []string{"conversion"}, Security: httpkit.Scoped("conversion:read"),
		Summary: "What is known of a customer, in short",
		Description: "The journey holds the newest 100 touches, messages and conversions, the oldest first; the last touches are the newest 5 visits and clicks, the newest first. " +
			"The preferred channel is that of most visits and clicks, one of 30 days ago counting half. " +
			"The propensity is the share of people like this one who bought within 30 days, counted in your own history; it is absent while that is too small.",
	}, func(ctx context.Context, in *customerInput) (*customerOutput, error) {
		known, err := s.Customer(ctx, httpkit.Tenant(ctx), in.CustomerID)
		if err != nil {
			return nil, err
		}
		return &customerOutput{Body: known}, nil
	})
	const path = "/api/v1/outreach/campaigns/{campaign_uuid}/context"
	httpkit.Register(api, huma.Operation{
		OperationID: "get-campaign-context", Method: http.MethodGet, Path: path, Tags: []string{"outreach"}, Security: httpkit.Scoped("outreach:read"),
		Summary:     "See what Onside says of a campaign's landing page, and Sankore of the advertising beside it",
		Description: "Answers what was learned last, at once, and has the peers asked again when that was more than an hour ago.",
	}, func(ctx context.Context, in *CampaignPath) (*contextOutput, error) {
		found, err := s.CampaignContext(ctx, httpkit.Tenant(ctx), in.ID)
		return &contextOutput{Body: found}, err
	})
	httpkit.Register(api, huma.Operation{
		OperationID: "link-campaign", Method: http.MethodPut, Path: path, Tags: []string{"outreach"}, Security: httpkit.Scoped("outreach:write"),
		Summary: "Link a campaign to its landing page and to the advertising beside it",
	}, func(ctx context.Context, in *linkInput) (*contextOutput, error) {
		found, err := s.LinkCampaign(ctx, httpkit.Tenant(ctx), in.ID, in.Body)
		return &contextOutput{Body: found}, err
	})
}
