package zerodbtest

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/zerodb"
)

func testCorrection(t *testing.T, b *bundle) {
	wrong := b.store(t, zerodb.Item{Type: zerodb.LongTerm, Content: "Marie lives in Jacmel", Metadata: zerodb.Metadata{"city": "Jacmel"}})
	b.clock.Advance(time.Hour)
	right, err := b.tenant.Correct(t.Context(), "operator", wrong.ID, "Marie lives in Les Cayes", nil)
	require.NoError(t, err)
	require.NotEqual(t, wrong.ID, right.ID)
	require.Equal(t, "Jacmel", right.Metadata["city"], "metadata stays unless given")
	require.Equal(t, "correction by operator", right.Provenance.Source)
	require.Equal(t, []string{"Marie lives in Les Cayes"}, contents(b.search(t, zerodb.Query{Text: "where does Marie live"})))
	past := zerodb.Filter{AsOf: start.Add(time.Minute)}
	require.Equal(t, []string{"Marie lives in Les Cayes"}, contents(b.search(t, zerodb.Query{Text: "where does Marie live", Filter: past})), "it was wrong then, too")
	_, err = b.tenant.Correct(t.Context(), "operator", wrong.ID, "elsewhere", nil)
	require.ErrorIs(t, err, zerodb.ErrConflict)
	require.ErrorContains(t, err, right.ID.String())
	history, err := b.tenant.History(t.Context(), right.ID)
	require.NoError(t, err)
	require.Len(t, history, 2)
	_, err = b.tenant.Correct(t.Context(), "operator", right.ID, "", nil)
	require.ErrorIs(t, err, zerodb.ErrInvalid)
}

func testForget(t *testing.T, b *bundle) {
	b.store(t, channel("Marie prefers e-mail"))
	b.clock.Advance(time.Hour)
	b.store(t, channel("Marie prefers WhatsApp"))
	b.clock.Advance(time.Hour)
	last := b.store(t, channel("Marie prefers letters"))
	b.store(t, zerodb.Item{Type: zerodb.LongTerm, Content: "what Marie prefers to drink"})
	n, err := b.tenant.Forget(t.Context(), last.ID)
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.Equal(t, []string{"what Marie prefers to drink"}, contents(b.search(t, zerodb.Query{Text: "Marie prefers", Filter: zerodb.Filter{History: true}})))
	_, err = b.tenant.Forget(t.Context(), last.ID)
	require.ErrorIs(t, err, zerodb.ErrNotFound)
	expired := b.store(t, zerodb.Item{Type: zerodb.ShortTerm, Content: "soon gone"})
	b.clock.Advance(48 * time.Hour)
	n, err = b.tenant.Forget(t.Context(), expired.ID)
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

func testErasure(t *testing.T, b *bundle) {
	b.store(t, channel("Marie prefers e-mail"))
	b.clock.Advance(time.Hour)
	b.store(t, channel("Marie prefers WhatsApp"))
	b.store(t, zerodb.Item{Type: zerodb.ShortTerm, Subject: "customer:42", Content: "wrote today"})
	b.store(t, zerodb.Item{Agent: "walker_ads_001", Type: zerodb.Episodic, Subject: "customer:42", Content: "clicked an ad", Scope: zerodb.GroupScope("ads")})
	b.store(t, zerodb.Item{Type: zerodb.LongTerm, Content: "newsletter bounced", Metadata: zerodb.Metadata{"to": []any{map[string]any{"address": "Marie@Example.com"}}}, Scope: zerodb.TenantScope()})
	b.store(t, zerodb.Item{Type: zerodb.LongTerm, Subject: "contact Marie@example.com", Content: "asked for a discount"})
	b.store(t, zerodb.Item{Type: zerodb.LongTerm, Content: "rang us", Metadata: zerodb.Metadata{"phone": 50934567890}})
	b.store(t, zerodb.Item{Type: zerodb.LongTerm, Content: "wants a call back", Provenance: zerodb.Provenance{Source: "mail from marie@example.com"}})
	b.store(t, zerodb.Item{Type: zerodb.LongTerm, Subject: "customer:421", Content: "somebody else"})
	b.clock.Advance(48 * time.Hour) // the short-term one is past its time, but still there
	receipt, err := b.tenant.Erase(t.Context(), zerodb.Erasure{Subject: "customer:42", Mentioning: []string{"marie@example.com", "50934567890"}})
	require.NoError(t, err)
	require.Equal(t, 8, receipt.Erased)
	require.Zero(t, receipt.Remaining)
	require.Equal(t, map[zerodb.Type]int{zerodb.Semantic: 2, zerodb.ShortTerm: 1, zerodb.Episodic: 1, zerodb.LongTerm: 4}, receipt.ByType)
	require.Equal(t, []string{"walker_ads_001", agent}, receipt.Agents)
	require.Len(t, receipt.Digest, 64)
	encoded, err := json.Marshal(receipt)
	require.NoError(t, err)
	require.NotContains(t, string(encoded), "customer:42", "the receipt does not repeat whom it is about")
	stats, err := b.tenant.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, stats.Memories)
	again, err := b.tenant.Erase(t.Context(), zerodb.Erasure{Subject: "customer:42"})
	require.NoError(t, err)
	require.Zero(t, again.Erased)
	_, err = b.tenant.Erase(t.Context(), zerodb.Erasure{})
	require.ErrorIs(t, err, zerodb.ErrInvalid)
	_, err = b.tenant.Erase(t.Context(), zerodb.Erasure{Subject: "x", Mentioning: []string{"a"}})
	require.ErrorIs(t, err, zerodb.ErrInvalid)
}

