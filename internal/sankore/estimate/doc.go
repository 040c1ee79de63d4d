// Package estimate says what an advertising campaign's daily figures tell, and
// how surely: rates and costs with 95 % credible intervals, trends, and days
// that are unlike the others. Everything is a pure function of its arguments,
// random draws included: they start from a fixed seed.
//
// # Rates and costs
//
// Clicks of impressions are binomial, with Jeffreys' prior Beta(1/2, 1/2);
// conversions and clicks for money are Poisson, with Jeffreys' prior
// Gamma(1/2, 0) for the rate (Gelman et al., Bayesian Data Analysis, 3rd ed.,
// sections 2.4, 2.6 and 2.8). At the edges, where nothing or everything
// happened, the interval reaches the edge (Brown, Cai and DasGupta, "Interval
// Estimation for a Binomial Proportion", Statistical Science 16, 2001).
//
// Days differ by more than chance: weekdays, news, auctions. Taking the sums for
// one big sample would make the intervals far too narrow. So every posterior is
// tempered by the dispersion between the days, as in quasi-likelihood (McCullagh
// and Nelder, Generalized Linear Models, 2nd ed., section 4.5): twice the expected
// variance counts as half the evidence. See [Dispersion]. Simulations in the tests
// hold the intervals to covering the truth in 92 to 98 of 100 campaigns, and in 88
// or more where good days follow good days.
//
// A value is what was observed, so that it agrees with what the platform shows;
// the interval is the posterior's.
package estimate
