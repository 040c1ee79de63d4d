-- What only the dashboard's pages ask for: sums over a period, lists to page through, one customer's history.

-- name: Tenant :one
SELECT name, time_zone, currency FROM tenants;

-- name: Totals :one
-- A refund is less revenue, but no conversion. Revenue counts the tenant's own currency; OtherCurrencies counts the conversions left out of it.
SELECT
    (SELECT count(DISTINCT visitor_uuid) FROM website_sessions
        WHERE started_at >= @since AND started_at < @until)::bigint AS visitors,
    (SELECT count(*) FROM outreach_messages
        WHERE status = 'sent' AND sent_at >= @since AND sent_at < @until)::bigint AS messages,
    (SELECT count(*) FROM conversion_events
        WHERE occurred_at >= @since AND occurred_at < @until AND refund_of IS NULL)::bigint AS conversions,
    (SELECT COALESCE(sum(revenue_minor), 0) FROM conversion_events
        WHERE occurred_at >= @since AND occurred_at < @until AND currency = @currency::text)::bigint AS revenue_minor,
    (SELECT count(*) FROM conversion_events
        WHERE occurred_at >= @since AND occurred_at < @until AND currency <> @currency::text)::bigint AS other_currencies;

-- name: VisitorsByDay :many
SELECT to_char(started_at AT TIME ZONE @zone::text, 'YYYY-MM-DD')::text AS day, count(DISTINCT visitor_uuid)::bigint AS visitors
FROM website_sessions WHERE started_at >= @since AND started_at < @until GROUP BY 1 ORDER BY 1;

-- name: MessagesByDay :many
SELECT to_char(sent_at AT TIME ZONE @zone::text, 'YYYY-MM-DD')::text AS day, count(*)::bigint AS messages
FROM outreach_messages WHERE status = 'sent' AND sent_at >= @since::timestamptz AND sent_at < @until::timestamptz GROUP BY 1 ORDER BY 1;

-- name: ConversionsByDay :many
SELECT to_char(occurred_at AT TIME ZONE @zone::text, 'YYYY-MM-DD')::text AS day, count(*) FILTER (WHERE refund_of IS NULL)::bigint AS conversions,
    COALESCE(sum(revenue_minor) FILTER (WHERE currency = @currency::text), 0)::bigint AS revenue_minor
FROM conversion_events WHERE occurred_at >= @since AND occurred_at < @until GROUP BY 1 ORDER BY 1;

-- name: CreditByChannel :many
SELECT c.model, c.channel, COALESCE(sum(c.weight) FILTER (WHERE e.refund_of IS NULL), 0)::double precision AS conversions,
    COALESCE(sum(c.revenue_minor) FILTER (WHERE e.currency = @currency::text), 0)::bigint AS revenue_minor
FROM conversion_events e JOIN attribution_credits c USING (tenant_uuid, conversion_uuid)
WHERE e.occurred_at >= @since AND e.occurred_at < @until
GROUP BY 1, 2 ORDER BY 1, 2;

-- name: RecentConversions :many
SELECT e.conversion_uuid, e.name, COALESCE(e.refund_of, e.external_id) AS external_id, e.revenue_minor, e.currency, e.occurred_at, e.attributed_at, p.contact_uuid,
    COALESCE(p.email, '') AS email, COALESCE(p.first_name, '') AS first_name, COALESCE(p.last_name, '') AS last_name,
    COALESCE((SELECT c.channel FROM attribution_credits c
        WHERE c.tenant_uuid = e.tenant_uuid AND c.conversion_uuid = e.conversion_uuid AND c.model = 'last_touch' LIMIT 1), '')::text AS channel
FROM conversion_events e
LEFT JOIN website_visitors v ON v.tenant_uuid = e.tenant_uuid AND v.visitor_uuid = e.visitor_uuid
LEFT JOIN contacts p ON p.tenant_uuid = e.tenant_uuid AND p.contact_uuid = COALESCE(v.contact_uuid, e.contact_uuid)
WHERE e.occurred_at >= @since AND e.occurred_at < @until
ORDER BY e.occurred_at DESC, e.conversion_uuid DESC LIMIT 8;

