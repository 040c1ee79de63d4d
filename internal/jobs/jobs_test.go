package jobs_test

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/jobs"
)

type args struct {
	Name string `json:"name"`
}

func (args) Kind() string { return "test" }

type worker struct {
	river.WorkerDefaults[args]
	db     *engardedb.DB
	tenant uuid.UUID
	work   func(ctx context.Context, w *worker, job *river.Job[args]) error
}

func (w *worker) Work(ctx context.Context, job *river.Job[args]) error { return w.work(ctx, w, job) }

// started returns a working queue with a pool of its own, as a process has.
func started(t *testing.T, url string, tenant uuid.UUID, work func(ctx context.Context, w *worker, job *river.Job[args]) error) *jobs.Queue {
	t.Helper()
	db := dbtest.Pool(t, url, "madan_sara_app")
	workers := river.NewWorkers()
	require.NoError(t, river.AddWorkerSafely(workers, &worker{db: db, tenant: tenant, work: work}))
	queue, err := jobs.New(db, jobs.Config{
		Workers: workers, Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 5}},
		PollInterval: 100 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	require.NoError(t, queue.Start(context.WithoutCancel(t.Context())))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, queue.Stop(ctx))
	})
	return queue
}

func enqueue(t *testing.T, db *engardedb.DB, tenant uuid.UUID, queue *jobs.Queue, name string, opts *river.InsertOpts) error {
	t.Helper()
	return db.Tenant(t.Context(), tenant, func(ctx context.Context, tx engardedb.Tx) error {
		return queue.Enqueue(ctx, tx, args{Name: name}, opts)
	})
}

func TestAJobCommitsWithItsCause(t *testing.T) {
	t.Parallel()
	url, db := dbtest.App(t, "madan_sara_app")
	tenant := dbtest.Tenant(t, url)
	ran := make(chan string, 10)
	queue := started(t, url, tenant, func(_ context.Context, _ *worker, job *river.Job[args]) error {
		ran <- job.Args.Name
		return nil
	})
	require.ErrorIs(t, db.Tenant(t.Context(), tenant, func(ctx context.Context, tx engardedb.Tx) error {
		require.NoError(t, queue.Enqueue(ctx, tx, args{Name: "rolled back"}, nil))
		return pgx.ErrTxClosed
	}), pgx.ErrTxClosed)
	require.NoError(t, enqueue(t, db, tenant, queue, "committed", nil))
	require.Equal(t, "committed", <-ran)
	require.Empty(t, ran)
}

func TestOnceAllowsOneUnfinishedJob(t *testing.T) {
	t.Parallel()
	url, db := dbtest.App(t, "madan_sara_app")
	tenant := dbtest.Tenant(t, url)
	ran, goOn := make(chan string), make(chan struct{})
	queue := started(t, url, tenant, func(ctx context.Context, w *worker, job *river.Job[args]) error {
		ran <- job.Args.Name
		<-goOn
		return w.db.Tenant(ctx, w.tenant, func(ctx context.Context, tx engardedb.Tx) error { return jobs.Complete(ctx, tx, job) })
	})
	once := &river.InsertOpts{UniqueOpts: jobs.Once()}
	require.NoError(t, enqueue(t, db, tenant, queue, "a", once))
	require.Equal(t, "a", <-ran)
	require.NoError(t, enqueue(t, db, tenant, queue, "a", once))
	require.Equal(t, 1, count(t, db, "true"))
	goOn <- struct{}{}
	require.Eventually(t, func() bool { return count(t, db, "state = 'completed'") == 1 }, time.Minute, 10*time.Millisecond)
	require.NoError(t, enqueue(t, db, tenant, queue, "a", once))
	require.Equal(t, "a", <-ran)
	close(goOn)
}

func count(t *testing.T, db *engardedb.DB, where string) (n int) {
	t.Helper()
	require.NoError(t, db.Pool().QueryRow(t.Context(), "SELECT count(*) FROM river.river_job WHERE "+where).Scan(&n))
	return n
}

