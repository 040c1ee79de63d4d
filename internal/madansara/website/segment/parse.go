package segment

import (
	"encoding/json"
	"net/mail"
	"strings"
	"time"

	"github.com/google/uuid"
)

// emptyObject stands for properties or a context that were not sent.
var emptyObject = json.RawMessage("{}")

// Parse reads a single event of the given type, or, when batch, an object with
// an array "batch" of events that name their type themselves. An empty typ
// without batch decides by the body: it is a batch when it has that key, and
// otherwise the type it names, track when it names none.
//
// It returns an error only for a body that can't be read at all. The result
// refers to body.
func Parse(body []byte, typ Type, batch bool, receivedAt time.Time) (Parsed, *Refusal) {
	p := parser{receivedAt: receivedAt.UTC().Truncate(time.Microsecond)}
	p.b = body
	if p.peek() != '{' {
		return Parsed{}, &Refusal{Location: "body", Message: "must be a JSON object"}
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
	timestamp, sentAt       time.Time
	userTraits, properties  json.RawMessage
	contextTraits, consents Traits
	page                    Source
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
		p.finish(&d, 0, p.i-start, nil, time.Time{})
	}
}

func (p *parser) batch() {
	p.out.Batch = true
	var (
		drafts  []draft
		sizes   []int
		faults  []*Refusal
		context draft
		sentAt  time.Time
		found   bool
		o       object
	)
	for key, ok := p.member(&o); ok; key, ok = p.member(&o) {
		switch string(key) {
		case "batch":
			found = true
			if p.peek() != '[' {
				p.refuse("must be an array of events")
				p.value()
				continue
			}
			whole := p.refused
			n := 0
			for p.element(&n) {
				p.refused = nil
				start := p.i
				var d draft
				if p.peek() == '{' {
					p.event(&d)
					if d.Type == "" && p.refused == nil {
						p.refuseAt("type", "is required: track, identify, page, screen, group or alias")
					}
				} else {
					p.refuse("must be an object")
					p.value()
				}
				drafts, sizes, faults = append(drafts, d), append(sizes, p.i-start), append(faults, p.refused)
			}
			p.refused = whole
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
		p.refuseAt("batch", "is required: an array of events")
	}
	if p.broken != nil || p.refused != nil {
		return
	}
	p.out.Events = make([]Event, 0, len(drafts))
	p.out.Indexes = make([]int, 0, len(drafts))
	p.path = append(p.path, step{key: []byte("batch")}, step{})
	for i := range drafts {
		p.path[1].index = i
		p.refused = faults[i]
		if drafts[i].Context == nil {
			drafts[i].inherit(&context)
		}
		p.finish(&drafts[i], i, sizes[i], faults[i], sentAt)
	}
	p.path, p.refused = p.path[:0], nil
}

func (d *draft) inherit(from *draft) {
	d.Context, d.page, d.contextTraits, d.consents = from.Context, from.page, from.contextTraits, from.consents
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
				p.refuse("must be track, identify, page, screen, group or alias")
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
		p.refuse("must be an object")
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
		case "consent":
			p.each(func(key []byte) {
				if string(key) != "categoryPreferences" {
					p.value()
					return
				}
				p.each(func(key []byte) {
					if strings.EqualFold(string(key), "marketing") {
						d.consents.EmailConsent = p.consent()
						return
					}
					p.value()
				})
			})
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

// finish judges a whole event, corrects its time and files it.
func (p *parser) finish(d *draft, index, size int, refused *Refusal, batchSentAt time.Time) {
	if refused == nil {
		p.judge(d, size, batchSentAt)
		refused = p.refused
	}
	if refused != nil {
		p.out.Rejected = append(p.out.Rejected, Rejected{
			Index: index, MessageID: d.MessageID, Location: refused.Location, Message: refused.Message,
		})
		return
	}
	p.out.Events = append(p.out.Events, d.Event)
	p.out.Indexes = append(p.out.Indexes, index)
}

func (p *parser) judge(d *draft, size int, batchSentAt time.Time) {
	switch {
	case size > MaxEvent:
		p.refuse("the event has %d bytes; at most %d are taken", size, MaxEvent)
	case d.AnonymousID == "" && d.UserID == "":
		p.refuse("anonymousId or userId is required")
	case d.Type == Track && d.Name == "":
		p.refuseAt("event", "is required: the name of what happened")
	case d.Type == Alias && d.PreviousID == "":
		p.refuseAt("previousId", "is required: the id the person had before")
	case d.Type == Alias && d.UserID == "":
		p.refuseAt("userId", "is required: the id the person has now")
	case d.Type == Group && d.GroupID == "":
		p.refuseAt("groupId", "is required")
	}
	p.correctTime(d, batchSentAt)
	if d.MessageID == "" {
		d.MessageID = "server-" + uuid.Must(uuid.NewV7()).String()
	}
	d.complete()
}

// correctTime takes the sender's clock for as wrong as its sentAt shows it to
// be: timestamp = receivedAt - (sentAt - timestamp).
func (p *parser) correctTime(d *draft, batchSentAt time.Time) {
	d.ReceivedAt = p.receivedAt
	d.OccurredAt = p.receivedAt
	sentAt := d.sentAt
	if sentAt.IsZero() {
		sentAt = batchSentAt
	}
	if d.timestamp.IsZero() {
		return
	}
	d.OccurredAt = d.timestamp
	if !sentAt.IsZero() {
		d.OccurredAt = p.receivedAt.Add(-sentAt.Sub(d.timestamp))
	}
	d.OccurredAt = d.OccurredAt.UTC().Truncate(time.Microsecond)
	if d.OccurredAt.Year() < minYear || d.OccurredAt.After(p.receivedAt.Add(MaxFuture)) {
		p.refuseAt("timestamp", "%s is not plausible: events from the year %d to a day from now are taken",
			d.OccurredAt.Format(time.RFC3339), minYear)
	}
}

// complete merges what stands in two places; the more specific one wins.
func (d *draft) complete() {
	d.Source.URL = or(d.Source.URL, d.page.URL)
	d.Source.Path = or(d.Source.Path, d.page.Path)
	d.Source.Title = or(d.Source.Title, d.page.Title)
	d.Source.Referrer = or(d.Source.Referrer, d.page.Referrer)
	d.Properties = d.properties
	switch d.Type {
	case Identify, Group, Alias:
		if d.userTraits != nil {
			d.Properties = d.userTraits
		}
	case Track, Page, Screen:
	}
	if d.Type == Group { // a group's traits are the group's, not the person's
		d.Traits = Traits{}
	}
	t, c := &d.Traits, &d.contextTraits
	t.Email = or(t.Email, c.Email)
	t.FirstName = or(t.FirstName, c.FirstName)
	t.LastName = or(t.LastName, c.LastName)
	t.TimeZone = or(t.TimeZone, c.TimeZone)
	for _, consent := range []*bool{c.EmailConsent, d.consents.EmailConsent} {
		if t.EmailConsent == nil {
			t.EmailConsent = consent
		}
	}
	if d.Properties == nil {
		d.Properties = emptyObject
	}
	if d.Context == nil {
		d.Context = emptyObject
	}
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// refuseAt is refuse for the member key of the current object.
func (p *parser) refuseAt(key, format string, args ...any) {
	p.path = append(p.path, step{key: []byte(key)})
	p.refuse(format, args...)
	p.path = p.path[:len(p.path)-1]
}

// text reads a string of at most limit bytes, or null.
func (p *parser) text(limit int) string {
	switch p.peek() {
	case '"':
	case 'n':
		p.value()
		return ""
	default:
		p.refuse("must be a string")
		p.value()
		return ""
	}
	text := p.decoded()
	if len(text) > limit {
		p.refuse("has %d bytes; at most %d are taken", len(text), limit)
		return ""
	}
	return text
}

// loose reads a string; what is no string is skipped.
func (p *parser) loose() string {
	if p.peek() != '"' {
		p.value()
		return ""
	}
	return p.decoded()
}

func (p *parser) decoded() string {
	raw, escaped := p.str()
	if escaped {
		raw = unescape(raw)
	}
	return string(raw)
}

// sessionID reads a string, or the number that some libraries send.
func (p *parser) sessionID() string {
	c := p.peek()
	if c == '-' || c >= '0' && c <= '9' {
		return string(p.number())
	}
	id := p.loose()
	if len(id) > MaxID {
		p.refuse("has %d bytes; at most %d are taken", len(id), MaxID)
		return ""
	}
	return id
}

func (p *parser) consent() *bool {
	c := p.peek()
	p.value()
	switch c {
	case 't', 'f':
		given := c == 't'
		return &given
	case 'n':
	default:
		p.refuse("must be true or false")
	}
	return nil
}

// email reads an address and returns it in lower case.
func (p *parser) email() string {
	text := strings.TrimSpace(p.text(MaxID))
	if text == "" {
		return ""
	}
	address, err := mail.ParseAddress(text)
	if err != nil || address.Address != text || address.Name != "" || !strings.Contains(text[strings.LastIndexByte(text, '@'):], ".") {
		p.refuse("is not an e-mail address")
		return ""
	}
	return strings.ToLower(text)
}

// timeLayouts are the forms of ISO 8601 in use, the usual one first. A time
// without a zone is UTC.
var timeLayouts = [...]string{
	time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04Z07:00", "2006-01-02",
}

func (p *parser) time() time.Time {
	text := p.text(64)
	if text == "" {
		return time.Time{}
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t
		}
	}
	p.refuse("is not an ISO 8601 date and time, such as 2026-03-09T10:11:12.345Z")
	return time.Time{}
}
