package ranking

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/onside/weburl"
)

// Stored is a ranking as it is answered.
type Stored struct {
	UUID     uuid.UUID `json:"ranking_uuid" format:"uuid"`
	Site     string    `json:"site"`
	RankedOn string    `json:"ranked_on" format:"date"`
	Ranking
}

// Filter narrows a list; its zero fields do not.
type Filter struct {
	Site, Keyword, Source, Country, Device string
	From, To                               time.Time // both included
}

func (f *Filter) normalise() error {
	if f.Site == "" {
		return nil
	}
	site, err := weburl.ParseSite(f.Site)
	if err != nil {
		return fault.At("query.site", f.Site, "%s", err)
	}
	f.Site = site
	return nil
}

// where is the filter's condition, its arguments added to args.
func (f *Filter) where(args *[]any) string {
	condition := ""
	add := func(column, operator string, value any) {
		*args = append(*args, value)
		condition += fmt.Sprintf(" AND %s %s $%d", column, operator, len(*args))
	}
	for _, c := range []struct{ column, value string }{
		{"site", f.Site}, {"keyword", f.Keyword}, {"source", f.Source}, {"country", f.Country}, {"device", f.Device},
	} {
		if c.value != "" {
			add(c.column, "=", c.value)
		}
	}
	if !f.From.IsZero() {
		add("ranked_on", ">=", f.From)
	}
	if !f.To.IsZero() {
		add("ranked_on", "<=", f.To)
	}
	return condition
}

// List returns up to limit rankings older than before (uuid.Max: from the one
// imported last).
func (s *Service) List(ctx context.Context, tenant uuid.UUID, filter Filter, before uuid.UUID, limit int) (list []Stored, err error) {
	if err := filter.normalise(); err != nil {
		return nil, err
	}
	args := []any{before, limit}
	query := `SELECT ranking_uuid, site, ranked_on, keyword, source, country, device, page, position, clicks, impressions
		FROM keyword_rankings WHERE ranking_uuid < $1` + filter.where(&args) + ` ORDER BY ranking_uuid DESC LIMIT $2`
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := tx.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r Stored, err error) {
			err = row.Scan(&r.UUID, &r.Site, &r.Ranking.RankedOn, &r.Keyword, &r.Source, &r.Country, &r.Device, &r.Page, &r.Position, &r.Clicks, &r.Impressions)
			r.RankedOn = r.Ranking.RankedOn.Format(time.DateOnly)
			return r, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list rankings: %w", err)
	}
	return list, nil
}

// Day is a keyword on a day: its best position over pages, countries, devices
// and sources that the filter leaves, and what they earned together.
type Day struct {
	RankedOn    string  `json:"ranked_on" format:"date"`
	Position    float64 `json:"position" doc:"The best of the day"`
	Clicks      *int64  `json:"clicks,omitempty"`
	Impressions *int64  `json:"impressions,omitempty"`
	Pages       int     `json:"pages" doc:"Pages of the site that ranked; several compete with each other"`
}

// History returns a keyword's days, the oldest first, at most 1000.
func (s *Service) History(ctx context.Context, tenant uuid.UUID, filter Filter) (days []Day, err error) {
	if err := filter.normalise(); err != nil {
		return nil, err
	}
	args := []any{}
	query := `SELECT * FROM (
		SELECT ranked_on, min(position), sum(clicks)::bigint, sum(impressions)::bigint, count(DISTINCT nullif(page, ''))
		FROM keyword_rankings WHERE true` + filter.where(&args) + ` GROUP BY ranked_on ORDER BY ranked_on DESC LIMIT 1000
	) days ORDER BY ranked_on`
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := tx.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		days, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (d Day, err error) {
			var on time.Time
			err = row.Scan(&on, &d.Position, &d.Clicks, &d.Impressions, &d.Pages)
			d.RankedOn = on.Format(time.DateOnly)
			return d, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read a keyword's history: %w", err)
	}
	return days, nil
}

