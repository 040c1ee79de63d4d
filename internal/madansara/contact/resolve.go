package contact

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/engardedb"
)

// Kinds of identity.
const (
	UserID      = "user_id"
	Email       = "email"
	AnonymousID = "anonymous_id" // one that an alias named before its visitor came
)

// Identity is a name that one contact has.
type Identity struct {
	Kind  string `json:"kind" enum:"user_id,email,phone,anonymous_id"`
	Value string `json:"value"`
}

// Claim is what one event says of a person: that these identities and this
// visitor are the same, and what is known of them.
type Claim struct {
	UserID, Email string    // empty when not said
	Visitor       uuid.UUID // Nil when the event has none
	// AnonymousID is the visitor's, when its row may not be there yet: the
	// visitor is then the contact's from its first event.
	AnonymousID string
	// Previous is the id that an alias says the person had before, with the
	// visitor it would be.
	Previous        string
	PreviousVisitor uuid.UUID
	FirstName       string
	LastName        string
	TimeZone        string
	Traits          json.RawMessage // an object merged into the contact's; nil for none
	EmailConsent    *bool
	At              time.Time // when it was said
	Source          string    // what said it, recorded with a consent
}

func (c *Claim) identities() []Identity {
	var ids []Identity
	if c.UserID != "" {
		ids = append(ids, Identity{UserID, c.UserID})
	}
	if c.Email != "" {
		ids = append(ids, Identity{Email, c.Email})
	}
	if c.Previous != "" {
		ids = append(ids, Identity{UserID, c.Previous}, Identity{AnonymousID, c.Previous})
	}
	return ids
}

// NormalEmail is the one spelling of an e-mail address: contacts, identities,
// messages and suppressions keep it so, and look-ups ask for it so.
func NormalEmail(address string) string { return strings.ToLower(strings.TrimSpace(address)) }

// HoldSQL takes the lock under which the tenant's contacts neither merge nor
// change hands until the transaction ends; a transaction that writes many rows
// of contacts takes it before it reads who they are. ChangeSQL takes the lock
// that ResolveTx needs, alone. The argument is LockKey. A transaction takes one
// of them first, before any row.
const (
	HoldSQL   = "select pg_advisory_xact_lock_shared($1)"
	ChangeSQL = "select pg_advisory_xact_lock($1)"
)

// LockKey names the tenant's contacts among the database's advisory locks.
func LockKey(tenant uuid.UUID) int64 {
	const family = 0x636f6e74616374 // "contact"
	return int64(binary.BigEndian.Uint64(tenant[:8])^binary.BigEndian.Uint64(tenant[8:])) ^ family
}

// ResolveTx finds or makes the contact of each claim, in order, and returns
// them; nil for a claim that names nobody. The transaction holds ChangeSQL's
// lock. now is when new contacts are created. The followers are told of consents that
// changed and of contacts that merged.
func ResolveTx(ctx context.Context, tx engardedb.Tx, followers Followers, claims []Claim, now time.Time) ([]*uuid.UUID, error) {
	if len(claims) == 0 {
		return nil, nil
	}
	for i := range claims {
		claims[i].Email = NormalEmail(claims[i].Email)
	}
	g, err := load(ctx, tx, claims)
	if err != nil {
		return nil, err
	}
	g.now = now
	people := make([]*person, len(claims))
	for i := range claims {
		people[i] = g.claim(&claims[i])
	}
	if err := g.save(ctx, tx); err != nil {
		return nil, err
	}
	if err := g.tell(ctx, tx, followers); err != nil {
		return nil, err
	}
	contacts := make([]*uuid.UUID, len(claims))
	for i, p := range people {
		if p != nil {
			contacts[i] = &p.root().id
		}
	}
	return contacts, nil
}

// person is a contact in the graph being resolved.
type person struct {
	id         uuid.UUID
	created    time.Time
	isNew      bool
	identified bool    // has a user id
	into       *person // the contact this one merged into
	changes    profile
	changed    bool
}

// profile is what claims say of a person, the latest word first.
type profile struct {
	email, firstName, lastName, timeZone string
	traits                               []json.RawMessage // in the order to merge them
	consent                              *bool
	consentAt                            time.Time
	consentSource                        string
}

func (p *person) root() *person {
	for p.into != nil {
		p = p.into
	}
	return p
}

