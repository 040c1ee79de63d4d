package qdrant

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	pb "github.com/qdrant/go-client/qdrant"

	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/qdrant/internal/wire"
)

// Change runs fn while nobody else changes memories of these scopes, and writes what fn
// wrote when it returns nil: nothing before.
//
// Qdrant has no transactions. What is promised instead: a lease keeps others out, also other
// processes, as long as their clocks agree to within the lease's time; should a lease be lost all the
// same (the process stood still, a clock jumped), no memory that another has changed
// meanwhile is written over: Change fails, and what it wrote until then stays. Memories are written in
// requests of up to 100, new ones before changed ones before deletions, so that a
// process that dies between two leaves something twice rather than not at all. Storing the
// same again, as a caller does that got no answer, then finds it there.
func (b *Backend) Change(ctx context.Context, tenant uuid.UUID, scopes []zerodb.Scope, fn func(context.Context, zerodb.Writer) error) error {
	t, err := b.conn.Tenant(tenant)
	if err != nil {
		return err
	}
	held, err := b.acquire(ctx, t, tenant, scopes)
	if err != nil {
		return err
	}
	defer held.end(ctx)
	w := &writer{reader: reader{b: b, t: t}, known: map[uuid.UUID]known{}, pending: overlay{}}
	w.seen = w.note
	if err := fn(ctx, w); err != nil {
		return err
	}
	left := held.left()
	if left <= 0 {
		return lost()
	}
	limited, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	if err := w.commit(limited); err != nil {
		if ctx.Err() == nil && limited.Err() != nil {
			return lost()
		}
		return err
	}
	return nil
}

func lost() error {
	return zerodb.Unavailable(nil, "the change took longer than its lease: try again")
}

// overlay is what a change has written but not committed: a memory by its ID, nil for a deleted one.
type overlay map[uuid.UUID]*zerodb.Memory

// known is what was read of a memory that may be written back.
type known struct {
	typ zerodb.Type
	revisions
}

// writer is a reader that sees its own writes, and keeps them until commit.
type writer struct {
	reader

	mu      sync.Mutex // for known: a read asks several collections at once
	known   map[uuid.UUID]known
	pending overlay
	order   []uuid.UUID // of the first write of each
}

func (w *writer) note(s *stored) {
	m := &s.memory
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, twice := w.known[m.ID]; !twice { // what is written back was made of the first reading
		w.known[m.ID] = known{m.Type, s.revisions}
	}
}

func (w *writer) write(id uuid.UUID, m *zerodb.Memory) {
	if _, again := w.pending[id]; !again {
		w.order = append(w.order, id)
	}
	w.pending[id] = m
}

// Put keeps the memories until the change ends.
func (w *writer) Put(_ context.Context, memories []zerodb.Memory) error {
	for i := range memories {
		m := memories[i]
		m.Metadata = cloneMetadata(m.Metadata)
		if k, ok := w.known[m.ID]; ok {
			m.Recalls, m.LastRecalledAt = k.recalls, k.recalledAt
		}
		w.write(m.ID, &m)
	}
	return nil
}

// Delete keeps the deletions until the change ends.
func (w *writer) Delete(_ context.Context, ids []uuid.UUID) error {
	for _, id := range ids {
		w.write(id, nil)
	}
	return nil
}

func cloneMetadata(m zerodb.Metadata) zerodb.Metadata {
	if m == nil {
		return nil
	}
	clone := make(zerodb.Metadata, len(m))
	maps.Copy(clone, m)
	return clone
}

// over puts what is pending in place of what was read, and beside it what matches.
func (w *writer) over(list []zerodb.Memory, matches func(*zerodb.Memory) bool) []zerodb.Memory {
	list = slices.DeleteFunc(list, func(m zerodb.Memory) bool {
		_, replaced := w.pending[m.ID]
		return replaced
	})
	for _, id := range w.order {
		if m := w.pending[id]; m != nil && matches(m) {
			list = append(list, *m)
		}
	}
	return list
}

