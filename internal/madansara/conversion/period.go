package conversion

import (
	"context"
	"fmt"
	"time"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
)

// Period is a run of days in the tenant's time zone, both ends included, as
// "2006-01-02". An empty To is today; an empty From is 29 days before To.
type Period struct {
	From, To string
}

// MaxDays is how many days a period may have: two years, so that a year can be
// compared with the one before.
const MaxDays = 731

const defaultDays = 30

// days is a period resolved: from the first moment of first to the last of last.
type days struct {
	first, last time.Time // dates, at midnight UTC
	zone        *time.Location
}

func (d days) from() string { return d.first.Format(time.DateOnly) }
func (d days) to() string   { return d.last.Format(time.DateOnly) }

// resolve reads the period in the tenant's time zone. A zone that nobody knows
// counts as UTC.
func (s *Service) resolve(ctx context.Context, tx engardedb.Tx, p Period) (days, error) {
	var name string
	if err := tx.QueryRow(ctx, "SELECT time_zone FROM tenants WHERE tenant_uuid = $1", tx.Tenant()).Scan(&name); err != nil {
		return days{}, fmt.Errorf("read the tenant's time zone: %w", err)
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		zone = time.UTC
	}
	return p.in(zone, s.clock.Now())
}

func (p Period) in(zone *time.Location, now time.Time) (days, error) {
	year, month, day := now.In(zone).Date()
	d := days{last: time.Date(year, month, day, 0, 0, 0, 0, time.UTC), zone: zone}
	var err error
	if p.To != "" {
		if d.last, err = time.Parse(time.DateOnly, p.To); err != nil {
			return days{}, fault.At("query.to", p.To, "must be a date such as 2026-01-31")
		}
	}
	d.first = d.last.AddDate(0, 0, 1-defaultDays)
	if p.From != "" {
		if d.first, err = time.Parse(time.DateOnly, p.From); err != nil {
			return days{}, fault.At("query.from", p.From, "must be a date such as 2026-01-01")
		}
	}
	switch {
	case d.first.Year() < minYear || d.last.Year() > maxYear:
		return days{}, fault.At("query.from", p.From, "and to must lie in the years %d to %d", minYear, maxYear)
	case d.last.Before(d.first):
		return days{}, fault.At("query.to", p.To, "must not be before from")
	case d.last.Sub(d.first) > (MaxDays-1)*24*time.Hour:
		return days{}, fault.At("query.from", p.From, "to must be at most %d days later", MaxDays-1)
	}
	return d, nil
}

const (
	minYear = 2000
	maxYear = 2200
)

// inPeriod is the SQL condition that column lies in the days $2 to $3 of the
// time zone $4.
func inPeriod(column string) string {
	return column + ` >= ($2::date)::timestamp AT TIME ZONE $4 AND ` +
		column + ` < ($3::date + 1)::timestamp AT TIME ZONE $4`
}
