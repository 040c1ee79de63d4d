package pgmem_test

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/pgmem"
	"github.com/engardehq/madansara/zerodb/zerodbtest"
)

func agentOf(n int) string { return fmt.Sprint("agent ", n) }

// fill stores count different memories of each of some agents.
func (b *bundle) fill(t *testing.T, agents, count int) {
	t.Helper()
	words := strings.Fields("red blue green bag hat shoe market coupon order rain mail late paid sold")
	var items []zerodb.Item
	for a := range agents {
		for i := range count {
			items = append(items, zerodb.Item{Agent: agentOf(a), Type: zerodb.LongTerm, Content: fmt.Sprintf("%s %s of customer%d at shop%d",
				words[i%len(words)], words[(i+a+1)%len(words)], i, a)})
		}
	}
	for chunk := range slices.Chunk(items, 500) {
		_, err := b.memory(0).StoreBatch(t.Context(), chunk)
		require.NoError(t, err)
	}
}

func (b *bundle) search(t require.TestingT, process int, q zerodb.Query) []zerodb.Hit {
	result, err := b.memory(process).Search(context.Background(), q)
	require.NoError(t, err)
	return result.Hits
}

// requireAlike demands the same scores, and the same memories where scores tell which.
func requireAlike(t require.TestingT, wanted, hits []zerodb.Hit, about ...any) {
	require.Len(t, hits, len(wanted), about...)
	ids := func(list []zerodb.Hit) (ids []uuid.UUID) {
		for _, hit := range list {
			if hit.Score > wanted[len(wanted)-1].Score+1e-9 {
				ids = append(ids, hit.Memory.ID)
			}
		}
		return ids
	}
	for i := range wanted {
		require.InDelta(t, wanted[i].Score, hits[i].Score, 1e-9, about...)
	}
	if len(wanted) > 0 {
		require.ElementsMatch(t, ids(wanted), ids(hits), about...)
	}
}

// TestFormsAnswerAlike: whether scopes are held whole, compact, in either form or not at all,
// whoever changes what, and whatever is filtered.
func TestFormsAnswerAlike(t *testing.T) {
	t.Parallel()
	b := setup(t, pgmem.Config{}, pgmem.Config{}, pgmem.Config{CacheBytes: 1}, pgmem.Config{CacheBytes: 20_000})
	pgmem.Compactly(b.stores[1])
	words := strings.Fields("red blue green bag hat shoe market coupon")
	agents := []string{"a", "b", "c", "d"}
	another := tenants(t, b.url)
	rapid.Check(t, func(rt *rapid.T) {
		ctx := t.Context()
		b.tenant = another(t)
		for range rapid.IntRange(1, 4).Draw(rt, "steps") {
			by := b.memory(rapid.IntRange(0, len(b.clients)-1).Draw(rt, "process"))
			_, err := by.StoreBatch(ctx, rapid.SliceOfN(rapid.Custom(func(t *rapid.T) zerodb.Item {
				return zerodb.Item{
					Agent: rapid.SampledFrom(agents).Draw(t, "agent"), Type: rapid.SampledFrom(zerodb.Types()).Draw(t, "type"),
					Content:    strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 1, 6).Draw(t, "content"), " "),
					Scope:      rapid.SampledFrom([]zerodb.Scope{{}, {}, zerodb.GroupScope("seo"), zerodb.TenantScope()}).Draw(t, "scope"),
					Metadata:   zerodb.Metadata{"n": rapid.IntRange(0, 3).Draw(t, "n")},
					Importance: rapid.Float64Range(0.1, 0.9).Draw(t, "importance"),
				}
			}), 1, 20).Draw(rt, "items"))
			require.NoError(rt, err)
			list, err := by.List(ctx, zerodb.Filter{Audience: zerodb.Audience{Everyone: true}}, zerodb.Order{}, 1000)
			require.NoError(rt, err)
			for _, m := range rapid.Permutation(list).Draw(rt, "forgotten")[:min(len(list), rapid.IntRange(0, 3).Draw(rt, "deletions"))] {
				_, err = by.Forget(ctx, m.ID)
				require.NoError(rt, err)
			}
			for range 3 {
				q := zerodb.Query{
					Text: strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 1, 4).Draw(rt, "query"), " "), Limit: rapid.IntRange(1, 30).Draw(rt, "limit"),
					Mode:  rapid.SampledFrom([]zerodb.Mode{zerodb.ModeHybrid, zerodb.ModeText, zerodb.ModeDense}).Draw(rt, "mode"),
					Agent: rapid.SampledFrom(agents).Draw(rt, "asking"), Groups: rapid.SampledFrom([][]string{nil, {"seo"}}).Draw(rt, "groups"),
					Everyone: rapid.Bool().Draw(rt, "everyone"),
				}
				q.Filter.Types = rapid.SampledFrom([][]zerodb.Type{nil, nil, {zerodb.Semantic, zerodb.LongTerm}}).Draw(rt, "types")
				q.Filter.Agents = rapid.SampledFrom([][]string{nil, nil, {"a", "b"}}).Draw(rt, "by")
				q.Filter.Where = rapid.SampledFrom([][]zerodb.Condition{nil, nil, {zerodb.Range("n", 1, 2)}}).Draw(rt, "where")
				wanted := b.search(rt, 0, q)
				for process := 1; process < len(b.clients); process++ {
					requireAlike(rt, wanted, b.search(rt, process, q), "process %d, %+v", process, q)
				}
			}
		}
	})
	require.Zero(t, b.stores[0].CacheStats().Compact)
	require.Positive(t, b.stores[1].CacheStats().Compact)
}

