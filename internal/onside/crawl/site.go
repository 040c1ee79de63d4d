package crawl

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/onside/audit"
)

// Visited is a page of a crawl as the audit of its site sees it.
type Visited struct {
	UUID        uuid.UUID
	URL         string
	Failed      bool // it could not be had
	Status      int  // of its first answer
	FinalURL    string
	Hops        int // redirects before FinalURL
	Title       string
	Description string
	Canonical   string
	Words       int
	Indexable   bool
	InSitemap   bool
	Depth       int // clicks from the start page
	FirstByteMS int64
}

func (p Visited) ok() bool { return !p.Failed && p.Status == http.StatusOK }

func (p Visited) broken() bool { return p.Failed || p.Status >= http.StatusBadRequest }

// Link leads from one page of a crawl to another.
type Link struct{ From, To uuid.UUID }

// deepest is how many clicks from the start a page may be away, and thinnest how
// few words it may have.
const (
	deepest  = 3
	thinnest = 200
	slowest  = 800 // milliseconds to the first byte
)

// siteView is what the checks of a site look at.
type siteView struct {
	pages   []Visited
	byURL   map[string]Visited
	byID    map[uuid.UUID]Visited
	sources map[uuid.UUID][]uuid.UUID // pages that link to a page
}

// AuditSite audits the visited pages of a site, the start page first, and the
// links between them. Its score is computed as a page's is.
func AuditSite(pages []Visited, links []Link) audit.Audit {
	view := &siteView{pages: pages, byURL: map[string]Visited{}, byID: map[uuid.UUID]Visited{}, sources: map[uuid.UUID][]uuid.UUID{}}
	for _, p := range pages {
		view.byURL[p.URL], view.byID[p.UUID] = p, p
	}
	for _, link := range links {
		view.sources[link.To] = append(view.sources[link.To], link.From)
	}
	result := audit.Audit{Checks: []audit.Check{}}
	for _, rule := range siteRules {
		faults := rule.faults(view)
		check := audit.Check{ID: rule.id, Category: "site", Title: rule.title, Severity: rule.severity, Passed: len(faults) == 0, Evidence: listed(faults)}
		if !check.Passed {
			check.Advice = rule.advice
		}
		result.Checks = append(result.Checks, check)
	}
	result.Score = audit.Score(result.Checks)
	return result
}

// listed names the first of many.
func listed(faults []string) string {
	const shown = 20
	if len(faults) == 0 {
		return ""
	}
	text := strings.Join(faults[:min(len(faults), shown)], "\n")
	if len(faults) > shown {
		text += fmt.Sprintf("\nand %d more", len(faults)-shown)
	}
	return text
}

type siteRule struct {
	id       string
	severity audit.Severity
	title    string
	advice   string
	faults   func(*siteView) []string // a line each
}

