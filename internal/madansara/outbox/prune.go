package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/jobs"
)

// pruneArgs is the job that removes a tenant's delivered and discarded facts
// when they have been kept long enough.
type pruneArgs struct {
	Tenant uuid.UUID `json:"tenant"`
}

func (pruneArgs) Kind() string { return "outbox_prune" }

func (pruneArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: Queue, MaxAttempts: neverDiscarded, UniqueOpts: jobs.Once()}
}

type pruner struct {
	river.WorkerDefaults[pruneArgs]
	*Delivery
}

// pruneMost bounds one transaction.
const pruneMost = 5000

// minPrune keeps a tenant that always delivers from pruning all the time.
const minPrune = time.Hour

func (p *pruner) Work(ctx context.Context, job *river.Job[pruneArgs]) error {
	for ctx.Err() == nil && !jobs.Stopping(ctx) {
		removed, err := p.prune(ctx, job.Args.Tenant)
		if err != nil {
			return err
		}
		if removed < pruneMost {
			return p.finish(ctx, job)
		}
	}
	return river.JobSnooze(0)
}

// prune removes some of what has been kept long enough and returns how much.
func (d *Delivery) prune(ctx context.Context, tenant uuid.UUID) (removed int64, err error) {
	const statement = `
		DELETE FROM outbox_facts WHERE tenant_uuid = $1 AND fact_uuid IN (
			SELECT fact_uuid FROM outbox_facts WHERE tenant_uuid = $1 AND status IN ('delivered', 'discarded') AND settled_at < $2
			ORDER BY settled_at LIMIT $3)`
	err = d.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		tag, err := tx.Exec(ctx, statement, tenant, d.clock.Now().Add(-d.cfg.Keep), pruneMost)
		if err != nil {
			return fmt.Errorf("remove delivered facts: %w", err)
		}
		removed = tag.RowsAffected()
		return nil
	})
	return removed, err
}

// errLater says that there is something to remove later.
var errLater = errors.New("there is more to remove later")

func (p *pruner) finish(ctx context.Context, job *river.Job[pruneArgs]) error {
	var wait time.Duration
	err := p.db.Tenant(ctx, job.Args.Tenant, func(ctx context.Context, tx engardedb.Tx) error {
		if err := jobs.Complete(ctx, tx, job); err != nil {
			return err
		}
		var oldest *time.Time
		const query = `SELECT min(settled_at) FROM outbox_facts WHERE tenant_uuid = $1 AND status IN ('delivered', 'discarded')`
		if err := tx.QueryRow(ctx, query, tx.Tenant()).Scan(&oldest); err != nil {
			return fmt.Errorf("look for delivered facts: %w", err)
		}
		if oldest == nil {
			return nil
		}
		wait = max(oldest.Add(p.cfg.Keep).Sub(p.clock.Now()), minPrune)
		return errLater
	})
	if errors.Is(err, errLater) {
		return river.JobSnooze(wait)
	}
	return err
}
