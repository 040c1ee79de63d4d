package memorybench_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/bench/memorybench"
)

func TestRunMeasures(t *testing.T) {
	t.Parallel()
	result, err := memorybench.Run(t.Context(), memorybench.Options{Agents: []int{50, 100}, Tenant: 250, Asked: 5, Vectors: 400, Queries: 5})
	require.NoError(t, err)
	require.Len(t, result.Rows, 4)
	for _, row := range result.Rows {
		require.Positive(t, row.P50)
		require.Positive(t, row.Scan)
		require.Positive(t, row.SIMD)
		require.Positive(t, row.Cold)
	}
	require.Equal(t, 250, result.Rows[3].Tenant)
	require.Positive(t, result.Rows[0].StoredPerS)
	require.Positive(t, result.Rows[0].SinglyPerS)
	require.Len(t, result.Everyone, 2)
	for _, e := range result.Everyone {
		require.Positive(t, e.Took)
		require.Positive(t, e.P50)
		require.Positive(t, e.Held)
		require.Greater(t, e.Recall10, 0.9)
	}
	require.Len(t, result.Recall, 4)
	for _, kind := range result.Recall {
		require.Greater(t, kind.At10, 0.9, kind.Kind)
		require.Less(t, kind.Held/kind.Memories, 500, "it was held compact")
	}
	require.Contains(t, result.String(), "ratio")
}
