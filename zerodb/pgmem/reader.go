package pgmem

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/zerodb"
)

// statements runs statements of one tenant.
type statements interface {
	// run hands what a statement returned to read.
	run(ctx context.Context, read func(pgx.Rows) error, sql string, arguments ...any) error
}

// inTransaction runs statements in a transaction that goes on.
type inTransaction struct{ tx engardedb.Tx }

func (s inTransaction) run(ctx context.Context, read func(pgx.Rows) error, sql string, arguments ...any) error {
	rows, err := s.tx.Query(ctx, sql, arguments...)
	if err != nil {
		return err //nolint:wrapcheck // the caller says what it was for
	}
	defer rows.Close()
	return read(rows)
}

// alone runs each statement as a transaction of its own, in one round trip.
type alone struct {
	db     *engardedb.DB
	tenant uuid.UUID
}

func (s alone) run(ctx context.Context, read func(pgx.Rows) error, sql string, arguments ...any) error {
	var batch pgx.Batch
	batch.Queue(sql, arguments...).Query(read)
	return s.db.TenantBatch(ctx, s.tenant, &batch) //nolint:wrapcheck // the caller says what it was for
}

func collect[T any](ctx context.Context, s statements, doing string, scan pgx.RowToFunc[T], sql string, arguments ...any) (list []T, err error) {
	err = s.run(ctx, func(rows pgx.Rows) (err error) {
		list, err = pgx.CollectRows(rows, scan)
		return err
	}, sql, arguments...)
	return list, failed(err, doing)
}

// reader reads what takes one statement.
type reader struct {
	statements statements
	tenant     uuid.UUID
}

// Get returns memories by ID.
func (r reader) Get(ctx context.Context, ids []uuid.UUID) ([]zerodb.Memory, error) {
	const query = `SELECT ` + memoryColumns + ` FROM ` + memoryTables + ` WHERE m.tenant_uuid = $1 AND m.memory_uuid = ANY ($2)`
	return collect(ctx, r.statements, "read memories", scanMemory, query, r.tenant, ids)
}

// getKept returns memories by ID, those without asking the database that are kept in
// partitions of which it has said that they are current.
func getKept(ctx context.Context, r reader, current []*partition, ids []uuid.UUID) ([]zerodb.Memory, error) {
	missing, found := slices.Clone(ids), make([]zerodb.Memory, 0, len(ids))
	var failure error
	eachHeld(current, func(x index) {
		missing = slices.DeleteFunc(missing, func(id uuid.UUID) bool {
			m, err := x.memory(id)
			failure = cmp.Or(failure, err)
			if m != nil {
				found = append(found, *m)
			}
			return m != nil
		})
	})
	if failure != nil || len(missing) == 0 {
		return found, failure
	}
	read, err := r.Get(ctx, missing)
	return append(found, read...), err
}

// Versions returns the memories of each identity.
func (r reader) Versions(ctx context.Context, identities []zerodb.Identity) ([][]zerodb.Memory, error) {
	const query = `SELECT ` + memoryColumns + ` FROM ` + memoryTables + ` WHERE m.tenant_uuid = $1 AND m.identity = ANY ($2)`
	hashes := make([][]byte, len(identities))
	position := make(map[zerodb.Identity]int, len(identities))
	for i, id := range identities {
		hashes[i], position[id] = identityHash(id.Value), i
	}
	memories, err := collect(ctx, r.statements, "read versions", scanMemory, query, r.tenant, hashes)
	if err != nil {
		return nil, err
	}
	found := make([][]zerodb.Memory, len(identities))
	for _, m := range memories {
		// The same words in another scope or type are another identity.
		if i, asked := position[zerodb.Identity{Scope: m.Scope, Type: m.Type, Value: m.Identity()}]; asked {
			found[i] = append(found[i], m)
		}
	}
	return found, nil
}

// Stats counts the tenant's memories.
func (r reader) Stats(ctx context.Context, model string) (zerodb.Stats, error) {
	const query = `
		SELECT agent, type, count(*), count(*) FILTER (WHERE $2 <> '' AND model <> $2)
		FROM memories WHERE tenant_uuid = $1 GROUP BY agent, type`
	stats := zerodb.Stats{ByType: map[zerodb.Type]int{}, ByAgent: map[string]int{}}
	agents := map[string]int{}
	_, err := collect(ctx, r.statements, "count memories", func(row pgx.CollectableRow) (struct{}, error) {
		var agent string
		var typ zerodb.Type
		var count, pending int
		err := row.Scan(&agent, &typ, &count, &pending)
		stats.Memories += count
		stats.Pending += pending
		stats.ByType[typ] += count
		agents[agent] += count
		return struct{}{}, err
	}, query, r.tenant, model)
	stats.Agents = len(agents)
	names := slices.SortedFunc(maps.Keys(agents), func(a, b string) int {
		return cmp.Or(cmp.Compare(agents[b], agents[a]), cmp.Compare(a, b))
	})
	for _, name := range names[:min(len(names), zerodb.MaxStatsAgents)] {
		stats.ByAgent[name] = agents[name]
	}
	return stats, err
}

// List returns memories that the filter matches.
func (r reader) List(ctx context.Context, now time.Time, filter zerodb.Filter, order zerodb.Order, limit int) ([]zerodb.Memory, error) {
	q := whereOf(r.tenant, &filter, now)
	if !order.Recent && order.After != uuid.Nil {
		q.and("m.memory_uuid > %s", order.After)
	}
	by := "m.memory_uuid"
	if order.Recent {
		by = "m.valid_from DESC, m.memory_uuid"
	}
	sql := `SELECT ` + memoryColumns + ` FROM ` + memoryTables + q.where() + ` ORDER BY ` + by + q.format(` LIMIT %s`, limit)
	return collect(ctx, r.statements, "list memories", scanMemory, sql, q.arguments...)
}
