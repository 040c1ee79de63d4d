package outreach

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Template is what a message is made from.
type Template struct {
	UUID      uuid.UUID
	Channel   string
	Subject   string // Liquid
	HTML      string // Liquid; values are escaped
	Text      string // Liquid; empty: made from HTML
	UpdatedAt time.Time
}

// Recipient is what a template may say about the contact.
type Recipient struct {
	UUID                uuid.UUID
	Email               string
	FirstName, LastName string
	TimeZone            string
	Traits              json.RawMessage
}

// Letter is everything that one message is rendered from.
type Letter struct {
	Tenant, Campaign, Message uuid.UUID // Campaign is uuid.Nil for a single send
	TenantName, CampaignName  string
	Template                  Template
	Recipient                 Recipient
	Data                      json.RawMessage // what a single send adds to the variables
}

// Content is a rendered letter.
type Content struct {
	Subject, HTML, Text string
	UnsubscribeURL      string
}

// Renderer fills templates. It is safe for concurrent use; an error means that
// this letter can't be rendered, now or later.
type Renderer interface {
	Render(ctx context.Context, letter Letter) (Content, error)
}
