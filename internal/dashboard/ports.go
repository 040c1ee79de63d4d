package dashboard

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Accounts opens and ends log-in sessions. LogIn's failures are faults whose
// messages may be shown: Unauthenticated, RateLimited.
type Accounts interface {
	LogIn(ctx context.Context, email, password, clientIP string) (token string, expires time.Time, err error)
	LogOut(ctx context.Context, token string) error
}

// Key is an API key or write key, without its secret.
type Key struct {
	ID        uuid.UUID
	Kind      string // "secret" or "write"
	Name      string
	Scopes    []string
	CreatedAt time.Time
	RevokedAt *time.Time
}

// Keys makes and ends keys. Create's token cannot be had again.
type Keys interface {
	Create(ctx context.Context, tenant uuid.UUID, kind, name string, scopes []string) (token string, err error)
	List(ctx context.Context, tenant uuid.UUID) ([]Key, error)
	Revoke(ctx context.Context, tenant, key uuid.UUID) error
}

// Campaigns changes campaigns and decides about messages whose fate is unknown.
type Campaigns interface {
	Create(ctx context.Context, tenant uuid.UUID, c NewCampaign) (uuid.UUID, error)
	Start(ctx context.Context, tenant, campaign uuid.UUID) error
	Pause(ctx context.Context, tenant, campaign uuid.UUID) error
	// Resolve says what became of an unknown message: "sent", "failed", or
	// "resend" to send it again. by names who decided.
	Resolve(ctx context.Context, tenant, message uuid.UUID, verdict, by string) error
}

// NewCampaign is what the form of a new campaign asks for.
type NewCampaign struct {
	Name, FromName    string
	Segment, Template uuid.UUID
}

// Segments keeps rules that select contacts. Rules are JSON as the API has them.
type Segments interface {
	Create(ctx context.Context, tenant uuid.UUID, name string, rules []byte) (uuid.UUID, error)
	Count(ctx context.Context, tenant uuid.UUID, rules []byte) (int64, error)
}

// Template is a Liquid mail template.
type Template struct {
	Name, Subject, HTML, Text string
}

// Letter is a template rendered for a sample recipient.
type Letter struct {
	Subject, HTML, Text string
}

// Templates keeps mail templates. A template that cannot be rendered is a fault
// that names the line.
type Templates interface {
	Create(ctx context.Context, tenant uuid.UUID, t Template) (uuid.UUID, error)
	Update(ctx context.Context, tenant, id uuid.UUID, t Template) error
	Preview(ctx context.Context, tenant uuid.UUID, t Template) (Letter, error)
}
