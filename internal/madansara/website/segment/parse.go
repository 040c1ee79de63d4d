package segment

import (
	"encoding/json"
	"time"
)

// typicalEvent is about the bytes of one, to guess how many a batch holds.
const typicalEvent = 400

// emptyObject stands for properties or a context that were not sent.
var emptyObject = json.RawMessage("{}")

// Parse reads a single event of the given type, or, when batch, an object with
// an array "batch" of events that name their type themselves. An empty typ
// without batch decides by the body: it is a batch when it has that key, and
// otherwise the type it names, track when it names none.
//
// It returns an error only for a body that can't be read at all. The result
// refers to body.
func Parse(body []byte, typ Type, batch bool, receivedAt time.Time) (Parsed, *RefusalError) {
	p := parser{receivedAt: receivedAt.UTC().Truncate(time.Microsecond)}
	p.b = body
	if p.peek() != '{' {
		return Parsed{}, &RefusalError{Location: "body", Message: "must be a JSON object"}
	}
	if batch || typ == "" && hasBatch(body) {
		p.batch()
	} else {
		p.single(typ)
	}
	if p.broken == nil && p.peek() != 0 || p.broken == nil && p.i < len(p.b) {
		p.malformed("the end")
	}
	if p.broken != nil {
		return Parsed{}, p.broken
	}
	if p.out.Batch && p.refused != nil {
		return Parsed{}, p.refused
	}
	return p.out, nil
}

// hasBatch reports whether the object has the key "batch" at its top.
func hasBatch(body []byte) bool {
	s := scanner{b: body}
	s.peek()
	var o object
	for key, ok := s.member(&o); ok; key, ok = s.member(&o) {
		if string(key) == "batch" {
			return true
		}
		s.value()
	}
	return false
}

type parser struct {
	scanner
	receivedAt time.Time
	out        Parsed
}

// draft is an event being read: what needs the whole event, or the whole
// batch, to be judged.
type draft struct {
	Event
	timestamp, sentAt      time.Time
	userTraits, properties json.RawMessage
	contextTraits          Traits
	page                   Source
	size                   int // bytes
	refused                *RefusalError
}

func (p *parser) single(typ Type) {
	start := p.i
	var d draft
	p.event(&d)
	if typ != "" {
		d.Type = typ
	} else if d.Type == "" {
		d.Type = Track
	}
	if p.broken == nil {
		d.size, d.refused = p.i-start, p.refused
		p.finish(&d, 0, time.Time{})
	}
}

func (p *parser) batch() {
	p.out.Batch = true
	var (
		drafts  []draft
		context draft
		sentAt  time.Time
		found   bool
		o       object
	)
	for key, ok := p.member(&o); ok; key, ok = p.member(&o) {
		switch string(key) {
		case "batch":
			found = true
			drafts = p.drafts()
		case "sentAt":
			sentAt = p.time()
		case "context":
			p.context(&context)
		case "writeKey":
			p.out.WriteKey = p.text(MaxID)
		default:
			p.value()
		}
	}
	if !found {
		p.refuseAtf("batch", "is required: an array of events")
	}
	if p.broken != nil || p.refused != nil {
		return
	}
	p.out.Events = make([]Event, 0, len(drafts))
	p.out.Indexes = make([]int, 0, len(drafts))
	p.path = append(p.path, step{key: []byte("batch")}, step{})
	for i := range drafts {
		p.path[1].index = i
		p.refused = drafts[i].refused
		if drafts[i].Context == nil {
			drafts[i].inherit(&context)
		}
		p.finish(&drafts[i], i, sentAt)
	}
	p.path, p.refused = p.path[:0], nil
}

// drafts reads the events of a batch, each with what is wrong with it.
func (p *parser) drafts() []draft {
	if p.peek() != '[' {
		p.refusef("must be an array of events")
		p.value()
		return nil
	}
	whole := p.refused
	drafts := make([]draft, 0, min(len(p.b)/typicalEvent+1, 1000))
	n := 0
	for p.element(&n) {
		p.refused = nil
		start := p.i
		drafts = append(drafts, draft{})
		d := &drafts[len(drafts)-1]
		if p.peek() == '{' {
			p.event(d)
			if d.Type == "" && p.refused == nil {
				p.refuseAtf("type", "is required: track, identify, page, screen, group or alias")
			}
		} else {
			p.refusef("must be an object")
			p.value()
		}
		d.size, d.refused = p.i-start, p.refused
	}
	p.refused = whole
	return drafts
}

func (d *draft) inherit(from *draft) {
	d.Context, d.page, d.contextTraits = from.Context, from.page, from.contextTraits
	d.Source.SessionID, d.Source.UserAgent, d.Source.Campaign = from.Source.SessionID, from.Source.UserAgent, from.Source.Campaign
	if d.Traits.TimeZone == "" {
		d.Traits.TimeZone = from.Traits.TimeZone
	}
}

