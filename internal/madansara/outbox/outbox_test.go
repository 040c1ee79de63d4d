package outbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/madansara/outbox"
	"github.com/engardehq/madansara/mesh"
	"github.com/engardehq/madansara/mesh/problem"
)

// Whatever happens to single requests, every fact is at Core once, and a
// customer's in their order.
func TestEveryFactArrivesOnceAndInOrder(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.core.set(
		func(mesh.SyncFact) *problem.Problem {
			if rand.IntN(20) == 0 {
				return problem.New(http.StatusInternalServerError, "internal", "Something broke.")
			}
			return nil
		},
		func(mesh.SyncFact) {
			if rand.IntN(20) == 0 {
				panic(http.ErrAbortHandler) // kept, and the answer is lost
			}
		})
	b.start(t)
	const customers, facts = 20, 6
	var adders sync.WaitGroup
	for range customers {
		adders.Go(func() {
			customer := uuid.Must(uuid.NewV7())
			for n := range facts / 2 {
				b.add(t, fact(customer, 2*n), fact(customer, 2*n+1))
			}
		})
	}
	adders.Wait()
	b.awaitDelivered(t, b.tenant)
	require.Equal(t, customers*facts, b.core.total())
	for customer, got := range b.core.inOrder() {
		last := int64(0)
		for i, f := range got {
			require.JSONEq(t, fmt.Sprintf(`{"n":%d}`, i), string(f.Data), customer)
			require.Greater(t, f.Sequence, last)
			require.Equal(t, mesh.MadanSara, f.Source)
			last = f.Sequence
		}
	}
	for _, f := range b.list(t, "delivered") {
		require.NotNil(t, f.SettledAt)
		require.Nil(t, f.Failure)
		require.GreaterOrEqual(t, f.Attempts, 1)
	}
}

func TestAFactCommitsWithItsCause(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	failure := errors.New("the cause fails")
	err := b.db.Tenant(t.Context(), b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		require.NoError(t, b.outbox.AddTx(ctx, tx, fact(uuid.New(), 1)))
		return failure
	})
	require.ErrorIs(t, err, failure)
	kept := uuid.New()
	b.add(t, fact(kept, 2))
	b.start(t)
	b.awaitDelivered(t, b.tenant)
	require.Equal(t, 1, b.core.total())
	require.Contains(t, b.core.inOrder(), kept.String())
}

