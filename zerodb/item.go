package zerodb

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Item is something to remember.
type Item struct {
	Agent   string // who remembers it; required
	Type    Type   // required
	Content string // required, up to 64 KiB
	// Metadata is typed JSON, up to 32 KiB and 8 levels. Its texts "key", "subject" and
	// "predicate" stand for the fields of that name when those are empty.
	Metadata Metadata
	// TTL is the time to live; 0 is the type's default: 36 hours for short-term,
	// 7 days for working memories, no end for the others. Short-term memories take 24 to 48 hours.
	TTL time.Duration
	// Scope is who may see it; the zero scope is the agent's own.
	Scope Scope
	// Key names the memory within its scope and type, so that what is stored under
	// it later takes its place: working and short-term memories are replaced; of the
	// other types the older version stays as history. Nothing but the key decides what
	// contradicts what: facts without one stand side by side, however they read.
	// A working memory without a key has the key "current".
	Key string
	// Subject is whom or what it is about: "customer:42". The same words about two subjects are two memories.
	Subject string
	// Predicate says what about the subject: with both and no Key, the key is
	// "subject predicate". So it must be one of which only one value holds at a time ("preferred channel").
	Predicate  string
	Provenance Provenance
	Importance float64 // 0 to 1; 0 is 0.5
	// Confidence is how far it is believed before any outcome is reported, 0 to 1;
	// 0 is 0.5 for procedural and 0.9 for other memories.
	Confidence float64
	// ValidFrom is since when it holds, or when the event happened; zero is now. A
	// keyed fact may come late: it is filed between the versions before and after it.
	ValidFrom time.Time
	// ValidUntil ends the validity; zero is open.
	ValidUntil time.Time
	// Vector, when not nil, is what the client's embedder gave for Content before.
	Vector []float32
}

// Outcome is what became of an item.
type Outcome string

// The outcomes.
const (
	Created    Outcome = "created"    // it is a memory of its own
	Unchanged  Outcome = "unchanged"  // the very same was there; its expiry may be renewed
	Merged     Outcome = "merged"     // it says what a memory says already, and is counted there
	Replaced   Outcome = "replaced"   // it took the place of the one with its key, which is gone
	Superseded Outcome = "superseded" // it is the version that holds now, and the one before is history
	Filed      Outcome = "filed"      // it came late, and is history between two versions
)

// Receipt says what became of an item.
type Receipt struct {
	ID      uuid.UUID `json:"id"` // of the memory that holds the item now
	Outcome Outcome   `json:"outcome"`
	// Superseded is the version that it ended, if any.
	Superseded uuid.UUID `json:"superseded,omitzero"`
	ExpiresAt  time.Time `json:"expires_at,omitzero"`
	// Embedded is false while the memory is found by its words alone.
	Embedded bool   `json:"embedded"`
	Reason   string `json:"reason"` // why, for people
}

// draft checks the item and makes a memory of it.
func (it *Item) draft(now time.Time, e Embedder) (*Memory, error) {
	if _, err := ParseType(string(it.Type)); err != nil {
		return nil, err
	}
	if err := it.checkTexts(); err != nil {
		return nil, err
	}
	metadata, err := it.Metadata.checked()
	if err != nil {
		return nil, err
	}
	expires, err := it.Type.expiry(now, it.TTL)
	if err != nil {
		return nil, err
	}
	m := &Memory{
		Agent: it.Agent, Type: it.Type, Content: it.Content, Metadata: metadata, Provenance: it.Provenance,
		Importance: it.Importance, Prior: it.Confidence, Mentions: 1,
		CreatedAt: now, UpdatedAt: now, ValidFrom: stored(it.ValidFrom), ValidUntil: stored(it.ValidUntil), ExpiresAt: expires,
	}
	if m.Scope, err = it.scope(); err != nil {
		return nil, err
	}
	if err := it.name(m); err != nil {
		return nil, err
	}
	if err := it.weigh(m); err != nil {
		return nil, err
	}
	return m, it.time(m, now, e)
}

