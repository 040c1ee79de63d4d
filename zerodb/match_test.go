package zerodb_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/embed"
	"github.com/engardehq/madansara/zerodb/zerodbtest"
)

// remember stores contents one after another and returns a search by an embedder.
func remember(t *testing.T, embedder zerodb.Embedder, contents ...string) func(mode zerodb.Mode, query string, limit int) []zerodb.Hit {
	t.Helper()
	client, err := zerodb.New(zerodb.Config{Backend: zerodbtest.NewReference(), Embedder: embedder})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close(t.Context())) })
	memory := client.Tenant(uuid.New())
	for i, content := range contents {
		_, err := memory.StoreBatch(t.Context(), []zerodb.Item{{
			Agent: "walker", Type: zerodb.Episodic, Content: content, ValidFrom: time.Now().Add(-time.Duration(i) * time.Hour),
		}})
		require.NoError(t, err)
	}
	return func(mode zerodb.Mode, query string, limit int) []zerodb.Hit {
		result, err := memory.Search(t.Context(), zerodb.Query{Agent: "walker", Text: query, Limit: limit, Mode: mode})
		require.NoError(t, err)
		return result.Hits
	}
}

func TestAMatcherOrdersAHybridSearch(t *testing.T) {
	t.Parallel()
	search := remember(t, newBuiltin(t),
		"Lydia: my sister's baby shower is on Saturday",
		"Lydia: leave out the lavender, it gives me hives",
		"Omar: the cedar balm sells well at the gym",
		"Omar: my landlord keeps changing his story",
	)
	hits := search(zerodb.ModeHybrid, "Which scent gives Lydia an allergy?", 3)
	require.Equal(t, "Lydia: leave out the lavender, it gives me hives", hits[0].Memory.Content)
	for _, hit := range hits {
		why := hit.Explanation
		require.NotNil(t, why.Match)
		require.InDelta(t, 0.9**why.Match+0.1*why.Evidence*(1+why.Fusion)/2, why.Relevance, 1e-9, "as Explanation documents")
		require.InDelta(t, why.Relevance*why.Quality, hit.Score, 1e-9)
		require.Contains(t, why.String(), "match")
	}
	for _, mode := range []zerodb.Mode{zerodb.ModeText, zerodb.ModeDense} {
		for _, hit := range search(mode, "lavender", 3) {
			require.Nil(t, hit.Explanation.Match, "%s asks one signal only", mode)
		}
	}
}

// TestAnAnswerBesideItsQuestionIsFound: what is said right after a question is about it, in whatever words. Facts have
// no neighbours, and another scope's events are none.
func TestAnAnswerBesideItsQuestionIsFound(t *testing.T) {
	t.Parallel()
	client, err := zerodb.New(zerodb.Config{Backend: zerodbtest.NewReference(), Embedder: newBuiltin(t)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close(context.WithoutCancel(t.Context()))) })
	memory := client.Tenant(uuid.New())
	begun := time.Now().Add(-time.Hour)
	const question, answer, alone = "Dev: what is the rent of your flat now?", "Amara: ninety more, as of Monday", "Amara: ninety more, as of Friday"
	said := func(content string, minute float64, typ zerodb.Type, scope zerodb.Scope) zerodb.Item {
		return zerodb.Item{Agent: "walker", Type: typ, Content: content, Scope: scope, ValidFrom: begun.Add(time.Duration(minute * float64(time.Minute)))}
	}
	_, err = memory.StoreBatch(t.Context(), []zerodb.Item{
		said(question, 0, zerodb.Episodic, zerodb.Scope{}), said(answer, 1, zerodb.Episodic, zerodb.Scope{}),
		said(alone, 20, zerodb.Episodic, zerodb.Scope{}), said("it was ninety last year", 1, zerodb.Semantic, zerodb.Scope{}),
		said("Dev said ninety is a lot", 1, zerodb.Episodic, zerodb.TenantScope()),
	})
	require.NoError(t, err)
	result, err := memory.Search(t.Context(), zerodb.Query{Agent: "walker", Text: "how did the rent of the flat change, by ninety?"})
	require.NoError(t, err)
	scores := map[string]float64{}
	for _, hit := range result.Hits {
		why, content := hit.Explanation, hit.Memory.Content
		scores[content] = hit.Score
		require.Equal(t, content == question || content == answer, why.Beside != nil, content)
		if why.Beside != nil {
			whole := 1 - (1-*why.Match)*(1-0.3**why.Beside)
			require.InDelta(t, 0.9*whole+0.1*why.Evidence*(1+why.Fusion)/2, why.Relevance, 1e-9, "as Explanation documents")
			require.Contains(t, why.String(), "beside")
		}
	}
	require.Len(t, scores, 5)
	require.Greater(t, scores[answer], 1.1*scores[alone])
}

// silent is an embedder whose Match cannot tell, like a cache before a service.
type silent struct{ *embed.Builtin }

func (silent) Match(string, []string) []float64 { return nil }

func TestWithoutAMatchTheFusedOrderStands(t *testing.T) {
	t.Parallel()
	hits := remember(t, silent{newBuiltin(t)}, "the parcel is late", "the parcel came")(zerodb.ModeHybrid, "late parcel", 2)
	require.Len(t, hits, 2)
	require.Equal(t, "the parcel is late", hits[0].Memory.Content)
	require.Nil(t, hits[0].Explanation.Match)
	require.InDelta(t, hits[0].Explanation.Evidence*(1+hits[0].Explanation.Fusion)/2, hits[0].Explanation.Relevance, 1e-9)
}

func newBuiltin(t testing.TB) *embed.Builtin {
	t.Helper()
	builtin, err := embed.NewBuiltin()
	require.NoError(t, err)
	return builtin
}
