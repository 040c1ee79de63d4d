package embed_test

import (
	"crypto/sha256"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engardehq/madansara/zerodb/embed"
)

func nearness(t *testing.T, a, b string) float64 {
	t.Helper()
	vectors, err := newBuiltin(t).Embed(t.Context(), []string{a, b})
	require.NoError(t, err)
	return dot(vectors[0], vectors[1])
}

func dot(a, b []float32) (sum float64) {
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

func TestBuiltinKnowsMeaning(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, near, far string }{
		{"My dog is ill", "The puppy has a disease", "The invoice was paid on Friday"},
		{"She wants her money back", "The customer asks for a refund", "We planted tomatoes"},
		{"Le colis est en retard", "La livraison n'est pas arrivée", "Ma fille chante dans une chorale"},
		{"El perro está enfermo", "La mascota tiene una enfermedad", "La factura se pagó el viernes"},
		{"Chat la malad", "Bèt la gen yon maladi", "Yo peye fakti a"},
		{"La livraison est en retard", "The delivery is late", "The cat sleeps on the roof"}, // across languages
		{"Achille Mondésir", "achile mondesir", "Jocelyne Baptiste"},                         // names, misspelt
	} {
		require.Greater(t, nearness(t, test.text, test.near), nearness(t, test.text, test.far)+0.1, test.text)
	}
}

// TestCachedIsWhatItStandsBefore: how an embedder is asked must not change with a cache.
func TestCachedIsWhatItStandsBefore(t *testing.T) {
	t.Parallel()
	builtin := embed.NewCached(newBuiltin(t), 0)
	require.Equal(t, embed.BuiltinModel, builtin.Model())
	require.True(t, builtin.Local())
	require.Positive(t, builtin.Floor())
	require.NotEmpty(t, builtin.Match("a parcel", []string{"a package"}))

	far, err := embed.NewHTTP(embed.HTTPConfig{URL: "http://embedder.internal/v1", Model: "bge-m3"})
	require.NoError(t, err)
	service := embed.NewCached(far, 0)
	require.Equal(t, "bge-m3", service.Model())
	require.False(t, service.Local(), "it is never asked inside a transaction")
	require.Zero(t, service.Floor())
	require.Nil(t, service.Match("a parcel", []string{"a package"}))
}

func TestMatchIsAShareOfTheQuery(t *testing.T) {
	t.Parallel()
	builtin := newBuiltin(t)
	match := builtin.Match("Which scent gives Lydia an allergy?", []string{
		"Which scent gives Lydia an allergy?", "No lavender, it gives Lydia hives and her skin itches", "The bank pulled out of Toledo", "", "👍",
	})
	require.InDelta(t, 1, match[0], 1e-9)
	require.Greater(t, match[1], 0.3)
	require.Less(t, match[2], 0.15)
	require.Zero(t, match[3])
	require.Zero(t, match[4])
	require.Equal(t, []float64{0, 0}, builtin.Match("?!", []string{"a", "b"}))
	rapid.Check(t, func(t *rapid.T) {
		for _, score := range builtin.Match(rapid.String().Draw(t, "query"), []string{rapid.String().Draw(t, "text")}) {
			require.GreaterOrEqual(t, score, 0.0)
			require.LessOrEqual(t, score, 1+1e-9)
		}
	})
}

func TestBuiltinIsOneModel(t *testing.T) {
	t.Parallel()
	builtin := newBuiltin(t)
	require.Equal(t, embed.BuiltinModel, builtin.Model())
	vectors, err := builtin.Embed(t.Context(), []string{"Marie prefers WhatsApp"})
	require.NoError(t, err)
	// When these change, stored vectors are no longer comparable: give the model a new name.
	require.InDeltaSlice(t, []float64{-0.12902595, 0.10581903, -0.014050845}, []float64{float64(vectors[0][0]), float64(vectors[0][50]), float64(vectors[0][200])}, 1e-6)
}

// TestTableIsMadeFromItsScript fails when build.mjs or its lock file was changed and `make vectors` was not run.
func TestTableIsMadeFromItsScript(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("table/build.mjs")
	require.NoError(t, err)
	lock, err := os.ReadFile("table/package-lock.json")
	require.NoError(t, err)
	table, err := os.ReadFile("words.bin")
	require.NoError(t, err)
	sum := sha256.Sum256(append(script, lock...))
	require.Equal(t, sum[:], table[16:48], "run 'make vectors'")
}

func TestBuiltinGivesUnitVectors(t *testing.T) {
	t.Parallel()
	builtin := newBuiltin(t)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-zéè' 0-9,.]{1,80}`), rapid.SampledFrom([]string{"👍", "!!", "\u6771\u4eac\u306b\u884c\u304f", "the", "\xff\xfe", "a'"})).
			Filter(func(s string) bool { return strings.TrimSpace(s) != "" }).Draw(t, "text")
		vectors, err := builtin.Embed(t.Context(), []string{text})
		require.NoError(t, err)
		require.Len(t, vectors[0], builtin.Dimension())
		require.InDelta(t, 1, math.Sqrt(dot(vectors[0], vectors[0])), 1e-5)
		again, err := builtin.Embed(t.Context(), []string{text})
		require.NoError(t, err)
		require.Equal(t, vectors, again)
	})
}

func TestBuiltinIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	builtin := newBuiltin(t)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			if _, err := builtin.Embed(t.Context(), []string{"Ma cliente attend son colis", "El cliente espera"}); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
}

func TestAMegabyteIsReadQuickly(t *testing.T) {
	t.Parallel()
	for _, text := range []string{strings.Repeat("word and another ", 60_000), strings.Repeat("x", 1<<20), strings.Repeat("1,000.", 170_000), strings.Repeat("é'", 400_000)} {
		_, err := newBuiltin(t).Embed(t.Context(), []string{text})
		require.NoError(t, err)
	}
}

func BenchmarkBuiltin(b *testing.B) {
	builtin := newBuiltin(b)
	texts := []string{"The customer asked twice whether the parcel would arrive before her sister's wedding on Saturday."}
	for b.Loop() {
		_, _ = builtin.Embed(b.Context(), texts)
	}
}

// BenchmarkMatch reads sixty texts of a conversation beside a query: for the first time, and again.
func BenchmarkMatch(b *testing.B) {
	texts := make([]string, 60)
	for i := range texts {
		texts[i] = "The customer asked for the " + strconv.Itoa(i) + "th time whether the parcel would arrive before her sister's wedding on Saturday."
	}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			newBuiltin(b).Match("When is the wedding of her sister?", texts)
		}
	})
	b.Run("again", func(b *testing.B) {
		builtin := newBuiltin(b)
		for b.Loop() {
			builtin.Match("When is the wedding of her sister?", texts)
		}
	})
}

func newBuiltin(t testing.TB) *embed.Builtin {
	t.Helper()
	builtin, err := embed.NewBuiltin()
	require.NoError(t, err)
	return builtin
}
