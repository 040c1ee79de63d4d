package page

import (
	"cmp"
	"slices"
	"strings"

	"golang.org/x/net/html"

	"github.com/engardehq/madansara/internal/onside/keyword"
	"github.com/engardehq/madansara/internal/onside/weburl"
)

func (r *reader) meta(node *html.Node, s state) {
	name, _ := attribute(node, "name")
	property, _ := attribute(node, "property")
	equivalent, _ := attribute(node, "http-equiv")
	content, _ := attribute(node, "content")
	name, property = strings.ToLower(strings.TrimSpace(name)), strings.ToLower(strings.TrimSpace(property))
	switch {
	case name == "description":
		if !s.inHead {
			r.misplaced("meta description")
			return
		}
		r.page.Descriptions++
		if r.page.Descriptions == 1 {
			r.page.Description = clean(content, maxText)
		}
	case name == "robots" || name == "googlebot":
		// Search engines obey it in the body too.
		r.directives(content, false)
		if !s.inHead {
			r.misplaced("meta robots")
		}
	case name == "viewport":
		r.page.Viewport = clean(content, maxText)
	case strings.EqualFold(equivalent, "refresh"):
		r.page.Refresh = clean(content, maxText)
	case strings.HasPrefix(property, "og:") || strings.HasPrefix(name, "og:"):
		put(r.page.OpenGraph, cmp.Or(property, name), content)
	case strings.HasPrefix(name, "twitter:") || strings.HasPrefix(property, "twitter:"):
		put(r.page.Twitter, cmp.Or(name, property), content)
	}
}

// put keeps the first of several values, as the readers of these do.
func put(into map[string]string, name, value string) {
	name = clean(name, 100)
	if _, has := into[name]; !has && len(into) < maxNamed {
		into[name] = clean(value, weburl.MaxLength)
	}
}

// directives reads what crawlers are asked, "noindex, follow" for instance; in a
// header it may be for one crawler only, "googlebot: noindex".
func (r *reader) directives(content string, header bool) {
	for directive := range strings.SplitSeq(strings.ToLower(content), ",") {
		directive = strings.TrimSpace(directive)
		if crawler, rest, named := strings.Cut(directive, ":"); named && header && !hasValue(crawler) {
			if crawler != "googlebot" && crawler != "robots" {
				return // for another crawler, to the end of the line
			}
			directive = strings.TrimSpace(rest)
		}
		directive = clean(directive, 100)
		if directive != "" && !slices.Contains(r.page.Directives, directive) && len(r.page.Directives) < maxNamed {
			r.page.Directives = append(r.page.Directives, directive)
		}
	}
}

// hasValue reports whether a directive is written with a colon itself.
func hasValue(directive string) bool {
	switch directive {
	case "unavailable_after", "max-snippet", "max-image-preview", "max-video-preview":
		return true
	}
	return false
}

func (r *reader) linkElement(node *html.Node, s state) {
	rel, _ := attribute(node, "rel")
	href, has := attribute(node, "href")
	if !has {
		return
	}
	kinds := strings.Fields(strings.ToLower(rel))
	hreflang, translated := attribute(node, "hreflang")
	switch {
	case slices.Contains(kinds, "canonical"):
		if !s.inHead {
			r.misplaced("canonical")
			return
		}
		r.canonical(href)
	case slices.Contains(kinds, "alternate") && translated:
		if !s.inHead {
			r.misplaced("hreflang")
			return
		}
		r.alternate(hreflang, href)
	case slices.Contains(kinds, "icon"):
		r.page.Favicon = true
	}
}

func (r *reader) canonical(href string) {
	if len(r.page.Canonicals) >= maxNamed {
		return
	}
	r.page.Canonicals = append(r.page.Canonicals, clean(href, weburl.MaxLength))
	if u, err := weburl.Resolve(r.base, href); err == nil && r.page.Canonical == "" && strings.TrimSpace(href) != "" {
		r.page.Canonical = u.String()
	}
}

func (r *reader) alternate(language, href string) {
	if len(r.page.Hreflang) >= maxNamed {
		return
	}
	address := clean(href, weburl.MaxLength)
	if u, err := weburl.Resolve(r.base, href); err == nil {
		address = u.String()
	}
	r.page.Hreflang = append(r.page.Hreflang, Alternate{Language: clean(language, 35), URL: address})
}

func (r *reader) script(node *html.Node) {
	kind, _ := attribute(node, "type")
	kind, _, _ = strings.Cut(strings.ToLower(kind), ";")
	if strings.TrimSpace(kind) != "application/ld+json" || len(r.page.JSONLD)+len(r.page.BadJSONLD) >= maxNamed {
		return
	}
	block, err := readJSONLD(textOf(node))
	if err != nil {
		r.page.BadJSONLD = append(r.page.BadJSONLD, clean(err.Error(), maxText))
		return
	}
	r.page.JSONLD = append(r.page.JSONLD, block)
}

