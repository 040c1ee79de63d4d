package tracking_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/internal/madansara/outbox"
	"github.com/engardehq/madansara/internal/madansara/outreach/tracking"
)

// bundle is a message that was sent, and the service that answers its links.
type bundle struct {
	db              *engardedb.DB
	clock           *clockwork.FakeClock
	tenant, message uuid.UUID
	contact         uuid.UUID
	links           tracking.Links
	signer          *tracking.Signer
	client          *http.Client
}

func setup(t *testing.T) *bundle {
	t.Helper()
	dbURL, db := dbtest.App(t, "madan_sara_app")
	b := &bundle{
		db: db, tenant: dbtest.Tenant(t, dbURL), message: uuid.Must(uuid.NewV7()), contact: uuid.Must(uuid.NewV7()),
		clock: clockwork.NewFakeClockAt(time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)),
	}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	var err error
	b.signer, err = tracking.NewSigner([]byte("0123456789abcdef0123456789abcdef"), server.URL)
	require.NoError(t, err)
	queue, err := jobs.New(db, jobs.Config{})
	require.NoError(t, err)
	tracking.New(db, b.signer, outbox.New(db, queue, b.clock), b.clock).Routes(mux)
	b.links = b.signer.Message(b.tenant, b.message)
	b.client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	b.insert(t)
	return b
}

func (b *bundle) insert(t *testing.T) {
	t.Helper()
	segment, template, campaign := uuid.New(), uuid.New(), uuid.New()
	require.NoError(t, b.db.Tenant(t.Context(), b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		for _, statement := range []struct {
			sql  string
			args []any
		}{
			{"INSERT INTO contacts (tenant_uuid, contact_uuid, email, created_at, updated_at) VALUES ($1, $2, 'marie@example.com', now(), now())", []any{b.tenant, b.contact}},
			{"INSERT INTO segments (tenant_uuid, segment_uuid, name, rules, created_at, updated_at) VALUES ($1, $2, 's', '{}', now(), now())", []any{b.tenant, segment}},
			{"INSERT INTO channel_templates (tenant_uuid, template_uuid, channel, name, subject, body_html, body_text, created_at, updated_at) VALUES ($1, $2, 'email', 't', 's', 'h', '', now(), now())", []any{b.tenant, template}},
			{"INSERT INTO outreach_campaigns (tenant_uuid, campaign_uuid, name, channel, segment_uuid, template_uuid, status, created_at, updated_at) VALUES ($1, $2, 'Spring <Sale>', 'email', $3, $4, 'running', now(), now())", []any{b.tenant, campaign, segment, template}},
			{"INSERT INTO outreach_messages (tenant_uuid, message_uuid, campaign_uuid, contact_uuid, template_uuid, channel, address, status, not_before, created_at) VALUES ($1, $2, $3, $4, $5, 'email', 'Marie@Example.com', 'sent', now(), now())", []any{b.tenant, b.message, campaign, b.contact, template}},
			{"INSERT INTO consents (tenant_uuid, contact_uuid, channel, status, source, recorded_at) VALUES ($1, $2, 'email', 'granted', 'form', now())", []any{b.tenant, b.contact}},
		} {
			if _, err := tx.Exec(ctx, statement.sql, statement.args...); err != nil {
				return fmt.Errorf("%s: %w", statement.sql, err)
			}
		}
		return nil
	}))
}

// value reads one value of the tenant's.
func value[T any](t *testing.T, b *bundle, sql string) T {
	t.Helper()
	var v T
	require.NoError(t, b.db.TenantRead(t.Context(), b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		return tx.QueryRow(ctx, sql).Scan(&v)
	}))
	return v
}

func (b *bundle) do(t *testing.T, method, link, form string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, link, strings.NewReader(form))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := b.client.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(body)
}

func TestOpen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 2 {
		res, body := b.do(t, "GET", b.links.Open(), "")
		require.Equal(t, 200, res.StatusCode)
		require.Equal(t, "image/gif", res.Header.Get("Content-Type"))
		require.Equal(t, "no-store", res.Header.Get("Cache-Control"))
		require.True(t, strings.HasPrefix(body, "GIF89a"))
		b.clock.Advance(time.Hour)
	}
	b.do(t, "HEAD", b.links.Open(), "")
	require.Equal(t, 2, value[int](t, b, "SELECT open_count FROM outreach_messages"))
	require.Equal(t, time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC), value[time.Time](t, b, "SELECT first_opened_at FROM outreach_messages").UTC())
	require.Zero(t, value[int](t, b, "SELECT count(*) FROM customer_touchpoints"))
}

func TestClickLeadsOnAndCountsOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	link := b.links.Click("https://shop.example/cart?x=1#top")
	b.do(t, "HEAD", link, "")
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			res, _ := b.do(t, "GET", link, "")
			require.Equal(t, 302, res.StatusCode)
			to, err := url.Parse(res.Header.Get("Location"))
			require.NoError(t, err)
			require.Equal(t, "shop.example", to.Host)
			require.Equal(t, "top", to.Fragment)
			require.Equal(t, url.Values{
				"x": {"1"}, "ms_message": {b.message.String()}, "utm_source": {"madansara"}, "utm_medium": {"email"}, "utm_campaign": {"spring-sale"},
			}, to.Query())
		})
	}
	all.Wait()
	require.Equal(t, 5, value[int](t, b, "SELECT click_count FROM outreach_messages"))
	require.Equal(t, 1, value[int](t, b, "SELECT count(*) FROM customer_touchpoints"))
	require.Equal(t, "message_click|email|madansara|email|spring-sale|message:"+b.message.String()+"|"+b.contact.String()+"|2026-05-06 07:08:09", value[string](t, b,
		`SELECT concat_ws('|', kind, channel, source, medium, campaign, source_key, contact_uuid, to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')) FROM customer_touchpoints`))
}

func TestUnsubscribePageChangesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	res, page := b.do(t, "GET", b.links.Unsubscribe(), "")
	require.Equal(t, 200, res.StatusCode)
	require.Contains(t, page, "M•••@Example.com")
	require.NotContains(t, page, "Marie@")
	require.Contains(t, page, `<form method="post">`)
	require.Contains(t, res.Header.Get("Content-Security-Policy"), "default-src 'none'")
	require.Zero(t, value[int](t, b, "SELECT count(*) FROM suppressions"))
	require.Equal(t, "granted", value[string](t, b, "SELECT status FROM consents"))
	require.True(t, value[bool](t, b, "SELECT unsubscribed_at IS NULL FROM outreach_messages"))
}

func TestOneClickUnsubscribes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, form := range []string{"List-Unsubscribe=One-Click", "", strings.Repeat("x", 1<<20), "%zz"} {
		res, page := b.do(t, "POST", b.links.Unsubscribe(), form)
		require.Equal(t, 200, res.StatusCode)
		require.Contains(t, page, "You are unsubscribed")
		b.clock.Advance(time.Hour)
	}
	require.Equal(t, "email|marie@example.com|unsubscribed", value[string](t, b, "SELECT concat_ws('|', channel, address, reason) FROM suppressions"))
	require.Equal(t, "withdrawn", value[string](t, b, "SELECT status FROM consents"))
	at := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	require.Equal(t, at, value[time.Time](t, b, "SELECT unsubscribed_at FROM outreach_messages").UTC())
	require.Equal(t, "consent|withdrawn|1", value[string](t, b, "SELECT concat_ws('|', min(data_type), min(data->>'status'), count(*)) FROM outbox_facts"), "Core is told, once")
	require.Equal(t, at, value[time.Time](t, b, "SELECT recorded_at FROM consents").UTC())
	res, page := b.do(t, "GET", b.links.Unsubscribe(), "")
	require.Equal(t, 200, res.StatusCode)
	require.Contains(t, page, "You are unsubscribed")
}

func TestForeignLinksDoNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other, err := tracking.NewSigner([]byte("another secret of this length!!!"), "https://m.example")
	require.NoError(t, err)
	base := strings.TrimSuffix(b.links.Unsubscribe(), b.links.Unsubscribe()[strings.Index(b.links.Unsubscribe(), "/u/"):])
	forged := other.Message(b.tenant, b.message)
	wrongTenant := b.signer.Message(uuid.New(), b.message)
	for _, c := range []struct {
		method, link string
		status       int
	}{
		{"GET", base + strings.TrimPrefix(forged.Click("https://evil.example"), "https://m.example"), 404},
		{"GET", base + "/t/c/https:%2F%2Fevil.example", 404},
		{"GET", b.links.Click("javascript:alert(1)"), 404},
		{"GET", b.links.Click("//evil.example"), 404},
		{"POST", base + strings.TrimPrefix(forged.Unsubscribe(), "https://m.example"), 404},
		{"GET", base + "/u/" + strings.Repeat("A", 5000), 404},
		{"GET", base + "/u/%00%ff'--<script>", 404},
		{"POST", wrongTenant.Unsubscribe(), 404},
		{"GET", wrongTenant.Unsubscribe(), 404},
		{"GET", base + "/t/o/nothing.gif", 200},
		{"GET", wrongTenant.Open(), 200},
		{"GET", wrongTenant.Click("https://shop.example/"), 302},
		{"PUT", b.links.Unsubscribe(), 405},
	} {
		res, page := b.do(t, c.method, c.link, "")
		require.Equal(t, c.status, res.StatusCode, "%s %.100s", c.method, c.link)
		require.NotContains(t, page, "<script>")
		if c.status != 302 {
			require.Empty(t, res.Header.Get("Location"))
		}
	}
	require.Equal(t, 0, value[int](t, b, "SELECT open_count + click_count FROM outreach_messages"))
	require.Zero(t, value[int](t, b, "SELECT count(*) FROM suppressions"))
	require.Zero(t, value[int](t, b, "SELECT count(*) FROM customer_touchpoints"))
}

func TestClickLeadsOnWithoutDatabase(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Close()
	res, _ := b.do(t, "GET", b.links.Click("https://shop.example/"), "")
	require.Equal(t, 302, res.StatusCode)
	res, page := b.do(t, "POST", b.links.Unsubscribe(), "")
	require.Equal(t, 503, res.StatusCode)
	require.Contains(t, page, "Nothing has changed")
	res, _ = b.do(t, "GET", b.links.Open(), "")
	require.Equal(t, 200, res.StatusCode)
}
