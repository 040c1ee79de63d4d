package conversion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/madansara/attribution"
)

// Journey is a page of everything known of one person, the newest first.
type Journey struct {
	Customer Customer `json:"customer"`
	Entries  []Entry  `json:"entries" doc:"The newest first"`
	Next     string   `json:"next_cursor" doc:"The cursor of the next, older page; empty after the last"`
}

// Customer is the person of a journey.
type Customer struct {
	ContactUUID *uuid.UUID  `json:"contact_uuid" doc:"Null for a visitor nobody knows"`
	Email       string      `json:"email"`
	FirstName   string      `json:"first_name"`
	LastName    string      `json:"last_name"`
	Visitors    []uuid.UUID `json:"visitors" doc:"The browsers of this person, the one seen last first; at most 100"`
}

// Kinds of entry.
const (
	EntrySession      = "session"
	EntryPageView     = "page_view"
	EntryEvent        = "event"
	EntryTouchpoint   = "touchpoint"
	EntrySent         = "message_sent"
	EntryOpened       = "message_opened"
	EntryClicked      = "message_clicked"
	EntryUnsubscribed = "message_unsubscribed"
	EntryFailed       = "message_failed"
	EntryUnknown      = "message_unknown" // nobody knows whether it arrived
	EntryConversion   = "conversion"
)

// Entry is one thing that happened. What its fields mean depends on its kind.
type Entry struct {
	At      time.Time      `json:"at"`
	Kind    string         `json:"kind" enum:"session,page_view,event,touchpoint,message_sent,message_opened,message_clicked,message_unsubscribed,message_failed,message_unknown,conversion"`
	ID      string         `json:"id" doc:"Of the session, event, message, touchpoint or conversion"`
	Title   string         `json:"title" doc:"A page's title, an event's or conversion's name, a message's subject"`
	Channel string         `json:"channel" doc:"Of a session, touchpoint or message; else empty"`
	URL     string         `json:"url" doc:"Of a page, or where a session landed; else empty"`
	Detail  map[string]any `json:"detail" doc:"More, by kind: a session's source and device, an event's properties"`
	Revenue *Money         `json:"revenue,omitempty" doc:"Of a conversion"`
	Credits []EntryCredit  `json:"credits,omitempty" doc:"Of a conversion: what each model credits each touchpoint with"`
}

// EntryCredit is a touchpoint's part in a conversion.
type EntryCredit struct {
	Model          attribution.Model `json:"model"`
	TouchpointUUID uuid.UUID         `json:"touchpoint_uuid"`
	Channel        string            `json:"channel"`
	Kind           string            `json:"kind" doc:"Of the touchpoint: visit, message_click, ..."`
	Source         string            `json:"source" doc:"The visit's utm_source; else empty"`
	OccurredAt     time.Time         `json:"occurred_at" doc:"When the touch was"`
	Weight         float64           `json:"weight"`
	RevenueMinor   int64             `json:"revenue_minor"`
}

const maxVisitors = 100

