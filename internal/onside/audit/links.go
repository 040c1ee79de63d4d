package audit

import (
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/text/language"

	"github.com/engardehq/madansara/internal/onside/keyword"
)

var linkRules = []rule{
	{
		id: "internal-links", category: "links", severity: Warning, title: "The page links to other pages of the site",
		advice: "Link to related pages: visitors go on, and crawlers find them.",
		judge: func(s *Subject) verdict {
			return judge(s.Page.Internal > 0, fmt.Sprintf("%d internal, %d external", s.Page.Internal, s.Page.External))
		},
	},
	{
		id: "links-crawlable", category: "links", severity: Warning, title: "Crawlers can follow every link",
		advice: "Give links an href with the address they lead to; use a button for what only a script does.",
		judge: func(s *Subject) verdict {
			return judge(len(s.Page.Unfollowed) == 0, some(s.Page.Unfollowed))
		},
	},
	{
		id: "link-text", category: "links", severity: Warning, title: "Internal links say where they lead",
		advice: "Replace texts such as 'click here' by what the linked page is about.",
		judge: func(s *Subject) verdict {
			if s.Page.LinkTexts == 0 {
				return notApplicable
			}
			return judge(len(s.Page.VagueLinks) == 0, some(s.Page.VagueLinks))
		},
	},
	{
		id: "links-followed", category: "links", severity: Warning, title: "Internal links are not marked nofollow",
		advice: "Remove rel=\"nofollow\" from links to your own pages.",
		judge: func(s *Subject) verdict {
			var marked []string
			for _, link := range s.Page.Links {
				if link.Internal && link.Nofollow {
					marked = append(marked, link.URL)
				}
			}
			if s.Page.Internal == 0 {
				return notApplicable
			}
			return judge(len(marked) == 0, some(marked))
		},
	},
	{
		id: "links-secure", category: "links", severity: Info, title: "Internal links use HTTPS",
		advice: "Link to the https:// addresses: these links take a redirect.",
		judge: func(s *Subject) verdict {
			if s.URL.Scheme != "https" || s.Page.Internal == 0 {
				return notApplicable
			}
			return judge(len(s.Page.InternalHTTP) == 0, some(s.Page.InternalHTTP))
		},
	},
	{
		id: "links-local", category: "links", severity: Error, title: "No link leads to a developer's machine",
		advice: "Replace these links, which work on a developer's machine only.",
		judge: func(s *Subject) verdict {
			var local []string
			for _, link := range s.Page.Links {
				if u, err := url.Parse(link.URL); err == nil && !link.Internal && isLocal(u.Hostname()) {
					local = append(local, link.URL)
				}
			}
			return judge(len(local) == 0, some(local))
		},
	},
	{
		id: "link-count", category: "links", severity: Info, title: "The page has at most 300 links",
		advice: "Keep the links that help a visitor of this page: among many none counts for much.",
		judge: func(s *Subject) verdict {
			n := s.Page.Internal + s.Page.External
			return judge(n <= mostLinks, fmt.Sprintf("%d links", n))
		},
	},
}

func isLocal(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, ".local") || strings.HasPrefix(host, "127.") || host == "::1"
}

