package fact_test

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engardehq/madansara/internal/core/fact"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/fault"
)

var facts = rapid.Custom(func(t *rapid.T) fact.Fact {
	f := fact.Fact{
		ID:       uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Filter(func(b []byte) bool { return uuid.UUID(b) != uuid.Nil }).Draw(t, "id")),
		DataType: rapid.SampledFrom([]string{"conversion", "consent"}).Draw(t, "type"),
		Source:   rapid.SampledFrom([]string{"madan-sara", "crm"}).Draw(t, "source"),
		Data:     fmt.Appendf(nil, `{"n":%d}`, rapid.IntRange(0, 99).Draw(t, "n")),
		// Few times, so that they tie.
		OccurredAt: now.Add(-time.Duration(rapid.IntRange(0, 3).Draw(t, "ago")) * time.Hour),
		CustomerID: rapid.SampledFrom([]string{"", "c1", "c2"}).Draw(t, "customer"),
	}
	if f.CustomerID != "" {
		f.Sequence = int64(rapid.IntRange(0, 4).Draw(t, "sequence"))
	}
	return f
})

// newer is the model's: which of two facts about a customer is the newer.
func newer(a, b fact.Fact) int {
	return cmp.Or(cmp.Compare(a.Sequence, b.Sequence), a.OccurredAt.Compare(b.OccurredAt), bytes.Compare(a.ID[:], b.ID[:]))
}

// TestWhateverTheOrder sends facts in any order, some again and again, and finds
// each once, and of each customer the newest.
func TestWhateverTheOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	rapid.Check(t, func(r *rapid.T) {
		tenant := dbtest.Tenant(t, b.url)
		sent := rapid.SliceOfNDistinct(facts, 1, 7, func(f fact.Fact) uuid.UUID { return f.ID }).Draw(r, "facts")
		again := rapid.SliceOfN(rapid.SampledFrom(sent), 0, 3).Draw(r, "again")
		fresh := 0
		for _, f := range rapid.Permutation(append(slices.Clone(sent), again...)).Draw(r, "order") {
			duplicate, err := b.facts.Receive(ctx, tenant, f)
			require.NoError(r, err)
			if !duplicate {
				fresh++
			}
		}
		require.Equal(r, len(sent), fresh)
		for _, customer := range []string{"c1", "c2"} {
			known, err := b.facts.Customer(ctx, tenant, customer)
			newest := newestOf(sent, customer)
			if len(newest) == 0 {
				require.Equal(r, fault.NotFound, fault.CodeOf(err))
				continue
			}
			require.NoError(r, err)
			require.Equal(r, newest, ids(known), customer)
		}
		dataType := rapid.SampledFrom([]string{"conversion", "consent"}).Draw(r, "listed type")
		filter := fact.Filter{
			Source:     rapid.SampledFrom([]string{"", "crm"}).Draw(r, "only source"),
			CustomerID: rapid.SampledFrom([]string{"", "c1"}).Draw(r, "only customer"),
			From:       rapid.SampledFrom([]time.Time{{}, now.Add(-2 * time.Hour)}).Draw(r, "from"),
			To:         rapid.SampledFrom([]time.Time{{}, now}).Draw(r, "to"),
		}
		limit := rapid.IntRange(1, 5).Draw(r, "limit")
		listed := []uuid.UUID{}
		for cursor, more := "", true; more; more = cursor != "" {
			page, next, err := b.facts.List(ctx, tenant, dataType, filter, cursor, limit)
			require.NoError(r, err)
			require.LessOrEqual(r, len(page), limit)
			listed, cursor = append(listed, ids(page)...), next
		}
		require.Equal(r, listOf(sent, dataType, filter), listed)
	})
}

func ids(facts []fact.Stored) []uuid.UUID {
	found := make([]uuid.UUID, len(facts))
	for i, f := range facts {
		found[i] = f.ID
	}
	return found
}

// newestOf is the newest fact of each type and source about a customer, by type and source.
func newestOf(sent []fact.Fact, customer string) []uuid.UUID {
	newest := map[string]fact.Fact{}
	for _, f := range sent {
		kind := f.DataType + " " + f.Source
		if known, ok := newest[kind]; f.CustomerID == customer && (!ok || newer(f, known) > 0) {
			newest[kind] = f
		}
	}
	var found []uuid.UUID
	for _, kind := range slices.Sorted(maps.Keys(newest)) {
		found = append(found, newest[kind].ID)
	}
	return found
}

// listOf is the ids of the facts that a filter lets through, those that became true last first.
func listOf(sent []fact.Fact, dataType string, filter fact.Filter) []uuid.UUID {
	sorted := slices.SortedFunc(slices.Values(sent), func(a, b fact.Fact) int {
		return -cmp.Or(a.OccurredAt.Compare(b.OccurredAt), bytes.Compare(a.ID[:], b.ID[:]))
	})
	found := []uuid.UUID{}
	for _, f := range sorted {
		if f.DataType == dataType && (filter.Source == "" || filter.Source == f.Source) && (filter.CustomerID == "" || filter.CustomerID == f.CustomerID) &&
			!f.OccurredAt.Before(filter.From) && (filter.To.IsZero() || f.OccurredAt.Before(filter.To)) {
			found = append(found, f.ID)
		}
	}
	return found
}
