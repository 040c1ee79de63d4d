package website

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/madansara/contact"
	"github.com/engardehq/madansara/internal/madansara/conversion"
	"github.com/engardehq/madansara/internal/madansara/website/segment"
)

// ConversionRecorder writes conversions in the events' own transaction
// (conversion.Recorder).
type ConversionRecorder interface {
	RecordTx(ctx context.Context, tx engardedb.Tx, conversions []conversion.Conversion) ([]conversion.Recorded, error)
	// ReattributeTx and TouchedTx tell of what changes the journeys of conversions
	// recorded before: whom a visitor turned out to be, and visits that arrive late.
	ReattributeTx(ctx context.Context, tx engardedb.Tx, contacts ...uuid.UUID) error
	TouchedTx(ctx context.Context, tx engardedb.Tx, touches []conversion.LateTouch) error
}

// store writes groups of events.
type store struct {
	db          *engardedb.DB
	conversions ConversionRecorder
	clock       clockwork.Clock
}

// attempts at a group that meets a deadlock or a failed serialisation.
const attempts = 5

// errChangesPeople says that the group must run again with the lock under
// which people change hands.
var errChangesPeople = errors.New("the group changes who is who")

// write commits the rows, each with all its effects, or none.
func (s *store) write(ctx context.Context, tenant uuid.UUID, rows []row) error {
	changesPeople := false
	for i := range rows {
		if t := rows[i].event.Type; t == segment.Identify || t == segment.Alias {
			changesPeople = true
		}
	}
	var err error
	for range attempts {
		err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
			g := group{store: s, tx: tx, changesPeople: changesPeople, entries: newEntries(tenant, rows)}
			return g.write(ctx)
		})
		switch {
		case errors.Is(err, errChangesPeople):
			changesPeople = true
		case !isRetryable(err):
			return err //nolint:wrapcheck // engardedb says what it was
		}
	}
	return fmt.Errorf("a group of events failed %d times: %w", attempts, err)
}

// group is one transaction. Every group takes its locks in one order (people,
// visitors, page views, events, sessions, touchpoints; each by key), so that
// two that meet wait for each other instead of deadlocking.
type group struct {
	*store
	tx            engardedb.Tx
	changesPeople bool
	entries       []*entry
	contacts      map[uuid.UUID]uuid.UUID // of the visitors that have one
	resolved      []uuid.UUID             // contacts that the new events say something of
	late          []conversion.LateTouch  // visits that a conversion may have overtaken
}

func (g *group) write(ctx context.Context) error {
	if err := g.writeEvents(ctx); err != nil {
		return err
	}
	if err := g.writeSessions(ctx); err != nil {
		return err
	}
	if err := g.resolve(ctx); err != nil {
		return err
	}
	if err := g.convert(ctx); err != nil {
		return err
	}
	return g.reattribute(ctx)
}

// writeEvents locks, names the visitors and inserts the events; those that the
// database knew already are marked and have no further effect.
func (g *group) writeEvents(ctx context.Context) error {
	var batch pgx.Batch
	lock := contact.HoldSQL
	if g.changesPeople {
		lock = contact.ChangeSQL
	}
	batch.Queue(lock, contact.LockKey(g.tx.Tenant()))
	g.queueVisitors(&batch)
	last, found := g.queueLastSessions(&batch)
	if found {
		// What the page views' sessions are must be known before they are written.
		if err := g.send(ctx, &batch); err != nil {
			return err
		}
		assignSessions(g.entries, last)
		batch = pgx.Batch{}
	}
	for _, e := range g.entries {
		e.known = true
	}
	g.queuePageViews(&batch)
	g.queueEvents(&batch)
	return g.send(ctx, &batch)
}

func (g *group) send(ctx context.Context, batch *pgx.Batch) error {
	if batch.Len() == 0 {
		return nil
	}
	if err := g.tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	return nil
}

const upsertVisitors = `
	INSERT INTO website_visitors AS v (tenant_uuid, visitor_uuid, anonymous_id, first_seen_at, last_seen_at, contact_uuid)
	SELECT $1, n.id, n.anonymous_id, n.first, n.last, i.contact_uuid
	FROM unnest($2::uuid[], $3::text[], $4::timestamptz[], $5::timestamptz[]) AS n (id, anonymous_id, first, last)
	LEFT JOIN contact_identities i ON i.tenant_uuid = $1 AND i.kind = 'anonymous_id' AND i.value = n.anonymous_id
	ON CONFLICT (tenant_uuid, visitor_uuid) DO UPDATE
	SET first_seen_at = least(v.first_seen_at, excluded.first_seen_at), last_seen_at = greatest(v.last_seen_at, excluded.last_seen_at)
	RETURNING visitor_uuid, contact_uuid`

