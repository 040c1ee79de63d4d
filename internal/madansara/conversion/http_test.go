package conversion_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/madansara/attribution"
	"github.com/engardehq/madansara/internal/madansara/conversion"
)

// people identifies by the tables themselves: a contact a user id or address, a
// visitor an anonymous id.
type people struct{}

func (people) IdentifyTx(ctx context.Context, tx engardedb.Tx, identity conversion.Identity, at time.Time) (conversion.Person, error) {
	var person conversion.Person
	if identity.AnonymousID != "" {
		visitor := uuid.NewSHA1(tx.Tenant(), []byte(identity.AnonymousID))
		person.VisitorUUID = &visitor
	}
	for kind, value := range map[string]string{"user_id": identity.UserID, "email": identity.Email} {
		if value == "" {
			continue
		}
		contact := uuid.NewSHA1(tx.Tenant(), []byte(kind+value))
		person.ContactUUID = &contact
		_, err := tx.Exec(ctx, `insert into contacts (tenant_uuid, contact_uuid, created_at, updated_at) values ($1, $2, $3, $3)
			on conflict do nothing`, tx.Tenant(), contact, at)
		if err != nil {
			return person, err
		}
		_, err = tx.Exec(ctx, `insert into contact_identities (tenant_uuid, kind, value, contact_uuid, created_at)
			values ($1, $2, $3, $4, $5) on conflict do nothing`, tx.Tenant(), kind, value, contact, at)
		if err != nil {
			return person, err
		}
	}
	return person, nil
}

// keys knows each tenant by its own id as the key; "reader" may only read.
type keys struct{ tenant uuid.UUID }

func (k keys) Key(_ context.Context, token string) (httpkit.Principal, error) {
	if token == "reader" {
		return httpkit.Principal{Tenant: k.tenant, ID: token, Name: token, Scopes: []string{"conversion:read"}}, nil
	}
	tenant, err := uuid.Parse(token)
	if err != nil {
		return httpkit.Principal{}, fault.New(fault.Unauthenticated, "This key is unknown.")
	}
	return httpkit.Principal{Tenant: tenant, ID: token, Name: token, Scopes: []string{"conversion:read", "conversion:write"}}, nil
}

func (keys) Session(context.Context, string) (httpkit.Principal, error) {
	return httpkit.Principal{}, fault.New(fault.Unauthenticated, "This session has ended.")
}

type site struct {
	*bundle

	models  *attribution.Service
	service *conversion.Service
	server  *httptest.Server
}

func setupSite(t *testing.T) *site {
	t.Helper()
	b := setup(t)
	models := attribution.New(b.db, b.clock)
	service := conversion.New(b.db, b.queue, nil, people{}, models, b.clock)
	router := httpkit.NewRouter(httpkit.RouterConfig{Title: "test", Version: "0", Authenticator: keys{b.tenant}, Logger: slog.New(slog.DiscardHandler)})
	service.Register(router.API())
	server := httptest.NewServer(router.Handler())
	t.Cleanup(server.Close)
	return &site{bundle: b, models: models, service: service, server: server}
}

// call sends a request as the holder of key and decodes the answer into out.
func (s *site) call(t *testing.T, key, method, path, body string, out any) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.server.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	if out != nil {
		require.NoError(t, json.Unmarshal(raw, out), "%s", raw)
	}
	if response.StatusCode >= 400 {
		require.Equal(t, "application/problem+json", response.Header.Get("Content-Type"), "%s", raw)
	}
	return response.StatusCode
}

func (s *site) get(t *testing.T, path string, out any) int {
	t.Helper()
	return s.call(t, s.tenant.String(), http.MethodGet, path, "", out)
}

func (s *site) track(t *testing.T, body string, out any) int {
	t.Helper()
	return s.call(t, s.tenant.String(), http.MethodPost, "/api/v1/conversion/track", body, out)
}

type tracked struct {
	ConversionUUID uuid.UUID `json:"conversion_uuid"`
	New            bool      `json:"new"`
}

type eventList struct {
	Conversions []conversion.Event
	Next        string `json:"next_cursor"`
}

