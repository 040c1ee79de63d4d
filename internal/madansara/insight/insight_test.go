package insight_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/internal/madansara/insight"
	"github.com/engardehq/madansara/mesh"
)

var now = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

type bundle struct {
	db      *engardedb.DB
	tenant  uuid.UUID
	clock   *clockwork.FakeClock
	counter *insight.Counter
	service *insight.Service
}

func setup(t *testing.T) *bundle {
	t.Helper()
	url, db := dbtest.App(t, "madan_sara_app")
	queue, err := jobs.New(db, jobs.Config{})
	require.NoError(t, err)
	clock := clockwork.NewFakeClockAt(now)
	return &bundle{
		db: db, tenant: dbtest.Tenant(t, url), clock: clock,
		counter: insight.NewCounter(db, clock), service: insight.New(db, queue, clock),
	}
}

func (b *bundle) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	require.NoError(t, b.db.Tenant(context.Background(), b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		_, err := tx.Exec(ctx, sql, args...)
		return err
	}))
}

func (b *bundle) jobs(t *testing.T) (n int) {
	t.Helper()
	require.NoError(t, b.db.Pool().QueryRow(t.Context(), "select count(*) from river.river_job where kind = 'count_propensity'").Scan(&n))
	return n
}

// touch is a visit of a visitor, or a click of a contact.
func (b *bundle) touch(t *testing.T, visitor, contact *uuid.UUID, kind, channel, campaign string, at time.Time) {
	t.Helper()
	b.exec(t, `insert into customer_touchpoints (tenant_uuid, touchpoint_uuid, source_key, kind, channel, campaign, visitor_uuid, contact_uuid, occurred_at)
		values ($1, $2, $2::uuid::text, $3, $4, $5, $6, $7, $8)`, b.tenant, uuid.New(), kind, channel, campaign, visitor, contact, at)
}

func (b *bundle) order(t *testing.T, visitor, contact *uuid.UUID, number string, minor int64, refundOf *string, at time.Time) {
	t.Helper()
	b.exec(t, `insert into conversion_events (tenant_uuid, conversion_uuid, external_id, name, visitor_uuid, contact_uuid, revenue_minor, currency, occurred_at, received_at, refund_of)
		values ($1, $2, $3, 'Order', $4, $5, $6, 'USD', $7, $7, $8)`, b.tenant, uuid.New(), number, visitor, contact, minor, at, refundOf)
}

func (b *bundle) person(t *testing.T, email string) (contact, visitor uuid.UUID) {
	t.Helper()
	contact, visitor = uuid.New(), uuid.New()
	b.exec(t, `insert into contacts (tenant_uuid, contact_uuid, email, created_at, updated_at) values ($1, $2, $3, $4, $4)`, b.tenant, contact, email, now.Add(-5*day))
	b.exec(t, `insert into contact_identities (tenant_uuid, kind, value, contact_uuid, created_at) values ($1, 'email', $2, $3, $4)`, b.tenant, email, contact, now)
	b.exec(t, `insert into website_visitors (tenant_uuid, visitor_uuid, anonymous_id, contact_uuid, first_seen_at, last_seen_at)
		values ($1, $2, $2::uuid::text, $3, $4, $5)`, b.tenant, visitor, contact, now.Add(-20*day), now.Add(-2*day))
	return contact, visitor
}

// history records visits, and an order of each buyer 20 days ago.
func (b *bundle) history(t *testing.T, visitors []uuid.UUID, times []time.Time, buyers []uuid.UUID) {
	t.Helper()
	b.exec(t, `insert into customer_touchpoints (tenant_uuid, touchpoint_uuid, source_key, kind, channel, visitor_uuid, occurred_at)
		select $1, id, id::text, 'visit', 'email', visitor, at from (select gen_random_uuid() id, * from unnest($2::uuid[], $3::timestamptz[]) x (visitor, at)) y`,
		b.tenant, visitors, times)
	b.exec(t, `insert into conversion_events (tenant_uuid, conversion_uuid, external_id, name, visitor_uuid, revenue_minor, currency, occurred_at, received_at)
		select $1, gen_random_uuid(), visitor::text, 'Order', visitor, 100, 'USD', $3, $3 from unnest($2::uuid[]) visitor`, b.tenant, buyers, now.Add(-20*day))
}

