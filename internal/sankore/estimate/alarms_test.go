package estimate_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/engardehq/madansara/internal/sankore/estimate"
)

// figures are a campaign's days as a platform reports them.
type figures struct {
	dates                                   []time.Time
	spend, impressions, clicks, conversions []float64
}

// quiet simulates a campaign in which nothing happens but luck and weekdays.
func (w world) quiet(n int, conversions, variation, autocorrelation float64) figures {
	f := figures{dates(n), make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)}
	bids, reach, appeal := w.luck(n, variation, autocorrelation), w.luck(n, variation/2, autocorrelation), w.luck(n, variation/2, autocorrelation)
	for i, date := range f.dates {
		level := season[date.Weekday()] * bids[i]
		f.spend[i] = math.Round(10_000 * level)
		f.impressions[i] = w.poisson(5000 * conversions * level * reach[i])
		f.clicks[i] = distuv.Binomial{N: max(1, f.impressions[i]), P: min(1, 0.02*appeal[i]), Src: w}.Rand()
		f.conversions[i] = distuv.Binomial{N: max(1, f.clicks[i]), P: 0.01, Src: w}.Rand()
	}
	return f
}

// alarms are those that intelligence gives, of all its metrics.
func (f figures) alarms() map[string][]estimate.Deviation {
	return map[string][]estimate.Deviation{
		"spend": estimate.Amounts(f.dates, f.spend), "impressions": estimate.Counts(f.dates, f.impressions),
		"clicks": estimate.Counts(f.dates, f.clicks), "conversions": estimate.Counts(f.dates, f.conversions),
		"ctr": estimate.Ratios(f.dates, f.clicks, f.impressions, f.clicks), "cpc": estimate.Ratios(f.dates, f.spend, f.clicks, f.clicks),
	}
}

// TestAQuietMonthRarelyAlarms counts the alarms of all six metrics together, which
// is what somebody is woken by: there were 85 to 620 of them in 100 quiet months.
func TestAQuietMonthRarelyAlarms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		days                                    int
		conversions, variation, autocorrelation float64
		most                                    float64
	}{
		{28, 5, 0, 0, 15},
		{28, 5, 0.2, 0, 20},
		{34, 1, 0.2, 0.5, 20},
		{56, 5, 0.2, 0.5, 25},
		{56, 5, 0.4, 0, 40},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			t.Parallel()
			w := newWorld(23)
			const campaigns = 50
			found := 0
			for range campaigns {
				for _, list := range w.quiet(c.days, c.conversions, c.variation, c.autocorrelation).alarms() {
					found += len(list)
				}
			}
			got := float64(found) * (100.0 / campaigns) * 30 / float64(c.days)
			t.Logf("%.0f alarms in 100 quiet months", got)
			require.LessOrEqual(t, got, c.most)
		})
	}
}

// TestHowFarADayMustFall: what is seen of one day on which conversions fall, of 60 a
// day. One by 30 % is within what luck does, so no alarm can be both sure to see it
// and quiet; a broken link mostly is seen.
func TestHowFarADayMustFall(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ variation, fall, least, most float64 }{
		{0, 0.3, 0, 30}, {0, 0.6, 45, 100}, {0.2, 0.3, 0, 5}, {0.2, 0.6, 0, 20}, {0.2, 1, 75, 100},
	} {
		w := newWorld(24)
		got := w.share(60, func() bool {
			f := w.quiet(56, 60, c.variation, 0.3)
			at := 7 + w.IntN(42)
			f.conversions[at] = distuv.Binomial{N: f.conversions[at], P: 1 - c.fall, Src: w}.Rand()
			for _, d := range estimate.Counts(f.dates, f.conversions) {
				if d.Date.Equal(f.dates[at]) && d.Score < 0 {
					return true
				}
			}
			return false
		})
		t.Logf("days differ by %.0f %%, a fall by %.0f %%: %.0f %% seen", 100*c.variation, 100*c.fall, got)
		require.GreaterOrEqual(t, got, c.least)
		require.LessOrEqual(t, got, c.most)
	}
}

// TestALastingFallIsATrend: who loses 30 % for the second half of eight weeks is
// told so by the trend.
func TestALastingFallIsATrend(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ conversions, least float64 }{{5, 35}, {60, 60}} {
		w := newWorld(25)
		got := w.share(60, func() bool {
			f := w.quiet(56, c.conversions, 0.2, 0.3)
			days := make([]estimate.Dated, len(f.dates))
			for i, date := range f.dates {
				count := f.conversions[i]
				if i >= 28 {
					count = distuv.Binomial{N: max(count, 1e-9), P: 0.7, Src: w}.Rand()
				}
				days[i] = estimate.Dated{Date: date, Day: estimate.Day{Count: count, Exposure: 1}}
			}
			trend, ok := estimate.Trend(days, 1)
			return ok && trend.High < 0
		})
		t.Logf("%.0f conversions a day: %.0f %% seen", c.conversions, got)
		require.GreaterOrEqual(t, got, c.least)
	}
}

// TestTooFewDaysForAnomalies: the weekends of a first fortnight are not unlike it.
func TestTooFewDaysForAnomalies(t *testing.T) {
	t.Parallel()
	for n := range estimate.MinAnomalyDays {
		spend := make([]float64, n)
		for i, date := range dates(n) {
			spend[i] = 10_000 * season[date.Weekday()]
		}
		require.Empty(t, estimate.Amounts(dates(n), spend))
	}
}
