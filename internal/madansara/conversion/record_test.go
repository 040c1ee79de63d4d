package conversion_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/internal/madansara/conversion"
	"github.com/engardehq/madansara/internal/money"
)

var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// bundle is a database with one tenant and a recorder on it.
type bundle struct {
	url      string
	db       *engardedb.DB
	tenant   uuid.UUID
	clock    *clockwork.FakeClock
	queue    *jobs.Queue
	recorder *conversion.Recorder
}

func setup(t *testing.T) *bundle {
	t.Helper()
	url, db := dbtest.App(t, "madan_sara_app")
	queue, err := jobs.New(db, jobs.Config{})
	require.NoError(t, err)
	clock := clockwork.NewFakeClockAt(noon)
	return &bundle{
		url: url, db: db, tenant: dbtest.Tenant(t, url), clock: clock, queue: queue,
		recorder: conversion.NewRecorder(queue, nil, clock),
	}
}

func (b *bundle) record(t *testing.T, conversions ...conversion.Conversion) []conversion.Recorded {
	t.Helper()
	recorded, err := b.tryRecord(conversions...)
	require.NoError(t, err)
	return recorded
}

func (b *bundle) tryRecord(conversions ...conversion.Conversion) (recorded []conversion.Recorded, err error) {
	err = b.db.Tenant(context.Background(), b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		recorded, err = b.recorder.RecordTx(ctx, tx, conversions)
		return err
	})
	return recorded, err
}

// exec runs SQL as the tenant.
func (b *bundle) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	require.NoError(t, b.db.Tenant(context.Background(), b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		_, err := tx.Exec(ctx, sql, args...)
		return err
	}))
}

// one reads one value as the tenant.
func one[T any](t *testing.T, b *bundle, sql string, args ...any) (value T) {
	t.Helper()
	require.NoError(t, b.db.Tenant(context.Background(), b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		return tx.QueryRow(ctx, sql, args...).Scan(&value)
	}))
	return value
}

func (b *bundle) jobCount(t *testing.T) int {
	t.Helper()
	return one[int](t, b, "select count(*) from river.river_job where kind = 'attribute_conversion'")
}

func order(number string, minor int64) conversion.Conversion {
	return conversion.Conversion{
		Name: "Order Completed", ExternalID: number, Amount: money.Amount{Minor: minor, Currency: "USD"},
		Properties: json.RawMessage(`{"items": 2}`), OccurredAt: noon, ReceivedAt: noon.Add(time.Second),
	}
}

func TestRecordIsOnceForAnOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)

	first := b.record(t, order("B-2", 500), order("A-1", 1990), order("A-1", 1))
	require.True(t, first[0].New)
	require.True(t, first[1].New)
	require.Equal(t, conversion.Recorded{ConversionUUID: first[1].ConversionUUID}, first[2], "repeated in one call")
	require.Equal(t, 2, b.jobCount(t))
	require.Equal(t, int64(1990), one[int64](t, b, "select revenue_minor from conversion_events where external_id = 'A-1'"))

	again := b.record(t, order("A-1", 7))
	require.Equal(t, conversion.Recorded{ConversionUUID: first[1].ConversionUUID}, again[0])
	require.Equal(t, 2, b.jobCount(t), "nothing new, no job")
	require.Equal(t, int64(1990), one[int64](t, b, "select revenue_minor from conversion_events where external_id = 'A-1'"))
}

func TestRecordLearnsThePersonItLacked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	visitor, contact := uuid.New(), uuid.New()
	fromServer, fromBrowser := order("A-1", 100), order("A-1", 100)
	fromServer.ContactUUID, fromBrowser.VisitorUUID = &contact, &visitor

	b.record(t, fromServer)
	b.record(t, fromBrowser)
	b.record(t, fromBrowser)
	require.Equal(t, visitor, one[uuid.UUID](t, b, "select visitor_uuid from conversion_events"))
	require.Equal(t, contact, one[uuid.UUID](t, b, "select contact_uuid from conversion_events"))
	require.Equal(t, 2, b.jobCount(t), "one for the order, one for what was learnt")
}

func TestRecordTheSameOrdersAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const reporters, orders = 8, 20
	created := make([]int, reporters)
	var group sync.WaitGroup
	for i := range reporters {
		group.Go(func() {
			batch := make([]conversion.Conversion, orders)
			for j := range batch {
				// Each reporter in an order of its own, which would deadlock.
				batch[j] = order(fmt.Sprint((j*7+i)%orders), 100)
			}
			recorded, err := b.tryRecord(batch...)
			if err != nil {
				t.Error(err)
			}
			for _, r := range recorded {
				if r.New {
					created[i]++
				}
			}
		})
	}
	group.Wait()
	total := 0
	for _, n := range created {
		total += n
	}
	require.Equal(t, orders, total)
	require.Equal(t, orders, one[int](t, b, "select count(*) from conversion_events"))
	require.Equal(t, orders, b.jobCount(t))
}

func TestRecordWithoutRevenueIsInTheTenantsCurrency(t *testing.T) {
	t.Parallel()
	b := setup(t)
	signUp := conversion.Conversion{Name: "Signed Up", ExternalID: "m-1", OccurredAt: noon, ReceivedAt: noon}
	b.record(t, signUp)
	require.Equal(t, "USD", one[string](t, b, "select currency from conversion_events"))
	require.JSONEq(t, `{}`, one[string](t, b, "select properties::text from conversion_events"))
}

func TestRecordRefusesWhatCannotBeStored(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, change := range map[string]func(*conversion.Conversion){
		"no name":              func(c *conversion.Conversion) { c.Name = "" },
		"a long name":          func(c *conversion.Conversion) { c.Name = strings.Repeat("n", 201) },
		"NUL in the name":      func(c *conversion.Conversion) { c.Name = "a\x00b" },
		"invalid UTF-8":        func(c *conversion.Conversion) { c.ExternalID = "\xff" },
		"no id":                func(c *conversion.Conversion) { c.ExternalID = "" },
		"negative revenue":     func(c *conversion.Conversion) { c.Amount.Minor = -1 },
		"impossible revenue":   func(c *conversion.Conversion) { c.Amount.Minor = 1 << 60 },
		"revenue, no currency": func(c *conversion.Conversion) { c.Amount.Currency = "" },
		"an invented currency": func(c *conversion.Conversion) { c.Amount.Currency = "ZZZ" },
		"no time":              func(c *conversion.Conversion) { c.OccurredAt = time.Time{} },
		"properties, an array": func(c *conversion.Conversion) { c.Properties = json.RawMessage(`[]`) },
		"properties, null":     func(c *conversion.Conversion) { c.Properties = json.RawMessage(`null`) },
		"properties, not JSON": func(c *conversion.Conversion) { c.Properties = json.RawMessage(`{`) },
		"properties with NUL":  func(c *conversion.Conversion) { c.Properties = json.RawMessage(`{"a":"\u0000"}`) },
		"half a pair":          func(c *conversion.Conversion) { c.Properties = json.RawMessage(`{"a":"\ud83d"}`) },
		"the other half":       func(c *conversion.Conversion) { c.Properties = json.RawMessage(`{"a":"\uDE00"}`) },
		"an endless number":    func(c *conversion.Conversion) { c.Properties = json.RawMessage(`{"a":1e999999}`) },
		"properties over 32 KB": func(c *conversion.Conversion) {
			c.Properties = json.RawMessage(`{"a":"` + strings.Repeat("x", 33000) + `"}`)
		},
	} {
		c := order("A-1", 100)
		change(&c)
		_, err := b.tryRecord(order("fine", 1), c)
		require.Equal(t, fault.Invalid, fault.CodeOf(err), name)
	}
	require.Zero(t, one[int](t, b, "select count(*) from conversion_events"))

	hostile := order("'; drop table conversion_events; --", 100)
	hostile.Properties = json.RawMessage(`{"a":"\ud83d\ude00 \\u0000 <script>"}`)
	refund := order("R-1", -100)
	refund.Name = "Order Refunded"
	positive := order("R-2", 100)
	positive.Name = "Order Refunded"
	b.record(t, hostile, refund, positive)
	require.Equal(t, 3, one[int](t, b, "select count(*) from conversion_events"))
	require.Equal(t, -200, one[int](t, b, "select sum(revenue_minor) from conversion_events where name = 'Order Refunded'"))
}

