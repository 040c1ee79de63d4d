package website

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/madansara/contact"
	"github.com/engardehq/madansara/internal/madansara/conversion"
	"github.com/engardehq/madansara/internal/madansara/website/segment"
	"github.com/engardehq/madansara/internal/money"
)

// resolve finds out whom the new events are about. When that would change
// people and the group does not hold the lock for it, it asks to run again.
func (g *group) resolve(ctx context.Context) error {
	var about []*entry
	var claims []contact.Claim
	for _, e := range g.entries {
		if !e.known && g.saysSomething(e) {
			about = append(about, e)
		}
	}
	slices.SortStableFunc(about, func(a, b *entry) int { return a.OccurredAt.Compare(b.OccurredAt) })
	for _, e := range about {
		claims = append(claims, newClaim(g.tx.Tenant(), e))
	}
	if len(claims) == 0 {
		return nil
	}
	if !g.changesPeople {
		return errChangesPeople
	}
	people, err := contact.ResolveTx(ctx, g.tx, g.followers, claims, g.clock.Now().UTC())
	if err != nil {
		return err //nolint:wrapcheck // it says what it was
	}
	for _, person := range people {
		if person != nil && !slices.Contains(g.resolved, *person) {
			g.resolved = append(g.resolved, *person)
		}
	}
	return g.nameContacts(ctx, about, people)
}

// saysSomething reports whether the event tells about a person what is not
// known yet. Most events name a known user on that user's own visitor.
func (g *group) saysSomething(e *entry) bool {
	if e.Type == segment.Identify || e.Type == segment.Alias || e.Traits.Email != "" || e.Traits.EmailConsent != nil {
		return true
	}
	if e.UserID == "" {
		return false
	}
	if e.contact == nil {
		return true
	}
	_, linked := g.contacts[e.visitor]
	return e.visitor != uuid.Nil && !linked
}

func newClaim(tenant uuid.UUID, e *entry) contact.Claim {
	c := contact.Claim{
		UserID: e.UserID, Email: e.Traits.Email, Visitor: e.visitor,
		FirstName: e.Traits.FirstName, LastName: e.Traits.LastName, TimeZone: e.Traits.TimeZone,
		EmailConsent: e.Traits.EmailConsent, At: e.OccurredAt, Source: "event " + e.MessageID,
	}
	switch e.Type {
	case segment.Identify:
		c.Traits = e.Properties
	case segment.Alias:
		c.Previous, c.PreviousVisitor = e.PreviousID, VisitorID(tenant, e.PreviousID)
	case segment.Track, segment.Page, segment.Screen, segment.Group:
	}
	return c
}

// nameContacts writes the contact on the events that name a person themselves.
func (g *group) nameContacts(ctx context.Context, about []*entry, people []*uuid.UUID) error {
	var pages, events [2][]string // message ids, contacts
	for i, e := range about {
		if people[i] == nil {
			continue
		}
		g.contacts[e.visitor] = *people[i]
		e.contact = people[i]
		if e.UserID == "" && e.visitor != uuid.Nil {
			continue // the visitor's contact says it
		}
		to := &events
		if e.isPage() {
			to = &pages
		}
		to[0], to[1] = append(to[0], e.MessageID), append(to[1], people[i].String())
	}
	var batch pgx.Batch
	for table, named := range map[string][2][]string{"page_views": pages, "website_events": events} {
		if len(named[0]) > 0 {
			batch.Queue(`UPDATE `+table+` e SET contact_uuid = n.contact FROM unnest($2::text[], $3::text[]::uuid[]) AS n (id, contact)
				WHERE e.tenant_uuid = $1 AND e.message_id = n.id`, g.tx.Tenant(), named[0], named[1])
		}
	}
	return g.send(ctx, &batch)
}

// The events of Segment's commerce specification that are conversions.
const (
	orderCompleted = "Order Completed"
	orderRefunded  = "Order Refunded" // of the whole order or of a part
)

