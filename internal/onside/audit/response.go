package audit

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// The bounds below are those of the tools and guides that people compare with:
// 0.8 s to the first byte is what web.dev calls good; Lighthouse wants text
// above 1.4 KB compressed and at most 1,400 elements; Googlebot reads the first
// 2 MB of a page, and pages above 500 KB of HTML are slow on a phone.
const (
	slowestFirstByte  = 800 * time.Millisecond
	leastToCompress   = 1400
	largestHTML       = 500 << 10
	mostElements      = 1400
	longestURL        = 115
	mostRedirects     = 1
	mostURLParameters = 3
)

var responseRules = []rule{
	{
		id: "status", category: "response", severity: Error, title: "The page answers with status 200",
		advice: "Make the page answer with 200, or redirect (301) to the page that replaces it.",
		judge: func(s *Subject) verdict {
			return judge(s.Status == http.StatusOK, fmt.Sprintf("status %d", s.Status))
		},
	},
	{
		id: "https", category: "response", severity: Error, title: "The page is served over HTTPS",
		advice: "Serve the site over HTTPS and redirect http:// addresses to it.",
		judge: func(s *Subject) verdict {
			return judge(s.URL.Scheme == "https", s.URL.Scheme+"://"+s.URL.Host)
		},
	},
	{
		id: "redirects", category: "response", severity: Warning, title: "The page is reached with one redirect at most",
		advice: "Link and redirect straight to the final address: each redirect costs visitors time and crawlers budget.",
		judge: func(s *Subject) verdict {
			way := make([]string, 0, len(s.Hops)+1)
			for _, hop := range s.Hops {
				way = append(way, fmt.Sprintf("%s (%d)", hop.URL, hop.Status))
			}
			return judge(len(s.Hops) <= mostRedirects, strings.Join(append(way, s.URL.String()), " → "))
		},
	},
	{
		id: "redirect-kind", category: "response", severity: Info, title: "Redirects are permanent",
		advice: "Use 301 or 308 for an address that moved for good: a temporary redirect keeps the old one in the index.",
		judge: func(s *Subject) verdict {
			for _, hop := range s.Hops {
				if hop.Status != http.StatusMovedPermanently && hop.Status != http.StatusPermanentRedirect {
					return judge(false, fmt.Sprintf("%s answers with %d", hop.URL, hop.Status))
				}
			}
			if len(s.Hops) == 0 {
				return notApplicable
			}
			return judge(true, "")
		},
	},
	{
		id: "response-time", category: "response", severity: Warning, title: "The server begins its answer within 0.8 seconds",
		advice: "Cache the page, or find what makes the server slow: visitors wait for it before anything else.",
		judge: func(s *Subject) verdict {
			return judge(s.FirstByte <= slowestFirstByte, fmt.Sprintf("%d ms", s.FirstByte.Milliseconds()))
		},
	},
	{
		id: "html-size", category: "response", severity: Warning, title: "The HTML is smaller than 500 KB",
		advice: "Move inlined images, styles and data out of the HTML, and split what is very long.",
		judge: func(s *Subject) verdict {
			size := fmt.Sprintf("%d KB", (s.Page.HTMLBytes+1023)>>10)
			if s.Truncated {
				size = "more than " + size + ", or the answer broke off"
			}
			return judge(!s.Truncated && s.Page.HTMLBytes <= largestHTML, size)
		},
	},
	{
		id: "compression", category: "response", severity: Warning, title: "The HTML is compressed on its way",
		advice: "Turn on gzip or Brotli for text in the server or CDN.",
		judge: func(s *Subject) verdict {
			if s.Page.HTMLBytes < leastToCompress {
				return notApplicable
			}
			encoding := s.Header.Get("Content-Encoding")
			if s.Compressed {
				encoding = "gzip"
			}
			return judge(encoding != "", fmt.Sprintf("%d bytes, content encoding: %s", s.Page.HTMLBytes, orNone(encoding)))
		},
	},
	{
		id: "dom-size", category: "response", severity: Info, title: "The page has at most 1,400 elements",
		advice: "Simplify the page's structure: a large tree is slow to style and to use on phones.",
		judge: func(s *Subject) verdict {
			return judge(s.Page.Elements <= mostElements, fmt.Sprintf("%d elements", s.Page.Elements))
		},
	},
	{
		id: "doctype", category: "response", severity: Warning, title: "The page begins with the HTML5 doctype",
		advice: "Begin the page with <!doctype html>: without it browsers fall back to the layout of the nineties.",
		judge:  func(s *Subject) verdict { return judge(s.Page.HTML5, "") },
	},
	{
		id: "charset", category: "response", severity: Warning, title: "The page declares its character encoding",
		advice: "Send 'Content-Type: text/html; charset=utf-8', or put <meta charset=\"utf-8\"> first in the head.",
		judge:  func(s *Subject) verdict { return judge(s.Page.CharsetDeclared, "read as "+s.Page.Charset) },
	},
	{
		id: "url-form", category: "response", severity: Info, title: "The address is short and readable",
		advice: "Use lower case words joined by hyphens, at most 115 characters and few parameters.",
		judge: func(s *Subject) verdict {
			return judge(urlProblem(s) == "", urlProblem(s))
		},
	},
}

func urlProblem(s *Subject) string {
	address := s.URL.String()
	switch {
	case len(address) > longestURL:
		return fmt.Sprintf("%d characters", len(address))
	case s.URL.Path != strings.ToLower(s.URL.Path):
		return "upper case in " + s.URL.Path
	case strings.Contains(s.URL.Path, "_"):
		return "underscores in " + s.URL.Path
	case strings.Contains(s.URL.Path, "//"):
		return "an empty path segment in " + s.URL.Path
	case len(s.URL.Query()) > mostURLParameters:
		return fmt.Sprintf("%d parameters", len(s.URL.Query()))
	}
	for name := range s.URL.Query() {
		switch strings.ToLower(name) {
		case "sid", "sessionid", "phpsessid", "jsessionid":
			return "the session id " + name
		}
	}
	return ""
}

var securityRules = []rule{
	{
		id: "mixed-content", category: "security", severity: Error, title: "Everything on the page is loaded over HTTPS",
		advice: "Load these over https: browsers block them or mark the page as not secure.",
		judge: func(s *Subject) verdict {
			if s.URL.Scheme != "https" {
				return notApplicable
			}
			return judge(len(s.Page.Insecure) == 0, some(s.Page.Insecure))
		},
	},
	{
		id: "hsts", category: "security", severity: Info, title: "Browsers are told to use HTTPS only",
		advice: "Send 'Strict-Transport-Security: max-age=31536000' once all of the site is on HTTPS.",
		judge: func(s *Subject) verdict {
			if s.URL.Scheme != "https" || net.ParseIP(s.URL.Hostname()) != nil {
				return notApplicable
			}
			return judge(s.Header.Get("Strict-Transport-Security") != "", s.Header.Get("Strict-Transport-Security"))
		},
	},
	{
		id: "nosniff", category: "security", severity: Info, title: "Browsers are told not to guess content types",
		advice: "Send 'X-Content-Type-Options: nosniff'.",
		judge: func(s *Subject) verdict {
			return judge(strings.EqualFold(s.Header.Get("X-Content-Type-Options"), "nosniff"), s.Header.Get("X-Content-Type-Options"))
		},
	},
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// some lists the first of many.
func some(list []string) string {
	const shown = 5
	if len(list) <= shown {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:shown], ", "), len(list)-shown)
}
