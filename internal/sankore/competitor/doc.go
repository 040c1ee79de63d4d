// Package competitor keeps what competitors were seen to do, and tells what
// changed: ads that are new, gone or others than before, and the movement of the
// share of auctions in which their ads were shown.
//
// What is imported is an observation: all there was to see of a competitor on a
// platform on a day. So an ad that is missing from it is gone, and an observation
// without ads says that the competitor has none. The same day observed again
// replaces what was seen; the same observation again changes nothing, and days
// may come in any order.
package competitor
