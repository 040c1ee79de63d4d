// Package response fits how a campaign's conversions answer to its spend, and
// shares a budget out among campaigns by it. Everything is a pure function of
// its arguments.
//
// # The curve
//
// A day's expected conversions are V·g(s) for a spend of s, where g saturates:
// g(s) = s·(m+K) / (m·(s+K)), with m the campaign's mean spend, so that V is what
// it earns at m. This is Hill's curve with exponent 1 (Michaelis and Menten's),
// the simplest that is linear for K → ∞ and flat for K → 0. Its elasticity at m,
// e = K/(K+m), is the part of the average return that one more unit of spend
// brings; 1-e is the saturation.
//
// Campaigns have little data and little variation of spend, so the fit is
// Bayesian: e is uniform in (0,1) before the data, V has Jeffreys' prior, and
// counts are Poisson, tempered by how much more the days vary (see evidence). Given e,
// V's posterior is a Gamma in closed form, so a grid over e is the exact posterior:
// no chain, no seed, no start values. Each weekday has a factor of its own, so that
// quiet Sundays with less spend are not taken for an answer to spend.
//
// The curves of one allocation then learn from each other (see [Pool]): of many
// campaigns with few conversions, the best are those that were lucky.
//
// # The allocation
//
// The posterior mean of concave curves is concave, so the budget that maximises
// expected conversions gives each campaign spend until its mean marginal return is
// the same as the others', or a limit holds (the Karush-Kuhn-Tucker conditions;
// Boyd and Vandenberghe, Convex Optimization, section 5.5.3). That is solved by
// bisection on the common marginal return.
//
// # What it cannot know
//
// Spend was not chosen at random: an advertiser spends more when demand is high,
// which looks like an answer to spend. Beyond the highest spend seen, the curve
// extrapolates. An answer says where it does.
package response
