package conversion

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/money"
)

// Stats are a period's numbers, a day at a time and in total.
type Stats struct {
	From     string  `json:"from" doc:"The first day"`
	To       string  `json:"to" doc:"The last day"`
	TimeZone string  `json:"time_zone" doc:"The tenant's time zone, in which days begin"`
	Total    Figures `json:"total" doc:"Of the whole period; a visitor or customer of several days counts once"`
	Days     []Day   `json:"days" doc:"Every day of the period, the first first"`
}

// Day is one day's figures.
type Day struct {
	Date string `json:"date"`
	Figures
}

// Figures count what happened in some time.
type Figures struct {
	Visitors    int64   `json:"visitors" doc:"Different visitors with a session that began"`
	Messages    int64   `json:"messages" doc:"Messages sent"`
	Conversions int64   `json:"conversions" doc:"Conversions, refunds not counted"`
	Customers   int64   `json:"customers" doc:"Different people who converted"`
	Revenue     []Money `json:"revenue" doc:"Of each currency, refunds taken off"`
	// Rate is nil without visitors. It exceeds 1 when people convert without a
	// visit, through a server's report for instance.
	Rate *float64 `json:"conversion_rate" doc:"Customers per visitor; null without visitors"`
}

// Money is an amount as the API writes it.
type Money struct {
	Minor    int64  `json:"minor" doc:"In minor units, cents for instance"`
	Currency string `json:"currency" doc:"ISO 4217"`
	Amount   string `json:"amount" doc:"As a decimal" example:"19.90"`
}

func newMoney(minor int64, currency string) Money {
	amount := money.Amount{Minor: minor, Currency: currency}
	return Money{Minor: minor, Currency: currency, Amount: amount.Decimal()}
}

// isOrder is the SQL condition that a conversion is not a refund.
const isOrder = `refund_of IS NULL`

// statsQuery returns (metric, day or null for the whole period, currency, value).
var statsQuery = `
	WITH visits AS (
		SELECT (started_at AT TIME ZONE $4)::date AS day, visitor_uuid FROM website_sessions
		WHERE tenant_uuid = $1 AND ` + inPeriod("started_at") + `
	), messages AS (
		SELECT (sent_at AT TIME ZONE $4)::date AS day FROM outreach_messages
		WHERE tenant_uuid = $1 AND ` + inPeriod("sent_at") + `
	), conversions AS (
		SELECT (occurred_at AT TIME ZONE $4)::date AS day, COALESCE(v.contact_uuid, e.contact_uuid, e.visitor_uuid) AS person,
			` + isOrder + ` AS is_order, revenue_minor, currency
		FROM conversion_events e LEFT JOIN website_visitors v ON v.tenant_uuid = $1 AND v.visitor_uuid = e.visitor_uuid
		WHERE e.tenant_uuid = $1 AND ` + inPeriod("occurred_at") + `
	)
	SELECT 'visitors', day, '', count(DISTINCT visitor_uuid) FROM visits GROUP BY GROUPING SETS ((day), ())
	UNION ALL
	SELECT 'messages', day, '', count(*) FROM messages GROUP BY GROUPING SETS ((day), ())
	UNION ALL
	SELECT 'conversions', day, '', count(*) FILTER (WHERE is_order) FROM conversions GROUP BY GROUPING SETS ((day), ())
	UNION ALL
	SELECT 'customers', day, '', count(DISTINCT person) FILTER (WHERE is_order) FROM conversions GROUP BY GROUPING SETS ((day), ())
	UNION ALL
	SELECT 'revenue', day, currency, sum(revenue_minor)::bigint FROM conversions GROUP BY GROUPING SETS ((day, currency), (currency))
	ORDER BY 1, 2, 3`

// Stats returns the period's numbers. Days without anything are there, as zeros.
func (s *Service) Stats(ctx context.Context, tenant uuid.UUID, period Period) (*Stats, error) {
	var stats *Stats
	err := s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		d, err := s.resolve(ctx, tx, period)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, statsQuery, tenant, d.from(), d.to(), d.zone.String())
		if err != nil {
			return fmt.Errorf("read the numbers: %w", err)
		}
		stats, err = collectStats(rows, d)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("conversion statistics: %w", err)
	}
	return stats, nil
}

func collectStats(rows pgx.Rows, d days) (*Stats, error) {
	stats := &Stats{From: d.from(), To: d.to(), TimeZone: d.zone.String()}
	stats.Total.Revenue = []Money{}
	index := make(map[string]int)
	for date := d.first; !date.After(d.last); date = date.AddDate(0, 0, 1) {
		name := date.Format(time.DateOnly)
		index[name] = len(stats.Days)
		stats.Days = append(stats.Days, Day{Date: name, Figures: Figures{Revenue: []Money{}}})
	}
	var metric, currency string
	var day *time.Time
	var value int64
	_, err := pgx.ForEachRow(rows, []any{&metric, &day, &currency, &value}, func() error {
		figures := &stats.Total
		if day != nil {
			figures = &stats.Days[index[day.Format(time.DateOnly)]].Figures
		}
		figures.set(metric, currency, value)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the numbers: %w", err)
	}
	stats.Total.rate()
	for i := range stats.Days {
		stats.Days[i].rate()
	}
	return stats, nil
}

func (f *Figures) set(metric, currency string, value int64) {
	switch metric {
	case "visitors":
		f.Visitors = value
	case "messages":
		f.Messages = value
	case "conversions":
		f.Conversions = value
	case "customers":
		f.Customers = value
	case "revenue":
		f.Revenue = append(f.Revenue, newMoney(value, currency))
	}
}

func (f *Figures) rate() {
	if f.Visitors > 0 {
		rate := float64(f.Customers) / float64(f.Visitors)
		f.Rate = &rate
	}
}