// testErasureOfAliases: a customer that other agents know by another name.
func testErasureOfAliases(t *testing.T, b *bundle) {
	b.store(t, channel("Marie prefers WhatsApp"))
	b.store(t, zerodb.Item{Type: zerodb.Episodic, Subject: "marie", Content: "rang the bell"})
	b.store(t, zerodb.Item{Type: zerodb.Episodic, Subject: "pierre", Content: "opened the door"})
	receipt, err := b.tenant.Erase(t.Context(), zerodb.Erasure{Subject: "customer:42", Aliases: []string{"marie"}})
	require.NoError(t, err)
	require.Equal(t, 2, receipt.Erased)
	require.Zero(t, receipt.Remaining)
	left, err := b.tenant.List(t.Context(), zerodb.Filter{Audience: zerodb.Audience{Everyone: true}}, zerodb.Order{}, 10)
	require.NoError(t, err)
	require.Len(t, left, 1)
	require.Equal(t, "opened the door", left[0].Content)
	_, err = b.tenant.Erase(t.Context(), zerodb.Erasure{Subject: "customer:42", Aliases: []string{""}})
	require.ErrorIs(t, err, zerodb.ErrInvalid)
}

// testRename: two subjects turn out to be one. Its facts are one history, in the order in which they held.
func testRename(t *testing.T, b *bundle) {
	of := func(subject string, typ zerodb.Type, content string, scope zerodb.Scope) zerodb.Item {
		return zerodb.Item{Type: typ, Subject: subject, Predicate: "channel", Content: content, Scope: scope, Metadata: zerodb.Metadata{"subject": subject}}
	}
	b.store(t, of("customer:2", zerodb.Semantic, "she prefers letters", zerodb.TenantScope()))
	b.clock.Advance(time.Hour)
	b.store(t, of("customer:1", zerodb.Semantic, "she prefers e-mail", zerodb.TenantScope()))
	b.store(t, of("customer:1", zerodb.Working, "asking her again", zerodb.Scope{}))
	b.clock.Advance(time.Hour)
	b.store(t, of("customer:2", zerodb.Semantic, "she prefers WhatsApp", zerodb.TenantScope()))
	b.store(t, of("customer:2", zerodb.Working, "waiting for her answer", zerodb.Scope{}))
	b.store(t, zerodb.Item{Type: zerodb.ShortTerm, Subject: "customer:2", Content: "wrote today", Scope: zerodb.GroupScope("seo")})
	b.store(t, zerodb.Item{Type: zerodb.Episodic, Subject: "customer:21", Content: "somebody else"})
	b.clock.Advance(48 * time.Hour) // the short-term one is past its time, but still there

	n, err := b.tenant.Rename(t.Context(), "customer:2", "customer:1")
	require.NoError(t, err)
	require.Equal(t, 4, n)
	all := func(subject string, history bool) []string {
		list, err := b.tenant.List(t.Context(), zerodb.Filter{Audience: zerodb.Audience{Everyone: true}, Subject: subject, History: history}, zerodb.Order{Recent: true}, 100)
		require.NoError(t, err)
		texts := make([]string, len(list))
		for i := range list {
			texts[i] = list[i].Content
			require.Equal(t, subject, list[i].Metadata["subject"])
		}
		return texts
	}
	require.Empty(t, all("customer:2", true))
	require.ElementsMatch(t, []string{"she prefers WhatsApp", "waiting for her answer"}, all("customer:1", false), "one fact holds, one task is at hand")
	require.ElementsMatch(t, []string{"she prefers WhatsApp", "waiting for her answer", "she prefers e-mail", "she prefers letters"}, all("customer:1", true))
	hits := b.search(t, zerodb.Query{Text: "what does she prefer", Filter: zerodb.Filter{Types: []zerodb.Type{zerodb.Semantic}, AsOf: start.Add(90 * time.Minute)}})
	require.Equal(t, []string{"she prefers e-mail"}, contents(hits), "the past is one")
	versions, err := b.tenant.History(t.Context(), hits[0].Memory.ID)
	require.NoError(t, err)
	require.Len(t, versions, 3)
	receipt := b.store(t, of("customer:1", zerodb.Semantic, "she prefers to be left alone", zerodb.TenantScope()))
	require.Equal(t, zerodb.Superseded, receipt.Outcome)
	require.Equal(t, versions[0].ID, receipt.Superseded, "the history goes on")

	n, err = b.tenant.Rename(t.Context(), "customer:2", "customer:1")
	require.NoError(t, err)
	require.Zero(t, n)
	erased, err := b.tenant.Erase(t.Context(), zerodb.Erasure{Subject: "customer:1"})
	require.NoError(t, err)
	require.Equal(t, 6, erased.Erased, "the expired one too")
	for _, names := range [][2]string{{"", "x"}, {"x", ""}, {"x", "x"}} {
		_, err = b.tenant.Rename(t.Context(), names[0], names[1])
		require.ErrorIs(t, err, zerodb.ErrInvalid)
	}
}

