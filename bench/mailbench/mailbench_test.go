package mailbench_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/bench/mailbench"
)

// TestRunsSmall keeps the benchmark itself working; its numbers mean nothing.
func TestRunsSmall(t *testing.T) {
	t.Parallel()
	result, err := mailbench.Run(t.Context(), mailbench.Options{Recipients: 200})
	require.NoError(t, err)
	require.Positive(t, result.MailsPerSec)
	require.Positive(t, result.Ratio)
	t.Log(result)
}

func BenchmarkMail(b *testing.B) {
	for b.Loop() {
		result, err := mailbench.Run(b.Context(), mailbench.Options{})
		require.NoError(b, err)
		b.Log(result)
		b.ReportMetric(result.MailsPerSec, "mails/s")
		b.ReportMetric(result.Ratio, "of-bare-SMTP")
	}
}
