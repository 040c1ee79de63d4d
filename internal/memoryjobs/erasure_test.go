package memoryjobs_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/memoryjobs"
	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/qdrant"
	"github.com/engardehq/madansara/zerodb/qdrant/qdranttest"
)

// away is a back end that can be away.
type away struct {
	zerodb.Backend

	away atomic.Bool
}

func (b *away) View(ctx context.Context, tenant uuid.UUID, fn func(context.Context, zerodb.Reader) error) error {
	if b.away.Load() {
		return zerodb.Unavailable(nil, "it is away")
	}
	return b.Backend.View(ctx, tenant, fn)
}

// inEachBackend runs a test with memories in PostgreSQL and in Qdrant.
func inEachBackend(t *testing.T, test func(t *testing.T, b *bundle)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		test(t, setup(t))
	})
	t.Run("qdrant", func(t *testing.T) {
		t.Parallel()
		server := qdranttest.Start(t, qdranttest.Options{})
		test(t, setupIn(t, func(*engardedb.DB) zerodb.Backend {
			backend, err := qdrant.New(qdrant.Config{URL: server.URL})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, backend.Close()) })
			_, err = backend.Init(t.Context())
			require.NoError(t, err)
			return backend
		}))
	})
}

func (b *bundle) remember(t *testing.T, agent string, typ zerodb.Type, subject, content string) {
	t.Helper()
	_, err := b.memory().Store(t.Context(), agent, typ, content, zerodb.Metadata{"subject": subject}, 0)
	require.NoError(t, err)
}

func (b *bundle) contents(t require.TestingT) []string {
	list, err := b.memory().List(context.Background(), zerodb.Filter{Audience: zerodb.Audience{Everyone: true}, History: true}, zerodb.Order{}, 100)
	require.NoError(t, err)
	texts := []string{}
	for i := range list {
		texts = append(texts, list[i].Content)
	}
	return texts
}

func TestAnErasureCommitsWithItsCauseAndLeavesAReceipt(t *testing.T) {
	t.Parallel()
	inEachBackend(t, func(t *testing.T, b *bundle) {
		b.remember(t, agent, zerodb.Semantic, "customer:42", "Marie prefers WhatsApp")
		b.remember(t, "walker_ads_002", zerodb.Episodic, "customer:marie", "she clicked an ad")
		b.remember(t, agent, zerodb.LongTerm, "", "wrote to marie@example.org")
		b.remember(t, agent, zerodb.LongTerm, "customer:43", "Pierre is somebody else")
		plan := func(outcome error) (id uuid.UUID) {
			err := b.db.Tenant(t.Context(), b.tenant, func(ctx context.Context, tx engardedb.Tx) (err error) {
				id, err = b.jobs.PlanErasureTx(ctx, tx, "user 7", memoryjobs.ContactErased,
					zerodb.Erasure{Subject: "customer:42", Aliases: []string{"customer:marie"}, Mentioning: []string{"marie@example.org"}})
				require.NoError(t, err)
				return outcome
			})
			require.ErrorIs(t, err, outcome)
			return id
		}
		plan(context.Canceled)
		id := plan(nil)
		require.Equal(t, 1, b.waiting(t, "erase_memories"))
		waiting, err := b.jobs.Erasure(t.Context(), b.tenant, id)
		require.NoError(t, err)
		require.True(t, waiting.FinishedAt.IsZero(), "it is to be seen before it is done")
		b.start(t)
		require.Eventually(t, func() bool {
			e, err := b.jobs.Erasure(context.Background(), b.tenant, id)
			return err == nil && !e.FinishedAt.IsZero()
		}, soon, 10*time.Millisecond)
		require.Equal(t, []string{"Pierre is somebody else"}, b.contents(t))

		receipt, err := b.jobs.Erasure(t.Context(), b.tenant, id)
		require.NoError(t, err)
		require.Equal(t, 3, receipt.Erased)
		require.Zero(t, receipt.Remaining)
		require.Equal(t, map[zerodb.Type]int{zerodb.Semantic: 1, zerodb.Episodic: 1, zerodb.LongTerm: 1}, receipt.ByType)
		require.Equal(t, []string{"walker_ads_002", agent}, receipt.Agents)
		require.Equal(t, "user 7", receipt.RequestedBy)
		require.Equal(t, memoryjobs.ContactErased, receipt.Cause)
		require.Equal(t, b.client.Backend().Name(), receipt.Backend)
		require.Len(t, receipt.Digest, 64)
		list, err := b.jobs.Erasures(t.Context(), b.tenant, uuid.Nil, 10)
		require.NoError(t, err)
		require.Equal(t, []memoryjobs.Erasure{receipt}, list, "what was rolled back left none")
		b.nothingNames(t, "marie", "customer:42")
	})
}