// Move is how a keyword moved between two days.
type Move struct {
	Keyword string   `json:"keyword"`
	Source  string   `json:"source"`
	Country string   `json:"country"`
	Device  string   `json:"device"`
	Kind    string   `json:"kind" enum:"gained,lost,up,down,unchanged"`
	Before  *float64 `json:"before,omitempty" doc:"Position at the period's begin"`
	After   *float64 `json:"after,omitempty" doc:"Position at its end"`
	Change  *float64 `json:"change,omitempty" doc:"Places won; negative for lost"`
}

// Movement is what moved over a period.
type Movement struct {
	Site      string `json:"site"`
	From      string `json:"from" format:"date"`
	To        string `json:"to" format:"date"`
	Gained    int    `json:"gained" doc:"Keywords that ranked at the end and not at the begin"`
	Lost      int    `json:"lost"`
	Up        int    `json:"up"`
	Down      int    `json:"down"`
	Unchanged int    `json:"unchanged"`
	Moves     []Move `json:"moves" doc:"The largest first"`
}

// moves compares what ranked on a day with what ranked on another. Sources do
// not tell every keyword every day, so a keyword ranks on a day with its last
// ranking of the days before it that the window holds. The two windows do not overlap.
const moves = `
WITH before AS (
	SELECT DISTINCT ON (keyword, source, country, device) keyword, source, country, device, position FROM keyword_rankings
	WHERE site = $1 AND ranked_on > $2::date - $4::int AND ranked_on <= $2::date
	ORDER BY keyword, source, country, device, ranked_on DESC, position
), after AS (
	SELECT DISTINCT ON (keyword, source, country, device) keyword, source, country, device, position FROM keyword_rankings
	WHERE site = $1 AND ranked_on > greatest($2::date, $3::date - $4::int) AND ranked_on <= $3::date
	ORDER BY keyword, source, country, device, ranked_on DESC, position
), moved AS (
	SELECT keyword, source, country, device, b.position AS was, a.position AS became,
		CASE WHEN b.position IS NULL THEN 'gained' WHEN a.position IS NULL THEN 'lost'
			WHEN a.position < b.position THEN 'up' WHEN a.position > b.position THEN 'down' ELSE 'unchanged' END AS kind
	FROM before b FULL JOIN after a USING (keyword, source, country, device)
)`

// Movement tells what moved for a site between the days from and to. window is
// how many days a ranking holds, 1 or more; kind narrows the moves that are
// listed, at most limit, but not the counts.
func (s *Service) Movement(ctx context.Context, tenant uuid.UUID, site string, from, to time.Time, window int, kind string, limit int) (*Movement, error) {
	name, err := weburl.ParseSite(site)
	if err != nil {
		return nil, fault.At("query.site", site, "%s", err)
	}
	if !from.Before(to) {
		return nil, fault.At("query.to", to.Format(time.DateOnly), "must be after from")
	}
	m := &Movement{Site: name, From: from.Format(time.DateOnly), To: to.Format(time.DateOnly)}
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		const counts = moves + ` SELECT count(*) FILTER (WHERE kind = 'gained'), count(*) FILTER (WHERE kind = 'lost'), count(*) FILTER (WHERE kind = 'up'),
			count(*) FILTER (WHERE kind = 'down'), count(*) FILTER (WHERE kind = 'unchanged') FROM moved`
		if err := tx.QueryRow(ctx, counts, name, from, to, window).Scan(&m.Gained, &m.Lost, &m.Up, &m.Down, &m.Unchanged); err != nil {
			return err
		}
		const list = moves + ` SELECT keyword, source, country, device, kind, was, became, was - became FROM moved
			WHERE ($5 = '' AND kind <> 'unchanged') OR kind = $5
			ORDER BY abs(coalesce(was, 101) - coalesce(became, 101)) DESC, keyword, source, country, device LIMIT $6`
		rows, err := tx.Query(ctx, list, name, from, to, window, kind, limit)
		if err != nil {
			return err
		}
		m.Moves, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (v Move, err error) {
			err = row.Scan(&v.Keyword, &v.Source, &v.Country, &v.Device, &v.Kind, &v.Before, &v.After, &v.Change)
			return v, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("compare rankings: %w", err)
	}
	return m, nil
}
