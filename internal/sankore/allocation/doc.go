// Package allocation shares a budget out among campaigns so that their expected
// conversions are the most they can be, says how much more that is than the same
// money split as it is now, and keeps what it said. Package response has the
// mathematics and its limits.
//
// All campaigns are measured by one account. When Madan Sara cannot tell what one
// of them earned, all are measured by what their platforms claim, and the
// allocation says so: a campaign must not win because its platform claims more.
package allocation