var internationalRules = []rule{
	{
		id: "lang", category: "international", severity: Warning, title: "The page declares its language",
		advice: "Put the language's code into the html element, for instance <html lang=\"fr\">.",
		judge: func(s *Subject) verdict {
			_, err := language.Parse(s.Page.Language)
			return judge(s.Page.Language != "" && err == nil, s.Page.Language)
		},
	},
	{
		id: "lang-true", category: "international", severity: Info, title: "The page is written in the language that it declares",
		advice: "Correct the lang attribute of the html element, or the text.",
		judge: func(s *Subject) verdict {
			if s.Page.Language == "" || s.Page.Detected == "" {
				return notApplicable
			}
			return judge(keyword.Primary(s.Page.Language) == s.Page.Detected, fmt.Sprintf("declared %s, written in %s", s.Page.Language, s.Page.Detected))
		},
	},
	{
		id: "hreflang-codes", category: "international", severity: Error, title: "The language versions have valid codes",
		advice: "Use a language code and, if need be, a country code: fr, fr-HT, x-default.",
		judge: func(s *Subject) verdict {
			if len(s.Page.Hreflang) == 0 {
				return notApplicable
			}
			var bad []string
			for _, alternate := range s.Page.Hreflang {
				if !strings.EqualFold(alternate.Language, "x-default") && !validHreflang(alternate.Language) {
					bad = append(bad, alternate.Language)
				}
			}
			return judge(len(bad) == 0, some(bad))
		},
	},
	{
		id: "hreflang-self", category: "international", severity: Warning, title: "The language versions include the page itself",
		advice: "List this page among its language versions too: search engines ignore lists that are not mutual.",
		judge: func(s *Subject) verdict {
			if len(s.Page.Hreflang) == 0 {
				return notApplicable
			}
			for _, alternate := range s.Page.Hreflang {
				itself := alternate.URL == s.URL.String() || alternate.URL == s.Page.Canonical
				if itself && !strings.EqualFold(alternate.Language, "x-default") {
					return judge(true, alternate.Language)
				}
			}
			return judge(false, fmt.Sprintf("%d versions, none of them this page", len(s.Page.Hreflang)))
		},
	},
	{
		id: "hreflang-default", category: "international", severity: Info, title: "The language versions name a default",
		advice: "Add hreflang=\"x-default\" for visitors whose language is not among them.",
		judge: func(s *Subject) verdict {
			if len(s.Page.Hreflang) == 0 {
				return notApplicable
			}
			for _, alternate := range s.Page.Hreflang {
				if strings.EqualFold(alternate.Language, "x-default") {
					return judge(true, alternate.URL)
				}
			}
			return judge(false, "")
		},
	},
}

// validHreflang reports whether code is a language with an optional script or
// country, as search engines accept it.
func validHreflang(code string) bool {
	if strings.Contains(code, "_") {
		return false
	}
	tag, err := language.Parse(code)
	if err != nil {
		return false
	}
	_, _, region := tag.Raw()
	return len(tag.Variants()) == 0 && len(tag.Extensions()) == 0 && (region.String() == "ZZ" || region.IsCountry())
}

var sharingRules = []rule{
	{
		id: "open-graph", category: "sharing", severity: Info, title: "Open Graph says how the page looks when shared",
		advice: "Add the missing og: properties to the head.",
		judge: func(s *Subject) verdict {
			var missing []string
			for _, property := range []string{"og:title", "og:type", "og:image", "og:url"} {
				if s.Page.OpenGraph[property] == "" {
					missing = append(missing, property)
				}
			}
			if len(missing) > 0 {
				return judge(false, "missing: "+strings.Join(missing, ", "))
			}
			return judge(true, "")
		},
	},
	{
		id: "og-image", category: "sharing", severity: Info, title: "The shared image's address is absolute",
		advice: "Write og:image with https:// and the host: networks do not resolve relative addresses.",
		judge: func(s *Subject) verdict {
			image := s.Page.OpenGraph["og:image"]
			if image == "" {
				return notApplicable
			}
			return judge(strings.HasPrefix(image, "https://") || strings.HasPrefix(image, "http://"), image)
		},
	},
	{
		id: "twitter-card", category: "sharing", severity: Info, title: "A Twitter card says how the page looks on X",
		advice: "Add <meta name=\"twitter:card\" content=\"summary_large_image\">; the rest is taken from Open Graph.",
		judge: func(s *Subject) verdict {
			return judge(s.Page.Twitter["twitter:card"] != "", s.Page.Twitter["twitter:card"])
		},
	},
	{
		id: "structured-data", category: "sharing", severity: Info, title: "The page has structured data",
		advice: "Describe the page as schema.org JSON-LD (Product, Article, FAQPage, …): search results show more of it.",
		judge: func(s *Subject) verdict {
			return judge(len(s.Page.JSONLD) > 0, fmt.Sprintf("%d JSON-LD blocks", len(s.Page.JSONLD)))
		},
	},
	{
		id: "structured-data-valid", category: "sharing", severity: Error, title: "The structured data can be read",
		advice: "Correct the JSON of these blocks: search engines ignore them as they are.",
		judge: func(s *Subject) verdict {
			if len(s.Page.JSONLD)+len(s.Page.BadJSONLD) == 0 {
				return notApplicable
			}
			return judge(len(s.Page.BadJSONLD) == 0, some(s.Page.BadJSONLD))
		},
	},
	{
		id: "favicon", category: "sharing", severity: Info, title: "The page names its icon",
		advice: "Add <link rel=\"icon\" href=\"…\">: search results and browser tabs show it.",
		judge:  func(s *Subject) verdict { return judge(s.Page.Favicon, "") },
	},
}
