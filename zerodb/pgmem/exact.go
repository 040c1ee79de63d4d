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
// says of it. One statement reads it for as many searches as fit, and a second one for those that need more.
func exactly(ctx context.Context, r reader, finders []*finder) error {
	for len(finders) > 0 {
		n, ids := 0, map[uuid.UUID]bool{}
		for n < len(finders) && (n == 0 || len(ids) < comparedAtOnce) {
			near, text := finders[n].rough.first()
			addIDs(ids, near)
			addIDs(ids, text)
			n++
		}
		read, err := readCompared(ctx, r, ids, finders[:n])
		if err != nil {
			return err
		}
		clear(ids)
		for _, f := range finders[:n] {
			f.takeFirst(read)
			addIDs(ids, f.unsure())
		}
		if read, err = readCompared(ctx, r, ids, finders[:n]); err != nil {
			return err
		}
		for _, f := range finders[:n] {
			f.takeNear(f.unsure(), read)
		}
		finders = finders[n:]
	}
	return nil
}

func addIDs(set map[uuid.UUID]bool, list []glimpse) {
	for i := range list {
		set[list[i].id] = true
	}
}

func readCompared(ctx context.Context, r reader, ids map[uuid.UUID]bool, finders []*finder) (map[uuid.UUID]*zerodb.Memory, error) {
	if len(ids) == 0 {
		return nil, nil //nolint:nilnil // nothing was asked for
	}
	models := []string{}
	for _, f := range finders {
		if f.search.Vector != nil && f.rough.seen && !slices.Contains(models, f.search.Model) {
			models = append(models, f.search.Model)
		}
	}
	list, err := collect(ctx, r.statements, "compare memories", scanCompared, comparedQuery, r.tenant, slices.Collect(maps.Keys(ids)), models)
	if err != nil {
		return nil, err
	}
	read := make(map[uuid.UUID]*zerodb.Memory, len(list))
	for i := range list {
		read[list[i].ID] = &list[i]
	}
	return read, nil
}

func (f *finder) takeFirst(read map[uuid.UUID]*zerodb.Memory) {
	near, text := f.rough.first()
	f.text.add(f.candidatesOf(text, read, f.text.signal))
	f.takeNear(near, read)
}

func (f *finder) takeNear(near []glimpse, read map[uuid.UUID]*zerodb.Memory) {
	candidates := f.candidatesOf(near, read, f.dense.signal)
	f.dense.add(slices.DeleteFunc(candidates, func(c zerodb.Candidate) bool { return !c.HasCosine }))
}

// candidatesOf are those of the glimpses that are still there, the best first.
func (f *finder) candidatesOf(list []glimpse, read map[uuid.UUID]*zerodb.Memory, signal func(*zerodb.Candidate) float64) []zerodb.Candidate {
	candidates := make([]zerodb.Candidate, 0, len(list))
	for i := range list {
		m := read[list[i].id]
		if m == nil {
			continue // deleted since
		}
		c := zerodb.Candidate{ID: m.ID, Facts: zerodb.FactsOf(m), Text: list[i].text, Coverage: list[i].coverage}
		if f.search.Vector != nil && m.Model == f.search.Model && len(m.Vector) == len(f.search.Vector) {
			c.Cosine, c.HasCosine = float64(zerodb.Dot(f.search.Vector, m.Vector)), true
		}
		candidates = append(candidates, c)
	}
	slices.SortFunc(candidates, bySignal(signal))
	return candidates
}