func testExport(t *testing.T, b *bundle) {
	b.store(t, channel("Marie prefers e-mail"))
	b.clock.Advance(time.Hour)
	b.store(t, channel("Marie prefers <b>WhatsApp</b>\n& more"))
	b.store(t, zerodb.Item{Type: zerodb.Procedural, Content: "how to", Scope: zerodb.GroupScope("seo"), Metadata: zerodb.Metadata{"deep": map[string]any{"n": 1.5, "list": []any{true, nil, "x"}}}})
	var file bytes.Buffer
	n, err := b.tenant.Export(t.Context(), &file)
	require.NoError(t, err)
	require.Equal(t, 3, n)
	exported := file.String()
	require.Equal(t, 4, strings.Count(exported, "\n"))

	other := b.client.Tenant(b.env.Tenant(t))
	for range 2 { // an import may be repeated
		n, err = other.Import(t.Context(), importer, strings.NewReader(exported))
		require.NoError(t, err)
		require.Equal(t, 3, n)
	}
	n, err = other.EmbedPending(t.Context(), 100)
	require.NoError(t, err)
	require.Equal(t, 1, n, "that the model knows nothing about a text is asked again")
	all := zerodb.Filter{Audience: zerodb.Audience{Everyone: true}, History: true}
	mine, err := b.tenant.List(t.Context(), all, zerodb.Order{}, 10)
	require.NoError(t, err)
	theirs, err := other.List(t.Context(), all, zerodb.Order{}, 10)
	require.NoError(t, err)
	for i := range theirs {
		require.Equal(t, zerodb.ImportService, theirs[i].Provenance.Service)
		theirs[i].Provenance = mine[i].Provenance
		delete(theirs[i].Metadata, zerodb.ImportMetadata)
		if len(theirs[i].Metadata) == 0 {
			theirs[i].Metadata = nil
		}
	}
	require.Equal(t, mine, theirs, "with ids, times, versions and vectors")

	// Both tenants now have memories of the same IDs: each changes its own.
	_, err = other.Forget(t.Context(), theirs[0].ID)
	require.NoError(t, err)
	still, err := b.tenant.List(t.Context(), all, zerodb.Order{}, 10)
	require.NoError(t, err)
	require.Equal(t, mine, still)

	for name, text := range map[string]string{
		"nothing": "", "no header": `{"id":"x"}` + "\n", "another format": `{"zerodb":2}` + "\n",
		"no json":      `{"zerodb":1}` + "\nhello\n",
		"no id":        `{"zerodb":1}` + "\n" + `{"agent":"a","type":"semantic","content":"x","scope":{"kind":"agent","name":"a"}}` + "\n",
		"unknown type": `{"zerodb":1}` + "\n" + `{"agent":"a","type":"odd","content":"x"}` + "\n",
	} {
		_, err := other.Import(t.Context(), importer, strings.NewReader(text))
		require.ErrorIs(t, err, zerodb.ErrInvalid, name)
	}
}

