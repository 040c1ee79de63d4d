package money

import (
	"math"
	"math/big"
	"slices"
)

// Apportion splits total minor units over weights by the largest-remainder
// method (Hamilton's). The shares sum to total exactly, and each differs from
// total*weight/sum(weights) by less than one unit. Equal remainders favour the
// earlier weight, so the result is deterministic.
//
// Weights need not sum to 1. A weight that is negative or not finite counts as
// 0; when all are 0, total is split evenly. A negative total is split like its
// absolute value. Without weights there is nobody to give total to: nil.
func Apportion(total int64, weights []float64) []int64 {
	if len(weights) == 0 {
		return nil
	}
	units, sum := exactUnits(weights)
	magnitude := new(big.Int).Abs(big.NewInt(total))
	shares := make([]*big.Int, len(units))
	remainders := make([]*big.Int, len(units))
	left := new(big.Int).Set(magnitude)
	for i, unit := range units {
		shares[i], remainders[i] = new(big.Int).QuoRem(new(big.Int).Mul(magnitude, unit), sum, new(big.Int))
		left.Sub(left, shares[i])
	}
	order := make([]int, len(units))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return remainders[b].Cmp(remainders[a]) })
	// Fewer than len(units) are left: each share lost less than one to its floor.
	for _, i := range order[:left.Int64()] {
		shares[i].Add(shares[i], big.NewInt(1))
	}
	result := make([]int64, len(shares))
	for i, share := range shares {
		if total < 0 {
			share.Neg(share)
		}
		result[i] = share.Int64()
	}
	return result
}

// exactUnits returns integers in the exact proportion of weights, and their sum,
// which is positive.
func exactUnits(weights []float64) (units []*big.Int, sum *big.Int) {
	units = make([]*big.Int, len(weights))
	mantissas, powers := make([]int64, len(weights)), make([]int, len(weights))
	least := math.MaxInt
	for i, weight := range weights {
		if !(weight > 0) || math.IsInf(weight, 1) { // the negation catches NaN too
			continue
		}
		fraction, power := math.Frexp(weight)
		mantissas[i], powers[i] = int64(math.Ldexp(fraction, 53)), power
		least = min(least, power)
	}
	sum = new(big.Int)
	for i, mantissa := range mantissas {
		units[i] = big.NewInt(mantissa)
		switch {
		case least == math.MaxInt: // no weight at all
			units[i].SetInt64(1)
		case mantissa != 0:
			units[i].Lsh(units[i], uint(powers[i]-least)) // never negative: least is the least
		}
		sum.Add(sum, units[i])
	}
	return units, sum
}