func TestTrackRecordsAnOrderOnce(t *testing.T) {
	t.Parallel()
	s := setupSite(t)
	const body = `{"name":"Order Completed","order_id":"A-1","email":"marie@example.com","anonymous_id":"anon-1","revenue":59.970000000000006,
		"currency":"USD","properties":{"sku":12345678901234567890},"occurred_at":"2026-03-10T10:00:00-05:00"}`
	var statuses [8]int
	var answers [8]tracked
	var group sync.WaitGroup
	for i := range statuses {
		group.Go(func() { statuses[i] = s.track(t, body, &answers[i]) })
	}
	group.Wait()
	created := 0
	for i, answer := range answers {
		require.Equal(t, answers[0].ConversionUUID, answer.ConversionUUID)
		require.Equal(t, map[bool]int{true: http.StatusCreated, false: http.StatusOK}[answer.New], statuses[i])
		if answer.New {
			created++
		}
	}
	require.Equal(t, 1, created)

	var list eventList
	require.Equal(t, 200, s.get(t, "/api/v1/conversion/events", &list))
	require.Len(t, list.Conversions, 1)
	event := list.Conversions[0]
	require.Equal(t, conversion.Money{Minor: 5997, Currency: "USD", Amount: "59.97"}, event.Revenue)
	require.Equal(t, "A-1", event.ExternalID)
	require.NotNil(t, event.ContactUUID)
	require.NotNil(t, event.VisitorUUID)
	require.Equal(t, time.Date(2026, 3, 10, 15, 0, 0, 0, time.UTC), event.OccurredAt.UTC())
	require.Equal(t, "12345678901234567890", one[string](t, s.bundle, "select properties->>'sku' from conversion_events"), "no digit is lost")
}

func TestTrackRefusesBadInput(t *testing.T) {
	t.Parallel()
	s := setupSite(t)
	valid := func(change string) string {
		return `{"name":"Order Completed","order_id":"A-1","user_id":"u1",` + change + `}`
	}
	for name, tc := range map[string]struct {
		body   string
		status int
	}{
		"no JSON":              {`{`, 400},
		"nothing":              {``, 400},
		"an array":             {`[]`, 422},
		"no name":              {`{"user_id":"u1"}`, 422},
		"nobody":               {`{"name":"Order Completed"}`, 422},
		"an address, a word":   {`{"name":"Order Completed","email":"marie"}`, 422},
		"an address, a name":   {`{"name":"Order Completed","email":"Marie <marie@example.com>"}`, 422},
		"an unknown field":     {valid(`"price":3`), 422},
		"a long name":          {`{"user_id":"u1","name":"` + strings.Repeat("n", 201) + `"}`, 422},
		"revenue, text":        {valid(`"revenue":"nineteen"`), 422},
		"revenue, NaN":         {valid(`"revenue":"NaN"`), 422},
		"revenue, true":        {valid(`"revenue":true`), 422},
		"revenue, an object":   {valid(`"revenue":{}`), 422},
		"revenue, huge":        {valid(`"revenue":1e300`), 422},
		"revenue, over float":  {valid(`"revenue":"1e400"`), 422},
		"revenue, an overflow": {valid(`"revenue":"92233720368547758.08"`), 422},
		"revenue, negative":    {valid(`"revenue":-5`), 422},
		"currency, small":      {valid(`"currency":"usd"`), 422},
		"currency, invented":   {valid(`"currency":"ZZZ"`), 422},
		"currency, SQL":        {valid(`"currency":"'; --"`), 422},
		"time, 9999":           {valid(`"occurred_at":"9999-01-01T00:00:00Z"`), 422},
		"time, 1970":           {valid(`"occurred_at":"1970-01-01T00:00:00Z"`), 422},
		"time, a word":         {valid(`"occurred_at":"yesterday"`), 422},
		"properties, an array": {valid(`"properties":[]`), 422},
		"properties, NUL":      {valid(`"properties":{"a":"\u0000"}`), 422},
		"properties, half":     {valid(`"properties":{"a":"\ud800"}`), 422},
		"properties, 33 KB":    {valid(`"properties":{"a":"` + strings.Repeat("x", 33_000) + `"}`), 422},
		"a body of 100 KB":     {valid(`"properties":{"a":"` + strings.Repeat("x", 100_000) + `"}`), 413},
	} {
		var problem httpkit.Problem
		require.Equal(t, tc.status, s.track(t, tc.body, &problem), "%s: %s", name, problem.Detail)
		require.NotEmpty(t, problem.Detail, name)
	}
	require.Zero(t, one[int](t, s.bundle, "select count(*) from conversion_events"))
	require.Zero(t, one[int](t, s.bundle, "select count(*) from contacts"), "a refused conversion adds nobody")

	require.Equal(t, 403, s.call(t, "reader", http.MethodPost, "/api/v1/conversion/track", valid(`"revenue":1`), nil))
	require.Equal(t, 401, s.call(t, "wrong", http.MethodPost, "/api/v1/conversion/track", valid(`"revenue":1`), nil))
	var ok tracked
	require.Equal(t, 201, s.track(t, `{"name":"'; drop table conversion_events; --","user_id":"<script>","revenue":"1"}`, &ok))
}

