package attribution

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"
	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/engardedb"
)

// Service attributes conversions and keeps the tenants' model settings.
type Service struct {
	db    *engardedb.DB
	clock clockwork.Clock
}

// New returns a service on db.
func New(db *engardedb.DB, clock clockwork.Clock) *Service {
	return &Service{db: db, clock: clock}
}

// RegisterWorkers adds the workers of this package's jobs.
func (s *Service) RegisterWorkers(workers *river.Workers) {
	river.AddWorker(workers, &attributeWorker{service: s})
	river.AddWorker(workers, &recomputeWorker{service: s})
}

// AttributeArgs asks for the credits of one conversion to be worked out (again).
type AttributeArgs struct {
	TenantUUID     uuid.UUID `json:"tenant_uuid"`
	ConversionUUID uuid.UUID `json:"conversion_uuid"`
}

// Kind names the job in the queue.
func (AttributeArgs) Kind() string { return "attribute_conversion" }

type attributeWorker struct {
	river.WorkerDefaults[AttributeArgs]

	service *Service
}

func (w *attributeWorker) Work(ctx context.Context, job *river.Job[AttributeArgs]) error {
	return w.service.Attribute(ctx, job.Args.TenantUUID, job.Args.ConversionUUID)
}

// RecomputeArgs asks for the tenant's conversions to be attributed again under
// the settings of now.
type RecomputeArgs struct {
	TenantUUID uuid.UUID `json:"tenant_uuid"`
}

// Kind names the job in the queue.
func (RecomputeArgs) Kind() string { return "recompute_attribution" }

type recomputeWorker struct {
	river.WorkerDefaults[RecomputeArgs]

	service *Service
}

// Work takes one stretch of conversions and comes back for the next, so that it
// ends well inside any job timeout and other tenants' jobs get their turn.
func (w *recomputeWorker) Work(ctx context.Context, job *river.Job[RecomputeArgs]) error {
	const stretch = 500
	done, err := w.service.recompute(ctx, job.Args.TenantUUID, stretch)
	if err != nil {
		return err
	}
	if !done {
		return river.JobSnooze(0)
	}
	return nil
}

// Attribute works out the credits of a conversion under every model and stores
// them in place of those it had. It may be run any number of times, also at
// once: the runs take turns, and the last has seen what the first committed. A
// conversion that does not exist (any more) is no error.
func (s *Service) Attribute(ctx context.Context, tenant, conversionUUID uuid.UUID) error {
	later, err := s.attribute(ctx, tenant, conversionUUID)
	if err == nil && later != nil {
		// This conversion may have reached us after a later one, whose journey
		// now starts here.
		_, err = s.attribute(ctx, tenant, *later)
	}
	if err != nil {
		return fmt.Errorf("attribute conversion %s: %w", conversionUUID, err)
	}
	return nil
}

// attribute attributes one conversion in a transaction of its own and returns
// the next of the same person and name, nil if none.
func (s *Service) attribute(ctx context.Context, tenant, id uuid.UUID) (later *uuid.UUID, err error) {
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		settings, err := settingsTx(ctx, tx, s.clock.Now())
		if err != nil {
			return err
		}
		later, err = s.attributeTx(ctx, tx, settings, id)
		return err
	})
	return later, err
}

func (s *Service) attributeTx(ctx context.Context, tx engardedb.Tx, settings []Settings, id uuid.UUID) (*uuid.UUID, error) {
	c, err := lockConversion(ctx, tx, id)
	if err != nil || c == nil {
		return nil, err
	}
	earned := c // whose journey is credited: a refund takes back what its order earned
	if c.revenue < 0 {
		order, err := refunded(ctx, tx, c)
		if err != nil {
			return nil, err
		}
		if order != nil {
			earned = order
		}
	}
	lookback := time.Duration(0)
	for _, s := range settings {
		lookback = max(lookback, s.lookback())
	}
	journey, err := loadJourney(ctx, tx, earned, lookback)
	if err != nil {
		return nil, err
	}
	credits := make(map[Model][]Credit, len(settings))
	for _, s := range settings {
		credits[s.Model] = s.Credits(journey, c.revenue)
	}
	if err := replaceCredits(ctx, tx, c, credits, s.clock.Now()); err != nil {
		return nil, err
	}
	return next(ctx, tx, c, lookback)
}

// Settings returns the tenant's settings of every model, in the order of Models.
func (s *Service) Settings(ctx context.Context, tenant uuid.UUID) (settings []Settings, err error) {
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		settings, err = settingsTx(ctx, tx, s.clock.Now())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("attribution settings: %w", err)
	}
	return settings, nil
}

// SetTx changes a model's settings. They hold for conversions attributed from
// now on; the caller enqueues RecomputeArgs in the same transaction for the past.
func (s *Service) SetTx(ctx context.Context, tx engardedb.Tx, settings Settings) error {
	if err := settings.Validate(); err != nil {
		return err
	}
	const replace = `DO UPDATE SET lookback_days = EXCLUDED.lookback_days, parameters = EXCLUDED.parameters,
		updated_at = EXCLUDED.updated_at`
	return writeSettings(ctx, tx, settings, s.clock.Now(), replace)
}

// recompute attributes again up to limit conversions that were attributed
// before the settings last changed, the newest first, and reports whether there
// were no more.
func (s *Service) recompute(ctx context.Context, tenant uuid.UUID, limit int) (bool, error) {
	const query = `
		SELECT conversion_uuid FROM conversion_events
		WHERE tenant_uuid = $1 AND attributed_at < (SELECT max(updated_at) FROM attribution_models WHERE tenant_uuid = $1)
		ORDER BY occurred_at DESC LIMIT $2`
	var ids []uuid.UUID
	err := s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := tx.Query(ctx, query, tenant, limit)
		if err != nil {
			return fmt.Errorf("find conversions to attribute again: %w", err)
		}
		ids, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		if err != nil {
			return fmt.Errorf("find conversions to attribute again: %w", err)
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("recompute attribution: %w", err)
	}
	for _, id := range ids {
		if err := s.Attribute(ctx, tenant, id); err != nil {
			return false, err
		}
	}
	return len(ids) < limit, nil
}
