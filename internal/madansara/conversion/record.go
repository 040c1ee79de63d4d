package conversion

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"
	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/madansara/attribution"
)

// Queue is where the jobs go that commit with what caused them (jobs.Queue).
type Queue interface {
	Enqueue(ctx context.Context, tx engardedb.Tx, args river.JobArgs, opts *river.InsertOpts) error
	EnqueueMany(ctx context.Context, tx engardedb.Tx, params []river.InsertManyParams) error
}

// Recorder writes conversions inside its callers' transactions.
type Recorder struct {
	queue Queue
	facts Facts
	clock clockwork.Clock
}

// NewRecorder returns a recorder whose attribution jobs go to queue, and which
// tells facts of each new conversion; nil tells nobody.
func NewRecorder(queue Queue, facts Facts, clock clockwork.Clock) *Recorder {
	return &Recorder{queue: queue, facts: facts, clock: clock}
}

// RecordTx records conversions in the tenant's transaction, in a fixed number of
// statements, and enqueues the attribution of each new one. What became of
// conversions[i] is at [i]. A conversion recorded before keeps its revenue and
// learns the person it lacked, because the shop's server knows the contact and
// the browser knows the visitor; it is then attributed again.
//
// An invalid conversion fails the call before anything is written.
func (r *Recorder) RecordTx(ctx context.Context, tx engardedb.Tx, conversions []Conversion) ([]Recorded, error) {
	if len(conversions) == 0 {
		return nil, nil
	}
	for _, c := range conversions {
		if err := c.Validate(); err != nil {
			return nil, err
		}
	}
	columns, err := newColumns(conversions)
	if err != nil {
		return nil, err
	}
	currencies, err := insert(ctx, tx, columns)
	if err != nil {
		return nil, fmt.Errorf("record conversions: %w", err)
	}
	created := make(map[uuid.UUID]bool, len(currencies))
	for id := range currencies {
		created[id] = true
	}
	attribute := make([]uuid.UUID, 0, len(conversions))
	for id := range created {
		attribute = append(attribute, id)
	}
	if len(created) < len(conversions) {
		completed, err := complete(ctx, tx, columns)
		if err != nil {
			return nil, fmt.Errorf("complete conversions: %w", err)
		}
		for _, c := range completed {
			if !created[c.ID] {
				attribute = append(attribute, c.ID)
			}
		}
		if err := r.lineUp(ctx, tx, completed); err != nil {
			return nil, err
		}
	}
	ids, err := identify(ctx, tx, columns)
	if err != nil {
		return nil, fmt.Errorf("find recorded conversions: %w", err)
	}
	if err := enqueue(ctx, tx, r.queue, attribute); err != nil {
		return nil, err
	}
	if err := r.tell(ctx, tx, columns, currencies); err != nil {
		return nil, err
	}
	recorded := make([]Recorded, len(conversions))
	for i, c := range conversions {
		id := ids[key{c.Name, c.ExternalID}]
		recorded[i] = Recorded{ConversionUUID: id, New: created[id]}
		delete(created, id) // a repetition in the same call is not new
	}
	return recorded, nil
}

type key struct{ name, externalID string }

// columns is conversions turned for unnest, in the order of their keys: two
// transactions that record the same orders then wait for each other instead of
// deadlocking.
type columns struct {
	ids                      []uuid.UUID
	externalIDs, names       []string
	refundOfs                []*string
	visitors, contacts       []*uuid.UUID
	sessions                 []*uuid.UUID
	revenues                 []int64
	currencies, properties   []string
	occurredAts, receivedAts []time.Time
}

func newColumns(conversions []Conversion) (columns, error) {
	ordered := slices.Clone(conversions)
	slices.SortStableFunc(ordered, func(a, b Conversion) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ExternalID, b.ExternalID))
	})
	var cols columns
	for _, c := range ordered {
		id, err := uuid.NewV7()
		if err != nil {
			return columns{}, fmt.Errorf("new conversion id: %w", err)
		}
		if len(c.Properties) == 0 {
			c.Properties = json.RawMessage("{}")
		}
		var refundOf *string
		if IsRefund(c.Name) {
			c.Amount.Minor = -max(c.Amount.Minor, -c.Amount.Minor) // Segment's total of a refund is positive
			refundOf = new(cmp.Or(c.RefundOf, c.ExternalID))
		}
		cols.ids = append(cols.ids, id)
		cols.externalIDs = append(cols.externalIDs, c.ExternalID)
		cols.refundOfs = append(cols.refundOfs, refundOf)
		cols.names = append(cols.names, c.Name)
		cols.visitors = append(cols.visitors, c.VisitorUUID)
		cols.contacts = append(cols.contacts, c.ContactUUID)
		cols.sessions = append(cols.sessions, c.SessionUUID)
		cols.revenues = append(cols.revenues, c.Amount.Minor)
		cols.currencies = append(cols.currencies, c.Amount.Currency)
		cols.properties = append(cols.properties, string(c.Properties))
		cols.occurredAts = append(cols.occurredAts, c.OccurredAt)
		cols.receivedAts = append(cols.receivedAts, c.ReceivedAt)
	}
	return cols, nil
}