// convert records the orders and refunds among the new events.
func (g *group) convert(ctx context.Context) error {
	own := ""
	var orders []conversion.Conversion
	for _, e := range g.entries {
		if e.known || !isConversion(e.Event) || g.conversions == nil {
			continue
		}
		if own == "" {
			if err := g.tx.QueryRow(ctx, "SELECT currency FROM tenants WHERE tenant_uuid = $1", g.tx.Tenant()).Scan(&own); err != nil {
				return fmt.Errorf("read the tenant's currency: %w", err)
			}
		}
		order, err := newConversion(e.Event, own)
		if err != nil {
			return err
		}
		if e.visitor != uuid.Nil {
			order.VisitorUUID = &e.visitor
		}
		if e.session != uuid.Nil {
			order.SessionUUID = &e.session
		}
		order.ContactUUID = e.contact
		if person, ok := g.contacts[e.visitor]; ok && order.ContactUUID == nil && e.visitor != uuid.Nil {
			order.ContactUUID = &person
		}
		orders = append(orders, order)
	}
	if len(orders) == 0 {
		return nil
	}
	if _, err := g.conversions.RecordTx(ctx, g.tx, orders); err != nil {
		return fmt.Errorf("record conversions: %w", err)
	}
	return nil
}

// onTime is how old a visit may be when it arrives without a look for
// conversions that overtook it; looking costs a query, and most visits arrive
// within seconds.
const onTime = time.Minute

// reattribute has conversions credited again whose journeys the group changed.
func (g *group) reattribute(ctx context.Context) error {
	if g.conversions == nil {
		return nil
	}
	if err := g.conversions.ReattributeTx(ctx, g.tx, g.resolved...); err != nil {
		return fmt.Errorf("attribute the conversions of people now known: %w", err)
	}
	if err := g.conversions.TouchedTx(ctx, g.tx, g.late); err != nil {
		return fmt.Errorf("attribute the conversions that visits came too late for: %w", err)
	}
	return nil
}

func isConversion(e *segment.Event) bool {
	return e.Type == segment.Track && (e.Name == orderCompleted || e.Name == orderRefunded)
}

// anyCurrency stands for the tenant's own where that is not known yet: with the
// most decimals there are, it has room for the least, so that what it takes
// every currency takes.
const anyCurrency = "CLF"

// newConversion reads an order or a refund. Its total is what the customer pays; revenue,
// which the specification keeps before tax and shipping, stands in for it. own is
// the currency of an order that names none.
func newConversion(e *segment.Event, own string) (conversion.Conversion, error) {
	var properties struct {
		OrderID  json.RawMessage `json:"order_id"`
		RefundID json.RawMessage `json:"refund_id"`
		Total    json.RawMessage `json:"total"`
		Revenue  json.RawMessage `json:"revenue"`
		Value    json.RawMessage `json:"value"`
		Currency string          `json:"currency"`
	}
	if err := json.Unmarshal(e.Properties, &properties); err != nil {
		return conversion.Conversion{}, fault.At("properties.currency", nil, "must be a string")
	}
	c := conversion.Conversion{
		Name: e.Name, ExternalID: plainText(properties.OrderID), Properties: e.Properties,
		OccurredAt: e.OccurredAt, ReceivedAt: e.ReceivedAt,
	}
	if e.Name == orderRefunded {
		c.RefundOf, c.ExternalID = c.ExternalID, plainText(properties.RefundID)
	}
	if c.ExternalID == "" {
		c.ExternalID = e.MessageID
	}
	for _, sum := range []struct {
		name string
		raw  json.RawMessage
	}{{"total", properties.Total}, {"revenue", properties.Revenue}, {"value", properties.Value}} {
		if len(sum.raw) == 0 || string(sum.raw) == "null" {
			continue
		}
		currency := cmp.Or(strings.ToUpper(properties.Currency), own)
		amount, err := money.ParseJSON(sum.raw, currency)
		if err != nil {
			return c, fault.At("properties."+sum.name, nil, "is %s", err)
		}
		c.Amount = amount
		break
	}
	if err := c.Validate(); err != nil {
		return c, err //nolint:wrapcheck // a fault for the sender
	}
	return c, nil
}

// plainText reads an order's number, which is a string or a number.
func plainText(raw json.RawMessage) string {
	var text string
	if err := json.Unmarshal(raw, &text); err == nil {
		return text
	}
	if len(raw) > 0 && (raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9') {
		return string(raw)
	}
	return ""
}
