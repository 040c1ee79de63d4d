package zerodb

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestDuplicates(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		a, b   string
		cosine float64 // 0: not known
		same   bool
		more   bool
	}{
		{a: "Marie likes tea", b: "marie likes tea!", same: true},
		{a: "Marie likes tea", b: "Marie likes the teas", same: true},
		{a: "Marie likes green tea in the morning", b: "Marie likes green tea early in the morning", same: true, more: true},
		{a: "Marie likes green tea early in the morning", b: "Marie likes green tea in the morning", same: true},
		{a: "Jean likes tea", b: "Marie likes tea"},
		{a: "the shop beats the market", b: "the market beats the shop"},
		{a: "the shop beats the market", b: "the market beats the shop", cosine: 1},
		{a: "Marie likes tea", b: "Marie does not like tea"},
		{a: "Marie likes tea", b: "Marie doesn't like tea"},
		{a: "Marie aime le café", b: "Marie n'aime pas le café"},
		{a: "a Marie le gusta el té", b: "a Marie ya no le gusta el té"},
		{a: "Marie renmen kafe", b: "Marie pa renmen kafe"},
		{a: "the plan costs 20 dollars", b: "the plan costs 30 dollars"},
		{a: "the plan costs 20 dollars", b: "the plan costs 30 dollars", cosine: 0.99},
		{a: "the customer chose plan A for the whole of the coming year", b: "the customer chose plan B for the whole of the coming year", cosine: 0.99},
		{a: "we told Marie that her order was late again", b: "we told Jeanne that her order was late again", cosine: 0.99},
		{a: "we told them that the order was late again", b: "we told them that the order was delayed again", cosine: 0.98, same: true},
		{a: "we told them that the order was late again", b: "we told them that the order was delayed again", cosine: 0.9},
		{a: "we told them that the order was late again", b: "we told them that the order was delayed again"},
		{a: "Marie likes tea", b: "Marie likes tea", cosine: 0.5}, // the vectors' veto
		{a: "Marie likes tea", b: "Marie likes tea and coffee and juice and water"},
		{a: "...", b: "..."},
	} {
		same, more := duplicates(wordingOf(test.a), wordingOf(test.b), test.cosine, test.cosine != 0)
		require.Equal(t, test.same, same, "%q and %q at %v", test.a, test.b, test.cosine)
		require.Equal(t, test.more, more, "%q and %q at %v", test.a, test.b, test.cosine)
		back, _ := duplicates(wordingOf(test.b), wordingOf(test.a), test.cosine, test.cosine != 0)
		require.Equal(t, same, back, "%q and %q: the order does not matter", test.a, test.b)
	}
}

func TestTermsAcrossInflection(t *testing.T) {
	t.Parallel()
	for _, group := range [][]string{
		{"order", "orders", "Orders", "ordered", "ordering"},
		{"purchase", "purchased", "purchases", "purchasing"},
		{"ship", "ships", "shipped", "shipping", "shipment"},
		{"prefer", "prefers", "preferred", "preference", "préfère", "préférence", "préférés"},
		{"achète", "acheter", "acheté", "achetées", "achetons"},
		{"livrer", "livrée", "livraison", "livraisons"},
		{"comprar", "compró", "compra", "compras", "comprado"},
		{"zapato", "zapatos"},
		{"bag", "bags"},
		{"customer", "customers"},
		{"sell", "sells", "selling"},
		{"cœur", "coeur"},
		{"Straße", "strasse"},
	} {
		want := Terms(group[0])
		require.Len(t, want, 1, group[0])
		for _, word := range group[1:] {
			require.Equal(t, want, Terms(word), "%s and %s", group[0], word)
		}
	}
	for _, pair := range [][2]string{{"bag", "bug"}, {"order", "border"}, {"B2B", "B2C"}, {"2024", "2025"}, {"plan", "plane5"}} {
		require.NotEqual(t, Terms(pair[0]), Terms(pair[1]))
	}
}

