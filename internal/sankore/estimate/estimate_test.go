package estimate_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engardehq/madansara/internal/sankore/estimate"
)

func TestKnownPosteriors(t *testing.T) {
	t.Parallel()
	// Days that are all alike leave what counting alone says.
	alike := func(exposure float64) []estimate.Day {
		days := make([]estimate.Day, 10)
		for i := range days {
			days[i] = estimate.Day{Count: 1, Exposure: exposure}
		}
		return days
	}
	// R: qbeta(c(.025,.975), 10.5, 90.5)
	p, ok := estimate.Proportion(alike(10))
	require.True(t, ok)
	require.InDelta(t, 0.1, p.Value, 1e-12)
	require.InDelta(t, 0.0526, p.Low, 2e-4)
	require.InDelta(t, 0.1700, p.High, 2e-4)
	// The chi-squared form of Jeffreys' interval, R: 1/(qchisq(c(.975,.025), 21)/2/1000)
	c, ok := estimate.Cost(alike(100))
	require.True(t, ok)
	require.InDelta(t, 100, c.Value, 1e-9)
	require.InDelta(t, 2000/35.4789, c.Low, 0.01)
	require.InDelta(t, 2000/10.2829, c.High, 0.01)
}

func TestEdges(t *testing.T) {
	t.Parallel()
	none, ok := estimate.Proportion([]estimate.Day{{0, 50}})
	require.True(t, ok)
	require.Zero(t, none.Value)
	require.Zero(t, none.Low)
	require.Less(t, none.High, 0.06)
	all, ok := estimate.Proportion([]estimate.Day{{60, 50}}) // more clicks than impressions: late ones
	require.True(t, ok)
	require.InDelta(t, 1, all.Value, 0)
	require.InDelta(t, 1, all.High, 0)
	for _, days := range [][]estimate.Day{nil, {{0, 0}}, {{1, 0}}} {
		_, ok = estimate.Proportion(days)
		require.False(t, ok)
		_, ok = estimate.Cost(days)
		require.False(t, ok)
	}
	_, ok = estimate.Cost([]estimate.Day{{0, 100}})
	require.False(t, ok, "no conversion, no cost of one")
	_, ok = estimate.Return([]estimate.DayValue{{Day: estimate.Day{Count: 3, Exposure: 100}}})
	require.False(t, ok, "conversions without worth")
}

func TestDispersionNarrowsWithAgreementOnly(t *testing.T) {
	t.Parallel()
	steady, wild := make([]estimate.Day, 28), make([]estimate.Day, 28)
	for i := range steady {
		steady[i] = estimate.Day{Count: 20, Exposure: 1000}
		wild[i] = estimate.Day{Count: float64(40 * (i % 2)), Exposure: 1000}
	}
	require.InDelta(t, 1, estimate.Dispersion(steady, true), 1e-12)
	require.Greater(t, estimate.Dispersion(wild, true), 10.0)
	narrow, _ := estimate.Proportion(steady)
	wide, _ := estimate.Proportion(wild)
	require.InDelta(t, narrow.Value, wide.Value, 1e-12)
	require.Greater(t, wide.High-wide.Low, 3*(narrow.High-narrow.Low))
}

// TestIntervalsBehave: whatever the figures, an interval is one, holds what was
// observed, and is the same each time.
func TestIntervalsBehave(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "days")
		days, valued := make([]estimate.Day, n), make([]estimate.DayValue, n)
		dated := make([]estimate.Dated, n)
		for i := range days {
			days[i] = estimate.Day{
				Count:    float64(rapid.IntRange(0, 3000).Draw(t, "count")) / 4,
				Exposure: float64(rapid.Int64Range(0, 1e9).Draw(t, "exposure")),
			}
			valued[i] = estimate.DayValue{Day: days[i], Value: float64(rapid.Int64Range(-1e6, 1e9).Draw(t, "value"))}
			dated[i] = estimate.Dated{Day: days[i], Date: monday.AddDate(0, 0, i)}
		}
		for name, of := range map[string]func() (estimate.Interval, bool){
			"proportion": func() (estimate.Interval, bool) { return estimate.Proportion(days) },
			"cost":       func() (estimate.Interval, bool) { return estimate.Cost(days) },
			"return":     func() (estimate.Interval, bool) { return estimate.Return(valued) },
			"trend":      func() (estimate.Interval, bool) { return estimate.Trend(dated, 1) },
		} {
			got, ok := of()
			if !ok {
				continue
			}
			again, _ := of()
			require.Equal(t, got, again, name)
			for _, x := range []float64{got.Value, got.Low, got.High} {
				require.False(t, math.IsNaN(x), "%s %+v", name, got)
			}
			require.LessOrEqual(t, got.Low, got.Value, "%s %+v", name, got)
			require.GreaterOrEqual(t, got.High, got.Value, "%s %+v", name, got)
		}
	})
}

func TestTooLittleForATrend(t *testing.T) {
	t.Parallel()
	days := make([]estimate.Dated, 14)
	for i := range days {
		days[i] = estimate.Dated{Day: estimate.Day{Count: 9, Exposure: 1}, Date: monday.AddDate(0, 0, i)}
	}
	_, ok := estimate.Trend(days[:13], 1)
	require.False(t, ok)
	flat, ok := estimate.Trend(days, 1)
	require.True(t, ok)
	require.InDelta(t, 0, flat.Value, 1e-6)
}
