package response

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/engardehq/madansara/internal/sankore/estimate"
)

// Day is what a campaign spent and earned on a day. Spend is in any unit, the
// same throughout.
type Day struct {
	Date               time.Time // midnight UTC
	Spend, Conversions float64
}

// gridSize is how many elasticities are tried: steps of 1/60 are far finer than
// any campaign's data.
const gridSize = 60

// Curve is what is known of how conversions answer to spend.
type Curve struct {
	// MeanSpend and MaxSpend are a day's, of the days with spend.
	MeanSpend, MaxSpend float64
	Days                int // with spend

	weights [gridSize]float64 // posterior probability of each elasticity
	shape   float64           // of V's Gamma posterior, whatever the elasticity
	rates   [gridSize]float64 // and its rate

	counted float64           // conversions, by their worth as evidence
	logs    [gridSize]float64 // of the likelihood but for the level's part
	// Of a curve that learned from others (see Pool): its prior's part in rates, and
	// what the others' mean is worth in conversions.
	pooled, sureness float64
}

func elasticity(j int) float64 { return (float64(j) + 0.5) / gridSize }

// shapeAt returns g(s) at the elasticity j, for a spend in units of the mean.
func shapeAt(j int, spend float64) float64 {
	e := elasticity(j)
	half := e / (1 - e) // K over the mean spend
	return spend * (1 + half) / (spend + half)
}

// slopeAt returns the derivative of shapeAt.
func slopeAt(j int, spend float64) float64 {
	e := elasticity(j)
	half := e / (1 - e)
	return half * (1 + half) / ((spend + half) * (spend + half))
}

// Fit fits a curve; false when no day has spend. A campaign without conversions
// has a curve too: a low one.
func Fit(days []Day) (Curve, bool) {
	var c Curve
	used := make([]Day, 0, len(days))
	total := 0.0
	for _, d := range days {
		if d.Spend > 0 {
			used = append(used, d)
			total += d.Spend
			c.MaxSpend = max(c.MaxSpend, d.Spend)
		}
	}
	if len(used) == 0 {
		return Curve{}, false
	}
	c.Days, c.MeanSpend = len(used), total/float64(len(used))
	weekday := [7]float64{1, 1, 1, 1, 1, 1, 1}
	evidence := make([]float64, len(used))
	for i := range evidence {
		evidence[i] = 1
	}
	c.update(used, weekday, evidence)
	// The weekdays' factors, what a day's evidence is worth and the curve depend on
	// each other; a few rounds settle them to well within what either is known.
	const rounds = 3
	for range rounds {
		weekday = c.weekdays(used)
		evidence = c.evidence(used, weekday)
		c.update(used, weekday, evidence)
	}
	return c, true
}

// update computes the posterior under given weekday factors and worths of the
// days' evidence.
func (c *Curve) update(days []Day, weekday [7]float64, evidence []float64) {
	conversions, prior := 0.0, 0.0
	for i, d := range days {
		conversions += evidence[i] * d.Conversions
		prior += 0.5 * evidence[i] / float64(len(days))
	}
	c.counted, c.shape = conversions, prior+conversions
	var logs [gridSize]float64
	for j := range gridSize {
		exposure, log := 0.0, 0.0
		for i, d := range days {
			g := shapeAt(j, d.Spend/c.MeanSpend)
			exposure += evidence[i] * g * weekday[d.Date.Weekday()]
			log += evidence[i] * d.Conversions * math.Log(g)
		}
		c.rates[j], c.logs[j] = exposure, log
		logs[j] = log - c.shape*math.Log(exposure)
	}
	c.weigh(logs)
}

// weigh sets the elasticities' probabilities to what is proportional to exp(logs).
func (c *Curve) weigh(logs [gridSize]float64) {
	most, sum := slices.Max(logs[:]), 0.0
	for j, log := range logs {
		c.weights[j] = math.Exp(log - most)
		sum += c.weights[j]
	}
	for j := range c.weights {
		c.weights[j] /= sum
	}
}

// weekdayStrength is how many conversions' worth of belief in a weekday like the
// others a campaign starts with: before the data, a factor is within 2.7 of 1.
const weekdayStrength = 4

// weekdays estimates each weekday's factor, with a spend-weighted mean of 1.
func (c *Curve) weekdays(days []Day) (factors [7]float64) {
	var earned, expected [7]float64
	for _, d := range days {
		k := d.Date.Weekday()
		earned[k] += d.Conversions
		expected[k] += c.Mean(d.Spend)
	}
	sum, weight := 0.0, 0.0
	for k := range factors {
		factors[k] = (earned[k] + weekdayStrength) / (expected[k] + weekdayStrength)
		sum += factors[k] * expected[k]
		weight += expected[k]
	}
	if sum > 0 {
		for k := range factors {
			factors[k] *= weight / sum
		}
	}
	return factors
}

