// Package intelligence tells how an advertising campaign fares: what it cost and
// earned with how much certainty, where it is heading, whether its spend keeps to
// its budget, on which days it was unlike itself, whether its ads tire and how
// much of the next unit of spend is lost to diminishing returns.
//
// What it earned is asked of Madan Sara, which attributes conversions to the
// visits that the campaign's links brought: platforms each claim a conversion for
// themselves, so that together they claim more than there were. When Madan Sara
// cannot be reached, or knows no visit of the campaign, the platform's own
// numbers take their place, and the answer says so and why.
package intelligence