func (it *Item) checkTexts() error {
	if err := checkName("agent", it.Agent, true); err != nil {
		return err
	}
	switch {
	case strings.TrimSpace(it.Content) == "":
		return invalid("content", "is empty")
	case len(it.Content) > MaxContent:
		return tooLarge("content", fmt.Sprintf("has %d bytes, at most %d are kept: store the document elsewhere, and here what to remember of it and a reference", len(it.Content), MaxContent))
	}
	if err := checkText("content", it.Content); err != nil {
		return err
	}
	for _, part := range []struct{ field, text string }{
		{"provenance.service", it.Provenance.Service},
		{"provenance.source", it.Provenance.Source},
	} {
		if err := checkName(part.field, part.text, false); err != nil {
			return err
		}
	}
	if len(it.Provenance.Reference) > 2000 {
		return tooLarge("provenance.reference", "has more than 2000 bytes")
	}
	return checkText("provenance.reference", it.Provenance.Reference)
}

func (it *Item) scope() (Scope, error) {
	switch it.Scope.Kind {
	case "":
		return AgentScope(it.Agent), nil
	case ScopeAgent:
		if it.Scope.Name != "" && it.Scope.Name != it.Agent {
			return Scope{}, invalid("scope", "an agent can't store in another agent's scope: use a group's or the tenant's")
		}
		return AgentScope(it.Agent), nil
	case ScopeGroup:
		return it.Scope, checkName("scope.name", it.Scope.Name, true)
	case ScopeTenant:
		return TenantScope(), nil
	default:
		return Scope{}, invalid("scope", fmt.Sprintf("unknown kind %.40q: use agent, group or tenant", it.Scope.Kind))
	}
}

func (it *Item) name(m *Memory) error {
	text := func(given, name string) string {
		if given == "" {
			given, _ = m.Metadata[name].(string)
		}
		return given
	}
	m.Subject = text(it.Subject, "subject")
	m.Key = text(it.Key, "key")
	predicate := text(it.Predicate, "predicate")
	switch {
	case m.Key != "":
	case m.Subject != "" && predicate != "":
		m.Key = m.Subject + " " + predicate
	case m.Type == Working:
		m.Key = "current"
	}
	if err := checkName("subject", m.Subject, false); err != nil {
		return err
	}
	return checkName("key", m.Key, false)
}

func (it *Item) weigh(m *Memory) error {
	if !(m.Importance >= 0 && m.Importance <= 1) {
		return invalid("importance", "must be from 0 to 1")
	}
	if !(m.Prior >= 0 && m.Prior <= 1) {
		return invalid("confidence", "must be from 0 to 1")
	}
	if m.Importance == 0 {
		m.Importance = 0.5
	}
	if m.Prior == 0 {
		m.Prior = lives[m.Type].confidence
	}
	return nil
}

func (it *Item) time(m *Memory, now time.Time, e Embedder) error {
	if m.ValidFrom.IsZero() {
		m.ValidFrom = now
	}
	// Beyond these years some back end's timestamps end.
	for _, at := range []time.Time{m.ValidFrom, m.ValidUntil} {
		if !at.IsZero() && (at.Year() < 1 || at.Year() > 9999) {
			return invalid("valid_from", "a time must lie in the years 1 to 9999")
		}
	}
	if !m.ValidUntil.IsZero() && !m.ValidUntil.After(m.ValidFrom) {
		return invalid("valid_until", "must be later than valid_from")
	}
	if it.Vector == nil {
		return nil
	}
	if e == nil {
		return invalid("vector", "no embedder is configured that could have made it")
	}
	if len(it.Vector) != e.Dimension() {
		return invalid("vector", fmt.Sprintf("has %d numbers, those of %s have %d", len(it.Vector), e.Model(), e.Dimension()))
	}
	var err error
	m.Vector, err = Normalize(it.Vector)
	m.Model = e.Model()
	return err
}
