package conversion

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/madansara/attribution"
)

// PersonFigures count what one contact did and was sent, ever. They count the
// entries of the person's Journey.
type PersonFigures struct {
	Visits      int64
	Messages    int64   // sent
	Conversions int64   // refunds not counted
	Revenue     []Money // of each currency, refunds taken off
}

// personQuery returns (contact, metric, currency, value).
const personQuery = `
	WITH browsers AS (
		SELECT contact_uuid, visitor_uuid FROM website_visitors WHERE tenant_uuid = $1 AND contact_uuid = ANY ($2)
	), theirs AS (
		SELECT contact_uuid, conversion_uuid FROM conversion_events WHERE tenant_uuid = $1 AND contact_uuid = ANY ($2)
		UNION
		SELECT b.contact_uuid, e.conversion_uuid FROM browsers b
		JOIN conversion_events e ON e.tenant_uuid = $1 AND e.visitor_uuid = b.visitor_uuid
	), orders AS (
		SELECT t.contact_uuid, ` + isOrder + ` AS is_order, revenue_minor, currency
		FROM theirs t JOIN conversion_events e ON e.tenant_uuid = $1 AND e.conversion_uuid = t.conversion_uuid
	)
	SELECT b.contact_uuid, 'visits', '', count(*) FROM browsers b
	JOIN website_sessions s ON s.tenant_uuid = $1 AND s.visitor_uuid = b.visitor_uuid GROUP BY 1
	UNION ALL
	SELECT contact_uuid, 'messages', '', count(*) FROM outreach_messages
	WHERE tenant_uuid = $1 AND contact_uuid = ANY ($2) AND sent_at IS NOT NULL GROUP BY 1
	UNION ALL
	SELECT contact_uuid, 'conversions', '', count(*) FILTER (WHERE is_order) FROM orders GROUP BY 1
	UNION ALL
	SELECT contact_uuid, 'revenue', currency, sum(revenue_minor)::bigint FROM orders GROUP BY 1, 3
	ORDER BY 1, 2, 3`

// People returns the figures of contacts; whoever did nothing is missing.
func (s *Service) People(ctx context.Context, tenant uuid.UUID, contacts ...uuid.UUID) (map[uuid.UUID]PersonFigures, error) {
	people := make(map[uuid.UUID]PersonFigures, len(contacts))
	err := s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := tx.Query(ctx, personQuery, tenant, contacts)
		if err != nil {
			return fmt.Errorf("read the numbers: %w", err)
		}
		var contact uuid.UUID
		var metric, currency string
		var value int64
		_, err = pgx.ForEachRow(rows, []any{&contact, &metric, &currency, &value}, func() error {
			person := people[contact]
			switch metric {
			case "visits":
				person.Visits = value
			case "messages":
				person.Messages = value
			case "conversions":
				person.Conversions = value
			case "revenue":
				person.Revenue = append(person.Revenue, newMoney(value, currency))
			}
			people[contact] = person
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("figures of contacts: %w", err)
	}
	return people, nil
}

// CampaignOutcome returns what the clicks in a campaign's messages earned under
// a model, ever.
func (s *Service) CampaignOutcome(ctx context.Context, tenant, campaign uuid.UUID, model attribution.Model) (Earned, error) {
	const query = `
		SELECT e.currency, count(DISTINCT e.conversion_uuid) FILTER (WHERE e.is_order), COALESCE(sum(a.weight) FILTER (WHERE e.is_order), 0),
			sum(a.revenue_minor)::bigint
		FROM customer_touchpoints t
		JOIN attribution_credits a ON a.tenant_uuid = $1 AND a.touchpoint_uuid = t.touchpoint_uuid AND a.model = $3
		JOIN (SELECT conversion_uuid, currency, ` + isOrder + ` AS is_order FROM conversion_events WHERE tenant_uuid = $1) e USING (conversion_uuid)
		WHERE t.tenant_uuid = $1 AND t.campaign_uuid = $2
		GROUP BY 1 ORDER BY 1`
	earned := Earned{Revenue: []Money{}}
	err := s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := tx.Query(ctx, query, tenant, campaign, model)
		if err != nil {
			return fmt.Errorf("read credits: %w", err)
		}
		var currency string
		var part Earned
		var minor int64
		_, err = pgx.ForEachRow(rows, []any{&currency, &part.Conversions, &part.Weight, &minor}, func() error {
			part.Revenue = []Money{newMoney(minor, currency)}
			earned.add(part)
			return nil
		})
		return err
	})
	if err != nil {
		return Earned{}, fmt.Errorf("what a campaign earned: %w", err)
	}
	return earned, nil
}
