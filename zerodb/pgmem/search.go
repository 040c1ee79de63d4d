package pgmem

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/zerodb"
)

// Search answers from what the process holds, once that is up to date.
func (s *session) Search(ctx context.Context, now time.Time, searches []zerodb.Search) ([]zerodb.Candidates, error) {
	finders := make([]*finder, len(searches))
	views := map[zerodb.Scope]*view{}
	for i := range searches {
		allowed, err := s.allowed(ctx, &searches[i].Filter, now)
		if err != nil {
			return nil, err
		}
		scopes, err := s.viewsOf(ctx, searches[i].Filter.Audience, views)
		if err != nil {
			return nil, err
		}
		f := newFinder(&searches[i], rowFilterOf(&searches[i].Filter, now, allowed))
		if err := s.run(ctx, f, scopes); err != nil {
			return nil, err
		}
		finders[i] = f
	}
	if err := exactly(ctx, s.reader, finders); err != nil {
		return nil, err
	}
	return candidates(finders), nil
}

func candidates(finders []*finder) []zerodb.Candidates {
	found := make([]zerodb.Candidates, len(finders))
	for i, f := range finders {
		found[i] = f.candidates()
	}
	return found
}

// run looks through the scopes twice: for the words' frequencies, and for the best.
func (s *session) run(ctx context.Context, f *finder, views []*view) error {
	for _, step := range []func(index){func(x index) { x.count(f) }, func(x index) { x.find(f) }} {
		for _, v := range views {
			if err := s.each(ctx, v, step); err != nil {
				return err
			}
		}
		if f.idf == nil {
			f.counted()
		}
	}
	return nil
}

// allowed returns the memories that fulfil the parts of the filter which only the
// database can answer; nil when there are none.
func (s *session) allowed(ctx context.Context, f *zerodb.Filter, now time.Time) (map[uuid.UUID]bool, error) {
	if !asksDatabase(f) {
		return nil, nil //nolint:nilnil // nil is "any", as documented
	}
	q := whereOf(s.tenant, f, now)
	ids, err := collect(ctx, s.statements, "filter memories", pgx.RowTo[uuid.UUID], `SELECT m.memory_uuid FROM memories m`+q.where(), q.arguments...)
	if err != nil {
		return nil, err
	}
	allowed := make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		allowed[id] = true
	}
	return allowed, nil
}

// view is a scope as this transaction sees it.
type view struct {
	scope zerodb.Scope
	// held is what the process holds, up to date; nil when the scope is read in pieces.
	held *partition
}

// scopesQuery reads the counts of some scopes; one that has never had a memory has none.
const scopesQuery = `
	SELECT scope_kind, scope_name, changed FROM memory_partitions
	JOIN unnest($2::text[], $3::text[]) AS t (scope_kind, scope_name) USING (scope_kind, scope_name) WHERE tenant_uuid = $1`

const everyScopeQuery = `SELECT scope_kind, scope_name, changed FROM memory_partitions WHERE tenant_uuid = $1`

// viewsOf returns the audience's scopes that have memories.
func (s *session) viewsOf(ctx context.Context, audience zerodb.Audience, known map[zerodb.Scope]*view) ([]*view, error) {
	scopes := audience.Scopes()
	all := len(scopes) > 0
	for _, scope := range scopes {
		_, seen := known[scope]
		all = all && seen
	}
	if !all {
		query, arguments := everyScopeQuery, []any{s.tenant}
		if scopes != nil {
			kinds, names := scopeArrays(scopes)
			query, arguments = scopesQuery, append(arguments, kinds, names)
			for _, scope := range scopes {
				known[scope] = nil // for those without a row
			}
		}
		states, err := collect(ctx, s.statements, "read the scopes", pgx.RowToStructByPos[scopeState], query, arguments...)
		if err != nil {
			return nil, err
		}
		if err := s.seeAll(ctx, states, audience.Everyone, known); err != nil {
			return nil, err
		}
		for _, state := range states {
			if audience.Everyone {
				scopes = append(scopes, state.scope())
			}
		}
	}
	if slices.Contains(scopes, zerodb.TenantScope()) && known[zerodb.TenantScope()] == nil {
		s.seeNothing(zerodb.TenantScope())
	}
	var views []*view
	for _, scope := range scopes {
		if v := known[scope]; v != nil {
			views = append(views, v)
		}
	}
	return views, nil
}

type scopeState struct {
	Kind, Name string
	Changed    int64
}

func (s scopeState) scope() zerodb.Scope {
	return zerodb.Scope{Kind: zerodb.ScopeKind(s.Kind), Name: s.Name}
}

