package memory_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engardehq/madansara/internal/memory"
)

func TestBadInputIsRefusedClearly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	deep := strings.Repeat(`{"a":`, 50) + `1` + strings.Repeat(`}`, 50)
	item := func(fields string) string {
		return `{"agent":"walker_seo_001","type":"semantic","content":"x"` + fields + `}`
	}
	for name, c := range map[string]struct {
		path, body string
		status     int
		says       string
	}{
		"contents of 1 MB":         {"/store", `{"agent":"a","type":"semantic","content":"` + strings.Repeat("x", 1_000_000) + `"}`, 413, "65536"},
		"contents of 5 MB":         {"/store", `{"agent":"a","type":"semantic","content":"` + strings.Repeat("x", 5<<20) + `"}`, 413, "limit"},
		"empty content":            {"/store", `{"agent":"a","type":"semantic","content":" \n "}`, 422, "body.content: is empty"},
		"no agent":                 {"/store", `{"type":"semantic","content":"x"}`, 422, "agent"},
		"an agent of spaces":       {"/store", `{"agent":"  ","type":"semantic","content":"x"}`, 422, "body.agent"},
		"an agent of two lines":    {"/store", `{"agent":"a\nb","type":"semantic","content":"x"}`, 422, "control"},
		"an agent too long":        {"/store", `{"agent":"` + strings.Repeat("é", 150) + `","type":"semantic","content":"x"}`, 413, "200"},
		"unknown type":             {"/store", `{"agent":"a","type":"eternal","content":"x"}`, 422, "working"},
		"metadata 50 levels deep":  {"/store", item(`,"metadata":` + deep), 422, "8 levels"},
		"metadata too large":       {"/store", item(`,"metadata":{"a":"` + strings.Repeat("x", 40<<10) + `"}`), 413, "32768"},
		"metadata that is a list":  {"/store", item(`,"metadata":[1]`), 422, "body.metadata"},
		"a key as long as a book":  {"/store", item(`,"metadata":{"` + strings.Repeat("k", 9000) + `":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":1}}}}}}}}}`), 422, "8 levels"},
		"ttl of -1":                {"/store", item(`,"ttl_seconds":-1`), 422, "negative"},
		"ttl of a century":         {"/store", item(`,"ttl_seconds":3155760000`), 422, "lives between"},
		"ttl beyond any clock":     {"/store", item(`,"ttl_seconds":9223372036854775807`), 422, "lives between"},
		"ttl that is no number":    {"/store", item(`,"ttl_seconds":1e400`), 400, "number"},
		"importance of 2":          {"/store", item(`,"importance":2`), 422, "body.importance"},
		"another agent's scope":    {"/store", item(`,"scope":{"kind":"agent","name":"walker_ads_002"}`), 422, "another agent's scope"},
		"a scope of no kind":       {"/store", item(`,"scope":{"kind":"world"}`), 422, "scope"},
		"validity that ends early": {"/store", item(`,"valid_from":"2026-01-02T00:00:00Z","valid_until":"2026-01-01T00:00:00Z"`), 422, "later than"},
		"unknown field":            {"/store", item(`,"tenant_uuid":"0198c000-0000-7000-8000-000000000002"`), 422, "tenant_uuid"},
		"NUL":                      {"/store", `{"agent":"a","type":"semantic","content":"a\u0000b"}`, 422, "NUL"},
		"half a character":         {"/store", `{"agent":"a","type":"semantic","content":"\ud800"}`, 422, "surrogate"},
		"not JSON":                 {"/store", `{"agent":`, 400, "JSON"},
		"a batch of nothing":       {"/store-batch", `{"items":[]}`, 422, "body.items"},
		"a batch of 1001":          {"/store-batch", `{"items":[` + strings.Repeat(item("")+",", 1000) + item("") + `]}`, 422, "body.items"},
		"empty query":              {"/retrieve", `{"agent":"a","query":""}`, 422, "say what to look for"},
		"a query of spaces":        {"/retrieve", `{"agent":"a","query":"   "}`, 422, "say what to look for"},
		"a query of 9 KB":          {"/retrieve", `{"agent":"a","query":"` + strings.Repeat("x", 9000) + `"}`, 413, "8192"},
		"a limit of -1":            {"/retrieve", `{"agent":"a","query":"x","limit":-1}`, 422, "body.limit"},
		"a threshold of 2":         {"/retrieve", `{"agent":"a","query":"x","threshold":2}`, 422, "body.threshold"},
		"an operator of SQL":       {"/retrieve", `{"agent":"a","query":"x","where":[{"path":"a","op":"; DROP TABLE memories"}]}`, 422, "where"},
		"a path of dots":           {"/retrieve", `{"agent":"a","query":"x","where":[{"path":"..","op":"exists"}]}`, 422, "where[0].path"},
		"a range of a text":        {"/retrieve", `{"agent":"a","query":"x","where":[{"path":"a","op":"range","min":"low"}]}`, 422, "where[0]"},
		"21 groups":                {"/retrieve", `{"agent":"a","query":"x","groups":[` + strings.Repeat(`"g",`, 20) + `"g"]}`, 422, "groups"},
		"a budget of 1 token":      {"/context", `{"agent":"a","tokens":1}`, 422, "body.tokens"},
		"feedback of nothing":      {"/memories/0198c000-0000-7000-8000-000000000099/feedback", `{}`, 422, "useful"},
		"feedback on nothing":      {"/memories/0198c000-0000-7000-8000-000000000099/feedback", `{"useful":true}`, 404, "no memory"},
		"an id that is none":       {"/memories/1/feedback", `{"useful":true}`, 422, "memory_id"},
	} {
		var refused problem
		status := b.call(t, anna, "POST", c.path, c.body, &refused)
		require.Equal(t, c.status, status, "%s: %s", name, refused)
		require.Contains(t, refused.String(), c.says, name)
		require.Less(t, len(refused.String()), 2000, "%s: what was sent does not come back", name)
	}
	var list struct{ Memories []memory.Memory }
	require.Equal(t, 200, b.call(t, anna, "GET", "/memories", nil, &list))
	require.Empty(t, list.Memories, "nothing of it was stored")
}

