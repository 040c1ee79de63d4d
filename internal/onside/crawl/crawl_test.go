package crawl_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/onside/backlink"
	"github.com/engardehq/madansara/internal/onside/crawl"
	"github.com/engardehq/madansara/internal/onside/onsidetest"
	"github.com/engardehq/madansara/internal/onside/seo"
)

type bundle struct {
	web       *onsidetest.Web
	clock     *clockwork.FakeClock
	crawls    *crawl.Service
	tenant    uuid.UUID
	me, other onsidetest.Caller
}

// setup returns crawls whose jobs run when work is true; else the test steps.
func setup(t *testing.T, work bool) bundle {
	t.Helper()
	url, db := dbtest.App(t, "onside_app")
	clock := clockwork.NewFakeClockAt(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	b := bundle{web: onsidetest.NewWeb(t), clock: clock, tenant: dbtest.Tenant(t, url)}
	b.crawls = newService(t, db, clock, work)
	fetcher := onsidetest.Fetcher(t, clock)
	api := onsidetest.NewAPI(b.crawls.Register, seo.New(db, clock, fetcher).Register, backlink.New(db, clock, fetcher).Register)
	b.me, b.other = api.As(t, b.tenant), api.As(t, dbtest.Tenant(t, url))
	return b
}

func newService(t *testing.T, db *engardedb.DB, clock clockwork.Clock, work bool) *crawl.Service {
	t.Helper()
	fetcher := onsidetest.Fetcher(t, clock)
	service := crawl.New(db, clock, fetcher, backlink.New(db, clock, fetcher))
	service.UseQueue(onsidetest.Queue(t, db, work, func(workers *river.Workers) { service.RegisterWorkers(workers) }, crawl.Queue))
	return service
}

func (b bundle) start(t *testing.T, path string, more map[string]any) crawl.Crawl {
	t.Helper()
	body := map[string]any{"url": b.web.URL("a.example", path), "delay_ms": 0}
	maps.Copy(body, more)
	var started crawl.Crawl
	b.me.Want(202, "POST", "/api/v1/seo/crawls", body, &started)
	require.Contains(t, []string{"queued", "running"}, started.Status, "the job may be quicker than the answer")
	return started
}

func (b bundle) get(id uuid.UUID) (c crawl.Crawl) {
	b.me.Want(200, "GET", "/api/v1/seo/crawls/"+id.String(), nil, &c)
	return c
}

func (b bundle) pages(id uuid.UUID) map[string]crawl.Page {
	var list struct{ Pages []crawl.Page }
	b.me.Want(200, "GET", "/api/v1/seo/crawls/"+id.String()+"/pages?limit=500", nil, &list)
	pages := map[string]crawl.Page{}
	for _, p := range list.Pages {
		pages[p.URL[strings.LastIndex(p.URL, "/"):]] = p
	}
	return pages
}

// work steps until the crawl ends.
func (b bundle) work(t *testing.T, id uuid.UUID) {
	t.Helper()
	for range 1000 {
		_, more, err := crawl.Step(b.crawls, t.Context(), b.tenant, id)
		require.NoError(t, err)
		if !more {
			return
		}
	}
	require.Fail(t, "the crawl does not end")
}

// smallSite has every fault that a crawl can see.
func smallSite(w *onsidetest.Web) {
	html := func(path, title, body string) {
		w.HTML("a.example", path, "<!doctype html><html lang=en><title>"+title+"</title><body>"+body)
	}
	w.Text("a.example", "/robots.txt", 200, "User-agent: *\nDisallow: /private\nSitemap: http://a.example:%PORT%/map.xml")
	w.Text("a.example", "/map.xml", 200, `<urlset><url><loc>http://a.example:%PORT%/one</loc></url><url><loc>http://a.example:%PORT%/orphan</loc></url><url><loc>http://b.example/other</loc></url></urlset>`)
	html("/", "Home", `<a href=/one>One</a> <a href=/two>Two</a> <a href=/gone>Gone</a> <a href=/old>Old</a> <a href=/private>Private</a> <a href=/file.pdf>File</a> <a href=/void>Void</a>
		<a href=http://shop.example/oil>Oil</a> <a rel=nofollow href=/hidden>Hidden</a>`)
	html("/one", "Same title", `<a href=/>Home</a> <a href=/error>Error</a>`)
	html("/two", "Same title", `<a href=/one#part>One</a>`)
	html("/orphan", "Orphan", `nobody links here`)
	html("/final", "Final", `the end`)
	w.Redirect("a.example", "/old", 301, "/older")
	w.Redirect("a.example", "/older", 301, "/final")
	w.Text("a.example", "/error", 500, "broken")
	w.Text("a.example", "/file.pdf", 200, "%PDF")
	w.Handle("a.example", "/void", func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", "text/html")
		out.WriteHeader(http.StatusNoContent)
	})
	w.HTML("a.example", "/private", "secret")
}

