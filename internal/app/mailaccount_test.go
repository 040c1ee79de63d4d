package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/app"
	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/madansara/outreach/mailaccount/smtptest"
	"github.com/engardehq/madansara/internal/telemetry"
	"github.com/engardehq/madansara/mesh"
)

// mailing is Core and Madan Sara on one database, the installation's mail server, and one
// at which the company has an account.
type mailing struct {
	databaseURL  string
	core         *app.App
	coreURL      string
	coreIsAway   atomic.Bool
	madanSara    *app.App
	installation *smtptest.Server
	provider     *smtptest.Server
	logged       *written
	people       int
}

// written gathers what both services log.
type written struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *written) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *written) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func setupMailing(t *testing.T) *mailing {
	t.Helper()
	m := &mailing{
		databaseURL: dbtest.URL(t), logged: &written{},
		installation: smtptest.New(t, smtptest.None), provider: smtptest.New(t, smtptest.None),
	}
	m.installation.Open()
	m.core = m.service(t, mesh.Core)
	handler := m.core.Handler()
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m.coreIsAway.Load() {
			panic(http.ErrAbortHandler) // the connection breaks
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	m.coreURL = front.URL
	m.madanSara = m.serve(t)
	return m
}

func (m *mailing) service(t *testing.T, id string) *app.App {
	t.Helper()
	opts := options(t, m.databaseURL,
		"ALLOW_LOOPBACK_URLS", "true", "ENGARDE_CORE_URL", m.coreURL, "DB_MAX_OVERFLOW", "10",
		"SMTP_HOST", m.installation.Host, "SMTP_PORT", m.installation.Port, "SMTP_TLS", "none", "SMTP_FROM", "The Platform <mail@platform.example>")
	observed, err := telemetry.Start(t.Context(), telemetry.Options{Service: id, Version: "test", Level: "debug", Output: m.logged})
	require.NoError(t, err)
	opts.Service, opts.Telemetry = id, observed
	service, err := app.New(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, service.Close(context.WithoutCancel(t.Context()))) })
	return service
}

// serve starts a Madan Sara that remembers nothing and works its jobs until the test ends.
func (m *mailing) serve(t *testing.T) *app.App {
	t.Helper()
	service := m.service(t, mesh.MadanSara)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	go func() { served <- service.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-served)
	})
	return service
}

// company is a tenant with a key that may do everything, a template and everybody.
type company struct {
	tenant                 uuid.UUID
	key, segment, template string
}

func (m *mailing) company(t *testing.T, name string) company {
	t.Helper()
	tenant, err := m.madanSara.Accounts().CreateTenant(t.Context(), account.Tenant{Name: name})
	require.NoError(t, err)
	c := company{tenant: tenant, key: key(t, m.madanSara, tenant, "*")}
	c.segment, _ = m.call(t, m.madanSara, c, http.MethodPost, "/api/v1/segments", `{"name":"All","rules":{"created":{"after":"2000-01-01T00:00:00Z"}}}`, 201)["segment_uuid"].(string)
	c.template, _ = m.call(t, m.madanSara, c, http.MethodPost, "/api/v1/outreach/templates",
		`{"name":"T","channel":"email","subject":"Hello","body_html":"<p>Hi <a href=\"{{ unsubscribe_url }}\">no more</a></p>","body_text":""}`, 201)["template_uuid"].(string)
	return c
}

func (m *mailing) call(t *testing.T, service *app.App, c company, method, path, body string, wanted int) map[string]any {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+c.key)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	service.Handler().ServeHTTP(w, r)
	raw, err := io.ReadAll(w.Body)
	require.NoError(t, err)
	require.Equal(t, wanted, w.Code, "%s %s: %s", method, path, raw)
	answer := map[string]any{}
	require.NoError(t, json.Unmarshal(raw, &answer), string(raw))
	return answer
}