// insert returns the currencies of the conversions that are new, by their ids.
func insert(ctx context.Context, tx engardedb.Tx, cols columns) (map[uuid.UUID]string, error) {
	const statement = `
		INSERT INTO conversion_events (tenant_uuid, conversion_uuid, external_id, refund_of, name, visitor_uuid, contact_uuid,
			session_uuid, revenue_minor, currency, properties, occurred_at, received_at)
		SELECT t.tenant_uuid, c.id, c.external_id, c.refund_of, c.name, c.visitor, c.contact,
			c.session, c.revenue, COALESCE(NULLIF(c.currency, ''), t.currency), c.properties::jsonb, c.occurred_at, c.received_at
		FROM tenants t, unnest($2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::uuid[], $7::uuid[], $8::bigint[],
			$9::text[], $10::text[], $11::timestamptz[], $12::timestamptz[], $13::text[])
			WITH ORDINALITY AS c (id, external_id, name, visitor, contact, session, revenue, currency, properties,
				occurred_at, received_at, refund_of, position)
		WHERE t.tenant_uuid = $1
		ORDER BY c.position
		ON CONFLICT (tenant_uuid, name, external_id) DO NOTHING
		RETURNING conversion_uuid, currency`
	rows, err := tx.Query(ctx, statement, tx.Tenant(), cols.ids, cols.externalIDs, cols.names, cols.visitors,
		cols.contacts, cols.sessions, cols.revenues, cols.currencies, cols.properties, cols.occurredAts, cols.receivedAts, cols.refundOfs)
	if err != nil {
		return nil, err
	}
	created := make(map[uuid.UUID]string, len(cols.ids))
	var id uuid.UUID
	var currency string
	_, err = pgx.ForEachRow(rows, []any{&id, &currency}, func() error {
		created[id] = currency
		return nil
	})
	return created, err
}

// completed is a conversion that has learnt its person.
type completed struct {
	ID               uuid.UUID
	Visitor, Contact *uuid.UUID
}

// complete gives conversions recorded before the person they lacked and returns
// those it changed.
func complete(ctx context.Context, tx engardedb.Tx, cols columns) ([]completed, error) {
	const statement = `
		UPDATE conversion_events e SET
			visitor_uuid = COALESCE(e.visitor_uuid, c.visitor),
			contact_uuid = COALESCE(e.contact_uuid, c.contact),
			session_uuid = COALESCE(e.session_uuid, c.session)
		FROM (SELECT name, external_id, min(visitor::text)::uuid AS visitor, min(contact::text)::uuid AS contact,
				min(session::text)::uuid AS session
			FROM unnest($2::text[], $3::text[], $4::uuid[], $5::uuid[], $6::uuid[]) AS u (external_id, name, visitor, contact, session)
			GROUP BY name, external_id) c
		WHERE e.tenant_uuid = $1 AND e.name = c.name AND e.external_id = c.external_id
			AND (e.visitor_uuid IS NULL AND c.visitor IS NOT NULL OR e.contact_uuid IS NULL AND c.contact IS NOT NULL)
		RETURNING e.conversion_uuid, e.visitor_uuid, e.contact_uuid`
	rows, err := tx.Query(ctx, statement, tx.Tenant(), cols.externalIDs, cols.names, cols.visitors, cols.contacts, cols.sessions)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[completed])
}

