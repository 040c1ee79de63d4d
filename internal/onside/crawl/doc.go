// Package crawl visits small sites page by page, within limits, and audits them
// as a whole: pages alike, links that lead nowhere, pages that nothing links to.
//
// A crawl is a job over rows: the pages to visit, those visited, and the links
// between them. A page counts as visited when its row says so, in the
// transaction that also adds what it links to; so a crawl goes on where a killed
// process left it, and a page that was in the air is fetched again.
package crawl