func TestListsRefuseBadQueries(t *testing.T) {
	t.Parallel()
	s := setupSite(t)
	for path, status := range map[string]int{
		"events?limit=0":   422,
		"events?limit=501": 422,
		"events?limit=x":   422,
		"events?cursor=x":  422,
		"events?cursor=" + strings.Repeat("a", 3000): 422,
		"events?contact_uuid=x":                      422,
		"events?from=x":                              422,
		"stats?from=2026-13-01":                      422,
		"stats?from=2026-02-01&to=2026-01-01":        422,
		"stats?from=2020-01-01&to=2026-01-01":        422,
		"stats?from=9999-01-01&to=9999-01-02":        422,
		"stats?from=0001-01-01&to=0001-01-02":        422,
		"stats?from='":                               422,
		"attribution?model=markov":                   422,
		"attribution?from=1":                         422,
		"journey/nobody":                             404,
		"journey/" + uuid.NewString():                404,
		"journey/" + strings.Repeat("x", 400):        422,
		"journey/a?cursor=e30":                       422,
	} {
		require.Equal(t, status, s.get(t, "/api/v1/conversion/"+path, nil), path)
	}
}

func TestEventsArePagedAndFiltered(t *testing.T) {
	t.Parallel()
	s := setupSite(t)
	for i := range 7 { // three moments for seven orders
		body := fmt.Sprintf(`{"name":"Order Completed","order_id":"%d","user_id":"u%d","revenue":1,"occurred_at":"2026-03-0%dT00:00:00Z"}`, i, i%2, 1+i%3)
		require.Equal(t, 201, s.track(t, body, nil))
	}
	seen := make(map[string]bool)
	path := "/api/v1/conversion/events?limit=3"
	last := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	pages := 0
	for cursor := ""; pages == 0 || cursor != ""; pages++ {
		var list eventList
		require.Equal(t, 200, s.get(t, path+"&cursor="+cursor, &list))
		for _, event := range list.Conversions {
			require.False(t, seen[event.ExternalID])
			require.False(t, event.OccurredAt.After(last))
			seen[event.ExternalID], last = true, event.OccurredAt
		}
		cursor = list.Next
	}
	require.Equal(t, 3, pages)
	require.Len(t, seen, 7)

	var list eventList
	require.Equal(t, 200, s.get(t, "/api/v1/conversion/events?from=2026-03-02&to=2026-03-02", &list))
	require.Len(t, list.Conversions, 2)
	contact := list.Conversions[0].ContactUUID
	require.Equal(t, 200, s.get(t, "/api/v1/conversion/events?name=Order+Completed&contact_uuid="+contact.String(), &list))
	require.NotEmpty(t, list.Conversions)
	for _, event := range list.Conversions {
		require.Equal(t, contact, event.ContactUUID)
	}
	require.Equal(t, 200, s.get(t, "/api/v1/conversion/events?name=Other", &list))
	require.Empty(t, list.Conversions)
}

func TestAnotherTenantSeesNothing(t *testing.T) {
	t.Parallel()
	s := setupSite(t)
	other := dbtest.Tenant(t, s.url).String()
	require.Equal(t, 201, s.track(t, `{"name":"Order Completed","user_id":"u1","email":"a@example.com","revenue":5}`, nil))
	contact := one[uuid.UUID](t, s.bundle, "select contact_uuid from contact_identities where kind = 'user_id'")
	for _, id := range []string{"u1", "a@example.com", contact.String()} {
		require.Equal(t, 200, s.get(t, "/api/v1/conversion/journey/"+url.PathEscape(id), nil), id)
		require.Equal(t, 404, s.call(t, other, http.MethodGet, "/api/v1/conversion/journey/"+url.PathEscape(id), "", nil), id)
	}
	var list eventList
	require.Equal(t, 200, s.call(t, other, http.MethodGet, "/api/v1/conversion/events?contact_uuid="+contact.String(), "", &list))
	require.Empty(t, list.Conversions)
	var stats conversion.Stats
	require.Equal(t, 200, s.call(t, other, http.MethodGet, "/api/v1/conversion/stats", "", &stats))
	require.Zero(t, stats.Total.Conversions)
}

