package attribution

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
)

// settingsTx returns the tenant's settings of every model, writing the defaults
// of those it has none of, in the order of Models.
func settingsTx(ctx context.Context, tx engardedb.Tx, now time.Time) ([]Settings, error) {
	stored, err := readSettings(ctx, tx)
	if err != nil {
		return nil, err
	}
	if len(stored) == len(Models()) {
		return stored, nil
	}
	for _, model := range Models() {
		if err := writeSettings(ctx, tx, Default(model), now, "DO NOTHING"); err != nil {
			return nil, err
		}
	}
	return readSettings(ctx, tx)
}

// readSettings returns the settings that are stored, in the order of Models.
func readSettings(ctx context.Context, tx engardedb.Tx) ([]Settings, error) {
	const query = `SELECT model, lookback_days, parameters FROM attribution_models WHERE tenant_uuid = $1`
	rows, err := tx.Query(ctx, query, tx.Tenant())
	if err != nil {
		return nil, fmt.Errorf("read attribution models: %w", err)
	}
	settings, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Settings])
	if err != nil {
		return nil, fmt.Errorf("read attribution models: %w", err)
	}
	slices.SortFunc(settings, func(a, b Settings) int {
		return slices.Index(Models(), a.Model) - slices.Index(Models(), b.Model)
	})
	return settings, nil
}

func writeSettings(ctx context.Context, tx engardedb.Tx, s Settings, now time.Time, onConflict string) error {
	statement := `
		INSERT INTO attribution_models (tenant_uuid, model, lookback_days, parameters, updated_at)
		VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (tenant_uuid, model) ` + onConflict
	if _, err := tx.Exec(ctx, statement, tx.Tenant(), s.Model, s.LookbackDays, s.Parameters, now); err != nil {
		return fmt.Errorf("write attribution model %s: %w", s.Model, err)
	}
	return nil
}

// conversion is what attribution needs to know of one. An unknown contact is Nil,
// which no contact has, and not NULL: PostgreSQL plans a comparison with NULL as
// an empty scan of the whole table, and starts workers for it.
type conversion struct {
	id         uuid.UUID
	number     string // the order's, or the refund's own
	refundOf   *string
	name       string
	visitor    *uuid.UUID
	contact    uuid.UUID // its own, or the one its visitor turned out to be; Nil when nobody knows
	visitors   []uuid.UUID
	revenue    int64
	occurredAt time.Time
}

// lockConversion reads a conversion and keeps other transactions from
// attributing it until this one ends; nil when there is none of that id.
func lockConversion(ctx context.Context, tx engardedb.Tx, id uuid.UUID) (*conversion, error) {
	const query = `
		SELECT e.conversion_uuid, e.external_id, e.refund_of, e.name, e.visitor_uuid,
			COALESCE(v.contact_uuid, e.contact_uuid, '00000000-0000-0000-0000-000000000000'), e.revenue_minor, e.occurred_at
		FROM conversion_events e
		LEFT JOIN website_visitors v ON v.tenant_uuid = e.tenant_uuid AND v.visitor_uuid = e.visitor_uuid
		WHERE e.tenant_uuid = $1 AND e.conversion_uuid = $2
		FOR UPDATE OF e`
	return readConversion(ctx, tx, query, id)
}

// refunded returns the conversion that the refund c gives money back for: the
// order of that number. Nil when it was never recorded.
func refunded(ctx context.Context, tx engardedb.Tx, c *conversion) (*conversion, error) {
	const query = `
		SELECT o.conversion_uuid, o.external_id, o.refund_of, o.name, o.visitor_uuid,
			COALESCE(v.contact_uuid, o.contact_uuid, '00000000-0000-0000-0000-000000000000'), o.revenue_minor, o.occurred_at
		FROM conversion_events r
		JOIN conversion_events o ON o.tenant_uuid = r.tenant_uuid AND o.external_id = r.refund_of AND o.refund_of IS NULL
		LEFT JOIN website_visitors v ON v.tenant_uuid = o.tenant_uuid AND v.visitor_uuid = o.visitor_uuid
		WHERE r.tenant_uuid = $1 AND r.conversion_uuid = $2
		ORDER BY o.revenue_minor DESC, o.conversion_uuid LIMIT 1`
	return readConversion(ctx, tx, query, c.id)
}

