package backlink_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/onside/backlink"
	"github.com/engardehq/madansara/internal/onside/onsidetest"
)

type bundle struct {
	web       *onsidetest.Web
	clock     *clockwork.FakeClock
	me, other onsidetest.Caller
}

func setup(t *testing.T) bundle {
	t.Helper()
	address, db := dbtest.App(t, "onside_app")
	clock := clockwork.NewFakeClockAt(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	service := backlink.New(db, clock, onsidetest.Fetcher(t, clock))
	service.UseQueue(onsidetest.Queue(t, db, true, func(workers *river.Workers) { service.RegisterWorkers(workers) }, backlink.Queue))
	api := onsidetest.NewAPI(service.Register)
	return bundle{
		web: onsidetest.NewWeb(t), clock: clock,
		me: api.As(t, dbtest.Tenant(t, address)), other: api.As(t, dbtest.Tenant(t, address)),
	}
}

func (b bundle) list(query string) map[string]backlink.Stored {
	var list struct{ Backlinks []backlink.Stored }
	b.me.Want(200, "GET", "/api/v1/seo/backlinks?site=shop.example"+query, nil, &list)
	links := map[string]backlink.Stored{}
	for _, l := range list.Backlinks {
		u, err := url.Parse(l.SourceURL)
		if err != nil {
			panic(err) // it is an address that was normalised
		}
		links[u.Hostname()+u.Path] = l
	}
	return links
}

func (b bundle) changes() (c backlink.Changes) {
	now := b.clock.Now()
	b.me.Want(200, "GET", fmt.Sprintf("/api/v1/seo/backlinks/changes?site=shop.example&from=%s&to=%s",
		now.Add(-48*time.Hour).Format(time.RFC3339), now.Add(time.Hour).Format(time.RFC3339)), nil, &c)
	return c
}

// check runs a check to its end. A minute has passed since the one before.
func (b bundle) check(t *testing.T, known int) {
	t.Helper()
	b.clock.Advance(time.Minute)
	begin := b.clock.Now()
	answer := b.me.Want(202, "POST", "/api/v1/seo/backlinks/check", map[string]any{"site": "shop.example"}, nil)
	require.EqualValues(t, known, answer.Body["known"])
	require.Eventually(t, func() bool {
		for _, l := range b.list("") {
			if l.LastCheckedAt == nil || l.LastCheckedAt.Before(begin) {
				b.clock.Advance(time.Second) // the next host's turn
				return false
			}
		}
		return true
	}, time.Minute, 20*time.Millisecond)
}

func TestImports(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const path = "/api/v1/seo/backlinks/import?site=shop.example"
	file := "Referring page URL,Target URL,Anchor,Nofollow,First seen\n" +
		"https://blog.example/oils,https://www.shop.example/oil,castor oil,false,2026-01-05 10:00\n" + // 2
		"https://forum.example/t/1,https://shop.example/,here,true,2026-01-06\n" + // 3
		"https://shop.example/own,https://shop.example/,own,false,2026-01-06\n" + // 4: of the site itself
		"https://blog.example/oils,https://other.example/,x,false,2026-01-06\n" + // 5: to another site
		"not an address,https://shop.example/,x,false,\n" + // 6
		"https://blog.example/oils,https://www.shop.example/oil,again,false,\n" + // 7: as 2
		"https://late.example/,https://shop.example/,x,false,2999-01-01\n" // 8
	var out backlink.Outcome
	b.me.Want(200, "POST", path, file, &out)
	lines := []int{}
	for _, bad := range out.Errors {
		lines = append(lines, bad.Line)
	}
	require.Equal(t, []int{4, 5, 6, 7, 8}, lines)
	require.Equal(t, []int{2, 0, 5}, []int{out.Imported, out.Known, out.Rejected})
	b.me.Want(200, "POST", path, file, &out)
	require.Equal(t, []int{0, 2}, []int{out.Imported, out.Known})
	b.me.Want(200, "POST", path, "Linking page,Last crawled\nhttps://news.example/a,2026-02-01\n", &out)
	require.Equal(t, 1, out.Imported, "Search Console's form, which does not name the linked page")
	links := b.list("")
	require.Len(t, links, 3)
	forum := links["forum.example/t/1"]
	require.Equal(t, []string{"nofollow", "unchecked", "import", "here", "forum.example"}, []string{forum.Rel, forum.Status, forum.Origin, forum.Anchor, forum.SourceDomain})
	require.Equal(t, "2026-01-06", forum.FirstSeenAt.Format(time.DateOnly))
	var c backlink.Changes
	b.me.Want(200, "GET", "/api/v1/seo/backlinks/changes?site=shop.example&from=2026-01-01T00:00:00Z&to=2026-01-06T00:00:00Z", nil, &c)
	require.Equal(t, 1, c.New, "of the period")

	one := map[string]any{"source_url": "https://b.example/", "target_url": "https://shop.example/"}
	body := func(links ...any) map[string]any { return map[string]any{"site": "shop.example", "backlinks": links} }
	b.me.Want(422, "POST", "/api/v1/seo/backlinks", body(one, one), nil)
	b.me.Want(422, "POST", "/api/v1/seo/backlinks", body(one, map[string]any{"source_url": "x"}), nil)
	require.Len(t, b.list(""), 3, "all or none")
	b.me.Want(200, "POST", "/api/v1/seo/backlinks", body(one), nil)
	b.me.Want(422, "POST", path, "no,such,columns\n", nil)
	b.me.Want(422, "GET", "/api/v1/seo/backlinks/changes?site=shop.example&from=2026-01-06T00:00:00Z&to=2026-01-06T00:00:00Z", nil, nil)

	var list struct{ Backlinks []backlink.Stored }
	b.other.Want(200, "GET", "/api/v1/seo/backlinks", nil, &list)
	require.Empty(t, list.Backlinks)
	b.other.Want(404, "DELETE", "/api/v1/seo/backlinks/"+forum.UUID.String(), nil, nil)
	b.me.Want(204, "DELETE", "/api/v1/seo/backlinks/"+forum.UUID.String(), nil, nil)
	b.me.Want(404, "DELETE", "/api/v1/seo/backlinks/"+uuid.NewString(), nil, nil)
	b.other.Want(202, "POST", "/api/v1/seo/backlinks/check", map[string]any{"site": "shop.example"}, nil)
}

func TestChecksTellWhatCameAndWent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	link := `<a href="http://shop.example:%PORT%/oil" rel="ugc">Oil</a>`
	b.web.HTML("stays.example", "/", link+`<a href="http://shop.example:%PORT%/more">More</a>`)
	b.web.HTML("goes.example", "/", link)
	b.web.HTML("deleted.example", "/", link)
	b.web.HTML("away.example", "/", link)
	b.web.HTML("anywhere.example", "/", link)
	links := []any{map[string]any{"source_url": b.web.URL("anywhere.example", "/")}}
	for _, host := range []string{"stays.example", "goes.example", "deleted.example", "away.example", "never.example"} {
		links = append(links, map[string]any{"source_url": b.web.URL(host, "/"), "target_url": b.web.URL("shop.example", "/oil")})
	}
	b.web.HTML("never.example", "/", "no link")
	b.me.Want(200, "POST", "/api/v1/seo/backlinks", map[string]any{"site": "shop.example", "backlinks": links}, nil)
	require.Equal(t, 6, b.changes().New)

	b.check(t, 6)
	require.Equal(t, []int{7, 1, 0}, counts(b.changes()), "one link more was found on the pages that were looked at")
	statuses := b.list("&status=live")
	require.Len(t, statuses, 5)
	require.Equal(t, b.web.URL("shop.example", "/oil"), statuses["anywhere.example/"].TargetURL, "found out")
	require.Equal(t, "ugc", b.list("")["goes.example/"].Rel, "the page's own word")
	require.Equal(t, "lost", b.list("")["never.example/"].Status)

	b.web.HTML("goes.example", "/", "the link is gone")
	b.web.Remove("deleted.example", "/")
	b.web.Text("away.example", "/", http.StatusServiceUnavailable, "")
	b.check(t, 7)
	require.Equal(t, []int{7, 3, 0}, counts(b.changes()))
	require.Equal(t, "unreachable", b.list("")["away.example/"].Status)
	require.Equal(t, "lost", b.list("")["goes.example/"].Status)

	b.web.HTML("goes.example", "/", link)
	b.check(t, 7)
	b.check(t, 7)
	require.Equal(t, []int{7, 4, 1}, counts(b.changes()))
	require.Equal(t, "lost", b.list("")["away.example/"].Status, "after three failures")
	require.Equal(t, "live", b.list("")["goes.example/"].Status)
	b.check(t, 7)
	require.Equal(t, []int{7, 4, 1}, counts(b.changes()), "what is lost is lost once")
}

func counts(c backlink.Changes) []int { return []int{c.New, c.Lost, c.Regained} }

func FuzzParseCSV(f *testing.F) {
	f.Add([]byte("source_url,target_url,first_seen\nhttps://a.example/,https://shop.example/,2026-01-01\n"))
	f.Add([]byte("Linking page\n\"x"))
	latest := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, content []byte) {
		links, _, err := backlink.ParseCSV(content, "shop.example", latest)
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, link := range links {
			require.NotEmpty(t, link.Source)
			require.False(t, link.FirstSeen.After(latest))
			require.False(t, seen[link.Source+" "+link.Target])
			seen[link.Source+" "+link.Target] = true
		}
	})
}
