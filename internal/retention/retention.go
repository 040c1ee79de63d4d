// Package retention deletes what a service keeps for a time only. A job does it, as
// each tenant in turn and in small transactions, so that it holds no lock for long and may be
// ended at any moment: what is left is deleted by the next run.
package retention

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"
	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/jobs"
)

const (
	every          = 6 * time.Hour
	longestRun     = 50 * time.Second
	tenantsAtATime = 100
)

// batch is how many rows one transaction deletes at most.
const batch = 1000

// Rule says what of a table goes when.
type Rule struct {
	Name string // of what is deleted, for the log
	// Before is the end of what goes: rows are older than that.
	Before func(now time.Time) time.Time
	// Delete deletes at most $3 rows of the tenant $1 that are older than $2.
	Delete string
}

// Sweeper deletes by its rules. It is safe for concurrent use.
type Sweeper struct {
	db     *engardedb.DB // as a role that may call core_tenants_after
	clock  clockwork.Clock
	logger *slog.Logger
	rules  []Rule
}

// New returns a sweeper; without rules it does nothing.
func New(db *engardedb.DB, clock clockwork.Clock, logger *slog.Logger, rules ...Rule) *Sweeper {
	return &Sweeper{db: db, clock: clock, logger: logger, rules: rules}
}

// Sweep deletes what is too old, of every tenant, and returns how many rows. A tenant
// whose rows cannot be deleted does not keep the others' from it.
func (s *Sweeper) Sweep(ctx context.Context) (deleted int64, err error) {
	if len(s.rules) == 0 {
		return 0, nil
	}
	var failed []error
	for last := uuid.Nil; ; {
		tenants, err := s.after(ctx, last)
		if err != nil || len(tenants) == 0 {
			return deleted, errors.Join(append(failed, err)...)
		}
		for _, tenant := range tenants {
			for _, rule := range s.rules {
				n, err := s.apply(ctx, tenant, rule)
				deleted += n
				if err != nil {
					failed = append(failed, fmt.Errorf("delete old %s of tenant %s: %w", rule.Name, tenant, err))
				}
				if ctx.Err() != nil || jobs.Stopping(ctx) {
					return deleted, errors.Join(failed...)
				}
			}
			last = tenant
		}
	}
}

func (s *Sweeper) after(ctx context.Context, last uuid.UUID) ([]uuid.UUID, error) {
	rows, err := s.db.Pool().Query(ctx, "SELECT tenant_uuid FROM core_tenants_after($1, $2)", last, tenantsAtATime)
	if err != nil {
		return nil, fmt.Errorf("list tenants: %w", err)
	}
	tenants, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("list tenants: %w", err)
	}
	return tenants, nil
}

func (s *Sweeper) apply(ctx context.Context, tenant uuid.UUID, rule Rule) (deleted int64, err error) {
	before := rule.Before(s.clock.Now().UTC())
	for n := int64(batch); n == batch && !jobs.Stopping(ctx); deleted += n {
		err := s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
			done, err := tx.Exec(ctx, rule.Delete, tenant, before, batch)
			n = done.RowsAffected()
			return err
		})
		if err != nil {
			return deleted, err
		}
	}
	return deleted, nil
}

// args is the job.
type args struct{}

// Kind names the job; each service has a queue of its own.
func (args) Kind() string { return "retention" }

// InsertOpts allows one at a time.
func (args) InsertOpts() river.InsertOpts { return river.InsertOpts{UniqueOpts: jobs.Once()} }

type worker struct {
	river.WorkerDefaults[args]

	sweeper *Sweeper
}

// Timeout bounds a run.
func (*worker) Timeout(*river.Job[args]) time.Duration { return longestRun }

// Work deletes, and says how much.
func (w *worker) Work(ctx context.Context, _ *river.Job[args]) error {
	deleted, err := w.sweeper.Sweep(ctx)
	if deleted > 0 {
		w.sweeper.logger.InfoContext(ctx, "deleted what was kept long enough", slog.Int64("rows", deleted))
	}
	return err
}

// RegisterWorkers adds the worker of the job.
func (s *Sweeper) RegisterWorkers(workers *river.Workers) {
	river.AddWorker(workers, &worker{sweeper: s})
}

// PeriodicJobs are when it runs: at each start and every six hours.
func (s *Sweeper) PeriodicJobs() []*river.PeriodicJob {
	return []*river.PeriodicJob{river.NewPeriodicJob(river.PeriodicInterval(every),
		func() (river.JobArgs, *river.InsertOpts) { return args{}, nil }, &river.PeriodicJobOpts{RunOnStart: true})}
}