// refunds returns the refunds of the order c.
func refunds(ctx context.Context, tx engardedb.Tx, c *conversion) ([]uuid.UUID, error) {
	const query = `SELECT conversion_uuid FROM conversion_events WHERE tenant_uuid = $1 AND refund_of = $2 ORDER BY conversion_uuid`
	rows, err := tx.Query(ctx, query, tx.Tenant(), c.number)
	if err != nil {
		return nil, fmt.Errorf("read an order's refunds: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("read an order's refunds: %w", err)
	}
	return ids, nil
}

func readConversion(ctx context.Context, tx engardedb.Tx, query string, id uuid.UUID) (*conversion, error) {
	var c conversion
	err := tx.QueryRow(ctx, query, tx.Tenant(), id).Scan(&c.id, &c.number, &c.refundOf, &c.name, &c.visitor, &c.contact, &c.revenue, &c.occurredAt)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil //nolint:nilnil // nil is "there is none", as documented
	case err != nil:
		return nil, fmt.Errorf("read a conversion to attribute: %w", err)
	}
	return &c, loadVisitors(ctx, tx, &c)
}

// loadVisitors reads the visitors that are c's person: its own, and its contact's
// others. The queries below take them as an array, because PostgreSQL then goes
// through the index of visitor and time; it hashes whole tables for a sub-select.
func loadVisitors(ctx context.Context, tx engardedb.Tx, c *conversion) error {
	const query = `
		SELECT $2::uuid WHERE $2::uuid IS NOT NULL
		UNION
		SELECT visitor_uuid FROM website_visitors WHERE tenant_uuid = $1 AND contact_uuid = $3::uuid`
	rows, err := tx.Query(ctx, query, tx.Tenant(), c.visitor, c.contact)
	if err != nil {
		return fmt.Errorf("read a person's visitors: %w", err)
	}
	if c.visitors, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID]); err != nil {
		return fmt.Errorf("read a person's visitors: %w", err)
	}
	return nil
}

// A journey has at most this many touches, the newest; more is a robot.
const maxTouches = 5000

func loadJourney(ctx context.Context, tx engardedb.Tx, c *conversion, lookback time.Duration) (Journey, error) {
	j := Journey{ConvertedAt: c.occurredAt}
	after, err := previous(ctx, tx, c)
	if err != nil {
		return Journey{}, err
	}
	from := c.occurredAt.Add(-lookback)
	if after != nil && after.After(from) {
		j.After, from = *after, *after
		began, err := visitFrom(ctx, tx, c)
		if err != nil {
			return Journey{}, err
		}
		if began != nil {
			j.VisitFrom = *began
			from = earlier(from, began.Add(-clickToVisit))
		}
	}
	const query = `
		SELECT touchpoint_uuid, COALESCE('message:' || message_uuid, source_key), kind, channel, occurred_at FROM (
			SELECT t.* FROM customer_touchpoints t
			WHERE t.tenant_uuid = $1 AND t.visitor_uuid = ANY ($2) AND t.occurred_at BETWEEN $4 AND $5
			UNION
			SELECT t.* FROM customer_touchpoints t
			WHERE t.tenant_uuid = $1 AND t.contact_uuid = $3::uuid AND t.occurred_at BETWEEN $4 AND $5
		) t ORDER BY occurred_at DESC, touchpoint_uuid LIMIT $6`
	rows, err := tx.Query(ctx, query, tx.Tenant(), c.visitors, c.contact, from, c.occurredAt, maxTouches)
	if err != nil {
		return Journey{}, fmt.Errorf("read touches: %w", err)
	}
	j.Touches, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Touch])
	if err != nil {
		return Journey{}, fmt.Errorf("read touches: %w", err)
	}
	return j, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// visitFrom returns when the visit began in which c happened: the one running
// then in the converting browser or, for an order of which only the contact is
// known, in any of theirs. Nil if none was.
func visitFrom(ctx context.Context, tx engardedb.Tx, c *conversion) (*time.Time, error) {
	// Half an hour of silence ends a visit; the shop's server may report the
	// order some time after the last page.
	const query = `
		SELECT max(started_at) FROM website_sessions
		WHERE tenant_uuid = $1 AND visitor_uuid = ANY ($2) AND started_at BETWEEN $3::timestamptz - interval '1 day' AND $3
			AND ended_at >= $3::timestamptz - interval '30 minutes'`
	visitors := c.visitors
	if c.visitor != nil {
		visitors = []uuid.UUID{*c.visitor}
	}
	var at *time.Time
	if err := tx.QueryRow(ctx, query, tx.Tenant(), visitors, c.occurredAt).Scan(&at); err != nil {
		return nil, fmt.Errorf("read the visit of a conversion: %w", err)
	}
	return at, nil
}

