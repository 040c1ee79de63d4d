package outreach

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
)

// addressColumns says where each channel reaches a contact. Only a channel that
// is here can have campaigns.
var addressColumns = map[string]string{"email": "c.email"}

// factsOf gathers the facts about all contacts in one statement. A message
// counts from when it was queued: it will be sent.
const factsOf = `
SELECT c.contact_uuid, COALESCE(%s, '') AS address,
	COALESCE(k.status, '') AS consent, COALESCE(k.recorded_at, 'epoch') AS consent_given,
	COALESCE(s.reason, '') AS suppressed,
	COALESCE(m.in_campaign, false) AS in_campaign, m.same_sent_at,
	COALESCE(m.sent_day, 0) AS sent_day, COALESCE(m.sent_week, 0) AS sent_week
FROM contacts c
LEFT JOIN consents k ON k.contact_uuid = c.contact_uuid AND k.channel = @channel
LEFT JOIN suppressions s ON s.channel = @channel AND s.address = %[1]s
LEFT JOIN (
	SELECT m.contact_uuid,
		bool_or(m.campaign_uuid = @campaign) AS in_campaign,
		max(m.at) FILTER (WHERE m.same AND m.at > @same_since) AS same_sent_at,
		count(*) FILTER (WHERE m.at > @day_since) AS sent_day,
		count(*) FILTER (WHERE m.at > @week_since) AS sent_week
	FROM (
		SELECT m.contact_uuid, m.campaign_uuid, COALESCE(m.sent_at, m.created_at) AS at,
			(m.template_uuid = @template OR (COALESCE(x.subject, t.subject) = @subject AND
				COALESCE(x.body_html, t.body_html) = @body_html AND COALESCE(x.body_text, t.body_text) = @body_text)) AS same
		FROM outreach_messages m JOIN channel_templates t ON t.template_uuid = m.template_uuid
		LEFT JOIN outreach_campaign_texts x ON x.campaign_uuid = m.campaign_uuid
		WHERE m.contact_uuid = ANY(@contacts) AND m.channel = @channel
			AND m.status IN ('queued', 'sending', 'sent', 'unknown')
			AND (m.campaign_uuid = @campaign OR m.sent_at > @week_since OR m.created_at > @week_since)
	) m
	GROUP BY m.contact_uuid
) m ON m.contact_uuid = c.contact_uuid
WHERE c.contact_uuid = ANY(@contacts)
ORDER BY c.contact_uuid`

// content is what makes two messages the same.
type content struct {
	template             uuid.UUID
	subject, html, plain string
}

// gatherFacts returns the facts about every contact that exists, in the order of their ids.
func gatherFacts(ctx context.Context, tx engardedb.Tx, channel string, campaign uuid.UUID, what content, contacts []uuid.UUID, now time.Time, p Policy) ([]Facts, error) {
	rows, err := tx.Query(ctx, fmt.Sprintf(factsOf, addressColumns[channel]), pgx.StrictNamedArgs{
		"channel": channel, "campaign": campaign, "contacts": contacts,
		"template": what.template, "subject": what.subject, "body_html": what.html, "body_text": what.plain,
		"same_since": now.Add(-p.Duplicate), "day_since": now.Add(-24 * time.Hour), "week_since": now.Add(-7 * 24 * time.Hour),
	})
	if err != nil {
		return nil, fmt.Errorf("gather facts: %w", err)
	}
	facts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f Facts, err error) {
		err = row.Scan(&f.Contact, &f.Address, &f.Consent, &f.ConsentGiven, &f.Suppressed,
			&f.InCampaign, &f.SameSentAt, &f.SentDay, &f.SentWeek)
		return f, err
	})
	if err != nil {
		return nil, fmt.Errorf("gather facts: %w", err)
	}
	return facts, nil
}

// lockDecisions lets one transaction at a time decide for the tenant: what two
// campaigns decide about one contact at once would each miss the other's message.
func lockDecisions(ctx context.Context, tx engardedb.Tx) error {
	_, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended('outreach decisions ' || $1::text, 0))", tx.Tenant())
	if err != nil {
		return fmt.Errorf("lock the tenant's decisions: %w", err)
	}
	return nil
}