// nothingNames looks through all that is kept of erasures.
func (b *bundle) nothingNames(t *testing.T, words ...string) {
	t.Helper()
	var kept string
	require.NoError(t, b.db.Tenant(t.Context(), b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		return tx.QueryRow(ctx, "select string_agg(e::text, '') from memory_erasures e").Scan(&kept)
	}))
	var queued string
	require.NoError(t, b.db.Pool().QueryRow(t.Context(), "select string_agg(args::text, '') from river.river_job where kind = 'erase_memories'").Scan(&queued))
	for _, word := range words {
		require.NotContains(t, kept+queued, word)
	}
}

func TestAnErasureIsCarriedOutWhenTheMemoryIsBack(t *testing.T) {
	t.Parallel()
	away := &away{}
	b := setupIn(t, func(db *engardedb.DB) zerodb.Backend {
		away.Backend = embedded(db)
		return away
	})
	b.remember(t, agent, zerodb.Semantic, "customer:42", "Marie prefers WhatsApp")
	away.away.Store(true)
	_, err := b.jobs.Erase(t.Context(), b.client, b.tenant, "key 1", zerodb.Erasure{Subject: "customer:42"})
	require.ErrorIs(t, err, zerodb.ErrUnavailable)
	require.Equal(t, 1, b.waiting(t, "erase_memories"), "it was asked for, and is not lost")
	away.away.Store(false)
	_, err = b.db.Pool().Exec(t.Context(), "update river.river_job set scheduled_at = now(), state = 'available'")
	require.NoError(t, err)
	b.start(t)
	require.Eventually(t, func() bool { return len(b.contents(t)) == 0 }, soon, 10*time.Millisecond)
	require.Eventually(t, func() bool {
		list, err := b.jobs.Erasures(context.Background(), b.tenant, uuid.Nil, 10)
		return err == nil && len(list) == 1 && list[0].Erased == 1 && !list[0].FinishedAt.IsZero()
	}, soon, 10*time.Millisecond)
}

func TestErasuresArePagedAndATenantsOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var ids []uuid.UUID
	for range 3 {
		e, err := b.jobs.Erase(t.Context(), b.client, b.tenant, "key 1", zerodb.Erasure{Subject: "customer:42"})
		require.NoError(t, err)
		require.False(t, e.FinishedAt.IsZero())
		require.Zero(t, e.Erased)
		ids = append(ids, e.ID)
	}
	page, err := b.jobs.Erasures(t.Context(), b.tenant, uuid.Nil, 2)
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{ids[2], ids[1]}, []uuid.UUID{page[0].ID, page[1].ID})
	page, err = b.jobs.Erasures(t.Context(), b.tenant, ids[1], 2)
	require.NoError(t, err)
	require.Len(t, page, 1)
	require.Equal(t, ids[0], page[0].ID)
	_, err = b.jobs.Erasure(t.Context(), uuid.Must(uuid.NewV7()), ids[0])
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
	_, err = b.jobs.Erase(t.Context(), b.client, b.tenant, "key 1", zerodb.Erasure{})
	require.ErrorIs(t, err, zerodb.ErrInvalid)
	err = b.db.Tenant(t.Context(), b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		_, err := tx.Exec(ctx, "delete from memory_erasures")
		return err
	})
	require.ErrorContains(t, err, "permission denied", "a receipt is kept")
}

func TestARenamedSubjectIsFoundByItsNewName(t *testing.T) {
	t.Parallel()
	inEachBackend(t, func(t *testing.T, b *bundle) {
		b.remember(t, agent, zerodb.Semantic, "customer:2", "Marie prefers WhatsApp")
		require.NoError(t, b.db.Tenant(t.Context(), b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
			return b.jobs.RenameTx(ctx, tx, "customer:2", "customer:1")
		}))
		b.start(t)
		require.Eventually(t, func() bool {
			list, err := b.memory().List(context.Background(), zerodb.Filter{Audience: zerodb.Audience{Everyone: true}, Subject: "customer:1"}, zerodb.Order{}, 10)
			return err == nil && len(list) == 1
		}, soon, 10*time.Millisecond)
	})
}
