package crawl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/internal/onside/crawl/crawldb"
	"github.com/engardehq/madansara/internal/onside/weburl"
)

// Queue is where the jobs of this package run. Its MaxWorkers bounds how many
// sites a process visits at a time.
const Queue = "crawls"

const (
	// stretch is how long one run of a crawl goes on before others get their turn.
	stretch = 20 * time.Second
	// longestWait is how long a run waits for a site's turn; for longer ones the
	// job is put off.
	longestWait = 2 * time.Second
	// frontierFactor bounds the pages that are remembered: so many times those
	// that may be visited.
	frontierFactor = 10
)

// visitArgs asks for a crawl to go on.
type visitArgs struct {
	Tenant uuid.UUID `json:"tenant"`
	Crawl  uuid.UUID `json:"crawl"`
}

// Kind names the job in the queue.
func (visitArgs) Kind() string { return "onside_crawl" }

// InsertOpts lets one job work at a crawl. A crawl ends by its limits, not by
// how often a process died under it.
func (visitArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: Queue, UniqueOpts: jobs.Once(), MaxAttempts: 1000}
}

type visitWorker struct {
	river.WorkerDefaults[visitArgs]

	service *Service
}

// RegisterWorkers adds the workers of this package's jobs.
func (s *Service) RegisterWorkers(workers *river.Workers) {
	river.AddWorker(workers, &visitWorker{service: s})
}

// Work visits pages for a stretch.
func (w *visitWorker) Work(ctx context.Context, job *river.Job[visitArgs]) error {
	s := w.service
	end := s.clock.Now().Add(stretch)
	for s.clock.Now().Before(end) && !jobs.Stopping(ctx) {
		wait, more, err := s.step(ctx, job.Args.Tenant, job.Args.Crawl)
		if err != nil || !more {
			return err
		}
		if wait > longestWait {
			return river.JobSnooze(wait)
		}
	}
	return river.JobSnooze(0)
}

// turn is the next page of a crawl.
type turn struct {
	crawl crawldb.SiteCrawl
	page  crawldb.NextPageRow
}

// step visits one page. It returns how long the site wants to be left alone
// before the next, and whether there may be one.
func (s *Service) step(ctx context.Context, tenant, id uuid.UUID) (wait time.Duration, more bool, err error) {
	next, err := s.next(ctx, tenant, id)
	if err != nil || next == nil {
		return 0, false, err
	}
	u, err := weburl.Parse(next.page.URL)
	if err != nil {
		return 0, false, fmt.Errorf("page of a crawl: %w", err) // it was normalised when it was queued
	}
	if next.crawl.UseSitemap && !next.crawl.SitemapRead {
		return 0, true, s.readSitemap(ctx, tenant, next.crawl)
	}
	delay := time.Duration(next.crawl.DelayMs) * time.Millisecond
	gap := s.gap(ctx, u, delay)
	if gap <= longestWait {
		if err := s.fetcher.Await(ctx, u.Host, gap); err != nil {
			return 0, false, err
		}
	}
	seen, err := s.visit(ctx, u, delay)
	if err != nil {
		return 0, false, err
	}
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		return s.recordTx(ctx, tx, *next, seen)
	})
	if err != nil {
		return 0, false, fmt.Errorf("record a visit of %s: %w", u.Redacted(), err)
	}
	return gap, true, nil
}

// gap is how long a host is left alone between two pages.
func (s *Service) gap(ctx context.Context, u *url.URL, delay time.Duration) time.Duration {
	file, err := s.fetcher.RobotsOf(ctx, u)
	if err != nil {
		return delay // the visit will tell
	}
	return max(delay, file.Rules.Delay)
}

// next returns the page to visit, nil when the crawl has ended or ends now.
func (s *Service) next(ctx context.Context, tenant, id uuid.UUID) (next *turn, err error) {
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		queries := crawldb.New(tx)
		row, err := queries.LockCrawl(ctx, id)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // deleted
		}
		if err != nil || row.Status != "queued" && row.Status != "running" {
			return err
		}
		now := s.clock.Now().UTC()
		if row.Status == "queued" {
			if err := queries.StartCrawl(ctx, crawldb.StartCrawlParams{CrawlUUID: id, StartedAt: &now}); err != nil {
				return err
			}
			row.StartedAt = &now
		}
		ended, err := s.ended(ctx, queries, row, now)
		if err != nil {
			return err
		}
		found, err := queries.NextPage(ctx, id)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return s.finishTx(ctx, queries, row, "frontier", now)
		case err != nil:
			return err
		case ended != "":
			return s.finishTx(ctx, queries, row, ended, now)
		}
		next = &turn{crawl: row, page: found}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("go on with crawl %s: %w", id, err)
	}
	return next, nil
}

// ended names the limit that a crawl has met, "" for none.
func (s *Service) ended(ctx context.Context, queries *crawldb.Queries, row crawldb.SiteCrawl, now time.Time) (string, error) {
	counts, err := queries.CountPages(ctx, row.CrawlUUID)
	if err != nil {
		return "", err
	}
	visited := int64(0)
	for _, c := range counts {
		if c.State == "done" || c.State == "failed" {
			visited += c.Count
		}
	}
	switch {
	case visited >= int64(row.MaxPages):
		return "pages", nil
	case row.Bytes >= row.MaxBytes:
		return "bytes", nil
	case now.Sub(*row.StartedAt) >= time.Duration(row.MaxSeconds)*time.Second:
		return "time", nil
	}
	return "", nil
}

