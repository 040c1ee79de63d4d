package crawl

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"
	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/onside/crawl/crawldb"
	"github.com/engardehq/madansara/internal/onside/fetch"
	"github.com/engardehq/madansara/internal/onside/page"
	"github.com/engardehq/madansara/internal/onside/weburl"
)

// Enqueuer adds jobs in the tenant's transaction; *jobs.Queue is one.
type Enqueuer interface {
	Enqueue(ctx context.Context, tx engardedb.Tx, args river.JobArgs, opts *river.InsertOpts) error
}

// Backlinks keeps the links from a crawled page to a site of the tenant.
type Backlinks interface {
	FoundTx(ctx context.Context, tx engardedb.Tx, source string, p *page.Page, site string) error
}

// Service starts, works and tells of crawls.
type Service struct {
	db        *engardedb.DB
	clock     clockwork.Clock
	fetcher   *fetch.Fetcher
	backlinks Backlinks
	queue     Enqueuer
}

// New returns a Service on db that visits pages with fetcher and gives the
// backlinks that it finds to backlinks. Set its queue with UseQueue before its
// API is called.
func New(db *engardedb.DB, clock clockwork.Clock, fetcher *fetch.Fetcher, backlinks Backlinks) *Service {
	return &Service{db: db, clock: clock, fetcher: fetcher, backlinks: backlinks}
}

// UseQueue sets where jobs are added: the queue is made after the workers are
// known, which need the Service.
func (s *Service) UseQueue(queue Enqueuer) { s.queue = queue }

// mostActive is how many crawls of a tenant may wait or run at a time.
const mostActive = 3

// Limits end a crawl.
type Limits struct {
	MaxPages   int   `json:"max_pages"`
	MaxDepth   int   `json:"max_depth" doc:"Clicks from the start page"`
	MaxBytes   int64 `json:"max_bytes" doc:"Of all pages together"`
	MaxSeconds int   `json:"max_seconds"`
	DelayMS    int   `json:"delay_ms" doc:"Milliseconds between two pages; the site's Crawl-delay, if it is longer"`
	UseSitemap bool  `json:"use_sitemap" doc:"Whether the pages of the site's sitemap are visited too"`
}

// Crawl is a crawl and how far it has come.
type Crawl struct {
	UUID     uuid.UUID `json:"crawl_uuid" format:"uuid"`
	StartURL string    `json:"start_url"`
	Status   string    `json:"status" enum:"queued,running,done,cancelled"`
	EndedBy  string    `json:"ended_by,omitempty" enum:"frontier,pages,bytes,time" doc:"Why it is done: every page was visited, or the limit that it met"`
	Limits
	BacklinksTo string     `json:"backlinks_to,omitempty" doc:"Links to this site are kept as backlinks"`
	Queued      int        `json:"pages_queued"`
	Done        int        `json:"pages_done"`
	Failed      int        `json:"pages_failed" doc:"Pages that could not be had"`
	Skipped     int        `json:"pages_skipped" doc:"Pages that robots.txt or a limit kept from being visited"`
	Bytes       int64      `json:"bytes"`
	CreatedAt   time.Time  `json:"created_at"`
	StartedAt   *time.Time `json:"started_at,omitempty"`
	FinishedAt  *time.Time `json:"finished_at,omitempty"`
	// Audit is there when the crawl is done.
	AuditUUID *uuid.UUID `json:"audit_uuid,omitempty" format:"uuid" doc:"The site's audit, once the crawl is done"`
	Score     *int       `json:"score,omitempty" doc:"Of the site's audit"`
}