// insecurePart notes what a page over https loads over http: browsers block it
// or warn of it.
func (r *reader) insecurePart(node *html.Node) {
	if r.url.Scheme != "https" || len(r.page.Insecure) >= maxNamed {
		return
	}
	name := ""
	switch node.Data {
	case "script", "img", "iframe", "video", "audio", "source", "embed", "track", "input":
		name = "src"
	case "object":
		name = "data"
	case "form":
		name = "action"
	case "link":
		rel, _ := attribute(node, "rel")
		if rel = strings.ToLower(rel); strings.Contains(rel, "stylesheet") || strings.Contains(rel, "icon") || strings.Contains(rel, "preload") {
			name = "href"
		}
	}
	if value, has := attribute(node, name); has && name != "" {
		if u, err := weburl.Resolve(r.base, value); err == nil && u.Scheme == "http" {
			r.page.Insecure = append(r.page.Insecure, u.String())
		}
	}
}

func (r *reader) anchor(node *html.Node, s state) {
	href, has := attribute(node, "href")
	if s.place == keyword.Body && has {
		s.place = keyword.Anchor
	}
	text := &strings.Builder{}
	s.link = text
	r.children(node, s)
	if _, named := attribute(node, "name"); !has {
		if id, _ := attribute(node, "id"); !named && id == "" && node.FirstChild != nil {
			r.unfollowable("<a> without href: " + clean(text.String(), 80))
		}
		return // else a place to link to
	}
	label := clean(text.String(), maxText)
	if label == "" {
		if aria, _ := attribute(node, "aria-label"); aria != "" {
			label = clean(aria, maxText)
		} else if title, _ := attribute(node, "title"); title != "" {
			label = clean(title, maxText)
		} else if alt, _ := attribute(node, "alt"); alt != "" {
			label = clean(alt, maxText)
		}
	}
	r.follow(node, href, label)
}

func (r *reader) unfollowable(what string) {
	if len(r.page.Unfollowed) < maxNamed {
		r.page.Unfollowed = append(r.page.Unfollowed, clean(what, 200))
	}
}

// follow notes where a link goes.
func (r *reader) follow(node *html.Node, href, label string) {
	trimmed := strings.ToLower(strings.TrimSpace(href))
	if strings.HasPrefix(trimmed, "#") {
		return // within the page
	}
	if scheme, _, is := strings.Cut(trimmed, ":"); is {
		switch scheme {
		case "mailto", "tel", "sms", "whatsapp", "viber", "tg", "skype", "callto", "geo", "fax":
			return // for people, not for crawlers
		case "javascript", "data", "blob", "vbscript", "file":
			r.unfollowable(href)
			return
		}
	}
	u, err := weburl.Resolve(r.base, href)
	if err != nil {
		r.unfollowable(href)
		return
	}
	link := Link{URL: u.String(), Text: label, Internal: weburl.SameSite(u, r.url)}
	rel, _ := attribute(node, "rel")
	for kind := range strings.FieldsSeq(strings.ToLower(rel)) {
		switch kind {
		case "nofollow", "ugc", "sponsored":
			link.Nofollow = true
			link.Rel = strings.TrimSpace(link.Rel + " " + kind)
		}
	}
	r.count(link, u.Scheme)
	if len(r.page.Links) < maxLinks {
		r.page.Links = append(r.page.Links, link)
	}
}

func (r *reader) count(link Link, scheme string) {
	if !link.Internal {
		r.page.External++
		return
	}
	r.page.Internal++
	r.page.LinkTexts++
	if vague(link.Text) && len(r.page.VagueLinks) < maxNamed {
		r.page.VagueLinks = append(r.page.VagueLinks, link.URL)
	}
	if scheme == "http" && r.url.Scheme == "https" && len(r.page.InternalHTTP) < maxNamed {
		r.page.InternalHTTP = append(r.page.InternalHTTP, link.URL)
	}
}

// vagueTexts are links' texts that do not say where the link goes.
var vagueTexts = map[string]bool{
	"": true, "click here": true, "click": true, "here": true, "this": true, "link": true, "more": true, "read more": true, "learn more": true, "see more": true,
	"go": true, "start": true, "details": true, "page": true, "this page": true, "right here": true, "more info": true, "more information": true,
	"cliquez ici": true, "ici": true, "en savoir plus": true, "lire la suite": true, "lire plus": true, "plus": true, "voir plus": true, "suite": true,
	"clic aquí": true, "haga clic aquí": true, "haz clic aquí": true, "aquí": true, "más": true, "leer más": true, "ver más": true, "más información": true, "saber más": true,
	"clique aqui": true, "aqui": true, "mais": true, "leia mais": true, "ler mais": true, "saiba mais": true, "ver mais": true,
	"klike la": true, "klike isit": true, "isit": true, "li plis": true, "plis": true,
}

func vague(text string) bool {
	return vagueTexts[strings.ToLower(strings.Trim(text, " .…:!»›>→-"))]
}