func (w *writer) Get(ctx context.Context, ids []uuid.UUID) ([]zerodb.Memory, error) {
	stored := slices.DeleteFunc(slices.Clone(ids), func(id uuid.UUID) bool {
		_, here := w.pending[id]
		return here
	})
	list, err := w.reader.Get(ctx, stored)
	return w.over(list, func(m *zerodb.Memory) bool { return slices.Contains(ids, m.ID) }), err
}

func (w *writer) Versions(ctx context.Context, identities []zerodb.Identity) ([][]zerodb.Memory, error) {
	lists, err := w.reader.Versions(ctx, identities)
	for i, id := range identities {
		if err == nil {
			lists[i] = w.over(lists[i], func(m *zerodb.Memory) bool {
				return m.Scope == id.Scope && m.Type == id.Type && m.Identity() == id.Value
			})
		}
	}
	return lists, err
}

func (w *writer) List(ctx context.Context, now time.Time, filter zerodb.Filter, order zerodb.Order, limit int) ([]zerodb.Memory, error) {
	list, err := w.reader.List(ctx, now, filter, order, limit+len(w.pending))
	if err != nil {
		return nil, err
	}
	list = w.over(list, func(m *zerodb.Memory) bool {
		return filter.Match(m, now) && (order.Recent || slices.Compare(m.ID[:], order.After[:]) > 0)
	})
	return inOrder(list, order, limit), nil
}

func (w *writer) Search(ctx context.Context, now time.Time, searches []zerodb.Search) ([]zerodb.Candidates, error) {
	return w.search(ctx, now, searches, w.pending)
}

// Stats counts by reading everything when there are pending writes: no rule asks for it then.
func (w *writer) Stats(ctx context.Context, model string) (zerodb.Stats, error) {
	if len(w.pending) == 0 {
		return w.reader.Stats(ctx, model)
	}
	lists, err := each(ctx, zerodb.Types(), func(ctx context.Context, typ zerodb.Type) ([]zerodb.Memory, error) {
		return w.all(ctx, typ, wire.Where{})
	})
	stats := zerodb.Stats{ByType: map[zerodb.Type]int{}}
	agents := map[string]int{}
	for _, m := range w.over(slices.Concat(lists...), func(*zerodb.Memory) bool { return true }) {
		stats.Memories++
		stats.ByType[m.Type]++
		agents[m.Agent]++
		if model != "" && m.Model != model {
			stats.Pending++
		}
	}
	byAgent(&stats, agents)
	return stats, err
}

// Limits of one upsert: far below what Qdrant and gRPC take.
const (
	pointsAtOnce = 100
	bytesAtOnce  = 4 << 20
)

// commit writes what is pending: first what is new, then what changes, then deletions.
func (w *writer) commit(ctx context.Context) error {
	puts := map[zerodb.Type][]*zerodb.Memory{}
	var gone []uuid.UUID
	for _, fresh := range []bool{true, false} {
		for _, id := range w.order {
			if _, there := w.known[id]; there == fresh {
				continue
			}
			if m := w.pending[id]; m != nil {
				puts[m.Type] = append(puts[m.Type], m)
			} else {
				gone = append(gone, id)
			}
		}
	}
	for _, typ := range slices.Backward(zerodb.Types()) { // long-term first: what is promoted is there before it goes
		for _, chunk := range chunks(puts[typ]) {
			if err := w.put(ctx, typ, chunk); err != nil {
				return err
			}
		}
	}
	return w.remove(ctx, gone)
}

func chunks(memories []*zerodb.Memory) [][]*zerodb.Memory {
	var all [][]*zerodb.Memory
	size := 0
	for _, m := range memories {
		weight := 3*len(m.Content) + 4*len(m.Vector) + 2000
		if last := len(all) - 1; last < 0 || len(all[last]) == pointsAtOnce || size+weight > bytesAtOnce {
			all, size = append(all, nil), 0
		}
		all[len(all)-1] = append(all[len(all)-1], m)
		size += weight
	}
	return all
}

// putAttempts of one chunk: each failed one means that a recall was counted in between.
const putAttempts = 50

