package pgmem

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/zerodb"
)

// errTooLarge says that a scope does not fit into the cache.
var errTooLarge = errors.New("pgmem: the scope does not fit into the cache")

// piece is how many memories of a scope are read at once.
const piece = 2000

// indexed is what an index needs of a memory.
type indexed struct {
	memory  zerodb.Memory // only the fields that index.put reads
	changed int64
}

// changesQuery reads what a scope gained or changed after one count, in pieces: by count
// and ID. A memory that changes meanwhile moves to the end, and is read there.
const changesQuery = `
	SELECT memory_uuid, agent, type, content, importance, prior, successes, failures, updated_at, valid_from, valid_until, expires_at,
		vector, model, changed
	FROM memories
	WHERE tenant_uuid = $1 AND scope_kind = $2 AND scope_name = $3 AND (changed, memory_uuid) > ($4, $5)
	ORDER BY changed, memory_uuid LIMIT $6`

func scanIndexed(row pgx.CollectableRow) (indexed, error) {
	var i indexed
	m := &i.memory
	var vector []byte
	var validUntil, expiresAt *time.Time
	err := row.Scan(&m.ID, &m.Agent, &m.Type, &m.Content, &m.Importance, &m.Prior, &m.Successes, &m.Failures, &m.UpdatedAt,
		&m.ValidFrom, &validUntil, &expiresAt, &vector, &m.Model, &i.changed)
	m.Vector = zerodb.VectorOf(vector)
	if validUntil != nil {
		m.ValidUntil = *validUntil
	}
	if expiresAt != nil {
		m.ExpiresAt = *expiresAt
	}
	return i, err
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
		rows, err := s.tx.Query(ctx, deletions, s.tx.Tenant(), string(scope.Kind), scope.Name, since)
		deleted, err := collect(rows, err, "read deletions", pgx.RowToStructByPos[deletion])
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
		rows, err := s.tx.Query(ctx, changesQuery, s.tx.Tenant(), string(scope.Kind), scope.Name, after, last, piece)
		memories, err := collect(rows, err, "read a scope", scanIndexed)
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
		x.put(&memories[i].memory, weights[i])
	}
}
