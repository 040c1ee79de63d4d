package backlink

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"
	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/onside/csvtable"
	"github.com/engardehq/madansara/internal/onside/fetch"
	"github.com/engardehq/madansara/internal/onside/weburl"
)

// Enqueuer adds jobs in the tenant's transaction; *jobs.Queue is one.
type Enqueuer interface {
	Enqueue(ctx context.Context, tx engardedb.Tx, args river.JobArgs, opts *river.InsertOpts) error
}

// Service keeps backlinks.
type Service struct {
	db      *engardedb.DB
	clock   clockwork.Clock
	fetcher *fetch.Fetcher
	queue   Enqueuer
}

// New returns a Service on db that looks at pages with fetcher. Set its queue
// with UseQueue before its API is called.
func New(db *engardedb.DB, clock clockwork.Clock, fetcher *fetch.Fetcher) *Service {
	return &Service{db: db, clock: clock, fetcher: fetcher}
}

// UseQueue sets where jobs are added: the queue is made after the workers are
// known, which need the Service.
func (s *Service) UseQueue(queue Enqueuer) { s.queue = queue }

// Outcome is what an import did.
type Outcome struct {
	Site     string            `json:"site"`
	Imported int               `json:"imported" doc:"Links that were not known"`
	Known    int               `json:"known" doc:"Links that were known already"`
	Rejected int               `json:"rejected" doc:"Rows that could not be taken; the others were"`
	Errors   []csvtable.BadRow `json:"errors" doc:"The rejected rows, at most 1000 of them"`
}

const mostErrors = 1000

// ImportCSV keeps the links of a file, all at once. Rows that cannot be taken are
// reported, and do not keep the others from being taken.
func (s *Service) ImportCSV(ctx context.Context, tenant uuid.UUID, site string, content []byte) (*Outcome, error) {
	name, err := weburl.ParseSite(site)
	if err != nil {
		return nil, fault.At("query.site", site, "%s", err)
	}
	links, bad, err := ParseCSV(content, name, s.clock.Now().AddDate(0, 0, 1))
	if err != nil {
		return nil, fault.At("body", nil, "%s", err)
	}
	out := &Outcome{Site: name, Rejected: len(bad), Errors: append([]csvtable.BadRow{}, bad[:min(len(bad), mostErrors)]...)}
	return out, s.keep(ctx, tenant, name, links, out)
}

// Import keeps links, all or none of them.
func (s *Service) Import(ctx context.Context, tenant uuid.UUID, site string, links []Link) (*Outcome, error) {
	name, err := weburl.ParseSite(site)
	if err != nil {
		return nil, fault.At("body.site", site, "%s", err)
	}
	seen := map[string]int{}
	for i := range links {
		at := fmt.Sprintf("body.backlinks[%d]", i)
		if err := links[i].normalise(name, s.clock.Now().AddDate(0, 0, 1)); err != nil {
			return nil, fault.At(at, nil, "%s", err)
		}
		if earlier, has := seen[links[i].key()]; has {
			return nil, fault.At(at, nil, "it is the same link as backlinks[%d]", earlier)
		}
		seen[links[i].key()] = i
	}
	out := &Outcome{Site: name, Errors: []csvtable.BadRow{}}
	return out, s.keep(ctx, tenant, name, links, out)
}

func (s *Service) keep(ctx context.Context, tenant uuid.UUID, site string, links []Link, out *Outcome) error {
	const batch = 5000
	err := s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		for from := 0; from < len(links); from += batch {
			added, err := add(ctx, tx, site, links[from:min(from+batch, len(links))], "import", s.clock.Now().UTC())
			if err != nil {
				return err
			}
			out.Imported += added
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep backlinks: %w", err)
	}
	out.Known = len(links) - out.Imported
	return nil
}

