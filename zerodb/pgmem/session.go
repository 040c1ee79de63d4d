package pgmem

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/zerodb"
)

// session reads, and once it has locks writes, in one transaction.
type session struct {
	reader
	backend *Backend
	tx      engardedb.Tx
	locked  []lockedScope
	bumped  bool
	// current are partitions that a search of this session found to hold all that is committed.
	current []*partition
	// private: the transaction has changed memories. What it reads from then on
	// is not committed, and must not come into what the process holds.
	private bool
}

func newSession(b *Backend, tx engardedb.Tx) *session {
	return &session{reader: reader{inTransaction{tx}, tx.Tenant()}, backend: b, tx: tx}
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
			if _, err := s.tx.Exec(ctx, create, s.tenant, kinds, names); err != nil {
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
	var err error
	s.locked, err = collect(ctx, s.statements, "lock the scopes", func(row pgx.CollectableRow) (l lockedScope, err error) {
		err = row.Scan(&l.scope.Kind, &l.scope.Name, &l.changed, &s.private)
		return l, err
	}, query, s.tenant, kinds, names)
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
	if _, err := s.tx.Exec(ctx, query, s.tenant, kinds, names); err != nil {
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
	arguments := append([]any{s.tenant}, arrays.arguments()...)
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
	_, err := s.tx.Exec(ctx, statement, s.tenant, ids, kinds, names, changed, keptDeletions)
	return failed(err, "delete memories")
}

// Get returns memories by ID.
func (s *session) Get(ctx context.Context, ids []uuid.UUID) ([]zerodb.Memory, error) {
	if s.private { // what is kept lacks what this transaction wrote
		return s.reader.Get(ctx, ids)
	}
	return getKept(ctx, s.reader, s.current, ids)
}
