package attribution_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/internal/madansara/attribution"
)

type bundle struct {
	db      *engardedb.DB
	tenant  uuid.UUID
	clock   *clockwork.FakeClock
	service *attribution.Service
}

func setup(t *testing.T) *bundle {
	t.Helper()
	url, db := dbtest.App(t, "madan_sara_app")
	clock := clockwork.NewFakeClockAt(converted.Add(time.Hour))
	return &bundle{db: db, tenant: dbtest.Tenant(t, url), clock: clock, service: attribution.New(db, clock)}
}

func (b *bundle) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	require.NoError(t, b.db.Tenant(context.Background(), b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		_, err := tx.Exec(ctx, sql, args...)
		return err
	}))
}

func (b *bundle) contact(t *testing.T) uuid.UUID {
	t.Helper()
	id := uuid.New()
	b.exec(t, "insert into contacts (tenant_uuid, contact_uuid, created_at, updated_at) values ($1, $2, $3, $3)", b.tenant, id, converted)
	return id
}

func (b *bundle) visitor(t *testing.T, contact *uuid.UUID) uuid.UUID {
	t.Helper()
	id := uuid.New()
	b.exec(t, `insert into website_visitors (tenant_uuid, visitor_uuid, anonymous_id, contact_uuid, first_seen_at, last_seen_at)
		values ($1, $2::uuid, $2::uuid::text, $3, $4, $4)`, b.tenant, id, contact, converted)
	return id
}

func (b *bundle) touch(t *testing.T, visitor, contact *uuid.UUID, channel string, days float64) {
	t.Helper()
	id := uuid.New()
	b.exec(t, `insert into customer_touchpoints (tenant_uuid, touchpoint_uuid, source_key, kind, channel, visitor_uuid, contact_uuid, occurred_at)
		values ($1, $2::uuid, 'session:' || $2::uuid::text, 'visit', $3, $4, $5, $6)`,
		b.tenant, id, channel, visitor, contact, touch(channel, days).At)
}

func (b *bundle) conversion(t *testing.T, number string, visitor *uuid.UUID, minor int64, days float64) uuid.UUID {
	t.Helper()
	id, name := uuid.New(), "Order Completed"
	var refundOf *string
	if minor < 0 {
		order := number
		name, refundOf, number = "Order Refunded", &order, id.String()
	}
	b.exec(t, `insert into conversion_events (tenant_uuid, conversion_uuid, external_id, refund_of, name, visitor_uuid,
			revenue_minor, currency, occurred_at, received_at)
		values ($1, $2, $3, $4, $5, $6, $7, 'USD', $8, $8)`,
		b.tenant, id, number, refundOf, name, visitor, minor, touch("", days).At)
	return id
}

// visit is a session with the touch that began it.
func (b *bundle) visit(t *testing.T, visitor uuid.UUID, channel string, from, to float64) {
	t.Helper()
	b.touch(t, &visitor, nil, channel, from)
	b.exec(t, `insert into website_sessions (tenant_uuid, session_uuid, visitor_uuid, started_at, ended_at)
		values ($1, $2, $3, $4, $5)`, b.tenant, uuid.New(), visitor, touch("", from).At, touch("", to).At)
}

type stored struct {
	Model, Channel string
	Weight         float64
	Revenue        int64
}

// credits are what is stored for a conversion, by model and time.
func (b *bundle) credits(t *testing.T, conversion uuid.UUID) (credits []stored) {
	t.Helper()
	require.NoError(t, b.db.Tenant(context.Background(), b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := tx.Query(ctx, `select c.model, c.channel, c.weight, c.revenue_minor from attribution_credits c
			join customer_touchpoints using (tenant_uuid, touchpoint_uuid) where conversion_uuid = $1
			order by c.model, occurred_at`, conversion)
		if err != nil {
			return err
		}
		credits, err = pgx.CollectRows(rows, pgx.RowToStructByPos[stored])
		return err
	}))
	return credits
}

func (b *bundle) attribute(t *testing.T, conversion uuid.UUID) []stored {
	t.Helper()
	require.NoError(t, b.service.Attribute(context.Background(), b.tenant, conversion))
	return b.credits(t, conversion)
}

func TestAttributeFollowsThePersonAcrossDevices(t *testing.T) {
	t.Parallel()
	b := setup(t)
	contact := b.contact(t)
	phone, laptop, stranger := b.visitor(t, &contact), b.visitor(t, &contact), b.visitor(t, nil)
	b.touch(t, &phone, nil, "social", 14)
	b.touch(t, nil, &contact, "email", 7)
	b.touch(t, &laptop, nil, "direct", 1)
	b.touch(t, &stranger, nil, "search", 1)
	order := b.conversion(t, "A-1", &laptop, 101, 0)

	require.Equal(t, []stored{
		{"first_touch", "social", 1, 101},
		{"last_touch", "email", 1, 101},
		{"linear", "social", 0.5, 51},
		{"linear", "email", 0.5, 50},
		{"position_based", "social", 0.5, 51},
		{"position_based", "email", 0.5, 50},
		{"time_decay", "social", 1. / 3, 34},
		{"time_decay", "email", 2. / 3, 67},
	}, b.attribute(t, order))
	var at time.Time
	require.NoError(t, b.db.Tenant(context.Background(), b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		return tx.QueryRow(ctx, "select attributed_at from conversion_events").Scan(&at)
	}))
	require.True(t, at.Equal(b.clock.Now()))
}

