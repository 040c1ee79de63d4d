package zerodbtest

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/zerodb"
)

// Reference is the back end that is right by being simple: maps in the process,
// looked through from end to end. Others are compared with it; nothing outlives
// the process. It is safe for concurrent use.
type Reference struct {
	mu      sync.RWMutex
	tenants map[uuid.UUID]map[uuid.UUID]zerodb.Memory
}

// NewReference returns an empty one.
func NewReference() *Reference {
	return &Reference{tenants: map[uuid.UUID]map[uuid.UUID]zerodb.Memory{}}
}

// Name is "reference".
func (*Reference) Name() string { return "reference" }

// Init has nothing to create.
func (*Reference) Init(context.Context) ([]zerodb.Collection, error) { return nil, nil }

// Health is always good.
func (*Reference) Health(context.Context) error { return nil }

// View reads while nobody writes.
func (b *Reference) View(ctx context.Context, tenant uuid.UUID, fn func(context.Context, zerodb.Reader) error) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return fn(ctx, referenceTx{b.tenants[tenant]})
}

// Change works on a copy, which takes the place of the original when fn returns nil.
func (b *Reference) Change(ctx context.Context, tenant uuid.UUID, _ []zerodb.Scope, fn func(context.Context, zerodb.Writer) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	memories := maps.Clone(b.tenants[tenant])
	if memories == nil {
		memories = map[uuid.UUID]zerodb.Memory{}
	}
	if err := fn(ctx, referenceTx{memories}); err != nil {
		return err
	}
	b.tenants[tenant] = memories
	return nil
}

// Recalled counts.
func (b *Reference) Recalled(_ context.Context, tenant uuid.UUID, recalls []zerodb.Recall) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, recall := range recalls {
		if m, ok := b.tenants[tenant][recall.ID]; ok {
			m.Recalls += recall.Count
			if recall.At.After(m.LastRecalledAt) {
				m.LastRecalledAt = recall.At
			}
			b.tenants[tenant][recall.ID] = m
		}
	}
	return nil
}

type referenceTx struct {
	memories map[uuid.UUID]zerodb.Memory
}

func (tx referenceTx) Get(_ context.Context, ids []uuid.UUID) ([]zerodb.Memory, error) {
	return tx.all(func(m *zerodb.Memory) bool { return slices.Contains(ids, m.ID) }), nil
}

func (tx referenceTx) Versions(_ context.Context, identities []zerodb.Identity) ([][]zerodb.Memory, error) {
	found := make([][]zerodb.Memory, len(identities))
	for i, id := range identities {
		found[i] = tx.all(func(m *zerodb.Memory) bool {
			return m.Scope == id.Scope && m.Type == id.Type && m.Identity() == id.Value
		})
	}
	return found, nil
}

