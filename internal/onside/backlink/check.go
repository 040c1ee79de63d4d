package backlink

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/internal/onside/fetch"
	"github.com/engardehq/madansara/internal/onside/page"
	"github.com/engardehq/madansara/internal/onside/weburl"
)

// Queue is where the jobs of this package run.
const Queue = "backlinks"

const (
	// stretch is how long one run of a check goes on before others get their turn.
	stretch = 20 * time.Second
	// givenUp is after how many failures in a row a page that cannot be had
	// counts as gone.
	givenUp = 3
	// gap between two pages of one host.
	gap = time.Second
)

// checkArgs asks for every known backlink of a site to be looked at that was not
// since Begin, a minute: checks asked for in one minute are one. A check is never
// taken for the one before, which may be about to end.
type checkArgs struct {
	Tenant uuid.UUID `json:"tenant"`
	Site   string    `json:"site"`
	Begin  time.Time `json:"begin"`
}

// Kind names the job in the queue.
func (checkArgs) Kind() string { return "onside_check_backlinks" }

// InsertOpts makes a check asked for twice one.
func (checkArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: Queue, UniqueOpts: jobs.Once()}
}

type checkWorker struct {
	river.WorkerDefaults[checkArgs]

	service *Service
}

// RegisterWorkers adds the workers of this package's jobs.
func (s *Service) RegisterWorkers(workers *river.Workers) {
	river.AddWorker(workers, &checkWorker{service: s})
}

// Work looks at a stretch of pages; it goes on where it was, for what a page told
// is committed page by page.
func (w *checkWorker) Work(ctx context.Context, job *river.Job[checkArgs]) error {
	end := w.service.clock.Now().Add(stretch)
	for w.service.clock.Now().Before(end) && !jobs.Stopping(ctx) {
		more, err := w.service.checkNext(ctx, job.Args.Tenant, job.Args.Site, job.Args.Begin)
		if err != nil || !more {
			return err
		}
	}
	return river.JobSnooze(0)
}

// Check makes a job look at every known backlink of site, and returns how many
// there are.
func (s *Service) Check(ctx context.Context, tenant uuid.UUID, site string) (known int, err error) {
	name, err := weburl.ParseSite(site)
	if err != nil {
		return 0, fault.At("body.site", site, "%s", err)
	}
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		const count = `SELECT count(*) FROM backlinks WHERE tenant_uuid = $1 AND site = $2`
		if err := tx.QueryRow(ctx, count, tenant, name).Scan(&known); err != nil || known == 0 {
			return err
		}
		return s.queue.Enqueue(ctx, tx, checkArgs{Tenant: tenant, Site: name, Begin: s.clock.Now().UTC().Truncate(time.Minute)}, nil)
	})
	if err != nil {
		return 0, fmt.Errorf("check backlinks: %w", err)
	}
	return known, nil
}

// checkNext looks at one page with links to site that was not looked at since
// begin; false when there is none.
func (s *Service) checkNext(ctx context.Context, tenant uuid.UUID, site string, begin time.Time) (more bool, err error) {
	var source string
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		const next = `SELECT source_url FROM backlinks WHERE tenant_uuid = $1 AND site = $2 AND (last_checked_at IS NULL OR last_checked_at < $3)
			ORDER BY last_checked_at NULLS FIRST, backlink_uuid LIMIT 1`
		return tx.QueryRow(ctx, next, tenant, site, begin).Scan(&source)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find a backlink to check: %w", err)
	}
	seen, err := s.look(ctx, source, site)
	if err != nil {
		return false, err
	}
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		return s.record(ctx, tx, site, source, seen)
	})
	if err != nil {
		return false, fmt.Errorf("record what %s links to: %w", source, err)
	}
	return true, nil
}

// sight is what a look at a page told.
type sight struct {
	links []Link
	// gone is whether the page is no more; unknown whether it could not be had.
	gone, unknown bool
}

func (s *Service) look(ctx context.Context, source, site string) (sight, error) {
	u, err := weburl.Parse(source)
	if err != nil {
		return sight{gone: true}, nil //nolint:nilerr // it was normalised when it was kept; what is none now links to nothing
	}
	turn := func(ctx context.Context, next *url.URL) (bool, error) {
		return true, s.fetcher.Await(ctx, next.Host, gap)
	}
	if _, err := turn(ctx, u); err != nil {
		return sight{}, err
	}
	response, err := s.fetcher.GetFollowing(ctx, u, turn)
	if err != nil {
		if _, is := errors.AsType[*fetch.Error](err); is && ctx.Err() == nil {
			return sight{unknown: true}, nil
		}
		return sight{}, err
	}
	switch {
	case response.Status == http.StatusNotFound || response.Status == http.StatusGone:
		return sight{gone: true}, nil
	case response.Status != http.StatusOK:
		return sight{unknown: true}, nil
	}
	read, err := page.Analyze(page.Source{URL: response.Final, Header: response.Header, Body: response.Body})
	if errors.Is(err, page.ErrNotHTML) {
		return sight{gone: true}, nil
	}
	if err != nil {
		return sight{unknown: true}, nil //nolint:nilerr // a page that cannot be read proves nothing
	}
	return sight{links: Found(source, read, site)}, nil
}