func TestASiteIsCrawledAndAudited(t *testing.T) {
	t.Parallel()
	b := setup(t, true)
	smallSite(b.web)
	started := b.start(t, "/", map[string]any{"backlinks_to": "shop.example"})
	require.Eventually(t, func() bool { return b.get(started.UUID).Status == "done" }, time.Minute, 50*time.Millisecond)
	done := b.get(started.UUID)
	require.Equal(t, "frontier", done.EndedBy)
	require.Positive(t, done.Bytes)
	require.Zero(t, done.Queued)
	pages := b.pages(started.UUID)
	for path, want := range map[string]string{
		"/": "done 200", "/one": "done 200", "/two": "done 200", "/orphan": "done 200", "/gone": "done 404", "/old": "done 301", "/final": "done 200",
		"/error": "done 500", "/file.pdf": "done 200", "/void": "done 204",
	} {
		require.Contains(t, pages, path)
		require.Equal(t, want, fmt.Sprintf("%s %d", pages[path].State, *pages[path].Status), path)
	}
	require.Equal(t, "skipped", pages["/private"].State)
	require.Contains(t, pages["/private"].Reason, "robots.txt")
	require.NotContains(t, pages, "/hidden", "nofollow")
	require.Contains(t, pages["/void"].Reason, "no content")
	require.Len(t, pages, 11)
	require.Zero(t, b.web.Hits("a.example", "/private"))
	require.Equal(t, 2, pages["/old"].Redirects)
	require.True(t, pages["/one"].InSitemap)
	require.Equal(t, 1, pages["/one"].Depth)
	require.Contains(t, pages["/one"].FailedChecks, "description")

	var stored seo.StoredAudit
	b.me.Want(200, "GET", "/api/v1/seo/audits/"+done.AuditUUID.String(), nil, &stored)
	require.Equal(t, "site", stored.Kind)
	require.Equal(t, *done.Score, stored.Score)
	failed := map[string]string{}
	for _, check := range stored.Checks {
		if !check.Passed {
			failed[check.ID] = check.Evidence
		}
	}
	for id, evidence := range map[string]string{
		"broken-links": "/gone", "duplicate-titles": "/two", "orphan-pages": "/orphan", "redirect-chains": "/old takes 2", "server-errors": "/error", "thin-pages": "/one",
	} {
		require.Contains(t, failed[id], evidence, id)
	}

	var backlinks struct{ Backlinks []backlink.Stored }
	b.me.Want(200, "GET", "/api/v1/seo/backlinks?site=shop.example", nil, &backlinks)
	require.Len(t, backlinks.Backlinks, 1)
	require.Equal(t, "http://shop.example/oil", backlinks.Backlinks[0].TargetURL)
	require.Equal(t, "live", backlinks.Backlinks[0].Status)

	b.other.Want(404, "GET", "/api/v1/seo/crawls/"+started.UUID.String(), nil, nil)
	b.other.Want(404, "GET", "/api/v1/seo/crawls/"+started.UUID.String()+"/pages", nil, nil)
	b.other.Want(404, "POST", "/api/v1/seo/crawls/"+started.UUID.String()+"/cancel", nil, nil)
	b.other.Want(404, "DELETE", "/api/v1/seo/crawls/"+started.UUID.String(), nil, nil)
	b.me.Want(409, "POST", "/api/v1/seo/crawls/"+started.UUID.String()+"/cancel", nil, nil)
	b.me.Want(204, "DELETE", "/api/v1/seo/crawls/"+started.UUID.String(), nil, nil)
	b.me.Want(404, "GET", "/api/v1/seo/audits/"+done.AuditUUID.String(), nil, nil)
}