-- name: Setup :one
-- Which of the first steps a tenant has taken; the empty overview names the next.
SELECT
    EXISTS (SELECT FROM website_visitors)::boolean AS visitors,
    EXISTS (SELECT FROM contacts)::boolean AS contacts,
    EXISTS (SELECT FROM segments)::boolean AS segments,
    EXISTS (SELECT FROM channel_templates)::boolean AS templates,
    EXISTS (SELECT FROM outreach_campaigns)::boolean AS campaigns,
    EXISTS (SELECT FROM conversion_events)::boolean AS conversions;

-- name: CountCustomers :one
SELECT count(*)::bigint FROM contacts
WHERE @pattern::text = '' OR email ILIKE @pattern OR (first_name || ' ' || last_name) ILIKE @pattern;

-- name: Customers :many
SELECT p.contact_uuid, COALESCE(p.email, '') AS email, p.first_name, p.last_name, p.created_at,
    COALESCE((SELECT max(v.last_seen_at) FROM website_visitors v
        WHERE v.tenant_uuid = p.tenant_uuid AND v.contact_uuid = p.contact_uuid), p.created_at)::timestamptz AS last_seen_at,
    (SELECT count(*) FROM outreach_messages m
        WHERE m.tenant_uuid = p.tenant_uuid AND m.contact_uuid = p.contact_uuid AND m.status = 'sent')::bigint AS messages,
    (SELECT count(*) FROM conversion_events e
        WHERE e.tenant_uuid = p.tenant_uuid AND e.contact_uuid = p.contact_uuid)::bigint AS conversions,
    (SELECT COALESCE(sum(e.revenue_minor), 0) FROM conversion_events e
        WHERE e.tenant_uuid = p.tenant_uuid AND e.contact_uuid = p.contact_uuid AND e.currency = @currency::text)::bigint AS revenue_minor
FROM contacts p
WHERE @pattern::text = '' OR p.email ILIKE @pattern OR (p.first_name || ' ' || p.last_name) ILIKE @pattern
ORDER BY p.contact_uuid DESC LIMIT @page_size OFFSET @skip;

-- name: Customer :one
SELECT contact_uuid, COALESCE(email, '') AS email, first_name, last_name, time_zone, traits, created_at, updated_at
FROM contacts WHERE contact_uuid = @contact_uuid;

-- name: CustomerIdentities :many
SELECT kind, value FROM contact_identities WHERE contact_uuid = @contact_uuid ORDER BY kind, value LIMIT 50;

-- name: CustomerConsents :many
SELECT channel, status, source, recorded_at FROM consents WHERE contact_uuid = @contact_uuid ORDER BY channel;

-- name: CustomerSuppressions :many
SELECT s.channel, s.reason, s.created_at FROM contacts p
JOIN suppressions s ON s.tenant_uuid = p.tenant_uuid AND s.address = p.email
WHERE p.contact_uuid = @contact_uuid ORDER BY s.channel;

-- name: CustomerSessions :many
SELECT s.session_uuid, s.started_at, s.ended_at, s.landing_url, s.referrer, s.utm_source, s.utm_medium, s.utm_campaign,
    s.channel, s.device, s.page_view_count, s.event_count
FROM website_sessions s JOIN website_visitors v USING (tenant_uuid, visitor_uuid)
WHERE v.contact_uuid = @contact_uuid::uuid ORDER BY s.started_at DESC LIMIT 100;

-- name: CustomerPages :many
SELECT p.message_id, p.session_uuid, p.occurred_at, p.url, p.path, p.title
FROM page_views p JOIN website_visitors v USING (tenant_uuid, visitor_uuid)
WHERE v.contact_uuid = @contact_uuid::uuid ORDER BY p.occurred_at DESC LIMIT 300;

-- name: CustomerEvents :many
SELECT e.message_id, e.session_uuid, e.type, e.name, e.occurred_at, e.url, e.properties
FROM website_events e
WHERE e.contact_uuid = @contact_uuid::uuid
   OR e.visitor_uuid IN (SELECT v.visitor_uuid FROM website_visitors v WHERE v.contact_uuid = @contact_uuid::uuid)