func testUpkeep(t *testing.T, b *bundle) {
	often := b.store(t, zerodb.Item{Type: zerodb.ShortTerm, Content: "Marie asked about delivery", Subject: "customer:42"})
	b.store(t, zerodb.Item{Type: zerodb.ShortTerm, Content: "the weather was fine"})
	b.store(t, zerodb.Item{Type: zerodb.Episodic, Content: "a visitor looked at socks"})
	b.store(t, zerodb.Item{Type: zerodb.Semantic, Content: "socks are sold in pairs"})
	for range 3 {
		require.Len(t, b.search(t, zerodb.Query{Text: "asked about delivery", Filter: zerodb.Filter{Subject: "customer:42"}}), 1)
	}
	require.NoError(t, b.client.Flush(t.Context()))
	report, err := b.tenant.Upkeep(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, report.Promoted)
	hits := b.search(t, zerodb.Query{Text: "asked about delivery"})
	require.Len(t, hits, 1)
	m := hits[0].Memory
	require.Equal(t, zerodb.LongTerm, m.Type)
	require.NotEqual(t, often.ID, m.ID)
	require.Equal(t, "customer:42", m.Subject)
	require.Equal(t, "promoted short_term", m.Provenance.Source)
	require.Zero(t, m.ExpiresAt)

	b.clock.Advance(100 * day)
	report, err = b.tenant.Upkeep(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, report.Expired)
	require.Equal(t, 1, report.Faded)
	require.ElementsMatch(t, []string{"Marie asked about delivery", "socks are sold in pairs"}, contents(b.search(t, zerodb.Query{Text: "socks delivery weather"})))
	again, err := b.tenant.Upkeep(t.Context())
	require.NoError(t, err)
	require.Zero(t, again.Expired+again.Faded+again.Promoted)
	require.True(t, again.Left)
}

