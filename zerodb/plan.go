package zerodb

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"
)

// plan decides what becomes of drafts among the memories that are there. What
// it decides for one is there for the next.
type plan struct {
	now      time.Time
	versions map[Identity][]*Memory
	alike    map[*Memory][]*Memory // of each draft that may be a near-duplicate: what shares words with it
	byID     map[uuid.UUID]*Memory
	wordings map[*Memory]wording
	fresh    map[group]*fresh // memories made by this plan
	dirty    map[uuid.UUID]bool
	order    []uuid.UUID // dirty ones as they came
}

// group is within what near-duplicates are merged.
type group struct {
	scope          Scope
	typ            Type
	agent, subject string
}

func groupOf(m *Memory) group { return group{m.Scope, m.Type, m.Agent, m.Subject} }

func identityOf(m *Memory) Identity {
	return Identity{Scope: m.Scope, Type: m.Type, Value: m.Identity()}
}

// alikeCandidates memories with the most words in common are compared with a draft.
const alikeCandidates = 8

func newPlan(ctx context.Context, r Reader, drafts []*Memory, now time.Time) (*plan, error) {
	p := &plan{
		now: now, versions: map[Identity][]*Memory{}, alike: map[*Memory][]*Memory{}, byID: map[uuid.UUID]*Memory{},
		wordings: map[*Memory]wording{}, fresh: map[group]*fresh{}, dirty: map[uuid.UUID]bool{},
	}
	var identities []Identity
	for _, draft := range drafts {
		identity := identityOf(draft)
		if _, seen := p.versions[identity]; !seen {
			p.versions[identity] = nil
			identities = append(identities, identity)
		}
	}
	found, err := r.Versions(ctx, identities)
	if err != nil {
		return nil, err
	}
	for i, memories := range found {
		for j := range memories {
			if m := p.known(&memories[j]); !m.Expired(now) {
				p.versions[identities[i]] = append(p.versions[identities[i]], m)
			}
		}
	}
	return p, p.findAlike(ctx, r, drafts)
}

// known keeps one copy of each memory, however often it is read.
func (p *plan) known(m *Memory) *Memory {
	if there, ok := p.byID[m.ID]; ok {
		return there
	}
	p.byID[m.ID] = m
	return m
}

// findAlike looks for near-duplicates of drafts whose very content is new. They
// share words, whatever the vectors say: see duplicates.
func (p *plan) findAlike(ctx context.Context, r Reader, drafts []*Memory) error {
	var searches []Search
	var asking []*Memory
	for _, draft := range drafts {
		if draft.Key != "" || !lives[draft.Type].merges || slices.ContainsFunc(p.versions[identityOf(draft)], draft.sameMatter) {
			continue
		}
		searches = append(searches, Search{
			Filter: Filter{Audience: only(draft.Scope), Types: []Type{draft.Type}, Agents: []string{draft.Agent}, Subject: draft.Subject},
			Terms:  uniqueTerms(draft.Content), Limit: alikeCandidates,
		})
		asking = append(asking, draft)
	}
	if len(searches) == 0 {
		return nil
	}
	found, err := r.Search(ctx, p.now, searches)
	if err != nil {
		return err
	}
	var missing []uuid.UUID
	for _, candidates := range found {
		for _, c := range candidates.List {
			if p.byID[c.ID] == nil && !slices.Contains(missing, c.ID) {
				missing = append(missing, c.ID)
			}
		}
	}
	if len(missing) > 0 {
		memories, err := r.Get(ctx, missing)
		if err != nil {
			return err
		}
		for i := range memories {
			p.known(&memories[i])
		}
	}
	for i, candidates := range found {
		for _, c := range candidates.List {
			// The search saw the whole audience; a merge stays in the scope.
			if m := p.byID[c.ID]; m != nil && m.Scope == asking[i].Scope {
				p.alike[asking[i]] = append(p.alike[asking[i]], m)
			}
		}
	}
	return nil
}

