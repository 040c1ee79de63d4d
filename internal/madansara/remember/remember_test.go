package remember_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/internal/madansara/attribution"
	"github.com/engardehq/madansara/internal/madansara/remember"
	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/pgmem"
	"github.com/engardehq/madansara/zerodb/zerodbtest"
)

var converted = time.Date(2026, 3, 9, 15, 0, 0, 0, time.UTC)

type bundle struct {
	db       *engardedb.DB
	tenant   uuid.UUID
	contact  uuid.UUID
	visitor  uuid.UUID
	order    uuid.UUID
	embedded *pgmem.Backend
	client   *zerodb.Client
	service  *attribution.Service
	fail     error // of the next store
}

// local works in the process, as the built-in embedder does.
type local struct{ *zerodbtest.Hashing }

func (local) Local() bool { return true }

// setup has a customer come twice and buy.
func setup(t *testing.T) *bundle {
	t.Helper()
	url, db := dbtest.App(t, "madan_sara_app")
	clock := clockwork.NewFakeClockAt(converted.Add(time.Hour))
	b := &bundle{db: db, tenant: dbtest.Tenant(t, url), contact: uuid.New(), visitor: uuid.New(), order: uuid.New(), embedded: pgmem.New(db, pgmem.Config{})}
	var err error
	b.client, err = zerodb.New(zerodb.Config{Backend: b.embedded, Embedder: local{&zerodbtest.Hashing{}}, Clock: clock, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.client.Close(context.WithoutCancel(t.Context()))) })
	b.service = attribution.New(db, clock)
	b.service.OnAttributed(remember.Within(func(ctx context.Context, tx engardedb.Tx, items []zerodb.Item) error {
		if _, err := b.embedded.StoreTx(ctx, tx, b.client, items); err != nil {
			return err
		}
		return b.fail
	}))
	b.exec(t, "insert into contacts (tenant_uuid, contact_uuid, first_name, last_name, email, created_at, updated_at) values ($1, $2, 'Marie', 'Pierre', 'marie@example.org', $3, $3)", b.tenant, b.contact, converted)
	b.exec(t, "insert into website_visitors (tenant_uuid, visitor_uuid, anonymous_id, contact_uuid, first_seen_at, last_seen_at) values ($1, $2, 'a', $3, $4, $4)", b.tenant, b.visitor, b.contact, converted)
	b.touch(t, "paid_social", "spring", 9)
	b.touch(t, "email", "Welcome offer", 1)
	b.buy(t, b.order, "1001", &b.visitor, `{"products":[{"name":"Red market bag"},{"name":"Straw hat"}]}`)
	return b
}

func (b *bundle) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	require.NoError(t, b.db.Tenant(context.Background(), b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		_, err := tx.Exec(ctx, sql, args...)
		return err
	}))
}

func (b *bundle) touch(t *testing.T, channel, campaign string, days int) {
	t.Helper()
	b.exec(t, `insert into customer_touchpoints (tenant_uuid, touchpoint_uuid, source_key, kind, channel, campaign, visitor_uuid, occurred_at)
		values ($1, $2, $2::uuid::text, 'visit', $3, $4, $5, $6)`, b.tenant, uuid.New(), channel, campaign, b.visitor, converted.AddDate(0, 0, -days))
}

func (b *bundle) buy(t *testing.T, id uuid.UUID, number string, visitor *uuid.UUID, properties string) {
	t.Helper()
	b.exec(t, `insert into conversion_events (tenant_uuid, conversion_uuid, external_id, name, visitor_uuid, revenue_minor, currency, properties, occurred_at, received_at)
		values ($1, $2, $3, 'Order Completed', $4, 4990, 'USD', $5::jsonb, $6, $6)`, b.tenant, id, number, visitor, properties, converted)
}

func (b *bundle) memories(t *testing.T) []zerodb.Memory {
	t.Helper()
	list, err := b.client.Tenant(b.tenant).List(t.Context(), zerodb.Filter{Audience: zerodb.Audience{Agent: "walker_seo_001"}}, zerodb.Order{}, 100)
	require.NoError(t, err)
	return list
}

