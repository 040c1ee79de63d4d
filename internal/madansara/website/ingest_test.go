package website_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/madansara/conversion"
	"github.com/engardehq/madansara/internal/madansara/website"
	"github.com/engardehq/madansara/internal/madansara/website/segment"
	"github.com/engardehq/madansara/internal/money"
)

// keys maps write keys to tenants.
type keys map[string]uuid.UUID

func (k keys) Key(_ context.Context, token string) (httpkit.Principal, error) {
	tenant, ok := k[token]
	if !ok {
		return httpkit.Principal{}, fault.New(fault.Unauthenticated, "This key is not known.")
	}
	return httpkit.Principal{Tenant: tenant, ID: token, Scopes: []string{"ingest:write"}}, nil
}

func (keys) Session(context.Context, string) (httpkit.Principal, error) {
	return httpkit.Principal{}, fault.New(fault.Unauthenticated, "no session")
}

// recorded is a conversion recorder that remembers.
type recorded struct {
	mu     sync.Mutex
	all    []conversion.Conversion
	people []uuid.UUID
	late   []conversion.LateTouch
}

func (r *recorded) RecordTx(_ context.Context, _ engardedb.Tx, c []conversion.Conversion) ([]conversion.Recorded, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, c...)
	return nil, nil
}

func (r *recorded) ReattributeTx(_ context.Context, _ engardedb.Tx, contacts ...uuid.UUID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.people = append(r.people, contacts...)
	return nil
}

func (r *recorded) TouchedTx(_ context.Context, _ engardedb.Tx, touches []conversion.LateTouch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.late = append(r.late, touches...)
	return nil
}

type bundle struct {
	t             *testing.T
	url           string // the server's
	database      *pgx.Conn
	tenant, other uuid.UUID
	db            *engardedb.DB
	conversions   *recorded
	ingest        *website.Ingest
}

func setup(t *testing.T) *bundle {
	t.Helper()
	return setupWith(t, website.DefaultLimits(), "")
}

// setupWith also runs sql as the database's owner.
func setupWith(t *testing.T, limits website.Limits, sql string) *bundle {
	t.Helper()
	url, db := dbtest.App(t, "madan_sara_app")
	b := &bundle{t: t, db: db, tenant: dbtest.Tenant(t, url), other: dbtest.Tenant(t, url), conversions: &recorded{}}
	var err error
	b.database, err = pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.database.Close(context.WithoutCancel(t.Context()))) })
	if sql != "" {
		_, err = b.database.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	who := keys{"mine": b.tenant, "theirs": b.other}
	b.ingest = website.NewIngest(website.Config{
		DB: db, Keys: who, Conversions: b.conversions, Clock: clockwork.NewRealClock(), Limits: limits,
	})
	router := httpkit.NewRouter(httpkit.RouterConfig{Title: "t", Version: "1", Authenticator: who, OpenPaths: website.OpenPaths()})
	b.ingest.Handle(router.Mux())
	server := httptest.NewServer(router.Handler())
	b.url = server.URL
	t.Cleanup(func() {
		server.Close()
		require.NoError(t, b.ingest.Close(context.WithoutCancel(t.Context())))
	})
	return b
}

type answer struct {
	status  int
	body    string
	header  http.Header
	Success bool               `json:"success"`
	Reject  []segment.Rejected `json:"rejected"`
}

func (b *bundle) post(key, path, body string, header ...string) answer {
	b.t.Helper()
	a, err := b.send(key, path, body, header...)
	require.NoError(b.t, err)
	return a
}

func (b *bundle) send(key, path, body string, header ...string) (a answer, err error) {
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.url+path, strings.NewReader(body))
	if err != nil {
		return a, err
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.SetBasicAuth(key, "")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(raw, &a); err != nil {
		return a, fmt.Errorf("%w: %s", err, raw)
	}
	a.status, a.body, a.header = resp.StatusCode, string(raw), resp.Header
	return a, nil
}

func (b *bundle) take(path, body string, header ...string) {
	b.t.Helper()
	a := b.post("mine", path, body, header...)
	require.Equal(b.t, 200, a.status, a.body)
	require.JSONEq(b.t, `{"success":true}`, a.body)
}