// only is an audience that sees the scope.
func only(s Scope) Audience {
	switch s.Kind {
	case ScopeAgent:
		return Audience{Agent: s.Name}
	case ScopeGroup:
		return Audience{Groups: []string{s.Name}}
	default:
		return Audience{}
	}
}

// place decides what becomes of the draft.
func (p *plan) place(draft *Memory) (*Memory, Receipt) {
	known := p.versions[identityOf(draft)]
	switch {
	case draft.Key != "" && lives[draft.Type].versioned:
		return p.version(draft, known)
	case draft.Key != "":
		if len(known) > 0 {
			return p.replace(draft, known[len(known)-1])
		}
		return p.create(draft), Receipt{Outcome: Created, Reason: "nothing had the key " + draft.Key}
	}
	for _, m := range known {
		if m.SupersededBy == uuid.Nil && draft.sameMatter(m) && sameTime(m, draft) {
			return p.repeat(draft, m)
		}
	}
	if m, cosine := p.duplicate(draft); m != nil {
		return p.merge(draft, m, cosine)
	}
	return p.create(draft), Receipt{Outcome: Created, Reason: "nothing said the same"}
}

// sameMatter reports whether both are one agent's words about one subject. The same words
// about two customers are two facts: merged, one of them could neither be found nor erased.
func (m *Memory) sameMatter(other *Memory) bool {
	return m.Agent == other.Agent && m.Subject == other.Subject
}

// oneEvent is how far apart in time the same words are one event told twice.
const oneEvent = time.Hour

func sameTime(a, b *Memory) bool {
	return a.Type != Episodic || a.ValidFrom.Sub(b.ValidFrom).Abs() <= oneEvent
}

func (p *plan) create(m *Memory) *Memory {
	m.ID = uuid.Must(uuid.NewV7())
	if m.Lineage == uuid.Nil {
		m.Lineage = m.ID
	}
	p.byID[m.ID] = m
	identity := identityOf(m)
	p.versions[identity] = append(p.versions[identity], m)
	if m.Key == "" && lives[m.Type].merges {
		p.index(m)
	}
	p.touch(m)
	return m
}

// fresh are memories made by a plan, with who has which term.
type fresh struct {
	memories []*Memory
	byTerm   map[string][]int32
	common   []int32 // of each memory, while one draft is compared
}

func (p *plan) index(m *Memory) {
	g := groupOf(m)
	if p.fresh[g] == nil {
		p.fresh[g] = &fresh{byTerm: map[string][]int32{}}
	}
	f := p.fresh[g]
	number := int32(len(f.memories))
	f.memories, f.common = append(f.memories, m), append(f.common, 0)
	for _, term := range uniqueTerms(m.Content) {
		f.byTerm[term] = append(f.byTerm[term], number)
	}
}

func (p *plan) touch(m *Memory) {
	if !p.dirty[m.ID] {
		p.dirty[m.ID] = true
		p.order = append(p.order, m.ID)
	}
	delete(p.wordings, m)
}

func (p *plan) changed() []Memory {
	memories := make([]Memory, len(p.order))
	for i, id := range p.order {
		memories[i] = *p.byID[id]
	}
	return memories
}

// repeat renews a memory that is stored once more, word for word.
func (p *plan) repeat(draft, m *Memory) (*Memory, Receipt) {
	receipt := Receipt{Outcome: Unchanged, Reason: "the very same was stored before"}
	if renew(draft, m) {
		m.UpdatedAt = p.now
		p.touch(m)
	}
	return m, receipt
}

// renew adds to m what draft knows beyond its content, and says whether it did.
func renew(draft, m *Memory) (changed bool) {
	if later := laterEnd(m.ExpiresAt, draft.ExpiresAt); !later.Equal(m.ExpiresAt) {
		m.ExpiresAt, changed = later, true
	}
	if union := united(m.Metadata, draft.Metadata); !reflect.DeepEqual(union, m.Metadata) {
		m.Metadata, changed = union, true
	}
	if m.Vector == nil && draft.Vector != nil {
		m.Vector, m.Model, changed = draft.Vector, draft.Model, true
	}
	return changed
}