// insert adds the links that are not known, and that they are new. One whose
// target is not told is known when any link from its page is.
const insert = `
WITH added AS (
	INSERT INTO backlinks (tenant_uuid, backlink_uuid, site, source_url, source_domain, target_url, anchor, rel, origin, status, first_seen_at, last_seen_at, last_checked_at)
	SELECT $1, l.id, $2, l.source, l.domain, l.target, l.anchor, l.rel, $3, CASE $3 WHEN 'crawl' THEN 'live' ELSE 'unchecked' END, l.first_seen,
		CASE $3 WHEN 'crawl' THEN $4::timestamptz END, CASE $3 WHEN 'crawl' THEN $4::timestamptz END
	FROM unnest($5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::timestamptz[]) AS l (id, source, domain, target, anchor, rel, first_seen)
	WHERE l.target <> '' OR NOT EXISTS (SELECT FROM backlinks o WHERE o.tenant_uuid = $1 AND o.site = $2 AND md5(o.source_url) = md5(l.source) AND o.source_url = l.source)
	ON CONFLICT (tenant_uuid, site, md5(source_url), md5(target_url)) DO NOTHING
	RETURNING backlink_uuid, first_seen_at
)
INSERT INTO backlink_changes (tenant_uuid, change_uuid, backlink_uuid, kind, occurred_at)
SELECT $1, gen_random_uuid(), backlink_uuid, 'new', first_seen_at FROM added`

// add adds what is not known and returns how many that were.
func add(ctx context.Context, tx engardedb.Tx, site string, links []Link, origin string, now time.Time) (int, error) {
	n := len(links)
	ids, sources, domains, targets := make([]uuid.UUID, n), make([]string, n), make([]string, n), make([]string, n)
	anchors, rels, seen := make([]string, n), make([]string, n), make([]time.Time, n)
	for i, link := range links {
		id, err := uuid.NewV7()
		if err != nil {
			return 0, fmt.Errorf("make an id: %w", err)
		}
		u, err := weburl.Parse(link.Source)
		if err != nil {
			return 0, fmt.Errorf("source of a backlink: %w", err) // it was normalised before
		}
		ids[i], sources[i], domains[i], targets[i] = id, link.Source, weburl.Domain(u.Hostname()), link.Target
		anchors[i], rels[i], seen[i] = link.Anchor, link.Rel, link.FirstSeen
		if link.FirstSeen.IsZero() {
			seen[i] = now
		}
	}
	tag, err := tx.Exec(ctx, insert, tx.Tenant(), site, origin, now, ids, sources, domains, targets, anchors, rels, seen)
	if err != nil {
		return 0, fmt.Errorf("add backlinks: %w", err)
	}
	return int(tag.RowsAffected()), nil
}

// Stored is a backlink as it is answered.
type Stored struct {
	UUID          uuid.UUID  `json:"backlink_uuid" format:"uuid"`
	Site          string     `json:"site"`
	SourceURL     string     `json:"source_url" doc:"The page that links"`
	SourceDomain  string     `json:"source_domain"`
	TargetURL     string     `json:"target_url" doc:"The page that is linked to; '' when only the site is known"`
	Anchor        string     `json:"anchor"`
	Rel           string     `json:"rel" doc:"nofollow, ugc and sponsored, where the link has them"`
	Origin        string     `json:"origin" enum:"import,crawl"`
	Status        string     `json:"status" enum:"unchecked,live,lost,unreachable"`
	FirstSeenAt   time.Time  `json:"first_seen_at"`
	LastSeenAt    *time.Time `json:"last_seen_at,omitempty"`
	LastCheckedAt *time.Time `json:"last_checked_at,omitempty"`
}

const columns = `b.backlink_uuid, b.site, b.source_url, b.source_domain, b.target_url, b.anchor, b.rel, b.origin, b.status, b.first_seen_at, b.last_seen_at, b.last_checked_at`