// evidence returns what each day's count is worth, at most 1. A day varies by
// counting and by its own luck, which multiplies: the variance of a mean of x is
// x + t·x², as the negative binomial's, and quasi-likelihood weighs its evidence
// by x over that. t is found by moments, and raised as in estimate.Dispersion.
func (c *Curve) evidence(days []Day, weekday [7]float64) []float64 {
	const fitted = 5 // a level, a curve, and weekdays that are held by their prior
	n := float64(len(days))
	residuals, means, squares := 0.0, 0.0, 0.0
	expected := make([]float64, len(days))
	for i, d := range days {
		x := c.Mean(d.Spend) * weekday[d.Date.Weekday()]
		expected[i] = x
		residuals += (d.Conversions - x) * (d.Conversions - x)
		means += x
		squares += x * x
	}
	residuals *= n / max(n-fitted, 1)
	luck := max(0, (residuals-means)/squares)
	t := distuv.StudentsT{Sigma: 1, Nu: max(n-fitted, 3)}.Quantile(0.975) / 1.959964
	worth := make([]float64, len(days))
	for i, x := range expected {
		worth[i] = 1 / ((1 + luck*x) * t * t)
	}
	return worth
}

// Mean returns the expected conversions of a day with that spend.
func (c *Curve) Mean(spend float64) float64 {
	mean := 0.0
	for j, weight := range c.weights {
		mean += weight * c.shape / c.rates[j] * shapeAt(j, spend/c.MeanSpend)
	}
	return mean
}

// Marginal returns the expected conversions that one more unit of spend brings
// on a day with that spend. It falls as spend grows.
func (c *Curve) Marginal(spend float64) float64 {
	marginal := 0.0
	for j, weight := range c.weights {
		marginal += weight * c.shape / c.rates[j] * slopeAt(j, spend/c.MeanSpend) / c.MeanSpend
	}
	return marginal
}

// Saturation estimates the part of the average return that one more unit of
// spend, at the mean spend, does not bring. False when the data has hardly moved
// what was believed before it.
func (c *Curve) Saturation() (estimate.Interval, bool) {
	const before = 0.95 // the width of the interval that the uniform prior has
	mean, low, high, sum := 0.0, 0.0, 1.0, 0.0
	for j, weight := range c.weights {
		mean += weight * elasticity(j)
		if sum < 0.025 && sum+weight >= 0.025 {
			low = (float64(j) + (0.025-sum)/weight) / gridSize
		}
		if sum < 0.975 && sum+weight >= 0.975 {
			high = (float64(j) + (0.975-sum)/weight) / gridSize
		}
		sum += weight
	}
	const moved = 0.85
	told := high-low < moved*before
	// An interval reaches an edge that is among the likeliest 95 %, as that of a
	// proportion does at 0: a campaign that loses nothing must not be said to.
	if c.likelier(0) < before {
		low = 0
	}
	if c.likelier(gridSize-1) < before {
		high = 1
	}
	return estimate.Interval{Value: 1 - mean, Low: 1 - high, High: 1 - low}, told
}

// likelier is the probability of all elasticities that are likelier than one.
func (c *Curve) likelier(than int) (mass float64) {
	for _, weight := range c.weights {
		if weight > c.weights[than] {
			mass += weight
		}
	}
	return mass
}

// common draws by how much the mean that the curves learned from each other may be
// wrong, for all of them at once; 1 when they did not.
func common(random *rand.Rand, curves []Share) float64 {
	sureness := 0.0
	for _, s := range curves {
		sureness = max(sureness, s.Curve.sureness)
	}
	if sureness == 0 {
		return 1
	}
	return distuv.Gamma{Alpha: sureness, Beta: sureness, Src: random}.Rand()
}

// draw returns one of the curves that may be the true one, where what it learned
// from others is off by that factor.
func (c *Curve) draw(random *rand.Rand, off float64) func(spend float64) float64 {
	at, j := random.Float64(), 0
	for ; j < gridSize-1 && at > c.weights[j]; j++ {
		at -= c.weights[j]
	}
	level := distuv.Gamma{Alpha: c.shape, Beta: c.rates[j] + c.pooled*(1/off-1), Src: random}.Rand()
	return func(spend float64) float64 { return level * shapeAt(j, spend/c.MeanSpend) }
}
