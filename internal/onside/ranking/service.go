package ranking

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/onside/csvtable"
	"github.com/engardehq/madansara/internal/onside/weburl"
)

// Service keeps rankings.
type Service struct {
	db    *engardedb.DB
	clock clockwork.Clock
}

// New returns a Service on db.
func New(db *engardedb.DB, clock clockwork.Clock) *Service { return &Service{db: db, clock: clock} }

// latest is the last day of which there can be a ranking: tomorrow, for where
// tomorrow is already.
func (s *Service) latest() time.Time {
	return s.clock.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 1)
}

// Outcome is what an import did.
type Outcome struct {
	Format    string            `json:"format" doc:"The form the file was read as" enum:"google_search_console,generic,json"`
	Site      string            `json:"site"`
	Imported  int               `json:"imported" doc:"Rankings that were not known"`
	Updated   int               `json:"updated" doc:"Rankings that were known with other values"`
	Unchanged int               `json:"unchanged"`
	Rejected  int               `json:"rejected" doc:"Rows that could not be taken; the others were"`
	Errors    []csvtable.BadRow `json:"errors" doc:"The rejected rows, at most 1000 of them"`
}

const mostErrors = 1000

// DeleteBefore deletes at most $3 rankings of the tenant $1 of days before that of $2.
const DeleteBefore = `DELETE FROM keyword_rankings WHERE tenant_uuid = $1 AND ranking_uuid IN
	(SELECT ranking_uuid FROM keyword_rankings WHERE tenant_uuid = $1 AND ranked_on < ($2::timestamptz AT TIME ZONE 'UTC')::date ORDER BY ranked_on LIMIT $3)`

// ImportCSV keeps the rankings of a file, all at once. Rows that cannot be taken
// are reported, and do not keep the others from being taken.
func (s *Service) ImportCSV(ctx context.Context, tenant uuid.UUID, site string, content []byte, defaults Defaults) (*Outcome, error) {
	site, err := weburl.ParseSite(site)
	if err != nil {
		return nil, fault.At("query.site", site, "%s", err)
	}
	file, err := ParseCSV(content, defaults, s.latest())
	if err != nil {
		return nil, fault.At("body", nil, "%s", err)
	}
	out := &Outcome{Format: file.Format, Site: site, Rejected: len(file.Bad), Errors: file.Bad[:min(len(file.Bad), mostErrors)]}
	if out.Errors == nil {
		out.Errors = []csvtable.BadRow{}
	}
	return out, s.keep(ctx, tenant, site, file.Rankings, out)
}

// Import keeps rankings, all or none of them.
func (s *Service) Import(ctx context.Context, tenant uuid.UUID, site string, rankings []Ranking) (*Outcome, error) {
	name, err := weburl.ParseSite(site)
	if err != nil {
		return nil, fault.At("body.site", site, "%s", err)
	}
	seen := map[string]int{}
	for i := range rankings {
		at := fmt.Sprintf("body.rankings[%d]", i)
		if err := rankings[i].normalise(s.latest()); err != nil {
			return nil, fault.At(at, nil, "%s", err)
		}
		if earlier, has := seen[rankings[i].key()]; has {
			return nil, fault.At(at, nil, "it is about the same as rankings[%d]", earlier)
		}
		seen[rankings[i].key()] = i
	}
	out := &Outcome{Format: "json", Site: name, Errors: []csvtable.BadRow{}}
	return out, s.keep(ctx, tenant, name, rankings, out)
}

// upsert keeps what is new or has other values, and tells which of both.
const upsert = `
INSERT INTO keyword_rankings (tenant_uuid, ranking_uuid, site, keyword, ranked_on, source, country, device, page, position, clicks, impressions, imported_at)
SELECT $1, r.ranking_uuid, $2, r.keyword, r.ranked_on, r.source, r.country, r.device, r.page, r.position, r.clicks, r.impressions, $3
FROM unnest($4::uuid[], $5::text[], $6::date[], $7::text[], $8::text[], $9::text[], $10::text[], $11::float8[], $12::bigint[], $13::bigint[])
	AS r (ranking_uuid, keyword, ranked_on, source, country, device, page, position, clicks, impressions)
ON CONFLICT (tenant_uuid, site, ranked_on, keyword, source, country, device, md5(page)) DO UPDATE
SET position = EXCLUDED.position, clicks = EXCLUDED.clicks, impressions = EXCLUDED.impressions, imported_at = EXCLUDED.imported_at
WHERE (keyword_rankings.position, keyword_rankings.clicks, keyword_rankings.impressions)
	IS DISTINCT FROM (EXCLUDED.position, EXCLUDED.clicks, EXCLUDED.impressions)
RETURNING xmax = 0`

func (s *Service) keep(ctx context.Context, tenant uuid.UUID, site string, rankings []Ranking, out *Outcome) error {
	const batch = 5000
	now := s.clock.Now().UTC()
	err := s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		for from := 0; from < len(rankings); from += batch {
			columns, err := columnsOf(rankings[from:min(from+batch, len(rankings))])
			if err != nil {
				return err
			}
			rows, err := tx.Query(ctx, upsert, append([]any{tenant, site, now}, columns...)...)
			if err != nil {
				return err
			}
			inserted, err := pgx.CollectRows(rows, pgx.RowTo[bool])
			if err != nil {
				return err
			}
			for _, isNew := range inserted {
				if isNew {
					out.Imported++
				} else {
					out.Updated++
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep rankings: %w", err)
	}
	out.Unchanged = len(rankings) - out.Imported - out.Updated
	return nil
}

func columnsOf(rankings []Ranking) ([]any, error) {
	n := len(rankings)
	ids, keywords, days := make([]uuid.UUID, n), make([]string, n), make([]time.Time, n)
	sources, countries, devices, pages := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	positions, clicks, impressions := make([]float64, n), make([]*int64, n), make([]*int64, n)
	for i, r := range rankings {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("make an id: %w", err)
		}
		ids[i], keywords[i], days[i] = id, r.Keyword, r.RankedOn
		sources[i], countries[i], devices[i], pages[i] = r.Source, r.Country, r.Device, r.Page
		positions[i], clicks[i], impressions[i] = r.Position, r.Clicks, r.Impressions
	}
	return []any{ids, keywords, days, sources, countries, devices, pages, positions, clicks, impressions}, nil
}