// united is a with the values of b, which win.
func united(a, b Metadata) Metadata {
	if len(b) == 0 {
		return a
	}
	union := make(Metadata, len(a)+len(b))
	maps.Copy(union, a)
	maps.Copy(union, b)
	return union
}

// laterEnd is the later of two expiries, of which the zero time is the latest.
func laterEnd(a, b time.Time) time.Time {
	if a.IsZero() || b.IsZero() {
		return time.Time{}
	}
	if b.After(a) {
		return b
	}
	return a
}

// replace puts the draft in the place of m, for good.
func (p *plan) replace(draft, m *Memory) (*Memory, Receipt) {
	receipt := Receipt{Outcome: Replaced, Reason: "it had the key " + draft.Key}
	if m.Content == draft.Content {
		receipt = Receipt{Outcome: Unchanged, Reason: "the very same was stored under the key " + draft.Key}
		draft.Mentions, draft.Importance, draft.Prior = m.Mentions, m.Importance, m.Prior
		draft.Successes, draft.Failures = m.Successes, m.Failures
		if draft.Vector == nil {
			draft.Vector, draft.Model = m.Vector, m.Model
		}
	}
	draft.ID, draft.Lineage, draft.CreatedAt = m.ID, m.Lineage, m.CreatedAt
	*m = *draft
	p.touch(m)
	return m, receipt
}

// version files the draft among the versions of its key by the time from which
// it holds. The versions' intervals never overlap.
func (p *plan) version(draft *Memory, versions []*Memory) (*Memory, Receipt) {
	versions = slices.Clone(versions)
	slices.SortFunc(versions, compareVersions)
	if len(versions) == 0 {
		return p.create(draft), Receipt{Outcome: Created, Reason: "nothing had the key " + draft.Key}
	}
	if draft.Type == Episodic && draft.ValidFrom.Equal(draft.CreatedAt) {
		// Another account of an event does not move it in time.
		draft.ValidFrom = versions[len(versions)-1].ValidFrom
	}
	var before, after *Memory
	for _, v := range versions {
		holds := v.ValidUntil.IsZero() || v.ValidUntil.After(draft.ValidFrom)
		if v.Content == draft.Content && !v.ValidFrom.After(draft.ValidFrom) && holds {
			return p.repeat(draft, v)
		}
		if !v.ValidFrom.After(draft.ValidFrom) {
			before = v
		} else if after == nil {
			after = v
		}
	}
	draft.Lineage = versions[0].Lineage
	receipt := Receipt{Outcome: Superseded, Reason: "what had the key " + draft.Key + " says something else"}
	m := p.create(draft)
	if after != nil {
		if m.ValidUntil.IsZero() || m.ValidUntil.After(after.ValidFrom) {
			m.ValidUntil = after.ValidFrom
		}
		m.SupersededBy = after.ID
		receipt = Receipt{Outcome: Filed, Reason: fmt.Sprintf("a version of %s is known that holds from %s on", draft.Key, after.ValidFrom.Format(time.RFC3339))}
	}
	if before != nil {
		if rest := p.remainder(before, m); rest != nil && !rest.ValidFrom.After(p.now) {
			receipt = Receipt{Outcome: Filed, Reason: fmt.Sprintf("it held until %s, and what had the key %s holds again", m.ValidUntil.Format(time.RFC3339), draft.Key)}
		}
		if before.ValidUntil.IsZero() || before.ValidUntil.After(m.ValidFrom) {
			before.ValidUntil = m.ValidFrom
		}
		before.SupersededBy, before.UpdatedAt = m.ID, p.now
		receipt.Superseded = before.ID
		p.touch(before)
	}
	return m, receipt
}