func TestACustomerInShort(t *testing.T) {
	t.Parallel()
	b := setup(t)
	contact, visitor := b.person(t, "marie@example.com")
	b.touch(t, &visitor, nil, "visit", "paid_social", "spring", now.Add(-20*day))
	b.touch(t, &visitor, nil, "visit", "paid_social", "spring", now.Add(-19*day))
	b.touch(t, &visitor, &contact, "visit", "organic_search", "", now.Add(-2*day)) // found by both, counted once
	b.touch(t, nil, &contact, "message_click", "email", "win back", now.Add(-3*day))
	b.order(t, &visitor, nil, "A-1", 10000, nil, now.Add(-2*day))
	refunded := "A-1"
	b.order(t, nil, &contact, "R-1", -2500, &refunded, now.Add(-day))

	known, err := b.service.Customer(t.Context(), b.tenant, "Marie@example.com")
	require.NoError(t, err)
	require.Equal(t, "Marie@example.com", known.CustomerID)
	require.Equal(t, now.Add(-20*day), known.FirstSeenAt.UTC())
	require.Equal(t, now.Add(-day), known.LastSeenAt.UTC())
	require.Equal(t, 1, known.Conversions)
	require.Equal(t, []mesh.Money{{Amount: 7500, Currency: "USD"}}, known.Value)
	var kinds []string
	for _, touch := range known.Journey {
		kinds = append(kinds, touch.Kind)
	}
	require.Equal(t, []string{"visit", "visit", "message_click", "visit", "conversion", "refund"}, kinds)
	require.Len(t, known.LastTouches, 4)
	require.Equal(t, "organic_search", known.LastTouches[0].Channel)
	require.Equal(t, "paid_social", known.PreferredChannel, "two visits of three weeks ago outweigh one of two days")
	require.Nil(t, known.Propensity, "nothing has been counted yet")
	require.Nil(t, known.PropensityBasis)

	// A visitor nobody knows, and somebody nobody has heard of.
	stranger := uuid.New()
	b.exec(t, `insert into website_visitors (tenant_uuid, visitor_uuid, anonymous_id, first_seen_at, last_seen_at) values ($1, $2, 'x', $3, $3)`, b.tenant, stranger, now)
	known, err = b.service.Customer(t.Context(), b.tenant, stranger.String())
	require.NoError(t, err)
	require.Empty(t, known.Journey)
	require.Empty(t, known.PreferredChannel)
	for _, nobody := range []string{"nobody@example.com", uuid.NewString(), "\xff", "a\x00b"} {
		_, err = b.service.Customer(t.Context(), b.tenant, nobody)
		require.Equal(t, fault.NotFound, fault.CodeOf(err), "%q", nobody)
	}
	require.Equal(t, 1, b.jobs(t), "many questions ask for one count")
}

// TestPropensityIsWhatHistorySays makes people who came often and buy one time in two, and
// people who came once and buy one time in twenty.
func TestPropensityIsWhatHistorySays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	random := rand.New(rand.NewPCG(7, 7))
	const each = 300
	rates := []float64{0.05, 0.5}
	bought := make([]int, 2)
	var visitors, buyers []uuid.UUID
	var times []time.Time
	for kind, visits := range []int{1, 5} {
		for range each {
			person := uuid.New()
			for range visits {
				visitors = append(visitors, person)
				times = append(times, now.Add(-33*day).Add(time.Duration(random.IntN(40))*time.Hour))
			}
			if random.Float64() < rates[kind] {
				bought[kind]++
				buyers = append(buyers, person)
			}
		}
	}
	b.history(t, visitors, times, buyers)
	require.NoError(t, b.counter.Count(t.Context(), b.tenant))
	require.NoError(t, b.counter.Count(t.Context(), b.tenant), "counting again replaces")

	ask := func(visits int) *mesh.CustomerInsights {
		_, visitor := b.person(t, uuid.NewString()+"@example.com")
		for range visits {
			b.touch(t, &visitor, nil, "visit", "email", "", now.Add(-3*day))
		}
		known, err := b.service.Customer(t.Context(), b.tenant, visitor.String())
		require.NoError(t, err)
		return known
	}
	often, once, never := ask(5), ask(1), ask(0)
	require.Nil(t, never.Propensity, "whoever did not come lately is in no group")
	// All who came often stand in one group; the two are unlike, so neither is drawn far
	// to the average.
	require.Equal(t, int64(each), often.PropensityBasis.People)
	require.Equal(t, int64(bought[1]), often.PropensityBasis.Converted)
	average, own := float64(bought[0]+bought[1])/(2*each), func(kind int) float64 { return float64(bought[kind]) / each }
	require.InDelta(t, own(1), *often.Propensity, 0.02)
	require.InDelta(t, own(0), *once.Propensity, 0.02)
	require.Less(t, *often.Propensity, own(1))
	require.Greater(t, *once.Propensity, own(0))
	require.Less(t, *once.Propensity, average)
	require.Equal(t, now, often.PropensityBasis.CountedAt.UTC())
	require.Zero(t, b.jobs(t))
	b.clock.Advance(25 * time.Hour)
	ask(1)
	require.Equal(t, 1, b.jobs(t), "counts of yesterday are taken again")
}

func TestASmallHistorySaysNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	people, times := make([]uuid.UUID, 30), make([]time.Time, 30)
	for i := range people {
		people[i], times[i] = uuid.New(), now.Add(-35*day)
	}
	b.history(t, people, times, people[:15])
	require.NoError(t, b.counter.Count(t.Context(), b.tenant))
	_, visitor := b.person(t, "a@example.com")
	b.touch(t, &visitor, nil, "visit", "email", "", now.Add(-5*day))
	known, err := b.service.Customer(t.Context(), b.tenant, visitor.String())
	require.NoError(t, err)
	require.Nil(t, known.Propensity)
}
