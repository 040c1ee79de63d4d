package retrievalbench

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/zerodb"
)

func TestConversationsAreWhole(t *testing.T) {
	t.Parallel()
	conversations, err := load()
	require.NoError(t, err)
	asked := map[bool]map[string]int{false: {}, true: {}}
	for _, c := range conversations {
		require.NotEmpty(t, c.turns, c.name)
		for _, q := range c.ask {
			require.NotEmpty(t, q.evidence, q.text)
			asked[c.heldOut][c.language]++
			asked[c.heldOut][q.kind]++
		}
	}
	for _, part := range asked {
		for _, name := range append([]string{"en", "fr", "es", "ht"}, kinds...) {
			require.GreaterOrEqual(t, part[name], 10, name)
		}
	}
}

// TestParaphrasesUseOtherWords holds the data set to what it says: few paraphrased questions share a word
// with their evidence that a full-text search would find, the names of people aside.
func TestParaphrasesUseOtherWords(t *testing.T) {
	t.Parallel()
	conversations, err := load()
	require.NoError(t, err)
	shared, all := 0, 0
	for _, c := range conversations {
		speakers := map[string]bool{}
		for _, said := range c.turns {
			speakers[zerodb.Terms(said.said)[0]] = true
		}
		for _, q := range c.ask {
			if q.kind != "paraphrase" {
				continue
			}
			all++
			if slices.ContainsFunc(zerodb.Terms(q.text), func(term string) bool {
				return !speakers[term] && slices.Contains(zerodb.Terms(c.turns[q.evidence[0]].said), term)
			}) {
				shared++
				t.Log(q.text, "|", c.turns[q.evidence[0]].said)
			}
		}
	}
	t.Logf("%d of %d share a word", shared, all)
	require.Less(t, shared*5, all)
}

func FuzzParse(f *testing.F) {
	f.Add("= 2025-03-04\nNora: I moved. #leeds\n? fact | Where? | leeds\n")
	f.Add("? fact | Where? | nowhere")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parse("en-x.tune.txt", text)
		for _, q := range c.ask {
			for _, place := range q.evidence {
				if err == nil && place >= len(c.turns) {
					t.Fatal("evidence that is no turn")
				}
			}
		}
	})
}
