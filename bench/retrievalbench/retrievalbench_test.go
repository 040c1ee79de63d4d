package retrievalbench_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/bench/retrievalbench"
)

// TestDefaultFindsEvidence guards against a change that loses quality. The floors are
// some points under what was measured when they were set (docs/BENCHMARKS.md) and well over what words
// alone find; the run is the same on every machine. Only the default is run: the detector of races makes it slow.
func TestDefaultFindsEvidence(t *testing.T) {
	t.Parallel()
	result, err := retrievalbench.Run(t.Context(), retrievalbench.Options{Methods: []string{retrievalbench.Default}})
	require.NoError(t, err)
	t.Log("\n" + result.String())
	found := result.Rows[0]
	require.Greater(t, found.Own.Questions, 100)
	require.Greater(t, found.Own.Recall, 0.60)
	require.Greater(t, found.Shared.Recall, 0.48)
	for part, floor := range map[string]float64{"en": 0.50, "fr": 0.50, "es": 0.75, "ht": 0.70, "fact": 0.75, "paraphrase": 0.45} {
		require.Greater(t, found.By[part].Recall, floor, part)
	}
}