// all returns copies of the memories that match, by ID.
func (tx referenceTx) all(match func(*zerodb.Memory) bool) []zerodb.Memory {
	var list []zerodb.Memory
	for _, m := range tx.memories {
		if match(&m) {
			m.Metadata = maps.Clone(m.Metadata)
			list = append(list, m)
		}
	}
	slices.SortFunc(list, func(a, b zerodb.Memory) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return list
}

func (tx referenceTx) List(_ context.Context, now time.Time, filter zerodb.Filter, order zerodb.Order, limit int) ([]zerodb.Memory, error) {
	list := tx.all(func(m *zerodb.Memory) bool {
		return filter.Match(m, now) && (order.Recent || bytes.Compare(m.ID[:], order.After[:]) > 0)
	})
	if order.Recent {
		slices.SortStableFunc(list, func(a, b zerodb.Memory) int { return b.ValidFrom.Compare(a.ValidFrom) })
	}
	return list[:min(len(list), limit)], nil
}

func (tx referenceTx) Stats(_ context.Context, model string) (zerodb.Stats, error) {
	stats := zerodb.Stats{Memories: len(tx.memories), ByType: map[zerodb.Type]int{}}
	agents := map[string]int{}
	for _, m := range tx.memories {
		stats.ByType[m.Type]++
		agents[m.Agent]++
		if model != "" && m.Model != model {
			stats.Pending++
		}
	}
	stats.Agents = len(agents)
	names := slices.SortedFunc(maps.Keys(agents), func(a, b string) int {
		return cmp.Or(cmp.Compare(agents[b], agents[a]), cmp.Compare(a, b))
	})
	stats.ByAgent = map[string]int{}
	for _, name := range names[:min(len(names), zerodb.MaxStatsAgents)] {
		stats.ByAgent[name] = agents[name]
	}
	return stats, nil
}

func (tx referenceTx) Search(_ context.Context, now time.Time, searches []zerodb.Search) ([]zerodb.Candidates, error) {
	found := make([]zerodb.Candidates, len(searches))
	for i := range searches {
		found[i] = tx.search(now, &searches[i])
	}
	return found, nil
}

func (tx referenceTx) search(now time.Time, s *zerodb.Search) zerodb.Candidates {
	domain := tx.all(func(m *zerodb.Memory) bool {
		return s.Filter.Audience.Sees(m.Scope) && (len(s.Filter.Types) == 0 || slices.Contains(s.Filter.Types, m.Type))
	})
	weights := make([]map[string]float32, len(domain))
	frequency := map[string]int{}
	for i := range domain {
		weights[i] = zerodb.Weights(domain[i].Content)
		for _, term := range s.Terms {
			if _, has := weights[i][term]; has {
				frequency[term]++
			}
		}
	}
	var list []zerodb.Candidate
	for i := range domain {
		m := domain[i]
		if !s.Filter.Match(&m, now) {
			continue
		}
		c := zerodb.Candidate{ID: m.ID, Memory: &m, Facts: zerodb.FactsOf(&m)}
		if s.Vector != nil && m.Vector != nil && m.Model == s.Model {
			c.Cosine, c.HasCosine = float64(zerodb.Dot(m.Vector, s.Vector)), true
		}
		c.Text, c.Coverage = zerodb.TextSignal(weights[i], s.Terms, frequency, len(domain))
		list = append(list, c)
	}
	return zerodb.Candidates{List: union(best(list, s.Limit, func(c *zerodb.Candidate) (float64, bool) { return c.Cosine, c.HasCosine }),
		best(list, s.Limit, func(c *zerodb.Candidate) (float64, bool) { return c.Text, c.Text > 0 }))}
}

func best(list []zerodb.Candidate, limit int, signal func(*zerodb.Candidate) (float64, bool)) []zerodb.Candidate {
	having := slices.DeleteFunc(slices.Clone(list), func(c zerodb.Candidate) bool {
		_, has := signal(&c)
		return !has
	})
	slices.SortFunc(having, func(a, b zerodb.Candidate) int {
		x, _ := signal(&a)
		y, _ := signal(&b)
		return cmp.Or(cmp.Compare(y, x), bytes.Compare(a.ID[:], b.ID[:]))
	})
	return having[:min(len(having), limit)]
}

func union(a, b []zerodb.Candidate) []zerodb.Candidate {
	for _, c := range b {
		if !slices.ContainsFunc(a, func(there zerodb.Candidate) bool { return there.ID == c.ID }) {
			a = append(a, c)
		}
	}
	return a
}

func (tx referenceTx) Put(_ context.Context, memories []zerodb.Memory) error {
	for _, m := range memories {
		if there, ok := tx.memories[m.ID]; ok {
			m.Recalls, m.LastRecalledAt = there.Recalls, there.LastRecalledAt
		}
		m.Metadata = maps.Clone(m.Metadata)
		tx.memories[m.ID] = m
	}
	return nil
}

func (tx referenceTx) Delete(_ context.Context, ids []uuid.UUID) error {
	for _, id := range ids {
		delete(tx.memories, id)
	}
	return nil
}
