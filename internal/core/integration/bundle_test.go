package integration_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/core/audit"
	"github.com/engardehq/madansara/internal/core/integration"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/mesh"
	"github.com/engardehq/madansara/mesh/signature"
)

const (
	meshSecret = "a secret of the mesh that is long enough"
	sentSecret = "a secret that travels in a header"
	oldKey     = "an old key: 32 bytes, 32 of them"
	newKey     = "the new key: 32 bytes, 32 of it!"
	apiKey     = "SG.a-very-secret-api-key.that-nobody-may-see-1234"
)

// bundle is Core on a server, a tenant's owner, and what Core logged.
type bundle struct {
	url          string // of the database
	db           *engardedb.DB
	clock        *clockwork.FakeClock
	tenant       uuid.UUID
	integrations *integration.Service
	log          *audit.Service
	server       *httptest.Server
	owner        string // an API key with every scope
	narrow       string // one that may only read
	logged       *output
}

// output gathers what is logged.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func keyring(t *testing.T, current string, previous ...string) *integration.Keyring {
	t.Helper()
	keys := [][]byte{[]byte(current)}
	for _, key := range previous {
		keys = append(keys, []byte(key))
	}
	ring, err := integration.NewKeyring(keys...)
	require.NoError(t, err)
	return ring
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{logged: &output{}, clock: clockwork.NewFakeClockAt(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))}
	b.url, b.db = dbtest.App(t, "engarde_core_app")
	logger := slog.New(slog.NewJSONHandler(b.logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	accounts := account.New(b.db, b.clock)
	b.log = audit.New(b.db)
	b.integrations = integration.New(integration.Config{DB: b.db, Keys: keyring(t, oldKey), Clock: b.clock, Logger: logger})
	b.tenant = dbtest.Tenant(t, b.url)
	key := func(scopes ...string) string {
		token, _, err := accounts.CreateKey(t.Context(), b.tenant, account.NewKey{Kind: account.SecretKey, Name: "test", Scopes: scopes})
		require.NoError(t, err)
		return token
	}
	b.owner, b.narrow = key("*"), key("integrations:read")

	router := httpkit.NewRouter(httpkit.RouterConfig{Title: "Core", Version: "1", Authenticator: accounts, Logger: logger})
	b.integrations.Register(router.API())
	handler := router.Handler()
	guard, err := mesh.NewServer(mesh.ServerConfig{Service: mesh.Core, Secrets: []string{meshSecret}, LegacySecrets: []string{sentSecret}, Logger: logger})
	require.NoError(t, err)
	signed := guard(asPeer(handler))
	b.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if signature.Signed(r) {
			signed.ServeHTTP(w, r)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(b.server.Close)
	return b
}

// asPeer makes who signed a request its principal.
func asPeer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		identity, _ := signature.From(r.Context())
		tenant, err := uuid.Parse(identity.Tenant)
		if err != nil {
			tenant, err = uuid.Parse(r.Header.Get("X-Test-Tenant")) // the legacy form names none
		}
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		principal := httpkit.Principal{Tenant: tenant, ID: "service " + identity.Source, Service: identity.Source, Name: identity.Source, Operations: []string{"read-credentials"}}
		next.ServeHTTP(w, r.WithContext(httpkit.WithPrincipal(r.Context(), principal)))
	})
}

// peer returns the calls of a service to Core.
func (b *bundle) peer(t *testing.T, service string) mesh.Credentials {
	t.Helper()
	m, err := mesh.New(mesh.Config{
		Service: service, Secrets: []string{meshSecret}, Peers: map[string]string{mesh.Core: b.server.URL}, HealthEvery: -1, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(m.Close)
	return m.Credentials()
}

type answer struct {
	status int
	body   string
}

func (b *bundle) send(t *testing.T, token, method, path, body string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, b.server.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := b.server.Client().Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return answer{response.StatusCode, string(text)}
}

func (a answer) read(t *testing.T, status int, into any) {
	t.Helper()
	require.Equal(t, status, a.status, a.body)
	require.NoError(t, json.Unmarshal([]byte(a.body), into))
}

// sendgrid adds an integration over the API.
func (b *bundle) sendgrid(t *testing.T, name string) (made integration.Integration) {
	t.Helper()
	b.send(t, b.owner, http.MethodPost, "/api/v1/integrations", `{"provider":"sendgrid","name":"`+name+`","settings":{"from_email":"a@example.com"},"credentials":{"api_key":"`+apiKey+`"}}`).
		read(t, http.StatusCreated, &made)
	return made
}
