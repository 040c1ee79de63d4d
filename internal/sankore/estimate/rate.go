package estimate

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Interval is a value with its 95 % credible interval.
type Interval struct {
	Value, Low, High float64
}

// The quantiles that leave out 5 %.
const (
	lowQuantile  = 0.025
	highQuantile = 0.975
)

// Day is one day's count and what it came of: clicks of impressions, conversions
// of money spent. Exposure is not negative.
type Day struct {
	Count, Exposure float64
}

func sums(days []Day) (count, exposure float64) {
	for _, d := range days {
		count += d.Count
		exposure += d.Exposure
	}
	return count, exposure
}

// What a campaign starts with, which a few days cannot correct: priorDays' worth of
// belief that days differ by usualVariation, relative, beside what counting does.
const (
	priorDays      = 1
	usualVariation = 0.3
)

// Dispersion returns how many times more the days vary than counting alone
// explains, at least 1. binomial says that a count is at most its exposure. Days
// are in order.
//
// The residuals are squared as they are rather than each over its own variance:
// that is the variance of a ratio of sums (Cochran, Sampling Techniques, 3rd ed.,
// section 6.3), right also when large days are the unsteady ones. It is raised by
// what days that resemble the day before take away (see persistence), and by what
// Student's t exceeds the normal distribution, because it is an estimate.
func Dispersion(days []Day, binomial bool) float64 {
	count, exposure := sums(days)
	if count <= 0 || exposure <= 0 {
		return 1
	}
	rate := count / exposure
	variance := rate
	if binomial {
		variance = rate * (1 - rate)
	}
	if variance <= 0 {
		return 1
	}
	squares := 0.0
	var residuals []float64
	for _, d := range days {
		if d.Exposure > 0 {
			off := d.Count - d.Exposure*rate
			squares += off * off
			residuals = append(residuals, off)
		}
	}
	n := float64(len(residuals))
	before := 1 + usualVariation*usualVariation*count/n*rate/variance
	if n < 2 {
		return before
	}
	found := squares / (exposure * variance) * n / (n - 1)
	lasting := persistence(residuals, 1)
	dispersion := (priorDays*before + (n-1)*found*lasting) / (priorDays + n - 1)
	t := distuv.StudentsT{Sigma: 1, Nu: max(1, (priorDays+n-1)/lasting)}.Quantile(highQuantile)
	return max(1, dispersion*t*t/(z*z))
}

// persistence returns by how much the variance of a sum of days exceeds the sum
// of their variances, at least 1, when a good day follows a good one: (1+r)/(1-r)
// for an autocorrelation of r from a day to the next (Box, Jenkins and Reinsel,
// Time Series Analysis, 4th ed., section 2.1.5, the sum for a first-order
// process). r is corrected for the coefficients that were fitted to the same
// days, which push it down by about one over the days each, and taken for 0 below
// what chance gives one time in six.
func persistence(residuals []float64, fitted float64) float64 {
	n := float64(len(residuals))
	products, squares := 0.0, 0.0
	for i, off := range residuals {
		squares += off * off
		if i > 0 {
			products += off * residuals[i-1]
		}
	}
	if squares <= 0 || n < minPersistenceDays {
		return 1
	}
	r := products/squares + fitted/n
	if r < 1/math.Sqrt(n) {
		return 1
	}
	const most = 0.8 // beyond it two months tell no more than a week
	r = min(r, most)
	return (1 + r) / (1 - r)
}

// minPersistenceDays is from how many days their resemblance is looked for.
const minPersistenceDays = 14

// z is the normal distribution's highQuantile.
const z = 1.959964

// holding widens an interval to hold its value: where days differ so wildly that
// a handful of counts is worth less than one, the posterior is all but a spike.
func holding(i Interval) Interval {
	i.Low, i.High = min(i.Low, i.Value), max(i.High, i.Value)
	return i
}

// Proportion estimates the part of the exposures that counted, the click-through
// rate for instance; false without exposure. A day that counts more than it was
// exposed (a platform's late clicks) is taken for one that counted all.
func Proportion(days []Day) (Interval, bool) {
	clipped := make([]Day, len(days))
	for i, d := range days {
		clipped[i] = Day{min(d.Count, d.Exposure), d.Exposure}
	}
	count, exposure := sums(clipped)
	if exposure <= 0 {
		return Interval{}, false
	}
	dispersion := Dispersion(clipped, true)
	posterior := distuv.Beta{Alpha: (0.5 + count) / dispersion, Beta: (0.5 + exposure - count) / dispersion}
	estimate := Interval{Value: count / exposure, Low: posterior.Quantile(lowQuantile), High: posterior.Quantile(highQuantile)}
	if count == 0 {
		estimate.Low = 0
	}
	if count == exposure {
		estimate.High = 1
	}
	return holding(estimate), true
}

// Cost estimates the exposure that one count takes, the cost of a click or of a
// conversion for instance; false when nothing was counted or spent.
func Cost(days []Day) (Interval, bool) {
	count, exposure := sums(days)
	if count <= 0 || exposure <= 0 {
		return Interval{}, false
	}
	rate := posteriorRate(days)
	return holding(Interval{Value: exposure / count, Low: 1 / rate.Quantile(highQuantile), High: 1 / rate.Quantile(lowQuantile)}), true
}

// posteriorRate is what is known of the counts for one unit of exposure, which
// must not all be 0.
func posteriorRate(days []Day) distuv.Gamma {
	count, exposure := sums(days)
	dispersion := Dispersion(days, false)
	return distuv.Gamma{Alpha: (0.5 + count) / dispersion, Beta: exposure / dispersion}
}
