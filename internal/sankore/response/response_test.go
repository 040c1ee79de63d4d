package response_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat/distuv"
	"pgregory.net/rapid"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/sankore/response"
)

var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// truth is how conversions really answer to spend.
type truth func(spend float64) float64

// hill is the family that is fitted: level conversions at a spend of 100, with
// that elasticity there.
func hill(level, elasticity float64) truth {
	half := 100 * elasticity / (1 - elasticity)
	return func(spend float64) float64 { return level * spend * (100 + half) / (100 * (spend + half)) }
}

// simulate runs a campaign whose spend varies by a factor of about two.
func simulate(random *rand.Rand, t truth, days int, variation float64) []response.Day {
	list := make([]response.Day, days)
	for i := range list {
		date := monday.AddDate(0, 0, i)
		spend := 100 * math.Exp(0.6*random.NormFloat64())
		season := 1.2
		if date.Weekday() == time.Sunday {
			season, spend = 0.5, spend*0.6 // quiet, and less is spent
		}
		luck := 1.0
		if variation > 0 {
			luck = distuv.Gamma{Alpha: 1 / (variation * variation), Beta: 1 / (variation * variation), Src: random}.Rand()
		}
		list[i] = response.Day{Date: date, Spend: spend, Conversions: distuv.Poisson{Lambda: t(spend) * season * luck, Src: random}.Rand()}
	}
	return list
}

// TestSaturationCoversTheTruth draws truths as the prior believes them, for which
// a right posterior covers 95 % whatever the data.
func TestSaturationCoversTheTruth(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		days             int
		level, variation float64
	}{
		"a busy quarter": {90, 30, 0},
		"few":            {42, 3, 0},
		"days differ":    {60, 40, 0.3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(31, 1))
			const times = 400
			held := 0
			for range times {
				elasticity := random.Float64()
				// The mean spend of the draws is not 100 exactly, so the truth is taken at it.
				days := simulate(random, hill(c.level, elasticity), c.days, c.variation)
				curve, ok := response.Fit(days)
				require.True(t, ok)
				half := 100 * elasticity / (1 - elasticity)
				there := curve.MeanSpend / (half + curve.MeanSpend)
				got, _ := curve.Saturation()
				if there >= got.Low && there <= got.High {
					held++
				}
			}
			share := float64(held) / times
			t.Logf("%.1f %% covered", 100*share)
			require.InDelta(t, 0.95, share, 0.03)
		})
	}
}

// TestNothingIsLostOnALine: of conversions in proportion to the spend, nothing is
// lost to saturation; intervals that never reached 0 held that in 18 of 100 cases at
// best.
func TestNothingIsLostOnALine(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(37, 1))
	const times = 200
	held, flat := 0, 0
	for range times {
		curve, ok := response.Fit(simulate(random, func(spend float64) float64 { return 0.1 * spend }, 60, 0.2))
		require.True(t, ok)
		got, _ := curve.Saturation()
		if got.Low <= 0 {
			held++
		}
		curve, ok = response.Fit(simulate(random, func(float64) float64 { return 10 }, 60, 0.2))
		require.True(t, ok)
		if got, _ = curve.Saturation(); got.High >= 1 {
			flat++
		}
	}
	t.Logf("%d %% of lines and %d %% of constants covered", 100*held/times, 100*flat/times)
	require.GreaterOrEqual(t, held, times*85/100)
	require.GreaterOrEqual(t, flat, times*85/100)
}

func TestMuchDataFindsTheCurve(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(32, 1))
	for _, elasticity := range []float64{0.2, 0.5, 0.8} {
		actual := hill(300, elasticity)
		curve, ok := response.Fit(simulate(random, actual, 360, 0))
		require.True(t, ok)
		got, told := curve.Saturation()
		require.True(t, told)
		require.InDelta(t, 1-elasticity, got.Value, 0.12)
		season := 1.2*6/7 + 0.5/7
		for _, spend := range []float64{50, 100, 200} {
			require.InEpsilon(t, season*actual(spend), curve.Mean(spend), 0.1, "at %v", spend)
		}
	}
}

