// Package campaign keeps advertising campaigns and what they did each day, as
// the platforms report it: imported from their exports (see adreport) or sent as
// JSON.
//
// An import is one transaction, and one of a tenant at a time. A day that comes
// again replaces what was known of it; one that comes again as it was changes
// nothing, so that a file can be imported any number of times. Rows that cannot
// be imported are told with their line, kept with the import, and cost nothing
// but themselves.
package campaign
