// Package ranking keeps where the tenants' sites stand in search results: it
// imports rankings (Google Search Console's export, a generic CSV, the API),
// tells a keyword's history, and what moved over a period.
package ranking