ORDER BY e.occurred_at DESC LIMIT 300;

-- name: CustomerMessages :many
SELECT m.message_uuid, m.campaign_uuid, COALESCE(c.name, '')::text AS campaign_name, m.channel, m.status, m.subject, m.error, m.created_at, m.sent_at,
    m.first_opened_at, m.open_count, m.first_clicked_at, m.click_count, m.unsubscribed_at
FROM outreach_messages m LEFT JOIN outreach_campaigns c USING (tenant_uuid, campaign_uuid)
WHERE m.contact_uuid = @contact_uuid ORDER BY m.created_at DESC LIMIT 100;

-- name: CustomerConversions :many
SELECT conversion_uuid, name, COALESCE(refund_of, external_id) AS external_id, revenue_minor, currency, occurred_at, attributed_at
FROM conversion_events e
WHERE (e.contact_uuid = @contact_uuid::uuid OR e.visitor_uuid IN (SELECT v.visitor_uuid FROM website_visitors v WHERE v.contact_uuid = @contact_uuid::uuid))
ORDER BY occurred_at DESC LIMIT 50;

-- name: CustomerCredits :many
SELECT c.conversion_uuid, c.model, c.touchpoint_uuid, c.channel, c.weight, c.revenue_minor, e.currency,
    t.kind, t.source, t.campaign, t.occurred_at
FROM conversion_events e JOIN attribution_credits c USING (tenant_uuid, conversion_uuid)
JOIN customer_touchpoints t USING (tenant_uuid, touchpoint_uuid)
WHERE (e.contact_uuid = @contact_uuid::uuid OR e.visitor_uuid IN (SELECT v.visitor_uuid FROM website_visitors v WHERE v.contact_uuid = @contact_uuid::uuid))
ORDER BY t.occurred_at, c.touchpoint_uuid LIMIT 2000;

-- name: CountCampaigns :one
SELECT count(*)::bigint FROM outreach_campaigns;

-- name: Campaigns :many
SELECT c.campaign_uuid, c.name, c.channel, c.status, c.pause_reason, c.created_at, c.started_at, c.expanded_at, c.finished_at,
    s.name AS segment_name, t.name AS template_name,
    m.total, m.sent, m.failed, m.unknown, m.opened, m.clicked, m.waiting
FROM outreach_campaigns c
JOIN segments s USING (tenant_uuid, segment_uuid)
JOIN channel_templates t USING (tenant_uuid, template_uuid)
CROSS JOIN LATERAL (
    SELECT count(*)::bigint AS total,
        count(*) FILTER (WHERE status = 'sent')::bigint AS sent,
        count(*) FILTER (WHERE status = 'failed')::bigint AS failed,
        count(*) FILTER (WHERE status = 'unknown')::bigint AS unknown,
        count(*) FILTER (WHERE status IN ('queued', 'sending'))::bigint AS waiting,
        count(*) FILTER (WHERE first_opened_at IS NOT NULL)::bigint AS opened,
        count(*) FILTER (WHERE first_clicked_at IS NOT NULL)::bigint AS clicked
    FROM outreach_messages x WHERE x.tenant_uuid = c.tenant_uuid AND x.campaign_uuid = c.campaign_uuid) m
ORDER BY c.campaign_uuid DESC LIMIT @page_size OFFSET @skip;

-- name: Campaign :one
SELECT c.campaign_uuid, c.name, c.channel, c.status, c.pause_reason, c.from_name, c.from_email, c.created_at, c.started_at, c.expanded_at, c.finished_at,
    c.segment_uuid, s.name AS segment_name, c.template_uuid, t.name AS template_name, t.subject
FROM outreach_campaigns c
JOIN segments s USING (tenant_uuid, segment_uuid)
JOIN channel_templates t USING (tenant_uuid, template_uuid)
WHERE c.campaign_uuid = @campaign_uuid;

