// Package jobs is the one way to run something later: a row in the database's
// job queue (River), which commits with the transaction that caused it.
package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/migrate"
)

// Queue takes jobs and, once started, works them.
type Queue struct {
	client *river.Client[pgx.Tx]
}

// Config says which jobs this process works and how a dead process's jobs are
// taken over.
type Config struct {
	// Workers knows the job kinds; register them before New. Nil only enqueues.
	Workers *river.Workers
	// Queues names the queues to work and how many jobs of each at once.
	Queues map[string]river.QueueConfig
	// JobTimeout bounds one run of a job, and so how soon the jobs of a killed
	// process can be told from live ones: they are taken over after RescueAfter,
	// which must be longer.
	JobTimeout, RescueAfter time.Duration
	PeriodicJobs            []*river.PeriodicJob
	Logger                  *slog.Logger
}

// New returns a queue on db.
func New(db *engardedb.DB, cfg Config) (*Queue, error) {
	client, err := river.NewClient(riverpgxv5.New(db.Pool()), &river.Config{
		Schema: migrate.RiverSchema, Workers: cfg.Workers, Queues: cfg.Queues,
		JobTimeout: cfg.JobTimeout, RescueStuckJobsAfter: cfg.RescueAfter,
		PeriodicJobs: cfg.PeriodicJobs, Logger: cfg.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	return &Queue{client: client}, nil
}

// Enqueue adds a job in the tenant's transaction: it exists when that commits.
func (q *Queue) Enqueue(ctx context.Context, tx engardedb.Tx, args river.JobArgs, opts *river.InsertOpts) error {
	if _, err := q.client.InsertTx(ctx, tx.Tx, args, opts); err != nil {
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

// Start works jobs until Stop.
func (q *Queue) Start(ctx context.Context) error {
	if err := q.client.Start(ctx); err != nil {
		return fmt.Errorf("start the job queue: %w", err)
	}
	return nil
}

// Stop lets running jobs finish until ctx ends, then cancels them.
func (q *Queue) Stop(ctx context.Context) error {
	err := q.client.Stop(ctx)
	if err == nil {
		return nil
	}
	cancelCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := q.client.StopAndCancel(cancelCtx); err != nil {
		return fmt.Errorf("stop the job queue: %w", err)
	}
	return nil
}
