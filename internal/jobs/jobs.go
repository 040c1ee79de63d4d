// Package jobs is the one way to run something later: a row in the database's
// job queue (River), which commits with the transaction that caused it.
//
// A job runs at least once. When a process is killed, another takes over its
// jobs within seconds (see liveness.go). Behind that stands River's own rescue:
// a job that is still marked as running after [Config].RescueAfter is run again.
// A job's context ends at JobTimeout, which is shorter, so that a job which is
// rescued has stopped.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/migrate"
)

const (
	defaultJobTimeout = time.Minute
	// minMargin is what a job may take to notice that its context has ended.
	minMargin           = 5 * time.Second
	defaultPollInterval = 250 * time.Millisecond
)

// Queue takes jobs and, once started, works them.
type Queue struct {
	client *river.Client[pgx.Tx]
	alive  *liveness // nil when this process only enqueues
	// stopping is closed when running jobs should come to an end.
	stopping chan struct{}
	stop     sync.Once
}

// Config says which jobs this process works and how a dead process's jobs are
// taken over.
type Config struct {
	// Schema holds the service's queue; empty is [migrate.RiverSchema].
	Schema string
	// Workers knows the job kinds; register them before New. Nil only enqueues.
	Workers *river.Workers
	// Queues names the queues to work and how many jobs of each at once.
	Queues map[string]river.QueueConfig
	// JobTimeout bounds one run of a job whose worker names no other. Zero is a minute.
	JobTimeout time.Duration
	// RescueAfter is when a job counts as stuck that nobody took over; it must
	// exceed JobTimeout by 5 s. Zero is twice the JobTimeout.
	RescueAfter time.Duration
	// PollInterval is how soon a job is seen whose notification was missed, and
	// one that has put itself off. Zero is 250 ms.
	PollInterval time.Duration
	PeriodicJobs []*river.PeriodicJob
	Logger       *slog.Logger
}

// withDefaults fills what is zero and refuses what cannot be safe.
func (c Config) withDefaults() (Config, error) {
	if c.Schema == "" {
		c.Schema = migrate.RiverSchema
	}
	if c.JobTimeout == 0 {
		c.JobTimeout = defaultJobTimeout
	}
	if c.RescueAfter == 0 {
		c.RescueAfter = max(2*c.JobTimeout, c.JobTimeout+minMargin)
	}
	if c.PollInterval == 0 {
		c.PollInterval = defaultPollInterval
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	switch {
	case c.JobTimeout < 0:
		return c, fmt.Errorf("jobs: JobTimeout %s: must be positive, for a job without an end is never known to be dead", c.JobTimeout)
	case c.RescueAfter < c.JobTimeout+minMargin:
		return c, fmt.Errorf("jobs: RescueAfter %s: must exceed JobTimeout %s by at least %s, or a live job would be run twice", c.RescueAfter, c.JobTimeout, minMargin)
	}
	return c, nil
}

// New returns a queue on db.
func New(db *engardedb.DB, cfg Config) (*Queue, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	id := "madansara-" + uuid.NewString()
	stopping := make(chan struct{})
	client, err := river.NewClient(riverpgxv5.New(db.Pool()), &river.Config{
		ID:     id,
		Schema: cfg.Schema, Workers: cfg.Workers, Queues: cfg.Queues,
		JobTimeout: cfg.JobTimeout, RescueStuckJobsAfter: cfg.RescueAfter,
		Middleware: []rivertype.Middleware{river.WorkerMiddlewareFunc(
			func(ctx context.Context, _ *rivertype.JobRow, work func(context.Context) error) error {
				return work(context.WithValue(ctx, stoppingKey{}, stopping))
			})},
		FetchPollInterval: cfg.PollInterval, PeriodicJobs: cfg.PeriodicJobs, Logger: cfg.Logger,
		// The application role owns no index; autovacuum and the operator do.
		ReindexerSchedule: river.NeverSchedule(),
	})
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	q := &Queue{client: client, stopping: stopping}
	if cfg.Workers != nil {
		q.alive = &liveness{pool: db.Pool(), table: pgx.Identifier{cfg.Schema, "river_job"}.Sanitize(), id: id, logger: cfg.Logger}
	}
	return q, nil
}

// Enqueue adds a job in the tenant's transaction: it exists when that commits.
// A job that Once forbids, because one like it is waiting or running, is not
// added, which is no error.
func (q *Queue) Enqueue(ctx context.Context, tx engardedb.Tx, args river.JobArgs, opts *river.InsertOpts) error {
	if _, err := q.client.InsertTx(ctx, tx.Tx, args, opts); err != nil {
		return fmt.Errorf("enqueue %s: %w", args.Kind(), err)
	}
	return nil
}

// EnqueueFrom is [Queue.Enqueue] for a job that adds another: the queue is the
// one that runs the job of ctx.
func EnqueueFrom(ctx context.Context, tx engardedb.Tx, args river.JobArgs, opts *river.InsertOpts) error {
	client, err := river.ClientFromContextSafely[pgx.Tx](ctx)
	if err == nil {
		_, err = client.InsertTx(ctx, tx.Tx, args, opts)
	}
	if err != nil {
		return fmt.Errorf("enqueue %s: %w", args.Kind(), err)
	}
	return nil
}

// EnqueueMany is Enqueue for many jobs in one statement.
func (q *Queue) EnqueueMany(ctx context.Context, tx engardedb.Tx, params []river.InsertManyParams) error {
	if len(params) == 0 {
		return nil
	}
	if _, err := q.client.InsertManyFastTx(ctx, tx.Tx, params); err != nil {
		return fmt.Errorf("enqueue %d jobs, the first a %s: %w", len(params), params[0].Args.Kind(), err)
	}
	return nil
}

// Once allows one unfinished job of a kind and arguments at a time.
func Once() river.UniqueOpts {
	return river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
		rivertype.JobStateRetryable, rivertype.JobStateScheduled,
	}}
}

// Complete ends the running job in tx, so that what the transaction saw and the
// job's end are one. The worker returns nil once tx has committed.
func Complete[T river.JobArgs](ctx context.Context, tx engardedb.Tx, job *river.Job[T]) error {
	if _, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx.Tx, job); err != nil {
		return fmt.Errorf("complete %s: %w", job.Kind, err)
	}
	return nil
}

// Start works jobs until Stop.
func (q *Queue) Start(ctx context.Context) error {
	if q.alive != nil {
		if err := q.alive.start(ctx); err != nil {
			return fmt.Errorf("start the job queue: %w", err)
		}
	}
	if err := q.client.Start(ctx); err != nil {
		if q.alive != nil {
			q.alive.stop()
		}
		return fmt.Errorf("start the job queue: %w", err)
	}
	return nil
}

type stoppingKey struct{}

// Stopping reports whether the queue that runs the job of ctx wants to stop: a
// job of many steps then ends early and leaves the rest to its next run.
func Stopping(ctx context.Context) bool {
	stopping, _ := ctx.Value(stoppingKey{}).(chan struct{})
	select {
	case <-stopping: // a nil channel never is
		return true
	default:
		return false
	}
}

// Stop lets running jobs finish until ctx ends, then cancels them.
func (q *Queue) Stop(ctx context.Context) error {
	q.stop.Do(func() { close(q.stopping) })
	if q.alive != nil {
		defer q.alive.stop()
	}
	err := q.client.Stop(ctx)
	if err == nil {
		return nil
	}
	cancelCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if cancelErr := q.client.StopAndCancel(cancelCtx); cancelErr != nil {
		return fmt.Errorf("stop the job queue: %w", errors.Join(err, cancelErr))
	}
	return nil
}