// TestASearchOverAllScopesIsAnsweredFromTheCache where they fit in compact form, though not whole.
func TestASearchOverAllScopesIsAnsweredFromTheCache(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	counted := &trips{}
	cfg := engardedb.Defaults(url)
	cfg.Role, cfg.Tracer = "madan_sara_app", counted
	db, err := engardedb.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(db.Close)
	const limit = 500_000
	b := &bundle{db: db, clock: clockwork.NewFakeClockAt(start), tenant: dbtest.Tenant(t, url)}
	b.open(t, pgmem.Config{}, pgmem.Config{CacheBytes: limit})
	const agents = 40
	b.fill(t, agents, 25)
	for round := range 5 {
		q := zerodb.Query{Everyone: true, Text: fmt.Sprintf("red coupon of customer7 at shop%d", round)}
		wanted := b.search(t, 0, q)
		evicted, before := b.stores[1].CacheStats().Evicted, counted.n.Load()
		requireAlike(t, wanted, b.search(t, 1, q))
		if round > 0 {
			require.LessOrEqual(t, counted.n.Load()-before, int64(4), "asked, compared, compared what was unsure, read")
			require.Equal(t, evicted, b.stores[1].CacheStats().Evicted, "nothing was let go")
		}
		stats := b.stores[1].CacheStats()
		require.LessOrEqual(t, stats.Bytes, limit)
		require.Equal(t, agents, stats.Scopes)
		require.Positive(t, stats.Compact)
		require.Less(t, stats.Compact, agents, "what there is room for is whole")
	}
	require.Greater(t, b.stores[0].CacheStats().Bytes, limit, "whole they would not have fit")
}

// TestWhatDoesNotFitEvenCompactIsRight: and does not push out what fits.
func TestWhatDoesNotFitEvenCompactIsRight(t *testing.T) {
	t.Parallel()
	const limit = 60_000
	b := setup(t, pgmem.Config{}, pgmem.Config{CacheBytes: limit})
	b.fill(t, 20, 25)
	for round := range 4 {
		q := zerodb.Query{Everyone: true, Text: fmt.Sprintf("red coupon of customer7 at shop%d", round)}
		evicted := b.stores[1].CacheStats().Evicted
		requireAlike(t, b.search(t, 0, q), b.search(t, 1, q))
		stats := b.stores[1].CacheStats()
		require.LessOrEqual(t, stats.Bytes, limit)
		require.Positive(t, stats.Compact)
		if round > 1 {
			require.LessOrEqual(t, stats.Evicted-evicted, 20, "entries of what does not fit come and go")
		}
	}
}

// TestWhoAsksOftenIsHeldWhole: a compact scope takes the room of whole ones that nobody asked for meanwhile,
// and of no others.
func TestWhoAsksOftenIsHeldWhole(t *testing.T) {
	t.Parallel()
	const limit = 150_000
	b := setup(t, pgmem.Config{}, pgmem.Config{CacheBytes: limit})
	b.fill(t, 3, 40)
	ask := func(a int) {
		q := zerodb.Query{Agent: agentOf(a), Text: "red coupon of customer7"}
		requireAlike(t, b.search(t, 0, q), b.search(t, 1, q))
		require.LessOrEqual(t, b.stores[1].CacheStats().Bytes, limit)
	}
	for a := range 3 {
		ask(a)
	}
	compact := b.stores[1].CacheStats().Compact
	require.Positive(t, compact, "there was no room for all whole")
	require.Less(t, compact, 3)
	for range 30 { // by turns: no one more often than the others
		for a := range 3 {
			ask(a)
		}
	}
	require.Equal(t, compact, b.stores[1].CacheStats().Compact)
	require.Zero(t, b.stores[1].CacheStats().Evicted)
	for range 30 { // the last, that came when there was no room
		ask(2)
	}
	require.Positive(t, b.stores[1].CacheStats().Evicted)
	require.Less(t, b.stores[1].CacheStats().Compact, compact)
}

