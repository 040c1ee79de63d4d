package zerodbtest

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engardehq/madansara/zerodb"
)

// vocabulary is small, so that random texts have words in common.
var vocabulary = strings.Fields("Marie Jean bag hat red blue market order paid late rain coupon mail WhatsApp prefers returns bought sold Jacmel")

func drawText(t *rapid.T, label string) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(vocabulary), 1, 8).Draw(t, label), " ")
}

func drawScope(t *rapid.T) zerodb.Scope {
	return rapid.SampledFrom([]zerodb.Scope{{}, zerodb.GroupScope("seo"), zerodb.GroupScope("ads"), zerodb.TenantScope()}).Draw(t, "scope")
}

var someAgents = []string{"a", "b", "seo"}

func drawItem(t *rapid.T) zerodb.Item {
	return zerodb.Item{
		Agent: rapid.SampledFrom(someAgents).Draw(t, "agent"), Type: rapid.SampledFrom(zerodb.Types()).Draw(t, "type"),
		Content: drawText(t, "content"), Scope: drawScope(t),
		Key:        rapid.SampledFrom([]string{"", "", "", "k1", "k2"}).Draw(t, "key"),
		Subject:    rapid.SampledFrom([]string{"", "customer:1", "customer:2"}).Draw(t, "subject"),
		Importance: rapid.SampledFrom([]float64{0, 0.1, 0.9}).Draw(t, "importance"),
		ValidFrom:  rapid.SampledFrom([]time.Time{{}, start.Add(-day), start.Add(-30 * day), start.Add(day)}).Draw(t, "from"),
		Metadata:   zerodb.Metadata{"n": rapid.IntRange(0, 3).Draw(t, "n"), "tags": []any{rapid.SampledFrom(vocabulary).Draw(t, "tag")}},
	}
}

func drawQuery(t *rapid.T) zerodb.Query {
	q := zerodb.Query{
		Agent: rapid.SampledFrom(someAgents).Draw(t, "asking"), Text: drawText(t, "query"), Limit: rapid.IntRange(1, 20).Draw(t, "limit"),
		Groups:   rapid.SampledFrom([][]string{nil, {"seo"}, {"seo", "ads"}}).Draw(t, "groups"),
		Mode:     rapid.SampledFrom([]zerodb.Mode{zerodb.ModeHybrid, zerodb.ModeText, zerodb.ModeDense}).Draw(t, "mode"),
		Everyone: rapid.IntRange(0, 5).Draw(t, "everyone") == 0,
	}
	f := &q.Filter
	if rapid.Bool().Draw(t, "filtered") {
		f.Types = rapid.SampledFrom([][]zerodb.Type{nil, {zerodb.Semantic}, {zerodb.Working, zerodb.Episodic, zerodb.LongTerm}}).Draw(t, "types")
		f.AsOf = rapid.SampledFrom([]time.Time{{}, {}, start.Add(-2 * day), start.Add(2 * day)}).Draw(t, "as of")
		f.History = rapid.IntRange(0, 3).Draw(t, "history") == 0
		f.Agents = rapid.SampledFrom([][]string{nil, nil, {"a"}}).Draw(t, "agents")
		f.Subject = rapid.SampledFrom([]string{"", "", "customer:1"}).Draw(t, "about")
		f.Where = rapid.SampledFrom([][]zerodb.Condition{nil, nil, {zerodb.Range("n", 1, 2)}, {zerodb.In("tags", "bag", "hat", "red")}}).Draw(t, "where")
	}
	return q
}

