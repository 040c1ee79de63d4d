package dashboard_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/dashboard"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/internal/madansara/attribution"
	"github.com/engardehq/madansara/internal/madansara/contact"
	"github.com/engardehq/madansara/internal/madansara/contact/segment"
	"github.com/engardehq/madansara/internal/madansara/conversion"
	"github.com/engardehq/madansara/internal/madansara/insight"
	"github.com/engardehq/madansara/internal/madansara/outreach"
	"github.com/engardehq/madansara/internal/madansara/outreach/template"
	"github.com/engardehq/madansara/internal/memory"
	"github.com/engardehq/madansara/internal/memoryjobs"
	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/zerodbtest"
)

const password = "correct horse battery staple"

// bundle is a dashboard over real HTTP and a real database, with one company
// and its owner.
type bundle struct {
	url    string // the database's, as superuser
	db     *engardedb.DB
	clock  *clockwork.FakeClock
	server *httptest.Server
	tenant uuid.UUID
	email  string
	client *http.Client
	users  *account.Service
	memory *zerodb.Client
	mail   *mailAccounts
}

func setup(t *testing.T) *bundle {
	t.Helper()
	url, db := dbtest.App(t, "madan_sara_app")
	b := &bundle{url: url, db: db, clock: clockwork.NewFakeClockAt(time.Date(2026, 11, 24, 16, 30, 0, 0, time.UTC))}
	b.users = account.New(dbtest.Pool(t, url, "engarde_core_app"), b.clock)
	queue, err := jobs.New(db, jobs.Config{})
	require.NoError(t, err)
	router := httpkit.NewRouter(httpkit.RouterConfig{Title: "Test", Version: "0", Authenticator: b.users, Logger: slog.New(slog.DiscardHandler)})
	conversions := conversion.New(db, queue, nil, nil, attribution.New(db, b.clock), b.clock)
	conversions.Register(router.API())
	b.memory, err = zerodb.New(zerodb.Config{
		Backend: zerodbtest.NewReference(), Embedder: &zerodbtest.Hashing{Dimensions: 512}, Clock: b.clock, Logger: slog.New(slog.DiscardHandler), FlushRecalls: time.Hour,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.memory.Close(context.WithoutCancel(t.Context()))) })
	kept := memoryjobs.New(db, b.clock)
	kept.UseQueue(queue)
	b.mail = &mailAccounts{}
	pages := dashboard.New(dashboard.Config{
		Memories: memory.New(b.memory, kept, b.clock, slog.New(slog.DiscardHandler)),
		DB:       db, Clock: b.clock, Accounts: b.users, Contacts: contact.New(db, contact.Followers{}, b.clock), Conversions: conversions, Segments: segment.New(db, b.clock), Templates: template.New(db, b.clock),
		Campaigns: outreach.New(db, queue, b.clock, outreach.Config{FromName: "Kafe Lakay", FromEmail: "bonjou@kafelakay.example", Accounts: b.mail}),
		Insights:  insight.New(db, queue, b.clock),
		PublicURL: "https://madansara.example.org", TrackerPath: "/tracker.js",
	})
	pages.Mount(router.Mux())
	b.server = httptest.NewServer(router.Handler())
	t.Cleanup(b.server.Close)
	b.tenant, b.email = b.company(t, "Kafe Lakay")
	b.client = b.newClient(t)
	return b
}

// company adds a tenant with an owner and returns its id and the owner's address.
func (b *bundle) company(t *testing.T, name string) (tenant uuid.UUID, email string) {
	t.Helper()
	tenant, err := b.users.CreateTenant(t.Context(), account.Tenant{Name: name, TimeZone: "UTC", Currency: "USD"})
	require.NoError(t, err)
	email = "owner-" + strings.ToLower(tenant.String()[24:]) + "@example.org"
	_, err = b.users.CreateUser(t.Context(), tenant, account.User{Email: email, Name: "Owner", Role: account.Owner, Password: password})
	require.NoError(t, err)
	return tenant, email
}

func (b *bundle) newClient(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

type reply struct {
	status int
	body   string
	header http.Header
}

func (b *bundle) get(t *testing.T, path string) reply {
	t.Helper()
	response, err := b.client.Get(b.server.URL + path)
	require.NoError(t, err)
	return read(t, response)
}

func (b *bundle) post(t *testing.T, path string, form url.Values) reply {
	t.Helper()
	response, err := b.client.PostForm(b.server.URL+path, form)
	require.NoError(t, err)
	return read(t, response)
}

func read(t *testing.T, response *http.Response) reply {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return reply{response.StatusCode, string(body), response.Header}
}

func (b *bundle) logIn(t *testing.T) *bundle {
	t.Helper()
	answer := b.post(t, "/login", url.Values{"email": {b.email}, "password": {password}})
	require.Equal(t, http.StatusSeeOther, answer.status, answer.body)
	return b
}

// shows fails when the page lacks text, without printing the page.
func (r reply) shows(t *testing.T, text string, about ...string) {
	t.Helper()
	if !strings.Contains(r.body, text) {
		t.Fatalf("the page %v lacks %q", about, text)
	}
}

func (r reply) hides(t *testing.T, text string, about ...string) {
	t.Helper()
	if strings.Contains(r.body, text) {
		t.Fatalf("the page %v has %q", about, text)
	}
}