// TestAKilledCrawlGoesOn ends the process in the middle of a page: what it was at
// is fetched again by another, and nothing that was done is done twice.
func TestAKilledCrawlGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t, false)
	for i := range 6 {
		b.web.HTML("a.example", fmt.Sprintf("/%d", i), fmt.Sprintf("<title>%d</title><a href=/%d>next</a>", i, i+1))
	}
	reached := make(chan struct{})
	b.web.Handle("a.example", "/3", func(_ http.ResponseWriter, r *http.Request) {
		close(reached)
		<-r.Context().Done()
	})
	started := b.start(t, "/0", map[string]any{"use_sitemap": false, "max_depth": 10})
	ctx, kill := context.WithCancel(t.Context())
	for range 3 {
		_, more, err := crawl.Step(b.crawls, ctx, b.tenant, started.UUID)
		require.NoError(t, err)
		require.True(t, more)
	}
	ended := make(chan error, 1)
	go func() {
		_, _, err := crawl.Step(b.crawls, ctx, b.tenant, started.UUID)
		ended <- err
	}()
	<-reached
	kill()
	require.Error(t, <-ended)
	b.web.HTML("a.example", "/3", "<title>3</title><a href=/4>next</a>")
	b.work(t, started.UUID)
	require.Equal(t, "done", b.get(started.UUID).Status)
	for i := range 6 {
		want := 1
		if i == 3 {
			want = 2
		}
		require.Equal(t, want, b.web.Hits("a.example", fmt.Sprintf("/%d", i)), i)
	}
	require.Len(t, b.pages(started.UUID), 7)
}

func TestLimitsEndACrawl(t *testing.T) {
	t.Parallel()
	b := setup(t, false)
	// A site without end: every page links to ten others.
	b.web.HTML("a.example", "/", endless("/"))
	for _, path := range paths("/", 3) {
		b.web.HTML("a.example", path, endless(path))
	}
	for name, test := range map[string]struct {
		limit   map[string]any
		by      string
		visited int
	}{
		"pages": {map[string]any{"max_pages": 7}, "pages", 7},
		"depth": {map[string]any{"max_depth": 1}, "frontier", 11},
		"bytes": {map[string]any{"max_bytes": 1000}, "bytes", 4},
	} {
		limit := test.limit
		limit["use_sitemap"] = false
		started := b.start(t, "/", limit)
		b.work(t, started.UUID)
		c := b.get(started.UUID)
		require.Equal(t, test.by, c.EndedBy, name)
		require.LessOrEqual(t, c.Done+c.Failed, test.visited+3, name)
		require.GreaterOrEqual(t, c.Done+c.Failed, min(test.visited, 3), name)
	}
	started := b.start(t, "/", map[string]any{"max_seconds": 10, "use_sitemap": false})
	for range 3 {
		_, more, err := crawl.Step(b.crawls, t.Context(), b.tenant, started.UUID)
		require.NoError(t, err)
		require.True(t, more)
	}
	b.clock.Advance(11 * time.Second)
	b.work(t, started.UUID)
	require.Equal(t, "time", b.get(started.UUID).EndedBy)
	require.Positive(t, b.get(started.UUID).Skipped)
}

