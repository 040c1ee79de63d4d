package pgmem

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/zerodb"
)

// errTooLarge says that a scope does not fit into the cache.
var errTooLarge = errors.New("pgmem: the scope does not fit into the cache")

// piece is how many memories of a scope are read at once.
const piece = 2000

// indexed is what an index takes of a memory.
type indexed struct {
	memory   zerodb.Memory // without its metadata
	metadata []byte        // as it is stored; nil for none
	changed  int64
}

// changesQuery reads what a scope gained or changed after one count, in pieces: by count
// and ID. A memory that changes meanwhile moves to the end, and is read there.
const changesQuery = `SELECT ` + memoryColumns + `, m.changed FROM ` + memoryTables + `
	WHERE m.tenant_uuid = $1 AND m.scope_kind = $2 AND m.scope_name = $3 AND (m.changed, m.memory_uuid) > ($4, $5)
	ORDER BY m.changed, m.memory_uuid LIMIT $6`

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

// catchUp brings an index that includes the scope's changes until since (-1: an empty one) to
// now. It reports false when the deletions since are not listed any more. What changes meanwhile
// may be included too.
func (s *session) catchUp(ctx context.Context, scope zerodb.Scope, x *index, since int64) (bool, error) {
	if since >= 0 {
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
	}
	return true, s.pieces(ctx, scope, since, func(memories []indexed) error {
		x.putAll(memories)
		if x.bytes > s.backend.cache.limit {
			return errTooLarge
		}
		return nil
	})
}

// pieces reads the memories of a scope that changed after since.
func (s *session) pieces(ctx context.Context, scope zerodb.Scope, since int64, fn func([]indexed) error) error {
	after, last := since, uuid.Max // behind every memory of the count since
	for {
		memories, err := collect(ctx, s.statements, "read a scope", scanIndexed, changesQuery, s.tenant, string(scope.Kind), scope.Name, after, last, piece)
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
func (s *session) each(ctx context.Context, v *view, step func(*index)) error {
	if v.held != nil {
		v.held.mu.RLock()
		defer v.held.mu.RUnlock()
		if v.held.index != nil { // else somebody failed to catch up meanwhile
			step(v.held.index)
			return nil
		}
	}
	return s.pieces(ctx, v.scope, -1, func(memories []indexed) error {
		x := newIndex()
		x.putAll(memories)
		step(x)
		return nil
	})
}

// putAll is put for many: their words are cut by as many goroutines as there are processors.
func (x *index) putAll(memories []indexed) {
	weights := make([]map[string]float32, len(memories))
	workers := min(runtime.GOMAXPROCS(0), len(memories)/64+1)
	done := make(chan struct{})
	for w := range workers {
		go func() {
			for i := w; i < len(memories); i += workers {
				weights[i] = zerodb.Weights(memories[i].memory.Content)
			}
			done <- struct{}{}
		}()
	}
	for range workers {
		<-done
	}
	for i := range memories {
		x.put(&memories[i], weights[i])
	}
}
