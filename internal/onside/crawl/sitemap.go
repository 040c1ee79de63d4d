package crawl

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/engardehq/madansara/internal/onside/weburl"
)

const (
	mostSitemaps = 10         // files that are read for a crawl
	mostInFile   = 5000       // addresses of a file that are read
	largestFile  = 10 << 20   // bytes of a packed file, unpacked
	gzipMagic    = "\x1f\x8b" // how a packed file begins
)

// ParseSitemap reads a sitemap (sitemaps.org): the addresses of pages, or of
// other sitemaps. What is not well formed ends the reading; what came before counts.
func ParseSitemap(content []byte) (pages, sitemaps []string) {
	if bytes.HasPrefix(content, []byte(gzipMagic)) {
		packed, err := gzip.NewReader(bytes.NewReader(content))
		if err != nil {
			return nil, nil
		}
		// A file that breaks off is read as far as it goes.
		content, _ = io.ReadAll(io.LimitReader(packed, largestFile))
	}
	decoder := xml.NewDecoder(bytes.NewReader(content))
	decoder.Strict = false
	decoder.CharsetReader = func(_ string, input io.Reader) (io.Reader, error) { return input, nil }
	parent := ""
	for len(pages)+len(sitemaps) < mostInFile {
		token, err := decoder.Token()
		if err != nil {
			break
		}
		start, is := token.(xml.StartElement)
		if !is {
			continue
		}
		switch start.Name.Local {
		case "url", "sitemap":
			parent = start.Name.Local
		case "loc":
			var text string
			if decoder.DecodeElement(&text, &start) != nil {
				return pages, sitemaps
			}
			switch parent {
			case "sitemap":
				sitemaps = append(sitemaps, text)
			case "url":
				pages = append(pages, text)
			}
		}
	}
	return pages, sitemaps
}

// sitemapPages reads a site's sitemaps: those that robots.txt names, else
// /sitemap.xml, and those that they name. It returns the pages of start's site,
// each once, at most most. A sitemap that cannot be had lists nothing. It may stand at
// another host, if it is named there; each is asked for in its host's turn.
func (s *Service) sitemapPages(ctx context.Context, start *url.URL, delay time.Duration, most int) (pages []string, err error) {
	file, err := s.fetcher.RobotsOf(ctx, start)
	if err != nil {
		return nil, ctx.Err() //nolint:wrapcheck // the site's own failure shows when its first page is fetched
	}
	var queue []string
	if file.File != nil {
		queue = file.File.Sitemaps
	}
	if len(queue) == 0 {
		queue = []string{"/sitemap.xml"}
	}
	turn := func(ctx context.Context, next *url.URL) (bool, error) {
		return true, s.fetcher.Await(ctx, next.Host, min(s.gap(ctx, next, delay), longestWait))
	}
	seen, read := map[string]bool{}, 0
	for len(queue) > 0 && read < mostSitemaps && len(pages) < most {
		at, err := weburl.Resolve(start, queue[0])
		queue = queue[1:]
		if err != nil || seen[at.String()] {
			continue
		}
		seen[at.String()] = true
		read++
		if _, err := turn(ctx, at); err != nil {
			return nil, err
		}
		response, err := s.fetcher.GetFollowing(ctx, at, turn)
		if ctx.Err() != nil {
			return nil, ctx.Err() //nolint:wrapcheck // the caller's own
		}
		if err != nil || response.Status != http.StatusOK {
			continue
		}
		listed, more := ParseSitemap(response.Body)
		queue = append(queue, more...)
		for _, text := range listed {
			u, err := weburl.Parse(text)
			if err == nil && weburl.SameSite(u, start) && !seen[u.String()] && len(pages) < most {
				seen[u.String()] = true
				pages = append(pages, u.String())
			}
		}
	}
	return pages, nil
}
