package pgmem_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const agent = "walker_seo_001"

type bundle struct {
	url     string
	db      *engardedb.DB
	clock   *clockwork.FakeClock
	tenant  uuid.UUID
	clients []*zerodb.Client // one a process
	stores  []*pgmem.Backend
}

// setup returns as many processes as there are configurations, on one database.
func setup(t *testing.T, configs ...pgmem.Config) *bundle {
	t.Helper()
	url, db := dbtest.App(t, "madan_sara_app")
	b := &bundle{url: url, db: db, clock: clockwork.NewFakeClockAt(start), tenant: dbtest.Tenant(t, url)}
	b.open(t, configs...)
	return b
}

func (b *bundle) memory(process int) zerodb.Tenant { return b.clients[process].Tenant(b.tenant) }

func (b *bundle) find(t require.TestingT, process int, text string) []string {
	hits, err := b.memory(process).Retrieve(context.Background(), agent, text, "", 50, 0)
	require.NoError(t, err)
	found := make([]string, len(hits))
	for i := range hits {
		found[i] = hits[i].Memory.Content
	}
	return found
}

func item(content string) zerodb.Item {
	return zerodb.Item{Agent: agent, Type: zerodb.Semantic, Content: content}
}

// TestReplicasAreNeverStale: whatever process changes a memory, every other
// answers with the change at once, and all answer as a scan of the table would.
func TestReplicasAreNeverStale(t *testing.T) {
	t.Parallel()
	// The third holds nothing, the fourth all compact, the last what little fits.
	b := setup(t, pgmem.Config{}, pgmem.Config{}, pgmem.Config{CacheBytes: 1}, pgmem.Config{}, pgmem.Config{CacheBytes: 10_000})
	pgmem.Compactly(b.stores[3])
	words := strings.Fields("red blue green bag hat shoe")
	rapid.Check(t, func(rt *rapid.T) {
		ctx := t.Context()
		for range rapid.IntRange(1, 6).Draw(rt, "steps") {
			by := rapid.IntRange(0, len(b.clients)-1).Draw(rt, "process")
			content := strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 1, 3).Draw(rt, "content"), " ")
			list, err := b.memory(by).List(ctx, zerodb.Filter{Audience: zerodb.Audience{Agent: agent}}, zerodb.Order{}, 100)
			require.NoError(rt, err)
			var id uuid.UUID
			if len(list) > 0 {
				id = rapid.SampledFrom(list).Draw(rt, "memory").ID
			}
			switch kind := rapid.IntRange(0, 4).Draw(rt, "kind"); {
			case kind <= 1 || id == uuid.Nil:
				_, err = b.memory(by).StoreBatch(ctx, []zerodb.Item{item(content)})
			case kind == 2:
				_, err = b.memory(by).Forget(ctx, id)
			case kind == 3:
				_, err = b.memory(by).Correct(ctx, agent, id, content, nil)
			default:
				useful := true
				_, err = b.memory(by).Feedback(ctx, id, zerodb.Feedback{Useful: &useful})
			}
			require.NoError(rt, err)
			now, err := b.memory(0).List(ctx, zerodb.Filter{Audience: zerodb.Audience{Agent: agent}}, zerodb.Order{}, 100)
			require.NoError(rt, err)
			var wanted []string
			for _, m := range now {
				wanted = append(wanted, m.Content)
			}
			for process := range b.clients {
				require.ElementsMatch(rt, wanted, b.find(rt, process, "red blue green bag hat shoe"), "process %d", process)
			}
		}
	})
	require.Positive(t, b.stores[0].CacheStats().Bytes)
}

func TestMemoriesCommitWithTheirCause(t *testing.T) {
	t.Parallel()
	b := setup(t, pgmem.Config{}, pgmem.Config{})
	failure := errors.New("the cause did not happen")
	store := func(outcome error, contents ...string) error {
		return b.db.Tenant(t.Context(), b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
			for _, content := range contents {
				receipts, err := b.stores[0].StoreTx(ctx, tx, b.clients[0], []zerodb.Item{item(content)})
				require.NoError(t, err)
				require.Equal(t, zerodb.Created, receipts[0].Outcome)
			}
			return outcome
		})
	}
	require.ErrorIs(t, store(failure, "Marie bought a red bag", "Jean bought a blue hat"), failure)
	for process := range b.clients {
		require.Empty(t, b.find(t, process, "who bought"), "nothing of it was kept, nor held in the process")
	}
	require.NoError(t, store(nil, "Marie bought a red bag", "Jean bought a blue hat"))
	require.ErrorIs(t, store(failure, "Rose bought a green shoe"), failure)
	for process := range b.clients {
		require.ElementsMatch(t, []string{"Marie bought a red bag", "Jean bought a blue hat"}, b.find(t, process, "who bought"))
	}
	// Within one transaction the second sees the first.
	require.NoError(t, b.db.Tenant(t.Context(), b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		for i, want := range []zerodb.Outcome{zerodb.Created, zerodb.Merged, zerodb.Merged} {
			receipts, err := b.stores[0].StoreTx(ctx, tx, b.clients[0], []zerodb.Item{item("Rose bought a green shoe" + strings.Repeat("!", i))})
			require.NoError(t, err)
			require.Equal(t, want, receipts[0].Outcome)
		}
		return nil
	}))
}