func endless(path string) string {
	var out strings.Builder
	out.WriteString("<title>" + path + "</title>")
	for i := range 10 {
		fmt.Fprintf(&out, "<a href='%s%d'>page %d</a> ", path, i, i)
	}
	return out.String()
}

func paths(from string, depth int) (all []string) {
	if depth == 0 {
		return nil
	}
	for i := range 10 {
		path := fmt.Sprintf("%s%d", from, i)
		all = append(append(all, path), paths(path, depth-1)...)
	}
	return all
}

func TestACrawlIsCancelled(t *testing.T) {
	t.Parallel()
	b := setup(t, false)
	smallSite(b.web)
	started := b.start(t, "/", nil)
	for range 3 {
		_, _, err := crawl.Step(b.crawls, t.Context(), b.tenant, started.UUID)
		require.NoError(t, err)
	}
	b.me.Want(409, "DELETE", "/api/v1/seo/crawls/"+started.UUID.String(), nil, nil)
	b.me.Want(200, "POST", "/api/v1/seo/crawls/"+started.UUID.String()+"/cancel", nil, nil)
	done := b.get(started.UUID)
	_, more, err := crawl.Step(b.crawls, t.Context(), b.tenant, started.UUID)
	require.NoError(t, err)
	require.False(t, more)
	require.Equal(t, "cancelled", b.get(started.UUID).Status)
	require.Equal(t, done.Done, b.get(started.UUID).Done)
	require.Zero(t, b.get(started.UUID).Queued)
}

func TestTheSiteSetsThePace(t *testing.T) {
	t.Parallel()
	b := setup(t, false)
	b.web.Text("a.example", "/robots.txt", 200, "User-agent: *\nCrawl-delay: 30")
	b.web.HTML("a.example", "/", "<a href=/x>x</a>")
	started := b.start(t, "/", map[string]any{"use_sitemap": false})
	wait, more, err := crawl.Step(b.crawls, t.Context(), b.tenant, started.UUID)
	require.NoError(t, err)
	require.True(t, more)
	require.Equal(t, 30*time.Second, wait)
}

func TestStartsAreChecked(t *testing.T) {
	t.Parallel()
	b := setup(t, false)
	for _, body := range []map[string]any{
		{"url": "ftp://a.example"},
		{"url": ""},
		{"url": "http://a.example", "max_pages": 501},
		{"url": "http://a.example", "delay_ms": -1},
		{"url": "http://a.example", "backlinks_to": "not a site"},
	} {
		b.me.Want(422, "POST", "/api/v1/seo/crawls", body, nil)
	}
	for range 3 {
		b.start(t, "/", nil)
	}
	b.me.Want(409, "POST", "/api/v1/seo/crawls", map[string]any{"url": "http://a.example"}, nil)
	// What may not be reached is a crawl whose only page failed.
	var list struct {
		Crawls     []crawl.Crawl `json:"crawls"`
		NextCursor string        `json:"next_cursor"`
	}
	b.me.Want(200, "GET", "/api/v1/seo/crawls?limit=2", nil, &list)
	require.Len(t, list.Crawls, 2)
	b.me.Want(200, "GET", "/api/v1/seo/crawls?limit=2&cursor="+list.NextCursor, nil, &list)
	require.Len(t, list.Crawls, 1)
	inside := list.Crawls[0].UUID
	b.me.Want(200, "POST", "/api/v1/seo/crawls/"+inside.String()+"/cancel", nil, nil)
	var started crawl.Crawl
	b.me.Want(202, "POST", "/api/v1/seo/crawls", map[string]any{"url": "http://10.0.0.1/", "delay_ms": 0}, &started)
	b.work(t, started.UUID)
	c := b.get(started.UUID)
	require.Equal(t, []int{0, 1}, []int{c.Done, c.Failed})
	require.Less(t, *c.Score, 100)
}