// remainder makes a version of what is left of before behind m, which ends while before still held;
// nil when nothing is.
func (p *plan) remainder(before, m *Memory) *Memory {
	if m.ValidUntil.IsZero() || !before.ValidUntil.IsZero() && !before.ValidUntil.After(m.ValidUntil) {
		return nil
	}
	rest := *before
	rest.ID, rest.ValidFrom, rest.UpdatedAt = uuid.Nil, m.ValidUntil, p.now
	rest.Recalls, rest.LastRecalledAt = 0, time.Time{}
	m.SupersededBy = p.create(&rest).ID
	return &rest
}

// compareVersions orders versions by when they began to hold. Of those that began at one
// time, the one that held longest comes last: the others were superseded at once.
func compareVersions(a, b *Memory) int {
	ends := func(m *Memory) time.Time {
		if m.ValidUntil.IsZero() {
			return time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
		}
		return m.ValidUntil
	}
	return cmp.Or(a.ValidFrom.Compare(b.ValidFrom), ends(a).Compare(ends(b)), a.CreatedAt.Compare(b.CreatedAt), slices.Compare(a.ID[:], b.ID[:]))
}

// duplicate finds a memory that says what the draft says.
func (p *plan) duplicate(draft *Memory) (found *Memory, cosine float64) {
	if !lives[draft.Type].merges {
		return nil, 0
	}
	candidates := append(slices.Clone(p.alike[draft]), p.freshAlike(draft)...)
	if len(candidates) == 0 {
		return nil, 0
	}
	mine := p.wording(draft)
	for _, m := range candidates {
		if m.Key != "" || m.SupersededBy != uuid.Nil || m.Expired(p.now) || !draft.sameMatter(m) || !sameTime(m, draft) ||
			!m.ValidUntil.Equal(draft.ValidUntil) {
			continue
		}
		known := m.Vector != nil && draft.Vector != nil && m.Model == draft.Model
		if known {
			cosine = float64(Dot(m.Vector, draft.Vector))
		}
		if same, _ := duplicates(p.wording(m), mine, cosine, known); same {
			return m, cosine
		}
	}
	return nil, 0
}

// freshAlike are the memories of this plan with the most words in common with the draft.
func (p *plan) freshAlike(draft *Memory) []*Memory {
	f := p.fresh[groupOf(draft)]
	if f == nil {
		return nil
	}
	var touched []int32
	for _, term := range uniqueTerms(draft.Content) {
		for _, n := range f.byTerm[term] {
			if f.common[n] == 0 {
				touched = append(touched, n)
			}
			f.common[n]++
		}
	}
	compare := func(a, b int32) int {
		return cmp.Or(cmp.Compare(f.common[b], f.common[a]), slices.Compare(f.memories[a].ID[:], f.memories[b].ID[:]))
	}
	most := make([]int32, 0, alikeCandidates+1) // in order
	for _, n := range touched {
		if len(most) < alikeCandidates || compare(n, most[len(most)-1]) < 0 {
			at, _ := slices.BinarySearchFunc(most, n, compare)
			most = slices.Insert(most, at, n)
			most = most[:min(len(most), alikeCandidates)]
		}
	}
	alike := make([]*Memory, len(most))
	for i, n := range most {
		alike[i] = f.memories[n]
	}
	for _, n := range touched {
		f.common[n] = 0
	}
	return alike
}

func (p *plan) wording(m *Memory) wording {
	w, ok := p.wordings[m]
	if !ok {
		w = wordingOf(m.Content)
		p.wordings[m] = w
	}
	return w
}

// merge counts the draft to m, which keeps the wording that says more.
func (p *plan) merge(draft, m *Memory, cosine float64) (*Memory, Receipt) {
	_, more := duplicates(p.wording(m), p.wording(draft), cosine, false)
	renew(draft, m)
	if more {
		m.Content, m.Vector, m.Model = draft.Content, draft.Vector, draft.Model
	}
	m.Mentions++
	m.Importance = max(draft.Importance, m.Importance+mentionGain*(1-m.Importance))
	m.UpdatedAt = p.now
	p.touch(m)
	return m, Receipt{Outcome: Merged, Reason: "a memory of this agent says the same in nearly the same words"}
}

// mentionGain is how far one more mention moves the importance towards 1.
const mentionGain = 0.1
