package pgmem

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/zerodb"
)

// session reads, and once it has locks writes, in one transaction.
type session struct {
	backend *Backend
	tx      engardedb.Tx
	locked  []lockedScope
	bumped  bool
	// private: the transaction has changed memories. What it reads from then on
	// is not committed, and must not come into what the process holds.
	private bool
}

type lockedScope struct {
	scope   zerodb.Scope
	changed int64 // the scope's count before this session
}

// lock takes the scopes' rows, in one order for all, and makes those that lack.
func (s *session) lock(ctx context.Context, scopes []zerodb.Scope) error {
	const create = `
		INSERT INTO memory_partitions (tenant_uuid, scope_kind, scope_name)
		SELECT $1, * FROM unnest($2::text[], $3::text[]) ON CONFLICT DO NOTHING`
	scopes = sortedScopes(scopes)
	kinds, names := scopeArrays(scopes)
	for try := range 2 {
		if err := s.lockThose(ctx, kinds, names); err != nil {
			return err
		}
		if len(s.locked) == len(scopes) {
			return nil
		}
		if try == 0 {
			if _, err := s.tx.Exec(ctx, create, s.tx.Tenant(), kinds, names); err != nil {
				return failed(err, "begin a scope")
			}
		}
	}
	return zerodb.Unavailable(nil, "the scopes to change could not be locked")
}

func (s *session) lockThose(ctx context.Context, kinds, names []string) error {
	const query = `
		SELECT scope_kind, scope_name, changed, coalesce(current_setting('zerodb.wrote', true), '') = 'yes'
		FROM memory_partitions JOIN unnest($2::text[], $3::text[]) AS t (scope_kind, scope_name) USING (scope_kind, scope_name)
		WHERE tenant_uuid = $1 ORDER BY scope_kind, scope_name FOR UPDATE OF memory_partitions`
	rows, err := s.tx.Query(ctx, query, s.tx.Tenant(), kinds, names)
	s.locked, err = collect(rows, err, "lock the scopes", func(row pgx.CollectableRow) (l lockedScope, err error) {
		err = row.Scan(&l.scope.Kind, &l.scope.Name, &l.changed, &s.private)
		return l, err
	})
	return err
}

// bump counts the change, once a session, and marks the transaction.
func (s *session) bump(ctx context.Context) error {
	if s.bumped {
		return nil
	}
	const query = `
		WITH bumped AS (
			UPDATE memory_partitions p SET changed = p.changed + 1
			FROM unnest($2::text[], $3::text[]) AS t (scope_kind, scope_name)
			WHERE p.tenant_uuid = $1 AND (p.scope_kind, p.scope_name) = (t.scope_kind, t.scope_name)
		)
		SELECT set_config('zerodb.wrote', 'yes', true)`
	kinds, names, _ := s.lockedArrays()
	if _, err := s.tx.Exec(ctx, query, s.tx.Tenant(), kinds, names); err != nil {
		return failed(err, "count a change")
	}
	s.bumped, s.private = true, true
	return nil
}

func (s *session) lockedArrays() (kinds, names []string, changed []int64) {
	for _, l := range s.locked {
		kinds, names, changed = append(kinds, string(l.scope.Kind)), append(names, l.scope.Name), append(changed, l.changed)
	}
	return kinds, names, changed
}

// Put writes memories.
func (s *session) Put(ctx context.Context, memories []zerodb.Memory) error {
	if len(memories) == 0 {
		return nil
	}
	for i := range memories {
		if !slices.ContainsFunc(s.locked, func(l lockedScope) bool { return l.scope == memories[i].Scope }) {
			return fmt.Errorf("pgmem: a memory of %s is written in a change of other scopes", memories[i].Scope)
		}
	}
	arrays, err := arraysOf(memories)
	if err != nil {
		return err
	}
	if err := s.bump(ctx); err != nil {
		return err
	}
	kinds, names, changed := s.lockedArrays()
	arguments := append([]any{s.tx.Tenant()}, arrays.arguments()...)
	tag, err := s.tx.Exec(ctx, putStatement, append(arguments, kinds, names, changed)...)
	if err != nil {
		return failed(err, "write memories")
	}
	if int(tag.RowsAffected()) != len(memories) {
		return &zerodb.Error{Kind: zerodb.ErrConflict, Field: "id", Message: "a memory of that ID exists in another scope or with another type"}
	}
	return nil
}

// keptDeletions is for how many changes of a scope its deletions stay listed.
const keptDeletions = 1000

