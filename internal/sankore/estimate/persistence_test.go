package estimate_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/sankore/estimate"
)

// luck is how good each of n days is: log-normal with mean 1, that coefficient of
// variation, and that autocorrelation of its logarithms from a day to the next.
func (w world) luck(n int, variation, autocorrelation float64) []float64 {
	spread := math.Sqrt(math.Log1p(variation * variation))
	luck := make([]float64, n)
	x := w.NormFloat64()
	for i := range luck {
		if i > 0 {
			x = autocorrelation*x + math.Sqrt(1-autocorrelation*autocorrelation)*w.NormFloat64()
		}
		luck[i] = math.Exp(spread*x - spread*spread/2)
	}
	return luck
}

// share simulates campaigns and returns how many in a hundred are held.
func (w world) share(times int, held func() bool) float64 {
	n := 0
	for range times {
		if held() {
			n++
		}
	}
	return 100 * float64(n) / float64(times)
}

// TestGoodDaysFollowGoodDays: an auction that is cheap today is cheap tomorrow, so
// that a month holds fewer than thirty independent days. Intervals that took them
// for thirty covered 76 % of the truths.
func TestGoodDaysFollowGoodDays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		days                             int
		mean, variation, autocorrelation float64
		least                            float64
	}{
		"a month of independent days": {30, 200, 0.3, 0, 92},
		"a month":                     {30, 200, 0.3, 0.5, 88},
		"a quarter":                   {90, 200, 0.3, 0.5, 91},
		"a quarter, few":              {90, 10, 0.3, 0.5, 91},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(16)
			got := w.share(400, func() bool {
				days := make([]estimate.Day, c.days)
				for i, luck := range w.luck(c.days, c.variation, c.autocorrelation) {
					spend := 1000 * (0.5 + w.Float64())
					days[i] = estimate.Day{Count: w.poisson(c.mean * spend / 1000 * luck), Exposure: spend}
				}
				cost, ok := estimate.Cost(days)
				require.True(t, ok)
				return cost.Low <= 1000/c.mean && 1000/c.mean <= cost.High
			})
			t.Logf("%.1f %% covered", got)
			require.GreaterOrEqual(t, got, c.least)
			require.LessOrEqual(t, got, 98.0)
		})
	}
}

// TestOneDayIsNotAllDays: a day's thousands of clicks are one draw of how days
// are. Taken for thousands of draws, they covered 25 % of the truths.
func TestOneDayIsNotAllDays(t *testing.T) {
	t.Parallel()
	w := newWorld(17)
	for _, days := range []int{1, 2, 3} {
		got := w.share(1000, func() bool {
			list := make([]estimate.Day, days)
			for i, luck := range w.luck(days, 0.3, 0) {
				list[i] = estimate.Day{Count: min(20_000, w.poisson(400*luck)), Exposure: 20_000}
			}
			rate, ok := estimate.Proportion(list)
			return ok && rate.Low <= 0.02 && 0.02 <= rate.High
		})
		t.Logf("%d days: %.1f %% covered", days, got)
		require.GreaterOrEqual(t, got, 91.0, "%d days", days)
	}
}

// TestNoTrendIsSeenInLuck: runs of good and bad days are no trend. Taken for
// independent days, a quarter of the campaigns without a trend had one.
func TestNoTrendIsSeenInLuck(t *testing.T) {
	t.Parallel()
	for _, days := range []int{28, 60} {
		w := newWorld(18)
		got := w.share(200, func() bool {
			list := make([]estimate.Dated, days)
			for i, luck := range w.luck(days, 0.3, 0.5) {
				date := monday.AddDate(0, 0, i)
				list[i] = estimate.Dated{Date: date, Day: estimate.Day{Count: w.poisson(100 * luck * season[date.Weekday()]), Exposure: 1}}
			}
			trend, ok := estimate.Trend(list, 1)
			require.True(t, ok)
			return trend.Low > 0 || trend.High < 0
		})
		t.Logf("%d days: %.1f %% have a trend that is none", days, got)
		require.LessOrEqual(t, got, 15.0, "%d days", days)
	}
}
