// Package tracker_test drives the demo shop in Chromium against the real
// service on a real PostgreSQL, and reads what became of the visit.
package tracker_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/app"
	"github.com/engardehq/madansara/internal/config"
	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/dev/browser"
	"github.com/engardehq/madansara/internal/dev/shop"
	"github.com/engardehq/madansara/internal/telemetry"
)

// world is a running service, a shop of one tenant, and the tenant's data.
type world struct {
	shop   string
	tenant uuid.UUID
	db     *engardedb.DB
}

func start(t *testing.T) world {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // clean-ups outlive the test's own
	url := dbtest.URL(t)
	cfg, err := config.Load(map[string]string{"SECRET_KEY": strings.Repeat("k", 32), "SERVICE_MESH_SECRET": strings.Repeat("m", 32), "DB_POOL_SIZE": "2", "DB_MAX_OVERFLOW": "4"})
	require.NoError(t, err)
	observed, err := telemetry.Start(t.Context(), telemetry.Options{Service: "madan-sara", Version: "test", Level: "error", Output: io.Discard})
	require.NoError(t, err)
	service, err := app.New(t.Context(), app.Options{Config: cfg, DatabaseURL: url, Version: "test", Telemetry: observed, Clock: clockwork.NewRealClock()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, service.Close(ctx)) })
	// Serve, and not the handler alone: the jobs that compute attribution run with it.
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- service.Serve(serving, listener) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-served)
	})

	tenant, err := service.Accounts().CreateTenant(ctx, account.Tenant{Name: "Ti Machann", Currency: "USD"})
	require.NoError(t, err)
	key, _, err := service.Accounts().CreateKey(ctx, tenant, account.NewKey{Kind: account.WriteKey, Name: "shop"})
	require.NoError(t, err)
	origin := "http://" + listener.Addr().String()
	stall, err := shop.New(shop.Config{
		TrackerURL: origin + app.TrackerPath, IngestURL: origin, WriteKey: key,
		Clock: clockwork.NewRealClock(), Logger: slog.New(slog.DiscardHandler), HTTPClient: http.DefaultClient,
	})
	require.NoError(t, err)
	site := httptest.NewServer(stall)
	t.Cleanup(func() {
		site.Close()
		require.NoError(t, stall.Close(ctx))
	})
	return world{shop: site.URL, tenant: tenant, db: dbtest.Pool(t, url, "madan_sara_app")}
}

// eventually asks the database until the query's single JSON value is want.
func (w world) eventually(t *testing.T, want, query string) {
	t.Helper()
	var got string
	require.Eventually(t, func() bool {
		err := w.db.TenantRead(context.WithoutCancel(t.Context()), w.tenant, func(ctx context.Context, tx engardedb.Tx) error {
			return tx.QueryRow(ctx, query).Scan(&got)
		})
		if err != nil {
			got = err.Error()
			return false
		}
		var a, b any
		return json.Unmarshal([]byte(got), &a) == nil && json.Unmarshal([]byte(want), &b) == nil && equal(a, b)
	}, time.Minute, 100*time.Millisecond, "want %s, got %s", want, &got)
}

func equal(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

func TestVisitBecomesAContactAndAConversion(t *testing.T) {
	t.Parallel()
	w := start(t)
	page := browser.New(t).Page(t)
	page.Run(t, chromedp.Navigate(w.shop+"/?utm_source=instagram&utm_medium=social&utm_campaign=noel"),
		browser.Type(chromedp.ID("offer-email"), "rose@example.org"), chromedp.Click(chromedp.ID("consent")))
	page.Follow(t, chromedp.Click(chromedp.ID("sign-up")))
	page.Run(t, chromedp.Navigate(w.shop+"/product/coffee"))
	page.Follow(t, chromedp.Click(chromedp.ID("add")))
	page.Follow(t, chromedp.Click(chromedp.ID("to-checkout")))
	page.Run(t, browser.Type(chromedp.ID("name"), "Rose Jean"), browser.Type(chromedp.ID("email"), "rose@example.org"))
	page.Follow(t, chromedp.Click(chromedp.ID("buy")))
	order := browser.Get(t, page, chromedp.Text(chromedp.ID("order-id")))
	require.Empty(t, page.Problems())

	w.eventually(t, `[{"source": "instagram", "medium": "social", "campaign": "noel"}]`,
		`select json_agg(json_build_object('source', utm_source, 'medium', utm_medium, 'campaign', utm_campaign))::text from website_sessions`)
	w.eventually(t, `["/", "/cart", "/checkout", "/offers", "/order", "/product/coffee"]`,
		`select json_agg(p order by p)::text from (select case when path ~ '^/(offers|order)/' then '/' || split_part(path, '/', 2) else path end as p from page_views) as v`)
	w.eventually(t, `["Checkout Started", "Order Completed", "Product Added", "Product Viewed", "Signed Up"]`,
		`select json_agg(name order by name)::text from website_events where type = 'track' and name <> 'Element Clicked'`)
	w.eventually(t, `[{"email": "rose@example.org", "status": "granted", "visitors": 1}]`,
		`select json_agg(json_build_object('email', c.email, 'status', k.status, 'visitors',
			(select count(*) from website_visitors v where v.contact_uuid = c.contact_uuid)))::text
		from contacts c left join consents k using (tenant_uuid, contact_uuid)`)
	w.eventually(t, `[{"order": "`+order+`", "minor": 1890, "currency": "USD", "known": true, "visit": true}]`,
		`select json_agg(json_build_object('order', external_id, 'minor', revenue_minor, 'currency', currency,
			'known', contact_uuid is not null, 'visit', session_uuid in (select session_uuid from website_sessions)))::text from conversion_events`)
}

func TestVisitorWithGlobalPrivacyControlLeavesNoTrace(t *testing.T) {
	t.Parallel()
	w := start(t)
	chromium := browser.New(t)
	page := chromium.Page(t)
	page.BeforeEachDocument(t, `Object.defineProperty(Navigator.prototype, "globalPrivacyControl", {get: () => true})`)
	page.Run(t, chromedp.Navigate(w.shop+"/product/soap"))
	page.Follow(t, chromedp.Click(chromedp.ID("add")))
	page.Follow(t, chromedp.Click(chromedp.ID("to-checkout")))
	page.Run(t, browser.Type(chromedp.ID("name"), "Ann"), browser.Type(chromedp.ID("email"), "ann@example.org"))
	page.Follow(t, chromedp.Click(chromedp.ID("buy")))
	require.Contains(t, browser.Get(t, page, chromedp.Title()), "Mèsi")
	// Another visitor's page view, made later, has come: so would hers have.
	chromium.Page(t).Run(t, chromedp.Navigate(w.shop+"/"))
	w.eventually(t, `["/"]`, `select json_agg(path)::text from page_views`)
	w.eventually(t, `[1, 0, 0]`, `select json_build_array((select count(*) from website_visitors), (select count(*) from contacts), (select count(*) from conversion_events))::text`)
}
