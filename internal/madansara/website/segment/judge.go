package segment

import (
	"time"

	"github.com/google/uuid"
)

// finish judges a whole event, corrects its time and files it.
func (p *parser) finish(d *draft, index int, batchSentAt time.Time) {
	if d.refused == nil {
		p.judge(d, batchSentAt)
		d.refused = p.refused
	}
	if refused := d.refused; refused != nil {
		p.out.Rejected = append(p.out.Rejected, Rejected{
			Index: index, MessageID: d.MessageID, Location: refused.Location, Message: refused.Message,
		})
		return
	}
	p.out.Events = append(p.out.Events, d.Event)
	p.out.Indexes = append(p.out.Indexes, index)
}

func (p *parser) judge(d *draft, batchSentAt time.Time) {
	switch {
	case d.size > MaxEvent:
		p.refusef("the event has %d bytes; at most %d are taken", d.size, MaxEvent)
	case d.AnonymousID == "" && d.UserID == "":
		p.refusef("anonymousId or userId is required")
	case d.Type == Track && d.Name == "":
		p.refuseAtf("event", "is required: the name of what happened")
	case d.Type == Alias && d.PreviousID == "":
		p.refuseAtf("previousId", "is required: the id the person had before")
	case d.Type == Alias && d.UserID == "":
		p.refuseAtf("userId", "is required: the id the person has now")
	case d.Type == Group && d.GroupID == "":
		p.refuseAtf("groupId", "is required")
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
		p.refuseAtf("timestamp", "%s is not plausible: events from the year %d to a day from now are taken",
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
	if t.EmailConsent == nil {
		t.EmailConsent = c.EmailConsent
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