var siteRules = []siteRule{
	{
		"start-page", audit.Error, "The start page can be had", "Make the start page answer with 200: nothing is found without it.",
		func(v *siteView) []string {
			if len(v.pages) == 0 || v.pages[0].broken() {
				return []string{"the start page has no page behind it"}
			}
			return nil
		},
	},
	{
		"broken-links", audit.Error, "Internal links lead to pages", "Correct these links, or bring back or redirect the pages that they lead to.",
		func(v *siteView) (faults []string) {
			for _, p := range v.pages {
				if p.broken() && len(v.sources[p.UUID]) > 0 {
					what := fmt.Sprintf("status %d", p.Status)
					if p.Failed {
						what = "cannot be had"
					}
					faults = append(faults, fmt.Sprintf("%s (%s) is linked from %s", p.URL, what, v.from(p)))
				}
			}
			return faults
		},
	},
	{
		"duplicate-titles", audit.Warning, "Every page has a title of its own", "Give each page a title that says what is different about it, or name one of them canonical.",
		func(v *siteView) []string { return v.alike(func(p Visited) string { return p.Title }) },
	},
	{
		"duplicate-descriptions", audit.Warning, "Every page has a description of its own", "Describe each page in its own words.",
		func(v *siteView) []string { return v.alike(func(p Visited) string { return p.Description }) },
	},
	{
		"orphan-pages", audit.Warning, "Every page of the sitemap is linked to", "Link to these pages from others: visitors cannot reach them, and search engines rank them low.",
		func(v *siteView) (faults []string) {
			for i, p := range v.pages {
				if i > 0 && p.InSitemap && !p.broken() && len(v.sources[p.UUID]) == 0 {
					faults = append(faults, p.URL)
				}
			}
			return faults
		},
	},
	{
		"redirect-chains", audit.Warning, "Redirects take one step", "Redirect straight to the final address.",
		func(v *siteView) (faults []string) {
			for _, p := range v.pages {
				if hops, final := v.chain(p); hops > 1 {
					faults = append(faults, fmt.Sprintf("%s takes %d redirects to %s", p.URL, hops, final))
				}
			}
			return faults
		},
	},
	{
		"links-to-redirects", audit.Info, "Internal links lead straight to their pages", "Link to the final addresses.",
		func(v *siteView) (faults []string) {
			for _, p := range v.pages {
				if p.Hops > 0 && len(v.sources[p.UUID]) > 0 {
					faults = append(faults, fmt.Sprintf("%s (redirects to %s) is linked from %s", p.URL, p.FinalURL, v.from(p)))
				}
			}
			return faults
		},
	},
	{
		"server-errors", audit.Error, "No page answers with a server error", "Find out in the server's log why these pages fail.",
		func(v *siteView) (faults []string) {
			for _, p := range v.pages {
				if p.Status >= http.StatusInternalServerError {
					faults = append(faults, fmt.Sprintf("%s (status %d)", p.URL, p.Status))
				}
			}
			return faults
		},
	},
	{
		"sitemap-clean", audit.Warning, "The sitemap lists pages that can be indexed", "Keep only final, indexable, canonical addresses in the sitemap.",
		func(v *siteView) (faults []string) {
			for _, p := range v.pages {
				if p.InSitemap && (!p.ok() || !p.Indexable || p.Canonical != "" && p.Canonical != p.URL) {
					faults = append(faults, p.URL)
				}
			}
			return faults
		},
	},
	{
		"canonical-targets", audit.Error, "Canonical addresses lead to pages", "Name a page as canonical that answers with 200.",
		func(v *siteView) (faults []string) {
			for _, p := range v.pages {
				if target, visited := v.byURL[p.Canonical]; p.ok() && visited && !target.ok() {
					faults = append(faults, fmt.Sprintf("%s names %s (status %d)", p.URL, p.Canonical, target.Status))
				}
			}
			return faults
		},
	},
	{
		"click-depth", audit.Info, "Every page is within three clicks of the start page", "Link to these pages nearer to the start page.",
		func(v *siteView) []string { return v.where(func(p Visited) bool { return p.Depth > deepest }) },
	},
	{
		"thin-pages", audit.Info, "Every page has at least 200 words", "Say more on these pages, join them, or keep them out of the index.",
		func(v *siteView) []string {
			return v.where(func(p Visited) bool { return p.Indexable && p.Words < thinnest })
		},
	},
	{
		"slow-pages", audit.Warning, "Every page begins its answer within 0.8 seconds", "Cache these pages, or find what makes the server slow.",
		func(v *siteView) []string { return v.where(func(p Visited) bool { return p.FirstByteMS > slowest }) },
	},
}

// chain is how many redirects lead from a page to where, over the pages in between: a
// visit does not follow every redirect to its end.
func (v *siteView) chain(p Visited) (hops int, final string) {
	const longest = 20 // there may be a loop
	hops, final = p.Hops, p.FinalURL
	for hops < longest {
		next, visited := v.byURL[final]
		if !visited || next.Hops == 0 {
			break
		}
		hops, final = hops+next.Hops, next.FinalURL
	}
	return hops, final
}

// where lists the pages that are there and satisfy a condition.
func (v *siteView) where(is func(Visited) bool) (urls []string) {
	for _, p := range v.pages {
		if p.ok() && is(p) {
			urls = append(urls, p.URL)
		}
	}
	return urls
}

// alike lists what several indexable pages have in common that should be each one's own.
func (v *siteView) alike(of func(Visited) string) (faults []string) {
	groups := map[string][]string{}
	for _, p := range v.pages {
		isCopy := p.Canonical != "" && p.Canonical != p.URL
		if text := of(p); p.ok() && p.Indexable && !isCopy && text != "" {
			groups[text] = append(groups[text], p.URL)
		}
	}
	for text, urls := range groups {
		if len(urls) > 1 {
			faults = append(faults, fmt.Sprintf("%q: %s", text, strings.Join(urls, ", ")))
		}
	}
	slices.Sort(faults)
	return faults
}

// from names a few of the pages that link to p.
func (v *siteView) from(p Visited) string {
	const shown = 3
	sources := v.sources[p.UUID]
	var urls []string
	for _, id := range sources[:min(len(sources), shown)] {
		urls = append(urls, v.byID[id].URL)
	}
	text := strings.Join(urls, ", ")
	if len(sources) > shown {
		text += fmt.Sprintf(" and %d more", len(sources)-shown)
	}
	return text
}
