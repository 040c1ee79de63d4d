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
	followers   contact.Followers
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
	repeats := false
	for range attempts {
		err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
			g := group{store: s, tx: tx, changesPeople: changesPeople, repeats: repeats, entries: newEntries(tenant, rows)}
			return g.write(ctx)
		})
		switch {
		case errors.Is(err, errChangesPeople):
			changesPeople = true
		case !repeats && isRepeat(err):
			repeats = true
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
	// repeats says that some of the entries may be in the database already.
	// Nearly no group has one, so a group is first written as if all were new,
	// which spares looking each up and reading back which were.
	repeats    bool
	namesUsers bool // some entry has a user id
	entries    []*entry
	contacts   map[uuid.UUID]uuid.UUID // of the visitors that have one
	resolved   []uuid.UUID             // contacts that the new events say something of
	late       []conversion.LateTouch  // visits that a conversion may have overtaken
}

func (g *group) write(ctx context.Context) error {
	if err := g.writeEvents(ctx); err != nil {
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

// writeEvents locks, names the visitors, inserts the events and counts them
// into their sessions. Those that the database knew already are marked and have
// no further effect.
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
		e.known = g.repeats
		g.namesUsers = g.namesUsers || e.UserID != ""
	}
	g.queuePageViews(&batch)
	g.queueEvents(&batch)
	if g.repeats { // only the new ones count into their sessions
		if err := g.send(ctx, &batch); err != nil {
			return err
		}
		batch = pgx.Batch{}
	}
	g.queueSessions(&batch)
	return g.send(ctx, &batch)
}

// queueInsert queues an INSERT of events and reads from its answer what is not
// known beforehand: which of them are new, and whom they name.
func (g *group) queueInsert(batch *pgx.Batch, sql *eventInsert, c *columns, args ...any) {
	queued := batch.Queue(sql.text(g.namesUsers, g.repeats), args...)
	if g.namesUsers || g.repeats {
		queued.Query(c.markNew)
	}
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
	g.queueInsert(batch, &insertPageViews, &c, g.tx.Tenant(), c.messages, c.visitors, c.sessions, c.users, c.occurred, c.received,
		url, path, title, referrer, c.properties, c.contexts)
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
	g.queueInsert(batch, &insertEvents, &c, g.tx.Tenant(), c.messages, types, names, c.visitors, c.sessions, c.users, c.occurred, c.received,
		urls, c.properties, c.contexts)
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

// queueSessions counts the new events into their sessions. A session's start is
// a touch, unless a click in one of our messages brought it: the click is.
func (g *group) queueSessions(batch *pgx.Batch) {
	rows := sessionRows(g.entries)
	if len(rows) == 0 {
		return
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
	batch.Queue(upsertSessions, g.tx.Tenant(), ids, visitors, started, ended, landing, referrer,
		source, medium, campaign, term, content, names, dev, pages, events, touches, ours)
}

func urlPath(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return storableText(u.Path)
}
