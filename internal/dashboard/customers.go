package dashboard

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/dashboard/dashboarddb"
)

// paging is where a list stands: which page of how many rows.
type paging struct {
	Page  int // from 1
	Total int64
	Path  string
	Query url.Values
}

// maxPage keeps a made-up page number from becoming an endless OFFSET.
const maxPage = 4000

func readPaging(r *http.Request) paging {
	page, err := strconv.Atoi(r.URL.Query().Get("page"))
	if err != nil || page < 1 {
		page = 1
	}
	return paging{Page: min(page, maxPage), Path: r.URL.Path, Query: r.URL.Query()}
}

func (p paging) skip() int32 { return int32((p.Page - 1) * pageSize) }

func (p paging) pages() int {
	return int(max(1, (p.Total+pageSize-1)/pageSize))
}

func (p paging) href(page int) string {
	query := maps.Clone(p.Query)
	query.Set("page", strconv.Itoa(page))
	query.Del("done")
	return p.Path + "?" + query.Encode()
}

type customersPage struct {
	*view
	Search string
	Paging paging
	Rows   []dashboarddb.CustomersRow
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
	err := d.read(r.Context(), v, func(ctx context.Context, q *dashboarddb.Queries) error {
		var err error
		if page.Paging.Total, err = q.CountCustomers(ctx, pattern); err != nil {
			return err
		}
		page.Rows, err = q.Customers(ctx, dashboarddb.CustomersParams{
			Pattern: pattern, Currency: v.Currency, PageSize: pageSize, Skip: page.Paging.skip(),
		})
		return err
	})
	if err != nil {
		return err
	}
	return d.render(w, r, http.StatusOK, customersView(page))
}

func clip(text string, most int) string {
	runes := []rune(text)
	return string(runes[:min(len(runes), most)])
}

type customerPage struct {
	*view
	Customer     dashboarddb.CustomerRow
	Name         string
	Traits       []trait
	Identities   []dashboarddb.CustomerIdentitiesRow
	Consents     []dashboarddb.CustomerConsentsRow
	Suppressions []dashboarddb.CustomerSuppressionsRow
	Messages     []dashboarddb.CustomerMessagesRow
	Days         []journeyDay
	Spent        map[string]int64 // minor units by currency
	Orders       int64
	Visits       int
	Model        string
}

type trait struct{ Name, Value string }

func (d *Dashboard) customer(w http.ResponseWriter, r *http.Request, v *view) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	page := customerPage{view: v, Spent: map[string]int64{}}
	var found history
	err = d.read(r.Context(), v, func(ctx context.Context, q *dashboarddb.Queries) error {
		return page.load(ctx, q, id, &found)
	})
	if err != nil {
		return err
	}
	page.Name = personName(page.Customer.FirstName, page.Customer.LastName, page.Customer.Email)
	v.Title, v.Section = page.Name, "customers"
	page.Messages, page.Visits = found.Messages, len(found.Sessions)
	for _, c := range found.Conversions {
		page.Spent[c.Currency] += c.RevenueMinor
		if c.RevenueMinor >= 0 {
			page.Orders++
		}
	}
	page.Traits = slices.DeleteFunc(readTraits(page.Customer.Traits), func(t trait) bool {
		return t.Name == "email" && strings.EqualFold(t.Value, page.Customer.Email) // stands among the identities
	})
	page.Days = byDay(timeline(found, page.Customer.CreatedAt), v.Zone)
	return d.render(w, r, http.StatusOK, customerView(&page))
}

func (p *customerPage) load(ctx context.Context, q *dashboarddb.Queries, id uuid.UUID, found *history) error {
	var err error
	if p.Customer, err = q.Customer(ctx, id); err != nil {
		return err
	}
	if p.Identities, err = q.CustomerIdentities(ctx, id); err != nil {
		return err
	}
	if p.Consents, err = q.CustomerConsents(ctx, id); err != nil {
		return err
	}
	if p.Suppressions, err = q.CustomerSuppressions(ctx, id); err != nil {
		return err
	}
	if found.Sessions, err = q.CustomerSessions(ctx, id); err != nil {
		return err
	}
	if found.Pages, err = q.CustomerPages(ctx, id); err != nil {
		return err
	}
	if found.Events, err = q.CustomerEvents(ctx, id); err != nil {
		return err
	}
	if found.Messages, err = q.CustomerMessages(ctx, id); err != nil {
		return err
	}
	if found.Conversions, err = q.CustomerConversions(ctx, id); err != nil {
		return err
	}
	found.Credits, err = q.CustomerCredits(ctx, id)
	return err
}

func (p *customerPage) spent() string {
	if len(p.Spent) == 0 {
		return amount(0, p.Currency)
	}
	var sums []string
	for currency, minor := range p.Spent {
		sums = append(sums, amount(minor, currency))
	}
	slices.Sort(sums)
	return strings.Join(sums, " + ")
}

// consentSource says where a consent came from; an event's id means nothing to a person.
func consentSource(source string) string {
	if strings.HasPrefix(source, "event ") {
		return "on the site"
	}
	return "by " + source
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