// finishTx ends a crawl and audits its site.
func (s *Service) finishTx(ctx context.Context, queries *crawldb.Queries, row crawldb.SiteCrawl, by string, now time.Time) error {
	if err := queries.SkipQueued(ctx, crawldb.SkipQueuedParams{CrawlUUID: row.CrawlUUID, Reason: "the crawl's limit of " + by + " was met"}); err != nil {
		return err
	}
	rows, err := queries.VisitedPages(ctx, row.CrawlUUID)
	if err != nil {
		return err
	}
	linked, err := queries.ListLinks(ctx, row.CrawlUUID)
	if err != nil {
		return err
	}
	pages, links := make([]Visited, 0, len(rows)), make([]Link, 0, len(linked))
	for _, p := range rows {
		visited := Visited{
			UUID: p.PageUUID, URL: p.URL, Failed: p.State == "failed", FinalURL: p.FinalURL, Hops: int(p.Hops), Title: p.Title, Description: p.Description,
			Canonical: p.Canonical, Words: int(p.Words), Indexable: p.Indexable, InSitemap: p.InSitemap, Depth: int(p.Depth), FirstByteMS: p.FirstByteMs,
		}
		if p.Status != nil {
			visited.Status = int(*p.Status)
		}
		pages = append(pages, visited)
	}
	for _, l := range linked {
		links = append(links, Link{From: l.FromPage, To: l.ToPage})
	}
	result := AuditSite(pages, links)
	checks, err := json.Marshal(result.Checks)
	if err != nil {
		return fmt.Errorf("encode an audit: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("make an id: %w", err)
	}
	faults, warnings := result.Failed()
	err = queries.InsertSiteAudit(ctx, crawldb.InsertSiteAuditParams{
		TenantUUID: row.TenantUUID, AuditUUID: id, URL: row.StartURL, CrawlUUID: &row.CrawlUUID, Score: int32(result.Score),
		Errors: int32(faults), Warnings: int32(warnings), Checks: checks, CreatedAt: now,
	})
	if err != nil {
		return err
	}
	return queries.EndCrawl(ctx, crawldb.EndCrawlParams{CrawlUUID: row.CrawlUUID, Status: "done", EndedBy: &by, FinishedAt: &now})
}

// readSitemap queues the pages of the site's sitemap.
func (s *Service) readSitemap(ctx context.Context, tenant uuid.UUID, crawl crawldb.SiteCrawl) error {
	start, err := weburl.Parse(crawl.StartURL)
	if err != nil {
		return fmt.Errorf("start of a crawl: %w", err) // it was normalised when it was kept
	}
	pages, err := s.sitemapPages(ctx, start, time.Duration(crawl.DelayMs)*time.Millisecond, frontierFactor*int(crawl.MaxPages)/2)
	if err != nil {
		return fmt.Errorf("read the sitemap of %s: %w", start.Host, err)
	}
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		queries := crawldb.New(tx)
		if crawl.MaxDepth > 0 {
			if err := queuePages(ctx, queries, tenant, crawl.CrawlUUID, pages, 1, true); err != nil {
				return err
			}
		}
		if err := queries.MarkInSitemap(ctx, crawldb.MarkInSitemapParams{CrawlUUID: crawl.CrawlUUID, Urls: pages}); err != nil {
			return err
		}
		return queries.SitemapRead(ctx, crawl.CrawlUUID)
	})
	if err != nil {
		return fmt.Errorf("queue the sitemap of %s: %w", start.Host, err)
	}
	return nil
}

// recordTx keeps a visit and queues where it leads. A crawl that was cancelled
// meanwhile keeps nothing.
func (s *Service) recordTx(ctx context.Context, tx engardedb.Tx, t turn, seen visit) error {
	queries := crawldb.New(tx)
	row, err := queries.LockCrawl(ctx, t.crawl.CrawlUUID)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && row.Status != "running" {
		return nil
	}
	if err != nil {
		return err
	}
	seen.row.CrawlUUID, seen.row.PageUUID = row.CrawlUUID, t.page.PageUUID
	finished, err := queries.FinishPage(ctx, seen.row)
	if err != nil || finished == 0 {
		return err // another process was here before
	}
	if err := queries.AddBytes(ctx, crawldb.AddBytesParams{CrawlUUID: row.CrawlUUID, More: seen.bytes}); err != nil {
		return err
	}
	if err := s.queueLinks(ctx, queries, row, t, seen); err != nil {
		return err
	}
	if row.BacklinksTo != "" && seen.page != nil {
		return s.backlinks.FoundTx(ctx, tx, t.page.URL, seen.page, row.BacklinksTo)
	}
	return nil
}

func (s *Service) queueLinks(ctx context.Context, queries *crawldb.Queries, row crawldb.SiteCrawl, t turn, seen visit) error {
	counts, err := queries.CountPages(ctx, row.CrawlUUID)
	if err != nil {
		return err
	}
	room := int64(frontierFactor) * int64(row.MaxPages)
	for _, c := range counts {
		room -= c.Count
	}
	depth := int(t.page.Depth)
	if !seen.redirects {
		depth++
	}
	if depth <= int(row.MaxDepth) {
		urls := seen.links[:max(0, min(len(seen.links), int(room)))]
		if err := queuePages(ctx, queries, row.TenantUUID, row.CrawlUUID, slices.Clone(urls), depth, false); err != nil {
			return err
		}
	}
	return queries.LinkPages(ctx, crawldb.LinkPagesParams{FromPage: t.page.PageUUID, CrawlUUID: row.CrawlUUID, Urls: seen.links})
}
