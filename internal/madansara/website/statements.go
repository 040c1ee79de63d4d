package website

const upsertVisitors = `
	INSERT INTO website_visitors AS v (tenant_uuid, visitor_uuid, anonymous_id, first_seen_at, last_seen_at, contact_uuid)
	SELECT $1, n.id, n.anonymous_id, n.first, n.last, i.contact_uuid
	FROM unnest($2::uuid[], $3::text[], $4::timestamptz[], $5::timestamptz[]) AS n (id, anonymous_id, first, last)
	LEFT JOIN contact_identities i ON i.tenant_uuid = $1 AND i.kind = 'anonymous_id' AND i.value = n.anonymous_id
	ON CONFLICT (tenant_uuid, visitor_uuid) DO UPDATE
	SET first_seen_at = least(v.first_seen_at, excluded.first_seen_at), last_seen_at = greatest(v.last_seen_at, excluded.last_seen_at)
	RETURNING visitor_uuid, contact_uuid`

const selectLastSessions = `
	SELECT n.id, s.session_uuid, s.ended_at
	FROM unnest($2::uuid[]) AS n (id), LATERAL (
		SELECT session_uuid, ended_at FROM website_sessions s
		WHERE s.tenant_uuid = $1 AND s.visitor_uuid = n.id ORDER BY started_at DESC LIMIT 1) s`

// eventInsert is an INSERT into one of the event tables, in the forms it is used in.
type eventInsert [2][2]string // by names users, by may repeat

func newEventInsert(into, from string) (forms eventInsert) {
	// Nearly every event that names a user names one that is known, so the
	// contact is joined; only the others cost a second look.
	contacts := [2]string{"", "LEFT JOIN contact_identities i ON i.tenant_uuid = $1 AND i.kind = 'user_id' AND i.value = n.user_id"}
	columns := [2]string{"NULL::uuid", "i.contact_uuid"}
	conflict := [2]string{"", "ON CONFLICT (tenant_uuid, message_id) DO NOTHING"}
	for names := range forms {
		for repeats := range forms[names] {
			returning := "RETURNING message_id, contact_uuid"
			if names+repeats == 0 {
				returning = ""
			}
			forms[names][repeats] = "INSERT INTO " + into + " SELECT $1, " + columns[names] + ", " + from + " " + contacts[names] + " " +
				conflict[repeats] + " " + returning
		}
	}
	return forms
}

func (e *eventInsert) text(namesUsers, repeats bool) string {
	names, may := 0, 0
	if namesUsers {
		names = 1
	}
	if repeats {
		may = 1
	}
	return e[names][may]
}

var insertPageViews = newEventInsert(`
	page_views (tenant_uuid, contact_uuid, message_id, visitor_uuid, session_uuid, occurred_at, received_at,
		url, path, title, referrer, properties, context)`, `
		n.message_id, n.visitor, n.session, n.occurred, n.received, n.url, n.path, n.title, n.referrer, n.properties, n.context
	FROM unnest($2::text[], $3::uuid[], $4::uuid[], $5::text[], $6::timestamptz[], $7::timestamptz[],
		$8::text[], $9::text[], $10::text[], $11::text[], $12::jsonb[], $13::jsonb[])
		AS n (message_id, visitor, session, user_id, occurred, received, url, path, title, referrer, properties, context)`)

var insertEvents = newEventInsert(`
	website_events (tenant_uuid, contact_uuid, message_id, type, name, visitor_uuid, session_uuid, occurred_at, received_at,
		url, properties, context)`, `
		n.message_id, n.type, n.name, n.visitor, n.session, n.occurred, n.received, n.url, n.properties, n.context
	FROM unnest($2::text[], $3::text[], $4::text[], $5::uuid[], $6::uuid[], $7::text[], $8::timestamptz[], $9::timestamptz[],
		$10::text[], $11::jsonb[], $12::jsonb[])
		AS n (message_id, type, name, visitor, session, user_id, occurred, received, url, properties, context)`)

// A session's beginning is told by its earliest page; when that arrives late,
// or after an event without a page, the session and its touch are corrected.
const upsertSessions = `
	WITH n AS MATERIALIZED (
		SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::text[], $8::text[],
			$9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::int[], $16::int[], $17::uuid[], $18::bool[])
		AS n (id, visitor, started, ended, landing, referrer, source, medium, campaign, term, content, channel, device, pages, events, touch, ours)
	), s AS (
		INSERT INTO website_sessions AS s (tenant_uuid, session_uuid, visitor_uuid, started_at, ended_at, landing_url, referrer,
			utm_source, utm_medium, utm_campaign, utm_term, utm_content, channel, device, page_view_count, event_count)
		SELECT $1, id, visitor, started, ended, landing, referrer, source, medium, campaign, term, content, channel, device, pages, events FROM n
		ON CONFLICT (tenant_uuid, session_uuid) DO UPDATE SET
			(landing_url, referrer, utm_source, utm_medium, utm_campaign, utm_term, utm_content, channel) = (
				SELECT b.* FROM (VALUES
					(true, excluded.landing_url, excluded.referrer, excluded.utm_source, excluded.utm_medium, excluded.utm_campaign,
						excluded.utm_term, excluded.utm_content, excluded.channel),
					(false, s.landing_url, s.referrer, s.utm_source, s.utm_medium, s.utm_campaign, s.utm_term, s.utm_content, s.channel)
				) AS w (better, landing, referrer, source, medium, campaign, term, content, channel),
				LATERAL (SELECT w.landing, w.referrer, w.source, w.medium, w.campaign, w.term, w.content, w.channel) b
				WHERE w.better = (excluded.landing_url <> '' AND (s.landing_url = '' OR excluded.started_at < s.started_at))),
			device = CASE WHEN s.device = '' THEN excluded.device ELSE s.device END,
			started_at = least(s.started_at, excluded.started_at),
			ended_at = greatest(s.ended_at, excluded.ended_at),
			page_view_count = s.page_view_count + excluded.page_view_count,
			event_count = s.event_count + excluded.event_count
		RETURNING s.session_uuid, s.visitor_uuid, s.started_at, s.landing_url, s.channel, s.utm_source, s.utm_medium, s.utm_campaign, (xmax = 0) AS is_new
	)
	INSERT INTO customer_touchpoints AS t (tenant_uuid, touchpoint_uuid, source_key, kind, channel, source, medium, campaign,
		visitor_uuid, contact_uuid, session_uuid, occurred_at)
	SELECT $1, n.touch, 'session:' || s.session_uuid, 'visit', s.channel, s.utm_source, s.utm_medium, s.utm_campaign,
		s.visitor_uuid, v.contact_uuid, s.session_uuid, s.started_at
	FROM s JOIN n ON n.id = s.session_uuid
	JOIN website_visitors v ON v.tenant_uuid = $1 AND v.visitor_uuid = s.visitor_uuid
	WHERE NOT n.ours AND (s.is_new OR s.landing_url = n.landing AND s.started_at = n.started)
	ORDER BY s.session_uuid
	ON CONFLICT (tenant_uuid, source_key) DO UPDATE
	SET channel = excluded.channel, source = excluded.source, medium = excluded.medium, campaign = excluded.campaign, occurred_at = excluded.occurred_at
	WHERE t.occurred_at >= excluded.occurred_at`