// Journey returns the timeline of the person that id names: a contact's or a
// visitor's uuid, the tenant's own id of a person, or an e-mail address. An id
// of nobody is a NotFound fault.
func (s *Service) Journey(ctx context.Context, tenant uuid.UUID, id string, page Page) (*Journey, error) {
	after, err := parseCursor(page.Cursor)
	if err != nil {
		return nil, err
	}
	limit := page.limit()
	journey := &Journey{}
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		if journey.Customer, err = FindCustomer(ctx, tx, id); err != nil {
			return err
		}
		contact := uuid.Nil // not NULL: PostgreSQL would plan an empty scan of whole tables, with workers
		if journey.Customer.ContactUUID != nil {
			contact = *journey.Customer.ContactUUID
		}
		rows, err := tx.Query(ctx, timelineQuery, tenant, journey.Customer.Visitors, contact,
			after.At, after.Kind, after.ID, limit+1)
		if err != nil {
			return fmt.Errorf("read the timeline: %w", err)
		}
		if journey.Entries, err = pgx.CollectRows(rows, scanEntry); err != nil {
			return fmt.Errorf("read the timeline: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("customer journey: %w", err)
	}
	if len(journey.Entries) > limit {
		journey.Entries = journey.Entries[:limit]
		last := journey.Entries[limit-1]
		journey.Next = cursor{At: last.At, Kind: last.Kind, ID: last.ID}.String()
	}
	return journey, nil
}

func notFound() error {
	return fault.New(fault.NotFound, "There is no such customer: give a contact's or visitor's uuid, your own user id, or an e-mail address.")
}

// FindCustomer returns the person whom id names: a contact's or visitor's uuid, the
// tenant's own id, or an e-mail address. An id of nobody is a NotFound fault.
func FindCustomer(ctx context.Context, tx engardedb.Tx, id string) (Customer, error) {
	const query = `
		WITH named AS (
			SELECT 1 AS preference, contact_uuid, NULL::uuid AS visitor_uuid FROM contacts
			WHERE tenant_uuid = $1 AND contact_uuid = $2
			UNION ALL
			SELECT 2, contact_uuid, visitor_uuid FROM website_visitors WHERE tenant_uuid = $1 AND visitor_uuid = $2
			UNION ALL
			SELECT 3, contact_uuid, NULL FROM contact_identities WHERE tenant_uuid = $1 AND kind = 'user_id' AND value = $3
			UNION ALL
			SELECT 4, contact_uuid, NULL FROM contact_identities WHERE tenant_uuid = $1 AND kind = 'email' AND value = lower($3)
			ORDER BY preference LIMIT 1
		)
		SELECT n.contact_uuid, COALESCE(c.email, ''), COALESCE(c.first_name, ''), COALESCE(c.last_name, ''),
			CASE WHEN n.contact_uuid IS NULL THEN ARRAY[n.visitor_uuid] ELSE ARRAY(
				SELECT visitor_uuid FROM website_visitors v
				WHERE v.tenant_uuid = $1 AND v.contact_uuid = n.contact_uuid
				ORDER BY last_seen_at DESC, visitor_uuid LIMIT $4) END
		FROM named n
		LEFT JOIN contacts c ON c.tenant_uuid = $1 AND c.contact_uuid = n.contact_uuid`
	if !storable(id, 4*maxExternalID) {
		return Customer{}, notFound()
	}
	var parsed *uuid.UUID
	if value, err := uuid.Parse(id); err == nil {
		parsed = &value
	}
	var c Customer
	err := tx.QueryRow(ctx, query, tx.Tenant(), parsed, id, maxVisitors).Scan(&c.ContactUUID, &c.Email, &c.FirstName, &c.LastName, &c.Visitors)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Customer{}, notFound()
	case err != nil:
		return Customer{}, fmt.Errorf("find the customer: %w", err)
	}
	return c, nil
}

