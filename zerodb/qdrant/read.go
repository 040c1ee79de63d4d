package qdrant

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	pb "github.com/qdrant/go-client/qdrant"
	"golang.org/x/sync/errgroup"

	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/qdrant/internal/wire"
)

var noID uuid.UUID

// reader reads one tenant's memories. It is safe for concurrent use.
type reader struct {
	b *Backend
	t wire.Tenant
	// seen, when not nil, is told of every memory read: a writer notes its revision.
	seen func(s *stored)
}

// calls that one operation has in flight at most.
const parallel = 8

// pagePoints is how many memories one answer of a listing holds.
const pagePoints = 128

// each runs fn for each type at once.
func each[T any](ctx context.Context, types []zerodb.Type, fn func(ctx context.Context, typ zerodb.Type) (T, error)) ([]T, error) {
	results := make([]T, len(types))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, typ := range types {
		group.Go(func() (err error) {
			results[i], err = fn(ctx, typ)
			return err
		})
	}
	return results, group.Wait()
}

// decoded decodes points and tells of each.
func (r reader) decoded(points []*pb.RetrievedPoint) ([]zerodb.Memory, error) {
	memories := make([]zerodb.Memory, len(points))
	for i, point := range points {
		s, err := decode(point)
		if err != nil {
			return nil, err
		}
		if r.seen != nil {
			r.seen(&s)
		}
		memories[i] = s.memory
	}
	return memories, nil
}

// scan pages through a collection in the order of the IDs of points, from one on, until
// fn wants no more.
func (r reader) scan(ctx context.Context, typ zerodb.Type, w wire.Where, from uuid.UUID, limit int, fn func(page []zerodb.Memory) (more bool)) error {
	for {
		points, next, err := r.t.Scroll(ctx, CollectionName(typ), w, wire.Page{From: from, Limit: min(limit, pagePoints), Vectors: true})
		if err != nil {
			return err
		}
		memories, err := r.decoded(points)
		if err != nil {
			return err
		}
		if !fn(memories) || next == uuid.Nil {
			return nil
		}
		from = next
	}
}

// all returns every memory of the type that Qdrant finds.
func (r reader) all(ctx context.Context, typ zerodb.Type, w wire.Where) ([]zerodb.Memory, error) {
	var list []zerodb.Memory
	err := r.scan(ctx, typ, w, uuid.Nil, pagePoints, func(page []zerodb.Memory) bool {
		list = append(list, page...)
		return true
	})
	return list, err
}

// atOnce is how many IDs or identities go into one condition.
const atOnce = 100

// Get looks in every collection: an ID does not say its type.
func (r reader) Get(ctx context.Context, ids []uuid.UUID) ([]zerodb.Memory, error) {
	return r.get(ctx, zerodb.Types(), ids)
}

func (r reader) get(ctx context.Context, types []zerodb.Type, ids []uuid.UUID) ([]zerodb.Memory, error) {
	var found []zerodb.Memory
	for chunk := range slices.Chunk(ids, atOnce) {
		points := make([]uuid.UUID, len(chunk))
		for i, id := range chunk {
			points[i] = r.t.PointID(id)
		}
		lists, err := each(ctx, types, func(ctx context.Context, typ zerodb.Type) ([]zerodb.Memory, error) {
			return r.all(ctx, typ, wire.Where{}.And(wire.HasID(points...)))
		})
		if err != nil {
			return nil, err
		}
		found = append(found, slices.Concat(lists...)...)
	}
	return found, nil
}

func (r reader) Versions(ctx context.Context, identities []zerodb.Identity) ([][]zerodb.Memory, error) {
	places := map[zerodb.Identity][]int{}
	byType := map[zerodb.Type][]zerodb.Identity{}
	for i, id := range identities {
		if places[id] == nil {
			byType[id.Type] = append(byType[id.Type], id)
		}
		places[id] = append(places[id], i)
	}
	types := slices.DeleteFunc(zerodb.Types(), func(typ zerodb.Type) bool { return len(byType[typ]) == 0 })
	lists, err := each(ctx, types, func(ctx context.Context, typ zerodb.Type) ([]zerodb.Memory, error) {
		var list []zerodb.Memory
		for chunk := range slices.Chunk(byType[typ], atOnce) {
			found, err := r.all(ctx, typ, ofIdentities(chunk))
			if err != nil {
				return nil, err
			}
			list = append(list, found...)
		}
		return list, nil
	})
	if err != nil {
		return nil, err
	}
	versions := make([][]zerodb.Memory, len(identities))
	for _, m := range slices.Concat(lists...) {
		for _, i := range places[zerodb.Identity{Scope: m.Scope, Type: m.Type, Value: m.Identity()}] {
			versions[i] = append(versions[i], m)
		}
	}
	return versions, nil
}

// ofIdentities finds the memories of identities, and perhaps some of one's scope
// and another's value.
func ofIdentities(identities []zerodb.Identity) wire.Where {
	var scopes, values []string
	for _, id := range identities {
		if scope := id.Scope.String(); !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
		values = append(values, id.Value)
	}
	return wire.Where{Must: []*pb.Condition{pb.NewMatchKeywords(keyScope, scopes...), pb.NewMatchKeywords(keyIdentity, values...)}}
}