// A fact that Core refuses waits for a person, its customer's later facts wait
// behind it, and nobody else does.
func TestARefusedFactBlocksOnlyItsCustomer(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	bad, good := uuid.New(), uuid.New()
	refusal := problem.New(http.StatusUnprocessableEntity, "invalid", "The currency is none.")
	b.core.set(func(f mesh.SyncFact) *problem.Problem {
		if f.CustomerID == bad.String() && string(f.Data) != `{"n":4}` {
			return refusal
		}
		return nil
	}, nil)
	b.add(t, fact(bad, 1), fact(good, 2), fact(bad, 3), fact(bad, 4))
	b.start(t)
	b.await(t, "the fact has failed", func() bool { return len(b.list(t, "failed")) == 1 && len(b.list(t, "delivered")) == 1 })
	failed := b.list(t, "failed")[0]
	require.JSONEq(t, `{"n":1}`, string(failed.Data))
	require.Equal(t, 1, failed.Attempts)
	var why outbox.Failure
	require.NoError(t, json.Unmarshal(failed.Failure, &why))
	require.Equal(t, http.StatusUnprocessableEntity, why.Status)
	require.Equal(t, "The currency is none.", why.Problem.Detail)
	summary, err := b.outbox.Summary(t.Context(), b.tenant)
	require.NoError(t, err)
	require.EqualValues(t, 2, summary.Pending)
	require.EqualValues(t, 1, summary.Failed)
	require.EqualValues(t, 1, summary.BlockedCustomers)

	// Somebody else's facts still come through, and the blocked customer's do not.
	b.add(t, fact(good, 5), fact(bad, 6))
	b.await(t, "the others go on", func() bool { return b.core.total() == 2 })

	// Core still refuses it.
	_, err = b.outbox.Replay(t.Context(), b.tenant, failed.ID)
	require.NoError(t, err)
	b.await(t, "it fails again", func() bool { return b.core.requestsOf(failed.ID) == 2 && len(b.list(t, "failed")) == 1 })

	// Given up, it makes way for the next, which fails too and is given up.
	discarded, err := b.outbox.Discard(t.Context(), b.tenant, failed.ID, "marie@example.com", "a test order")
	require.NoError(t, err)
	require.Equal(t, "discarded", discarded.Status)
	require.Equal(t, "a test order", discarded.Reason)
	b.await(t, "the next is tried", func() bool { return len(b.list(t, "failed")) == 1 })
	next := b.list(t, "failed")[0]
	require.JSONEq(t, `{"n":3}`, string(next.Data))

	// Core has learnt to take it: everything arrives, in order.
	b.core.set(nil, nil)
	n, err := b.outbox.ReplayAll(t.Context(), b.tenant, "refund")
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = b.outbox.ReplayAll(t.Context(), b.tenant, "")
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	b.awaitDelivered(t, b.tenant)
	var came []string
	for _, f := range b.core.inOrder()[bad.String()] {
		came = append(came, string(f.Data))
	}
	require.Equal(t, []string{`{"n":3}`, `{"n":4}`, `{"n":6}`}, came)
	_, err = b.outbox.Discard(t.Context(), b.tenant, next.ID, "marie@example.com", "too late")
	require.ErrorContains(t, err, "delivered already")
}

func (r *receiver) requestsOf(id uuid.UUID) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests[id.String()]
}

// An outage costs a request now and then, however much piles up, and nothing of
// it counts against the facts.
func TestAnOutageMakesNoStorm(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.start(t)
	b.cluster.Stop(0)
	const facts = 300
	for n := range facts / 10 {
		batch := make([]outbox.Fact, 10)
		for i := range batch {
			batch[i] = fact(uuid.New(), n)
		}
		b.add(t, batch...)
	}
	b.await(t, "the outage is noticed", func() bool { return b.attempts(t) > 0 })
	before := b.attempts(t)
	b.cluster.Start(0)
	b.awaitDelivered(t, b.tenant)
	require.Equal(t, facts, b.core.total())
	t.Logf("%.0f attempts in the outage, %.0f in all for %d facts", before, b.attempts(t), facts)
	require.Less(t, b.attempts(t), 1.2*facts)
	for _, f := range b.list(t, "delivered") {
		require.Equal(t, 1, f.Attempts)
	}
}

// A tenant whose every fact makes Core fail delays nobody else.
func TestATenantsFailuresAreItsOwn(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ill := dbtest.Tenant(t, b.url)
	b.core.set(func(f mesh.SyncFact) *problem.Problem {
		if f.TenantUUID == ill.String() {
			return problem.New(http.StatusConflict, "busy", "Somebody else is at it.")
		}
		return nil
	}, nil)
	b.start(t)
	for n := range 20 {
		b.addFor(t, ill, fact(uuid.New(), n), fact(uuid.New(), n))
		b.add(t, fact(uuid.New(), n))
	}
	b.awaitDelivered(t, b.tenant)
	require.Equal(t, 20, b.core.total())
	summary, err := b.outbox.Summary(t.Context(), ill)
	require.NoError(t, err)
	require.EqualValues(t, 40, summary.Pending)
	b.core.set(nil, nil)
	b.awaitDelivered(t, ill)
}

func TestAFactIsGivenUpInTheEnd(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *outbox.Config) { c.Attempts = 2 })
	b.core.set(func(mesh.SyncFact) *problem.Problem {
		return problem.New(http.StatusNotFound, "not_found", "There is no such path.")
	}, nil)
	b.add(t, fact(uuid.New(), 1))
	b.start(t)
	b.await(t, "it has failed", func() bool { return len(b.list(t, "failed")) == 1 })
	require.Equal(t, 2, b.list(t, "failed")[0].Attempts)
}