-- name: CampaignProgress :one
SELECT count(*)::bigint AS total,
    count(*) FILTER (WHERE status = 'queued')::bigint AS queued,
    count(*) FILTER (WHERE status = 'sending')::bigint AS sending,
    count(*) FILTER (WHERE status = 'sent')::bigint AS sent,
    count(*) FILTER (WHERE status = 'failed')::bigint AS failed,
    count(*) FILTER (WHERE status = 'unknown')::bigint AS unknown,
    count(*) FILTER (WHERE status = 'cancelled')::bigint AS cancelled,
    count(*) FILTER (WHERE first_opened_at IS NOT NULL)::bigint AS opened,
    count(*) FILTER (WHERE first_clicked_at IS NOT NULL)::bigint AS clicked,
    count(*) FILTER (WHERE unsubscribed_at IS NOT NULL)::bigint AS unsubscribed
FROM outreach_messages WHERE campaign_uuid = @campaign_uuid::uuid;

-- name: CampaignOutcome :one
-- Conversions credited, by the last touch, to a click in one of the campaign's messages.
SELECT count(DISTINCT c.conversion_uuid)::bigint AS conversions,
    COALESCE(sum(c.revenue_minor) FILTER (WHERE e.currency = @currency::text), 0)::bigint AS revenue_minor
FROM customer_touchpoints t
JOIN attribution_credits c USING (tenant_uuid, touchpoint_uuid)
JOIN conversion_events e USING (tenant_uuid, conversion_uuid)
WHERE t.campaign_uuid = @campaign_uuid::uuid AND c.model = 'last_touch';

-- name: CampaignDecisions :many
-- The last reason of a decision is the one that decided.
SELECT outcome, COALESCE(reasons -> -1 ->> 'code', '')::text AS code, count(*)::bigint AS recipients
FROM outreach_decisions WHERE campaign_uuid = @campaign_uuid::uuid GROUP BY 1, 2 ORDER BY 1 DESC, 3 DESC;

-- name: CampaignSkipped :many
SELECT d.contact_uuid, COALESCE(d.reasons -> -1 ->> 'text', '')::text AS reason, d.decided_at, COALESCE(p.email, '') AS email, p.first_name, p.last_name
FROM outreach_decisions d JOIN contacts p USING (tenant_uuid, contact_uuid)
WHERE d.campaign_uuid = @campaign_uuid::uuid AND d.outcome = 'skip' ORDER BY d.contact_uuid LIMIT @page_size OFFSET @skip;

-- name: CampaignMessages :many
SELECT m.message_uuid, m.contact_uuid, m.address, m.status, m.subject, m.provider_reply, m.error, m.attempts, m.created_at, m.sent_at,
    m.first_opened_at, m.first_clicked_at, m.unsubscribed_at, m.resolved_by, m.resolved_at, p.first_name, p.last_name
FROM outreach_messages m JOIN contacts p USING (tenant_uuid, contact_uuid)
WHERE m.campaign_uuid = @campaign_uuid::uuid AND (@status::text = '' OR m.status = @status)
ORDER BY m.message_uuid DESC LIMIT @page_size OFFSET @skip;

-- name: Segments :many
SELECT segment_uuid, name, rules, created_at, updated_at FROM segments ORDER BY segment_uuid DESC LIMIT 200;

-- name: Segment :one
SELECT segment_uuid, name, rules, created_at, updated_at FROM segments WHERE segment_uuid = @segment_uuid;

-- name: Templates :many
SELECT template_uuid, channel, name, subject, updated_at FROM channel_templates ORDER BY template_uuid DESC LIMIT 200;

-- name: Template :one
SELECT template_uuid, channel, name, subject, body_html, body_text, created_at, updated_at
FROM channel_templates WHERE template_uuid = @template_uuid;

-- name: NewestCustomer :one
-- Whom a template's preview is written to.
SELECT contact_uuid FROM contacts WHERE email IS NOT NULL ORDER BY contact_uuid DESC LIMIT 1;

-- name: LatestLanding :one
-- Where visitors land: a first template's link leads there.
SELECT landing_url FROM website_sessions WHERE landing_url <> '' ORDER BY started_at DESC LIMIT 1;