// testAgainstReference stores the same in the back end and in the reference, and
// asks both the same.
func testAgainstReference(t *testing.T, b *bundle) {
	rapid.Check(t, func(rt *rapid.T) {
		tenant := b.client.Tenant(b.env.Tenant(t))
		client, err := zerodb.New(zerodb.Config{Backend: NewReference(), Embedder: b.embedder, Clock: b.clock, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		reference := client.Tenant(tenant.ID())
		for range rapid.IntRange(1, 3).Draw(rt, "batches") {
			items := rapid.SliceOfN(rapid.Custom(drawItem), 1, 25).Draw(rt, "items")
			mine, err := tenant.StoreBatch(t.Context(), items)
			require.NoError(rt, err)
			theirs, err := reference.StoreBatch(t.Context(), items)
			require.NoError(rt, err)
			for i := range mine {
				require.Equal(rt, theirs[i].Outcome, mine[i].Outcome, "item %d: %v and %v", i, mine[i], theirs[i])
			}
		}
		for range 5 {
			q := rapid.Custom(drawQuery).Draw(rt, "search")
			mine, err := tenant.Search(t.Context(), q)
			require.NoError(rt, err)
			theirs, err := reference.Search(t.Context(), q)
			require.NoError(rt, err)
			require.Equal(rt, outline(theirs.Hits), outline(mine.Hits), "%+v", q)
		}
		require.NoError(t, client.Close(t.Context()))
	})
}

// outline is what two back ends must agree on. Equal scores may come in any
// order, since ids are random, and where the limit cuts among equals too.
func outline(hits []zerodb.Hit) []string {
	lines := make([]string, 0, len(hits))
	for _, hit := range hits {
		lines = append(lines, fmt.Sprintf("%.4f", hit.Score))
	}
	for _, hit := range hits {
		if len(hits) > 0 && hit.Score > hits[len(hits)-1].Score+1e-6 {
			lines = append(lines, fmt.Sprintf("%.4f %s %s %s", hit.Score, hit.Memory.Scope, hit.Memory.Type, hit.Memory.Content))
		}
	}
	slices.Sort(lines)
	return lines
}

// testTenants: whatever tenants store and ask, and even when they know each other's IDs, each
// gets its own.
func testTenants(t *testing.T, b *bundle) {
	rapid.Check(t, func(rt *rapid.T) {
		tenants := make([]zerodb.Tenant, 3)
		owner := map[uuid.UUID]int{}
		var ids [3][]uuid.UUID
		for i := range tenants {
			tenants[i] = b.client.Tenant(b.env.Tenant(t))
		}
		for range rapid.IntRange(3, 10).Draw(rt, "stores") {
			n := rapid.IntRange(0, 2).Draw(rt, "tenant")
			items := rapid.SliceOfN(rapid.Custom(drawItem), 1, 5).Draw(rt, "items")
			for i := range items {
				items[i].Provenance.Reference = fmt.Sprint("tenant ", n)
			}
			receipts, err := tenants[n].StoreBatch(t.Context(), items)
			require.NoError(rt, err)
			for _, receipt := range receipts {
				if was, known := owner[receipt.ID]; known {
					require.Equal(rt, was, n)
				}
				owner[receipt.ID] = n
				ids[n] = append(ids[n], receipt.ID)
			}
		}
		own := func(n int, memories ...zerodb.Memory) {
			for _, m := range memories {
				require.Equal(rt, fmt.Sprint("tenant ", n), m.Provenance.Reference)
			}
		}
		for n, tenant := range tenants {
			result, err := tenant.Search(t.Context(), rapid.Custom(drawQuery).Draw(rt, "search"))
			require.NoError(rt, err)
			for _, hit := range result.Hits {
				own(n, hit.Memory)
			}
			list, err := tenant.List(t.Context(), zerodb.Filter{Audience: zerodb.Audience{Everyone: true}, History: true}, zerodb.Order{}, 1000)
			require.NoError(rt, err)
			own(n, list...)
			known, err := tenant.AgentContext(t.Context(), "a")
			require.NoError(rt, err)
			for _, section := range known.Sections {
				for _, hit := range section.Hits {
					own(n, hit.Memory)
				}
			}
			for other := range tenants {
				if other == n {
					continue
				}
				for _, id := range ids[other] {
					_, err := tenant.Get(t.Context(), id)
					require.ErrorIs(rt, err, zerodb.ErrNotFound)
				}
			}
		}
		// What one erases stays with the others.
		before, err := tenants[1].Stats(t.Context())
		require.NoError(rt, err)
		for _, subject := range []string{"customer:1", "customer:2"} {
			_, err = tenants[0].Erase(t.Context(), zerodb.Erasure{Subject: subject})
			require.NoError(rt, err)
		}
		after, err := tenants[1].Stats(t.Context())
		require.NoError(rt, err)
		require.Equal(rt, before, after)
	})
}

// testTimeline: whatever comes in whatever order, at every time one version holds at most.
func testTimeline(t *testing.T, b *bundle) {
	key := 0
	rapid.Check(t, func(rt *rapid.T) {
		key++
		// told are the facts by the time from which they hold. One that was known to hold
		// then already tells nothing new.
		var told []zerodb.Item
		for range rapid.IntRange(1, 8).Draw(rt, "facts") {
			item := zerodb.Item{
				Type: zerodb.Semantic, Key: fmt.Sprint("key ", key), Subject: fmt.Sprint("subject ", key), Content: rapid.SampledFrom([]string{"red", "blue", "green"}).Draw(rt, "content"),
				ValidFrom: start.Add(time.Duration(rapid.IntRange(-10, 0).Draw(rt, "days")) * day),
			}
			b.store(t, item)
			at := len(told)
			for at > 0 && told[at-1].ValidFrom.After(item.ValidFrom) {
				at--
			}
			if at == 0 || told[at-1].Content != item.Content {
				told = slices.Insert(told, at, item)
			}
		}
		latest := told[len(told)-1]
		who := zerodb.Audience{Agent: agent}
		mine, err := b.tenant.List(t.Context(), zerodb.Filter{Audience: who, Subject: fmt.Sprint("subject ", key), History: true}, zerodb.Order{}, 1000)
		require.NoError(rt, err)
		requireTimeline(rt, mine)
		now := slices.DeleteFunc(slices.Clone(mine), func(m zerodb.Memory) bool { return !m.ValidUntil.IsZero() })
		require.Len(rt, now, 1)
		require.Equal(rt, latest.Content, now[0].Content, "the fact that holds from the latest time on holds now")
	})
}

// testPassingFacts: facts that hold for a while leave no gap in the time of one that holds for good.
func testPassingFacts(t *testing.T, b *bundle) {
	key := 0
	rapid.Check(t, func(rt *rapid.T) {
		key++
		fact := func(content string, from int) zerodb.Item {
			name := fmt.Sprint("fact ", key)
			return zerodb.Item{Type: zerodb.Semantic, Key: name, Subject: name, Content: content, ValidFrom: start.Add(time.Duration(from) * day)}
		}
		b.store(t, fact("white", -20))
		for range rapid.IntRange(1, 8).Draw(rt, "facts") {
			item := fact(rapid.SampledFrom([]string{"red", "blue", "white"}).Draw(rt, "content"), rapid.IntRange(-20, 0).Draw(rt, "from"))
			if days := rapid.IntRange(0, 9).Draw(rt, "days"); days > 0 {
				item.ValidUntil = item.ValidFrom.Add(time.Duration(days) * day)
			}
			b.store(t, item)
		}
		filter := zerodb.Filter{Audience: zerodb.Audience{Agent: agent}, Subject: fmt.Sprint("fact ", key), History: true}
		list, err := b.tenant.List(t.Context(), filter, zerodb.Order{}, 1000)
		require.NoError(rt, err)
		requireTimeline(rt, list)
		for at := -20; at <= 10; at++ {
			then := zerodb.Filter{AsOf: start.Add(time.Duration(at) * day)}
			held := 0
			for i := range list {
				if then.Holds(&list[i], start) {
					held++
				}
			}
			require.Equal(rt, 1, held, "at day %d: %v", at, list)
		}
	})
}

// requireTimeline checks that the intervals of the versions of one key do not overlap.
func requireTimeline(t require.TestingT, memories []zerodb.Memory) {
	byKey := map[string][]zerodb.Memory{}
	for _, m := range memories {
		if m.Key != "" {
			byKey[m.Key] = append(byKey[m.Key], m)
		}
	}
	for _, versions := range byKey {
		for i, a := range versions {
			for _, c := range versions[i+1:] {
				aEnds := !a.ValidUntil.IsZero() && !a.ValidUntil.After(c.ValidFrom)
				cEnds := !c.ValidUntil.IsZero() && !c.ValidUntil.After(a.ValidFrom)
				require.True(t, aEnds || cEnds || a.ValidFrom.Equal(a.ValidUntil) || c.ValidFrom.Equal(c.ValidUntil), "%v and %v overlap", a, c)
			}
		}
	}
}

// testMetadataFilters: every back end gives a condition the meaning that Match has.
func testMetadataFilters(t *testing.T, b *bundle) {
	values := []any{
		nil, true, false, 0, 1, 2.5, -3, 1e21, 0.1, "", "red", "1", "true", "2026-03-01T12:00:00Z", "2026-03-01T13:30:00+02:00", "2026-02-30T00:00:00Z", "2026-03-01",
		[]any{},
		[]any{1, "red"},
		[]any{nil},
		[]any{[]any{"red"}},
		[]any{"2026-03-01T12:00:00Z", 7},
		map[string]any{"in": "red"},
		map[string]any{"in": []any{1, 2}},
		[]any{map[string]any{"in": "red"}},
	}
	items := make([]zerodb.Item, 0, len(values)+1)
	for i, v := range values {
		items = append(items, zerodb.Item{Agent: agent, Type: zerodb.Semantic, Key: fmt.Sprint(i), Content: "value", Metadata: zerodb.Metadata{"v": v, "it's \"odd\"": i}})
	}
	items = append(items, zerodb.Item{Agent: agent, Type: zerodb.Semantic, Key: "none", Content: "value"})
	_, err := b.tenant.StoreBatch(t.Context(), items)
	require.NoError(t, err)
	all, err := b.tenant.List(t.Context(), zerodb.Filter{Audience: zerodb.Audience{Agent: agent}}, zerodb.Order{}, 100)
	require.NoError(t, err)
	require.Len(t, all, len(items))
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []zerodb.Condition{
		zerodb.Eq("v", true), zerodb.Eq("v", 1), zerodb.Eq("v", "1"), zerodb.Eq("v", 2.5), zerodb.Eq("v", 1e21), zerodb.Eq("v", 0.1), zerodb.Eq("v", ""), zerodb.Eq("v", "red"),
		zerodb.Eq("v.in", "red"), zerodb.Eq("v.in", 2), zerodb.Eq("v.0", 1), zerodb.Eq("it's \"odd\"", 3),
		zerodb.In("v", "red", 1, false), zerodb.In("v", -3), zerodb.Range("v", 0, 1), zerodb.Range("v", nil, 0.1), zerodb.Range("v", 2.5, nil), zerodb.Range("v", 3, 1),
		zerodb.Range("v", noon, noon), zerodb.Range("v", noon.Add(-time.Hour), nil), zerodb.Range("v", nil, noon.Add(-time.Minute)),
		zerodb.Exists("v"), zerodb.Missing("v"), zerodb.Exists("v.in"), zerodb.Missing("v.in"), zerodb.Exists("nothing"), zerodb.Missing("v.in.deeper"), zerodb.Exists("v.0"),
	} {
		var want []string
		checked, err := zerodb.Checked(c)
		require.NoError(t, err)
		for _, m := range all {
			if checked.Match(m.Metadata) {
				want = append(want, m.Key)
			}
		}
		list, err := b.tenant.List(t.Context(), zerodb.Filter{Audience: zerodb.Audience{Agent: agent}, Where: []zerodb.Condition{c}}, zerodb.Order{}, 100)
		require.NoError(t, err)
		var got []string
		for _, m := range list {
			got = append(got, m.Key)
		}
		require.ElementsMatch(t, want, got, "list %+v", c)
		got = nil
		for _, hit := range b.search(t, zerodb.Query{Text: "value", Limit: 100, Filter: zerodb.Filter{Where: []zerodb.Condition{c}}}) {
			got = append(got, hit.Memory.Key)
		}
		require.ElementsMatch(t, want, got, "search %+v", c)
	}
}