func TestLittleDataIsNoKnowledge(t *testing.T) {
	t.Parallel()
	constant := make([]response.Day, 28)
	for i := range constant {
		constant[i] = response.Day{Date: monday.AddDate(0, 0, i), Spend: 100, Conversions: 5}
	}
	curve, ok := response.Fit(constant)
	require.True(t, ok)
	_, told := curve.Saturation()
	require.False(t, told, "spend that never moved tells nothing of what it would do")
	require.InEpsilon(t, 5, curve.Mean(100), 0.05)
	_, ok = response.Fit([]response.Day{{Date: monday, Conversions: 3}})
	require.False(t, ok, "conversions without spend")
	none, ok := response.Fit([]response.Day{{Date: monday, Spend: 100}})
	require.True(t, ok)
	require.Less(t, none.Mean(100), 1.0)
}

func TestCurvesAreConcaveAndRising(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		curve := drawCurve(t, "")
		last, slope := -1.0, math.Inf(1)
		for spend := 0.0; spend < 5*curve.MaxSpend; spend += curve.MaxSpend / 7 {
			mean, marginal := curve.Mean(spend), curve.Marginal(spend)
			require.Greater(t, mean, last)
			require.LessOrEqual(t, marginal, slope*(1+1e-12))
			require.Positive(t, marginal)
			h := curve.MeanSpend * 1e-6
			require.InEpsilon(t, (curve.Mean(spend+h)-mean)/h, marginal, 5e-3, "the marginal return is the slope")
			last, slope = mean, marginal
		}
		require.Zero(t, curve.Mean(0))
	})
}

func drawCurve(t *rapid.T, label string) *response.Curve {
	n := rapid.IntRange(1, 20).Draw(t, label+"days")
	days := make([]response.Day, n)
	for i := range days {
		days[i] = response.Day{
			Date: monday.AddDate(0, 0, i), Spend: float64(rapid.IntRange(1, 200).Draw(t, label+"spend")),
			Conversions: float64(rapid.IntRange(0, 30).Draw(t, label+"conversions")),
		}
	}
	curve, ok := response.Fit(days)
	if !ok {
		t.Fatal("no curve")
	}
	return &curve
}

// TestNoAllocationIsBetter compares with every possible one, by dynamic
// programming over whole units: the optimum is found, not approached.
func TestNoAllocationIsBetter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const days = 3
		shares := make([]response.Share, rapid.IntRange(1, 4).Draw(t, "campaigns"))
		var least, most int64
		for i := range shares {
			shares[i].Curve = drawCurve(t, string(rune('a'+i)))
			shares[i].Min = rapid.Int64Range(0, 30).Draw(t, "min")
			shares[i].Max = shares[i].Min + rapid.Int64Range(0, 120).Draw(t, "room")
			least, most = least+shares[i].Min, most+shares[i].Max
		}
		total := rapid.Int64Range(least, most).Draw(t, "total")
		amounts, err := response.Allocate(total, days, shares)
		require.NoError(t, err)
		var spent int64
		earned := 0.0
		for i, amount := range amounts {
			require.GreaterOrEqual(t, amount, shares[i].Min)
			require.LessOrEqual(t, amount, shares[i].Max)
			spent += amount
			earned += shares[i].Curve.Mean(float64(amount) / days)
		}
		require.Equal(t, total, spent)
		best := bruteForce(int(total), days, shares)
		// Whole units are rounded, which costs at most a unit's return each.
		slack := 0.0
		for i := range shares {
			slack += shares[i].Curve.Marginal(max(0, float64(amounts[i])-1)/days) / days
		}
		require.GreaterOrEqual(t, earned, best-slack*1e-1-1e-9, "amounts %v", amounts)
		require.LessOrEqual(t, earned, best+1e-9)
	})
}

// bruteForce returns the most that total can earn.
func bruteForce(total, days int, shares []response.Share) float64 {
	best := make([]float64, total+1)
	for i := range best {
		best[i] = math.Inf(-1)
	}
	best[0] = 0
	for _, s := range shares {
		next := make([]float64, total+1)
		for i := range next {
			next[i] = math.Inf(-1)
		}
		for amount := int(s.Min); amount <= min(int(s.Max), total); amount++ {
			earned := s.Curve.Mean(float64(amount) / float64(days))
			for before := 0; before+amount <= total; before++ {
				next[before+amount] = max(next[before+amount], best[before]+earned)
			}
		}
		best = next
	}
	return best[total]
}