func (g *group) queueVisitors(batch *pgx.Batch) {
	rows := visitorRows(g.entries)
	g.contacts = make(map[uuid.UUID]uuid.UUID)
	if len(rows) == 0 {
		return
	}
	ids, names := make([]uuid.UUID, len(rows)), make([]string, len(rows))
	first, last := make([]time.Time, len(rows)), make([]time.Time, len(rows))
	for i, r := range rows {
		ids[i], names[i], first[i], last[i] = r.id, r.anonymousID, r.first, r.last
	}
	batch.Queue(upsertVisitors, g.tx.Tenant(), ids, names, first, last).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var visitor uuid.UUID
			var person *uuid.UUID
			if err := rows.Scan(&visitor, &person); err != nil {
				return err //nolint:wrapcheck // wrapped by send
			}
			if person != nil {
				g.contacts[visitor] = *person
			}
		}
		return rows.Err() //nolint:wrapcheck // wrapped by send
	})
}

const selectLastSessions = `
	SELECT n.id, s.session_uuid, s.ended_at
	FROM unnest($2::uuid[]) AS n (id), LATERAL (
		SELECT session_uuid, ended_at FROM website_sessions s
		WHERE s.tenant_uuid = $1 AND s.visitor_uuid = n.id ORDER BY started_at DESC LIMIT 1) s`

// queueLastSessions asks for the running sessions of visitors whose page views
// came without a session; the visitors' rows are locked by then.
func (g *group) queueLastSessions(batch *pgx.Batch) (last map[uuid.UUID]lastSession, found bool) {
	var visitors []uuid.UUID
	seen := map[uuid.UUID]bool{}
	for _, e := range g.entries {
		if e.startsVisit() && !seen[e.visitor] {
			seen[e.visitor] = true
			visitors = append(visitors, e.visitor)
		}
	}
	if len(visitors) == 0 {
		return nil, false
	}
	last = map[uuid.UUID]lastSession{}
	batch.Queue(selectLastSessions, g.tx.Tenant(), visitors).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var visitor uuid.UUID
			var s lastSession
			if err := rows.Scan(&visitor, &s.id, &s.end); err != nil {
				return err //nolint:wrapcheck // wrapped by send
			}
			last[visitor] = s
		}
		return rows.Err() //nolint:wrapcheck // wrapped by send
	})
	return last, true
}

// The contact is joined here because nearly every event that names a user names
// one that is known; only the others cost a second look.
const insertPageViews = `
	INSERT INTO page_views (tenant_uuid, message_id, visitor_uuid, session_uuid, contact_uuid, occurred_at, received_at,
		url, path, title, referrer, properties, context)
	SELECT $1, n.message_id, n.visitor, n.session, i.contact_uuid, n.occurred, n.received,
		n.url, n.path, n.title, n.referrer, n.properties, n.context
	FROM unnest($2::text[], $3::uuid[], $4::uuid[], $5::text[], $6::timestamptz[], $7::timestamptz[],
		$8::text[], $9::text[], $10::text[], $11::text[], $12::jsonb[], $13::jsonb[])
		AS n (message_id, visitor, session, user_id, occurred, received, url, path, title, referrer, properties, context)
	LEFT JOIN contact_identities i ON i.tenant_uuid = $1 AND i.kind = 'user_id' AND i.value = n.user_id
	ON CONFLICT (tenant_uuid, message_id) DO NOTHING
	RETURNING message_id, contact_uuid`

const insertEvents = `
	INSERT INTO website_events (tenant_uuid, message_id, type, name, visitor_uuid, session_uuid, contact_uuid, occurred_at, received_at,
		url, properties, context)
	SELECT $1, n.message_id, n.type, n.name, n.visitor, n.session, i.contact_uuid, n.occurred, n.received,
		n.url, n.properties, n.context
	FROM unnest($2::text[], $3::text[], $4::text[], $5::uuid[], $6::uuid[], $7::text[], $8::timestamptz[], $9::timestamptz[],
		$10::text[], $11::jsonb[], $12::jsonb[])
		AS n (message_id, type, name, visitor, session, user_id, occurred, received, url, properties, context)
	LEFT JOIN contact_identities i ON i.tenant_uuid = $1 AND i.kind = 'user_id' AND i.value = n.user_id
	ON CONFLICT (tenant_uuid, message_id) DO NOTHING
	RETURNING message_id, contact_uuid`

