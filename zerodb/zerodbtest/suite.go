package zerodbtest

import (
	"context"
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
	t.Cleanup(func() { require.NoError(t, client.Close(context.WithoutCancel(t.Context()))) })
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
		{"scopes", testScopes},
		{"scores can be worked out again", testScores},
		{"threshold and limit", testThreshold},
		{"languages", testLanguages},
		{"filters", testFilters},
		{"metadata filters mean what Match says", testMetadataFilters},
		{"listing pages", testListing},
		{"a fact supersedes what it contradicts", testSupersede},
		{"a late fact is filed", testLateFact},
		{"a passing fact parts another", testPassingFact},
		{"versions never overlap", testTimeline},
		{"passing facts leave no gap", testPassingFacts},
		{"working memories are replaced", testWorking},
		{"stats count by type and agent", testStats},
		{"an export is imported elsewhere", testTransfer},
		{"an import says that it is one", testProvenance},
		{"an import over what is newer", testImportOverNewer},
		{"what is imported lives as its type does", testImportedLives},
		{"short-term memories expire", testShortTerm},
		{"repetition changes nothing", testRepetition},
		{"near-duplicates are merged", testNearDuplicates},
		{"the same about two subjects", testSubjectsStayApart},
		{"storing at once", testStoringAtOnce},
		{"procedures learn", testProcedures},
		{"feedback", testFeedback},
		{"correction and history", testCorrection},
		{"forgetting", testForget},
		{"erasure", testErasure},
		{"erasure under several names", testErasureOfAliases},
		{"renaming a subject", testRename},
		{"export and import", testExport},
		{"upkeep", testUpkeep},
		{"what is promoted supersedes", testPromotedVersions},
		{"what is promoted is merged", testPromotedDuplicates},
		{"recalls are counted", testRecalls},
		{"the embedder is down", testEmbedderDown},
		{"a text that the embedder refuses", testRefusedText},
		{"models are not mixed", testModels},
		{"context fits its budget", testContextBudget},
		{"context is data", testContextIsData},
		{"bad input", testBadInput},
		{"tenants see only their own", testTenants},
		{"answers are the reference's", testAgainstReference},
		{"initialising again", testInit},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, setup(t, env))
		})
	}
}