func TestAttributeAgainReplaces(t *testing.T) {
	t.Parallel()
	b := setup(t)
	visitor := b.visitor(t, nil)
	b.touch(t, &visitor, nil, "social", 3)
	order := b.conversion(t, "A-1", &visitor, 100, 0)
	first := b.attribute(t, order)
	require.Len(t, first, 5)
	require.Equal(t, first, b.attribute(t, order))

	b.touch(t, &visitor, nil, "email", 1) // late
	require.Contains(t, b.attribute(t, order), stored{"last_touch", "email", 1, 100})
}

func TestAttributeAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	visitor := b.visitor(t, nil)
	b.touch(t, &visitor, nil, "social", 3)
	b.touch(t, &visitor, nil, "email", 1)
	early := b.conversion(t, "A-1", &visitor, 100, 2)
	late := b.conversion(t, "A-2", &visitor, 100, 0)
	var group sync.WaitGroup
	for range 4 {
		for _, id := range []uuid.UUID{early, late} {
			group.Go(func() {
				if err := b.service.Attribute(context.Background(), b.tenant, id); err != nil {
					t.Error(err)
				}
			})
		}
	}
	group.Wait()
	require.Len(t, b.credits(t, early), 5)
	require.Len(t, b.credits(t, late), 5)
}

func TestAConversionThatComesLateCutsTheNextOnesJourney(t *testing.T) {
	t.Parallel()
	b := setup(t)
	visitor := b.visitor(t, nil)
	b.touch(t, &visitor, nil, "social", 3)
	b.touch(t, &visitor, nil, "email", 1)
	second := b.conversion(t, "A-2", &visitor, 100, 0)
	require.Contains(t, b.attribute(t, second), stored{"first_touch", "social", 1, 100})

	first := b.conversion(t, "A-1", &visitor, 100, 2)
	require.Contains(t, b.attribute(t, first), stored{"first_touch", "social", 1, 100})
	require.Contains(t, b.credits(t, second), stored{"first_touch", "email", 1, 100})
}

func TestARefundTakesBackWhatItsOrderEarned(t *testing.T) {
	t.Parallel()
	b := setup(t)
	visitor := b.visitor(t, nil)
	b.touch(t, &visitor, nil, "social", 10)
	b.conversion(t, "A-1", &visitor, 100, 9)
	b.touch(t, &visitor, nil, "email", 1)
	refund := b.conversion(t, "A-1", &visitor, -40, 0)
	require.Contains(t, b.attribute(t, refund), stored{"linear", "social", 1, -40})
	require.Len(t, b.credits(t, refund), 5)
}

func TestTheSecondOrderOfAVisitIsEarnedByWhatBeganTheVisit(t *testing.T) {
	t.Parallel()
	const minute = 1. / 24 / 60
	b := setup(t)
	visitor := b.visitor(t, nil)
	b.visit(t, visitor, "search", 3, 2.99)
	b.visit(t, visitor, "social", 30*minute, 5*minute)
	first := b.conversion(t, "A-1", &visitor, 100, 20*minute)
	second := b.conversion(t, "A-2", &visitor, 50, 5*minute)
	require.Contains(t, b.attribute(t, first), stored{"linear", "search", 0.5, 50})
	require.Contains(t, b.attribute(t, second), stored{"linear", "social", 1, 50}, "the visit goes on; the earlier one is closed")

	fromServer := b.conversion(t, "A-3", &visitor, 50, -10*minute)
	require.Contains(t, b.attribute(t, fromServer), stored{"linear", "social", 1, 50}, "reported a little after the last page")
	renewal := b.conversion(t, "A-4", &visitor, 50, -1)
	require.Empty(t, b.attribute(t, renewal), "no visit is running a day later")
}

func TestRefundsFollowTheirOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	visitor := b.visitor(t, nil)
	b.touch(t, &visitor, nil, "email", 1)
	refunds := []uuid.UUID{b.conversion(t, "A-1", &visitor, -40, 0), b.conversion(t, "A-1", &visitor, -10, 0)}
	require.Empty(t, b.attribute(t, refunds[0]), "nobody earned what it takes back")
	order := b.conversion(t, "A-1", &visitor, 100, 2)
	b.touch(t, &visitor, nil, "social", 3)
	b.attribute(t, order)
	for i, minor := range []int64{-40, -10} {
		require.Contains(t, b.credits(t, refunds[i]), stored{"linear", "social", 1, minor})
		require.Len(t, b.credits(t, refunds[i]), 5)
	}
}

func TestAttributeNobodyAndNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Empty(t, b.attribute(t, b.conversion(t, "A-1", nil, 100, 0)))
	require.Empty(t, b.attribute(t, uuid.New()), "an unknown conversion")
	other := setup(t)
	mine := b.conversion(t, "A-2", nil, 100, 0)
	require.NoError(t, other.service.Attribute(context.Background(), other.tenant, mine), "another tenant's conversion is unknown")
}

func TestRecomputingTakesEveryConversionOnce(t *testing.T) {
	t.Parallel()
	const n = 1203 // more than two stretches, many of one moment
	b := setup(t)
	ctx := context.Background()
	visitor := b.visitor(t, nil)
	b.touch(t, &visitor, nil, "social", 7)
	b.attribute(t, b.conversion(t, "first", &visitor, 1, 3))
	b.exec(t, `insert into conversion_events (tenant_uuid, conversion_uuid, external_id, name, revenue_minor, currency, occurred_at, received_at, attributed_at)
		select $1, gen_random_uuid(), i::text, 'Signed Up', 0, 'USD', $2::timestamptz - i % 7 * interval '1 hour', $2, $2 from generate_series(2, $3) i`,
		b.tenant, converted, n)
	workers := river.NewWorkers()
	b.service.RegisterWorkers(workers)
	queue, err := jobs.New(b.db, jobs.Config{
		Workers: workers, Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 2}},
		JobTimeout: time.Minute, RescueAfter: time.Hour,
	})
	require.NoError(t, err)
	require.NoError(t, queue.Start(ctx))
	t.Cleanup(func() { require.NoError(t, queue.Stop(context.Background())) })
	b.clock.Advance(time.Minute)
	require.NoError(t, b.db.Tenant(ctx, b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		if err := b.service.SetTx(ctx, tx, attribution.Default(attribution.TimeDecay)); err != nil {
			return err
		}
		return queue.Enqueue(ctx, tx, attribution.RecomputeArgs{TenantUUID: b.tenant}, nil)
	}))
	count := func(sql string) (got int) {
		require.NoError(t, b.db.Tenant(ctx, b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
			return tx.QueryRow(ctx, sql).Scan(&got)
		}))
		return got
	}
	require.Eventually(t, func() bool {
		return count("select count(*) from river.river_job where kind = 'recompute_attribution' and state = 'completed'") == 1
	}, 5*time.Minute, 100*time.Millisecond)
	require.Equal(t, n, count("select count(*) from conversion_events where attributed_at >= (select max(updated_at) from attribution_models)"))
	require.Equal(t, 2, count("select (metadata->>'snoozes')::int from river.river_job where kind = 'recompute_attribution'"))
	require.Equal(t, 1, count("select count(*) from river.river_job where metadata ? 'attributed_from'"), "the place is kept")
}

func TestSettingsChangeTheCreditsOfThePastByAJob(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := context.Background()
	visitor := b.visitor(t, nil)
	b.touch(t, &visitor, nil, "social", 7)
	b.touch(t, &visitor, nil, "email", 0)
	order := b.conversion(t, "A-1", &visitor, 100, 0)
	require.Contains(t, b.attribute(t, order), stored{"time_decay", "email", 2. / 3, 67})

	workers := river.NewWorkers()
	b.service.RegisterWorkers(workers)
	queue, err := jobs.New(b.db, jobs.Config{
		Workers: workers, Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 2}},
		JobTimeout: time.Minute, RescueAfter: time.Hour,
	})
	require.NoError(t, err)
	require.NoError(t, queue.Start(ctx))
	t.Cleanup(func() { require.NoError(t, queue.Stop(context.Background())) })

	b.clock.Advance(time.Minute)
	changed := attribution.Default(attribution.TimeDecay)
	changed.Parameters.HalfLifeDays = 3.5
	require.NoError(t, b.db.Tenant(ctx, b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		if err := b.service.SetTx(ctx, tx, changed); err != nil {
			return err
		}
		return queue.Enqueue(ctx, tx, attribution.RecomputeArgs{TenantUUID: b.tenant}, nil)
	}))
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.Contains(c, b.credits(t, order), stored{"time_decay", "email", 0.8, 80})
	}, time.Minute, 50*time.Millisecond)

	settings, err := b.service.Settings(ctx, b.tenant)
	require.NoError(t, err)
	require.Len(t, settings, len(attribution.Models()))
	require.Equal(t, changed, settings[3])
	require.Equal(t, attribution.Default(attribution.Linear), settings[2])
}