func identify(ctx context.Context, tx engardedb.Tx, cols columns) (map[key]uuid.UUID, error) {
	const query = `
		SELECT e.name, e.external_id, e.conversion_uuid
		FROM unnest($2::text[], $3::text[]) AS c (external_id, name)
		JOIN conversion_events e ON e.tenant_uuid = $1 AND e.name = c.name AND e.external_id = c.external_id`
	rows, err := tx.Query(ctx, query, tx.Tenant(), cols.externalIDs, cols.names)
	if err != nil {
		return nil, err
	}
	ids := make(map[key]uuid.UUID, len(cols.ids))
	var k key
	var id uuid.UUID
	_, err = pgx.ForEachRow(rows, []any{&k.name, &k.externalID, &id}, func() error {
		ids[k] = id
		return nil
	})
	return ids, err
}

func enqueue(ctx context.Context, tx engardedb.Tx, queue Queue, conversions []uuid.UUID) error {
	params := make([]river.InsertManyParams, len(conversions))
	for i, id := range conversions {
		params[i].Args = attribution.AttributeArgs{TenantUUID: tx.Tenant(), ConversionUUID: id}
	}
	if err := queue.EnqueueMany(ctx, tx, params); err != nil {
		return fmt.Errorf("enqueue attribution: %w", err)
	}
	return nil
}

// What ReattributeTx and TouchedTx look at: how far back, and how many
// conversions of a contact or touch.
const (
	recentWindow = 90 * 24 * time.Hour
	recentMost   = 100
)

// ReattributeTx attributes contacts' recent conversions again (those of the last
// 90 days, the latest 100 of each). Call it when visitors become known as them.
func (r *Recorder) ReattributeTx(ctx context.Context, tx engardedb.Tx, contacts ...uuid.UUID) error {
	if len(contacts) == 0 {
		return nil
	}
	const query = `
		SELECT DISTINCT e.conversion_uuid
		FROM unnest($2::uuid[]) AS p (contact_uuid)
		CROSS JOIN LATERAL (
			SELECT conversion_uuid, occurred_at FROM conversion_events
			WHERE tenant_uuid = $1 AND contact_uuid = p.contact_uuid AND occurred_at > $3
			UNION
			SELECT e.conversion_uuid, e.occurred_at FROM website_visitors v
			JOIN conversion_events e ON e.tenant_uuid = v.tenant_uuid AND e.visitor_uuid = v.visitor_uuid
			WHERE v.tenant_uuid = $1 AND v.contact_uuid = p.contact_uuid AND e.occurred_at > $3
			ORDER BY occurred_at DESC LIMIT $4
		) e`
	return r.reattribute(ctx, tx, query, tx.Tenant(), contacts, r.clock.Now().Add(-recentWindow), recentMost)
}

// LateTouch is a touchpoint just recorded.
type LateTouch struct {
	VisitorUUID *uuid.UUID
	ContactUUID *uuid.UUID
	OccurredAt  time.Time
}

// TouchedTx attributes again the conversions that touches reached us too late
// for: those of the same visitor or contact that happened after the touch, in
// the 90 days that followed it. Call it with the touchpoints a transaction adds.
func (r *Recorder) TouchedTx(ctx context.Context, tx engardedb.Tx, touches []LateTouch) error {
	if len(touches) == 0 {
		return nil
	}
	visitors, contacts := make([]*uuid.UUID, len(touches)), make([]*uuid.UUID, len(touches))
	times := make([]time.Time, len(touches))
	for i, touch := range touches {
		visitors[i], contacts[i], times[i] = touch.VisitorUUID, touch.ContactUUID, touch.OccurredAt
	}
	const query = `
		SELECT DISTINCT e.conversion_uuid
		FROM unnest($2::uuid[], $3::uuid[], $4::timestamptz[]) AS t (visitor, contact, occurred_at)
		CROSS JOIN LATERAL (
			SELECT conversion_uuid FROM conversion_events
			WHERE tenant_uuid = $1 AND visitor_uuid = t.visitor
				AND occurred_at >= t.occurred_at AND occurred_at < t.occurred_at + $5::interval
			UNION
			SELECT conversion_uuid FROM conversion_events
			WHERE tenant_uuid = $1 AND contact_uuid = t.contact
				AND occurred_at >= t.occurred_at AND occurred_at < t.occurred_at + $5::interval
			LIMIT $6
		) e`
	return r.reattribute(ctx, tx, query, tx.Tenant(), visitors, contacts, times, recentWindow, recentMost)
}

func (r *Recorder) reattribute(ctx context.Context, tx engardedb.Tx, query string, args ...any) error {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("find conversions to attribute again: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return fmt.Errorf("find conversions to attribute again: %w", err)
	}
	return enqueue(ctx, tx, r.queue, ids)
}
