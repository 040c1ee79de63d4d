// Package backlink keeps the pages of others that link to the tenants' sites:
// imported from other tools' exports, found by crawls, looked at again by a job,
// and told apart over time as new, lost and regained.
package backlink
