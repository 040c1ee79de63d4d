// Package dashboard serves the pages a marketer works with: rendered on the
// server, made live by htmx, drawn on by ECharts. Every number comes from the
// database; the state of a page is its URL, so that it can be reloaded, shared
// and used without a script.
package dashboard
