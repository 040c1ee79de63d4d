// Package insight answers what the other services and agents ask about a customer:
// the journey, the value, the last touches, the preferred channel, the propensity
// to convert.
package insight