func TestAConversionIsRememberedOnceWithWhatEarnedIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 3 { // attribution runs again and again
		require.NoError(t, b.service.Attribute(t.Context(), b.tenant, b.order))
	}
	list := b.memories(t)
	require.Len(t, list, 1, "one conversion, one memory, which every agent of the tenant sees")
	m := list[0]
	require.Equal(t, zerodb.Episodic, m.Type)
	require.Equal(t, remember.Agent, m.Agent)
	require.Equal(t, remember.Subject(b.contact), m.Subject)
	require.Equal(t, converted, m.ValidFrom)
	require.Contains(t, m.Content, "Marie Pierre bought Red market bag, Straw hat for 49.90 USD (Order Completed 1001) on 9 March 2026.")
	require.Contains(t, m.Content, `email campaign "Welcome offer"`)
	require.Contains(t, m.Content, `paid social campaign "spring"`)
	require.Less(t, len(m.Content), 600)
	require.Equal(t, b.order.String(), m.Provenance.Reference)
	require.Equal(t, "49.90", m.Metadata["revenue"])
	require.NotNil(t, m.Vector, "a local embedder embeds in the transaction")
	hits, err := b.client.Tenant(b.tenant).Retrieve(t.Context(), "walker_ads_002", "what earned Marie's order?", "", 5, 0)
	require.NoError(t, err)
	require.Len(t, hits, 1)

	// A visit is reported late: another account of the same event takes the place of the first.
	b.touch(t, "organic_search", "", 0)
	require.NoError(t, b.service.Attribute(t.Context(), b.tenant, b.order))
	list = b.memories(t)
	require.Len(t, list, 1)
	require.Contains(t, list[0].Content, "organic search")
	require.Equal(t, converted, list[0].ValidFrom)

	// Erasing the customer erases it, every account of it.
	receipt, err := b.client.Tenant(b.tenant).Erase(t.Context(), zerodb.Erasure{Subject: remember.Subject(b.contact)})
	require.NoError(t, err)
	require.Equal(t, 2, receipt.Erased)
	require.Zero(t, receipt.Remaining)
	require.Empty(t, b.memories(t))
}

func TestAMemoryCommitsWithItsCreditsOrNotAtAll(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fail = errors.New("broken")
	require.ErrorContains(t, b.service.Attribute(t.Context(), b.tenant, b.order), "broken")
	require.Empty(t, b.memories(t))
	var credits int
	require.NoError(t, b.db.TenantRead(t.Context(), b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		return tx.QueryRow(ctx, "select count(*) from attribution_credits where tenant_uuid = $1", b.tenant).Scan(&credits)
	}))
	require.Zero(t, credits)
	b.fail = nil
	require.NoError(t, b.service.Attribute(t.Context(), b.tenant, b.order))
	require.Len(t, b.memories(t), 1)
}

func TestWhatNobodyIsKnownForIsNotRemembered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	// Of two conversions at one moment the smaller id counts as the first, whose journey it is.
	stranger, order := uuid.New(), uuid.MustParse("00000000-0000-7000-8000-000000000001")
	b.exec(t, "insert into website_visitors (tenant_uuid, visitor_uuid, anonymous_id, first_seen_at, last_seen_at) values ($1, $2, 'b', $3, $3)", b.tenant, stranger, converted)
	b.buy(t, order, "1002", &stranger, `{"products":"none"}`)
	require.NoError(t, b.service.Attribute(t.Context(), b.tenant, order))
	require.NoError(t, b.service.Attribute(t.Context(), b.tenant, uuid.New()))
	require.Empty(t, b.memories(t))
	// The stranger turns out to be Marie; attribution runs again, as it does then.
	b.exec(t, "update website_visitors set contact_uuid = $2 where visitor_uuid = $1", stranger, b.contact)
	require.NoError(t, b.service.Attribute(t.Context(), b.tenant, order))
	var accounts []string
	for _, m := range b.memories(t) {
		if m.Key == "conversion:"+order.String() {
			accounts = append(accounts, m.Content)
		}
	}
	require.Len(t, accounts, 1)
	require.Contains(t, accounts[0], "Marie Pierre bought for 49.90 USD")
	require.Contains(t, accounts[0], `email campaign "Welcome offer"`, "her visits led to it")
}

