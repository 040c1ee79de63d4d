package retrievalbench_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/bench/retrievalbench"
)

// TestDefaultFindsEvidence guards against a change that loses quality. The floors are
// some points under what was measured when they were set; the run is the same on every machine.
func TestDefaultFindsEvidence(t *testing.T) {
	t.Parallel()
	result, err := retrievalbench.Run(t.Context(), retrievalbench.Options{Methods: []string{retrievalbench.TextOnly, retrievalbench.Default}})
	require.NoError(t, err)
	t.Log("\n" + result.String())
	text, found := result.Rows[0], result.Rows[1]
	require.Greater(t, found.Own.Questions, 100)
	require.Greater(t, found.Own.Recall, 0.60)
	require.Greater(t, found.Shared.Recall, 0.43)
	require.Greater(t, found.Own.Recall, text.Own.Recall+0.10, "meaning finds what words do not")
	for _, language := range []string{"en", "fr", "es", "ht"} {
		require.GreaterOrEqual(t, found.By[language].Recall, text.By[language].Recall, language)
	}
}
