package pgmem

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/zerodb"
)

// comparedAtOnce bounds the vectors that are in the process at one time.
const comparedAtOnce = 5000

// comparedQuery reads what a rank depends on, as it is now, and the vectors of the models in $3.
const comparedQuery = `
	SELECT memory_uuid, type, importance, prior, successes, failures, valid_from, updated_at, model, CASE WHEN model = ANY ($3) THEN vector END
	FROM memories WHERE tenant_uuid = $1 AND memory_uuid = ANY ($2)`

func scanCompared(row pgx.CollectableRow) (m zerodb.Memory, err error) {
	var vector []byte
	err = row.Scan(&m.ID, &m.Type, &m.Importance, &m.Prior, &m.Successes, &m.Failures, &m.ValidFrom, &m.UpdatedAt, &m.Model, &vector)
	if err != nil {
		return m, fmt.Errorf("read a memory: %w", err)
	}
	m.ValidFrom, m.UpdatedAt, m.Vector = m.ValidFrom.UTC(), m.UpdatedAt.UTC(), zerodb.VectorOf(vector)
	return m, nil
}

// exactly ends searches: what compact indexes gave glimpses of becomes candidates, by what the database
// says of it. One statement reads it for as many searches as fit. The first error that occurs ends it.
func exactly(ctx context.Context, r reader, finders []*finder) error {
	for len(finders) > 0 {
		ids, models := map[uuid.UUID]bool{}, map[string]bool{}
		n := 0
		for n < len(finders) && (n == 0 || len(ids) < comparedAtOnce) {
			f := finders[n]
			f.rough.near.ids(ids)
			f.rough.text.ids(ids)
			if f.search.Vector != nil && f.rough.seen {
				models[f.search.Model] = true
			}
			n++
		}
		if len(ids) > 0 {
			list, err := collect(ctx, r.statements, "compare memories", scanCompared, comparedQuery, r.tenant,
				slices.Collect(maps.Keys(ids)), slices.AppendSeq([]string{}, maps.Keys(models)))
			if err != nil {
				return err
			}
			read := make(map[uuid.UUID]*zerodb.Memory, len(list))
			for i := range list {
				read[list[i].ID] = &list[i]
			}
			for _, f := range finders[:n] {
				f.exactly(read)
			}
		}
		finders = finders[n:]
	}
	return nil
}

// exactly takes the best of the glimpses to the other candidates.
func (f *finder) exactly(read map[uuid.UUID]*zerodb.Memory) {
	f.text.add(f.candidatesOf(&f.rough.text, read, f.text.signal))
	near := f.candidatesOf(&f.rough.near, read, f.dense.signal)
	f.dense.add(slices.DeleteFunc(near, func(c zerodb.Candidate) bool { return !c.HasCosine }))
}