// What a run had taken when its process was killed is delivered when its lease ends.
func TestAKilledRunsFactsAreDelivered(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.add(t, fact(uuid.New(), 1))
	require.NoError(t, b.db.Tenant(t.Context(), b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE outbox_lanes SET due_at = now() + interval '1 s'") // as a run does that takes it
		return err
	}))
	b.start(t)
	b.awaitDelivered(t, b.tenant)
	require.Equal(t, 1, b.core.total())
}

// When a visitor turns out to be a contact, what waits of both is delivered in
// the order in which it happened.
func TestOnePersonsFactsLineUp(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	visitor, contact, stranger := uuid.New(), uuid.New(), uuid.New()
	b.add(t, fact(visitor, 1), fact(contact, 2), fact(visitor, 3))
	move := func(from, into uuid.UUID) {
		require.NoError(t, b.db.Tenant(t.Context(), b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
			return b.outbox.MoveTx(ctx, tx, []uuid.UUID{from}, []uuid.UUID{into})
		}))
	}
	move(visitor, contact)
	move(stranger, contact) // of whom nothing waits
	move(contact, contact)
	b.add(t, fact(contact, 4))
	b.start(t)
	b.awaitDelivered(t, b.tenant)
	b.core.mu.Lock()
	defer b.core.mu.Unlock()
	var came, about []string
	for _, f := range b.core.order {
		came, about = append(came, string(f.Data)), append(about, f.CustomerID)
	}
	require.Equal(t, []string{`{"n":1}`, `{"n":2}`, `{"n":3}`, `{"n":4}`}, came)
	require.Equal(t, []string{visitor.String(), contact.String(), visitor.String(), contact.String()}, about, "Core is told what was known then")
}

func TestTheGaugesCountAllTenants(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.metrics.MustRegister(b.outbox.Collector())
	gauge := func(name, status string) float64 {
		families, err := b.metrics.Gather()
		require.NoError(t, err)
		for _, family := range families {
			for _, metric := range family.GetMetric() {
				if family.GetName() == name && (status == "" || metric.GetLabel()[0].GetValue() == status) {
					return metric.GetGauge().GetValue()
				}
			}
		}
		return -1
	}
	require.Zero(t, gauge("outbox_facts", "pending"))
	require.Zero(t, gauge("outbox_oldest_pending_seconds", ""))
	b.add(t, fact(uuid.New(), 1))
	b.addFor(t, dbtest.Tenant(t, b.url), fact(uuid.New(), 1))
	require.InDelta(t, 2, gauge("outbox_facts", "pending"), 0)
	require.Zero(t, gauge("outbox_facts", "failed"))
	require.Positive(t, gauge("outbox_oldest_pending_seconds", ""))
}

// TestNothingIsLeftBehind looks at the tables as a whole when all is delivered.
func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.start(t)
	var adders sync.WaitGroup
	for n := range 8 { // adding while jobs end all the time
		adders.Go(func() {
			for range 10 {
				b.add(t, fact(uuid.New(), n))
			}
		})
	}
	adders.Wait()
	b.awaitDelivered(t, b.tenant)
	conn, err := pgx.Connect(t.Context(), b.url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	var last int64
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT last_sequence FROM outbox_counters").Scan(&last))
	require.EqualValues(t, 80, last)
	b.await(t, "no customer and no job is left, but for the one that removes what is kept a week", func() bool {
		var lanes, deliveries, prunes int
		require.NoError(t, conn.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM outbox_lanes),
			(SELECT count(*) FROM river.river_job WHERE kind = 'outbox_deliver' AND state <> 'completed'),
			(SELECT count(*) FROM river.river_job WHERE kind = 'outbox_prune' AND state = 'scheduled')`).Scan(&lanes, &deliveries, &prunes))
		return lanes == 0 && deliveries == 0 && prunes == 1
	})
}
