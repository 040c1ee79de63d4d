package ingestbench_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/bench/ingestbench"
)

// TestRunsSmall keeps the benchmark itself working; its numbers mean nothing.
func TestRunsSmall(t *testing.T) {
	t.Parallel()
	result, err := ingestbench.Run(t.Context(), ingestbench.Options{BatchEvents: 2000, SingleEvents: 500, Rounds: 1})
	require.NoError(t, err)
	require.Positive(t, result.BatchRatio)
	require.Positive(t, result.SingleP99)
	t.Log(result)
}

func BenchmarkIngest(b *testing.B) {
	for b.Loop() {
		result, err := ingestbench.Run(b.Context(), ingestbench.Options{})
		require.NoError(b, err)
		b.Log(result)
		b.ReportMetric(result.BatchRatio, "batch/copy")
		b.ReportMetric(result.SingleP99.Seconds()*1000, "p99-ms")
	}
}
