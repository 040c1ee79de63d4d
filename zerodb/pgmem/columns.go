package pgmem

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/zerodb"
)

// memoryColumns are read by scanMemory, in this order; m is memories, r is memory_recalls.
const memoryColumns = `m.memory_uuid, m.lineage_uuid, m.scope_kind, m.scope_name, m.agent, m.type, m.key, m.subject, m.content,
	m.metadata, m.service, m.source, m.reference, m.importance, m.prior, m.successes, m.failures, m.mentions,
	m.created_at, m.updated_at, m.valid_from, m.valid_until, m.superseded_by, m.expires_at, m.vector, m.model,
	r.recalls, r.last_recalled_at`

const memoryTables = `memories m LEFT JOIN memory_recalls r USING (tenant_uuid, memory_uuid)`

// memoryRow is a row of memoryColumns while it is read.
type memoryRow struct {
	memory                              zerodb.Memory
	metadata, vector                    []byte
	validUntil, expiresAt, lastRecalled *time.Time
	supersededBy                        *uuid.UUID
	recalls                             *int
}

// targets are where the columns go.
func (r *memoryRow) targets() []any {
	m := &r.memory
	return []any{
		&m.ID, &m.Lineage, &m.Scope.Kind, &m.Scope.Name, &m.Agent, &m.Type, &m.Key, &m.Subject, &m.Content,
		&r.metadata, &m.Provenance.Service, &m.Provenance.Source, &m.Provenance.Reference, &m.Importance, &m.Prior,
		&m.Successes, &m.Failures, &m.Mentions, &m.CreatedAt, &m.UpdatedAt, &m.ValidFrom, &r.validUntil, &r.supersededBy,
		&r.expiresAt, &r.vector, &m.Model, &r.recalls, &r.lastRecalled,
	}
}

// read returns the memory, without its metadata.
func (r *memoryRow) read() zerodb.Memory {
	m := r.memory
	m.Vector = zerodb.VectorOf(r.vector)
	m.CreatedAt, m.UpdatedAt, m.ValidFrom = m.CreatedAt.UTC(), m.UpdatedAt.UTC(), m.ValidFrom.UTC()
	for _, optional := range []struct {
		from *time.Time
		to   *time.Time
	}{{r.validUntil, &m.ValidUntil}, {r.expiresAt, &m.ExpiresAt}, {r.lastRecalled, &m.LastRecalledAt}} {
		if optional.from != nil {
			*optional.to = optional.from.UTC()
		}
	}
	if r.supersededBy != nil {
		m.SupersededBy = *r.supersededBy
	}
	if r.recalls != nil {
		m.Recalls = *r.recalls
	}
	return m
}

func scanMemory(row pgx.CollectableRow) (zerodb.Memory, error) {
	var r memoryRow
	if err := row.Scan(r.targets()...); err != nil {
		return zerodb.Memory{}, fmt.Errorf("read a memory: %w", err)
	}
	m := r.read()
	return m, decodeMetadata(r.metadata, &m)
}

func decodeMetadata(encoded []byte, m *zerodb.Memory) error {
	if len(encoded) == 0 || string(encoded) == "{}" {
		return nil
	}
	if err := json.Unmarshal(encoded, &m.Metadata); err != nil {
		return fmt.Errorf("read a memory's metadata: %w", err)
	}
	return nil
}

// putStatement writes memories given as one array a column, so that a batch of any
// size is one statement. An ID that exists in another scope or as another type is not written.
const putStatement = `
	INSERT INTO memories AS m (tenant_uuid, memory_uuid, lineage_uuid, scope_kind, scope_name, agent, type, key, identity, subject,
		content, metadata, service, source, reference, importance, prior, successes, failures, mentions,
		created_at, updated_at, valid_from, valid_until, superseded_by, expires_at, vector, model, changed)
	SELECT $1, t.*, s.changed + 1
	FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bytea[], $10::text[],
		$11::text[], $12::jsonb[], $13::text[], $14::text[], $15::text[], $16::float8[], $17::float8[], $18::int[], $19::int[], $20::int[],
		$21::timestamptz[], $22::timestamptz[], $23::timestamptz[], $24::timestamptz[], $25::uuid[], $26::timestamptz[], $27::bytea[], $28::text[])
		AS t (memory_uuid, lineage_uuid, scope_kind, scope_name, agent, type, key, identity, subject, content, metadata, service, source,
		reference, importance, prior, successes, failures, mentions, created_at, updated_at, valid_from, valid_until, superseded_by,
		expires_at, vector, model)
	JOIN unnest($29::text[], $30::text[], $31::bigint[]) AS s (scope_kind, scope_name, changed) USING (scope_kind, scope_name)
	ON CONFLICT (tenant_uuid, memory_uuid) DO UPDATE SET
		lineage_uuid = excluded.lineage_uuid, agent = excluded.agent, key = excluded.key, identity = excluded.identity,
		subject = excluded.subject, content = excluded.content, metadata = excluded.metadata, service = excluded.service,
		source = excluded.source, reference = excluded.reference, importance = excluded.importance, prior = excluded.prior,
		successes = excluded.successes, failures = excluded.failures, mentions = excluded.mentions,
		created_at = excluded.created_at, updated_at = excluded.updated_at, valid_from = excluded.valid_from,
		valid_until = excluded.valid_until, superseded_by = excluded.superseded_by, expires_at = excluded.expires_at,
		vector = excluded.vector, model = excluded.model, changed = excluded.changed
	WHERE (m.scope_kind, m.scope_name, m.type) = (excluded.scope_kind, excluded.scope_name, excluded.type)`

