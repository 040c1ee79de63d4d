package zerodb

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Memory is one thing remembered. Times are UTC with microseconds; the zero
// time of ValidUntil, ExpiresAt and LastRecalledAt means "none".
type Memory struct {
	// ID is unique in the tenant. Two tenants may have memories of the same ID
	// (after an import of the same file), so a back end must not key by ID alone.
	ID uuid.UUID `json:"id"`
	// Lineage is the ID of the first version; the versions of a memory share it.
	Lineage uuid.UUID `json:"lineage"`
	Agent   string    `json:"agent"` // who stored it
	Type    Type      `json:"type"`  // never changes for an ID
	Scope   Scope     `json:"scope"` // who may see it; never changes for an ID
	// Key names the memory within its scope and type; "" for none. See [Item.Key].
	Key string `json:"key,omitempty"`
	// Subject is whom or what it is about ("customer:42"), the handle of [Tenant.Erase].
	Subject    string     `json:"subject,omitempty"`
	Content    string     `json:"content"`
	Metadata   Metadata   `json:"metadata,omitempty"`
	Provenance Provenance `json:"provenance,omitzero"`

	Importance float64 `json:"importance"` // 0 to 1; feedback moves it
	Prior      float64 `json:"prior"`      // confidence before any outcome, 0 to 1
	Successes  int     `json:"successes,omitempty"`
	Failures   int     `json:"failures,omitempty"`
	Mentions   int     `json:"mentions"` // how often it was stored: 1 and one for each merge

	// Recalls counts the searches that returned it. It is written behind the
	// searches, a few seconds late; in a search's hits it may be as old as the memory's last change.
	Recalls        int       `json:"recalls,omitempty"`
	LastRecalledAt time.Time `json:"last_recalled_at,omitzero"`

	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	// ValidFrom is when it became true, or for an event when it happened. It holds
	// until ValidUntil, which is not part of the interval.
	ValidFrom    time.Time `json:"valid_from"`
	ValidUntil   time.Time `json:"valid_until,omitzero"`
	SupersededBy uuid.UUID `json:"superseded_by,omitzero"` // the version that took its place
	ExpiresAt    time.Time `json:"expires_at,omitzero"`    // not returned from then on

	// Vector has length 1, or is nil: not embedded yet, or a text the embedder
	// knows nothing about. Model says which embedder made it; it is set without
	// a vector in the second case.
	Vector []float32 `json:"-"`
	Model  string    `json:"model,omitempty"`
}

// Confidence is the mean of the Beta posterior of "acting on it succeeds":
// prior Beta(2p, 2(1-p)), whose mean is Prior and whose weight is that of two
// outcomes, updated by the successes and failures reported. From 0 to 1.
func (m *Memory) Confidence() float64 {
	const weight = 2
	return (weight*m.Prior + float64(m.Successes)) / (weight + float64(m.Successes) + float64(m.Failures))
}

// Identity is what makes a second Store of the same thing a repetition: the
// key, else the content's SHA-256. It is unique neither among versions nor,
// for events, in time.
func (m *Memory) Identity() string { return identity(m.Key, m.Content) }

func identity(key, content string) string {
	if key != "" {
		return "key:" + key
	}
	sum := sha256.Sum256([]byte(content))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Provenance is where a memory comes from, beside its agent. It is kept as
// data: nothing in it is ever acted upon.
type Provenance struct {
	Service   string `json:"service,omitempty"`   // the service that stored it: "onside"
	Source    string `json:"source,omitempty"`    // the kind of origin: "customer_message", "web_page", "analysis"
	Reference string `json:"reference,omitempty"` // which one: a URL, a message's id
}

// ScopeKind is how far a memory is shared inside its tenant.
type ScopeKind string

// The kinds of scope.
const (
	ScopeAgent  ScopeKind = "agent"  // one agent
	ScopeGroup  ScopeKind = "group"  // a named group of agents
	ScopeTenant ScopeKind = "tenant" // every agent of the tenant
)

// Scope is who may see a memory inside its tenant. Tenants are the security
// border; scopes say whose business a memory is: a caller that acts for the
// tenant names its agent and groups itself.
type Scope struct {
	Kind ScopeKind `json:"kind"`
	Name string    `json:"name,omitempty"` // the agent or the group; "" for the tenant
}

// AgentScope is the scope of one agent.
func AgentScope(agent string) Scope { return Scope{Kind: ScopeAgent, Name: agent} }

// GroupScope is the scope of a named group of agents.
func GroupScope(group string) Scope { return Scope{Kind: ScopeGroup, Name: group} }

// TenantScope is the scope of every agent of the tenant.
func TenantScope() Scope { return Scope{Kind: ScopeTenant} }

// String is "agent:walker_seo_001", "group:seo" or "tenant".
func (s Scope) String() string {
	if s.Kind == ScopeTenant {
		return string(ScopeTenant)
	}
	return string(s.Kind) + ":" + s.Name
}

// Audience is whose memories a call is about.
type Audience struct {
	Agent  string   // sees its own scope and the tenant's
	Groups []string // and those of these groups
	// Everyone sees every scope of the tenant; Agent and Groups don't count. It is
	// for operators, the export and the erasure, and slower than an agent's view.
	Everyone bool
}

// Scopes returns the scopes the audience sees, in a fixed order without
// repetition; nil for Everyone.
func (a Audience) Scopes() []Scope {
	if a.Everyone {
		return nil
	}
	scopes := make([]Scope, 0, 2+len(a.Groups))
	if a.Agent != "" {
		scopes = append(scopes, AgentScope(a.Agent))
	}
	for _, group := range a.Groups {
		if s := GroupScope(group); !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	return append(scopes, TenantScope())
}

// Sees reports whether the audience may see memories of that scope.
func (a Audience) Sees(s Scope) bool {
	switch {
	case a.Everyone || s.Kind == ScopeTenant:
		return true
	case s.Kind == ScopeAgent:
		return s.Name == a.Agent
	default:
		return slices.Contains(a.Groups, s.Name)
	}
}
