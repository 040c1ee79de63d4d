// Package channel is the seam a channel implements: how one message leaves,
// and what exactly is known when it does not. Campaigns know this package only;
// an adapter (channel/email, ...) is a folder below it, and channeltest is what
// every adapter has to pass.
package channel

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Message is one rendered message to one person.
type Message struct {
	UUID     uuid.UUID // names the message for good: a second send of it is recognisable by the receiver
	Tenant   uuid.UUID
	Campaign uuid.UUID // uuid.Nil outside a campaign
	From     Address
	To       Address
	Subject  string
	HTML     string // may be empty
	Text     string // empty: made from HTML
	// UnsubscribeURL answers GET with a page and POST with one-click
	// unsubscription. Empty for messages that cannot be unsubscribed from.
	UnsubscribeURL string
}

// Address is where a channel reaches somebody, with a name for display.
type Address struct {
	Name    string
	Address string
}

// Receipt is what the provider said when it accepted a message.
type Receipt struct {
	Reply string    // the provider's own words, for a human; at most 500 bytes
	At    time.Time // when it was accepted
}

// Adapter sends over one channel. It is safe for concurrent use.
type Adapter interface {
	// Channel is the name stored with messages and consents: "email".
	Channel() string
	// Send sends one message over a connection of its own.
	Send(ctx context.Context, m Message) (Receipt, error)
	// Open starts a session for many messages. It fails with Misconfigured or
	// Temporary when the provider cannot be used.
	Open(ctx context.Context) (Session, error)
}

// Session sends messages one after another over a connection it keeps. It is
// for one goroutine. After an error it can still be used: a lost connection is
// opened again by the next Send.
type Session interface {
	// Send returns a Receipt when the provider took responsibility for m, and
	// otherwise an *Error.
	Send(ctx context.Context, m Message) (Receipt, error)
	// Close ends the session; it returns what a broken goodbye reported, which
	// says nothing about messages sent before.
	Close() error
}
