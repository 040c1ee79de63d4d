package zerodbtest

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/zerodb"
)

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
		m, err := b.tenant.Get(t.Context(), receipt.ID)
		require.NoError(t, err)
		require.Len(t, m.Vector, b.embedder.Dimension(), "Get returns the vector")
		require.Equal(t, b.embedder.Model(), m.Model)
		require.Equal(t, start, m.CreatedAt)
	}
	hits, err := b.tenant.Retrieve(t.Context(), agent, "red bag", "", 10, 0)
	require.NoError(t, err)
	require.Len(t, hits, 6)
	known, err := b.tenant.AgentContext(t.Context(), agent)
	require.NoError(t, err)
	require.Contains(t, known.Text, `"Marie likes the red market bag as semantic"`)
	stats, err := b.tenant.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, 6, stats.Memories)
	require.Equal(t, 1, stats.Agents)
	require.Zero(t, stats.Pending)
	require.Equal(t, 1, stats.ByType[zerodb.Episodic])
}

func testScopes(t *testing.T, b *bundle) {
	item := zerodb.Item{Type: zerodb.Semantic, Content: "the launch is in May"}
	for _, scope := range []zerodb.Scope{{}, zerodb.GroupScope("seo"), zerodb.TenantScope()} {
		item.Scope = scope
		item.Content += " " + scope.String()
		b.store(t, item)
	}
	see := func(q zerodb.Query) int {
		q.Text = "launch May"
		return len(b.search(t, q))
	}
	require.Equal(t, 2, see(zerodb.Query{Agent: agent}))
	require.Equal(t, 3, see(zerodb.Query{Agent: agent, Groups: []string{"seo", "seo", "ads"}}))
	require.Equal(t, 1, see(zerodb.Query{Agent: "walker_ads_001"}))
	require.Equal(t, 2, see(zerodb.Query{Agent: "walker_ads_001", Groups: []string{"seo"}}))
	require.Equal(t, 1, see(zerodb.Query{Agent: "seo"}), "an agent of a group's name is not the group")
	require.Equal(t, 3, see(zerodb.Query{Everyone: true}))
	_, err := b.tenant.StoreBatch(t.Context(), []zerodb.Item{{Agent: "a", Type: zerodb.Semantic, Content: "x", Scope: zerodb.AgentScope("b")}})
	require.ErrorIs(t, err, zerodb.ErrInvalid)
}

func testScores(t *testing.T, b *bundle) {
	for _, content := range []string{"Marie bought two red bags", "Jean returned a red bag", "the shop opens at nine", "bags are sold in May"} {
		b.store(t, zerodb.Item{Type: zerodb.Semantic, Content: content, Importance: 0.7})
		b.clock.Advance(90 * 24 * time.Hour)
	}
	hits := b.search(t, zerodb.Query{Text: "who bought red bags"})
	require.GreaterOrEqual(t, len(hits), 3)
	require.Equal(t, "Marie bought two red bags", hits[0].Memory.Content)
	last := 1.0
	for _, hit := range hits {
		w := hit.Explanation
		require.LessOrEqual(t, hit.Score, last, "in order")
		last = hit.Score
		without, fusion, signals := 1.0, 0.0, 2.0
		if w.Dense != nil {
			without *= 1 - w.Dense.Evidence
			fusion += 1 / (60 + float64(w.Dense.Rank))
			require.InDelta(t, max(w.Dense.Cosine, 0), w.Dense.Evidence, 1e-9)
		}
		if w.Text != nil {
			without *= 1 - w.Text.Coverage
			fusion += 1 / (60 + float64(w.Text.Rank))
			words := zerodb.Terms(hit.Memory.Content)
			var found []string
			for _, term := range zerodb.Terms("who bought red bags") {
				if slices.Contains(words, term) {
					found = append(found, term)
				}
			}
			require.NotEmpty(t, found)
			require.Equal(t, found, w.Text.Terms)
		}
		require.InDelta(t, 1-without, w.Evidence, 1e-9)
		require.InDelta(t, fusion*61/signals, w.Fusion, 1e-9)
		require.InDelta(t, w.Evidence*(1+w.Fusion)/2, w.Relevance, 1e-9)
		require.InDelta(t, math.Exp2(-b.clock.Now().Sub(hit.Memory.UpdatedAt).Hours()/24/180), w.Recency, 1e-9)
		require.InDelta(t, 0.7, w.Importance, 1e-9)
		require.InDelta(t, 0.9, w.Confidence, 1e-9)
		require.InDelta(t, w.Relevance*w.Quality, hit.Score, 1e-9)
		require.Contains(t, w.String(), "relevance")
	}
	for _, mode := range []zerodb.Mode{zerodb.ModeText, zerodb.ModeDense} {
		for _, hit := range b.search(t, zerodb.Query{Text: "who bought red bags", Mode: mode}) {
			require.Equal(t, mode == zerodb.ModeDense, hit.Explanation.Dense != nil)
			require.Equal(t, mode == zerodb.ModeText, hit.Explanation.Text != nil)
		}
	}
}