// TestFormsChangeWhileAllSearch: searches and changes go on while a cache that is too small lets scopes go, takes
// them in compact form and makes them whole.
func TestFormsChangeWhileAllSearch(t *testing.T) {
	t.Parallel()
	b := setup(t, pgmem.Config{}, pgmem.Config{CacheBytes: 100_000}, pgmem.Config{CacheBytes: 100_000})
	const agents = 5
	b.fill(t, agents, 30)
	var working sync.WaitGroup
	for a := range agents {
		working.Go(func() {
			for i := range 12 {
				process := 1 + (a+i)%2
				receipts, err := b.memory(process).StoreBatch(t.Context(), []zerodb.Item{{Agent: agentOf(a), Type: zerodb.LongTerm, Content: fmt.Sprintf("umbrella%d%d", a, i)}})
				if !noError(t, err) {
					return
				}
				result, err := b.memory(3-process).Search(t.Context(), zerodb.Query{Agent: agentOf(a), Everyone: i%3 == 0, Text: fmt.Sprintf("umbrella%d%d", a, i)})
				if !noError(t, err) {
					return
				}
				if len(result.Hits) == 0 || result.Hits[0].Memory.ID != receipts[0].ID {
					t.Errorf("what agent %d has stored is not found", a)
				}
				if i%2 == 0 {
					_, err = b.memory(process).Forget(t.Context(), receipts[0].ID)
					noError(t, err)
				}
			}
		})
	}
	working.Wait()
	for a := range agents {
		for _, everyone := range []bool{true, false} {
			q := zerodb.Query{Agent: agentOf(a), Everyone: everyone, Text: "umbrella red coupon", Limit: 20}
			wanted := b.search(t, 0, q)
			requireAlike(t, wanted, b.search(t, 1, q))
			requireAlike(t, wanted, b.search(t, 2, q))
		}
	}
}

func noError(t *testing.T, err error) bool {
	if err != nil {
		t.Error(err)
	}
	return err == nil
}

// TestRecallOfACompactScope compares what a search finds with an exact one's, under filters too, in a
// scope of many times what is compared.
func TestRecallOfACompactScope(t *testing.T) {
	t.Parallel()
	b := setup(t, pgmem.Config{}, pgmem.Config{})
	pgmem.Compactly(b.stores[1])
	embedder, scope := &zerodbtest.Hashing{}, zerodb.AgentScope(agent)
	words := strings.Fields("red blue green bag hat shoe market coupon order rain mail late paid sold tea rice oil salt")
	var memories []zerodb.Memory
	for i := range 4000 {
		content := fmt.Sprintf("%s %s %s %s", words[i%18], words[i/18%18], words[i/324%18], words[(i*7)%18])
		vectors, err := embedder.Embed(t.Context(), []string{content})
		require.NoError(t, err)
		vector, err := zerodb.Normalize(vectors[0])
		require.NoError(t, err)
		id := uuid.Must(uuid.NewV7())
		memories = append(memories, zerodb.Memory{
			ID: id, Lineage: id, Agent: agentOf(i % 3), Type: zerodb.Types()[i/7%6], Scope: scope, Content: content, Importance: 0.5, Prior: 0.8, Mentions: 1,
			CreatedAt: start, UpdatedAt: start, ValidFrom: start.Add(-time.Duration(i) * time.Minute), Vector: vector, Model: embedder.Model(),
		})
	}
	require.NoError(t, b.stores[0].Change(t.Context(), b.tenant, []zerodb.Scope{scope}, func(ctx context.Context, w zerodb.Writer) error { return w.Put(ctx, memories) }))
	filters := []zerodb.Filter{{}, {Types: []zerodb.Type{zerodb.Semantic}}, {Agents: []string{agentOf(1)}}, {From: start.Add(-20 * time.Hour)}}
	cosines := func(process int, filter zerodb.Filter, vector []float32) (list []float64) {
		filter.Audience.Agent = agent
		require.NoError(t, b.stores[process].View(t.Context(), b.tenant, func(ctx context.Context, r zerodb.Reader) error {
			found, err := r.Search(ctx, b.clock.Now(), []zerodb.Search{{
				Filter: filter, Vector: vector, Model: embedder.Model(), Limit: 50,
			}})
			for _, c := range found[0].List {
				list = append(list, c.Cosine)
			}
			return err
		}))
		slices.Sort(list)
		slices.Reverse(list)
		return list
	}
	found, asked := 0.0, 0
	for i := 0; i < len(memories); i += 100 {
		filter := filters[i/100%len(filters)]
		exact, compact := cosines(0, filter, memories[i].Vector), cosines(1, filter, memories[i].Vector)
		require.Len(t, compact, 50)
		for rank := range 10 {
			asked++
			if math.Abs(exact[rank]-compact[rank]) < 1e-6 {
				found++
			}
		}
	}
	require.GreaterOrEqual(t, found/float64(asked), 0.97)
}

// open adds processes to a bundle.
func (b *bundle) open(t *testing.T, configs ...pgmem.Config) {
	t.Helper()
	for _, cfg := range configs {
		store := pgmem.New(b.db, cfg)
		client, err := zerodb.New(zerodb.Config{
			Backend: store, Embedder: &zerodbtest.Hashing{}, Clock: b.clock, Logger: slog.New(slog.DiscardHandler), FlushRecalls: time.Hour,
		})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, client.Close(context.Background())) })
		b.clients, b.stores = append(b.clients, client), append(b.stores, store)
	}
}
