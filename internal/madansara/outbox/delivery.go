package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/mesh"
)

// Queue is where deliveries run. Its MaxWorkers bounds how many tenants' are
// delivered at once.
const Queue = "outbox"

// neverDiscarded is more attempts than a job lives to see.
const neverDiscarded = 30_000

// deliverArgs is the job that delivers a tenant's facts. There is at most one of
// a tenant's; adding a fact while it runs or waits adds none.
type deliverArgs struct {
	Tenant uuid.UUID `json:"tenant"`
}

func (deliverArgs) Kind() string { return "outbox_deliver" }

func (deliverArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: Queue, MaxAttempts: neverDiscarded, UniqueOpts: jobs.Once()}
}

// Config bounds a delivery; zero values are the defaults.
type Config struct {
	Parallel int           // pushes at a time of all tenants, at most; 0: 32
	Attempts int           // over one fact before it has failed; 0: 24, which is about 13 hours
	Slice    time.Duration // a run's time before other tenants' turn; 0: 15 s
	// Lease is how long a customer taken by a run is no other's; a run uses at
	// most half of it. 0: 1 min.
	Lease  time.Duration
	Keep   time.Duration // how long delivered and discarded facts are kept; 0: 7 days
	Logger *slog.Logger  // nil: slog.Default()
}

func (c Config) withDefaults() Config {
	orInt := func(value *int, fallback int) {
		if *value <= 0 {
			*value = fallback
		}
	}
	orTime := func(value *time.Duration, fallback time.Duration) {
		if *value <= 0 {
			*value = fallback
		}
	}
	orInt(&c.Parallel, 32)
	orInt(&c.Attempts, 24)
	orTime(&c.Slice, 15*time.Second)
	orTime(&c.Lease, time.Minute)
	orTime(&c.Keep, 7*24*time.Hour)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Delivery takes facts to Core.
type Delivery struct {
	db    *engardedb.DB
	core  mesh.Sync
	clock clockwork.Clock
	cfg   Config
	pace  *pace
}

// NewDelivery returns the delivery of db's facts to core.
func NewDelivery(db *engardedb.DB, core mesh.Sync, clock clockwork.Clock, cfg Config) *Delivery {
	cfg = cfg.withDefaults()
	return &Delivery{db: db, core: core, clock: clock, cfg: cfg, pace: newPace(cfg.Parallel)}
}

// RegisterWorkers adds the jobs that this package works.
func (d *Delivery) RegisterWorkers(workers *river.Workers) {
	river.AddWorker(workers, &deliverer{Delivery: d})
	river.AddWorker(workers, &pruner{Delivery: d})
}

// deliverer works a tenant's delivery.
type deliverer struct {
	river.WorkerDefaults[deliverArgs]
	*Delivery
}

// Timeout is a slice and the time of its last pushes.
func (d *deliverer) Timeout(*river.Job[deliverArgs]) time.Duration {
	return d.cfg.Slice + d.cfg.Lease
}

// NextRetry is when a run that failed itself (the database was away) is repeated.
func (*deliverer) NextRetry(job *river.Job[deliverArgs]) time.Time {
	return time.Now().Add(min(time.Duration(job.Attempt)*time.Second, maxAway))
}

// waiting bounds how long a tenant's job sleeps while one of its facts waits to
// be tried again: facts that are added meanwhile wait for the job too.
const waiting = 5 * time.Second

// errMore says that a fact came while the job was ending.
var errMore = errors.New("there is more to deliver")

func (d *deliverer) Work(ctx context.Context, job *river.Job[deliverArgs]) error {
	tenant := job.Args.Tenant
	end := d.clock.Now().Add(d.cfg.Slice)
	for {
		run := &run{Delivery: d.Delivery, tenant: tenant, end: end}
		if err := run.work(ctx); err != nil {
			return err
		}
		switch {
		case run.away != nil:
			wait := awayFor(run.away)
			d.cfg.Logger.WarnContext(ctx, "Core takes no facts now", slog.Any("error", run.away), slog.Duration("again_in", wait))
			return river.JobSnooze(wait)
		case run.more:
			return river.JobSnooze(0)
		case !run.due.IsZero():
			return river.JobSnooze(min(max(run.due.Sub(d.clock.Now()), 0), waiting))
		}
		err := d.finish(ctx, job)
		if !errors.Is(err, errMore) {
			return err
		}
	}
}

// finish ends the job unless there is something to deliver. It takes hold of the
// job first: a transaction that adds facts holds it too, as it finds the job
// there, so that either its facts are seen here or it adds a job of its own.
func (d *deliverer) finish(ctx context.Context, job *river.Job[deliverArgs]) error {
	return d.db.Tenant(ctx, job.Args.Tenant, func(ctx context.Context, tx engardedb.Tx) error {
		if err := jobs.Complete(ctx, tx, job); err != nil {
			return err
		}
		var more bool
		const query = `SELECT EXISTS (SELECT FROM outbox_lanes WHERE tenant_uuid = $1 AND due_at IS NOT NULL)`
		if err := tx.QueryRow(ctx, query, tx.Tenant()).Scan(&more); err != nil {
			return fmt.Errorf("look for more facts: %w", err)
		}
		if more {
			return errMore
		}
		return jobs.EnqueueFrom(ctx, tx, pruneArgs{Tenant: tx.Tenant()}, &river.InsertOpts{ScheduledAt: time.Now().Add(d.cfg.Keep)})
	})
}
