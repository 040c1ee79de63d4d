// Package money counts in integer minor units (cents) of an ISO 4217 currency.
// No value passes through a floating-point number: decimals are read digit by
// digit, and shares are computed on exact rationals.
package money
