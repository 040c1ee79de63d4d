package estimate

import (
	"math"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat/distuv"
)

// Deviation is a day that is unlike the others.
type Deviation struct {
	Date     time.Time
	Value    float64
	Expected float64
	// Score is how many robust standard deviations the value is above what was
	// expected, below 0 for below.
	Score float64
}

// Threshold is the score from which a day is unlike the others: that of Iglewicz
// and Hoaglin, How to Detect and Handle Outliers (1993), for scores by median and
// median absolute deviation.
const Threshold = 3.5

const (
	// MinAnomalyDays is how many days tell what is usual: four of every weekday,
	// so that each can be compared with three others, whose median one more
	// unusual day does not move. With two, half the fits are exact and the days
	// that are left look unlike the others.
	MinAnomalyDays = 28
	// halfWindow on both sides makes three whole weeks, in which every weekday
	// stands three times.
	halfWindow = 10
	// minOfWeekday is how many others of a weekday tell what is usual for it.
	minOfWeekday = 3
	// madToDeviation makes a median absolute deviation a normal standard deviation.
	madToDeviation = 1.4826
	// leastSpread of an amount of money, relative: a campaign that spends its
	// budget to the cent each day is not unlike itself when it spends 2 % more.
	leastSpread = 0.05
)

// scale is where a metric's days are compared.
type scale struct {
	to, from func(float64) float64
	// noise is the standard deviation that counting alone causes, at the
	// expected value, on this scale.
	noise func(day int, expected float64) float64
	// luck is what a day's own luck, relative, is multiplied with on this scale.
	luck func(expected float64) float64
}

func alike(float64) float64 { return 1 }

// Counts finds the days whose count is unlike the others', on the scale of
// Anscombe's transform, on which a Poisson count has variance 1.
func Counts(dates []time.Time, counts []float64) []Deviation {
	return deviations(dates, counts, scale{
		to:    func(x float64) float64 { return 2 * math.Sqrt(x+3.0/8) },
		from:  func(y float64) float64 { return max(0, y*y/4-3.0/8) },
		noise: func(int, float64) float64 { return 1 },
		luck:  func(expected float64) float64 { return max(0, expected) / 2 }, // y/2 is the count's square root
	})
}

// Amounts finds the days whose amount of money is unlike the others', on the
// scale of logarithms.
func Amounts(dates []time.Time, amounts []float64) []Deviation {
	return deviations(dates, amounts, scale{
		to: math.Log1p, from: math.Expm1,
		noise: func(int, float64) float64 { return leastSpread },
		luck:  alike,
	})
}

// Ratios finds the days whose ratio is unlike the others', numerators[i] over
// denominators[i], on the scale of logarithms. counts[i] is how often what is
// rare of the two happened, on which the ratio's noise depends. Days with fewer
// than 5 tell nothing and are left out.
func Ratios(dates []time.Time, numerators, denominators, counts []float64) []Deviation {
	const fewest = 5
	var kept []time.Time
	var ratios, of []float64
	for i := range dates {
		if counts[i] >= fewest && numerators[i] > 0 && denominators[i] > 0 {
			kept, ratios, of = append(kept, dates[i]), append(ratios, numerators[i]/denominators[i]), append(of, counts[i])
		}
	}
	return deviations(kept, ratios, scale{
		to: math.Log, from: math.Exp,
		noise: func(day int, _ float64) float64 { return max(leastSpread, 1/math.Sqrt(of[day])) },
		luck:  alike,
	})
}