func TestElisionsAndNegations(t *testing.T) {
	t.Parallel()
	require.Equal(t, Terms("offre"), Terms("l'offre"))
	require.Equal(t, Terms("offre"), Terms("qu’offre"))
	require.Contains(t, Terms("I don't know"), "not")
	require.Contains(t, Terms("je n'aime pas"), "pas")
	require.Empty(t, Terms("the of and le la que y o um"))
	require.Empty(t, Terms("?!… — ;"))
}

func FuzzTerms(f *testing.F) {
	f.Add("Marie préfère l'offre n't ’’ \u6771\u4eac \xff\x00")
	f.Fuzz(func(t *testing.T, text string) {
		for _, term := range Terms(text) {
			if term == "" || len(term) > maxTerm+4 || !utf8.ValidString(term) && utf8.ValidString(text) {
				t.Errorf("term %q of %q", term, text)
			}
		}
		for term, weight := range Weights(text) {
			if !(weight > 0 && weight < 2.2) {
				t.Errorf("weight %v of %q", weight, term)
			}
		}
		wordingOf(text)
	})
}

func TestFateOf(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	memory := func(typ Type, age time.Duration, recalls int) *Memory {
		at := now.Add(-age)
		return &Memory{Type: typ, Importance: 0.5, Prior: 0.9, Recalls: recalls, CreatedAt: at, UpdatedAt: at, ValidFrom: at}
	}
	for _, test := range []struct {
		m    *Memory
		want Fate
	}{
		{memory(ShortTerm, time.Hour, 0), Keep},
		{memory(ShortTerm, time.Hour, 3), Promote},
		{memory(Episodic, day, 4), Keep},
		{memory(Episodic, day, 5), Promote},
		{memory(Episodic, 50*day, 0), Keep},
		{memory(Episodic, 70*day, 0), Fade},
		{memory(Episodic, 70*day, 1), Keep}, // recalled once, it lasts twice as long
		{memory(LongTerm, 3*365*day, 0), Keep},
		{memory(LongTerm, 6*365*day, 0), Fade},
		{memory(Semantic, 50*365*day, 0), Keep},
		{memory(Procedural, 50*365*day, 9), Keep},
		{memory(Working, day, 100), Keep},
	} {
		require.Equal(t, test.want, FateOf(test.m, now), "%s, %s old, recalled %d times", test.m.Type, now.Sub(test.m.UpdatedAt), test.m.Recalls)
	}
	expired := memory(Semantic, day, 0)
	expired.ExpiresAt = now
	require.Equal(t, Expire, FateOf(expired, now))
	outdated := memory(Episodic, day, 9)
	outdated.SupersededBy = uuid.New()
	require.Equal(t, Keep, FateOf(outdated, now), "history is not promoted")
}

// TestScoresStayInBounds: whatever the signals, scores lie in 0 to 1, no better
// signal ever lowers the evidence, and nothing irrelevant gets above 0.
func TestScoresStayInBounds(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	unit := rapid.Float64Range(0, 1)
	rapid.Check(t, func(rt *rapid.T) {
		candidates := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) Candidate {
			c := Candidate{ID: uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(rt, "id"))}
			if rapid.Bool().Draw(rt, "vector") {
				c.Cosine, c.HasCosine = rapid.Float64Range(-1, 1).Draw(rt, "cosine"), true
			}
			if rapid.Bool().Draw(rt, "words") {
				c.Text, c.Coverage = rapid.Float64Range(0.01, 50).Draw(rt, "text"), unit.Draw(rt, "coverage")
			}
			c.Facts = Facts{
				Type: rapid.SampledFrom(Types()).Draw(rt, "type"), Importance: unit.Draw(rt, "importance"), Confidence: unit.Draw(rt, "confidence"),
				UpdatedAt: now.Add(-time.Duration(rapid.IntRange(-1, 10_000).Draw(rt, "hours")) * time.Hour),
			}
			return c
		}), 0, 40).Draw(rt, "candidates")
		floor := rapid.Float64Range(0, 0.9).Draw(rt, "floor")
		list := rank(candidates, floor, now, len(candidates))
		require.Len(rt, list, len(candidates))
		few := rapid.IntRange(0, 40).Draw(rt, "few")
		require.Equal(rt, list[:min(few, len(list))], rank(candidates, floor, now, few))
		for i, r := range list {
			require.GreaterOrEqual(rt, r.score, 0.0)
			require.LessOrEqual(rt, r.score, 1.0)
			require.GreaterOrEqual(rt, r.why.Quality, 0.6-1e-9)
			if i > 0 {
				require.LessOrEqual(rt, r.score, list[i-1].score)
			}
			if !(r.candidate.HasCosine && r.candidate.Cosine > floor) && r.candidate.Coverage == 0 {
				require.Zero(rt, r.score)
			}
		}
	})
}