// campaign starts a campaign to one more person, and returns its id and their address.
func (m *mailing) campaign(t *testing.T, c company) (id, address string) {
	t.Helper()
	m.people++
	address = fmt.Sprintf("person%d@customer.example", m.people)
	contact := uuid.Must(uuid.NewV7())
	require.NoError(t, dbtest.Pool(t, m.databaseURL, "madan_sara_app").Tenant(t.Context(), c.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO contacts (tenant_uuid, contact_uuid, email, first_name, created_at, updated_at) VALUES ($1, $2, $3, 'Ti', now(), now())`, c.tenant, contact, address)
		require.NoError(t, err)
		_, err = tx.Exec(ctx, `INSERT INTO consents (tenant_uuid, contact_uuid, channel, status, source, recorded_at) VALUES ($1, $2, 'email', 'granted', 'test', now())`, c.tenant, contact)
		return err
	}))
	id, _ = m.call(t, m.madanSara, c, http.MethodPost, "/api/v1/outreach/campaigns",
		fmt.Sprintf(`{"name":"Spring","segment_uuid":%q,"template_uuid":%q}`, c.segment, c.template), 201)["campaign_uuid"].(string)
	m.start(t, c, id)
	return id, address
}

func (m *mailing) start(t *testing.T, c company, campaign string) {
	t.Helper()
	m.call(t, m.madanSara, c, http.MethodPost, "/api/v1/outreach/campaigns/"+campaign+"/start", "", 200)
}

// await waits until the campaign has a status and returns why it is paused.
func (m *mailing) await(t *testing.T, c company, campaign, status string) string {
	t.Helper()
	var now map[string]any
	require.Eventually(t, func() bool {
		now = m.call(t, m.madanSara, c, http.MethodGet, "/api/v1/outreach/campaigns/"+campaign, "", 200)
		return now["status"] == status
	}, 3*time.Minute, 50*time.Millisecond, "%v", now)
	reason, _ := now["pause_reason"].(string)
	return reason
}

// enter adds the company's account to Core, and returns the integration's path.
func (m *mailing) enter(t *testing.T, c company, user, password string) string {
	t.Helper()
	made := m.call(t, m.core, c, http.MethodPost, "/api/v1/integrations", fmt.Sprintf(
		`{"provider":"smtp","settings":{"host":%q,"port":%q,"tls":"none","username":%q,"from_email":"%s@shop.example","from_name":"The Shop"},"credentials":{"password":%q}}`,
		m.provider.Host, m.provider.Port, user, user, password), 201)
	return "/api/v1/integrations/" + made["integration_uuid"].(string)
}

// last is who had logged in to send to an address, and from whom the mail is.
func last(t *testing.T, server *smtptest.Server, address string) (user, from string) {
	t.Helper()
	for _, mail := range server.Mails() {
		if mail.To == address {
			return mail.User, mail.From
		}
	}
	t.Fatalf("nothing was sent to %s", address)
	return "", ""
}

// TestAMailLeavesByTheCompanysAccount enters accounts in Core and sees by which server
// each company's campaign leaves: over real HTTP, signed, and real SMTP.
func TestAMailLeavesByTheCompanysAccount(t *testing.T) {
	t.Parallel()
	m := setupMailing(t)
	marie, without := m.company(t, "Marie's"), m.company(t, "Without")

	campaign, address := m.campaign(t, marie)
	m.await(t, marie, campaign, "finished")
	_, from := last(t, m.installation, address)
	require.Equal(t, "mail@platform.example", from, "without an integration")

	passwords := []string{"correct horse battery", "staple and so on", "hunter2hunter2"}
	m.provider.Account("marie", passwords[0])
	path := m.enter(t, marie, "marie", passwords[0])
	campaign, address = m.campaign(t, marie)
	m.await(t, marie, campaign, "finished")
	user, from := last(t, m.provider, address)
	require.Equal(t, "marie", user)
	require.Equal(t, "marie@shop.example", from, "what was entered a moment before the start counts")

	campaign, address = m.campaign(t, without)
	m.await(t, without, campaign, "finished")
	last(t, m.installation, address)

	const accountPath = "/api/v1/outreach/mail-account"
	require.Equal(t, map[string]any{"own": true, "from_email": "marie@shop.example", "from_name": "The Shop", "problem": ""},
		m.call(t, m.madanSara, marie, http.MethodPost, accountPath+"/check", "", 200))
	require.Equal(t, map[string]any{"own": false, "from_email": "mail@platform.example", "from_name": "The Platform", "problem": ""},
		m.call(t, m.madanSara, without, http.MethodGet, accountPath, "", 200))

	// The password is changed at the provider, and not yet in Core.
	m.provider.Account("marie", passwords[1])
	require.Contains(t, m.call(t, m.madanSara, marie, http.MethodPost, accountPath+"/check", "", 200)["problem"], "refused the log-in")
	campaign, address = m.campaign(t, marie)
	reason := m.await(t, marie, campaign, "paused")
	require.Contains(t, reason, "refused the log-in of the company's SMTP integration “default” ("+m.provider.Host+"): enter its user name and password anew")
	m.call(t, m.core, marie, http.MethodPatch, path, `{"credentials":{"password":"`+passwords[1]+`"}}`, 200)
	m.start(t, marie, campaign)
	m.await(t, marie, campaign, "finished")
	last(t, m.provider, address)

	// Core is away: what is known goes on.
	m.coreIsAway.Store(true)
	campaign, address = m.campaign(t, marie)
	m.await(t, marie, campaign, "finished")
	last(t, m.provider, address)

	require.Len(t, m.installation.Mails(), 2)
	for _, mail := range m.provider.Mails() {
		require.Equal(t, "marie", mail.User)
	}
	m.requireSecrecy(t, passwords...)
}

// requireSecrecy looks for secrets in what was logged and in Madan Sara's tables.
func (m *mailing) requireSecrecy(t *testing.T, secrets ...string) {
	t.Helper()
	var rows string
	require.NoError(t, dbtest.Pool(t, m.databaseURL, "").Pool().QueryRow(t.Context(),
		`SELECT coalesce((SELECT string_agg(m::text, ' ') FROM outreach_messages m), '') || coalesce((SELECT string_agg(c::text, ' ') FROM outreach_campaigns c), '')
			|| coalesce((SELECT string_agg(j::text, ' ') FROM river.river_job j), '')`).Scan(&rows))
	require.NotEmpty(t, rows)
	for _, secret := range secrets {
		require.NotContains(t, m.logged.String(), secret)
		require.NotContains(t, rows, secret)
	}
	require.Contains(t, m.logged.String(), "campaign paused", "it was logged")
}

// TestAMailWaitsForCore: a Madan Sara that has just started knows nobody's account, and
// Core cannot be asked.
func TestAMailWaitsForCore(t *testing.T) {
	t.Parallel()
	m := setupMailing(t)
	marie := m.company(t, "Marie's")
	m.provider.Account("marie", "correct horse battery")
	m.enter(t, marie, "marie", "correct horse battery")
	m.coreIsAway.Store(true)
	campaign, address := m.campaign(t, marie)
	require.Eventually(t, func() bool {
		list := m.call(t, m.madanSara, marie, http.MethodGet, "/api/v1/outreach/messages?status=queued&campaign_uuid="+campaign, "", 200)
		messages, _ := list["messages"].([]any)
		return len(messages) == 1 && strings.Contains(fmt.Sprint(messages[0]), "The message waits until En Garde Core can say")
	}, time.Minute, 50*time.Millisecond)
	require.Empty(t, m.await(t, marie, campaign, "running"))
	require.Empty(t, append(m.installation.Mails(), m.provider.Mails()...))
	m.coreIsAway.Store(false)
	m.await(t, marie, campaign, "finished")
	last(t, m.provider, address)
	require.Empty(t, m.installation.Mails(), "never in the platform's name")
}
