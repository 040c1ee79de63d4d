package conversion

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/madansara/attribution"
)

// Event is a conversion as it was recorded.
type Event struct {
	ConversionUUID uuid.UUID      `json:"conversion_uuid"`
	ExternalID     string         `json:"external_id" doc:"The order's number, or the id of the message that reported it"`
	RefundOf       string         `json:"refund_of" doc:"The number of the order that a refund gives money back for; empty for what is no refund"`
	Name           string         `json:"name"`
	VisitorUUID    *uuid.UUID     `json:"visitor_uuid"`
	ContactUUID    *uuid.UUID     `json:"contact_uuid"`
	SessionUUID    *uuid.UUID     `json:"session_uuid"`
	Email          string         `json:"email" doc:"The contact's address; empty when not known"`
	LastTouch      string         `json:"last_touch_channel" doc:"The channel of the last touch before it; empty without one"`
	Revenue        Money          `json:"revenue"`
	Properties     map[string]any `json:"properties"`
	OccurredAt     time.Time      `json:"occurred_at"`
	ReceivedAt     time.Time      `json:"received_at"`
	AttributedAt   *time.Time     `json:"attributed_at" doc:"When its touches were last credited; null before the first time"`
}

// Filter narrows a list of conversions; zero fields do not.
type Filter struct {
	Name        string
	ContactUUID uuid.UUID
	VisitorUUID uuid.UUID
	Period      Period // both ends empty: all time
}

// Page is how much of a list to return, and from where.
type Page struct {
	Limit  int    // 1 to MaxPage
	Cursor string // the Next of the page before; empty for the first
}

// MaxPage bounds Page.Limit.
const MaxPage = 500

const defaultPage = 100

func (p Page) limit() int {
	if p.Limit <= 0 {
		return defaultPage
	}
	return min(p.Limit, MaxPage)
}

// RecentConversions returns the latest conversions, the newest first.
func (s *Service) RecentConversions(ctx context.Context, tenant uuid.UUID, limit int) ([]Event, error) {
	events, _, err := s.Events(ctx, tenant, Filter{}, Page{Limit: limit})
	return events, err
}

// Events lists conversions, the newest first, and the cursor of the next page,
// empty after the last.
func (s *Service) Events(ctx context.Context, tenant uuid.UUID, filter Filter, page Page) (events []Event, next string, err error) {
	after, err := parseCursor(page.Cursor)
	if err != nil {
		return nil, "", err
	}
	afterID := uuid.Max
	if after.ID != "" {
		if afterID, err = uuid.Parse(after.ID); err != nil {
			return nil, "", fault.At("query.cursor", page.Cursor, "must be the next_cursor of an earlier answer")
		}
	}
	limit := page.limit()
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		query, args, err := s.eventsQuery(ctx, tx, filter, after.At, afterID, limit+1)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, query, args...)
		if err != nil {
			return fmt.Errorf("read conversions: %w", err)
		}
		if events, err = pgx.CollectRows(rows, scanEvent); err != nil {
			return fmt.Errorf("read conversions: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("list conversions: %w", err)
	}
	if len(events) > limit {
		events = events[:limit]
		last := events[limit-1]
		next = cursor{At: last.OccurredAt, ID: last.ConversionUUID.String()}.String()
	}
	return events, next, nil
}

func (s *Service) eventsQuery(ctx context.Context, tx engardedb.Tx, filter Filter, at time.Time, id uuid.UUID, limit int) (string, []any, error) {
	query := `
		SELECT e.conversion_uuid, e.external_id, COALESCE(e.refund_of, ''), e.name, e.visitor_uuid, c.contact_uuid, e.session_uuid,
			COALESCE(c.email, ''), COALESCE((SELECT a.channel FROM attribution_credits a WHERE a.tenant_uuid = e.tenant_uuid
				AND a.conversion_uuid = e.conversion_uuid AND a.model = '` + string(attribution.LastTouch) + `' LIMIT 1), ''),
			e.revenue_minor, e.currency, e.properties, e.occurred_at, e.received_at, e.attributed_at
		FROM conversion_events e
		LEFT JOIN website_visitors v ON v.tenant_uuid = e.tenant_uuid AND v.visitor_uuid = e.visitor_uuid
		LEFT JOIN contacts c ON c.tenant_uuid = e.tenant_uuid AND c.contact_uuid = COALESCE(v.contact_uuid, e.contact_uuid)
		WHERE e.tenant_uuid = $1`
	args := []any{tx.Tenant()}
	arg := func(value any) string {
		args = append(args, value)
		return fmt.Sprintf("$%d", len(args))
	}
	if filter.Period != (Period{}) {
		d, err := s.resolve(ctx, tx, filter.Period)
		if err != nil {
			return "", nil, err
		}
		args = append(args, d.from(), d.to(), d.zone.String()) // $2 to $4, as inPeriod wants
		query += " AND " + inPeriod("e.occurred_at")
	}
	if filter.Name != "" {
		query += " AND e.name = " + arg(filter.Name)
	}
	if filter.ContactUUID != uuid.Nil {
		contact := arg(filter.ContactUUID)
		query += " AND c.contact_uuid = " + contact + " AND (e.contact_uuid = " + contact + " OR e.visitor_uuid IN (" +
			"SELECT visitor_uuid FROM website_visitors WHERE tenant_uuid = $1 AND contact_uuid = " + contact + "))"
	}
	if filter.VisitorUUID != uuid.Nil {
		query += " AND e.visitor_uuid = " + arg(filter.VisitorUUID)
	}
	query += " AND (e.occurred_at, e.conversion_uuid) < (" + arg(at) + ", " + arg(id) + ")" +
		" ORDER BY e.occurred_at DESC, e.conversion_uuid DESC LIMIT " + arg(limit)
	return query, args, nil
}

func scanEvent(row pgx.CollectableRow) (Event, error) {
	var e Event
	var minor int64
	var currency string
	var properties json.RawMessage
	err := row.Scan(&e.ConversionUUID, &e.ExternalID, &e.RefundOf, &e.Name, &e.VisitorUUID, &e.ContactUUID, &e.SessionUUID,
		&e.Email, &e.LastTouch, &minor, &currency, &properties, &e.OccurredAt, &e.ReceivedAt, &e.AttributedAt)
	if err != nil {
		return Event{}, err
	}
	e.Revenue = newMoney(minor, currency)
	return e, json.Unmarshal(properties, &e.Properties)
}