func (p *person) older(than *person) bool {
	if c := p.created.Compare(than.created); c != 0 {
		return c < 0
	}
	return slices.Compare(p.id[:], than.id[:]) < 0
}

// graph is the part of the tenant's people that the claims touch.
type graph struct {
	now        time.Time
	people     map[uuid.UUID]*person
	identities map[Identity]*person
	visitors   map[uuid.UUID]*person
	exists     map[uuid.UUID]bool // visitors that have a row

	newIdentities []Identity // to insert
	linked        []uuid.UUID
	merged        []*person // merged away, in order
	consents      []ConsentFact
}

// claim applies one claim and returns whom it is about.
func (g *graph) claim(c *Claim) *person {
	var p *person
	ids := c.identities()
	for _, id := range ids {
		if known := g.identities[id]; known != nil {
			p = g.merge(p, known.root())
		}
	}
	visitor := g.visitorOf(c.Visitor)
	switch {
	case len(ids) == 0 && visitor == nil:
		return nil
	case p == nil && len(ids) > 0 && visitor != nil && (!visitor.identified || c.UserID == ""):
		p = visitor
	case p == nil && len(ids) > 0:
		p = g.create()
	case len(ids) == 0:
		p = visitor
	case visitor != nil && (!visitor.identified || !p.identified && c.UserID == ""):
		p = g.merge(p, visitor)
	}
	if previous := g.visitorOf(c.PreviousVisitor); previous != nil && c.Previous != "" {
		p = g.merge(p, previous) // an alias says outright that the two are one
	}
	for _, id := range ids {
		if g.identities[id] == nil {
			g.newIdentities = append(g.newIdentities, id)
			g.identities[id] = p
		}
	}
	p.identified = p.identified || c.UserID != ""
	g.link(c.Visitor, p)
	if id := (Identity{AnonymousID, c.AnonymousID}); c.AnonymousID != "" && !g.exists[c.Visitor] && g.identities[id] == nil {
		g.newIdentities = append(g.newIdentities, id)
		g.identities[id] = p
	}
	if c.Previous != "" {
		g.link(c.PreviousVisitor, p)
	}
	p.learn(c)
	return p
}

func (g *graph) visitorOf(id uuid.UUID) *person {
	if p := g.visitors[id]; p != nil {
		return p.root()
	}
	return nil
}

func (g *graph) link(visitor uuid.UUID, p *person) {
	if visitor != uuid.Nil && g.exists[visitor] && g.visitors[visitor] == nil {
		g.visitors[visitor] = p
		g.linked = append(g.linked, visitor)
	}
}

func (g *graph) create() *person {
	p := &person{id: uuid.Must(uuid.NewV7()), created: g.now, isNew: true, changed: true}
	g.people[p.id] = p
	return p
}

// merge makes a and b, when both are there, one: the older.
func (g *graph) merge(a, b *person) *person {
	if a == nil || a == b {
		return b
	}
	if b.older(a) {
		a, b = b, a
	}
	b.into = a
	a.identified = a.identified || b.identified
	a.changes = a.changes.over(b.changes)
	a.changed = true
	g.merged = append(g.merged, b)
	return a
}

func (p *person) learn(c *Claim) {
	latest := profile{email: c.Email, firstName: c.FirstName, lastName: c.LastName, timeZone: c.TimeZone}
	if len(c.Traits) > 0 && string(c.Traits) != "{}" {
		latest.traits = []json.RawMessage{c.Traits}
	}
	if c.EmailConsent != nil {
		latest.consent, latest.consentAt, latest.consentSource = c.EmailConsent, c.At, c.Source
	}
	if latest.email == "" && latest.firstName == "" && latest.lastName == "" && latest.timeZone == "" &&
		latest.traits == nil && latest.consent == nil {
		return
	}
	p.changes = latest.over(p.changes)
	p.changed = true
}

// over returns what p and, where p says nothing, older says.
func (p profile) over(older profile) profile {
	fill := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	fill(&p.email, older.email)
	fill(&p.firstName, older.firstName)
	fill(&p.lastName, older.lastName)
	fill(&p.timeZone, older.timeZone)
	p.traits = append(slices.Clone(older.traits), p.traits...)
	if p.consent == nil || older.consent != nil && older.consentAt.After(p.consentAt) {
		p.consent, p.consentAt, p.consentSource = older.consent, older.consentAt, older.consentSource
	}
	return p
}