// previous returns the time of the person's conversion of the same name before c.
func previous(ctx context.Context, tx engardedb.Tx, c *conversion) (*time.Time, error) {
	const query = `
		SELECT max(occurred_at) FROM (
			SELECT occurred_at, conversion_uuid, name FROM conversion_events
			WHERE tenant_uuid = $1 AND visitor_uuid = ANY ($2) AND occurred_at <= $4
			UNION ALL
			SELECT occurred_at, conversion_uuid, name FROM conversion_events
			WHERE tenant_uuid = $1 AND contact_uuid = $3::uuid AND occurred_at <= $4
		) e WHERE name = $5 AND (occurred_at, conversion_uuid) < ($4, $6::uuid)`
	var at *time.Time
	err := tx.QueryRow(ctx, query, tx.Tenant(), c.visitors, c.contact, c.occurredAt, c.name, c.id).Scan(&at)
	if err != nil {
		return nil, fmt.Errorf("read the previous conversion: %w", err)
	}
	return at, nil
}

// next returns the person's conversion of the same name after c, nil if none.
func next(ctx context.Context, tx engardedb.Tx, c *conversion, within time.Duration) (*uuid.UUID, error) {
	const query = `
		SELECT conversion_uuid FROM (
			SELECT e.* FROM conversion_events e
			WHERE e.tenant_uuid = $1 AND e.visitor_uuid = ANY ($2) AND e.occurred_at BETWEEN $4 AND $7
			UNION
			SELECT e.* FROM conversion_events e
			WHERE e.tenant_uuid = $1 AND e.contact_uuid = $3::uuid AND e.occurred_at BETWEEN $4 AND $7
		) e WHERE name = $5 AND (occurred_at, conversion_uuid) > ($4, $6::uuid)
		ORDER BY occurred_at, conversion_uuid LIMIT 1`
	var id uuid.UUID
	err := tx.QueryRow(ctx, query, tx.Tenant(), c.visitors, c.contact, c.occurredAt, c.name, c.id, c.occurredAt.Add(within)).Scan(&id)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil //nolint:nilnil // nil is "there is none", as documented
	case err != nil:
		return nil, fmt.Errorf("read the next conversion: %w", err)
	}
	return &id, nil
}

// replaceCredits stores what each model credits for c, in place of what is stored.
func replaceCredits(ctx context.Context, tx engardedb.Tx, c *conversion, credits map[Model][]Credit, now time.Time) error {
	const remove = `DELETE FROM attribution_credits WHERE tenant_uuid = $1 AND conversion_uuid = $2`
	if _, err := tx.Exec(ctx, remove, tx.Tenant(), c.id); err != nil {
		return fmt.Errorf("clear credits: %w", err)
	}
	var models, channels []string
	var touches []uuid.UUID
	var weights []float64
	var revenues []int64
	for _, model := range Models() {
		for _, credit := range credits[model] {
			models, channels = append(models, string(model)), append(channels, credit.Touch.Channel)
			touches = append(touches, credit.Touch.ID)
			weights, revenues = append(weights, credit.Weight), append(revenues, credit.Revenue)
		}
	}
	const insert = `
		INSERT INTO attribution_credits (tenant_uuid, conversion_uuid, model, touchpoint_uuid, channel, weight, revenue_minor)
		SELECT $1, $2, * FROM unnest($3::text[], $4::uuid[], $5::text[], $6::double precision[], $7::bigint[])`
	if _, err := tx.Exec(ctx, insert, tx.Tenant(), c.id, models, touches, channels, weights, revenues); err != nil {
		return fmt.Errorf("store credits: %w", err)
	}
	const stamp = `
		UPDATE conversion_events SET attributed_at = $3
		WHERE tenant_uuid = $1 AND conversion_uuid = $2`
	if _, err := tx.Exec(ctx, stamp, tx.Tenant(), c.id, now); err != nil {
		return fmt.Errorf("mark a conversion attributed: %w", err)
	}
	return nil
}