// memoryArrays are the arguments $2 to $28 of putStatement.
type memoryArrays struct {
	ids, lineages                                                                  []uuid.UUID
	kinds, names, agents, types, keys, subjects, contents, services, sources, refs []string
	identities, vectors                                                            [][]byte
	metadata                                                                       [][]byte
	importances, priors                                                            []float64
	successes, failures, mentions                                                  []int32
	created, updated, from                                                         []time.Time
	until, expires                                                                 []*time.Time
	superseded                                                                     []*uuid.UUID
	models                                                                         []string
}

func arraysOf(memories []zerodb.Memory) (*memoryArrays, error) {
	var a memoryArrays
	for i := range memories {
		m := &memories[i]
		metadata := []byte("{}")
		if len(m.Metadata) > 0 {
			var err error
			if metadata, err = json.Marshal(m.Metadata); err != nil {
				return nil, fmt.Errorf("write a memory's metadata: %w", err)
			}
		}
		a.ids, a.lineages = append(a.ids, m.ID), append(a.lineages, m.Lineage)
		a.kinds, a.names = append(a.kinds, string(m.Scope.Kind)), append(a.names, m.Scope.Name)
		a.agents, a.types, a.keys = append(a.agents, m.Agent), append(a.types, string(m.Type)), append(a.keys, m.Key)
		a.identities = append(a.identities, identityHash(m.Identity()))
		a.subjects, a.contents, a.metadata = append(a.subjects, m.Subject), append(a.contents, m.Content), append(a.metadata, metadata)
		a.services = append(a.services, m.Provenance.Service)
		a.sources, a.refs = append(a.sources, m.Provenance.Source), append(a.refs, m.Provenance.Reference)
		a.importances, a.priors = append(a.importances, m.Importance), append(a.priors, m.Prior)
		a.successes, a.failures = append(a.successes, int32(m.Successes)), append(a.failures, int32(m.Failures))
		a.mentions = append(a.mentions, int32(m.Mentions))
		a.created, a.updated, a.from = append(a.created, m.CreatedAt), append(a.updated, m.UpdatedAt), append(a.from, m.ValidFrom)
		a.until, a.expires = append(a.until, orNil(m.ValidUntil)), append(a.expires, orNil(m.ExpiresAt))
		a.superseded = append(a.superseded, idOrNil(m.SupersededBy))
		a.vectors, a.models = append(a.vectors, zerodb.VectorBytes(m.Vector)), append(a.models, m.Model)
	}
	return &a, nil
}

func (a *memoryArrays) arguments() []any {
	return []any{
		a.ids, a.lineages, a.kinds, a.names, a.agents, a.types, a.keys, a.identities, a.subjects, a.contents, a.metadata, a.services,
		a.sources, a.refs, a.importances, a.priors, a.successes, a.failures, a.mentions, a.created, a.updated, a.from, a.until,
		a.superseded, a.expires, a.vectors, a.models,
	}
}

func identityHash(identity string) []byte {
	sum := sha256.Sum256([]byte(identity))
	return sum[:]
}

func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func idOrNil(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

// scopeArrays are scopes as two arrays.
func scopeArrays(scopes []zerodb.Scope) (kinds, names []string) {
	for _, s := range scopes {
		kinds, names = append(kinds, string(s.Kind)), append(names, s.Name)
	}
	return kinds, names
}
