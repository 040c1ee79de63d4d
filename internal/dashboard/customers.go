package dashboard

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/dashboard/dashboarddb"
	"github.com/engardehq/madansara/internal/madansara/contact"
	"github.com/engardehq/madansara/internal/madansara/conversion"
	"github.com/engardehq/madansara/internal/madansara/outreach"
)

type customersPage struct {
	*view
	Search string
	Paging paging
	Rows   []customerRow
}

type customerRow struct {
	dashboarddb.CustomersRow
	Figures conversion.PersonFigures
}

func (d *Dashboard) customers(w http.ResponseWriter, r *http.Request, v *view) error {
	v.Title, v.Section = "Customers", "customers"
	search := strings.TrimSpace(strings.ToValidUTF8(r.URL.Query().Get("q"), ""))
	page := customersPage{view: v, Search: clip(strings.ReplaceAll(search, "\x00", ""), 200), Paging: readPaging(r)}
	pattern := ""
	if page.Search != "" {
		// What is typed is text: % and _ in it mean themselves.
		pattern = "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(page.Search) + "%"
	}
	var rows []dashboarddb.CustomersRow
	err := d.read(r.Context(), v, func(ctx context.Context, q *dashboarddb.Queries) error {
		var err error
		if page.Paging.Total, err = q.CountCustomers(ctx, pattern); err != nil {
			return err
		}
		rows, err = q.Customers(ctx, dashboarddb.CustomersParams{Pattern: pattern, PageSize: pageSize, Skip: page.Paging.skip()})
		return err
	})
	if err != nil {
		return err
	}
	ids := make([]uuid.UUID, len(rows))
	for i, row := range rows {
		ids[i] = row.ContactUUID
	}
	figures, err := d.Conversions.People(r.Context(), v.Tenant, ids...)
	if err != nil {
		return err
	}
	for _, row := range rows {
		page.Rows = append(page.Rows, customerRow{row, figures[row.ContactUUID]})
	}
	return d.render(w, r, http.StatusOK, customersView(page))
}

func clip(text string, most int) string {
	runes := []rune(text)
	return string(runes[:min(len(runes), most)])
}

type customerPage struct {
	*view
	Contact      contact.Contact
	Name         string
	Figures      conversion.PersonFigures
	Traits       []trait
	Events       map[string]string // what the events that recorded consents were called
	Suppressions []outreach.Suppression
	Messages     []outreach.Message // the newest
	Days         []journeyDay
	Cursor, Next string // of the journey's pages
}

type trait struct{ Name, Value string }

// journeyPage is how many entries of a journey are shown at once, and
// messagesShown how many messages stand beside it.
const (
	journeyPage   = 250
	messagesShown = 10
)

func (d *Dashboard) customer(w http.ResponseWriter, r *http.Request, v *view) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	page := customerPage{view: v, Cursor: r.URL.Query().Get("cursor")}
	if err := d.loadCustomer(r.Context(), &page, id); err != nil {
		return err
	}
	page.Name = contactName(page.Contact)
	v.Title, v.Section = page.Name, "customers"
	page.Traits = slices.DeleteFunc(readTraits(page.Contact.Traits), func(t trait) bool {
		return slices.Contains(shownElsewhere, t.Name)
	})
	return d.render(w, r, http.StatusOK, customerView(&page))
}

func (d *Dashboard) eraseCustomer(w http.ResponseWriter, r *http.Request, v *view) error {
	v.Section = "customers"
	if err := needs(v.CanErase); err != nil {
		return err
	}
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if _, err := d.Contacts.Erase(r.Context(), v.Tenant, id, v.Actor); err != nil {
		return err
	}
	http.Redirect(w, r, "/customers?done=erased", http.StatusSeeOther)
	return nil
}

// shownElsewhere are the traits that stand in a customer's heading, among the
// identities or as the consent.
var shownElsewhere = []string{"email", "first_name", "last_name", "firstName", "lastName", "name", "marketing_consent", "email_consent"}

func (d *Dashboard) loadCustomer(ctx context.Context, p *customerPage, id uuid.UUID) error {
	var err error
	if p.Contact, err = d.Contacts.Get(ctx, p.Tenant, id); err != nil {
		return err
	}
	figures, err := d.Conversions.People(ctx, p.Tenant, id)
	if err != nil {
		return err
	}
	p.Figures = figures[id]
	if p.Suppressions, err = d.Campaigns.SuppressionsOf(ctx, p.Tenant, emailOf(p.Contact)); err != nil {
		return err
	}
	if p.Messages, err = d.Campaigns.Messages(ctx, p.Tenant, outreach.MessageFilter{Contact: id}, uuid.Nil, messagesShown); err != nil {
		return err
	}
	journey, err := d.Conversions.Journey(ctx, p.Tenant, id.String(), conversion.Page{Limit: journeyPage, Cursor: p.Cursor})
	if err != nil {
		return err
	}
	p.Next = journey.Next
	moments := timeline(journey.Entries)
	if p.Next == "" && !signedUpAt(journey.Entries, p.Contact.CreatedAt) { // the page with the beginning
		moments = inOrder(append(moments, becameKnown(p.Contact.CreatedAt)))
	}
	p.Days = byDay(moments, p.Zone)
	return d.read(ctx, p.view, p.nameEvents)
}

// nameEvents finds what the events that recorded consents were called.
func (p *customerPage) nameEvents(ctx context.Context, q *dashboarddb.Queries) error {
	var ids []string
	for _, c := range p.Contact.Consents {
		if id, ok := strings.CutPrefix(c.Source, "event "); ok {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	rows, err := q.EventNames(ctx, ids)
	p.Events = make(map[string]string, len(rows))
	for _, row := range rows {
		p.Events["event "+row.MessageID] = row.Name
	}
	return err
}

// sums writes amounts of several currencies as one.
func sums(revenue []conversion.Money, currency string) string {
	if len(revenue) == 0 {
		return amount(0, currency)
	}
	var parts []string
	for _, sum := range revenue {
		parts = append(parts, amount(sum.Minor, sum.Currency))
	}
	return strings.Join(parts, " + ")
}

// consentSource says where a consent came from; an event's id means nothing to
// a person, its name does.
func (p *customerPage) consentSource(source string) string {
	switch name := p.Events[source]; {
	case name == "identify":
		return "when they said who they are"
	case name != "":
		return "with “" + name + "”"
	case strings.HasPrefix(source, "event "):
		return "on the site"
	case source == "":
		return "source not recorded"
	default:
		return "by " + source
	}
}

// journeyHref is the page of the journey that begins at a cursor.
func (p *customerPage) journeyHref(cursor string) string {
	path := "/customers/" + p.Contact.UUID.String()
	if cursor == "" {
		return path
	}
	return path + "?cursor=" + url.QueryEscape(cursor)
}

// readTraits lists a contact's traits by name; nested values stay JSON.
func readTraits(raw json.RawMessage) []trait {
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) != nil { // the column holds an object
		return nil
	}
	var list []trait
	for name, value := range object {
		var text string
		if json.Unmarshal(value, &text) != nil { // not a string: as it stands
			text = string(value)
		}
		list = append(list, trait{name, clip(text, 500)})
	}
	slices.SortFunc(list, func(a, b trait) int { return strings.Compare(a.Name, b.Name) })
	return list
}