func TestKeysAndScopesDecideWhoMay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one := "/memories/0198c000-0000-7000-8000-000000000099"
	for _, c := range []struct{ method, path string }{
		{"POST", "/store"}, {"POST", "/store-batch"}, {"POST", one + "/correct"}, {"POST", one + "/feedback"}, {"DELETE", one}, {"POST", "/erasures"}, {"POST", "/import"},
	} {
		require.Equal(t, 403, b.call(t, reader, c.method, c.path, "{}", nil), "%s %s by a reader", c.method, c.path)
	}
	for _, c := range []struct{ method, path string }{
		{"GET", "/stats"},
		{"GET", "/agents"},
		{"GET", "/memories"},
		{"GET", one},
		{"GET", one + "/history"},
		{"GET", "/export"},
		{"POST", "/retrieve"},
		{"POST", "/context"},
		{"POST", "/store"},
	} {
		require.Equal(t, 401, b.call(t, "", c.method, c.path, nil, nil), "%s %s by nobody", c.method, c.path)
		require.Equal(t, 401, b.call(t, "stolen", c.method, c.path, nil, nil), "%s %s by an unknown key", c.method, c.path)
	}
}

func TestAnotherTenantsAgentsAndIDsAreUnknown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	secret := b.store(t, other, memory.Item{Type: "semantic", Content: "the other tenant's secret recipe", Key: "recipe", Scope: &memory.Scope{Kind: "tenant"}})
	b.store(t, other, memory.Item{Type: "working", Content: "the other tenant's secret plan"})
	one := "/memories/" + secret.ID.String()
	require.Empty(t, b.retrieve(t, anna, map[string]any{"query": "secret recipe plan", "agent": walker}).Hits, "the same agent's name, another tenant")
	require.Empty(t, b.retrieve(t, anna, map[string]any{"query": "secret recipe plan", "everyone": true}).Hits)
	var packed struct{ Text string }
	require.Equal(t, 200, b.call(t, anna, "POST", "/context", map[string]any{"agent": walker, "task": "the secret recipe"}, &packed))
	require.NotContains(t, packed.Text, "secret recipe\"")
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{"GET", one, nil},
		{"GET", one + "/history", nil},
		{"DELETE", one, nil},
		{"POST", one + "/feedback", map[string]any{"useful": false}},
		{"POST", one + "/correct", map[string]any{"agent": walker, "content": "mine now"}},
	} {
		require.Equal(t, 404, b.call(t, anna, c.method, c.path, c.body, nil), "%s %s", c.method, c.path)
	}
	var receipt memory.Erased
	require.Equal(t, 200, b.call(t, anna, "POST", "/erasures", map[string]any{"subject": "anything", "mentioning": []string{"secret"}}, &receipt))
	require.Zero(t, receipt.Erased)
	var still memory.Memory
	require.Equal(t, 200, b.call(t, other, "GET", one, nil, &still))
	require.Equal(t, "the other tenant's secret recipe", still.Content)
}

