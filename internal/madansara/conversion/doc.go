// Package conversion records conversions (a purchase, a sign-up), reports them,
// and tells a customer's journey to them.
//
// The order's own number is the key of a conversion: the same order reported by
// the browser and by the shop's server is one. A job commits with each new
// conversion and attributes it (package attribution).
package conversion
