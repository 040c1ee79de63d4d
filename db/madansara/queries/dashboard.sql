-- What only the pages ask for and no capability answers. A figure that a capability reports is asked of it: counted here too, it would one day differ.

-- name: Tenant :one
SELECT name, time_zone, currency FROM tenants;

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
        WHERE v.tenant_uuid = p.tenant_uuid AND v.contact_uuid = p.contact_uuid), p.created_at)::timestamptz AS last_seen_at
FROM contacts p
WHERE @pattern::text = '' OR p.email ILIKE @pattern OR (p.first_name || ' ' || p.last_name) ILIKE @pattern
ORDER BY p.contact_uuid DESC LIMIT @page_size OFFSET @skip;

-- name: EventNames :many
-- What the events that recorded consents were called; tracking calls have a type only.
SELECT message_id, (CASE name WHEN '' THEN type ELSE name END)::text AS name FROM website_events WHERE message_id = ANY (@message_ids::text[]);

-- name: LatestLanding :one
-- Where visitors land: a first template's link leads there.
SELECT landing_url FROM website_sessions WHERE landing_url <> '' ORDER BY started_at DESC LIMIT 1;