func TestEstimateTokensErrsTowardsMore(t *testing.T) {
	t.Parallel()
	require.Equal(t, 0, EstimateTokens(""))
	require.Equal(t, 2, EstimateTokens("a"))
	require.GreaterOrEqual(t, EstimateTokens(strings.Repeat("word ", 300)), 375)
	// Byte-pair tokenisers know few words of these: a token for each character or so, and
	// two or three for an emoji.
	for text, tokens := range map[string]int{
		strings.Repeat("顧客は電話より電子メールを好む", 20):                     20 * 18, //nolint:gosmopolitan // what such a text costs is the point
		strings.Repeat("고객은 이메일을 선호합니다 ", 20):                     20 * 14,
		strings.Repeat("🦄🧵", 50):                                  300,
		strings.Repeat("клиент предпочитает почту ", 20):          20 * 9,
		strings.Repeat("0193a6c8e1f27b4d9c55ab07d3e8f6a1", 10):    10 * 20,
		strings.Repeat("{\"a\":[1,2],\"b\":{\"c\":null}};\n", 20): 20 * 12,
	} {
		require.GreaterOrEqual(t, EstimateTokens(text), tokens, text)
	}
}

func TestDot(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(0, 40).Draw(rt, "n")
		of := rapid.SliceOfN(rapid.Float32Range(-1, 1), n, n)
		a, b := of.Draw(rt, "a"), of.Draw(rt, "b")
		want := 0.0
		for i := range a {
			want += float64(a[i]) * float64(b[i])
		}
		require.InDelta(rt, want, float64(Dot(a, b)), 1e-4)
	})
}

// TestPlainWordsAreWords holds the short way for ASCII to the long one.
func TestPlainWordsAreWords(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringMatching(`[a-zA-Z0-9 '.,\-\n]{0,60}`).Draw(rt, "text")
		long := words("\u00e9 " + text) // an accent, and a space after it, send it the long way
		require.Equal(rt, append([]string{"e"}, words(text)...), long)
	})
}

// TestNothingUnseenReachesAPrompt: what a person who looks at a memory doesn't see, a model must not read as text.
func TestNothingUnseenReachesAPrompt(t *testing.T) {
	t.Parallel()
	require.Equal(t, `"pay\u200bpal \u202egnp.exe\u202c \udb40\udc48\udb40\udc49 \ufeffa\udb40\udd00b\u0085"`,
		Quote("pay\u200bpal \u202egnp.exe\u202c \U000e0048\U000e0049 \ufeffa\U000e0100b\u0085"))
	for _, written := range []string{"می\u200cخواهم", "👩\u200d🚀 ❤\ufe0f", "क्\u200dष", "naïve \u65e5\u672c \U0001f9ff"} {
		require.Equal(t, `"`+written+`"`, Quote(written), "needed to write it")
	}
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.String().Draw(rt, "text")
		var back string
		require.NoError(rt, json.Unmarshal([]byte(Quote(text)), &back))
		require.Equal(rt, strings.ToValidUTF8(text, "\ufffd"), back, "escaped, not lost")
	})
}

func TestAContextSaysWhomAMemoryIsAbout(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	m := Memory{Agent: "seo", Type: Episodic, Subject: "customer:42", Content: "Asked for a refund", ValidFrom: now}
	require.Equal(t, `- "Asked for a refund" (about "customer:42", by "seo", just now)`+"\n", contextLine(&m, now))
	m.Subject = ""
	require.Equal(t, `- "Asked for a refund" (by "seo", just now)`+"\n", contextLine(&m, now))
}