func (b *Stored) places() []any {
	return []any{&b.UUID, &b.Site, &b.SourceURL, &b.SourceDomain, &b.TargetURL, &b.Anchor, &b.Rel, &b.Origin, &b.Status, &b.FirstSeenAt, &b.LastSeenAt, &b.LastCheckedAt}
}

// List returns up to limit backlinks of site ("" for all) with status ("" for
// any), older than before (uuid.Max: from the newest).
func (s *Service) List(ctx context.Context, tenant uuid.UUID, site, status string, before uuid.UUID, limit int) (list []Stored, err error) {
	if site != "" {
		if site, err = weburl.ParseSite(site); err != nil {
			return nil, fault.At("query.site", site, "%s", err)
		}
	}
	const query = `SELECT ` + columns + ` FROM backlinks b
		WHERE b.backlink_uuid < $1 AND ($2 = '' OR b.site = $2) AND ($3 = '' OR b.status = $3) ORDER BY b.backlink_uuid DESC LIMIT $4`
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := tx.Query(ctx, query, before, site, status, limit)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (b Stored, err error) {
			err = row.Scan(b.places()...)
			return b, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list backlinks: %w", err)
	}
	return list, nil
}

// Change is a link that came or went.
type Change struct {
	Kind       string    `json:"kind" enum:"new,lost,regained"`
	OccurredAt time.Time `json:"occurred_at"`
	Backlink   Stored    `json:"backlink" doc:"As it is now"`
}

// Changes is what came and went over a period.
type Changes struct {
	Site     string   `json:"site"`
	New      int      `json:"new"`
	Lost     int      `json:"lost"`
	Regained int      `json:"regained"`
	Changes  []Change `json:"changes" doc:"The newest first"`
}

// Changes tells what came and went for a site from a time to another (not
// included). kind narrows the changes that are listed, at most limit, but not the counts.
func (s *Service) Changes(ctx context.Context, tenant uuid.UUID, site string, from, to time.Time, kind string, limit int) (*Changes, error) {
	name, err := weburl.ParseSite(site)
	if err != nil {
		return nil, fault.At("query.site", site, "%s", err)
	}
	if !from.Before(to) {
		return nil, fault.At("query.to", to.Format(time.RFC3339), "must be after from")
	}
	c := &Changes{Site: name}
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		const period = ` FROM backlink_changes c JOIN backlinks b ON b.tenant_uuid = c.tenant_uuid AND b.backlink_uuid = c.backlink_uuid
			WHERE c.tenant_uuid = $1 AND b.site = $2 AND c.occurred_at >= $3 AND c.occurred_at < $4`
		const counts = `SELECT count(*) FILTER (WHERE c.kind = 'new'), count(*) FILTER (WHERE c.kind = 'lost'), count(*) FILTER (WHERE c.kind = 'regained')` + period
		if err := tx.QueryRow(ctx, counts, tenant, name, from, to).Scan(&c.New, &c.Lost, &c.Regained); err != nil {
			return err
		}
		const list = `SELECT c.kind, c.occurred_at, ` + columns + period + ` AND ($5 = '' OR c.kind = $5) ORDER BY c.occurred_at DESC, c.change_uuid DESC LIMIT $6`
		rows, err := tx.Query(ctx, list, tenant, name, from, to, kind, limit)
		if err != nil {
			return err
		}
		c.Changes, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (change Change, err error) {
			err = row.Scan(append([]any{&change.Kind, &change.OccurredAt}, change.Backlink.places()...)...)
			return change, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list changes of backlinks: %w", err)
	}
	return c, nil
}

// Delete forgets a backlink.
func (s *Service) Delete(ctx context.Context, tenant, id uuid.UUID) error {
	err := s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM backlinks WHERE tenant_uuid = $1 AND backlink_uuid = $2`, tenant, id)
		if err == nil && tag.RowsAffected() == 0 {
			return fault.New(fault.NotFound, "There is no backlink %s.", id)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("delete a backlink: %w", err)
	}
	return nil
}
