package mailaccount_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
	"github.com/engardehq/madansara/internal/madansara/outreach/mailaccount"
	"github.com/engardehq/madansara/internal/madansara/outreach/mailaccount/smtptest"
	"github.com/engardehq/madansara/internal/ssrf"
	"github.com/engardehq/madansara/mesh"
	"github.com/engardehq/madansara/mesh/breaker"
	"github.com/engardehq/madansara/mesh/signature"
)

const (
	meshSecret = "a secret of the mesh that is long enough"
	password   = "correct horse battery staple"
)

// core answers as Core does about credentials, over HTTP and signed.
type core struct {
	mu      sync.Mutex
	tenants map[string]mesh.IntegrationCredentials
	away    bool
	wrong   http.HandlerFunc // answers in Core's place
	asked   int
}

func (c *core) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	switch {
	case c.away:
		http.Error(w, "away", http.StatusServiceUnavailable)
		return
	case c.wrong != nil:
		c.wrong(w, r)
		return
	}
	identity, _ := signature.From(r.Context())
	found, is := c.tenants[identity.Tenant]
	if !is || r.URL.Path != "/api/v1/integrations/credentials/smtp" {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"status":404,"code":"not_found","errors":[{"location":"path.provider","message":"none"}]}`)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(found)
}

func (c *core) change(fn func(c *core)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fn(c)
}

func (c *core) calls() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

// bundle is a Core, a tenant's mail server, and the accounts of one process.
type bundle struct {
	core     *core
	clock    *clockwork.FakeClock
	server   *smtptest.Server
	accounts *mailaccount.Accounts
	tenant   uuid.UUID
	logged   *bytes.Buffer
	version  int
}

func setup(t *testing.T, change ...func(c *mailaccount.Config)) *bundle {
	t.Helper()
	b := &bundle{
		core: &core{tenants: map[string]mesh.IntegrationCredentials{}}, tenant: uuid.New(), logged: &bytes.Buffer{},
		clock: clockwork.NewFakeClockAt(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), server: smtptest.New(t, smtptest.StartTLS),
	}
	guard, err := mesh.NewServer(mesh.ServerConfig{Service: mesh.Core, Secrets: []string{meshSecret}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	front := httptest.NewServer(guard(b.core))
	t.Cleanup(front.Close)
	m, err := mesh.New(mesh.Config{
		Service: mesh.MadanSara, Secrets: []string{meshSecret}, Peers: map[string]string{mesh.Core: front.URL}, HealthEvery: -1, Logger: slog.New(slog.DiscardHandler),
		Breaker: breaker.Config{Consecutive: 1000}, // Core is back when it is
	})
	require.NoError(t, err)
	t.Cleanup(m.Close)
	cfg := mailaccount.Config{
		Credentials: m.Credentials(), Guard: ssrf.Guard{AllowLoopback: true}, Domain: "mail.example.com", Clock: b.clock,
		Logger: slog.New(slog.NewTextHandler(&locked{to: b.logged}, &slog.HandlerOptions{Level: slog.LevelDebug})),
		TLS:    &tls.Config{RootCAs: b.server.Roots, MinVersion: tls.VersionTLS12},
	}
	for _, fn := range change {
		fn(&cfg)
	}
	b.accounts = mailaccount.New(cfg)
	b.server.Account("marie", password)
	return b
}

type locked struct {
	mu sync.Mutex
	to io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Write(p)
}

// enter gives the tenant an integration, or another one, in Core.
func (b *bundle) enter(tenant uuid.UUID, user, password string, settings ...string) {
	b.core.change(func(c *core) {
		b.version++
		entered := mesh.IntegrationCredentials{
			IntegrationID: tenant.String(), Provider: "smtp", Name: "default", UpdatedAt: b.clock.Now().Add(time.Duration(b.version)),
			Settings:    map[string]string{"host": b.server.Host, "port": b.server.Port, "username": user, "from_email": user + "@shop.example", "from_name": "Kafe Lakay"},
			Credentials: map[string]string{"password": password},
		}
		for i := 0; i < len(settings); i += 2 {
			entered.Settings[settings[i]] = settings[i+1]
		}
		c.tenants[tenant.String()] = entered
	})
}

func (b *bundle) own(t *testing.T) (*channel.Account, error) {
	t.Helper()
	return b.accounts.Own(t.Context(), b.tenant, "email", time.Time{})
}

func (b *bundle) must(t *testing.T) *channel.Account {
	t.Helper()
	account, err := b.own(t)
	require.NoError(t, err)
	require.NotNil(t, account)
	return account
}

// entered are integrations without a Core around them.
type entered struct {
	by   map[string]mesh.IntegrationCredentials
	away bool
}

func (e *entered) Integration(_ context.Context, tenant, _, _ string) (*mesh.IntegrationCredentials, error) {
	found, is := e.by[tenant]
	switch {
	case e.away:
		return nil, &mesh.Error{Kind: mesh.ErrUnreachable}
	case !is:
		return nil, mesh.ErrNoIntegration
	}
	return &found, nil
}