// TestNoAnswerHoldsAnotherTenantsMemory lets two tenants store and ask at random,
// under the same few names of agents, groups and keys.
func TestNoAnswerHoldsAnotherTenantsMemory(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agents, groups := []string{"walker_1", "walker_2"}, []string{"seo", "ads"}
	rapid.Check(t, func(rt *rapid.T) {
		owner := rapid.SampledFrom([]string{anna, other}).Draw(rt, "owner")
		item := memory.Item{
			Agent: rapid.SampledFrom(agents).Draw(rt, "agent"), Type: rapid.SampledFrom([]string{"working", "semantic", "episodic", "procedural"}).Draw(rt, "type"),
			Content: fmt.Sprintf("of %s: the %s sells %s", owner, rapid.SampledFrom([]string{"market", "shop"}).Draw(rt, "place"), rapid.StringMatching(`[a-z]{3,8}`).Draw(rt, "thing")),
			Key:     rapid.SampledFrom([]string{"", "stock", "plan"}).Draw(rt, "key"),
		}
		if kind := rapid.SampledFrom([]string{"", "group", "tenant"}).Draw(rt, "scope"); kind != "" {
			item.Scope = &memory.Scope{Kind: kind}
			if kind == "group" {
				item.Scope.Name = rapid.SampledFrom(groups).Draw(rt, "group")
			}
		}
		b.store(t, owner, item)
		b.clock.Advance(time.Minute)
		asker := rapid.SampledFrom([]string{anna, other}).Draw(rt, "asker")
		query := map[string]any{"query": "of anna other market shop sells", "limit": 200, "groups": groups, "agent": rapid.SampledFrom(agents).Draw(rt, "asking")}
		if rapid.Bool().Draw(rt, "everyone") {
			query["everyone"] = true
		}
		for _, content := range b.retrieve(t, asker, query).contents() {
			if !strings.HasPrefix(content, "of "+asker) {
				rt.Fatalf("%s was told %q", asker, content)
			}
		}
	})
}

func TestAMemoryThatIsAwayIsSaidToBe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.embedder.SetDown(true)
	receipt := b.store(t, anna, memory.Item{Type: "semantic", Content: "stored while the embedder is down"})
	require.False(t, receipt.Embedded)
	hits := b.retrieve(t, anna, map[string]any{"query": "embedder"})
	require.Len(t, hits.Hits, 1)
	require.Contains(t, hits.Degraded, "words alone")
	b.backend.away = true
	var refused problem
	for _, path := range []string{"/stats", "/export", "/memories"} {
		require.Equal(t, 503, b.call(t, anna, "GET", path, nil, &refused), path)
		require.Equal(t, "unavailable", refused.Code)
		require.NotContains(t, refused.Detail, "qdrant", "an answer names no host")
	}
}