// put writes memories of one type, each in place of exactly the revision that was read.
func (w *writer) put(ctx context.Context, typ zerodb.Type, memories []*zerodb.Memory) error {
	for range putAttempts {
		written, err := w.upsert(ctx, typ, memories)
		if wire.IsWrongSize(err) { // the collection was made anew since it was measured
			w.b.forget()
			written, err = w.upsert(ctx, typ, memories)
		}
		if err != nil {
			return err
		}
		if memories, err = w.unwritten(ctx, typ, memories, written); err != nil || len(memories) == 0 {
			return err
		}
	}
	return zerodb.Unavailable(nil, "memories are being recalled faster than they can be changed: try again")
}

// upsert writes once, and returns the revision that each memory has if it was written.
func (w *writer) upsert(ctx context.Context, typ zerodb.Type, memories []*zerodb.Memory) (map[uuid.UUID]string, error) {
	dimension, err := w.b.dimension(ctx, typ)
	if err != nil {
		return nil, err
	}
	// Revisions are used once, so "one of these" means of each point its own. None has the empty one.
	from, fromRecalls := []string{""}, []string{""}
	points := make([]*pb.PointStruct, len(memories))
	written := make(map[uuid.UUID]string, len(memories))
	for i, m := range memories {
		k, there := w.known[m.ID]
		if there {
			from, fromRecalls = append(from, k.revision), append(fromRecalls, k.recallRevision)
		} else {
			k.revisions = revisions{recallRevision: newRevision(), recalls: m.Recalls, recalledAt: m.LastRecalledAt}
		}
		k.revision = newRevision()
		written[m.ID] = k.revision
		if points[i], err = encode(w.t, m, dimension, k.revisions); err != nil {
			return nil, err
		}
	}
	same := wire.Where{}.And(pb.NewMatchKeywords(keyRevision, from...), pb.NewMatchKeywords(keyRecallRevision, fromRecalls...))
	return written, w.t.Upsert(ctx, CollectionName(typ), points, same)
}

// unwritten returns the memories that were not written although they may be: because a recall was
// counted since they were read, or because they were there and nobody had looked.
func (w *writer) unwritten(ctx context.Context, typ zerodb.Type, memories []*zerodb.Memory, written map[uuid.UUID]string) ([]*zerodb.Memory, error) {
	ids := make([]uuid.UUID, len(memories))
	for i, m := range memories {
		ids[i] = w.t.PointID(m.ID)
	}
	points, _, err := w.t.Scroll(ctx, CollectionName(typ), wire.Where{}.And(wire.HasID(ids...)), wire.Page{
		Limit: len(ids), Keys: revisionKeys,
	})
	if err != nil {
		return nil, err
	}
	now := map[string]known{}
	for _, point := range points {
		r, err := revisionsOf(point.GetPayload())
		if err != nil {
			return nil, err
		}
		now[point.GetId().GetUuid()] = known{typ, r}
	}
	var again []*zerodb.Memory
	for i, m := range memories {
		there, exists := now[ids[i].String()]
		was, read := w.known[m.ID]
		switch {
		case exists && there.revision == written[m.ID]:
		case exists && (!read || there.revision == was.revision):
			w.known[m.ID] = there
			again = append(again, m)
		default:
			return nil, zerodb.Unavailable(nil, fmt.Sprintf("another process changed memory %s meanwhile: try again", m.ID))
		}
	}
	return again, nil
}

// remove deletes memories from their collection, or from every one when they were not read.
func (w *writer) remove(ctx context.Context, gone []uuid.UUID) error {
	byType := map[zerodb.Type][]uuid.UUID{}
	for _, id := range gone {
		types := zerodb.Types()
		if k, ok := w.known[id]; ok {
			types = []zerodb.Type{k.typ}
		}
		for _, typ := range types {
			byType[typ] = append(byType[typ], w.t.PointID(id))
		}
	}
	_, err := each(ctx, zerodb.Types(), func(ctx context.Context, typ zerodb.Type) (struct{}, error) {
		for chunk := range slices.Chunk(byType[typ], pointsAtOnce) {
			if err := w.t.Delete(ctx, CollectionName(typ), wire.Where{}.And(wire.HasID(chunk...))); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	return err
}
