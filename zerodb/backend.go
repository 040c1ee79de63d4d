package zerodb

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Backend keeps memories. It knows nothing of their rules: what is stored,
// merged, superseded, expired or dropped is decided by this package, so that
// every back end gives the same answers. zerodbtest.Run is its contract as tests.
//
// It must be safe for concurrent use, by several processes too, and must never
// show or change a memory of another tenant. IDs are unique inside a tenant only.
type Backend interface {
	// Name is short and for people: "postgresql", "qdrant".
	Name() string
	// Init creates or migrates what the back end needs and says what it did. It may
	// be repeated at any time.
	Init(ctx context.Context) ([]Collection, error)
	// Health returns nil when memories can be stored and found. It is cheap.
	Health(ctx context.Context) error
	// View runs fn with a reader. What the reader returns includes everything
	// that was stored before View began, by whatever process.
	View(ctx context.Context, tenant uuid.UUID, fn func(ctx context.Context, r Reader) error) error
	// Change runs fn while nobody else changes memories of these scopes (a back
	// end that cannot promise it beyond one process says so), and keeps what
	// fn wrote if it returns nil. scopes has no repetition; fn touches no others.
	Change(ctx context.Context, tenant uuid.UUID, scopes []Scope, fn func(ctx context.Context, w Writer) error) error
	// Recalled adds to memories' recall counts. IDs that don't exist are passed over.
	Recalled(ctx context.Context, tenant uuid.UUID, recalls []Recall) error
}

// Collection is a part of a back end that Init created, migrated or found.
type Collection struct {
	Name   string `json:"name"`   // "walker_short_term_memory", or a table
	Status string `json:"status"` // "created", "migrated", "current"
	Detail string `json:"detail,omitempty"`
}

// Recall is that searches returned a memory.
type Recall struct {
	ID    uuid.UUID
	Count int       // how many searches
	At    time.Time // of the last of them
}

// Reader reads memories of one tenant.
type Reader interface {
	// Get returns the memories of these IDs that exist, in any order, whatever
	// their state (superseded, expired). With their vectors. The recall counts
	// of those that a search of this reader found may be older.
	Get(ctx context.Context, ids []uuid.UUID) ([]Memory, error)
	// Versions returns, for each identity, every memory of it, superseded and
	// expired ones included, in any order. With their vectors.
	Versions(ctx context.Context, identities []Identity) ([][]Memory, error)
	// Search finds, for each search, the candidates that its filter matches.
	Search(ctx context.Context, now time.Time, searches []Search) ([]Candidates, error)
	// List returns up to limit memories that the filter matches. With their vectors.
	List(ctx context.Context, now time.Time, filter Filter, order Order, limit int) ([]Memory, error)
	// Stats counts every stored memory of the tenant, whatever its state.
	Stats(ctx context.Context, model string) (Stats, error)
}

// Writer is a Reader that sees its own writes, and writes.
type Writer interface {
	Reader
	// Put stores the memories whole: new ones, or in place of those of the same
	// ID. Recalls and LastRecalledAt are kept from the one in place, if any.
	Put(ctx context.Context, memories []Memory) error
	// Delete removes memories. IDs that don't exist are passed over. Each memory's
	// scope must be among those of the Change.
	Delete(ctx context.Context, ids []uuid.UUID) error
}

// Identity is [Memory.Identity] within a scope and a type.
type Identity struct {
	Scope Scope
	Type  Type
	Value string
}

// Order is the order of a List.
type Order struct {
	// Recent is from the latest ValidFrom to the earliest, IDs breaking ties;
	// otherwise from the lowest ID to the highest.
	Recent bool
	// After starts behind this ID. Only without Recent.
	After uuid.UUID
}

// Search asks for the candidates of a ranking.
type Search struct {
	Filter Filter
	// Vector is a unit vector made by Model; nil: don't compare vectors. It is compared
	// with vectors of that model only.
	Vector []float32
	Model  string
	// Terms are the query's, without repetition; none: don't search the text.
	Terms []string
	// Limit is how many of the nearest by vector, and how many of the highest by
	// text, are candidates.
	Limit int
}

// Candidates are the union of the Limit nearest vectors and the Limit best texts
// among the memories that the filter matches.
type Candidates struct {
	List []Candidate
}

// Candidate is a memory with what speaks for it.
type Candidate struct {
	ID uuid.UUID
	// Memory is the whole memory when the back end has it at hand (the vector may
	// lack); nil makes the ranking Get those it returns.
	Memory *Memory
	Facts  Facts
	// Cosine is that of the memory's vector and the search's, for every candidate
	// that has a vector of the search's model, not just the nearest.
	Cosine    float64
	HasCosine bool
	// Text and Coverage are what [TextSignal] says, over the search's audience
	// and types: for every candidate, not just the best by text. The frequencies in it are of
	// memories in whatever state, and may be estimated.
	Text, Coverage float64
	// Found has the bit i set when the memory has the search's i-th term. 0 makes the
	// search look into the content of those it returns.
	Found uint64
}

// Facts are the parts of a memory that its rank depends on.
type Facts struct {
	Type       Type
	Importance float64
	Confidence float64
	ValidFrom  time.Time
	UpdatedAt  time.Time
}

// FactsOf returns the facts of m.
func FactsOf(m *Memory) Facts {
	return Facts{Type: m.Type, Importance: m.Importance, Confidence: m.Confidence(), ValidFrom: m.ValidFrom, UpdatedAt: m.UpdatedAt}
}

// MaxStatsAgents is how many agents [Stats.ByAgent] tells apart.
const MaxStatsAgents = 1000

// Stats are counts of a tenant's memories.
type Stats struct {
	Memories int          `json:"memories"`
	ByType   map[Type]int `json:"by_type"`
	Agents   int          `json:"agents"` // that stored one
	// ByAgent counts the memories each agent stored, of up to [MaxStatsAgents]: those with the most.
	ByAgent map[string]int `json:"by_agent"`
	// Pending wait to be embedded by the model asked about.
	Pending int `json:"pending"`
}