func TestAnOrderIsRefundedInParts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	part := func(id string, minor int64) conversion.Conversion {
		c := order(id, minor)
		c.Name, c.RefundOf = "Order Refunded", "A-1"
		return c
	}
	recorded := b.record(t, order("A-1", 1990), part("m-1", 500), part("m-2", 500), part("m-1", 500))
	require.True(t, recorded[1].New)
	require.True(t, recorded[2].New, "a second part of the same size")
	require.Equal(t, conversion.Recorded{ConversionUUID: recorded[1].ConversionUUID}, recorded[3], "the same part again")
	require.Equal(t, 990, one[int](t, b, "select sum(revenue_minor) from conversion_events"))
	require.Equal(t, 2, one[int](t, b, "select count(*) from conversion_events where refund_of = 'A-1'"))

	whole := order("R-9", 100)
	whole.Name = "Order Refunded"
	b.record(t, whole)
	require.Equal(t, "R-9", one[string](t, b, "select refund_of from conversion_events where external_id = 'R-9'"))
	sale := order("A-2", 100)
	sale.RefundOf = "A-1"
	_, err := b.tryRecord(sale)
	require.Equal(t, fault.Invalid, fault.CodeOf(err))
}

func TestReattributeAfterIdentifyAndLateTouches(t *testing.T) {
	t.Parallel()
	b := setup(t)
	visitor, stranger, contact := uuid.New(), uuid.New(), uuid.New()
	b.exec(t, "insert into contacts (tenant_uuid, contact_uuid, created_at, updated_at) values ($1, $2, $3, $3)", b.tenant, contact, noon)
	b.exec(t, `insert into website_visitors (tenant_uuid, visitor_uuid, anonymous_id, contact_uuid, first_seen_at, last_seen_at)
		values ($1, $2, 'a', $3, $4, $4)`, b.tenant, visitor, contact, noon)
	byVisitor, byContact, old, other := order("v", 1), order("c", 1), order("old", 1), order("other", 1)
	byVisitor.VisitorUUID, byContact.ContactUUID, other.VisitorUUID = &visitor, &contact, &stranger
	old.ContactUUID, old.OccurredAt = &contact, noon.Add(-91*24*time.Hour)
	b.record(t, byVisitor, byContact, old, other)
	before := b.jobCount(t)

	inTx := func(fn func(ctx context.Context, tx engardedb.Tx) error) int {
		require.NoError(t, b.db.Tenant(context.Background(), b.tenant, fn))
		added := b.jobCount(t) - before
		before += added
		return added
	}
	require.Equal(t, 2, inTx(func(ctx context.Context, tx engardedb.Tx) error {
		return b.recorder.ReattributeTx(ctx, tx, contact)
	}))
	require.Equal(t, 1, inTx(func(ctx context.Context, tx engardedb.Tx) error {
		return b.recorder.TouchedTx(ctx, tx, []conversion.LateTouch{
			{VisitorUUID: &visitor, OccurredAt: noon.Add(-time.Hour)},
			{VisitorUUID: &visitor, OccurredAt: noon.Add(-2 * time.Hour)},
			{VisitorUUID: &stranger, OccurredAt: noon.Add(time.Hour)}, // after the conversion: not late
		})
	}))
}

// executeAsOwner changes what the application may only read.
func executeAsOwner(t *testing.T, b *bundle, sql string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), b.url)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(context.Background(), sql)
	require.NoError(t, err)
}

func TestAConversionIsAttributedByItsJob(t *testing.T) {
	t.Parallel()
	s := setupSite(t)
	visitor := uuid.New()
	s.visit(t, visitor, nil, "social", "instagram", "spring", noon.Add(-time.Hour))
	workers := river.NewWorkers()
	s.models.RegisterWorkers(workers)
	queue, err := jobs.New(s.db, jobs.Config{
		Workers: workers, Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 2}},
		JobTimeout: time.Minute, RescueAfter: time.Hour,
	})
	require.NoError(t, err)
	require.NoError(t, queue.Start(context.Background()))
	t.Cleanup(func() { require.NoError(t, queue.Stop(context.Background())) })

	bought := order("A-1", 100)
	bought.VisitorUUID = &visitor
	s.record(t, bought)
	require.Eventually(t, func() bool {
		return one[int](t, s.bundle, "select count(*) from attribution_credits where channel = 'social' and weight = 1") == 5
	}, time.Minute, 50*time.Millisecond)
}