// The jobs of a process that is gone are run by another; those of a living one are not.
func TestOnlyADeadProcessIsTakenOver(t *testing.T) {
	t.Parallel()
	url, db := dbtest.App(t, "madan_sara_app")
	tenant := dbtest.Tenant(t, url)
	var mu sync.Mutex
	runs := map[string]int{}
	ran, goOn := make(chan string, 10), make(chan struct{})
	work := func(_ context.Context, _ *worker, job *river.Job[args]) error {
		mu.Lock()
		runs[job.Args.Name]++
		mu.Unlock()
		ran <- job.Args.Name
		if job.Args.Name == "of the living" {
			<-goOn
		}
		return nil
	}
	queue := started(t, url, tenant, work)
	require.NoError(t, enqueue(t, db, tenant, queue, "of the living", nil))
	require.Equal(t, "of the living", <-ran)
	started(t, url, tenant, work) // looks at the first as well as at the dead

	// What a killed process leaves: a running job that names it, and no lock.
	_, err := db.Pool().Exec(t.Context(), `INSERT INTO river.river_job (state, attempt, max_attempts, attempted_at, attempted_by, args, kind, queue, priority)
		VALUES ('running', 1, 25, now(), ARRAY['earlier', 'madansara-dead'], '{"name":"of the dead"}', 'test', 'default', 1)`)
	require.NoError(t, err)
	began := time.Now()
	require.Equal(t, "of the dead", <-ran)
	require.Less(t, time.Since(began), 20*time.Second)
	require.Equal(t, 1, count(t, db, `errors[1] ->> 'error' = 'The process that ran this job died.'`))
	close(goOn)
	require.Eventually(t, func() bool { return count(t, db, "state = 'completed'") == 2 }, time.Minute, 10*time.Millisecond)
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, map[string]int{"of the living": 1, "of the dead": 1}, runs)
}

// A process whose connection breaks takes its lock again before it counts as dead.
func TestABrokenConnectionIsNotDeath(t *testing.T) {
	t.Parallel()
	url, db := dbtest.App(t, "madan_sara_app")
	tenant := dbtest.Tenant(t, url)
	ran, goOn := make(chan string, 10), make(chan struct{})
	work := func(_ context.Context, _ *worker, job *river.Job[args]) error {
		ran <- job.Args.Name
		<-goOn
		return nil
	}
	queue := started(t, url, tenant, work)
	require.NoError(t, enqueue(t, db, tenant, queue, "long", nil))
	require.Equal(t, "long", <-ran)
	started(t, url, tenant, work)
	root, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer root.Close(context.WithoutCancel(t.Context()))
	holders := func() (pids []int32) {
		rows, err := root.Query(t.Context(), `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
		require.NoError(t, err)
		pids, err = pgx.CollectRows(rows, pgx.RowTo[int32])
		require.NoError(t, err)
		return pids
	}
	before := holders()
	require.Len(t, before, 2)
	for _, pid := range before {
		_, err := root.Exec(t.Context(), "SELECT pg_terminate_backend($1)", pid)
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool {
		after := holders()
		return len(after) == 2 && after[0] != before[0] && after[0] != before[1]
	}, time.Minute, 10*time.Millisecond)
	close(goOn)
	require.Eventually(t, func() bool { return count(t, db, "state = 'completed'") == 1 }, time.Minute, 10*time.Millisecond)
	require.Empty(t, ran, "the job ran once")
}

func TestUnsafeTimesAreRefused(t *testing.T) {
	t.Parallel()
	_, db := dbtest.App(t, "madan_sara_app")
	for _, cfg := range []jobs.Config{
		{JobTimeout: time.Minute, RescueAfter: time.Minute},
		{JobTimeout: time.Minute, RescueAfter: time.Second},
		{JobTimeout: -1},
	} {
		_, err := jobs.New(db, cfg)
		require.ErrorContains(t, err, "must")
	}
}

func TestAJobLearnsThatItShouldEnd(t *testing.T) {
	t.Parallel()
	url, db := dbtest.App(t, "madan_sara_app")
	tenant := dbtest.Tenant(t, url)
	ran := make(chan string)
	queue := started(t, url, tenant, func(ctx context.Context, _ *worker, job *river.Job[args]) error {
		ran <- job.Args.Name
		for !jobs.Stopping(ctx) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			runtime.Gosched()
		}
		return river.JobSnooze(0)
	})
	require.NoError(t, enqueue(t, db, tenant, queue, "endless", nil))
	require.Equal(t, "endless", <-ran)
	require.NoError(t, queue.Stop(t.Context()))
	require.Equal(t, 1, count(t, db, "state = 'available'"))
}