func TestARemoteEmbedderIsNotAskedInATransaction(t *testing.T) {
	t.Parallel()
	b := setup(t, pgmem.Config{})
	require.NoError(t, b.db.Tenant(t.Context(), b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		receipts, err := b.stores[0].StoreTx(ctx, tx, b.clients[0], []zerodb.Item{item("Marie bought a red bag")})
		require.NoError(t, err)
		require.False(t, receipts[0].Embedded)
		return nil
	}))
	n, err := b.memory(0).EmbedPending(t.Context(), 10)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	stats, err := b.memory(0).Stats(t.Context())
	require.NoError(t, err)
	require.Zero(t, stats.Pending)
}

// TestTheCacheIsBounded: what does not fit is let go, or read from the database, and the answers stay.
func TestTheCacheIsBounded(t *testing.T) {
	t.Parallel()
	const limit = 400_000
	b := setup(t, pgmem.Config{CacheBytes: limit}, pgmem.Config{CacheBytes: 1}, pgmem.Config{})
	var items []zerodb.Item
	for a := range 6 {
		for i := range 60 {
			items = append(items, zerodb.Item{Agent: fmt.Sprint("agent ", a), Type: zerodb.LongTerm, Content: fmt.Sprintf("thing %d%d of agent %d is red", a, i, a)})
		}
	}
	_, err := b.memory(0).StoreBatch(t.Context(), items)
	require.NoError(t, err)
	for range 2 {
		for a := range 6 {
			var answers [3][]zerodb.Hit
			for process := range b.clients {
				answers[process], err = b.memory(process).Retrieve(t.Context(), fmt.Sprint("agent ", a), fmt.Sprintf("thing %d7 red", a), "", 20, 0)
				require.NoError(t, err)
				require.Equal(t, fmt.Sprintf("thing %d7 of agent %d is red", a, a), answers[process][0].Memory.Content)
			}
			for i := range answers[0] {
				require.InDelta(t, answers[0][i].Score, answers[1][i].Score, 1e-9)
				require.InDelta(t, answers[0][i].Score, answers[2][i].Score, 1e-9)
			}
			require.LessOrEqual(t, b.stores[0].CacheStats().Bytes, limit)
		}
	}
	require.Positive(t, b.stores[0].CacheStats().Evicted)
	require.Zero(t, b.stores[2].CacheStats().Evicted)
}

// TestWhoIsFarBehindStartsAnew: deletions are listed for a thousand changes.
func TestWhoIsFarBehindStartsAnew(t *testing.T) {
	t.Parallel()
	b := setup(t, pgmem.Config{}, pgmem.Config{})
	receipts, err := b.memory(0).StoreBatch(t.Context(), []zerodb.Item{item("Marie bought a red bag"), item("Jean sold a blue hat")})
	require.NoError(t, err)
	require.Len(t, b.find(t, 1, "bought sold"), 2)
	_, err = b.memory(0).Forget(t.Context(), receipts[0].ID)
	require.NoError(t, err)
	// A thousand changes, made short.
	require.NoError(t, b.db.Tenant(t.Context(), b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		_, err := tx.Exec(ctx, "update memory_partitions set changed = changed + 1000")
		return err
	}))
	last, err := b.memory(0).StoreBatch(t.Context(), []zerodb.Item{item("Rose lost a shoe")})
	require.NoError(t, err)
	_, err = b.memory(0).Forget(t.Context(), last[0].ID)
	require.NoError(t, err)
	var listed int
	require.NoError(t, b.db.Tenant(t.Context(), b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		return tx.QueryRow(ctx, "select count(*) from memory_deletions").Scan(&listed)
	}))
	require.Equal(t, 1, listed, "the old deletion is not listed any more")
	require.Equal(t, []string{"Jean sold a blue hat"}, b.find(t, 1, "bought sold lost"))
}

func TestAnUnknownTenantIsToldSo(t *testing.T) {
	t.Parallel()
	b := setup(t, pgmem.Config{})
	_, err := b.clients[0].Tenant(uuid.New()).Store(t.Context(), agent, zerodb.LongTerm, "x", nil, 0)
	require.ErrorIs(t, err, zerodb.ErrNotFound)
	_, err = b.clients[0].Tenant(uuid.Nil).Store(t.Context(), agent, zerodb.LongTerm, "x", nil, 0)
	require.ErrorIs(t, err, zerodb.ErrInvalid)
}