// seeNothing holds that a scope has never had a memory. That is worth holding of the tenant's
// scope alone, which every search looks into.
func (s *session) seeNothing(scope zerodb.Scope) {
	if s.private {
		return
	}
	p, _ := s.backend.cache.get(partitionKey{s.tenant, scope}, false)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.index == nil && !p.large {
		p.index, p.changed = newWhole(), -1
	}
}

// seeAll brings what the process holds of the scopes up to date. What a search over all scopes makes the
// process let go, it looks at again, for it may have room in compact form. Each whole scope let go makes room for
// some ten, so that it is soon done.
func (s *session) seeAll(ctx context.Context, states []scopeState, everyone bool, known map[zerodb.Scope]*view) error {
	if everyone {
		s.backend.cache.touch(s.tenant)
	}
	pending, evicted := states, s.backend.cache.evictions()
	for round := 0; len(pending) > 0 && round < 8; round++ {
		var again []scopeState
		for _, state := range pending {
			v, err := s.see(ctx, state.scope(), state, everyone)
			if err != nil {
				return err
			}
			known[state.scope()] = v
			if now := s.backend.cache.evictions(); everyone && now != evicted {
				evicted = now
				again = append(again, s.release(states, known)...)
			}
		}
		pending = again
	}
	return nil
}

// release forgets what the process has let go meanwhile, for this search not to keep it in memory, and returns whose it was.
func (s *session) release(states []scopeState, known map[zerodb.Scope]*view) (dropped []scopeState) {
	s.current = slices.DeleteFunc(s.current, (*partition).isDropped)
	for _, state := range states {
		if v := known[state.scope()]; v != nil && v.held != nil && v.held.isDropped() {
			v.held = nil
			dropped = append(dropped, state)
		}
	}
	return dropped
}

// see brings what the process holds of a scope up to date.
func (s *session) see(ctx context.Context, scope zerodb.Scope, state scopeState, everyone bool) (*view, error) {
	v := &view{scope: scope}
	if s.private {
		return v, nil
	}
	p, due := s.backend.cache.get(partitionKey{s.tenant, scope}, everyone)
	current, err := s.upToDate(ctx, p, state, due, everyone)
	if err != nil {
		return nil, err
	}
	if current {
		v.held = p
		s.current = append(s.current, p)
	}
	return v, nil
}

// upToDate reports whether p holds the scope and is not behind; if it is
// behind it catches up. False is for a scope that is too large to hold, or for which there is no room.
func (s *session) upToDate(ctx context.Context, p *partition, state scopeState, due, everyone bool) (bool, error) {
	p.mu.RLock()
	current, large := p.index != nil && p.changed >= state.Changed, p.large
	p.mu.RUnlock()
	if current && !due || large {
		return current, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.large {
		return false, nil
	}
	if p.index != nil && p.changed >= state.Changed { // or somebody else was faster
		if !due || !isCompact(p.index) {
			return true, nil
		}
		return true, s.promote(ctx, p)
	}
	// Nothing is known of the index if this is left half way.
	index, since := p.index, p.changed
	p.index = nil
	index, err := s.renew(ctx, p, index, since, everyone)
	p.large = errors.Is(err, errTooLarge)
	if err != nil {
		s.backend.cache.resized(p, nil, everyone)
		if p.large || errors.Is(err, errNoRoom) {
			return false, nil
		}
		return false, err
	}
	if !s.backend.cache.resized(p, index, everyone) {
		s.backend.cache.resized(p, nil, everyone)
		return false, nil
	}
	p.index, p.changed = index, state.Changed
	return true, nil
}

// renew catches an index up, or makes a new one where that can't be done or does not pay.
func (s *session) renew(ctx context.Context, p *partition, x index, since int64, everyone bool) (index, error) {
	if x != nil && !x.wasteful() {
		listed, err := s.catchUp(ctx, p.key.scope, x, since)
		if err != nil && !errors.Is(err, errTooLarge) || err == nil && listed {
			return x, err
		}
	}
	return s.load(ctx, p, everyone)
}

// promote makes a compact index a whole one. If that turns out too large, the compact one stays.
func (s *session) promote(ctx context.Context, p *partition) error {
	whole := newWhole()
	switch err := s.fill(ctx, p.key.scope, whole, -1); {
	case errors.Is(err, errTooLarge):
		s.backend.cache.refuse(p)
		return nil
	case err != nil:
		return err
	}
	p.index = whole
	s.backend.cache.promoted(p, whole)
	return nil
}
