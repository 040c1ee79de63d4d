package estimate

import (
	"math"
	"time"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Dated is a day's count of what it was exposed to. For a trend of the counts
// themselves Exposure is 1.
type Dated struct {
	Day

	Date time.Time // midnight UTC
}

// A trend asks for two of every weekday and enough events to move.
const (
	minTrendDays  = 14
	minTrendCount = 10
)

// Prior standard deviations on the log scale: a campaign's rate rarely changes by
// more than a tenth from one day to the next for weeks, and a weekday is rarely
// more than three times another.
const (
	priorSlope   = 0.05
	priorWeekday = 0.5
)

// Trend estimates the factor by which the rate of counting changes over a number
// of days, less 1: Trend(days, 1) is the relative change from a day to the next,
// Trend(days, 27) from the first to the last of four weeks. False when there are
// fewer than 14 days or 10 counts.
//
// It is a Poisson regression of the counts on the date with a factor for each
// weekday, exposure as offset, and normal priors; its posterior is approximated
// at its mode (Laplace), tempered by the dispersion of what the regression leaves
// unexplained (McCullagh and Nelder, chapter 6; Gelman et al., section 16.2).
func Trend(days []Dated, over float64) (Interval, bool) {
	usable := make([]Dated, 0, len(days))
	count := 0.0
	for _, d := range days {
		if d.Exposure > 0 {
			usable = append(usable, d)
			count += d.Count
		}
	}
	if len(usable) < minTrendDays || count < minTrendCount {
		return Interval{}, false
	}
	fit := newRegression(usable)
	if !fit.solve(1) {
		return Interval{}, false
	}
	dispersion, freedom := fit.dispersion()
	if dispersion > 1 && !fit.solve(dispersion) {
		return Interval{}, false
	}
	slope, deviation := fit.slope()
	t := distuv.StudentsT{Sigma: 1, Nu: freedom}.Quantile(highQuantile)
	factor := func(slope float64) float64 { return math.Expm1(slope * over) }
	return Interval{Value: factor(slope), Low: factor(slope - t*deviation), High: factor(slope + t*deviation)}, true
}

// The coefficients: an intercept, the slope for each day, the seven weekdays.
const (
	intercept    = 0
	slopeAt      = 1
	weekdayAt    = 2
	coefficients = weekdayAt + 7
)

// regression is log E[count] = log exposure + x·beta.
type regression struct {
	days  []Dated
	x     *mat.Dense // a row a day
	beta  *mat.VecDense
	prior [coefficients]float64 // precisions
	chol  mat.Cholesky          // of the posterior's precision
}

func newRegression(days []Dated) *regression {
	r := &regression{days: days, x: mat.NewDense(len(days), coefficients, nil), beta: mat.NewVecDense(coefficients, nil)}
	middle := 0.0
	for _, d := range days {
		middle += dayNumber(d.Date) / float64(len(days))
	}
	total, exposure := 0.0, 0.0
	for i, d := range days {
		r.x.Set(i, intercept, 1)
		r.x.Set(i, slopeAt, dayNumber(d.Date)-middle)
		r.x.Set(i, weekdayAt+int(d.Date.Weekday()), 1)
		total += d.Count
		exposure += d.Exposure
	}
	r.beta.SetVec(intercept, math.Log(total/exposure))
	r.prior[intercept] = 1e-4
	r.prior[slopeAt] = 1 / (priorSlope * priorSlope)
	for k := range 7 {
		r.prior[weekdayAt+k] = 1 / (priorWeekday * priorWeekday)
	}
	return r
}

func dayNumber(date time.Time) float64 { return float64(date.Unix() / (24 * 60 * 60)) }

func (r *regression) mean(i int) float64 {
	return r.days[i].Exposure * math.Exp(mat.Dot(r.x.RowView(i), r.beta))
}

// solve finds the posterior's mode by Newton's method; false when it does not
// converge, which the priors make next to impossible.
func (r *regression) solve(dispersion float64) bool {
	const most, small = 50, 1e-9
	for range most {
		gradient := mat.NewVecDense(coefficients, nil)
		precision := mat.NewSymDense(coefficients, nil)
		for k := range coefficients {
			precision.SetSym(k, k, r.prior[k])
			pull := r.beta.AtVec(k)
			if k == intercept {
				pull = 0
			}
			gradient.SetVec(k, -r.prior[k]*pull)
		}
		for i := range r.days {
			mean := r.mean(i) / dispersion
			row := r.x.RowView(i)
			gradient.AddScaledVec(gradient, r.days[i].Count/dispersion-mean, row)
			precision.SymRankOne(precision, mean, row)
		}
		if !r.chol.Factorize(precision) {
			return false
		}
		step := mat.NewVecDense(coefficients, nil)
		if err := r.chol.SolveVecTo(step, gradient); err != nil {
			return false
		}
		// A step that would overshoot is cut: the exponential grows fast.
		longest := mat.Norm(step, math.Inf(1))
		r.beta.AddScaledVec(r.beta, min(1, 2/max(longest, 1e-12)), step)
		if longest < small {
			return true
		}
	}
	return false
}

// dispersion returns Pearson's, at least 1, raised by the days' persistence, and the
// degrees of freedom left.
func (r *regression) dispersion() (value, freedom float64) {
	chi := 0.0
	residuals := make([]float64, len(r.days))
	for i, d := range r.days {
		mean := max(r.mean(i), 1e-9)
		residuals[i] = (d.Count - mean) / math.Sqrt(mean)
		chi += residuals[i] * residuals[i]
	}
	// The weekdays' priors leave them less than a full degree of freedom each;
	// taking it whole errs on the side of width.
	const used = coefficients - 1
	freedom = max(float64(len(r.days)-used), 3)
	lasting := persistence(residuals, 2)
	return max(1, lasting*(priorDays+chi)/(priorDays+freedom)), max(freedom/lasting, 3)
}

func (r *regression) slope() (value, deviation float64) {
	unit := mat.NewVecDense(coefficients, nil)
	unit.SetVec(slopeAt, 1)
	column := mat.NewVecDense(coefficients, nil)
	if err := r.chol.SolveVecTo(column, unit); err != nil {
		return r.beta.AtVec(slopeAt), math.Inf(1)
	}
	return r.beta.AtVec(slopeAt), math.Sqrt(column.AtVec(slopeAt))
}