// record keeps what a look at a page told about all links from it.
func (s *Service) record(ctx context.Context, tx engardedb.Tx, site, source string, seen sight) error {
	now := s.clock.Now().UTC()
	if seen.unknown {
		const unknown = `
		WITH failed AS (
			UPDATE backlinks SET failures = failures + 1, last_checked_at = $4, status = CASE WHEN failures + 1 >= $5 THEN 'lost' ELSE 'unreachable' END
			WHERE tenant_uuid = $1 AND site = $2 AND md5(source_url) = md5($3) AND source_url = $3 AND status <> 'lost'
			RETURNING backlink_uuid, failures
		), again AS (
			UPDATE backlinks SET last_checked_at = $4 WHERE tenant_uuid = $1 AND site = $2 AND md5(source_url) = md5($3) AND source_url = $3 AND status = 'lost'
		)
		INSERT INTO backlink_changes (tenant_uuid, change_uuid, backlink_uuid, kind, occurred_at)
		SELECT $1, gen_random_uuid(), backlink_uuid, 'lost', $4 FROM failed WHERE failures = $5`
		_, err := tx.Exec(ctx, unknown, tx.Tenant(), site, source, now, givenUp)
		return err
	}
	if len(seen.links) > 0 {
		// A link of which only the site was known is the first that the page has.
		const named = `
		UPDATE backlinks b SET target_url = $4 WHERE b.tenant_uuid = $1 AND b.site = $2 AND md5(b.source_url) = md5($3) AND b.source_url = $3 AND b.target_url = ''
			AND NOT EXISTS (SELECT FROM backlinks o WHERE o.tenant_uuid = $1 AND o.site = $2 AND md5(o.source_url) = md5($3) AND md5(o.target_url) = md5($4))`
		if _, err := tx.Exec(ctx, named, tx.Tenant(), site, source, seen.links[0].Target); err != nil {
			return err
		}
		if _, err := add(ctx, tx, site, seen.links, "crawl", now); err != nil {
			return err
		}
	}
	targets, anchors, rels := make([]string, len(seen.links)), make([]string, len(seen.links)), make([]string, len(seen.links))
	for i, link := range seen.links {
		targets[i], anchors[i], rels[i] = link.Target, link.Anchor, link.Rel
	}
	// A link whose target is not known is there while any link to the site is.
	const known = `
	WITH was AS (
		SELECT b.backlink_uuid, b.status, l.anchor, l.rel, (l.target IS NOT NULL OR b.target_url = '' AND cardinality($5::text[]) > 0) AS there
		FROM backlinks b LEFT JOIN unnest($5::text[], $6::text[], $7::text[]) AS l (target, anchor, rel) ON l.target = b.target_url
		WHERE b.tenant_uuid = $1 AND b.site = $2 AND md5(b.source_url) = md5($3) AND b.source_url = $3
	), looked AS (
		UPDATE backlinks b SET last_checked_at = $4, failures = 0, status = CASE WHEN w.there THEN 'live' ELSE 'lost' END,
			last_seen_at = CASE WHEN w.there THEN $4 ELSE b.last_seen_at END, anchor = coalesce(w.anchor, b.anchor), rel = coalesce(w.rel, b.rel)
		FROM was w WHERE b.tenant_uuid = $1 AND b.backlink_uuid = w.backlink_uuid
	)
	INSERT INTO backlink_changes (tenant_uuid, change_uuid, backlink_uuid, kind, occurred_at)
	SELECT $1, gen_random_uuid(), backlink_uuid, CASE WHEN there THEN 'regained' ELSE 'lost' END, $4 FROM was
	WHERE there AND status = 'lost' OR NOT there AND status <> 'lost'`
	_, err := tx.Exec(ctx, known, tx.Tenant(), site, source, now, targets, anchors, rels)
	return err
}

// FoundTx keeps what a crawl saw of the links from a page to site, in the crawl's
// transaction: new ones, those that are there again, those that are gone.
func (s *Service) FoundTx(ctx context.Context, tx engardedb.Tx, source string, p *page.Page, site string) error {
	return s.record(ctx, tx, site, source, sight{links: Found(source, p, site)})
}
