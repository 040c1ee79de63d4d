package estimate_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/engardehq/madansara/internal/sankore/estimate"
)

// world draws campaigns whose truth is known.
type world struct{ *rand.Rand }

func newWorld(seed uint64) world { return world{rand.New(rand.NewPCG(seed, 1))} }

func (w world) poisson(mean float64) float64 {
	if mean <= 0 {
		return 0
	}
	return distuv.Poisson{Lambda: mean, Src: w}.Rand()
}

// factor is a day's own luck: gamma with mean 1 and that coefficient of variation.
func (w world) factor(variation float64) float64 {
	if variation == 0 {
		return 1
	}
	shape := 1 / (variation * variation)
	return distuv.Gamma{Alpha: shape, Beta: shape, Src: w}.Rand()
}

// covered simulates campaigns and requires that the interval holds the truth in
// 92 to 98 % of them. simulate returns false for a campaign without estimate.
func covered(t *testing.T, seed uint64, simulate func(world) (estimate.Interval, float64, bool)) {
	t.Helper()
	const times = 1200
	w := newWorld(seed)
	held, below, told := 0, 0, 0
	for range times {
		interval, truth, ok := simulate(w)
		if !ok {
			continue
		}
		require.LessOrEqual(t, interval.Low, interval.High)
		told++
		if truth < interval.Low {
			below++
		}
		if truth >= interval.Low && truth <= interval.High {
			held++
		}
	}
	require.Greater(t, told, times*9/10)
	share := float64(held) / float64(told)
	t.Logf("%.1f %% covered, %.1f %% below", 100*share, 100*float64(below)/float64(told))
	require.InDelta(t, 0.95, share, 0.03)
}

func TestProportionsCoverTheTruth(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ days, impressions, rate, variation float64 }{
		"a steady month":       {30, 2000, 0.02, 0},
		"rare clicks":          {14, 150, 0.01, 0},
		"days differ":          {30, 5000, 0.03, 0.3},
		"few days that differ": {10, 5000, 0.03, 0.2},
		"a long, busy quarter": {90, 50_000, 0.05, 0.25},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			covered(t, 11, func(w world) (estimate.Interval, float64, bool) {
				days := make([]estimate.Day, int(c.days))
				for i := range days {
					n := math.Round(c.impressions * (0.5 + w.Float64()))
					p := min(1, c.rate*w.factor(c.variation))
					days[i] = estimate.Day{Count: distuv.Binomial{N: n, P: p, Src: w}.Rand(), Exposure: n}
				}
				got, ok := estimate.Proportion(days)
				return got, c.rate, ok
			})
		})
	}
}

func TestCostsCoverTheTruth(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ days, spend, cost, variation float64 }{
		"a steady month": {30, 5000, 2500, 0},
		"six in a month": {30, 5000, 25_000, 0},
		"days differ":    {30, 50_000, 2500, 0.4},
		"two weeks":      {14, 20_000, 2000, 0.3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			covered(t, 12, func(w world) (estimate.Interval, float64, bool) {
				days := make([]estimate.Day, int(c.days))
				for i := range days {
					spend := c.spend * (0.5 + w.Float64())
					days[i] = estimate.Day{Count: w.poisson(spend / c.cost * w.factor(c.variation)), Exposure: spend}
				}
				got, ok := estimate.Cost(days)
				return got, c.cost, ok
			})
		})
	}
}

func TestReturnsCoverTheTruth(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ days, spend, cost, mean, spread, variation float64 }{
		"steady":                 {30, 5000, 2500, 6000, 0.5, 0},
		"few orders":             {30, 5000, 15_000, 9000, 0.6, 0},
		"wide order values":      {60, 10_000, 2500, 6000, 0.9, 0},
		"days and orders differ": {45, 20_000, 2500, 6000, 0.7, 0.35},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			covered(t, 13, func(w world) (estimate.Interval, float64, bool) {
				days := make([]estimate.DayValue, int(c.days))
				for i := range days {
					spend := c.spend * (0.5 + w.Float64())
					orders := w.poisson(spend / c.cost * w.factor(c.variation))
					days[i].Day = estimate.Day{Count: orders, Exposure: spend}
					value := distuv.LogNormal{Mu: math.Log(c.mean) - c.spread*c.spread/2, Sigma: c.spread, Src: w}
					for range int(orders) {
						days[i].Value += value.Rand()
					}
				}
				got, ok := estimate.Return(days)
				return got, c.mean / c.cost, ok
			})
		})
	}
}

func TestTrendsCoverTheTruth(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		days                   int
		mean, slope, variation float64
	}{
		"none":          {28, 8, 0, 0},
		"growth":        {42, 6, 0.02, 0},
		"decline, rare": {42, 1.5, -0.02, 0},
		"days differ":   {56, 30, 0.01, 0.3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			covered(t, 14, func(w world) (estimate.Interval, float64, bool) {
				var weekday [7]float64
				for k := range weekday {
					weekday[k] = math.Exp(0.3 * w.NormFloat64())
				}
				days := make([]estimate.Dated, c.days)
				for i := range days {
					days[i].Date = monday.AddDate(0, 0, i)
					mean := c.mean * math.Exp(c.slope*(float64(i)-float64(c.days)/2)) * weekday[days[i].Date.Weekday()]
					days[i].Day = estimate.Day{Count: w.poisson(mean * w.factor(c.variation)), Exposure: 1}
				}
				got, ok := estimate.Trend(days, 1)
				return got, math.Expm1(c.slope), ok
			})
		})
	}
}

var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// TestFatigueIsSeenThroughTheNumberOfImpressions: the click-through rate halves
// while impressions double, so that clicks alone stay what they were.
func TestFatigueIsSeenThroughTheNumberOfImpressions(t *testing.T) {
	t.Parallel()
	w := newWorld(15)
	days := make([]estimate.Dated, 42)
	for i := range days {
		progress := float64(i) / 41
		impressions := 10_000 * math.Exp2(progress)
		days[i] = estimate.Dated{
			Date: monday.AddDate(0, 0, i),
			Day:  estimate.Day{Count: w.poisson(impressions * 0.02 * math.Exp2(-progress)), Exposure: impressions},
		}
	}
	change, ok := estimate.Trend(days, 41)
	require.True(t, ok)
	require.InDelta(t, -0.5, change.Value, 0.06)
	require.Less(t, change.High, -0.4)
}
