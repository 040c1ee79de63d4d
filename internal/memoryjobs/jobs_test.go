package memoryjobs_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/internal/memoryjobs"
	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/pgmem"
	"github.com/engardehq/madansara/zerodb/zerodbtest"
)

const (
	agent = "walker_seo_001"
	soon  = 60 * time.Second
)

type bundle struct {
	db       *engardedb.DB
	tenant   uuid.UUID
	clock    *clockwork.FakeClock
	embedder *zerodbtest.Hashing
	store    *pgmem.Backend
	client   *zerodb.Client
	jobs     *memoryjobs.Jobs
	queue    *jobs.Queue
}

func embedded(db *engardedb.DB) zerodb.Backend { return pgmem.New(db, pgmem.Config{}) }

func setup(t *testing.T) *bundle {
	t.Helper()
	return setupIn(t, embedded)
}

// setupIn has memories in the back end that open returns.
func setupIn(t *testing.T, open func(*engardedb.DB) zerodb.Backend) *bundle {
	t.Helper()
	url, db := dbtest.App(t, "madan_sara_app")
	b := &bundle{db: db, tenant: dbtest.Tenant(t, url), clock: clockwork.NewFakeClockAt(time.Now()), embedder: &zerodbtest.Hashing{}}
	backend := open(db)
	b.store, _ = backend.(*pgmem.Backend)
	b.jobs = memoryjobs.New(db, b.clock)
	logger := slog.New(slog.DiscardHandler)
	var err error
	b.client, err = zerodb.New(zerodb.Config{Backend: backend, Embedder: b.embedder, Clock: b.clock, Logger: logger, Changed: b.jobs.Changed})
	require.NoError(t, err)
	workers := river.NewWorkers()
	b.jobs.RegisterWorkers(workers, b.client)
	b.queue, err = jobs.New(db, jobs.Config{Workers: workers, Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 2}}, Logger: logger})
	require.NoError(t, err)
	b.jobs.UseQueue(b.queue)
	t.Cleanup(func() { require.NoError(t, b.client.Close(context.Background())) })
	return b
}

func (b *bundle) start(t *testing.T) {
	t.Helper()
	require.NoError(t, b.queue.Start(context.Background()))
	t.Cleanup(func() { require.NoError(t, b.queue.Stop(context.Background())) })
}

func (b *bundle) memory() zerodb.Tenant { return b.client.Tenant(b.tenant) }

// waiting counts the unfinished jobs of a kind.
func (b *bundle) waiting(t require.TestingT, kind string) (n int) {
	require.NoError(t, b.db.Pool().QueryRow(context.Background(),
		"select count(*) from river.river_job where kind = $1 and state in ('available', 'scheduled', 'retryable', 'running')", kind).Scan(&n))
	return n
}

func TestWhatWasStoredWithoutAVectorIsEmbeddedLater(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.embedder.SetDown(true)
	receipt, err := b.memory().Store(t.Context(), agent, zerodb.Semantic, "Marie prefers WhatsApp", nil, 0)
	require.NoError(t, err)
	require.False(t, receipt.Embedded)
	require.Equal(t, 1, b.waiting(t, "embed_memories"))
	b.embedder.SetDown(false)
	b.start(t)
	require.Eventually(t, func() bool {
		m, err := b.memory().Get(context.Background(), receipt.ID)
		return err == nil && m.Vector != nil
	}, soon, 10*time.Millisecond)
	require.Eventually(t, func() bool { return b.waiting(t, "embed_memories") == 0 }, soon, 10*time.Millisecond)
}

func TestAnAbsentEmbedderIsWaitedFor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.embedder.SetDown(true)
	_, err := b.memory().Store(t.Context(), agent, zerodb.Semantic, "Marie prefers WhatsApp", nil, 0)
	require.NoError(t, err)
	b.start(t)
	require.Eventually(t, func() bool {
		var attempts, snoozes int
		err := b.db.Pool().QueryRow(context.Background(), `select count(*) filter (where state = 'scheduled' and scheduled_at > now() + interval '30 s'),
			coalesce(max((metadata ->> 'snoozes')::int), 0) from river.river_job where kind = 'embed_memories'`).Scan(&attempts, &snoozes)
		return err == nil && attempts == 1 && snoozes == 1
	}, soon, 10*time.Millisecond, "it puts itself off, and uses up no attempt")
}

func TestATenantWithMemoriesHasOneUpkeep(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, content := range []string{"one thing", "another matter", "a third"} {
		_, err := b.memory().Store(t.Context(), agent, zerodb.ShortTerm, content, nil, 0)
		require.NoError(t, err)
		b.clock.Advance(11 * time.Minute) // so that it is not just believed
	}
	require.Equal(t, 1, b.waiting(t, "upkeep_memories"))
	require.Zero(t, b.waiting(t, "embed_memories"), "nothing waits")

	b.clock.Advance(36 * time.Hour)
	// The time of the job comes.
	_, err := b.db.Pool().Exec(t.Context(), "update river.river_job set scheduled_at = now(), state = 'available'")
	require.NoError(t, err)
	b.start(t)
	require.Eventually(t, func() bool {
		stats, err := b.memory().Stats(context.Background())
		return err == nil && stats.Memories == 0
	}, soon, 10*time.Millisecond)
	require.Eventually(t, func() bool { return b.waiting(t, "upkeep_memories") == 0 }, soon, 10*time.Millisecond, "nothing is left to look after")
}

func TestMemoriesAndTheirJobsCommitTogether(t *testing.T) {
	t.Parallel()
	b := setup(t)
	store := func(outcome error) error {
		return b.db.Tenant(t.Context(), b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
			_, err := b.jobs.StoreTx(ctx, tx, b.store, b.client, []zerodb.Item{{Agent: agent, Type: zerodb.Episodic, Content: "Marie bought a red bag"}})
			require.NoError(t, err)
			return outcome
		})
	}
	require.ErrorIs(t, store(context.Canceled), context.Canceled)
	require.Zero(t, b.waiting(t, "embed_memories"))
	require.NoError(t, store(nil))
	require.Equal(t, 1, b.waiting(t, "embed_memories"))
	require.Equal(t, 1, b.waiting(t, "upkeep_memories"), "what was rolled back is not believed")
}
