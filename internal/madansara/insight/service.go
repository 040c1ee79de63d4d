package insight

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"
	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/internal/madansara/conversion"
	"github.com/engardehq/madansara/mesh"
)

const (
	longestJourney = 100 // touches
	lastTouches    = 5
)

// Queue takes jobs; *jobs.Queue is one.
type Queue interface {
	Enqueue(ctx context.Context, tx engardedb.Tx, args river.JobArgs, opts *river.InsertOpts) error
}

// Service answers about customers. It is safe for concurrent use.
type Service struct {
	db    *engardedb.DB
	queue Queue
	clock clockwork.Clock
}

// New returns a service on db that puts its jobs on queue.
func New(db *engardedb.DB, queue Queue, clock clockwork.Clock) *Service {
	return &Service{db: db, queue: queue, clock: clock}
}

// person is who is asked about.
type person struct {
	contact      uuid.UUID // uuid.Nil for a visitor nobody knows
	visitors     []uuid.UUID
	firstOrderAt *time.Time
}

// Customer tells what is known of the person whom id names, as in the journey: a contact's
// or visitor's uuid, the tenant's own id, an e-mail address. An id of nobody is a
// NotFound fault.
func (s *Service) Customer(ctx context.Context, tenant uuid.UUID, id string) (*mesh.CustomerInsights, error) {
	known := &mesh.CustomerInsights{CustomerID: id, Value: []mesh.Money{}, Journey: []mesh.Touch{}, LastTouches: []mesh.Touch{}}
	var stale bool
	err := s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		customer, err := conversion.FindCustomer(ctx, tx, id)
		if err != nil {
			return err
		}
		p := person{visitors: customer.Visitors}
		if customer.ContactUUID != nil {
			p.contact = *customer.ContactUUID
		}
		if err := readTimes(ctx, tx, p, known); err != nil {
			return err
		}
		if err := readValue(ctx, tx, &p, known); err != nil {
			return err
		}
		if err := readJourney(ctx, tx, p, known); err != nil {
			return err
		}
		if known.PreferredChannel, err = preferredChannel(ctx, tx, p, s.clock.Now()); err != nil {
			return err
		}
		known.Propensity, known.PropensityBasis, stale, err = s.propensity(ctx, tx, p)
		return err
	})
	if err == nil && stale {
		err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
			return s.queue.Enqueue(ctx, tx, CountArgs{TenantUUID: tenant}, &river.InsertOpts{UniqueOpts: jobs.Once()})
		})
	}
	if err != nil {
		return nil, fmt.Errorf("insights of a customer: %w", err)
	}
	return known, nil
}

// theirs are a person's touches; conversions follow the same form. A touch of a visitor
// is found by the visitor, whose contact may have become known later.
func theirs(columns, table string) string {
	return `SELECT ` + columns + ` FROM ` + table + ` WHERE tenant_uuid = $1 AND visitor_uuid = ANY ($2)
		UNION ALL
		SELECT ` + columns + ` FROM ` + table + ` WHERE tenant_uuid = $1 AND contact_uuid = $3 AND (visitor_uuid IS NULL OR visitor_uuid <> ALL ($2))`
}

func readTimes(ctx context.Context, tx engardedb.Tx, p person, known *mesh.CustomerInsights) error {
	query := `
		WITH seen AS (
			SELECT first_seen_at AS first_at, last_seen_at AS last_at FROM website_visitors WHERE tenant_uuid = $1 AND visitor_uuid = ANY ($2)
			UNION ALL
			SELECT created_at, NULL FROM contacts WHERE tenant_uuid = $1 AND contact_uuid = $3
			UNION ALL
			SELECT min(occurred_at), max(occurred_at) FROM (` + theirs("occurred_at", "customer_touchpoints") + `) t
			UNION ALL
			SELECT min(occurred_at), max(occurred_at) FROM (` + theirs("occurred_at", "conversion_events") + `) c
		)
		SELECT min(first_at), max(last_at) FROM seen`
	if err := tx.QueryRow(ctx, query, tx.Tenant(), p.visitors, p.contact).Scan(&known.FirstSeenAt, &known.LastSeenAt); err != nil {
		return fmt.Errorf("read when they were seen: %w", err)
	}
	return nil
}

