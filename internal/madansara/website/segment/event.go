package segment

import (
	"encoding/json"
	"time"
)

// Limits of the API.
const (
	MaxEvent = 32 << 10  // bytes of one event
	MaxBody  = 500 << 10 // bytes of a request
	MaxID    = 255       // bytes of a message, anonymous, user or group id
	MaxName  = 500       // bytes of the name of an event, page or screen
)

// An event may lie this far in the past or the future of its receipt, once the
// sender's clock is corrected. Years of history may be imported; a date that
// no visit can have would bend every report it is in.
const (
	MaxFuture = 24 * time.Hour
	minYear   = 2000
)

// Type is the kind of a call.
type Type string

// The calls.
const (
	Track    Type = "track"
	Identify Type = "identify"
	Page     Type = "page"
	Screen   Type = "screen"
	Group    Type = "group"
	Alias    Type = "alias"
)

func (t Type) known() bool {
	switch t {
	case Track, Identify, Page, Screen, Group, Alias:
		return true
	default:
		return false
	}
}

// Event is one accepted call. Properties and Context are slices of the body it
// was parsed from.
type Event struct {
	Type        Type
	MessageID   string // the sender's, or made up when it sent none
	AnonymousID string // this or UserID is set
	UserID      string
	PreviousID  string // of an alias
	GroupID     string
	Name        string // the event of a track, the name of a page or screen
	OccurredAt  time.Time
	ReceivedAt  time.Time
	// Properties holds properties, or the traits of an identify or group: a JSON
	// object that jsonb takes.
	Properties json.RawMessage
	Context    json.RawMessage
	Source     Source
	Traits     Traits
}

// Source is what the properties and the context say of where the event happened.
type Source struct {
	URL, Path, Title, Referrer string
	Campaign                   Campaign
	SessionID                  string
	UserAgent                  string
}

// Campaign is context.campaign, which libraries fill from the page's utm_ parameters.
type Campaign struct{ Source, Medium, Name, Term, Content string }

// Traits are those of a person that have a column of their own; the rest stays
// in Properties.
type Traits struct {
	Email     string // lower case, valid
	FirstName string
	LastName  string
	TimeZone  string
	// EmailConsent is the trait marketing_consent; nil when it was not said. A
	// cookie banner's answer (context.consent) is about cookies, not mail.
	EmailConsent *bool
}

// Rejected is an event that was not taken. Index is its place in the batch, 0
// for a single event.
type Rejected struct {
	Index     int    `json:"index"`
	MessageID string `json:"message_id,omitempty"`
	Location  string `json:"location"`
	Message   string `json:"message"`
}

// Parsed is what a body held.
type Parsed struct {
	Events   []Event
	Indexes  []int // of each event, its place in the batch
	Rejected []Rejected
	WriteKey string // for senders that can't set a header
	Batch    bool
}
