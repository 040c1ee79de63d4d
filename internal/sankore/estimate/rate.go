package estimate

import (
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

// priorDays is how many days' worth of belief in a dispersion of 1 a campaign
// starts with: a few days cannot tell otherwise.
const priorDays = 1

// Dispersion returns how many times more the days vary than counting alone
// explains, at least 1. binomial says that a count is at most its exposure.
//
// The residuals are squared as they are rather than each over its own variance:
// that is the variance of a ratio of sums (Cochran, Sampling Techniques, 3rd ed.,
// section 6.3), right also when large days are the unsteady ones. It is raised by
// what Student's t exceeds the normal distribution, because it is an estimate.
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
	squares, n := 0.0, 0.0
	for _, d := range days {
		if d.Exposure > 0 {
			off := d.Count - d.Exposure*rate
			squares += off * off
			n++
		}
	}
	if variance <= 0 || n < 2 {
		return 1
	}
	found := squares / (exposure * variance) * n / (n - 1)
	dispersion := (priorDays + (n-1)*found) / (priorDays + n - 1)
	t := distuv.StudentsT{Sigma: 1, Nu: priorDays + n - 1}.Quantile(highQuantile)
	return max(1, dispersion*t*t/(z*z))
}

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
