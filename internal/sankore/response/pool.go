package response

import (
	"math"
	"slices"
)

// alikeness is how near campaigns' returns are tried to be to each other, as the
// shape of the Gamma distribution that the returns are drawn from: from campaigns
// of which one earns many times what another does, to campaigns that are alike.
var alikeness = []float64{0.5, 0.7, 1, 1.4, 2, 2.8, 4, 5.7, 8, 11, 16, 23, 32, 45, 64, 90}

// Pool has curves that were fitted one by one learn from each other, for a
// comparison between them: of twenty campaigns with two conversions each, the best
// looks four times as good as the worst by luck alone, and money would follow the
// luck. Conversions for each unit of spend, at the mean spend, are a draw from a
// Gamma distribution that the campaigns share; its mean and shape are estimated
// from all of them (the empirical Bayes of a Poisson-Gamma model; Gelman et al.,
// sections 2.7 and 5.1), the shape as the mean of its logarithm's posterior, which
// is flat before. A campaign with many conversions hardly moves.
//
// Nothing can be learned from a single campaign, nor of none that earned anything.
func Pool(curves []*Curve) {
	earned := make([]float64, len(curves)) // conversions, by their worth as evidence
	spent := make([]float64, len(curves))  // what they were earned with, likewise
	total := 0.0
	for i, c := range curves {
		earned[i], spent[i] = c.counted, c.exposure()*c.MeanSpend
		total += earned[i]
	}
	if len(curves) < 2 || total <= 0 {
		return
	}
	logs, means := make([]float64, len(alikeness)), make([]float64, len(alikeness))
	for k, shape := range alikeness {
		means[k], _ = pooledMean(earned, spent, shape)
		for i := range curves {
			logs[k] += marginal(earned[i], spent[i], shape, means[k])
		}
	}
	most, sum, logShape := slices.Max(logs), 0.0, 0.0
	for k, log := range logs {
		weight := math.Exp(log - most)
		sum += weight
		logShape += weight * math.Log(alikeness[k])
	}
	shape := math.Exp(logShape / sum)
	mean, sureness := pooledMean(earned, spent, shape)
	for _, c := range curves {
		c.learn(shape, mean, sureness)
	}
}

// pooledMean returns the campaigns' mean return when they differ by shape, each
// weighed by how well it tells it, and what that is worth in conversions.
func pooledMean(earned, spent []float64, shape float64) (mean, sureness float64) {
	all, of := 0.0, 0.0
	for i := range earned {
		all += earned[i]
		of += spent[i]
	}
	mean = all / of
	const rounds = 5
	for range rounds {
		sum := 0.0
		sureness = 0
		for i := range earned {
			weight := 1 / (1/(mean*spent[i]) + 1/shape)
			sum += weight * earned[i] / spent[i]
			sureness += weight
		}
		mean = sum / sureness
	}
	return mean, sureness
}

// marginal is the log probability of what a campaign earned, but for what does not
// depend on shape and mean: the negative binomial's.
func marginal(earned, spent, shape, mean float64) float64 {
	with, _ := math.Lgamma(earned + shape)
	without, _ := math.Lgamma(shape)
	rate := shape / mean
	return with - without + shape*math.Log(rate) - (earned+shape)*math.Log(rate+spent)
}

// exposure is the mean of what V is multiplied with to give the conversions.
func (c *Curve) exposure() (mean float64) {
	for j, weight := range c.weights {
		mean += weight * c.rates[j]
	}
	return mean
}

// learn replaces V's prior by what other campaigns say.
func (c *Curve) learn(shape, mean, sureness float64) {
	rate := shape / (mean * c.MeanSpend)
	c.shape, c.pooled, c.sureness = c.counted+shape, rate, sureness
	logs := c.logs
	for j := range logs {
		logs[j] -= c.shape * math.Log(c.rates[j]+rate)
		c.rates[j] += rate
	}
	c.weigh(logs)
}
