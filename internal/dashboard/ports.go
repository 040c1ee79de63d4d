package dashboard

import (
	"context"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/madansara/contact/segment"
	"github.com/engardehq/madansara/internal/madansara/outreach"
	"github.com/engardehq/madansara/internal/madansara/outreach/template"
)

// Accounts opens and ends log-in sessions, and makes and ends keys.
type Accounts interface {
	LogIn(ctx context.Context, email, password, clientIP string) (account.Login, error)
	LogOut(ctx context.Context, token string) error
	CreateKey(ctx context.Context, tenant uuid.UUID, wanted account.NewKey) (token string, key account.Key, err error)
	Keys(ctx context.Context, tenant uuid.UUID) ([]account.Key, error)
	RevokeKey(ctx context.Context, tenant, id uuid.UUID) error
}

// Campaigns changes campaigns and decides about messages whose fate is unknown.
type Campaigns interface {
	Create(ctx context.Context, tenant uuid.UUID, draft outreach.CampaignDraft) (outreach.Campaign, error)
	Start(ctx context.Context, tenant, id uuid.UUID) (outreach.Campaign, error)
	Pause(ctx context.Context, tenant, id uuid.UUID, reason string) (outreach.Campaign, error)
	Resolve(ctx context.Context, tenant, id uuid.UUID, outcome outreach.Resolution, by string) (outreach.Message, error)
}

// Segments keeps the rules that select contacts.
type Segments interface {
	Create(ctx context.Context, tenant uuid.UUID, name string, rules segment.Rule) (segment.Segment, error)
	Update(ctx context.Context, tenant, id uuid.UUID, name string, rules segment.Rule) (segment.Segment, error)
	Preview(ctx context.Context, tenant uuid.UUID, rules segment.Rule, after uuid.UUID, limit int) (count int64, members []segment.Member, err error)
}

// Templates keeps what campaigns write. A template that cannot be rendered is a
// fault whose fields name the part and the line.
type Templates interface {
	Create(ctx context.Context, tenant uuid.UUID, channel string, draft template.Draft) (template.Template, error)
	Update(ctx context.Context, tenant, id uuid.UUID, draft template.Draft) (template.Template, error)
	Preview(ctx context.Context, tenant uuid.UUID, source template.Source, to template.PreviewFor) (template.Preview, error)
}