// Start makes a job visit the site of address from there.
func (s *Service) Start(ctx context.Context, tenant uuid.UUID, address, backlinksTo string, limits Limits) (*Crawl, error) {
	u, err := weburl.Parse(address)
	if err != nil {
		return nil, fault.At("body.url", address, "%s", err)
	}
	if backlinksTo != "" {
		if backlinksTo, err = weburl.ParseSite(backlinksTo); err != nil {
			return nil, fault.At("body.backlinks_to", backlinksTo, "%s", err)
		}
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("make an id: %w", err)
	}
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		queries := crawldb.New(tx)
		// Two starts at once count one after the other.
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended('onside crawls ' || $1::text, 0))", tenant); err != nil {
			return err
		}
		active, err := queries.CountActive(ctx)
		if err != nil {
			return err
		}
		if active >= mostActive {
			return fault.New(fault.Conflict, "%d crawls are waiting or running; wait for one of them, or cancel it.", active)
		}
		err = queries.InsertCrawl(ctx, crawldb.InsertCrawlParams{
			TenantUUID: tenant, CrawlUUID: id, StartURL: u.String(), MaxPages: int32(limits.MaxPages), MaxDepth: int32(limits.MaxDepth),
			MaxBytes: limits.MaxBytes, MaxSeconds: int32(limits.MaxSeconds), DelayMs: int32(limits.DelayMS), UseSitemap: limits.UseSitemap,
			BacklinksTo: backlinksTo, CreatedAt: s.clock.Now().UTC(),
		})
		if err != nil {
			return err
		}
		if err := queuePages(ctx, queries, tenant, id, []string{u.String()}, 0, false); err != nil {
			return err
		}
		return s.queue.Enqueue(ctx, tx, visitArgs{Tenant: tenant, Crawl: id}, nil)
	})
	if err != nil {
		return nil, fmt.Errorf("start a crawl: %w", err)
	}
	return s.Get(ctx, tenant, id)
}

func queuePages(ctx context.Context, queries *crawldb.Queries, tenant, crawl uuid.UUID, urls []string, depth int, inSitemap bool) error {
	if len(urls) == 0 {
		return nil
	}
	ids := make([]uuid.UUID, len(urls))
	for i := range ids {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("make an id: %w", err)
		}
		ids[i] = id
	}
	return queries.QueuePages(ctx, crawldb.QueuePagesParams{TenantUUID: tenant, CrawlUUID: crawl, Ids: ids, Urls: urls, Depth: int32(depth), InSitemap: inSitemap})
}

// Get returns a crawl; a *fault.Error with NotFound when there is none.
func (s *Service) Get(ctx context.Context, tenant, id uuid.UUID) (crawl *Crawl, err error) {
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		row, err := crawldb.New(tx).GetCrawl(ctx, id)
		if err != nil {
			return err
		}
		crawl, err = told(ctx, crawldb.New(tx), row)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, notFound(id)
	}
	if err != nil {
		return nil, fmt.Errorf("read a crawl: %w", err)
	}
	return crawl, nil
}

func notFound(id uuid.UUID) error { return fault.New(fault.NotFound, "There is no crawl %s.", id) }

// told is a crawl with its counts and its audit.
func told(ctx context.Context, queries *crawldb.Queries, row crawldb.SiteCrawl) (*Crawl, error) {
	crawl := &Crawl{
		UUID: row.CrawlUUID, StartURL: row.StartURL, Status: row.Status, BacklinksTo: row.BacklinksTo, Bytes: row.Bytes,
		Limits: Limits{
			MaxPages: int(row.MaxPages), MaxDepth: int(row.MaxDepth), MaxBytes: row.MaxBytes, MaxSeconds: int(row.MaxSeconds),
			DelayMS: int(row.DelayMs), UseSitemap: row.UseSitemap,
		},
		CreatedAt: row.CreatedAt.UTC(), StartedAt: row.StartedAt, FinishedAt: row.FinishedAt,
	}
	if row.EndedBy != nil {
		crawl.EndedBy = *row.EndedBy
	}
	counts, err := queries.CountPages(ctx, row.CrawlUUID)
	if err != nil {
		return nil, err
	}
	for _, c := range counts {
		switch c.State {
		case "queued":
			crawl.Queued = int(c.Count)
		case "done":
			crawl.Done = int(c.Count)
		case "failed":
			crawl.Failed = int(c.Count)
		case "skipped":
			crawl.Skipped = int(c.Count)
		}
	}
	found, err := queries.SiteAuditOf(ctx, row.CrawlUUID)
	if errors.Is(err, pgx.ErrNoRows) {
		return crawl, nil
	}
	score := int(found.Score)
	crawl.AuditUUID, crawl.Score = &found.AuditUUID, &score
	return crawl, err
}

// List returns up to limit crawls older than before (uuid.Max: from the newest).
func (s *Service) List(ctx context.Context, tenant, before uuid.UUID, limit int) ([]Crawl, error) {
	crawls := []Crawl{}
	err := s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		queries := crawldb.New(tx)
		rows, err := queries.ListCrawls(ctx, crawldb.ListCrawlsParams{Before: before, PageSize: int32(limit)})
		if err != nil {
			return err
		}
		for _, row := range rows {
			crawl, err := told(ctx, queries, row)
			if err != nil {
				return err
			}
			crawls = append(crawls, *crawl)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list crawls: %w", err)
	}
	return crawls, nil
}

