package crawl

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/engardehq/madansara/internal/onside/audit"
	"github.com/engardehq/madansara/internal/onside/crawl/crawldb"
	"github.com/engardehq/madansara/internal/onside/fetch"
	"github.com/engardehq/madansara/internal/onside/page"
	"github.com/engardehq/madansara/internal/onside/weburl"
)

// visit is what a page of a crawl was found to be.
type visit struct {
	row   crawldb.FinishPageParams
	page  *page.Page // nil for what is no HTML page
	links []string   // pages of the site that it leads to, each once
	bytes int64
	// redirects is whether the address is a redirect: links is then where to.
	redirects bool
}

// visit fetches and reads a page. Its error is ctx's: what is wrong with the page
// is part of the visit.
func (s *Service) visit(ctx context.Context, u *url.URL, delay time.Duration) (visit, error) {
	now := s.clock.Now().UTC()
	seen := visit{row: crawldb.FinishPageParams{State: "done", FetchedAt: &now, FailedChecks: []string{}}}
	response, err := s.fetcher.GetFollowing(ctx, u, s.follow(u, delay))
	if err != nil {
		failed, is := errors.AsType[*fetch.Error](err)
		if !is {
			return visit{}, fmt.Errorf("visit %s: %w", u.Redacted(), err)
		}
		if ctx.Err() != nil {
			return visit{}, ctx.Err() //nolint:wrapcheck // the job's own
		}
		seen.row.State, seen.row.Reason = "failed", failed.Error()
		seen.redirected(response)
		if fetch.IsDisallowed(err) && len(response.Hops) == 0 {
			seen.row.State = "skipped"
		}
		return seen, nil
	}
	seen.bytes = int64(len(response.Body))
	status := int32(response.Status)
	seen.row.Status, seen.row.FirstByteMs = &status, response.FirstByte.Milliseconds()
	if seen.redirected(response) {
		if weburl.SameSite(response.Final, u) {
			seen.links = []string{response.Final.String()}
		} else {
			seen.row.Reason = "it redirects to another site, which is not visited"
		}
		return seen, nil
	}
	if !response.HasContent() {
		seen.row.Reason = fmt.Sprintf("status %d has no content", response.Status)
		return seen, nil
	}
	read, err := page.Analyze(page.Source{URL: response.Final, Header: response.Header, Body: response.Body})
	if err == nil {
		seen.read(response, read)
	} else {
		seen.row.Reason = err.Error() // a picture, a PDF: visited, and nothing to read in it
	}
	return seen, nil
}

// follow says which redirects a visit follows: those within the site, each in its host's
// turn. Another site is where a crawl ends, whether a link leads there or a redirect: its
// owner asked for no crawl, and with his pages in it the crawl would be of no site. A
// redirect within the site whose host wants a long pause is left for a visit of its own,
// as a link would be.
func (s *Service) follow(u *url.URL, delay time.Duration) fetch.Follow {
	return func(ctx context.Context, next *url.URL) (bool, error) {
		if !weburl.SameSite(next, u) {
			return false, nil
		}
		gap := s.gap(ctx, next, delay)
		if gap > longestWait {
			return false, nil
		}
		return true, s.fetcher.Await(ctx, next.Host, gap)
	}
}

// redirected notes the redirects on the way, if any; their first status is the page's.
func (v *visit) redirected(response *fetch.Response) bool {
	if response == nil || len(response.Hops) == 0 {
		return false
	}
	status := int32(response.Hops[0].Status)
	v.row.Status, v.row.Hops, v.row.FinalURL = &status, int32(len(response.Hops)), response.Final.String()
	v.redirects = true
	return true
}

func (v *visit) read(response *fetch.Response, read *page.Page) {
	result := audit.Run(audit.Of(response, read))
	score := int32(result.Score)
	v.page, v.row.Score = read, &score
	for _, check := range result.Checks {
		if !check.Passed {
			v.row.FailedChecks = append(v.row.FailedChecks, check.ID)
		}
	}
	v.row.Title, v.row.Description, v.row.Canonical, v.row.Words = read.Title, read.Description, read.Canonical, int32(read.WordCount)
	noindex := slices.Contains(read.Directives, "noindex") || slices.Contains(read.Directives, "none")
	v.row.Indexable = response.Status == http.StatusOK && !noindex
	if slices.Contains(read.Directives, "nofollow") || slices.Contains(read.Directives, "none") {
		return
	}
	seen := map[string]bool{}
	for _, link := range read.Links {
		if link.Internal && !link.Nofollow && !seen[link.URL] {
			seen[link.URL] = true
			v.links = append(v.links, link.URL)
		}
	}
}
