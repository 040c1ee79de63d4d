package outbox_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"path"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/internal/madansara/outbox"
	"github.com/engardehq/madansara/mesh"
	"github.com/engardehq/madansara/mesh/breaker"
	"github.com/engardehq/madansara/mesh/meshtest"
	"github.com/engardehq/madansara/mesh/problem"
	"github.com/engardehq/madansara/mesh/signature"
)

const (
	secret = "a secret of the mesh, long enough"
	soon   = 60 * time.Second // on a machine with much else to do
)

// bundle is an outbox whose Core is a real server that verifies signatures,
// reached through a real mesh, and whose jobs run in a real queue.
type bundle struct {
	url     string
	db      *engardedb.DB
	tenant  uuid.UUID
	outbox  *outbox.Outbox
	core    *receiver
	cluster *meshtest.Cluster
	metrics *prometheus.Registry
	queue   *jobs.Queue
}

func setup(t *testing.T, change func(*outbox.Config)) *bundle {
	t.Helper()
	url, db := dbtest.App(t, "madan_sara_app")
	b := &bundle{url: url, db: db, tenant: dbtest.Tenant(t, url), core: newReceiver(), metrics: prometheus.NewRegistry()}
	quiet := slog.New(slog.DiscardHandler)
	guard, err := mesh.NewServer(mesh.ServerConfig{Service: mesh.Core, Secrets: []string{secret}, Logger: quiet})
	require.NoError(t, err)
	b.cluster = meshtest.NewCluster(t, 1, func(int) http.Handler { return guard(b.core) })
	peers, err := mesh.New(mesh.Config{
		Service: mesh.MadanSara, Secrets: []string{secret}, Timeout: 10 * time.Second, HealthEvery: -1, ResolveEvery: time.Hour,
		Peers: map[string]string{mesh.Core: b.cluster.URL()}, Resolver: b.cluster, Registerer: b.metrics, Logger: quiet,
		Breaker: breaker.Config{OpenFor: 100 * time.Millisecond, MaxOpenFor: time.Second}, Retry: mesh.Retry{Base: time.Millisecond},
	})
	require.NoError(t, err)
	t.Cleanup(peers.Close)

	config := outbox.Config{Logger: quiet}
	if change != nil {
		change(&config)
	}
	clock := clockwork.NewRealClock()
	workers := river.NewWorkers()
	outbox.NewDelivery(db, peers.Sync(), clock, config).RegisterWorkers(workers)
	b.queue, err = jobs.New(db, jobs.Config{
		Workers: workers, Queues: map[string]river.QueueConfig{outbox.Queue: {MaxWorkers: 4}}, Logger: quiet, PollInterval: 100 * time.Millisecond,
	})
	require.NoError(t, err)
	b.outbox = outbox.New(db, b.queue, clock)
	return b
}

// start works the jobs until the test ends.
func (b *bundle) start(t *testing.T) {
	t.Helper()
	require.NoError(t, b.queue.Start(t.Context()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		require.NoError(t, b.queue.Stop(ctx))
	})
}

func (b *bundle) add(t *testing.T, facts ...outbox.Fact) { t.Helper(); b.addFor(t, b.tenant, facts...) }

func (b *bundle) addFor(t *testing.T, tenant uuid.UUID, facts ...outbox.Fact) {
	t.Helper()
	require.NoError(t, b.db.Tenant(t.Context(), tenant, func(ctx context.Context, tx engardedb.Tx) error {
		return b.outbox.AddTx(ctx, tx, facts...)
	}))
}

// list returns the tenant's facts of a status.
func (b *bundle) list(t *testing.T, status string) []outbox.Stored {
	t.Helper()
	facts, err := b.outbox.List(t.Context(), b.tenant, outbox.Filter{Status: status}, 0, 10_000)
	require.NoError(t, err)
	return facts
}

func (b *bundle) await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, soon, 20*time.Millisecond, what)
}

func (b *bundle) awaitDelivered(t *testing.T, tenant uuid.UUID) {
	t.Helper()
	b.await(t, "all facts are delivered", func() bool {
		summary, err := b.outbox.Summary(t.Context(), tenant)
		require.NoError(t, err)
		return summary.Pending == 0 && summary.Failed == 0
	})
}

// attempts is how often the mesh sent, or tried to send, a request to Core.
func (b *bundle) attempts(t *testing.T) (n float64) {
	t.Helper()
	families, err := b.metrics.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() != "mesh_attempts_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() == "kind" && label.GetValue() != "over_budget" {
					n += metric.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}

func fact(customer uuid.UUID, n int) outbox.Fact {
	return outbox.Fact{Type: "conversion", Customer: customer, Data: map[string]int{"n": n}, At: time.Now()}
}

// receiver keeps facts as Core does: once by their id.
type receiver struct {
	mu       sync.Mutex
	facts    map[string]mesh.SyncFact
	order    []mesh.SyncFact // as they came first
	requests map[string]int  // by fact
	// answer decides about a fact before it is kept (nil: it is kept); after
	// may break the answer once it is.
	answer func(mesh.SyncFact) *problem.Problem
	after  func(mesh.SyncFact)
}

func newReceiver() *receiver {
	return &receiver{facts: map[string]mesh.SyncFact{}, requests: map[string]int{}}
}

func (r *receiver) set(answer func(mesh.SyncFact) *problem.Problem, after func(mesh.SyncFact)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer, r.after = answer, after
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	identity, signed := signature.From(request.Context())
	var got mesh.SyncFact
	body, err := io.ReadAll(request.Body)
	if err != nil || json.Unmarshal(body, &got) != nil || !signed || identity.Tenant != got.TenantUUID {
		problem.Write(w, problem.New(http.StatusBadRequest, "malformed", "This is no fact."))
		return
	}
	got.ID, got.DataType = request.Header.Get("Idempotency-Key"), path.Base(request.URL.Path)
	r.mu.Lock()
	r.requests[got.ID]++
	answer, after := r.answer, r.after
	r.mu.Unlock()
	if answer != nil {
		if refusal := answer(got); refusal != nil {
			problem.Write(w, refusal)
			return
		}
	}
	r.mu.Lock()
	_, duplicate := r.facts[got.ID]
	if !duplicate {
		r.facts[got.ID] = got
		r.order = append(r.order, got)
	}
	r.mu.Unlock()
	if after != nil {
		after(got)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(mesh.SyncReceipt{ID: got.ID, Duplicate: duplicate})
}

// inOrder returns the facts as they came, by customer.
func (r *receiver) inOrder() map[string][]mesh.SyncFact {
	r.mu.Lock()
	defer r.mu.Unlock()
	of := map[string][]mesh.SyncFact{}
	for _, f := range r.order {
		of[f.CustomerID] = append(of[f.CustomerID], f)
	}
	return of
}

func (r *receiver) total() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.order)
}
