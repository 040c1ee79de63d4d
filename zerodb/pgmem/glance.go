package pgmem

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/zerodb"
)

// glance reads without a transaction: each read is one round trip, and a search searches what
// the process holds while the database says whether that is current. Only when it is
// not, the search is done over, after catching up.
type glance struct {
	reader
	backend *Backend
	// current are partitions that held, after this glance began, all that was committed before.
	// Whatever they hold now is no older.
	current []*partition
}

// Search answers from what the process holds, if that is up to date, and
// otherwise brings it up to date first.
func (g *glance) Search(ctx context.Context, now time.Time, searches []zerodb.Search) ([]zerodb.Candidates, error) {
	if seen := g.seen(searches); seen != nil {
		found, err := g.searchHeld(ctx, now, searches, seen)
		if err != nil || found != nil {
			return found, err
		}
	}
	var found []zerodb.Candidates
	err := g.backend.tenant(ctx, g.tenant, func(ctx context.Context, tx engardedb.Tx) (err error) {
		s := newSession(g.backend, tx)
		found, err = s.Search(ctx, now, searches)
		g.current = s.current
		return err
	})
	return found, err
}

// seen are partitions and the counts of changes that they were seen to include.
type seen map[zerodb.Scope]struct {
	partition *partition
	changed   int64
}

// seen returns the partitions that the searches look into, or nil when they ask for what the
// process does not hold.
func (g *glance) seen(searches []zerodb.Search) seen {
	all := seen{}
	for i := range searches {
		f := &searches[i].Filter
		switch {
		case asksDatabase(f):
			return nil
		case f.Audience.Everyone:
			g.seenAll(all)
			continue
		}
		for _, scope := range f.Audience.Scopes() {
			entry, there := all[scope]
			if there {
				continue
			}
			var due bool
			entry.partition, due = g.backend.cache.get(partitionKey{g.tenant, scope}, false)
			entry.partition.mu.RLock()
			held := entry.partition.index != nil && !due
			entry.changed = entry.partition.changed
			entry.partition.mu.RUnlock()
			if !held {
				return nil
			}
			all[scope] = entry
		}
	}
	return all
}

// seenAll adds what the process holds of all scopes. Whether these are all, the database will say.
func (g *glance) seenAll(all seen) {
	for _, p := range g.backend.cache.touch(g.tenant) {
		p.mu.RLock()
		if entry, there := all[p.key.scope]; !there && p.index != nil {
			entry.partition, entry.changed = p, p.changed
			all[p.key.scope] = entry
		}
		p.mu.RUnlock()
	}
}

// searchHeld searches what the process holds. It returns nil when that turns out
// to be behind what was committed before it began.
func (g *glance) searchHeld(ctx context.Context, now time.Time, searches []zerodb.Search, seen seen) ([]zerodb.Candidates, error) {
	current := true
	everyone := slices.ContainsFunc(searches, func(s zerodb.Search) bool { return s.Filter.Audience.Everyone })
	check, err := g.check(ctx, seen, everyone, &current)
	if err != nil {
		return nil, err
	}
	finders := make([]*finder, 0, len(searches))
	for i := range searches {
		var partitions []*partition
		for _, scope := range searches[i].Filter.Audience.Scopes() {
			partitions = append(partitions, seen[scope].partition)
		}
		if searches[i].Filter.Audience.Everyone {
			for _, entry := range seen {
				partitions = append(partitions, entry.partition)
			}
		}
		f := newFinder(&searches[i], rowFilterOf(&searches[i].Filter, now, nil))
		if !eachHeld(partitions, func(x index) { x.count(f) }) {
			break
		}
		f.counted()
		if !eachHeld(partitions, func(x index) { x.find(f) }) {
			break
		}
		finders = append(finders, f)
	}
	if err := check.Wait(); err != nil {
		return nil, failed(err, "read the scopes")
	}
	if !current || len(finders) < len(searches) {
		return nil, nil
	}
	if err := exactly(ctx, g.reader, finders); err != nil {
		return nil, err
	}
	for _, entry := range seen {
		g.current = append(g.current, entry.partition)
	}
	return candidates(finders), nil
}

// countsQuery is scopesQuery for a few scopes, which takes less time: it may return others of
// these names and kinds too.
const countsQuery = `
	SELECT scope_kind, scope_name, changed FROM memory_partitions
	WHERE tenant_uuid = $1 AND scope_kind = ANY ($2) AND scope_name = ANY ($3)`

// check asks the database whether what was seen is current, and for everyone whether it is all; it sets current
// once that is waited for.
func (g *glance) check(ctx context.Context, seen seen, everyone bool, current *bool) (*engardedb.Sent, error) {
	query, arguments := everyScopeQuery, []any{g.tenant}
	if !everyone {
		scopes := make([]zerodb.Scope, 0, len(seen))
		for scope := range seen {
			scopes = append(scopes, scope)
		}
		kinds, names := scopeArrays(scopes)
		query, arguments = countsQuery, append(arguments, kinds, names)
	}
	var batch pgx.Batch
	batch.Queue(query, arguments...).Query(func(rows pgx.Rows) error {
		var state scopeState
		_, err := pgx.ForEachRow(rows, []any{&state.Kind, &state.Name, &state.Changed}, func() error {
			if entry, asked := seen[state.scope()]; asked && entry.changed < state.Changed || everyone && !asked {
				*current = false
			}
			return nil
		})
		return err //nolint:wrapcheck // its receiver says what it was for
	})
	sent, err := g.backend.db.SendTenantBatch(ctx, g.tenant, &batch)
	return sent, failed(err, "read the scopes")
}

// eachHeld runs step over the partitions, and reports whether all are held.
func eachHeld(partitions []*partition, step func(index)) bool {
	for _, p := range partitions {
		p.mu.RLock()
		held := p.index != nil
		if held {
			step(p.index)
		}
		p.mu.RUnlock()
		if !held { // somebody failed to catch up meanwhile
			return false
		}
	}
	return true
}

// Get returns memories by ID: those that a search of this glance has found
// without asking the database again, if they are kept.
func (g *glance) Get(ctx context.Context, ids []uuid.UUID) ([]zerodb.Memory, error) {
	return getKept(ctx, g.reader, g.current, ids)
}
