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
	found := make([]zerodb.Candidates, len(searches))
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
		found[i] = f.candidates()
	}
	return found, nil
}

// run looks through the scopes twice: for the words' frequencies, and for the best.
func (s *session) run(ctx context.Context, f *finder, views []*view) error {
	for _, step := range []func(*index){f.count, f.find} {
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

// viewsOf returns the audience's scopes that have memories.
func (s *session) viewsOf(ctx context.Context, audience zerodb.Audience, known map[zerodb.Scope]*view) ([]*view, error) {
	const every = `SELECT scope_kind, scope_name, changed FROM memory_partitions WHERE tenant_uuid = $1`
	scopes := audience.Scopes()
	all := len(scopes) > 0
	for _, scope := range scopes {
		_, seen := known[scope]
		all = all && seen
	}
	if !all {
		query, arguments := every, []any{s.tenant}
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
		for _, state := range states {
			scope := state.scope()
			v, err := s.see(ctx, scope, state)
			if err != nil {
				return nil, err
			}
			known[scope] = v
			if audience.Everyone {
				scopes = append(scopes, scope)
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
	p := s.backend.cache.get(partitionKey{s.tenant, scope})
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.index == nil && !p.large {
		p.index, p.changed = newIndex(), -1
	}
}

// see brings what the process holds of a scope up to date.
func (s *session) see(ctx context.Context, scope zerodb.Scope, state scopeState) (*view, error) {
	v := &view{scope: scope}
	if s.private {
		return v, nil
	}
	p := s.backend.cache.get(partitionKey{s.tenant, scope})
	current, err := s.upToDate(ctx, p, state)
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
// behind it catches up. False is for a scope that is too large to hold.
func (s *session) upToDate(ctx context.Context, p *partition, state scopeState) (bool, error) {
	p.mu.RLock()
	current, large := p.index != nil && p.changed >= state.Changed, p.large
	p.mu.RUnlock()
	if current || large {
		return current, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.large:
		return false, nil
	case p.index != nil && p.changed >= state.Changed:
		return true, nil // somebody else was faster
	}
	index, since := p.index, p.changed
	if index == nil || index.wasteful() {
		index, since = newIndex(), -1
	}
	// Nothing is known of the index if this is left half way.
	p.index = nil
	listed, err := s.catchUp(ctx, p.key.scope, index, since)
	if err == nil && !listed {
		index = newIndex()
		_, err = s.catchUp(ctx, p.key.scope, index, -1)
	}
	if errors.Is(err, errTooLarge) {
		p.large = true
		s.backend.cache.resized(p, 0)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	p.index, p.changed = index, state.Changed
	s.backend.cache.resized(p, index.bytes)
	return true, nil
}