func testRecalls(t *testing.T, b *bundle) {
	receipt := b.store(t, zerodb.Item{Type: zerodb.LongTerm, Content: "Marie likes tea"})
	for range 2 {
		b.search(t, zerodb.Query{Text: "tea"})
		b.search(t, zerodb.Query{Text: "tea", Unseen: true})
	}
	require.NoError(t, b.client.Flush(t.Context()))
	b.clock.Advance(time.Hour)
	b.search(t, zerodb.Query{Text: "tea"})
	require.NoError(t, b.client.Flush(t.Context()))
	m, err := b.tenant.Get(t.Context(), receipt.ID)
	require.NoError(t, err)
	require.Equal(t, 3, m.Recalls)
	require.Equal(t, start.Add(time.Hour), m.LastRecalledAt)
	useful := true
	_, err = b.tenant.Feedback(t.Context(), receipt.ID, zerodb.Feedback{Useful: &useful})
	require.NoError(t, err)
	m, err = b.tenant.Get(t.Context(), receipt.ID)
	require.NoError(t, err)
	require.Equal(t, 3, m.Recalls, "a change keeps the count")
	b.search(t, zerodb.Query{Text: "tea"})
	_, err = b.tenant.Forget(t.Context(), receipt.ID)
	require.NoError(t, err)
	require.NoError(t, b.client.Flush(t.Context()), "a recall of what was forgotten meanwhile")
}

func testEmbedderDown(t *testing.T, b *bundle) {
	b.embedder.SetDown(true)
	receipt := b.store(t, zerodb.Item{Type: zerodb.Semantic, Content: "Marie prefers WhatsApp"})
	require.False(t, receipt.Embedded)
	result, err := b.tenant.Search(t.Context(), zerodb.Query{Agent: agent, Text: "whatsapp"})
	require.NoError(t, err)
	require.Len(t, result.Hits, 1)
	require.NotEmpty(t, result.Degraded)
	require.Nil(t, result.Hits[0].Explanation.Dense)
	_, err = b.tenant.EmbedPending(t.Context(), 100)
	require.ErrorIs(t, err, zerodb.ErrUnavailable)
	stats, err := b.tenant.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, stats.Pending)

	b.embedder.SetDown(false)
	n, err := b.tenant.EmbedPending(t.Context(), 100)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	result, err = b.tenant.Search(t.Context(), zerodb.Query{Agent: agent, Text: "whatsapp"})
	require.NoError(t, err)
	require.Empty(t, result.Degraded)
	require.NotNil(t, result.Hits[0].Explanation.Dense)
	n, err = b.tenant.EmbedPending(t.Context(), 100)
	require.NoError(t, err)
	require.Zero(t, n)
}

func testModels(t *testing.T, b *bundle) {
	b.store(t, zerodb.Item{Type: zerodb.Semantic, Content: "Marie prefers WhatsApp"})
	newer := &Hashing{Name: "newer", Dimensions: 32}
	tenant := b.with(t, newer).Tenant(b.tenant.ID())
	find := func() zerodb.Hit {
		hits, err := tenant.Retrieve(t.Context(), agent, "Marie whatsapp", "", 10, 0)
		require.NoError(t, err)
		require.Len(t, hits, 1)
		return hits[0]
	}
	require.Nil(t, find().Explanation.Dense, "vectors of different models are not compared")
	require.NotNil(t, find().Explanation.Text)
	n, err := tenant.EmbedPending(t.Context(), 100)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	hit := find()
	require.NotNil(t, hit.Explanation.Dense)
	m, err := tenant.Get(t.Context(), hit.Memory.ID)
	require.NoError(t, err)
	require.Equal(t, "newer/32", m.Model)
	require.Len(t, m.Vector, 32)
	_, err = tenant.StoreBatch(t.Context(), []zerodb.Item{{Agent: agent, Type: zerodb.Semantic, Content: "x", Vector: make([]float32, 64)}})
	require.ErrorIs(t, err, zerodb.ErrInvalid, "a vector of another length")
	require.Nil(t, b.search(t, zerodb.Query{Text: "Marie whatsapp"})[0].Explanation.Dense)
}