// timelineQuery takes the tenant, the visitors, the contact, the cursor's time,
// kind and id, and the limit. Each kind of entry gives its newest ones through
// an index that ends in the time, a visitor at a time; the last step merges
// them. Ids compare in "C" so that the order is the same on every server.
const timelineQuery = `
	WITH visitors AS MATERIALIZED (SELECT unnest($2::uuid[]) AS visitor_uuid),
	sessions AS (
		SELECT e.* FROM visitors v CROSS JOIN LATERAL (
			SELECT started_at AS at, 'session' AS kind, session_uuid::text COLLATE "C" AS id, '' AS title, channel, landing_url AS url,
				jsonb_build_object('source', utm_source, 'medium', utm_medium, 'campaign', utm_campaign, 'referrer', referrer,
					'device', device, 'ended_at', ended_at, 'page_views', page_view_count, 'events', event_count) AS detail
			FROM website_sessions s
			WHERE s.tenant_uuid = $1 AND s.visitor_uuid = v.visitor_uuid AND started_at <= $4
				AND (started_at, 'session', session_uuid::text COLLATE "C") < ($4, $5, $6)
			ORDER BY started_at DESC, 3 DESC LIMIT $7) e
	), pages AS (
		SELECT e.* FROM visitors v CROSS JOIN LATERAL (
			SELECT occurred_at AS at, 'page_view' AS kind, message_id COLLATE "C" AS id, title, '' AS channel, url,
				jsonb_build_object('referrer', referrer, 'session_uuid', session_uuid) AS detail
			FROM page_views p
			WHERE p.tenant_uuid = $1 AND p.visitor_uuid = v.visitor_uuid AND occurred_at <= $4
				AND (occurred_at, 'page_view', message_id COLLATE "C") < ($4, $5, $6)
			ORDER BY occurred_at DESC, 3 DESC LIMIT $7) e
	), contact_pages AS (
		SELECT occurred_at AS at, 'page_view' AS kind, message_id COLLATE "C" AS id, title, '' AS channel, url,
			jsonb_build_object('referrer', referrer) AS detail
		FROM page_views
		WHERE tenant_uuid = $1 AND contact_uuid = $3 AND visitor_uuid IS NULL AND occurred_at <= $4
			AND (occurred_at, 'page_view', message_id COLLATE "C") < ($4, $5, $6)
		ORDER BY occurred_at DESC, 3 DESC LIMIT $7
	), visitor_events AS (
		SELECT e.* FROM visitors v CROSS JOIN LATERAL (
			SELECT occurred_at AS at, 'event' AS kind, message_id COLLATE "C" AS id, CASE name WHEN '' THEN type ELSE name END AS title,
				'' AS channel, url, jsonb_build_object('type', type, 'properties', properties, 'session_uuid', session_uuid) AS detail
			FROM website_events w
			WHERE w.tenant_uuid = $1 AND w.visitor_uuid = v.visitor_uuid AND occurred_at <= $4
				AND (occurred_at, 'event', message_id COLLATE "C") < ($4, $5, $6)
			ORDER BY occurred_at DESC, 3 DESC LIMIT $7) e
	), contact_events AS (
		SELECT occurred_at AS at, 'event' AS kind, message_id COLLATE "C" AS id, CASE name WHEN '' THEN type ELSE name END AS title,
			'' AS channel, url, jsonb_build_object('type', type, 'properties', properties) AS detail
		FROM website_events
		WHERE tenant_uuid = $1 AND contact_uuid = $3 AND visitor_uuid IS NULL AND occurred_at <= $4
			AND (occurred_at, 'event', message_id COLLATE "C") < ($4, $5, $6)
		ORDER BY occurred_at DESC, 3 DESC LIMIT $7
	), messages AS (
		SELECT e.at, e.kind, message_uuid::text COLLATE "C" AS id, subject AS title, m.channel, '' AS url,
			jsonb_build_object('address', address, 'campaign_uuid', campaign_uuid, 'campaign', COALESCE(o.name, ''), 'status', m.status,
				'error', error, 'opens', open_count, 'clicks', click_count) AS detail
		FROM outreach_messages m LEFT JOIN outreach_campaigns o USING (tenant_uuid, campaign_uuid)
		CROSS JOIN LATERAL (VALUES ('message_sent', sent_at), ('message_opened', first_opened_at),
			('message_clicked', first_clicked_at), ('message_unsubscribed', unsubscribed_at),
			('message_' || m.status, CASE WHEN m.status IN ('failed', 'unknown') THEN m.created_at END)) AS e (kind, at)
		WHERE m.tenant_uuid = $1 AND m.contact_uuid = $3 AND e.at <= $4
			AND (e.at, e.kind, message_uuid::text COLLATE "C") < ($4, $5, $6)
		ORDER BY e.at DESC, e.kind DESC, 3 DESC LIMIT $7
	), touches AS (
		SELECT t.occurred_at AS at, 'touchpoint' AS kind, t.touchpoint_uuid::text COLLATE "C" AS id, t.campaign AS title, t.channel,
			'' AS url, jsonb_build_object('kind', t.kind, 'source', source, 'medium', medium, 'campaign', campaign,
				'session_uuid', session_uuid, 'message_uuid', message_uuid, 'campaign_uuid', campaign_uuid) AS detail
		FROM customer_touchpoints t
		WHERE t.tenant_uuid = $1 AND t.touchpoint_uuid IN (
				SELECT touchpoint_uuid FROM customer_touchpoints WHERE tenant_uuid = $1 AND visitor_uuid = ANY ($2)
				UNION
				SELECT touchpoint_uuid FROM customer_touchpoints WHERE tenant_uuid = $1 AND contact_uuid = $3)
			AND (t.occurred_at, 'touchpoint', t.touchpoint_uuid::text COLLATE "C") < ($4, $5, $6)
		ORDER BY t.occurred_at DESC, 3 DESC LIMIT $7
	), conversions AS (
		SELECT c.occurred_at AS at, 'conversion' AS kind, c.conversion_uuid::text COLLATE "C" AS id, c.name AS title, '' AS channel,
			'' AS url, jsonb_build_object('external_id', external_id, 'refund_of', COALESCE(refund_of, ''), 'properties', properties, 'session_uuid', session_uuid,
				'attributed_at', attributed_at) AS detail, c.revenue_minor, c.currency
		FROM conversion_events c
		WHERE c.tenant_uuid = $1 AND c.conversion_uuid IN (
				SELECT conversion_uuid FROM conversion_events WHERE tenant_uuid = $1 AND visitor_uuid = ANY ($2)
				UNION
				SELECT conversion_uuid FROM conversion_events WHERE tenant_uuid = $1 AND contact_uuid = $3)
			AND (c.occurred_at, 'conversion', c.conversion_uuid::text COLLATE "C") < ($4, $5, $6)
		ORDER BY c.occurred_at DESC, 3 DESC LIMIT $7
	)
	SELECT e.at, e.kind, e.id, e.title, e.channel, e.url, e.detail, e.revenue_minor, e.currency,
		CASE e.kind WHEN 'conversion' THEN (
			SELECT jsonb_agg(jsonb_build_object('model', a.model, 'touchpoint_uuid', a.touchpoint_uuid, 'channel', a.channel,
				'kind', t.kind, 'source', t.source, 'occurred_at', t.occurred_at, 'weight', a.weight, 'revenue_minor', a.revenue_minor) ORDER BY a.model, t.occurred_at, a.touchpoint_uuid)
			FROM attribution_credits a JOIN customer_touchpoints t USING (tenant_uuid, touchpoint_uuid)
			WHERE a.tenant_uuid = $1 AND a.conversion_uuid = e.id::uuid) END
	FROM (
		SELECT *, NULL::bigint AS revenue_minor, NULL AS currency FROM (
			TABLE sessions UNION ALL TABLE pages UNION ALL TABLE contact_pages UNION ALL TABLE visitor_events UNION ALL TABLE contact_events
			UNION ALL TABLE messages UNION ALL TABLE touches) x
		UNION ALL TABLE conversions
		ORDER BY at DESC, kind DESC, id DESC LIMIT $7
	) e
	ORDER BY e.at DESC, e.kind DESC, e.id DESC`

func scanEntry(row pgx.CollectableRow) (Entry, error) {
	var e Entry
	var detail, credits json.RawMessage
	var minor *int64
	var currency *string
	err := row.Scan(&e.At, &e.Kind, &e.ID, &e.Title, &e.Channel, &e.URL, &detail, &minor, &currency, &credits)
	if err != nil {
		return Entry{}, err
	}
	if minor != nil && currency != nil {
		revenue := newMoney(*minor, *currency)
		e.Revenue = &revenue
	}
	if credits != nil {
		err = json.Unmarshal(credits, &e.Credits)
	}
	return e, errors.Join(err, json.Unmarshal(detail, &e.Detail))
}
