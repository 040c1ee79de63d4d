// Package fetch gets pages of other people's sites as a polite and careful
// crawler does: only what the site's robots.txt allows, over connections that an
// [ssrf.Guard] allows, hop by hop through redirects, and never more bytes or
// seconds than its limits.
package fetch