func readValue(ctx context.Context, tx engardedb.Tx, p *person, known *mesh.CustomerInsights) error {
	query := `
		SELECT currency, sum(revenue_minor)::bigint, count(*) FILTER (WHERE refund_of IS NULL), min(occurred_at) FILTER (WHERE refund_of IS NULL)
		FROM (` + theirs("currency, revenue_minor, refund_of, occurred_at", "conversion_events") + `) c GROUP BY 1 ORDER BY 1`
	rows, err := tx.Query(ctx, query, tx.Tenant(), p.visitors, p.contact)
	if err != nil {
		return fmt.Errorf("read what they bought: %w", err)
	}
	var money mesh.Money
	var orders int
	var first *time.Time
	_, err = pgx.ForEachRow(rows, []any{&money.Currency, &money.Amount, &orders, &first}, func() error {
		known.Value = append(known.Value, money)
		known.Conversions += orders
		if first != nil && (p.firstOrderAt == nil || first.Before(*p.firstOrderAt)) {
			p.firstOrderAt = first
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read what they bought: %w", err)
	}
	return nil
}

// readJourney reads the newest touches, messages and conversions; a visit or a click is
// also among the last touches.
func readJourney(ctx context.Context, tx engardedb.Tx, p person, known *mesh.CustomerInsights) error {
	query := `
		SELECT at, channel, kind, campaign FROM (
			SELECT occurred_at AS at, channel, kind, COALESCE(campaign_uuid::text, campaign) AS campaign
			FROM (` + theirs("occurred_at, channel, kind, campaign_uuid, campaign", "customer_touchpoints") + `) t
			UNION ALL
			SELECT sent_at, channel, 'message', COALESCE(campaign_uuid::text, '') FROM outreach_messages
			WHERE tenant_uuid = $1 AND contact_uuid = $3 AND sent_at IS NOT NULL
			UNION ALL
			SELECT occurred_at, '', CASE WHEN refund_of IS NULL THEN 'conversion' ELSE 'refund' END, ''
			FROM (` + theirs("occurred_at, refund_of", "conversion_events") + `) c
		) x ORDER BY at DESC, kind LIMIT $4`
	rows, err := tx.Query(ctx, query, tx.Tenant(), p.visitors, p.contact, longestJourney)
	if err != nil {
		return fmt.Errorf("read the journey: %w", err)
	}
	newest, err := pgx.CollectRows(rows, pgx.RowToStructByPos[mesh.Touch])
	if err != nil {
		return fmt.Errorf("read the journey: %w", err)
	}
	for i := range newest {
		touch := newest[len(newest)-1-i]
		known.Journey = append(known.Journey, touch)
		if touch = newest[i]; (touch.Kind == "visit" || touch.Kind == "message_click") && len(known.LastTouches) < lastTouches {
			known.LastTouches = append(known.LastTouches, touch)
		}
	}
	return nil
}

// preferredChannel is the channel of most visits and clicks, one of 30 days ago counting
// half as much as one of now; "" for somebody without any.
func preferredChannel(ctx context.Context, tx engardedb.Tx, p person, now time.Time) (channel string, err error) {
	query := `
		SELECT COALESCE((
			SELECT channel FROM (` + theirs("channel, occurred_at", "customer_touchpoints") + `) t
			WHERE occurred_at <= $4
			GROUP BY channel
			ORDER BY sum(power(0.5, LEAST(extract(epoch FROM $4 - occurred_at) / 2592000, 1000))) DESC, channel LIMIT 1), '')`
	if err := tx.QueryRow(ctx, query, tx.Tenant(), p.visitors, p.contact, now).Scan(&channel); err != nil {
		return "", fmt.Errorf("read the preferred channel: %w", err)
	}
	return channel, nil
}