func TestModelsAreReadAndChanged(t *testing.T) {
	t.Parallel()
	s := setupSite(t)
	type model struct {
		Model        string
		LookbackDays int     `json:"lookback_days"`
		HalfLifeDays float64 `json:"half_life_days"`
		FirstShare   float64 `json:"first_share"`
		LastShare    float64 `json:"last_share"`
	}
	const path = "/api/v1/conversion/attribution/models"
	var list struct{ Models []model }
	require.Equal(t, 200, s.get(t, path, &list))
	require.Equal(t, []model{
		{"first_touch", 30, 0, 0, 0},
		{"last_touch", 30, 0, 0, 0},
		{"linear", 30, 0, 0, 0},
		{"time_decay", 30, 7, 0, 0},
		{"position_based", 30, 0, 0.4, 0.4},
	}, list.Models)

	put := func(name, body string) int {
		return s.call(t, s.tenant.String(), http.MethodPut, path+"/"+name, body, nil)
	}
	require.Equal(t, 200, put("time_decay", `{"lookback_days":60,"half_life_days":14}`))
	require.Equal(t, 1, one[int](t, s.bundle, "select count(*) from river.river_job where kind = 'recompute_attribution'"))
	require.Equal(t, 200, s.get(t, path, &list))
	require.Equal(t, model{"time_decay", 60, 14, 0, 0}, list.Models[3])
	for body, name := range map[string]string{
		`{"lookback_days":60}`:                                       "time_decay",
		`{"lookback_days":0,"half_life_days":7}`:                     "time_decay",
		`{"lookback_days":731}`:                                      "linear",
		`{"lookback_days":30,"half_life_days":7}`:                    "linear",
		`{"lookback_days":30,"first_share":0.6,"last_share":0.6}`:    "position_based",
		`{"lookback_days":30,"first_share":0.6}`:                     "position_based",
		`{"lookback_days":30.5}`:                                     "first_touch",
		`{"lookback_days":30,"first_share":-0.1,"last_share":"0.4"}`: "position_based",
		`{"lookback_days":30}`:                                       "markov",
	} {
		require.Equal(t, 422, put(name, body), "%s %s", name, body)
	}
	require.Equal(t, 403, s.call(t, "reader", http.MethodPut, path+"/linear", `{"lookback_days":30}`, nil))
}

func TestTrackRefundsInParts(t *testing.T) {
	t.Parallel()
	s := setupSite(t)
	key := s.tenant.String()
	track := func(body string) int {
		return s.call(t, key, http.MethodPost, "/api/v1/conversion/track", body, nil)
	}
	require.Equal(t, 201, track(`{"name":"Order Completed","order_id":"1","revenue":30,"email":"a@example.com"}`))
	require.Equal(t, 201, track(`{"name":"Order Refunded","order_id":"1","refund_id":"r1","revenue":10,"email":"a@example.com"}`))
	require.Equal(t, 200, track(`{"name":"Order Refunded","order_id":"1","refund_id":"r1","revenue":10,"email":"a@example.com"}`))
	require.Equal(t, 201, track(`{"name":"Order Refunded","order_id":"1","message_id":"m2","revenue":"10","email":"a@example.com"}`))
	require.Equal(t, 201, track(`{"name":"Order Refunded","order_id":"1","email":"a@example.com"}`))
	require.Equal(t, 200, track(`{"name":"Order Refunded","order_id":"1","email":"a@example.com"}`), "once for the order")
	require.Equal(t, 422, track(`{"name":"Order Completed","refund_id":"r1","email":"a@example.com"}`))
	require.Equal(t, 1000, one[int](t, s.bundle, "select sum(revenue_minor) from conversion_events"))
	stats, err := s.service.Stats(t.Context(), s.tenant, conversion.Period{})
	require.NoError(t, err)
	require.Equal(t, int64(1), stats.Total.Conversions, "a refund without a sum is no conversion either")
}

func TestAPersonWhoBoughtBeforeTheyWereKnownIsOneCustomer(t *testing.T) {
	t.Parallel()
	s := setupSite(t)
	visitor, contact := uuid.New(), uuid.New()
	s.exec(t, "insert into contacts (tenant_uuid, contact_uuid, created_at, updated_at) values ($1, $2, $3, $3)", s.tenant, contact, noon)
	s.exec(t, `insert into website_visitors (tenant_uuid, visitor_uuid, anonymous_id, contact_uuid, first_seen_at, last_seen_at)
		values ($1, $2, 'a', $3, $4, $4)`, s.tenant, visitor, contact, noon)
	unknown, known := order("1", 100), order("2", 100)
	unknown.VisitorUUID, known.ContactUUID = &visitor, &contact
	s.record(t, unknown, known)
	stats, err := s.service.Stats(t.Context(), s.tenant, conversion.Period{})
	require.NoError(t, err)
	require.Equal(t, int64(1), stats.Total.Customers)
}
