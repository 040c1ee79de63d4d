package zerodbtest

import (
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/zerodb"
)

// Env is what the suite needs of a back end.
type Env struct {
	Backend zerodb.Backend
	// Tenant returns a new tenant, which the back end accepts.
	Tenant func(t testing.TB) uuid.UUID
}

// start is when every test begins.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// bundle is what one test works with: a tenant of its own in the env's back end.
type bundle struct {
	env      Env
	clock    *clockwork.FakeClock
	embedder *Hashing
	client   *zerodb.Client
	tenant   zerodb.Tenant
}

func setup(t *testing.T, env Env) *bundle {
	t.Helper()
	b := &bundle{env: env, clock: clockwork.NewFakeClockAt(start), embedder: &Hashing{}}
	b.client = b.with(t, b.embedder)
	b.tenant = b.client.Tenant(env.Tenant(t))
	return b
}

// with returns another client of the same back end.
func (b *bundle) with(t *testing.T, embedder zerodb.Embedder) *zerodb.Client {
	t.Helper()
	client, err := zerodb.New(zerodb.Config{
		Backend: b.env.Backend, Embedder: embedder, Clock: b.clock, Logger: slog.New(slog.DiscardHandler), FlushRecalls: time.Hour,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close(t.Context())) })
	return client
}

const agent = "walker_seo_001"

func (b *bundle) store(t *testing.T, item zerodb.Item) zerodb.Receipt {
	t.Helper()
	if item.Agent == "" {
		item.Agent = agent
	}
	receipts, err := b.tenant.StoreBatch(t.Context(), []zerodb.Item{item})
	require.NoError(t, err)
	return receipts[0]
}

func (b *bundle) search(t *testing.T, q zerodb.Query) []zerodb.Hit {
	t.Helper()
	if q.Agent == "" && !q.Everyone {
		q.Agent = agent
	}
	result, err := b.tenant.Search(t.Context(), q)
	require.NoError(t, err)
	return result.Hits
}

func contents(hits []zerodb.Hit) []string {
	list := make([]string, len(hits))
	for i := range hits {
		list[i] = hits[i].Memory.Content
	}
	return list
}

// Run holds a back end to its contract. open is called once; every test takes a
// tenant of its own.
func Run(t *testing.T, open func(t *testing.T) Env) {
	t.Helper()
	env := open(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *bundle)
	}{
		{"what is stored is found", testStoredIsFound},
		{"a fact supersedes what it contradicts", testSupersede},
		{"working memories are replaced", testWorking},
		{"stats count by type and agent", testStats},
		{"an export is imported elsewhere", testTransfer},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, setup(t, env))
		})
	}
}

func testStoredIsFound(t *testing.T, b *bundle) {
	for _, typ := range zerodb.Types() {
		receipt, err := b.tenant.Store(t.Context(), agent, typ, "Marie likes the red market bag as "+string(typ), zerodb.Metadata{"n": 1}, 0)
		require.NoError(t, err)
		require.Equal(t, zerodb.Created, receipt.Outcome)
		require.True(t, receipt.Embedded)
		hits, err := b.tenant.Retrieve(t.Context(), agent, "red bag", typ, 10, 0)
		require.NoError(t, err)
		require.Len(t, hits, 1)
		require.Equal(t, typ, hits[0].Memory.Type)
		require.Equal(t, zerodb.Metadata{"n": 1.0}, hits[0].Memory.Metadata)
	}
	hits, err := b.tenant.Retrieve(t.Context(), agent, "red bag", "", 10, 0)
	require.NoError(t, err)
	require.Len(t, hits, 6)
	known, err := b.tenant.AgentContext(t.Context(), agent)
	require.NoError(t, err)
	require.Contains(t, known.Text, `"Marie likes the red market bag as semantic"`)
}

func testSupersede(t *testing.T, b *bundle) {
	fact := zerodb.Item{Type: zerodb.Semantic, Subject: "customer:42", Predicate: "preferred channel", Content: "Marie prefers e-mail"}
	first := b.store(t, fact)
	b.clock.Advance(48 * time.Hour)
	fact.Content = "Marie prefers WhatsApp"
	second := b.store(t, fact)
	require.Equal(t, zerodb.Superseded, second.Outcome)
	require.Equal(t, first.ID, second.Superseded)

	require.Equal(t, []string{"Marie prefers WhatsApp"}, contents(b.search(t, zerodb.Query{Text: "what Marie prefers"})))
	past := b.search(t, zerodb.Query{Text: "what Marie prefers", Filter: zerodb.Filter{AsOf: start.Add(time.Hour)}})
	require.Equal(t, []string{"Marie prefers e-mail"}, contents(past))
	require.Equal(t, start.Add(48*time.Hour), past[0].Memory.ValidUntil)
	history, err := b.tenant.History(t.Context(), first.ID)
	require.NoError(t, err)
	require.Len(t, history, 2)
	require.Equal(t, second.ID, history[0].ID)
}

func testWorking(t *testing.T, b *bundle) {
	first := b.store(t, zerodb.Item{Type: zerodb.Working, Key: "task", Content: "audit the shop's pages"})
	second := b.store(t, zerodb.Item{Type: zerodb.Working, Key: "task", Content: "write the report"})
	require.Equal(t, zerodb.Replaced, second.Outcome)
	require.Equal(t, first.ID, second.ID)
	known, err := b.tenant.AgentContext(t.Context(), agent)
	require.NoError(t, err)
	require.Contains(t, known.Text, "write the report")
	require.NotContains(t, known.Text, "audit the shop")
}
