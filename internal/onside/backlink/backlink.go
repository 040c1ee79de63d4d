package backlink

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/engardehq/madansara/internal/onside/csvtable"
	"github.com/engardehq/madansara/internal/onside/page"
	"github.com/engardehq/madansara/internal/onside/weburl"
)

// Link is a link from a page of somebody else to a site.
type Link struct {
	Source string // the page that links
	Target string // the page that is linked to; "" when only the site is known
	Anchor string // the link's text
	Rel    string // nofollow, ugc, sponsored, where it has them
	// FirstSeen is when whoever tells of it first saw it; zero is now.
	FirstSeen time.Time
}

const maxAnchor = 500 // characters that are kept

// normalise writes a link in one form, or says why it is none to site.
func (l *Link) normalise(site string, latest time.Time) error {
	source, err := weburl.Parse(l.Source)
	if err != nil {
		return fmt.Errorf("the linking page: %w", err)
	}
	if weburl.BelongsTo(weburl.Site(source), site) {
		return errors.New("the linking page is of the site itself")
	}
	l.Source = source.String()
	if l.Target != "" {
		target, err := weburl.Parse(l.Target)
		if err != nil {
			return fmt.Errorf("the linked page: %w", err)
		}
		if !weburl.BelongsTo(weburl.Site(target), site) {
			return fmt.Errorf("the linked page is not of %s", site)
		}
		l.Target = target.String()
	}
	if l.FirstSeen.After(latest) {
		return errors.New("it was first seen in the future")
	}
	l.Anchor = cut(strings.Join(strings.Fields(l.Anchor), " "), maxAnchor)
	l.Rel = cut(strings.ToLower(strings.Join(strings.Fields(l.Rel), " ")), 100)
	return nil
}

func cut(text string, longest int) string {
	if utf8.RuneCountInString(text) <= longest {
		return text
	}
	return string([]rune(text)[:longest])
}

// key is what makes two links of a site the same.
func (l *Link) key() string { return l.Source + "\x00" + l.Target }

// Found returns the links of a page that lead to site, each once; none for a
// page of the site itself.
func Found(source string, p *page.Page, site string) []Link {
	u, err := weburl.Parse(source)
	if err != nil || weburl.BelongsTo(weburl.Site(u), site) {
		return nil
	}
	var found []Link
	seen := map[string]bool{}
	for _, link := range p.Links {
		target, err := weburl.Parse(link.URL)
		if err != nil || !weburl.BelongsTo(weburl.Site(target), site) || seen[link.URL] {
			continue
		}
		seen[link.URL] = true
		found = append(found, Link{Source: u.String(), Target: target.String(), Anchor: cut(link.Text, maxAnchor), Rel: link.Rel})
	}
	return found
}

// headings of the exports of Google Search Console, Ahrefs, Semrush, Moz and
// Majestic, and of the generic form, whose headings are the first of each list.
var headings = map[string][]string{
	"source": {
		"source_url", "source url", "source", "referring page url", "linking page", "external link url", "url", "link url", "page liée", "page d'origine",
		"página de enlace", "página com link", "page",
	},
	"target":     {"target_url", "target url", "target", "link target", "destination", "destination url", "page cible"},
	"anchor":     {"anchor", "anchor text", "link anchor", "ancre", "texte d'ancrage", "texto de anclaje", "texto âncora"},
	"rel":        {"rel", "link attributes"},
	"nofollow":   {"nofollow", "no follow"},
	"first seen": {"first_seen", "first seen", "first indexed", "date first seen", "discovered", "last crawled"},
}

// ParseCSV reads a file of links to site. Rows that cannot be taken are in bad;
// the error is about the whole file.
func ParseCSV(content []byte, site string, latest time.Time) (links []Link, bad []csvtable.BadRow, err error) {
	table, err := csvtable.Read(content, headings, "source")
	if err != nil {
		return nil, nil, err
	}
	bad = table.Bad
	seen := map[string]int{}
	for _, row := range table.Rows {
		link := Link{Source: row.Get("source"), Target: row.Get("target"), Anchor: row.Get("anchor"), Rel: row.Get("rel")}
		if yes(row.Get("nofollow")) && !strings.Contains(link.Rel, "nofollow") {
			link.Rel += " nofollow"
		}
		var err error
		if text := row.Get("first seen"); text != "" {
			if link.FirstSeen, err = csvtable.Day(text); err != nil {
				err = fmt.Errorf("the day %q on which it was first seen %w", cut(text, 40), err)
			}
		}
		if err == nil {
			err = link.normalise(site, latest)
		}
		if err != nil {
			bad = append(bad, csvtable.BadRow{Line: row.Line, Message: err.Error()})
			continue
		}
		if earlier, has := seen[link.key()]; has {
			bad = append(bad, csvtable.BadRow{Line: row.Line, Message: fmt.Sprintf("it is the same link as on line %d, which was taken", earlier)})
			continue
		}
		seen[link.key()] = row.Line
		links = append(links, link)
	}
	return links, bad, nil
}

func yes(text string) bool {
	switch strings.ToLower(text) {
	case "true", "yes", "1", "nofollow":
		return true
	}
	return false
}