// deviations compares each day with the median of the weeks around it, plus what
// is usual for its weekday, both without the day itself: what is left is an error
// of prediction. (Had the day a part in its own prediction, the spread of what is
// left would be too small, and a third of the weekdays' medians would be the days
// themselves.) Medians throughout: the days that are looked for must not move what
// the others are compared with.
func deviations(dates []time.Time, values []float64, s scale) []Deviation {
	if len(dates) < MinAnomalyDays {
		return nil
	}
	y, levels, flat := make([]float64, len(values)), make([]float64, len(values)), make([]float64, len(values))
	for i, value := range values {
		y[i] = s.to(value)
	}
	for i := range y {
		levels[i] = around(dates, y, i)
		flat[i] = y[i] - levels[i]
	}
	// What is usual of a weekday is taken out before the level is: a window holds
	// not always as many weekends.
	calm := make([]float64, len(y))
	for i := range y {
		usual, _ := ofWeekday(dates, flat, i)
		calm[i] = y[i] - usual
	}
	var tested []int
	var rest, noise, luck, expected []float64
	for i := range y {
		usual, ok := ofWeekday(dates, flat, i)
		if !ok {
			continue
		}
		e := around(dates, calm, i) + usual
		tested, rest, expected = append(tested, i), append(rest, y[i]-e), append(expected, e)
		noise, luck = append(noise, s.noise(i, e)), append(luck, s.luck(e))
	}
	if len(tested) < minOfWeekday*7 {
		return nil
	}
	var found []Deviation
	for k, spread := range spreads(rest, noise, luck) {
		if score := rest[k] / spread; math.Abs(score) >= Threshold {
			i := tested[k]
			found = append(found, Deviation{Date: dates[i], Value: values[i], Expected: s.from(expected[k]), Score: score})
		}
	}
	return found
}

// spreads returns how far each day is usually off: its noise and its luck, which
// is of one size for all days, so that the median day is as far off as that of a
// normal distribution. A quiet Sunday has more noise and, in counts, less luck than a
// Monday: with one spread for both, an outage on a Sunday would be overlooked.
//
// The whole is raised, so that [Threshold] is passed as rarely as by a normal
// deviate, because it is itself an estimate: a median absolute deviation tells as
// much as a standard deviation of 0.37 as many values (Huber, Robust Statistics,
// section 5.1).
func spreads(rest, noise, luck []float64) []float64 {
	at := func(size float64) []float64 {
		list := make([]float64, len(rest))
		for i := range list {
			list[i] = math.Hypot(noise[i], size*luck[i])
		}
		return list
	}
	tooSmall := func(list []float64) bool {
		off := make([]float64, len(rest))
		for i := range off {
			off[i] = math.Abs(rest[i]) / list[i]
		}
		return madToDeviation*median(off) > 1
	}
	low, high := 0.0, 0.0
	for i := range rest {
		if luck[i] > 0 {
			high = max(high, 2*math.Abs(rest[i])/luck[i])
		}
	}
	const halvings = 40
	for range halvings {
		if middle := (low + high) / 2; tooSmall(at(middle)) {
			low = middle
		} else {
			high = middle
		}
	}
	list := at(low)
	const efficiency = 0.37
	t := distuv.StudentsT{Sigma: 1, Nu: efficiency * float64(len(rest))}.Quantile(distuv.UnitNormal.CDF(Threshold))
	for i := range list {
		list[i] *= t / Threshold
	}
	return list
}

// ofWeekday returns the median of what the others of day i's weekday are off; false
// when they are too few.
func ofWeekday(dates []time.Time, off []float64, i int) (usual float64, ok bool) {
	var others []float64
	for j := range off {
		if j != i && dates[j].Weekday() == dates[i].Weekday() {
			others = append(others, off[j])
		}
	}
	if len(others) < minOfWeekday {
		return 0, false
	}
	return median(others), true
}

// around returns the median of the days around day i, itself left out.
func around(dates []time.Time, y []float64, i int) float64 {
	var near []float64
	for j := range y {
		if off := dates[j].Sub(dates[i]).Abs(); j != i && off <= halfWindow*24*time.Hour {
			near = append(near, y[j])
		}
	}
	if len(near) == 0 {
		return y[i] // nothing to compare it with
	}
	return median(near)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
