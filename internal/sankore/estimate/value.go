package estimate

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// DayValue is one day's conversions and spend with what the conversions were worth.
type DayValue struct {
	Day

	Value float64
}

// draws is how many times a posterior without a formula is sampled; quantiles of
// so many are off by about 0.3 % in probability.
const draws = 4000

// newRand returns draws that are the same for the same question.
func newRand() *rand.Rand {
	return rand.New(rand.NewPCG(0x5a6e6b6f7265, 0x656e6761726465)) //nolint:gosec // statistics, not secrets
}

// valuePrior is how many conversions' worth of belief in order values that
// spread as widely as their mean a campaign starts with (a coefficient of
// variation of 1, that of exponential values): a single order tells no spread.
const valuePrior = 1

// Return estimates the worth earned for each unit of exposure, the return on ad
// spend for instance; false without conversions, worth or exposure.
//
// It is the product of two independent posteriors: conversions for each unit of
// spend, as in [Cost], and the mean worth of a conversion. The latter has the
// conjugate scaled-inverse-chi-squared form for an unknown variance (Gelman et
// al., section 3.3), from the days' means, whose variance is that of one order
// over the day's orders; it is taken on the log scale, because a mean worth is
// not negative.
func Return(days []DayValue) (Interval, bool) {
	plain := make([]Day, len(days))
	worth := 0.0
	for i, d := range days {
		plain[i] = d.Day
		worth += d.Value
	}
	count, exposure := sums(plain)
	if count <= 0 || exposure <= 0 || worth <= 0 {
		return Interval{}, false
	}
	mean := worth / count
	squares, groups := 0.0, 0
	for _, d := range days {
		if d.Count > 0 {
			off := d.Value/d.Count - mean
			squares += d.Count * off * off
			groups++
		}
	}
	freedom := float64(valuePrior + groups - 1)
	variance := (valuePrior*mean*mean + squares) / freedom
	spread := math.Sqrt(math.Log1p(variance / count / (mean * mean))) // of the logarithm of the mean
	random := newRand()
	rate := posteriorRate(plain)
	rate.Src = random
	student := distuv.StudentsT{Mu: -spread * spread / 2, Sigma: spread, Nu: freedom, Src: random}
	products := make([]float64, draws)
	for i := range products {
		products[i] = rate.Rand() * mean * math.Exp(student.Rand())
	}
	slices.Sort(products)
	return holding(Interval{Value: worth / exposure, Low: quantile(products, lowQuantile), High: quantile(products, highQuantile)}), true
}

// quantile of sorted values.
func quantile(sorted []float64, p float64) float64 {
	at := p * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}