// Delete deletes memories and lists them as deleted, for other processes to see.
func (s *session) Delete(ctx context.Context, ids []uuid.UUID) error {
	if len(ids) == 0 {
		return nil
	}
	if err := s.bump(ctx); err != nil {
		return err
	}
	const statement = `
		WITH scopes AS (
			SELECT * FROM unnest($3::text[], $4::text[], $5::bigint[]) AS s (scope_kind, scope_name, changed)
		), gone AS (
			DELETE FROM memories m USING scopes s
			WHERE m.tenant_uuid = $1 AND m.memory_uuid = ANY ($2) AND (m.scope_kind, m.scope_name) = (s.scope_kind, s.scope_name)
			RETURNING m.scope_kind, m.scope_name, s.changed + 1 AS changed, m.memory_uuid
		), listed AS (
			INSERT INTO memory_deletions (tenant_uuid, scope_kind, scope_name, changed, memory_uuid)
			SELECT $1, * FROM gone ON CONFLICT DO NOTHING
		), forgotten AS (
			DELETE FROM memory_deletions d USING scopes s
			WHERE d.tenant_uuid = $1 AND (d.scope_kind, d.scope_name) = (s.scope_kind, s.scope_name) AND d.changed <= s.changed - $6
			RETURNING d.scope_kind, d.scope_name, s.changed - $6 AS changed
		)
		UPDATE memory_partitions p SET deletions_from = greatest(p.deletions_from, f.changed)
		FROM (SELECT DISTINCT * FROM forgotten) f
		WHERE p.tenant_uuid = $1 AND (p.scope_kind, p.scope_name) = (f.scope_kind, f.scope_name)`
	kinds, names, changed := s.lockedArrays()
	_, err := s.tx.Exec(ctx, statement, s.tx.Tenant(), ids, kinds, names, changed, keptDeletions)
	return failed(err, "delete memories")
}

// Get returns memories by ID.
func (s *session) Get(ctx context.Context, ids []uuid.UUID) ([]zerodb.Memory, error) {
	const query = `SELECT ` + memoryColumns + ` FROM ` + memoryTables + ` WHERE m.tenant_uuid = $1 AND m.memory_uuid = ANY ($2)`
	rows, err := s.tx.Query(ctx, query, s.tx.Tenant(), ids)
	return collect(rows, err, "read memories", scanMemory)
}

// Versions returns the memories of each identity.
func (s *session) Versions(ctx context.Context, identities []zerodb.Identity) ([][]zerodb.Memory, error) {
	const query = `SELECT ` + memoryColumns + ` FROM ` + memoryTables + ` WHERE m.tenant_uuid = $1 AND m.identity = ANY ($2)`
	hashes := make([][]byte, len(identities))
	position := make(map[zerodb.Identity]int, len(identities))
	for i, id := range identities {
		hashes[i], position[id] = identityHash(id.Value), i
	}
	rows, err := s.tx.Query(ctx, query, s.tx.Tenant(), hashes)
	memories, err := collect(rows, err, "read versions", scanMemory)
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
func (s *session) Stats(ctx context.Context, model string) (zerodb.Stats, error) {
	const query = `
		SELECT agent, type, count(*), count(*) FILTER (WHERE $2 <> '' AND model <> $2)
		FROM memories WHERE tenant_uuid = $1 GROUP BY agent, type`
	stats := zerodb.Stats{ByType: map[zerodb.Type]int{}, ByAgent: map[string]int{}}
	agents := map[string]int{}
	rows, err := s.tx.Query(ctx, query, s.tx.Tenant(), model)
	_, err = collect(rows, err, "count memories", func(row pgx.CollectableRow) (struct{}, error) {
		var agent string
		var typ zerodb.Type
		var count, pending int
		err := row.Scan(&agent, &typ, &count, &pending)
		stats.Memories += count
		stats.Pending += pending
		stats.ByType[typ] += count
		agents[agent] += count
		return struct{}{}, err
	})
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
func (s *session) List(ctx context.Context, now time.Time, filter zerodb.Filter, order zerodb.Order, limit int) ([]zerodb.Memory, error) {
	q := whereOf(s.tx.Tenant(), &filter, now)
	if !order.Recent && order.After != uuid.Nil {
		q.and("m.memory_uuid > %s", order.After)
	}
	by := "m.memory_uuid"
	if order.Recent {
		by = "m.valid_from DESC, m.memory_uuid"
	}
	sql := `SELECT ` + memoryColumns + ` FROM ` + memoryTables + q.where() + ` ORDER BY ` + by + q.format(` LIMIT %s`, limit)
	rows, err := s.tx.Query(ctx, sql, q.arguments...)
	return collect(rows, err, "list memories", scanMemory)
}
