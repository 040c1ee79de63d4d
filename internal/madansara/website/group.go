package website

import (
	"cmp"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/mileusna/useragent"

	"github.com/engardehq/madansara/internal/madansara/website/segment"
)

// sessionTimeout ends a visit of a sender that names no session.
const sessionTimeout = 30 * time.Minute

// VisitorID is the visitor of an anonymous id: derived, so that ingest needs no
// look-up to name it and two servers agree on it.
func VisitorID(tenant uuid.UUID, anonymousID string) uuid.UUID {
	return uuid.NewSHA1(tenant, []byte(anonymousID))
}

// entry is an event on its way into the database.
type entry struct {
	*segment.Event
	visitor, session uuid.UUID // Nil for none
	contact          *uuid.UUID
	known            bool // the database knew the message id already
}

// isPage reports which of the two event tables the event belongs to.
func (e *entry) isPage() bool { return e.Type == segment.Page }

// startsVisit reports whether the event shows a page in a browser, so that one
// without a session id gets a session nevertheless.
func (e *entry) startsVisit() bool {
	return e.visitor != uuid.Nil && e.session == uuid.Nil && e.isPage() && e.Source.URL != ""
}

// newEntries sorts a group by message id, the order in which every group takes
// its locks, and drops repeats within it.
func newEntries(tenant uuid.UUID, rows []row) []*entry {
	storage := make([]entry, len(rows))
	entries := make([]*entry, len(rows))
	for i := range rows {
		e := &storage[i]
		e.Event = rows[i].event
		if e.AnonymousID != "" {
			e.visitor = VisitorID(tenant, e.AnonymousID)
			e.session = sessionID(e.visitor, e.Source.SessionID)
		}
		entries[i] = e
	}
	slices.SortStableFunc(entries, func(a, b *entry) int { return cmp.Compare(a.MessageID, b.MessageID) })
	return slices.CompactFunc(entries, func(a, b *entry) bool { return a.MessageID == b.MessageID })
}

// sessionID is the sender's own when it is a UUID, else derived from it.
func sessionID(visitor uuid.UUID, sent string) uuid.UUID {
	if sent == "" {
		return uuid.Nil
	}
	if len(sent) == 36 {
		if id, err := uuid.Parse(sent); err == nil && id != uuid.Nil {
			return id
		}
	}
	return uuid.NewSHA1(visitor, []byte("session "+sent))
}

type visitorRow struct {
	id          uuid.UUID
	anonymousID string
	first, last time.Time
}

// visitorRows has a row for each visitor of the entries, in lock order.
func visitorRows(entries []*entry) []visitorRow {
	byID := make(map[uuid.UUID]int, len(entries))
	rows := make([]visitorRow, 0, len(entries))
	for _, e := range entries {
		if e.visitor == uuid.Nil {
			continue
		}
		i, ok := byID[e.visitor]
		if !ok {
			byID[e.visitor] = len(rows)
			rows = append(rows, visitorRow{id: e.visitor, anonymousID: e.AnonymousID, first: e.OccurredAt, last: e.OccurredAt})
			continue
		}
		rows[i].first = earlier(rows[i].first, e.OccurredAt)
		rows[i].last = later(rows[i].last, e.OccurredAt)
	}
	slices.SortFunc(rows, func(a, b visitorRow) int { return slices.Compare(a.id[:], b.id[:]) })
	return rows
}

type sessionRow struct {
	id, visitor   uuid.UUID
	start, end    time.Time
	pages, events int32
	arrivedAt     time.Time // of the event that tells the arrival
	source        *segment.Source
	arrival       arrival
	device        string
}

// sessionRows has a row for each session of the new entries, in lock order.
// How it began is told by its earliest event that shows a page.
func sessionRows(entries []*entry) []sessionRow {
	byID := make(map[uuid.UUID]int, len(entries))
	rows := make([]sessionRow, 0, len(entries))
	for _, e := range entries {
		if e.session == uuid.Nil || e.known {
			continue
		}
		i, ok := byID[e.session]
		if !ok {
			i = len(rows)
			byID[e.session] = i
			rows = append(rows, sessionRow{
				id: e.session, visitor: e.visitor, start: e.OccurredAt, end: e.OccurredAt,
				arrivedAt: e.OccurredAt, source: &e.Source,
			})
		}
		s := &rows[i]
		s.start, s.end = earlier(s.start, e.OccurredAt), later(s.end, e.OccurredAt)
		if e.Source.URL != "" && (s.source.URL == "" || e.OccurredAt.Before(s.arrivedAt)) {
			s.source, s.arrivedAt = &e.Source, e.OccurredAt
		}
		if e.isPage() {
			s.pages++
		} else {
			s.events++
		}
	}
	for i := range rows {
		rows[i].arrival = newArrival(rows[i].source)
		rows[i].device = device(rows[i].source.UserAgent)
	}
	slices.SortFunc(rows, func(a, b sessionRow) int { return slices.Compare(a.id[:], b.id[:]) })
	return rows
}

// device is the kind of machine a user agent names, empty when unknown.
func device(userAgent string) string {
	if userAgent == "" {
		return ""
	}
	ua := useragent.Parse(userAgent)
	switch {
	case ua.Bot:
		return "bot"
	case ua.Tablet:
		return "tablet"
	case ua.Mobile:
		return "mobile"
	case ua.Desktop:
		return "desktop"
	}
	return ""
}

// lastSession is the latest session of a visitor.
type lastSession struct {
	id  uuid.UUID
	end time.Time
}

// assignSessions gives page views that came without a session id the visitor's
// running session, or a new one after sessionTimeout of silence.
func assignSessions(entries []*entry, last map[uuid.UUID]lastSession) {
	var lost []*entry
	for _, e := range entries {
		if e.startsVisit() {
			lost = append(lost, e)
		}
	}
	slices.SortStableFunc(lost, func(a, b *entry) int { return a.OccurredAt.Compare(b.OccurredAt) })
	for _, e := range lost {
		s, ok := last[e.visitor]
		if !ok || e.OccurredAt.Sub(s.end) > sessionTimeout {
			s = lastSession{id: uuid.NewSHA1(e.visitor, []byte("first "+e.MessageID))}
		}
		s.end = later(s.end, e.OccurredAt)
		last[e.visitor] = s
		e.session = s.id
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// pathOf is the page's path: what the sender says, or its URL's.
func pathOf(s *segment.Source) string {
	if s.Path != "" || s.URL == "" {
		return s.Path
	}
	return urlPath(s.URL)
}
