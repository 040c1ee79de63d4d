package dashboard

import (
	"context"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/madansara/attribution"
	"github.com/engardehq/madansara/internal/madansara/contact"
	"github.com/engardehq/madansara/internal/madansara/contact/segment"
	"github.com/engardehq/madansara/internal/madansara/conversion"
	"github.com/engardehq/madansara/internal/madansara/insight"
	"github.com/engardehq/madansara/internal/madansara/outreach"
	"github.com/engardehq/madansara/internal/madansara/outreach/template"
	"github.com/engardehq/madansara/internal/memory"
	"github.com/engardehq/madansara/zerodb"
)

// Accounts opens and ends log-in sessions, and makes and ends keys.
type Accounts interface {
	LogIn(ctx context.Context, email, password, clientIP string) (account.Login, error)
	LogOut(ctx context.Context, token string) error
	CreateKey(ctx context.Context, tenant uuid.UUID, wanted account.NewKey) (token string, key account.Key, err error)
	Keys(ctx context.Context, tenant uuid.UUID) ([]account.Key, error)
	RevokeKey(ctx context.Context, tenant, id uuid.UUID) error
}

// Contacts knows who people are, and erases them.
type Contacts interface {
	Get(ctx context.Context, tenant, id uuid.UUID) (contact.Contact, error)
	ByID(ctx context.Context, tenant uuid.UUID, ids []uuid.UUID) (map[uuid.UUID]contact.Contact, error)
	List(ctx context.Context, tenant, cursor uuid.UUID, email string, limit int) ([]contact.Contact, error)
	Erase(ctx context.Context, tenant, id uuid.UUID, by string) (contact.Erased, error)
}

// Conversions reports what people did and what earned it. Every figure of the
// pages that the API has too is asked of it, so that the two cannot differ.
type Conversions interface {
	Stats(ctx context.Context, tenant uuid.UUID, period conversion.Period) (*conversion.Stats, error)
	Attribution(ctx context.Context, tenant uuid.UUID, period conversion.Period, model attribution.Model) (*conversion.Report, error)
	Events(ctx context.Context, tenant uuid.UUID, filter conversion.Filter, page conversion.Page) (events []conversion.Event, next string, err error)
	Journey(ctx context.Context, tenant uuid.UUID, id string, page conversion.Page) (*conversion.Journey, error)
	People(ctx context.Context, tenant uuid.UUID, contacts ...uuid.UUID) (map[uuid.UUID]conversion.PersonFigures, error)
	CampaignOutcome(ctx context.Context, tenant, campaign uuid.UUID, model attribution.Model) (conversion.Earned, error)
}

// Campaigns keeps campaigns, says how far they have come, and decides about
// messages whose fate is unknown.
type Campaigns interface {
	Reports(ctx context.Context, tenant, before uuid.UUID, limit int) ([]outreach.Report, error)
	Report(ctx context.Context, tenant, id uuid.UUID) (outreach.Report, error)
	Messages(ctx context.Context, tenant uuid.UUID, f outreach.MessageFilter, before uuid.UUID, limit int) ([]outreach.Message, error)
	Decisions(ctx context.Context, tenant, campaign uuid.UUID, f outreach.DecisionFilter, after uuid.UUID, limit int) ([]outreach.DecisionRecord, error)
	SuppressionsOf(ctx context.Context, tenant uuid.UUID, address string) ([]outreach.Suppression, error)
	Create(ctx context.Context, tenant uuid.UUID, draft outreach.CampaignDraft) (outreach.Campaign, error)
	Start(ctx context.Context, tenant, id uuid.UUID) (outreach.Campaign, error)
	Pause(ctx context.Context, tenant, id uuid.UUID, reason string) (outreach.Campaign, error)
	MailAccount(ctx context.Context, tenant uuid.UUID) outreach.MailAccount
	Resolve(ctx context.Context, tenant, id uuid.UUID, outcome outreach.Resolution, by string) (outreach.Message, error)
}

// Insights says what the peers know about what stands around a campaign.
type Insights interface {
	CampaignContext(ctx context.Context, tenant, campaign uuid.UUID) (insight.CampaignContext, error)
	LinkCampaign(ctx context.Context, tenant, campaign uuid.UUID, links insight.Links) (insight.CampaignContext, error)
}

// Segments keeps the rules that select contacts.
type Segments interface {
	List(ctx context.Context, tenant, before uuid.UUID, limit int) ([]segment.Segment, error)
	Get(ctx context.Context, tenant, id uuid.UUID) (segment.Segment, error)
	Create(ctx context.Context, tenant uuid.UUID, name string, rules segment.Rule) (segment.Segment, error)
	Update(ctx context.Context, tenant, id uuid.UUID, name string, rules segment.Rule) (segment.Segment, error)
	Preview(ctx context.Context, tenant uuid.UUID, rules segment.Rule, after uuid.UUID, limit int) (count int64, members []segment.Member, err error)
}

// Templates keeps what campaigns write. A template that cannot be rendered is a
// fault whose fields name the part and the line.
type Templates interface {
	List(ctx context.Context, tenant, before uuid.UUID, limit int) ([]template.Template, error)
	Get(ctx context.Context, tenant, id uuid.UUID) (template.Template, error)
	Create(ctx context.Context, tenant uuid.UUID, channel string, draft template.Draft) (template.Template, error)
	Update(ctx context.Context, tenant, id uuid.UUID, draft template.Draft) (template.Template, error)
	Preview(ctx context.Context, tenant uuid.UUID, source template.Source, to template.PreviewFor) (template.Preview, error)
}

// Memories is what the agents remember. Errors are faults.
type Memories interface {
	Search(ctx context.Context, tenant uuid.UUID, q zerodb.Query) (zerodb.Result, error)
	List(ctx context.Context, tenant uuid.UUID, f zerodb.Filter, order zerodb.Order, limit int) ([]zerodb.Memory, error)
	Get(ctx context.Context, tenant, id uuid.UUID) (zerodb.Memory, error)
	History(ctx context.Context, tenant, id uuid.UUID) ([]zerodb.Memory, error)
	Correct(ctx context.Context, tenant uuid.UUID, by string, id uuid.UUID, content string, metadata zerodb.Metadata) (zerodb.Memory, error)
	Forget(ctx context.Context, tenant, id uuid.UUID) (int, error)
	Erase(ctx context.Context, tenant uuid.UUID, e zerodb.Erasure) (memory.Erased, error)
	Erasures(ctx context.Context, tenant, cursor uuid.UUID, limit int) ([]memory.Erased, error)
	Stats(ctx context.Context, tenant uuid.UUID) (zerodb.Stats, error)
	Backend() string
	EmbedderModel() string
}