// read runs a query as the database's owner and returns its rows as JSON.
func (b *bundle) read(sql string) string {
	b.t.Helper()
	var out string
	require.NoError(b.t, b.database.QueryRow(b.t.Context(),
		"select coalesce(jsonb_agg(to_jsonb(q)), '[]') from ("+sql+") q").Scan(&out))
	return out
}

// hold locks the visitors and sends one event, so that the only committer waits
// for the returned release.
func (b *bundle) hold(sent func(answer)) (release func()) {
	b.t.Helper()
	b.take("/v1/track", `{"event":"first","anonymousId":"v"}`)
	tx, err := b.database.Begin(b.t.Context())
	require.NoError(b.t, err)
	_, err = tx.Exec(b.t.Context(), "select from website_visitors for update")
	require.NoError(b.t, err)
	b.sendLater("held", sent)
	// Who waits for a row's owner holds the tuple meanwhile.
	require.Eventually(b.t, func() bool {
		var waiting int
		err := b.db.Pool().QueryRow(b.t.Context(), `select count(*) from pg_locks
			where locktype = 'tuple' and database = (select oid from pg_database where datname = current_database())`).Scan(&waiting)
		return err == nil && waiting > 0
	}, time.Minute, time.Millisecond)
	return func() {
		b.t.Helper()
		require.NoError(b.t, tx.Rollback(b.t.Context()))
	}
}

func (b *bundle) sendLater(id string, sent func(answer)) {
	go func() {
		a, err := b.send("mine", "/v1/track", fmt.Sprintf(`{"messageId":%q,"event":"x","anonymousId":"v"}`, id))
		if err != nil {
			b.t.Error(err)
		}
		sent(a)
	}()
}

func TestVisitIsRecorded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const session = "0192f0c1-1111-7000-8000-000000000001"
	page := `{"type":"page","messageId":"p1","anonymousId":"a1","properties":{"title":"<script>alert(1)</script>"},
		"context":{"sessionId":"` + session + `","userAgent":"Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1",
		"page":{"url":"https://shop.test/?utm_source=instagram&utm_medium=social&utm_campaign=spring","referrer":"https://l.instagram.com/"}}}`
	b.take("/v1/page", page)
	b.take("/v1/page", page) // a repeat changes nothing
	b.take("/api/v1/website/track", `{"messageId":"t1","event":"'; DROP TABLE contacts; --","anonymousId":"a1","context":{"sessionId":"`+session+`"}}`,
		"Content-Type", "text/plain;charset=UTF-8")

	require.JSONEq(t, `[{"message_id":"p1","path":"/","title":"<script>alert(1)</script>","session_uuid":"`+session+`"}]`,
		b.read("select message_id, path, title, session_uuid from page_views"))
	require.JSONEq(t, `[{"name":"'; DROP TABLE contacts; --","type":"track"}]`, b.read("select name, type from website_events"))
	require.JSONEq(t, `[{"utm_source":"instagram","utm_campaign":"spring","channel":"instagram","device":"mobile","page_view_count":1,"event_count":1}]`,
		b.read("select utm_source, utm_campaign, channel, device, page_view_count, event_count from website_sessions"))
	require.JSONEq(t, `[{"source_key":"session:`+session+`","kind":"visit","channel":"instagram","campaign":"spring"}]`,
		b.read("select source_key, kind, channel, campaign from customer_touchpoints"))
	require.JSONEq(t, `[{"anonymous_id":"a1","visitor_uuid":"`+website.VisitorID(b.tenant, "a1").String()+`"}]`,
		b.read("select anonymous_id, visitor_uuid from website_visitors"))
}