func (g *group) queuePageViews(batch *pgx.Batch) {
	var c columns
	var url, path, title, referrer texts
	for _, e := range g.entries {
		if !e.isPage() {
			continue
		}
		c.add(e)
		url = append(url, e.Source.URL)
		path = append(path, pathOf(&e.Source))
		title = append(title, e.Source.Title)
		referrer = append(referrer, e.Source.Referrer)
	}
	if len(c.entries) == 0 {
		return
	}
	batch.Queue(insertPageViews, g.tx.Tenant(), c.messages, c.visitors, c.sessions, c.users, c.occurred, c.received,
		url, path, title, referrer, c.properties, c.contexts).Query(c.markNew)
}

func (g *group) queueEvents(batch *pgx.Batch) {
	var c columns
	var types, names, urls texts
	for _, e := range g.entries {
		if e.isPage() {
			continue
		}
		c.add(e)
		types = append(types, string(e.Type))
		names = append(names, e.Name)
		urls = append(urls, e.Source.URL)
	}
	if len(c.entries) == 0 {
		return
	}
	batch.Queue(insertEvents, g.tx.Tenant(), c.messages, types, names, c.visitors, c.sessions, c.users, c.occurred, c.received,
		urls, c.properties, c.contexts).Query(c.markNew)
}

// Columns of a statement's parameters, as unnest takes them.
type (
	texts = []string
	jsons = []json.RawMessage
	uuids = []pgtype.UUID // NULL for Nil
)

func nullable(id uuid.UUID) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: id != uuid.Nil} }

// columns are those that both event tables have.
type columns struct {
	entries              []*entry
	messages             texts
	visitors, sessions   uuids
	users                texts // empty for none, which no identity is
	occurred, received   []time.Time
	properties, contexts jsons
}

func (c *columns) add(e *entry) {
	c.entries = append(c.entries, e)
	c.messages = append(c.messages, e.MessageID)
	c.visitors = append(c.visitors, nullable(e.visitor))
	c.sessions = append(c.sessions, nullable(e.session))
	c.users = append(c.users, e.UserID)
	c.occurred = append(c.occurred, e.OccurredAt)
	c.received = append(c.received, e.ReceivedAt)
	c.properties = append(c.properties, e.Properties)
	c.contexts = append(c.contexts, e.Context)
}

// markNew reads what an INSERT returned: a subset of the entries, in their order.
func (c *columns) markNew(rows pgx.Rows) error {
	byID := make(map[string]*entry, len(c.entries))
	for _, e := range c.entries {
		byID[e.MessageID] = e
	}
	for rows.Next() {
		var id string
		var person *uuid.UUID
		if err := rows.Scan(&id, &person); err != nil {
			return err //nolint:wrapcheck // wrapped by send
		}
		if e := byID[id]; e != nil {
			e.known, e.contact = false, person
		}
	}
	return rows.Err() //nolint:wrapcheck // wrapped by send
}

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

// writeSessions counts the new events into their sessions. A session's start is
// a touch, unless a click in one of our messages brought it: the click is.
func (g *group) writeSessions(ctx context.Context) error {
	rows := sessionRows(g.entries)
	if len(rows) == 0 {
		return nil
	}
	n := len(rows)
	var (
		ids, visitors, touches                                                 = make(uuids, n), make(uuids, n), make(uuids, n)
		started, ended                                                         = make([]time.Time, n), make([]time.Time, n)
		landing, referrer, source, medium, campaign, term, content, names, dev = make(texts, n), make(texts, n), make(texts, n), make(texts, n), make(texts, n), make(texts, n), make(texts, n), make(texts, n), make(texts, n)
		pages, events                                                          = make([]int32, n), make([]int32, n)
		ours                                                                   = make([]bool, n)
	)
	for i := range rows {
		r, a := &rows[i], &rows[i].arrival
		ids[i], visitors[i], touches[i] = nullable(r.id), nullable(r.visitor), nullable(uuid.Must(uuid.NewV7()))
		started[i], ended[i], pages[i], events[i] = r.start, r.end, r.pages, r.events
		landing[i], referrer[i], names[i], dev[i] = a.landing, a.referrer, channel(*a), r.device
		source[i], medium[i], campaign[i], term[i], content[i] = a.source, a.medium, a.campaign, a.term, a.content
		ours[i] = a.message != ""
		if r.start.Before(g.clock.Now().Add(-onTime)) {
			g.late = append(g.late, conversion.LateTouch{VisitorUUID: &r.visitor, OccurredAt: r.start})
		}
	}
	if _, err := g.tx.Exec(ctx, upsertSessions, g.tx.Tenant(), ids, visitors, started, ended, landing, referrer,
		source, medium, campaign, term, content, names, dev, pages, events, touches, ours); err != nil {
		return fmt.Errorf("write sessions: %w", err)
	}
	return nil
}

func urlPath(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return storableText(u.Path)
}
