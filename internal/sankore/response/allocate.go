package response

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/sankore/estimate"
)

// Share is a campaign that a budget is shared out to. Min and Max bound what it
// gets of the whole budget, in minor units, 0 <= Min <= Max.
type Share struct {
	Curve    *Curve // of a day, spend in minor units
	Min, Max int64
}

// Allocate shares total minor units, spent evenly over days, out among the
// campaigns so that their expected conversions are the most they can be. The
// amounts sum to total. An error is Invalid: the limits do not allow total.
func Allocate(total int64, days int, shares []Share) ([]int64, error) {
	var least, most int64
	for _, s := range shares {
		least += s.Min
		most += min(s.Max, total) // so that no sum of limits overflows
	}
	switch {
	case least > total:
		return nil, fault.At("body.total_minor", total, "is less than the campaigns' minimums, which sum to %d", least)
	case most < total:
		return nil, fault.At("body.total_minor", total, "is more than the campaigns' maximums allow, which sum to %d", most)
	}
	low, high := meeting(total, days, shares)
	return round(total, between(total, low, high), shares), nil
}

// meeting returns the amounts at two marginal returns that are as near as floats
// can be, low of which spends at most total and high at least.
func meeting(total int64, days int, shares []Share) (low, high []float64) {
	top := 0.0
	for _, s := range shares {
		top = max(top, s.Curve.Marginal(0))
	}
	// At a marginal return above top nobody gets more than the minimum, at 0
	// everybody the maximum. The logarithm is bisected: returns span magnitudes.
	from, to := math.Log(top)-60, math.Log(top)+1
	low, high = at(to, total, days, shares), at(from, total, days, shares)
	const halvings = 100
	for range halvings {
		middle := (from + to) / 2
		if middle <= from || middle >= to {
			break
		}
		amounts := at(middle, total, days, shares)
		if sum(amounts) <= float64(total) {
			to, low = middle, amounts
		} else {
			from, high = middle, amounts
		}
	}
	return low, high
}

// at returns what each campaign gets when spend flows until its marginal return
// falls to exp(logReturn).
func at(logReturn float64, total int64, days int, shares []Share) []float64 {
	wanted := math.Exp(logReturn)
	amounts := make([]float64, len(shares))
	for i, s := range shares {
		low, high := float64(s.Min), float64(min(s.Max, total))
		marginal := func(amount float64) float64 { return s.Curve.Marginal(amount / float64(days)) }
		switch {
		case marginal(low) <= wanted:
			amounts[i] = low
			continue
		case marginal(high) >= wanted:
			amounts[i] = high
			continue
		}
		for high-low > 1e-3 { // of a minor unit
			middle := (low + high) / 2
			if middle <= low || middle >= high {
				break
			}
			if marginal(middle) > wanted {
				low = middle
			} else {
				high = middle
			}
		}
		amounts[i] = low
	}
	return amounts
}

func sum(amounts []float64) (total float64) {
	for _, amount := range amounts {
		total += amount
	}
	return total
}

// between mixes two allocations of one marginal return so that they sum to total.
func between(total int64, low, high []float64) []float64 {
	from, to := sum(low), sum(high)
	share := 0.0
	if to > from {
		share = min(1, max(0, (float64(total)-from)/(to-from)))
	}
	mixed := make([]float64, len(low))
	for i := range mixed {
		mixed[i] = low[i] + share*(high[i]-low[i])
	}
	return mixed
}

// round makes whole minor units that sum to total, inside the limits: the largest
// fractions are rounded up, and what floats have lost goes where there is room.
func round(total int64, amounts []float64, shares []Share) []int64 {
	whole := make([]int64, len(amounts))
	order := make([]int, len(amounts))
	left := total
	for i, amount := range amounts {
		whole[i] = min(max(int64(amount), shares[i].Min), shares[i].Max)
		left -= whole[i]
		order[i] = i
	}
	fraction := func(i int) float64 { return amounts[i] - math.Floor(amounts[i]) }
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case fraction(a) > fraction(b):
			return -1
		case fraction(a) < fraction(b):
			return 1
		}
		return 0
	})
	for left != 0 {
		step := left / int64(len(order))
		for _, i := range order {
			move := step
			if move == 0 {
				move = min(1, max(-1, left))
			}
			move = min(max(whole[i]+move, shares[i].Min), shares[i].Max) - whole[i]
			whole[i] += move
			left -= move
			if left == 0 {
				break
			}
		}
	}
	return whole
}

// Outcome is what an allocation is expected to earn over its days.
type Outcome struct {
	Conversions estimate.Interval
	// Gain is how many more that is than another allocation earns.
	Gain estimate.Interval
	// Better is the probability that it earns more.
	Better float64
}

// draws is how many possible worlds an outcome is computed in.
const draws = 2000

// Compare returns what an allocation earns over days, and how much more than
// another, with 95 % credible intervals. Both are tried in the same possible
// worlds, whose seed is fixed.
func Compare(days int, shares []Share, amounts, others []int64) Outcome {
	random := rand.New(rand.NewPCG(0x616c6c6f63617465, 1)) //nolint:gosec // statistics, not secrets
	earned, gains := make([]float64, draws), make([]float64, draws)
	better := 0
	n := float64(days)
	for k := range draws {
		off := common(random, shares)
		for i, s := range shares {
			curve := s.Curve.draw(random, off)
			with, without := n*curve(float64(amounts[i])/n), n*curve(float64(others[i])/n)
			earned[k] += with
			gains[k] += with - without
		}
		if gains[k] > 0 {
			better++
		}
	}
	expected, gained := 0.0, 0.0
	for i, s := range shares {
		with, without := n*s.Curve.Mean(float64(amounts[i])/n), n*s.Curve.Mean(float64(others[i])/n)
		expected += with
		gained += with - without
	}
	return Outcome{Conversions: interval(expected, earned), Gain: interval(gained, gains), Better: float64(better) / draws}
}

func interval(value float64, drawn []float64) estimate.Interval {
	slices.Sort(drawn)
	return estimate.Interval{
		Value: value, Low: min(value, drawn[len(drawn)*25/1000]), High: max(value, drawn[len(drawn)*975/1000]),
	}
}
