package attribution

import (
	"context"
	"encoding/json"
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
	db         *engardedb.DB
	clock      clockwork.Clock
	attributed func(ctx context.Context, tx engardedb.Tx, conversion uuid.UUID) error
}

// New returns a service on db.
func New(db *engardedb.DB, clock clockwork.Clock) *Service {
	return &Service{db: db, clock: clock}
}

// OnAttributed has fn called for every conversion whose credits were worked out (again), at the
// end of the transaction that stores them. Call it before the jobs run. Refunds don't count.
func (s *Service) OnAttributed(fn func(ctx context.Context, tx engardedb.Tx, conversion uuid.UUID) error) {
	s.attributed = fn
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

// placeKey is where the job's metadata keeps how far it has come.
const placeKey = "attributed_from"

// place is a conversion's place in the order the recomputation takes, the newest first.
type place struct {
	At time.Time `json:"at"`
	ID uuid.UUID `json:"id"`
}

// Work takes one stretch of conversions and comes back for the next, so that it
// ends well inside any job timeout and other tenants' jobs get their turn.
func (w *recomputeWorker) Work(ctx context.Context, job *river.Job[RecomputeArgs]) error {
	const stretch = 500
	var metadata struct {
		From *place `json:"attributed_from"`
	}
	if err := json.Unmarshal(job.Metadata, &metadata); err != nil {
		return fmt.Errorf("read how far the recomputation has come: %w", err)
	}
	last, err := w.service.recompute(ctx, job.Args.TenantUUID, metadata.From, stretch)
	if err != nil || last == nil {
		return err
	}
	if err := river.MetadataSet(ctx, placeKey, last); err != nil {
		return fmt.Errorf("keep how far the recomputation has come: %w", err)
	}
	return river.JobSnooze(0)
}

// Attribute works out the credits of a conversion under every model and stores
// them in place of those it had. It may be run any number of times, also at
// once: the runs take turns, and the last has seen what the first committed. A
// conversion that does not exist (any more) is no error.
func (s *Service) Attribute(ctx context.Context, tenant, conversionUUID uuid.UUID) error {
	touched, err := s.attribute(ctx, tenant, conversionUUID)
	again := touched.refunds
	if err == nil && touched.later != nil {
		// This conversion may have reached us after a later one, whose journey
		// now starts here.
		var after dependents
		after, err = s.attribute(ctx, tenant, *touched.later)
		again = append(again, after.refunds...)
	}
	for _, refund := range again {
		if err == nil {
			_, err = s.attribute(ctx, tenant, refund)
		}
	}
	if err != nil {
		return fmt.Errorf("attribute conversion %s: %w", conversionUUID, err)
	}
	return nil
}

// dependents are the conversions whose credits follow from another's journey.
type dependents struct {
	later   *uuid.UUID  // the next of the same person and name, nil if none
	refunds []uuid.UUID // its own
}

// attribute attributes one conversion in a transaction of its own and returns
// its dependents.
func (s *Service) attribute(ctx context.Context, tenant, id uuid.UUID) (d dependents, err error) {
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		settings, err := settingsTx(ctx, tx, s.clock.Now())
		if err != nil {
			return err
		}
		d, err = s.attributeTx(ctx, tx, settings, id)
		return err
	})
	return d, err
}

func (s *Service) attributeTx(ctx context.Context, tx engardedb.Tx, settings []Settings, id uuid.UUID) (d dependents, err error) {
	c, err := lockConversion(ctx, tx, id)
	if err != nil || c == nil {
		return dependents{}, err
	}
	earned := c // whose journey is credited: a refund takes back what its order earned
	if c.refundOf != nil {
		if earned, err = refunded(ctx, tx, c); err != nil {
			return dependents{}, err
		}
	}
	lookback := time.Duration(0)
	for _, s := range settings {
		lookback = max(lookback, s.lookback())
	}
	var journey Journey
	if earned != nil {
		if journey, err = loadJourney(ctx, tx, earned, lookback); err != nil {
			return dependents{}, err
		}
	}
	credits := make(map[Model][]Credit, len(settings))
	for _, s := range settings {
		credits[s.Model] = s.Credits(journey, c.revenue)
	}
	if err := replaceCredits(ctx, tx, c, credits, s.clock.Now()); err != nil {
		return dependents{}, err
	}
	if c.refundOf != nil {
		return dependents{}, nil
	}
	if d.refunds, err = refunds(ctx, tx, c); err != nil {
		return dependents{}, err
	}
	if d.later, err = next(ctx, tx, c, lookback); err != nil || s.attributed == nil {
		return d, err
	}
	return d, s.attributed(ctx, tx, id)
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
// before the settings last changed, the newest first, from after a place on
// (nil: from the newest), and returns the place of the last, nil when there are
// no more. Each conversion is looked at once, however many there are.
func (s *Service) recompute(ctx context.Context, tenant uuid.UUID, after *place, limit int) (*place, error) {
	const query = `
		SELECT occurred_at, conversion_uuid FROM conversion_events
		WHERE tenant_uuid = $1 AND (occurred_at, conversion_uuid) < ($2, $3)
			AND attributed_at < (SELECT max(updated_at) FROM attribution_models WHERE tenant_uuid = $1)
		ORDER BY occurred_at DESC, conversion_uuid DESC LIMIT $4`
	if after == nil {
		after = &place{At: s.clock.Now().AddDate(1, 0, 0), ID: uuid.Max} // nothing is dated later
	}
	var places []place
	err := s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := tx.Query(ctx, query, tenant, after.At, after.ID, limit)
		if err != nil {
			return fmt.Errorf("find conversions to attribute again: %w", err)
		}
		places, err = pgx.CollectRows(rows, pgx.RowToStructByPos[place])
		if err != nil {
			return fmt.Errorf("find conversions to attribute again: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("recompute attribution: %w", err)
	}
	for _, p := range places {
		// Those that depend on it are among them.
		if _, err := s.attribute(ctx, tenant, p.ID); err != nil {
			return nil, fmt.Errorf("recompute attribution of %s: %w", p.ID, err)
		}
	}
	if len(places) < limit {
		return nil, nil //nolint:nilnil // nil is "there are no more", as documented
	}
	return &places[limit-1], nil
}