// Cancel ends a crawl that waits or runs; its job stops at the next page. A
// crawl that has ended is a Conflict.
func (s *Service) Cancel(ctx context.Context, tenant, id uuid.UUID) (*Crawl, error) {
	err := s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		queries := crawldb.New(tx)
		row, err := queries.LockCrawl(ctx, id)
		if errors.Is(err, pgx.ErrNoRows) {
			return notFound(id)
		}
		if err != nil {
			return err
		}
		if row.Status != "queued" && row.Status != "running" {
			return fault.New(fault.Conflict, "The crawl has ended: it is %s.", row.Status)
		}
		if err := queries.SkipQueued(ctx, crawldb.SkipQueuedParams{CrawlUUID: id, Reason: "cancelled"}); err != nil {
			return err
		}
		now := s.clock.Now().UTC()
		return queries.EndCrawl(ctx, crawldb.EndCrawlParams{CrawlUUID: id, Status: "cancelled", FinishedAt: &now})
	})
	if err != nil {
		return nil, fmt.Errorf("cancel a crawl: %w", err)
	}
	return s.Get(ctx, tenant, id)
}

// Delete forgets a crawl that has ended, with its pages and its audit.
func (s *Service) Delete(ctx context.Context, tenant, id uuid.UUID) error {
	err := s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		deleted, err := crawldb.New(tx).DeleteCrawl(ctx, id)
		if err != nil || deleted > 0 {
			return err
		}
		if _, err := crawldb.New(tx).GetCrawl(ctx, id); errors.Is(err, pgx.ErrNoRows) {
			return notFound(id)
		}
		return fault.New(fault.Conflict, "The crawl has not ended; cancel it first.")
	})
	if err != nil {
		return fmt.Errorf("delete a crawl: %w", err)
	}
	return nil
}

// Page is a page of a crawl.
type Page struct {
	UUID         uuid.UUID  `json:"page_uuid" format:"uuid"`
	URL          string     `json:"url"`
	Depth        int        `json:"depth" doc:"Clicks from the start page; pages of the sitemap count as one"`
	InSitemap    bool       `json:"in_sitemap"`
	State        string     `json:"state" enum:"queued,done,failed,skipped"`
	Reason       string     `json:"reason,omitempty" doc:"Why it failed or was skipped"`
	Status       *int32     `json:"status,omitempty"`
	FinalURL     string     `json:"final_url,omitempty" doc:"Where it redirects to"`
	Redirects    int        `json:"redirects"`
	Title        string     `json:"title"`
	Description  string     `json:"description"`
	Canonical    string     `json:"canonical,omitempty"`
	Words        int        `json:"word_count"`
	Indexable    bool       `json:"indexable"`
	Score        *int32     `json:"score,omitempty" doc:"Of the page's own audit"`
	FailedChecks []string   `json:"failed_checks" doc:"Ids of the failed checks of the page's own audit"`
	FirstByteMS  int64      `json:"first_byte_ms"`
	FetchedAt    *time.Time `json:"fetched_at,omitempty"`
}

// Pages returns up to limit pages of a crawl in state ("" for any) after a page
// (uuid.Nil: from the first), in the order in which they were found.
func (s *Service) Pages(ctx context.Context, tenant, id uuid.UUID, state string, after uuid.UUID, limit int) ([]Page, error) {
	if _, err := s.Get(ctx, tenant, id); err != nil {
		return nil, err
	}
	pages := []Page{}
	err := s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := crawldb.New(tx).ListPages(ctx, crawldb.ListPagesParams{CrawlUUID: id, After: after, State: state, PageSize: int32(limit)})
		for _, row := range rows {
			pages = append(pages, Page{
				UUID: row.PageUUID, URL: row.URL, Depth: int(row.Depth), InSitemap: row.InSitemap, State: row.State, Reason: row.Reason,
				Status: row.Status, FinalURL: row.FinalURL, Redirects: int(row.Hops), Title: row.Title, Description: row.Description,
				Canonical: row.Canonical, Words: int(row.Words), Indexable: row.Indexable, Score: row.Score, FailedChecks: row.FailedChecks,
				FirstByteMS: row.FirstByteMs, FetchedAt: row.FetchedAt,
			})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list pages of a crawl: %w", err)
	}
	return pages, nil
}