func TestAMemoryElsewhereIsStoredByAJob(t *testing.T) {
	t.Parallel()
	b := setup(t)
	elsewhere, err := zerodb.New(zerodb.Config{Backend: zerodbtest.NewReference(), Embedder: &zerodbtest.Hashing{}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	workers := river.NewWorkers()
	remember.RegisterWorker(workers, b.db, elsewhere)
	queue, err := jobs.New(b.db, jobs.Config{Workers: workers, Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 2}}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	b.service.OnAttributed(remember.Later(func() *jobs.Queue { return queue }))
	for range 2 {
		require.NoError(t, b.service.Attribute(t.Context(), b.tenant, b.order))
	}
	require.NoError(t, queue.Start(context.WithoutCancel(t.Context())))
	defer func() { require.NoError(t, queue.Stop(context.WithoutCancel(t.Context()))) }()
	require.Eventually(t, func() bool {
		var open int
		require.NoError(t, b.db.Pool().QueryRow(t.Context(), "select count(*) from river.river_job where kind = 'remember_conversion' and state <> $1", rivertype.JobStateCompleted).Scan(&open))
		return open == 0
	}, time.Minute, 20*time.Millisecond)
	list, err := elsewhere.Tenant(b.tenant).List(t.Context(), zerodb.Filter{Audience: zerodb.Audience{Agent: "walker_seo_001"}}, zerodb.Order{}, 10)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Contains(t, list[0].Content, "Marie Pierre bought")
}

// late is a back end in which something happens right after something was stored.
type late struct {
	*zerodbtest.Reference

	once sync.Once
	then func()
}

func (b *late) Change(ctx context.Context, tenant uuid.UUID, scopes []zerodb.Scope, fn func(context.Context, zerodb.Writer) error) error {
	err := b.Reference.Change(ctx, tenant, scopes, fn)
	b.once.Do(b.then)
	return err //nolint:wrapcheck // a test's
}

// TestWhoIsErasedWhileAJobStoresIsNotRemembered: the erasure's job may have looked before the memory was there.
func TestWhoIsErasedWhileAJobStoresIsNotRemembered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	gone := &late{Reference: zerodbtest.NewReference(), then: func() {
		b.exec(t, "update website_visitors set contact_uuid = null where contact_uuid = $1", b.contact)
		b.exec(t, "delete from contacts where contact_uuid = $1", b.contact)
	}}
	elsewhere, err := zerodb.New(zerodb.Config{Backend: gone, Embedder: &zerodbtest.Hashing{}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	workers := river.NewWorkers()
	remember.RegisterWorker(workers, b.db, elsewhere)
	queue, err := jobs.New(b.db, jobs.Config{Workers: workers, Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 2}}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	b.service.OnAttributed(remember.Later(func() *jobs.Queue { return queue }))
	require.NoError(t, b.service.Attribute(t.Context(), b.tenant, b.order))
	require.NoError(t, queue.Start(context.WithoutCancel(t.Context())))
	defer func() { require.NoError(t, queue.Stop(context.WithoutCancel(t.Context()))) }()
	require.Eventually(t, func() bool {
		var done int
		require.NoError(t, b.db.Pool().QueryRow(t.Context(), "select count(*) from river.river_job where kind = 'remember_conversion' and state = $1", rivertype.JobStateCompleted).Scan(&done))
		return done == 1
	}, time.Minute, 20*time.Millisecond)
	list, err := elsewhere.Tenant(b.tenant).List(t.Context(), zerodb.Filter{Audience: zerodb.Audience{Everyone: true}, History: true}, zerodb.Order{}, 10)
	require.NoError(t, err)
	require.Empty(t, list)
}
