package estimate_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/sankore/estimate"
)

// season is a campaign's week: weekends are slow.
var season = [7]float64{0.4, 1.2, 1.1, 1, 1.1, 1.3, 0.5}

func dates(n int) []time.Time {
	list := make([]time.Time, n)
	for i := range list {
		list[i] = monday.AddDate(0, 0, i)
	}
	return list
}

// TestQuietCampaignsHaveFewAnomalies: of days that differ by chance, weekday and
// a slow trend only, fewer than one in 200 is called unlike the others.
func TestQuietCampaignsHaveFewAnomalies(t *testing.T) {
	t.Parallel()
	w := newWorld(21)
	const days, campaigns = 60, 200
	on := dates(days)
	for name, find := range map[string]func(mean float64) []estimate.Deviation{
		"counts": func(mean float64) []estimate.Deviation {
			values := make([]float64, days)
			for i := range values {
				values[i] = w.poisson(mean * season[on[i].Weekday()] * (1 + float64(i)/days))
			}
			return estimate.Counts(on, values)
		},
		"amounts": func(mean float64) []estimate.Deviation {
			values := make([]float64, days)
			for i := range values {
				values[i] = 100 * mean * season[on[i].Weekday()] * math.Exp(0.15*w.NormFloat64())
			}
			return estimate.Amounts(on, values)
		},
		"ratios": func(mean float64) []estimate.Deviation {
			numerators, denominators := make([]float64, days), make([]float64, days)
			for i := range numerators {
				denominators[i] = 40 * mean
				numerators[i] = w.poisson(mean * season[on[i].Weekday()])
			}
			return estimate.Ratios(on, numerators, denominators, numerators)
		},
	} {
		found := 0
		for range campaigns {
			found += len(find(5 + 45*w.Float64()))
		}
		share := float64(found) / (campaigns * days)
		t.Logf("%s: %.2f %% of quiet days", name, 100*share)
		require.Less(t, share, 0.005, name)
	}
}

func TestUnlikeDaysAreFound(t *testing.T) {
	t.Parallel()
	w := newWorld(22)
	const days, campaigns = 60, 200
	on := dates(days)
	seen, right := 0, 0
	for range campaigns {
		values := make([]float64, days)
		for i := range values {
			values[i] = w.poisson(40 * season[on[i].Weekday()])
		}
		at := w.IntN(days)
		values[at] = math.Round(values[at]*3 + 10)
		found := estimate.Counts(on, values)
		if i := slices.IndexFunc(found, func(d estimate.Deviation) bool { return d.Date.Equal(on[at]) }); i >= 0 {
			seen++
			require.Positive(t, found[i].Score)
			usual := 40 * season[on[at].Weekday()]
			if math.Abs(found[i].Expected-usual) < 0.35*usual {
				right++
			}
		}
	}
	require.GreaterOrEqual(t, seen, campaigns*95/100)
	require.GreaterOrEqual(t, right, seen*9/10, "what was expected is what is usual for the weekday")
}

// TestAWeekendIsNoAnomaly: a fall by half each Saturday is what is usual, the same
// fall on a Wednesday is not.
func TestAWeekendIsNoAnomaly(t *testing.T) {
	t.Parallel()
	on := dates(42)
	spend := make([]float64, len(on))
	for i := range spend {
		spend[i] = 100_00
		if on[i].Weekday() == time.Saturday || on[i].Weekday() == time.Sunday {
			spend[i] = 50_00
		}
	}
	require.Empty(t, estimate.Amounts(on, spend))
	wednesday := 16
	require.Equal(t, time.Wednesday, on[wednesday].Weekday())
	spend[wednesday] = 50_00
	found := estimate.Amounts(on, spend)
	require.Len(t, found, 1)
	require.Equal(t, on[wednesday], found[0].Date)
	require.InDelta(t, 100_00, found[0].Expected, 1)
	require.Negative(t, found[0].Score)

	spend[wednesday] = 102_00 // as good as usual
	require.Empty(t, estimate.Amounts(on, spend))
	spend[20] = 0 // the card was refused
	require.Len(t, estimate.Amounts(on, spend), 1)
	require.Empty(t, estimate.Amounts(on[:13], spend[:13]), "two weeks tell nothing of a third")
}