func TestLateFirstPageCorrectsTheSession(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const context = `"context":{"sessionId":"s","page":{"url":"https://shop.test/`
	b.take("/v1/track", `{"messageId":"0","event":"Loaded","anonymousId":"a","timestamp":"2026-01-01T10:00:00Z","context":{"sessionId":"s"}}`)
	b.take("/v1/page", `{"messageId":"2","anonymousId":"a","timestamp":"2026-01-01T10:00:09Z",`+context+`two"}}}`)
	require.JSONEq(t, `[{"channel":"direct"}]`, b.read("select channel from customer_touchpoints"))
	b.take("/v1/page", `{"messageId":"1","anonymousId":"a","timestamp":"2026-01-01T09:59:59Z",`+context+`one?utm_medium=cpc&utm_source=google"}}}`)
	require.JSONEq(t, `[{"channel":"paid_search","landing_url":"https://shop.test/one?utm_medium=cpc&utm_source=google","page_view_count":2,"event_count":1}]`,
		b.read("select channel, landing_url, page_view_count, event_count from website_sessions"))
	require.JSONEq(t, `[{"channel":"paid_search"}]`, b.read("select channel from customer_touchpoints"))
}

func TestClickInOurMessageIsNoSecondTouch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.take("/v1/page", `{"anonymousId":"a","context":{"sessionId":"s","page":{"url":"https://shop.test/?utm_medium=email&ms_message=0192f0c1-1111-7000-8000-000000000009"}}}`)
	require.JSONEq(t, `[{"channel":"email"}]`, b.read("select channel from website_sessions"))
	require.JSONEq(t, `[]`, b.read("select * from customer_touchpoints"))
}

func TestPageViewsWithoutSessionAreSessionised(t *testing.T) {
	t.Parallel()
	b := setup(t)
	view := func(id, at string) string {
		return `{"type":"page","messageId":"` + id + `","anonymousId":"a","timestamp":"2026-01-01T` + at + `Z","context":{"page":{"url":"https://shop.test/"}}}`
	}
	b.take("/v1/batch", `{"batch":[`+view("1", "10:00:00")+`,`+view("2", "10:29:00")+`]}`)
	b.take("/v1/page", view("3", "10:58:00"))
	b.take("/v1/page", view("3", "10:58:00"))
	b.take("/v1/page", view("4", "11:29:00"))
	require.JSONEq(t, `[{"page_view_count":3},{"page_view_count":1}]`, b.read("select page_view_count from website_sessions order by started_at"))
}

//nolint:tparallel // the subtests come before what counts their rows
func TestBadInputIsRefusedWithItsPlace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var bomb bytes.Buffer
	zipped := gzip.NewWriter(&bomb)
	_, err := zipped.Write(bytes.Repeat([]byte(" "), 10<<20))
	require.NoError(t, err)
	require.NoError(t, zipped.Close())
	cases := map[string]struct {
		key, path, body string
		header          []string
		status          int
		contains        string
	}{
		"malformed":        {"mine", "/v1/track", `{"event":`, nil, 400, "not valid JSON"},
		"wrong type":       {"mine", "/v1/track", `{"event":7,"userId":"u"}`, nil, 400, `"location":"body.event"`},
		"1970":             {"mine", "/v1/track", `{"event":"x","userId":"u","timestamp":"1970-01-01T00:00:00Z"}`, nil, 400, "body.timestamp"},
		"NUL":              {"mine", "/v1/track", `{"event":"x\u0000","userId":"u"}`, nil, 400, "NUL"},
		"invalid UTF-8":    {"mine", "/v1/track", "{\"event\":\"\xff\",\"userId\":\"u\"}", nil, 400, "UTF-8"},
		"10 MB":            {"mine", "/v1/track", strings.Repeat(" ", 10<<20), nil, 413, "too_large"},
		"600 KB":           {"mine", "/v1/batch", strings.Repeat(" ", 600<<10), nil, 413, "512000"},
		"gzip bomb":        {"mine", "/v1/batch", bomb.String(), []string{"Content-Encoding", "gzip"}, 413, "512000"},
		"no gzip":          {"mine", "/v1/batch", "x", []string{"Content-Encoding", "gzip"}, 400, "not gzip"},
		"unknown encoding": {"mine", "/v1/batch", "x", []string{"Content-Encoding", "br"}, 400, "br"},
		"form":             {"mine", "/v1/track", "a=b", []string{"Content-Type", "application/x-www-form-urlencoded"}, 400, "Content-Type"},
		"wrong key":        {"nobody", "/v1/track", `{"event":"x","userId":"u"}`, nil, 401, "unauthenticated"},
		"no key":           {"", "/v1/track", `{"event":"x","userId":"u"}`, nil, 401, "writeKey"},
		"wrong body key":   {"", "/v1/track", `{"event":"x","userId":"u","writeKey":"nobody"}`, nil, 401, "unauthenticated"},
		"bad order":        {"mine", "/v1/track", `{"event":"Order Completed","userId":"u","properties":{"order_id":"1","total":"a lot","currency":"EUR"}}`, nil, 400, "body.properties.total"},
		"bad currency":     {"mine", "/v1/track", `{"event":"Order Completed","userId":"u","properties":{"order_id":"1","total":1,"currency":"QQQ"}}`, nil, 400, "body.properties"},
		"all bad":          {"mine", "/v1/batch", `{"batch":[{"type":"track"},{"type":"page"}]}`, nil, 400, "body.batch[1]"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) { //nolint:paralleltest // what follows counts what they left
			got, err := b.send(test.key, test.path, test.body, test.header...)
			require.NoError(t, err)
			require.Equal(t, test.status, got.status, got.body)
			require.Contains(t, got.body, test.contains)
			require.Equal(t, "application/problem+json", got.header.Get("Content-Type"))
		})
	}
	require.JSONEq(t, `[{"n":0}]`, b.read("select count(*) n from website_events"))
	b.take("/v1/track", `{"event":"x","userId":"u"}`)

	var good bytes.Buffer
	zipped.Reset(&good)
	_, err = zipped.Write([]byte(`{"batch":[{"type":"track","messageId":"z","event":"x","userId":"u"}]}`))
	require.NoError(t, err)
	require.NoError(t, zipped.Close())
	b.take("/v1/batch", good.String(), "Content-Encoding", "gzip")
	require.JSONEq(t, `[{"n":2}]`, b.read("select count(*) n from website_events"))
}

