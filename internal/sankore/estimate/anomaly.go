package estimate

import (
	"math"
	"slices"
	"time"
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
	minAnomalyDays = 14
	// halfWindow on both sides makes three whole weeks, in which every weekday
	// stands three times.
	halfWindow = 10
	// minOfWeekday is how many of a weekday tell what is usual for it.
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
}

// Counts finds the days whose count is unlike the others', on the scale of
// Anscombe's transform, on which a Poisson count has variance 1.
func Counts(dates []time.Time, counts []float64) []Deviation {
	return deviations(dates, counts, scale{
		to:    func(x float64) float64 { return 2 * math.Sqrt(x+3.0/8) },
		from:  func(y float64) float64 { return max(0, y*y/4-3.0/8) },
		noise: func(int, float64) float64 { return 1 },
	})
}

// Amounts finds the days whose amount of money is unlike the others', on the
// scale of logarithms.
func Amounts(dates []time.Time, amounts []float64) []Deviation {
	return deviations(dates, amounts, scale{
		to: math.Log1p, from: math.Expm1,
		noise: func(int, float64) float64 { return leastSpread },
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
	})
}

// deviations compares each day with the median of the weeks around it, less what
// is usual for its weekday. Medians throughout: the days that are looked for
// must not move what they are compared with.
func deviations(dates []time.Time, values []float64, s scale) []Deviation {
	if len(dates) < minAnomalyDays {
		return nil
	}
	y := make([]float64, len(values))
	for i, value := range values {
		y[i] = s.to(value)
	}
	usual := weekdays(dates, y)
	flat := make([]float64, len(y))
	for i := range y {
		flat[i] = y[i] - usual[dates[i].Weekday()]
	}
	levels, rest := make([]float64, len(y)), make([]float64, len(y))
	for i := range y {
		levels[i] = around(dates, flat, i)
		rest[i] = flat[i] - levels[i]
	}
	// A level and seven weekdays were fitted to the same days, which makes what is
	// left smaller than it was.
	const fitted = 10
	n := float64(len(y))
	spread := madToDeviation * median(absolute(rest)) * math.Sqrt(n/max(n-fitted, fitted/2))
	var found []Deviation
	for i := range y {
		expected := levels[i] + usual[dates[i].Weekday()]
		score := rest[i] / max(spread, s.noise(i, expected))
		if math.Abs(score) >= Threshold {
			found = append(found, Deviation{Date: dates[i], Value: values[i], Expected: s.from(expected), Score: score})
		}
	}
	return found
}

// weekdays returns how far each weekday usually is from its weeks' level.
func weekdays(dates []time.Time, y []float64) [7]float64 {
	var of [7][]float64
	for i := range y {
		of[dates[i].Weekday()] = append(of[dates[i].Weekday()], y[i]-around(dates, y, i))
	}
	var usual [7]float64
	for k, offs := range of {
		if len(offs) >= minOfWeekday {
			usual[k] = median(offs)
		}
	}
	return usual
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

func absolute(values []float64) []float64 {
	list := make([]float64, len(values))
	for i, value := range values {
		list[i] = math.Abs(value)
	}
	return list
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