// TestAnAllocationIsNearlyTheBestInTruth: curves fitted to data of another family
// (a power of the spend) still lead to nearly all that could be earned.
func TestAnAllocationIsNearlyTheBestInTruth(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(33, 1))
	power := func(level, exponent float64) truth {
		return func(spend float64) float64 { return level * math.Pow(spend/100, exponent) }
	}
	worst, now := 1.0, 0.0
	for range 40 {
		truths := []truth{power(12, 0.8), power(20, 0.5), power(6, 0.3), hill(15, 0.4)}
		shares := make([]response.Share, len(truths))
		for i, actual := range truths {
			curve, ok := response.Fit(simulate(random, actual, 90, 0.2))
			require.True(t, ok)
			shares[i] = response.Share{Curve: &curve, Max: 300 * 30}
		}
		const total, days = 400 * 30, 30
		amounts, err := response.Allocate(total, days, shares)
		require.NoError(t, err)
		got, even := 0.0, 0.0
		for i, actual := range truths {
			got += days * actual(float64(amounts[i])/days)
			even += days * actual(100)
		}
		best := bestOf(truths)
		worst = min(worst, got/best)
		now += even / best / 40
	}
	t.Logf("at worst %.3f of the best possible, even shares %.3f", worst, now)
	require.Greater(t, worst, 0.97)
}

// bestOf searches 400 a day in steps of 5, at most 300 each.
func bestOf(truths []truth) float64 {
	best := 0.0
	for a := 0.0; a <= 300; a += 5 {
		for b := 0.0; b <= 300 && a+b <= 400; b += 5 {
			for c := 0.0; c <= 300 && a+b+c <= 400; c += 5 {
				if d := 400 - a - b - c; d <= 300 {
					best = max(best, 30*(truths[0](a)+truths[1](b)+truths[2](c)+truths[3](d)))
				}
			}
		}
	}
	return best
}

func TestGainsCoverTheTruth(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(34, 1))
	const times, days = 300, 30
	held := 0
	season := 1.2*6/7 + 0.5/7
	for range times {
		shares, truths := make([]response.Share, 3), make([]truth, 3)
		for i := range shares {
			truths[i] = hill(5+25*random.Float64(), random.Float64())
			curve, ok := response.Fit(simulate(random, truths[i], 60, 0))
			require.True(t, ok)
			shares[i] = response.Share{Curve: &curve, Max: 200 * days}
		}
		present := []int64{100 * days, 100 * days, 100 * days}
		amounts, err := response.Allocate(300*days, days, shares)
		require.NoError(t, err)
		outcome := response.Compare(days, shares, amounts, present)
		require.GreaterOrEqual(t, outcome.Gain.Value, -1e-6, "expected gains are never negative")
		gain := 0.0
		for i := range truths {
			gain += days * season * (truths[i](float64(amounts[i])/days) - truths[i](100))
		}
		if gain >= outcome.Gain.Low && gain <= outcome.Gain.High {
			held++
		}
	}
	share := float64(held) / times
	t.Logf("%.1f %% covered", 100*share)
	require.InDelta(t, 0.95, share, 0.03)
}

func TestLimitsThatDoNotFit(t *testing.T) {
	t.Parallel()
	curve, ok := response.Fit([]response.Day{{Date: monday, Spend: 100, Conversions: 3}})
	require.True(t, ok)
	_, err := response.Allocate(100, 1, []response.Share{{Curve: &curve, Min: 60, Max: 80}, {Curve: &curve, Min: 60, Max: 80}})
	require.Equal(t, fault.Invalid, fault.CodeOf(err))
	require.ErrorContains(t, err, "minimums, which sum to 120")
	_, err = response.Allocate(200, 1, []response.Share{{Curve: &curve, Min: 60, Max: 80}, {Curve: &curve, Min: 60, Max: 80}})
	require.ErrorContains(t, err, "maximums allow, which sum to 160")
	amounts, err := response.Allocate(1_000_000_000_000_000, 30, []response.Share{{Curve: &curve, Max: math.MaxInt64}, {Curve: &curve, Max: math.MaxInt64}})
	require.NoError(t, err)
	require.Equal(t, int64(1_000_000_000_000_000), amounts[0]+amounts[1])
	require.InEpsilon(t, amounts[0], amounts[1], 1e-6, "equals get the same")
}