func testThreshold(t *testing.T, b *bundle) {
	for _, content := range []string{"red bag", "red hat", "green bag", "blue shoe", "nothing of the kind"} {
		b.store(t, zerodb.Item{Type: zerodb.LongTerm, Content: content})
	}
	all := b.search(t, zerodb.Query{Text: "red bag"})
	require.GreaterOrEqual(t, len(all), 3)
	for _, hit := range all {
		require.Positive(t, hit.Score)
		require.LessOrEqual(t, hit.Score, 1.0)
		above := b.search(t, zerodb.Query{Text: "red bag", Threshold: hit.Score})
		for _, h := range above {
			require.GreaterOrEqual(t, h.Score, hit.Score)
		}
		require.NotEmpty(t, above)
	}
	require.Len(t, b.search(t, zerodb.Query{Text: "red bag", Limit: 2}), 2)
	require.Empty(t, b.search(t, zerodb.Query{Text: "red bag", Threshold: 1}))
	require.Empty(t, b.search(t, zerodb.Query{Text: "!!! ... ???"}), "no word at all")
}

func testLanguages(t *testing.T, b *bundle) {
	for _, content := range []string{
		"La cliente préfère être livrée le matin à Pétion-Ville",
		"Kliyan an renmen mayi moulen ak legim",
		"El cliente compró zapatos rojos en la tienda de Cancún",
		"The customer's orders were shipped late twice",
		"A cliente comprou três vestidos para a promoção de São João",
		"顧客は東京の店で赤い靴を買った", //nolint:gosmopolitan // languages are what it is about
	} {
		b.store(t, zerodb.Item{Type: zerodb.Semantic, Content: content})
	}
	for query, want := range map[string]string{
		"livraison matin petion ville": "La cliente",
		"préférences de livraison":     "La cliente",
		"kisa kliyan renmen":           "Kliyan an",
		"zapato rojo":                  "El cliente",
		"¿Qué compra en Cancun?":       "El cliente",
		"shipping of an order":         "The customer's",
		"promocao vestido":             "A cliente comprou",
		"東京 赤い靴":                       "顧客は", //nolint:gosmopolitan // languages are what it is about
	} {
		hits := b.search(t, zerodb.Query{Text: query, Mode: zerodb.ModeText})
		require.NotEmpty(t, hits, query)
		require.True(t, strings.HasPrefix(hits[0].Memory.Content, want), "%s finds %s", query, hits[0].Memory.Content)
	}
}

func testFilters(t *testing.T, b *bundle) {
	day := 24 * time.Hour
	first := b.store(t, zerodb.Item{Type: zerodb.Episodic, Content: "order one paid", Subject: "customer:1", ValidFrom: start.Add(-3 * day)})
	b.store(t, zerodb.Item{Type: zerodb.Episodic, Content: "order two paid", Subject: "customer:2", ValidFrom: start.Add(-1 * day)})
	b.store(t, zerodb.Item{Type: zerodb.LongTerm, Content: "orders are paid by card", Scope: zerodb.TenantScope()})
	b.store(t, zerodb.Item{Agent: "walker_ads_001", Type: zerodb.LongTerm, Content: "orders are paid in cash", Scope: zerodb.TenantScope()})
	b.store(t, zerodb.Item{Type: zerodb.Semantic, Content: "order prices rise", ValidFrom: start.Add(day)})
	find := func(f zerodb.Filter) []string {
		return contents(b.search(t, zerodb.Query{Text: "order paid", Filter: f}))
	}

	require.Len(t, find(zerodb.Filter{}), 4, "what begins to hold tomorrow is not found today")
	require.Len(t, find(zerodb.Filter{AsOf: start.Add(2 * day)}), 5)
	require.ElementsMatch(t, []string{"order one paid"}, find(zerodb.Filter{AsOf: start.Add(-2 * day)}))
	require.ElementsMatch(t, []string{"order one paid", "order two paid"}, find(zerodb.Filter{Types: []zerodb.Type{zerodb.Episodic}}))
	require.ElementsMatch(t, []string{"orders are paid in cash"}, find(zerodb.Filter{Agents: []string{"walker_ads_001"}}))
	require.ElementsMatch(t, []string{"order one paid"}, find(zerodb.Filter{Subject: "customer:1"}))
	require.ElementsMatch(t, []string{"order one paid"}, find(zerodb.Filter{Lineage: first.ID}))
	require.ElementsMatch(t, []string{"order two paid"}, find(zerodb.Filter{From: start.Add(-2 * day), Before: start}))
	require.ElementsMatch(t, []string{"order one paid"}, find(zerodb.Filter{Before: start.Add(-day)}), "Before is not included")
	_, err := b.tenant.Get(t.Context(), uuid.New())
	require.ErrorIs(t, err, zerodb.ErrNotFound)
}

func testListing(t *testing.T, b *bundle) {
	items := make([]zerodb.Item, 23)
	for i := range items {
		items[i] = zerodb.Item{Agent: agent, Type: zerodb.Episodic, Content: "event number " + strings.Repeat("i", i+1), ValidFrom: start.Add(time.Duration(i*7%23) * -time.Hour)}
	}
	_, err := b.tenant.StoreBatch(t.Context(), items)
	require.NoError(t, err)
	who := zerodb.Filter{Audience: zerodb.Audience{Agent: agent}}
	seen := map[uuid.UUID]bool{}
	var after uuid.UUID
	for {
		page, err := b.tenant.List(t.Context(), who, zerodb.Order{After: after}, 5)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		for _, m := range page {
			require.False(t, seen[m.ID])
			seen[m.ID] = true
			after = m.ID
		}
	}
	require.Len(t, seen, len(items))
	recent, err := b.tenant.List(t.Context(), who, zerodb.Order{Recent: true}, 10)
	require.NoError(t, err)
	require.Len(t, recent, 10)
	for i, m := range recent {
		require.Equal(t, start.Add(time.Duration(-i)*time.Hour), m.ValidFrom, "the latest first")
	}
}