func TestTenantsAreApart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const event = `{"messageId":"same","event":"x","anonymousId":"a","userId":"u"}`
	require.Equal(t, 200, b.post("mine", "/v1/track", event).status)
	require.Equal(t, 200, b.post("", "/v1/track", strings.Replace(event, "{", `{"writeKey":"theirs",`, 1)).status)
	require.JSONEq(t, `[{"n":2,"visitors":2,"contacts":2}]`, b.read(`select count(distinct tenant_uuid) n,
		(select count(*) from website_visitors) visitors, (select count(*) from contacts) contacts from website_events`))
}

func TestPoisonCostsOnlyItself(t *testing.T) {
	t.Parallel()
	b := setupWith(t, website.DefaultLimits(), "alter table website_events add check (name <> 'poison')")
	var events []string
	for i := range 20 {
		name := "fine"
		if i == 13 {
			name = "poison"
		}
		events = append(events, fmt.Sprintf(`{"type":"track","messageId":"m%d","anonymousId":"a","event":%q,"context":{"sessionId":"s"}}`, i, name))
	}
	got := b.post("mine", "/v1/batch", `{"batch":[`+strings.Join(events, ",")+`]}`)
	require.Equal(t, 200, got.status, got.body)
	require.Len(t, got.Reject, 1)
	require.Equal(t, 13, got.Reject[0].Index)
	require.Equal(t, "m13", got.Reject[0].MessageID)
	require.Equal(t, "body.batch[13]", got.Reject[0].Location)
	require.JSONEq(t, `[{"n":19,"counted":19}]`, b.read("select count(*) n, (select sum(event_count) from website_sessions) counted from website_events"))
}

func TestConcurrentRepeatsCountOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for round := range 5 {
				var events []string
				for i := range 40 {
					n := (i*7 + worker) % 40 // each worker in another order
					events = append(events, fmt.Sprintf(`{"type":"%s","event":"x","messageId":"m%d","anonymousId":"a%d","userId":"u%d","context":{"sessionId":"s%d","page":{"url":"https://shop.test/"}}}`,
						[]string{"track", "page", "identify"}[n%3], n, n%5, n%5, n%5))
				}
				got, err := b.send("mine", "/v1/batch", `{"batch":[`+strings.Join(events, ",")+`]}`)
				if err != nil || got.status != 200 {
					t.Errorf("worker %d round %d: %v %s", worker, round, err, got.body)
				}
			}
		})
	}
	wg.Wait()
	require.JSONEq(t, `[{"events":40,"counted":40,"touches":5,"contacts":5,"unlinked":0}]`, b.read(`select
		(select count(*) from page_views) + (select count(*) from website_events) events,
		(select sum(page_view_count + event_count) from website_sessions) counted,
		(select count(*) from customer_touchpoints) touches, (select count(*) from contacts) contacts,
		(select count(*) from website_visitors where contact_uuid is null) unlinked`))
}

func TestManyRequestsShareOneCommit(t *testing.T) {
	t.Parallel()
	limits := website.DefaultLimits()
	limits.Committers = 1
	b := setupWith(t, limits, "")
	const requests = 50
	answers := make(chan answer, requests+1)
	sent := func(a answer) { answers <- a }
	release := b.hold(sent)
	for i := range requests {
		b.sendLater(fmt.Sprint("m", i), sent)
	}
	require.Eventually(t, func() bool { return b.ingest.Waiting() == requests }, time.Minute, time.Millisecond)
	release()
	for range requests + 1 {
		require.Equal(t, 200, (<-answers).status)
	}
	var commits int
	require.NoError(t, b.database.QueryRow(t.Context(), "select count(distinct xmin::text) from website_events where name = 'x'").Scan(&commits))
	require.Equal(t, 2, commits, "what waited shares one")
}

func TestOrdersBecomeConversions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const order = `{"messageId":"o","anonymousId":"a","event":"Order Completed","properties":{"order_id":"42","total":19.9,"revenue":15,"currency":"eur"},"context":{"sessionId":"s","traits":{"email":"ada@example.com"}}}`
	b.take("/v1/track", order)
	b.take("/v1/track", order)
	require.Len(t, b.conversions.all, 1)
	c := b.conversions.all[0]
	require.Equal(t, "42", c.ExternalID)
	require.Equal(t, int64(1990), c.Amount.Minor)
	require.Equal(t, "EUR", c.Amount.Currency)
	require.Equal(t, website.VisitorID(b.tenant, "a"), *c.VisitorUUID)
	require.NotNil(t, c.ContactUUID)
	require.NotNil(t, c.SessionUUID)

	b.take("/v1/track", `{"messageId":"r1","userId":"u","event":"Order Refunded","properties":{"order_id":"42","total":5,"currency":"EUR"}}`)
	b.take("/v1/track", `{"messageId":"r2","userId":"u","event":"Order Refunded","properties":{"order_id":"42","refund_id":7,"total":5,"currency":"EUR"}}`)
	require.Len(t, b.conversions.all, 3)
	for i, id := range []string{"r1", "7"} {
		refund := b.conversions.all[1+i]
		require.Equal(t, id, refund.ExternalID, "a part of its own")
		require.Equal(t, "42", refund.RefundOf)
		require.True(t, conversion.IsRefund(refund.Name))
	}
}

func TestAnOrderWithoutCurrencyIsInTheTenantsOwn(t *testing.T) {
	t.Parallel()
	b := setupWith(t, website.DefaultLimits(), "update tenants set currency = 'JPY'")
	b.take("/v1/track", `{"userId":"u","event":"Order Completed","properties":{"order_id":"1","total":1500}}`)
	b.take("/v1/track", `{"userId":"u","event":"Order Completed","properties":{"order_id":"2","total":15,"currency":"USD"}}`)
	require.Len(t, b.conversions.all, 2)
	require.Equal(t, money.Amount{Minor: 1500, Currency: "JPY"}, b.conversions.all[0].Amount)
	require.Equal(t, money.Amount{Minor: 1500, Currency: "USD"}, b.conversions.all[1].Amount)
	refused := b.post("mine", "/v1/track", `{"userId":"u","event":"Order Completed","properties":{"order_id":"3","total":"1.500,00"}}`)
	require.Equal(t, http.StatusBadRequest, refused.status)
	require.Contains(t, refused.body, "body.properties.total")
}