// event reads the members of one event. Members it doesn't know are checked,
// because libraries send more (_metadata, integrations), and left out.
func (p *parser) event(d *draft) {
	var o object
	for key, ok := p.member(&o); ok; key, ok = p.member(&o) {
		switch string(key) {
		case "type":
			d.Type = Type(p.text(MaxID))
			if d.Type != "" && !d.Type.known() {
				p.refusef("must be track, identify, page, screen, group or alias")
			}
		case "messageId":
			d.MessageID = p.text(MaxID)
		case "anonymousId":
			d.AnonymousID = p.text(MaxID)
		case "userId":
			d.UserID = p.text(MaxID)
		case "previousId":
			d.PreviousID = p.text(MaxID)
		case "groupId":
			d.GroupID = p.text(MaxID)
		case "event", "name":
			if name := p.text(MaxName); d.Name == "" || string(key) == "event" {
				d.Name = name
			}
		case "timestamp":
			d.timestamp = p.time()
		case "sentAt":
			d.sentAt = p.time()
		case "properties":
			d.properties = p.properties(d)
		case "traits":
			d.userTraits = p.traits(&d.Traits)
		case "context":
			p.context(d)
		case "writeKey":
			p.out.WriteKey = p.text(MaxID)
		default:
			p.value()
		}
	}
}

// opened reports whether an object follows. Null counts as not sent; anything
// else is refused.
func (p *parser) opened() bool {
	switch p.peek() {
	case '{':
		return true
	case 'n':
	default:
		p.refusef("must be an object")
	}
	p.value()
	return false
}

func (p *parser) properties(d *draft) json.RawMessage {
	if !p.opened() {
		return nil
	}
	start := p.i
	var o object
	for key, ok := p.member(&o); ok; key, ok = p.member(&o) {
		p.place(&d.Source, key)
	}
	return p.b[start:p.i:p.i]
}

// place reads what tells the page, from properties or context.page.
func (p *parser) place(s *Source, key []byte) {
	switch string(key) {
	case "url":
		s.URL = p.loose()
	case "path":
		s.Path = p.loose()
	case "title":
		s.Title = p.loose()
	case "referrer":
		s.Referrer = p.loose()
	default:
		p.value()
	}
}

func (p *parser) traits(t *Traits) json.RawMessage {
	if !p.opened() {
		return nil
	}
	start := p.i
	var o object
	for key, ok := p.member(&o); ok; key, ok = p.member(&o) {
		switch string(key) {
		case "email":
			t.Email = p.email()
		case "firstName", "first_name":
			t.FirstName = p.loose()
		case "lastName", "last_name":
			t.LastName = p.loose()
		case "timezone", "time_zone", "timeZone":
			t.TimeZone = p.loose()
		case "marketing_consent", "marketingConsent":
			t.EmailConsent = p.consent()
		default:
			p.value()
		}
	}
	return p.b[start:p.i:p.i]
}

func (p *parser) context(d *draft) {
	if !p.opened() {
		return
	}
	start := p.i
	var o object
	for key, ok := p.member(&o); ok; key, ok = p.member(&o) {
		switch string(key) {
		case "sessionId":
			d.Source.SessionID = p.sessionID()
		case "userAgent":
			d.Source.UserAgent = p.loose()
		case "timezone":
			if zone := p.loose(); d.Traits.TimeZone == "" {
				d.Traits.TimeZone = zone
			}
		case "page":
			p.each(func(key []byte) { p.place(&d.page, key) })
		case "campaign":
			p.each(func(key []byte) { p.campaign(&d.Source.Campaign, key) })
		case "traits":
			p.traits(&d.contextTraits)
		default:
			p.value()
		}
	}
	d.Context = p.b[start:p.i:p.i]
}

// each calls read for every member of an object; what is no object is skipped,
// because the context is the library's to shape.
func (p *parser) each(read func(key []byte)) {
	if p.peek() != '{' {
		p.value()
		return
	}
	var o object
	for key, ok := p.member(&o); ok; key, ok = p.member(&o) {
		read(key)
	}
}

func (p *parser) campaign(c *Campaign, key []byte) {
	switch string(key) {
	case "source":
		c.Source = p.loose()
	case "medium":
		c.Medium = p.loose()
	case "name":
		c.Name = p.loose()
	case "term":
		c.Term = p.loose()
	case "content":
		c.Content = p.loose()
	default:
		p.value()
	}
}

// refuseAtf is refusef for the member key of the current object.
func (p *parser) refuseAtf(key, format string, args ...any) {
	p.path = append(p.path, step{key: []byte(key)})
	p.refusef(format, args...)
	p.path = p.path[:len(p.path)-1]
}