// TestARedirectToAnotherSiteEndsThere: its owner asked for no crawl.
func TestARedirectToAnotherSiteEndsThere(t *testing.T) {
	t.Parallel()
	b := setup(t, false)
	b.web.HTML("a.example", "/", "<a href=/out>out</a> <a href=/around>around</a>")
	b.web.Redirect("a.example", "/around", 302, "/out")
	b.web.Redirect("a.example", "/out", 301, b.web.URL("b.example", "/shop"))
	b.web.HTML("b.example", "/shop", "<a href=/more>more</a>")
	started := b.start(t, "/", map[string]any{"use_sitemap": false})
	b.work(t, started.UUID)
	pages := b.pages(started.UUID)
	require.Len(t, pages, 3)
	for path, hops := range map[string]int{"/out": 1, "/around": 2} {
		page := pages[path]
		require.Equal(t, "done", page.State, path)
		require.Equal(t, hops, page.Redirects, path)
		require.Equal(t, b.web.URL("b.example", "/shop"), page.FinalURL, path)
		require.Contains(t, page.Reason, "another site", path)
	}
	require.Zero(t, b.web.Hits("b.example", "/shop"))
	require.Zero(t, b.web.Hits("b.example", "/robots.txt"), "nor is it asked whether it might be")
}

func TestARedirectWithinTheSiteWaitsItsTurn(t *testing.T) {
	t.Parallel()
	b := setup(t, false)
	b.web.Redirect("a.example", "/", 301, b.web.URL("www.a.example", "/old"))
	b.web.Redirect("www.a.example", "/old", 301, "/final")
	b.web.HTML("www.a.example", "/final", "the end")
	started := b.start(t, "/", map[string]any{"use_sitemap": false, "delay_ms": 1000})
	stepped := make(chan error, 1)
	go func() {
		_, _, err := crawl.Step(b.crawls, t.Context(), b.tenant, started.UUID)
		stepped <- err
	}()
	require.NoError(t, b.clock.BlockUntilContext(t.Context(), 1))
	require.Equal(t, 1, b.web.Hits("www.a.example", "/old"), "another host has its own turn")
	require.Zero(t, b.web.Hits("www.a.example", "/final"), "the same host is left alone between two pages")
	b.clock.Advance(time.Second)
	require.NoError(t, <-stepped)
	require.Equal(t, 1, b.web.Hits("www.a.example", "/final"))
	require.Equal(t, 2, b.pages(started.UUID)["/"].Redirects)
}

// TestALongPauseIsKeptBetweenRedirects: each is then a visit of its own, and the chain is known all the same.
func TestALongPauseIsKeptBetweenRedirects(t *testing.T) {
	t.Parallel()
	b := setup(t, false)
	b.web.Text("a.example", "/robots.txt", 200, "User-agent: *\nCrawl-delay: 30")
	b.web.HTML("a.example", "/", "<a href=/old>old</a>")
	b.web.Redirect("a.example", "/old", 301, "/older")
	b.web.Redirect("a.example", "/older", 301, "/final")
	b.web.HTML("a.example", "/final", "the end")
	started := b.start(t, "/", map[string]any{"use_sitemap": false})
	step := func() {
		wait, more, err := crawl.Step(b.crawls, t.Context(), b.tenant, started.UUID)
		require.NoError(t, err)
		require.True(t, more)
		require.Equal(t, 30*time.Second, wait)
	}
	step()
	step()
	require.Zero(t, b.web.Hits("a.example", "/older"))
	step()
	require.Zero(t, b.web.Hits("a.example", "/final"))
	b.work(t, started.UUID)
	require.Equal(t, 1, b.pages(started.UUID)["/old"].Redirects)
	var stored seo.StoredAudit
	b.me.Want(200, "GET", "/api/v1/seo/audits/"+b.get(started.UUID).AuditUUID.String(), nil, &stored)
	evidence := ""
	for _, check := range stored.Checks {
		if check.ID == "redirect-chains" {
			evidence = check.Evidence
		}
	}
	require.Contains(t, evidence, "/old takes 2 redirects")
}
