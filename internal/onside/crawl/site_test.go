package crawl_test

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/onside/audit"
	"github.com/engardehq/madansara/internal/onside/crawl"
)

// graph is a site of pages by name and who links to whom.
type graph struct {
	pages []crawl.Visited
	links []crawl.Link
}

func (g *graph) id(name string) uuid.UUID { return uuid.NewSHA1(uuid.Nil, []byte(name)) }

func (g *graph) page(name string, change func(*crawl.Visited), linkedFrom ...string) {
	p := crawl.Visited{
		UUID: g.id(name), URL: "https://a.example/" + name, Status: 200, Title: "Title of " + name, Description: "Description of " + name,
		Words: 300, Indexable: true, Depth: 1,
	}
	if change != nil {
		change(&p)
	}
	g.pages = append(g.pages, p)
	for _, from := range linkedFrom {
		g.links = append(g.links, crawl.Link{From: g.id(from), To: g.id(name)})
	}
}

func soundSite() *graph {
	g := &graph{}
	g.page("", nil, "one")
	g.page("one", func(p *crawl.Visited) { p.InSitemap = true }, "")
	g.page("two", nil, "", "one")
	return g
}

func TestASoundSitePasses(t *testing.T) {
	t.Parallel()
	g := soundSite()
	result := crawl.AuditSite(g.pages, g.links)
	require.Equal(t, 100, result.Score)
	require.GreaterOrEqual(t, len(result.Checks), 12)
	for _, check := range result.Checks {
		require.True(t, check.Passed, check.ID)
	}
}

func TestEachFaultOfASiteIsFound(t *testing.T) {
	t.Parallel()
	faults := map[string]func(g *graph) (evidence string){
		"start-page": func(g *graph) string { g.pages[0].Status = 500; return "start page" },
		"broken-links": func(g *graph) string {
			g.page("gone", func(p *crawl.Visited) { p.Status = 404 }, "one")
			return "https://a.example/gone (status 404) is linked from https://a.example/one"
		},
		"duplicate-titles": func(g *graph) string { g.pages[2].Title = g.pages[1].Title; return "one, https://a.example/two" },
		"duplicate-descriptions": func(g *graph) string {
			g.pages[2].Description = g.pages[1].Description
			return "one, https://a.example/two"
		},
		"orphan-pages": func(g *graph) string {
			g.page("alone", func(p *crawl.Visited) { p.InSitemap = true })
			return "alone"
		},
		"redirect-chains": func(g *graph) string {
			g.page("old", func(p *crawl.Visited) { p.Status, p.Hops, p.FinalURL = 301, 2, "https://a.example/one" })
			return "old takes 2 redirects to https://a.example/one"
		},
		"links-to-redirects": func(g *graph) string {
			g.page("old", func(p *crawl.Visited) { p.Status, p.Hops, p.FinalURL = 301, 1, "https://a.example/one" }, "two")
			return "linked from https://a.example/two"
		},
		"server-errors": func(g *graph) string {
			g.page("bad", func(p *crawl.Visited) { p.Status = 503 })
			return "bad (status 503)"
		},
		"sitemap-clean": func(g *graph) string { g.pages[1].Indexable = false; return "one" },
		"canonical-targets": func(g *graph) string {
			g.page("gone", func(p *crawl.Visited) { p.Status = 410 })
			g.pages[1].Canonical = "https://a.example/gone"
			return "status 410"
		},
		"click-depth": func(g *graph) string { g.pages[2].Depth = 4; return "two" },
		"thin-pages":  func(g *graph) string { g.pages[2].Words = 10; return "two" },
		"slow-pages":  func(g *graph) string { g.pages[2].FirstByteMS = 2000; return "two" },
	}
	sound := soundSite()
	for _, check := range crawl.AuditSite(sound.pages, sound.links).Checks {
		require.Contains(t, faults, check.ID)
	}
	for id, spoil := range faults {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			g := soundSite()
			evidence := spoil(g)
			found := audit.Check{}
			for _, check := range crawl.AuditSite(g.pages, g.links).Checks {
				if check.ID == id {
					found = check
				}
			}
			require.False(t, found.Passed)
			require.Contains(t, found.Evidence, evidence)
			require.NotEmpty(t, found.Advice)
		})
	}
	require.False(t, crawl.AuditSite(nil, nil).Checks[0].Passed, "a crawl without a page has no start page")
}

func TestCopiesAreNotDuplicates(t *testing.T) {
	t.Parallel()
	g := soundSite()
	g.pages[2].Title, g.pages[2].Canonical = g.pages[1].Title, g.pages[1].URL
	for _, check := range crawl.AuditSite(g.pages, g.links).Checks {
		require.True(t, check.Passed || check.ID != "duplicate-titles")
	}
}

func TestSitemaps(t *testing.T) {
	t.Parallel()
	const urls = `<?xml version="1.0" encoding="ISO-8859-1"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
		<url><loc> https://a.example/1 </loc><lastmod>2026-01-01</lastmod></url><url><loc>https://a.example/2?a=1&amp;b=2</loc></url>`
	pages, sitemaps := crawl.ParseSitemap([]byte(urls + `</urlset>`))
	require.Equal(t, []string{" https://a.example/1 ", "https://a.example/2?a=1&b=2"}, pages)
	require.Empty(t, sitemaps)
	pages, _ = crawl.ParseSitemap([]byte(urls + `<url><loc>brok`))
	require.Len(t, pages, 2, "what came before a break counts")
	pages, sitemaps = crawl.ParseSitemap([]byte(`<sitemapindex><sitemap><loc>https://a.example/s.xml</loc></sitemap></sitemapindex>`))
	require.Empty(t, pages)
	require.Equal(t, []string{"https://a.example/s.xml"}, sitemaps)
	var packed bytes.Buffer
	packer := gzip.NewWriter(&packed)
	_, err := packer.Write([]byte(urls))
	require.NoError(t, err)
	require.NoError(t, packer.Close())
	pages, _ = crawl.ParseSitemap(packed.Bytes())
	require.Len(t, pages, 2)
	pages, _ = crawl.ParseSitemap([]byte("<urlset>" + strings.Repeat("<url><loc>x</loc></url>", 20_000)))
	require.Len(t, pages, 5000)
	pages, _ = crawl.ParseSitemap([]byte(`<!DOCTYPE x [<!ENTITY a "&a;&a;">]><urlset><url><loc>&a;</loc></url>`))
	require.Equal(t, []string{"&a;"}, pages, "no entity is expanded")
	for _, bad := range []string{"", "<", "\x1f\x8bnot gzip", "not xml"} {
		pages, sitemaps := crawl.ParseSitemap([]byte(bad))
		require.Empty(t, append(pages, sitemaps...), bad)
	}
}

func FuzzParseSitemap(f *testing.F) {
	f.Add([]byte(`<urlset><url><loc>https://a.example/</loc></url></urlset>`))
	f.Add([]byte("\x1f\x8b\x08"))
	f.Fuzz(func(t *testing.T, content []byte) {
		pages, sitemaps := crawl.ParseSitemap(content)
		require.LessOrEqual(t, len(pages)+len(sitemaps), 5000)
	})
}
