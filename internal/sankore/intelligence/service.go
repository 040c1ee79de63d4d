package intelligence

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/sankore/campaign"
	"github.com/engardehq/madansara/internal/sankore/response"
	"github.com/engardehq/madansara/mesh"
)

// Campaigns are the figures that Sankore has.
type Campaigns interface {
	History(ctx context.Context, tenant uuid.UUID, id string, from, to time.Time) (*campaign.History, error)
}

// Conversions are what Madan Sara knows.
type Conversions interface {
	Campaign(ctx context.Context, tenant string, request mesh.CampaignConversionsRequest) (*mesh.CampaignConversions, error)
}

// Service tells how campaigns fare. It is safe for concurrent use.
type Service struct {
	campaigns   Campaigns
	conversions Conversions
	clock       clockwork.Clock
}

// New returns a Service on what both know.
func New(campaigns Campaigns, conversions Conversions, clock clockwork.Clock) *Service {
	return &Service{campaigns: campaigns, conversions: conversions, clock: clock}
}

// ripening is for how many days, today included, conversions are still to come: a
// visit counts on its own day, and its buyer may decide later.
const ripening = 7

// ripe is the last day whose conversions are taken for complete.
func (s *Service) ripe() time.Time {
	return s.clock.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -ripening)
}

// Campaign tells how a campaign fared from one day to another, both included;
// zero days are History's defaults. id is the campaign's UUID or its platform's.
func (s *Service) Campaign(ctx context.Context, tenant uuid.UUID, id string, from, to time.Time) (*mesh.CampaignIntelligence, error) {
	h, err := s.campaigns.History(ctx, tenant, id, from, to)
	if err != nil {
		return nil, err
	}
	e, err := s.earned(ctx, tenant, h)
	if err != nil {
		return nil, err
	}
	return compute(h, e, s.ripe()), nil
}

// earned asks Madan Sara, and falls back on the platform. An error is the caller's
// giving up only.
func (s *Service) earned(ctx context.Context, tenant uuid.UUID, h *campaign.History) (earned, error) {
	if len(h.Days) == 0 {
		return earned{source: mesh.ConversionsFromPlatform, problem: "No day of the campaign is known."}, nil
	}
	request, ok := request(h)
	if !ok {
		return earned{source: mesh.ConversionsFromPlatform, problem: "Another campaign has the same name, so Madan Sara cannot tell their visits " +
			"apart: say what this one's links carry with utm_campaign."}, nil
	}
	answer, err := s.conversions.Campaign(ctx, tenant.String(), request)
	switch {
	case errors.Is(err, mesh.ErrCanceled):
		return earned{}, fmt.Errorf("ask for the campaign's conversions: %w", err)
	case err != nil:
		return earned{source: mesh.ConversionsFromPlatform, problem: explain(err, request)}, nil
	case answer.Touches == 0:
		return earned{source: mesh.ConversionsFromPlatform, problem: neverSeen(request)}, nil
	}
	e := earned{source: mesh.ConversionsFromMadanSara, model: answer.Model, days: make(map[string]mesh.CampaignConversionsDay, len(answer.Days))}
	for _, d := range answer.Days {
		e.days[d.Day] = d
	}
	if answer.Pending > 0 {
		e.problem = fmt.Sprintf("Madan Sara has still to attribute %d conversions.", answer.Pending)
	}
	return e, nil
}

// Spending is what a campaign spent and earned by day, by both accounts: of
// several campaigns, only one account makes them comparable.
type Spending struct {
	Campaign   campaign.Campaign
	Attributed []response.Day // by Madan Sara; nil when it cannot tell
	Problem    string         // why it cannot
	Reported   []response.Day // by the platform
	// Ripe is the last day whose conversions are taken for complete.
	Ripe time.Time
}

// Spending returns a campaign's days from one to another, as Campaign does.
func (s *Service) Spending(ctx context.Context, tenant uuid.UUID, id string, from, to time.Time) (*Spending, error) {
	h, err := s.campaigns.History(ctx, tenant, id, from, to)
	if err != nil {
		return nil, err
	}
	e, err := s.earned(ctx, tenant, h)
	if err != nil {
		return nil, err
	}
	found := &Spending{Ripe: s.ripe(), Campaign: h.Campaign, Problem: e.problem, Reported: spending(merge(h, earned{source: mesh.ConversionsFromPlatform}))}
	if e.source == mesh.ConversionsFromMadanSara {
		found.Attributed = spending(merge(h, e))
	}
	return found, nil
}

// request names the campaign as its links may. What people said they carry is
// all; else its id, and its name when no other campaign has it: two campaigns
// must not count the same visits. False when nothing tells it apart.
func request(h *campaign.History) (mesh.CampaignConversionsRequest, bool) {
	c := h.Campaign
	from, to := h.Period()
	r := mesh.CampaignConversionsRequest{From: from, To: to}
	switch {
	case c.UTMCampaign != "":
		r.CampaignID = c.UTMCampaign
	case c.ExternalID != "":
		r.CampaignID = c.ExternalID
		if h.NameIsUnique {
			r.Aliases = []string{c.Name}
		}
	case h.NameIsUnique:
		r.CampaignID = c.Name
	}
	return r, r.CampaignID != ""
}

func neverSeen(r mesh.CampaignConversionsRequest) string {
	return fmt.Sprintf("Madan Sara knows no visit from %s to %s whose utm_campaign is %q: name the campaign in its ads' links, "+
		"or say what they carry with utm_campaign.", r.From, r.To, r.CampaignID)
}

// explain says why Madan Sara's conversions are not used, without its address.
func explain(err error, request mesh.CampaignConversionsRequest) string {
	var failure *mesh.Error
	switch {
	case !errors.As(err, &failure):
		return "Madan Sara cannot be asked."
	case failure.Kind == mesh.ErrRejected && failure.Status == http.StatusNotFound:
		return neverSeen(request)
	case failure.Kind == mesh.ErrRejected && failure.Problem != nil:
		return "Madan Sara refused to tell the campaign's conversions: " + failure.Problem.Detail
	}
	return fmt.Sprintf("Madan Sara cannot be reached (%s).", failure.Kind)
}

type input struct {
	campaign.OneInput
	campaign.PeriodInput
}

type output struct{ Body *mesh.CampaignIntelligence }

// Register adds the operation to api.
func (s *Service) Register(api huma.API) {
	httpkit.Register(api, huma.Operation{
		OperationID: "campaign-intelligence", Method: http.MethodGet, Path: "/api/v1/campaigns/{campaign_id}/intelligence",
		Tags: []string{"campaigns"}, Security: httpkit.Scoped("ads:read"), Summary: "How a campaign fares, with how much certainty",
		Description: "Estimates carry 95 % credible intervals. Conversions are those that Madan Sara attributes to the campaign's visits; when it cannot " +
			"tell them, the platform's own, and conversions_source and conversions_problem say so. Those of the last 7 days are still coming in: what is " +
			"estimated of conversions is of the days up to conversions_to. notes say what the figures are too few to tell.",
	}, s.get)
}

func (s *Service) get(ctx context.Context, in *input) (*output, error) {
	from, to, err := in.Range()
	if err != nil {
		return nil, err
	}
	found, err := s.Campaign(ctx, httpkit.Tenant(ctx), in.ID, from, to)
	return &output{Body: found}, err
}
