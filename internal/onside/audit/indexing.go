package audit

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/engardehq/madansara/internal/onside/weburl"
)

var indexingRules = []rule{
	{
		id: "indexable", category: "indexing", severity: Error, title: "Search engines may index the page",
		advice: "Remove noindex from the robots meta tag or the X-Robots-Tag header, if the page should be found.",
		judge: func(s *Subject) verdict {
			blocked := slices.Contains(s.Page.Directives, "noindex") || slices.Contains(s.Page.Directives, "none")
			return judge(!blocked, strings.Join(s.Page.Directives, ", "))
		},
	},
	{
		id: "followable", category: "indexing", severity: Warning, title: "Search engines may follow the page's links",
		advice: "Remove nofollow from the robots meta tag or the X-Robots-Tag header: it cuts off the pages this one links to.",
		judge: func(s *Subject) verdict {
			blocked := slices.Contains(s.Page.Directives, "nofollow") || slices.Contains(s.Page.Directives, "none")
			return judge(!blocked, strings.Join(s.Page.Directives, ", "))
		},
	},
	{
		id: "robots-txt", category: "indexing", severity: Warning, title: "The site's robots.txt can be read",
		advice: "Correct these lines of robots.txt, or answer with 404 if there is none: crawlers ignore what they cannot read.",
		judge: func(s *Subject) verdict {
			if s.Robots.File == nil {
				return judge(s.Robots.Status < http.StatusInternalServerError, fmt.Sprintf("status %d", s.Robots.Status))
			}
			problems := make([]string, 0, len(s.Robots.File.Problems))
			for _, problem := range s.Robots.File.Problems {
				problems = append(problems, fmt.Sprintf("line %d: %s", problem.Line, problem.Text))
			}
			return judge(len(problems) == 0, some(problems))
		},
	},
	{
		id: "sitemap", category: "indexing", severity: Info, title: "robots.txt names a sitemap",
		advice: "List the site's pages in a sitemap.xml, and name it in robots.txt as 'Sitemap: https://…'.",
		judge: func(s *Subject) verdict {
			if s.Robots.File == nil {
				return judge(false, "there is no robots.txt")
			}
			return judge(len(s.Robots.File.Sitemaps) > 0, some(s.Robots.File.Sitemaps))
		},
	},
	{
		id: "canonical", category: "indexing", severity: Warning, title: "The page names its canonical address",
		advice: "Put <link rel=\"canonical\" href=\"…\"> with the page's own preferred address in the head.",
		judge:  func(s *Subject) verdict { return judge(len(s.Page.Canonicals) > 0, s.Page.Canonical) },
	},
	{
		id: "canonical-single", category: "indexing", severity: Error, title: "The page names one canonical address only",
		advice: "Keep one canonical link: search engines ignore them all when they differ.",
		judge: func(s *Subject) verdict {
			if len(s.Page.Canonicals) == 0 {
				return notApplicable
			}
			for _, other := range s.Page.Canonicals[1:] {
				if other != s.Page.Canonicals[0] {
					return judge(false, some(s.Page.Canonicals))
				}
			}
			return judge(true, "")
		},
	},
	{
		id: "canonical-form", category: "indexing", severity: Warning, title: "The canonical address is absolute and valid",
		advice: "Write the canonical address in full, https:// and host included and without a fragment.",
		judge: func(s *Subject) verdict {
			if len(s.Page.Canonicals) == 0 {
				return notApplicable
			}
			written := s.Page.Canonicals[0]
			_, err := weburl.Parse(written)
			return judge(err == nil && !strings.Contains(written, "#"), written)
		},
	},
	{
		id: "canonical-self", category: "indexing", severity: Info, title: "The canonical address is the page's own",
		advice: "Another page is named as the one to index. Check that this is meant: this page will not be found.",
		judge: func(s *Subject) verdict {
			if s.Page.Canonical == "" {
				return notApplicable
			}
			return judge(s.Page.Canonical == s.URL.String(), s.Page.Canonical)
		},
	},
	{
		id: "head-elements", category: "indexing", severity: Warning, title: "Title, canonical and other head elements stand in the head",
		advice: "Move these into the head, or correct the element before them that makes the head end too early; in the body they have no effect.",
		judge: func(s *Subject) verdict {
			return judge(len(s.Page.Misplaced) == 0, some(s.Page.Misplaced))
		},
	},
	{
		id: "refresh", category: "indexing", severity: Warning, title: "The page does not refresh or redirect by itself",
		advice: "Replace the meta refresh by a redirect (301) of the server.",
		judge:  func(s *Subject) verdict { return judge(s.Page.Refresh == "", s.Page.Refresh) },
	},
}