func (r reader) List(ctx context.Context, now time.Time, filter zerodb.Filter, order zerodb.Order, limit int) ([]zerodb.Memory, error) {
	if limit <= 0 {
		return nil, nil
	}
	w := where(r.t, &filter, now)
	lists, err := each(ctx, typesOf(&filter), func(ctx context.Context, typ zerodb.Type) ([]zerodb.Memory, error) {
		matches := func(m zerodb.Memory) bool {
			return filter.Match(&m, now) && (order.Recent || bytes.Compare(m.ID[:], order.After[:]) > 0)
		}
		if order.Recent {
			return r.latest(ctx, typ, w, matches, limit)
		}
		return r.behind(ctx, typ, w, matches, order.After, limit)
	})
	if err != nil {
		return nil, err
	}
	return inOrder(slices.Concat(lists...), order, limit), nil
}

func inOrder(list []zerodb.Memory, order zerodb.Order, limit int) []zerodb.Memory {
	slices.SortFunc(list, func(a, b zerodb.Memory) int {
		if order.Recent {
			if later := b.ValidFrom.Compare(a.ValidFrom); later != 0 {
				return later
			}
		}
		return bytes.Compare(a.ID[:], b.ID[:])
	})
	return list[:min(len(list), limit)]
}

// behind returns at least the first limit matching memories behind an ID. Points lie in the order
// of the first halves of memories' IDs, so it starts and ends where the half changes.
func (r reader) behind(ctx context.Context, typ zerodb.Type, w wire.Where, matches func(zerodb.Memory) bool, after uuid.UUID, limit int) ([]zerodb.Memory, error) {
	var list []zerodb.Memory
	var from uuid.UUID
	copy(from[:8], after[:8])
	err := r.scan(ctx, typ, w, from, limit+1, func(page []zerodb.Memory) bool {
		for _, m := range page {
			if len(list) >= limit && !bytes.Equal(list[len(list)-1].ID[:8], m.ID[:8]) {
				return false
			}
			if matches(m) {
				list = append(list, m)
			}
		}
		return true
	})
	return list, err
}

// latest returns at least the limit latest matching memories. A page by time has no
// next page: it is asked for again with more when too few matched, and
// those of the last moment are fetched together, for of equal times any could be left out.
func (r reader) latest(ctx context.Context, typ zerodb.Type, w wire.Where, matches func(zerodb.Memory) bool, limit int) ([]zerodb.Memory, error) {
	for ask := limit + 1; ; ask *= 4 {
		points, _, err := r.t.Scroll(ctx, CollectionName(typ), w, wire.Page{Latest: keyValidFrom, Limit: ask, Keys: []string{keyValidFrom}})
		if err != nil || len(points) == 0 {
			return nil, err
		}
		oldest, err := time.Parse(time.RFC3339Nano, points[len(points)-1].GetPayload()[keyValidFrom].GetStringValue())
		if err != nil {
			return nil, zerodb.Unavailable(err, "a point in Qdrant holds a time that is none")
		}
		reach := w.And(pb.NewDatetimeRange(keyValidFrom, &pb.DatetimeRange{Gte: stamp(oldest)}))
		list, err := r.all(ctx, typ, reach)
		if err != nil {
			return nil, err
		}
		if list = slices.DeleteFunc(list, func(m zerodb.Memory) bool { return !matches(m) }); len(list) >= limit || len(points) < ask {
			return list, nil
		}
	}
}

// facetLimit is how many agents of one collection are told apart.
const facetLimit = 10_000

func (r reader) Stats(ctx context.Context, model string) (zerodb.Stats, error) {
	type part struct {
		count, pending int
		agents         map[string]int
	}
	parts, err := each(ctx, zerodb.Types(), func(ctx context.Context, typ zerodb.Type) (p part, err error) {
		if p.count, err = r.t.Count(ctx, CollectionName(typ), wire.Where{}); err != nil || p.count == 0 {
			return p, err
		}
		if p.agents, err = r.t.Facet(ctx, CollectionName(typ), keyAgent, wire.Where{}, facetLimit); err != nil || model == "" {
			return p, err
		}
		p.pending, err = r.t.Count(ctx, CollectionName(typ), wire.Where{MustNot: []*pb.Condition{pb.NewMatchKeyword(keyModel, model)}})
		return p, err
	})
	stats := zerodb.Stats{ByType: map[zerodb.Type]int{}}
	agents := map[string]int{}
	for i, p := range parts {
		stats.Memories += p.count
		stats.Pending += p.pending
		if p.count > 0 {
			stats.ByType[zerodb.Types()[i]] = p.count
		}
		for agent, n := range p.agents {
			agents[agent] += n
		}
	}
	byAgent(&stats, agents)
	return stats, err
}

// byAgent fills in the agents, of whom the stats name those with the most memories.
func byAgent(stats *zerodb.Stats, agents map[string]int) {
	stats.Agents = len(agents)
	names := slices.SortedFunc(maps.Keys(agents), func(a, b string) int {
		return cmp.Or(cmp.Compare(agents[b], agents[a]), cmp.Compare(a, b))
	})
	stats.ByAgent = map[string]int{}
	for _, name := range names[:min(len(names), zerodb.MaxStatsAgents)] {
		stats.ByAgent[name] = agents[name]
	}
}
