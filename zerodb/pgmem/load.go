package pgmem

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/zerodb"
)

// errTooLarge says that an index has grown beyond what it may take up.
var errTooLarge = errors.New("pgmem: the scope does not fit into the cache")

// errNoRoom says that a scope would fit, but not beside those that the same search looks into.
var errNoRoom = errors.New("pgmem: there is no room for the scope")

// piece is how many memories of a scope are read at once.
const piece = 2000

// indexed is what an index takes of a memory.
type indexed struct {
	memory   zerodb.Memory // without its metadata
	metadata []byte        // as it is stored; nil for none
	changed  int64
}

// These read what a scope gained or changed after one count, in pieces: by count and ID. A memory that
// changes meanwhile moves to the end, and is read there. A compact index takes less of it.
const (
	changesQuery        = `SELECT ` + memoryColumns + `, m.changed FROM ` + memoryTables + changesAfter
	compactChangesQuery = `SELECT m.memory_uuid, m.agent, m.type, m.content, m.valid_from, m.valid_until, m.expires_at, m.vector, m.model, m.changed
		FROM memories m` + changesAfter
	changesAfter = `
	WHERE m.tenant_uuid = $1 AND m.scope_kind = $2 AND m.scope_name = $3 AND (m.changed, m.memory_uuid) > ($4, $5)
	ORDER BY m.changed, m.memory_uuid LIMIT $6`
)

func scanIndexed(row pgx.CollectableRow) (indexed, error) {
	var r memoryRow
	var i indexed
	if err := row.Scan(append(r.targets(), &i.changed)...); err != nil {
		return i, fmt.Errorf("read a memory: %w", err)
	}
	i.memory = r.read()
	if string(r.metadata) != "{}" {
		i.metadata = r.metadata
	}
	return i, nil
}

func scanCompactIndexed(row pgx.CollectableRow) (indexed, error) {
	var r memoryRow
	var i indexed
	m := &r.memory
	err := row.Scan(&m.ID, &m.Agent, &m.Type, &m.Content, &m.ValidFrom, &r.validUntil, &r.expiresAt, &r.vector, &m.Model, &i.changed)
	if err != nil {
		return i, fmt.Errorf("read a memory: %w", err)
	}
	i.memory = r.read()
	return i, nil
}

// catchUp brings an index that includes the scope's changes until since to
// now. It reports false when the deletions since are not listed any more. What changes meanwhile
// may be included too.
func (s *session) catchUp(ctx context.Context, scope zerodb.Scope, x index, since int64) (bool, error) {
	// One statement, so that what it lists is listed from the count it reads.
	const deletions = `
		SELECT p.deletions_from, d.memory_uuid FROM memory_partitions p LEFT JOIN memory_deletions d
			ON (d.tenant_uuid, d.scope_kind, d.scope_name) = (p.tenant_uuid, p.scope_kind, p.scope_name) AND d.changed > $4
		WHERE p.tenant_uuid = $1 AND p.scope_kind = $2 AND p.scope_name = $3`
	type deletion struct {
		From int64
		ID   *uuid.UUID
	}
	deleted, err := collect(ctx, s.statements, "read deletions", pgx.RowToStructByPos[deletion], deletions, s.tenant, string(scope.Kind), scope.Name, since)
	if err != nil {
		return false, err
	}
	for _, d := range deleted {
		if d.From > since {
			return false, nil
		}
		if d.ID != nil {
			x.remove(*d.ID)
		}
	}
	return true, s.fill(ctx, scope, x, since)
}

// fill adds what changed after since to an index, as long as it does not grow too large.
func (s *session) fill(ctx context.Context, scope zerodb.Scope, x index, since int64) error {
	most := s.backend.cache.most(x)
	return s.pieces(ctx, scope, since, func() bool { return isCompact(x) }, func(memories []indexed) error {
		putAll(x, memories)
		if x.size() > most {
			return errTooLarge
		}
		return nil
	})
}

func isCompact(x index) bool {
	_, compact := x.(*compact)
	return compact
}

// load makes an index of a scope: a whole one if there is room for it that nothing must make, else a compact one.
func (s *session) load(ctx context.Context, p *partition, everyone bool) (index, error) {
	var x index
	fill := func(memories []indexed) (err error) {
		if x == nil {
			if x, err = s.choose(ctx, p, memories, everyone); err != nil {
				return err
			}
		} else {
			putAll(x, memories)
		}
		if x.size() > s.backend.cache.most(x) {
			return errTooLarge
		}
		return nil
	}
	err := s.pieces(ctx, p.key.scope, -1, func() bool { return isCompact(x) }, fill)
	if errors.Is(err, errTooLarge) && x != nil && !isCompact(x) { // its memories are larger than the first ones let expect
		x = newCompact()
		err = s.pieces(ctx, p.key.scope, -1, func() bool { return true }, fill)
	}
	if x == nil {
		x = newWhole() // there is none
	}
	return x, err
}

// choose begins the index of a scope by its first memories, and what they let expect of the others.
func (s *session) choose(ctx context.Context, p *partition, first []indexed, everyone bool) (index, error) {
	count, c := len(first), s.backend.cache
	if count == piece {
		const query = `SELECT count(*) FROM memories WHERE tenant_uuid = $1 AND scope_kind = $2 AND scope_name = $3`
		counts, err := collect(ctx, s.statements, "count a scope", pgx.RowTo[int], query, s.tenant, string(p.key.scope.Kind), p.key.scope.Name)
		if err != nil {
			return nil, err
		}
		count = max(count, counts[0])
	}
	expected := func(x index) int { return x.size() * count / len(first) }
	whole := newWhole()
	if putAll(whole, first); expected(whole) <= min(c.most(whole), c.free(p)) {
		return whole, nil
	}
	compact := newCompact()
	switch putAll(compact, first); {
	case expected(compact) > c.most(compact):
		return nil, errTooLarge
	case expected(compact) > c.room(p, everyone):
		return nil, errNoRoom
	default:
		return compact, nil
	}
}

// pieces reads the memories of a scope that changed after since: while compact, what a compact index takes of them.
func (s *session) pieces(ctx context.Context, scope zerodb.Scope, since int64, compact func() bool, fn func([]indexed) error) error {
	after, last := since, uuid.Max // behind every memory of the count since
	for {
		query, scan := changesQuery, scanIndexed
		if compact() {
			query, scan = compactChangesQuery, scanCompactIndexed
		}
		memories, err := collect(ctx, s.statements, "read a scope", scan, query, s.tenant, string(scope.Kind), scope.Name, after, last, piece)
		if err != nil {
			return err
		}
		if len(memories) > 0 {
			if err := fn(memories); err != nil {
				return err
			}
			end := &memories[len(memories)-1]
			after, last = end.changed, end.memory.ID
		}
		if len(memories) < piece {
			return nil
		}
	}
}

// each runs step over a scope: over what is held, else over pieces of it from the database.
func (s *session) each(ctx context.Context, v *view, step func(index)) error {
	if v.held != nil {
		v.held.mu.RLock()
		defer v.held.mu.RUnlock()
		if v.held.index != nil { // else somebody failed to catch up meanwhile
			step(v.held.index)
			return nil
		}
	}
	return s.pieces(ctx, v.scope, -1, func() bool { return false }, func(memories []indexed) error {
		x := newWhole()
		putAll(x, memories)
		step(x)
		return nil
	})
}
