package fact_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/core/fact"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/mesh"
	"github.com/engardehq/madansara/mesh/idempotency"
	"github.com/engardehq/madansara/mesh/signature"
)

const secret = "a secret of the mesh that is long enough"

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// bundle is Core's receiver on a server, a peer that calls it over the mesh, and
// a tenant's API key.
type bundle struct {
	url    string // of the database
	tenant uuid.UUID
	facts  *fact.Service
	server *httptest.Server
	key    string // with every scope
	narrow string // without any of sync
	// forget makes the server forget which requests it has answered.
	forget func()
}

func setup(t *testing.T) *bundle {
	t.Helper()
	url, db := dbtest.App(t, "engarde_core_app")
	clock := clockwork.NewFakeClockAt(now)
	b := &bundle{url: url, facts: fact.New(db, clock)}
	accounts := account.New(db, clock)
	var err error
	b.tenant, err = accounts.CreateTenant(t.Context(), account.Tenant{Name: "Ti Machann"})
	require.NoError(t, err)
	b.key, _, err = accounts.CreateKey(t.Context(), b.tenant, account.NewKey{Kind: account.SecretKey, Name: "all", Scopes: []string{"*"}})
	require.NoError(t, err)
	b.narrow, _, err = accounts.CreateKey(t.Context(), b.tenant, account.NewKey{Kind: account.SecretKey, Name: "other", Scopes: []string{"contacts:read"}})
	require.NoError(t, err)

	router := httpkit.NewRouter(httpkit.RouterConfig{Title: "Core", Version: "1", Authenticator: accounts, Logger: slog.New(slog.DiscardHandler)})
	b.facts.Register(router.API())
	handler := router.Handler()
	guard, err := mesh.NewServer(mesh.ServerConfig{Service: mesh.Core, Secrets: []string{secret}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	var once atomic.Pointer[http.Handler]
	b.forget = func() {
		remembering := idempotency.Middleware(idempotency.Config{Store: idempotency.NewMemory(1000, clock)})(asPeer(handler))
		guarded := guard(remembering)
		once.Store(&guarded)
	}
	b.forget()
	b.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if signature.Signed(r) {
			(*once.Load()).ServeHTTP(w, r)
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
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		principal := httpkit.Principal{Tenant: tenant, ID: "service " + identity.Source, Name: identity.Source, Scopes: []string{"*"}}
		next.ServeHTTP(w, r.WithContext(httpkit.WithPrincipal(r.Context(), principal)))
	})
}

// peer returns the sync of a service that calls Core.
func (b *bundle) peer(t *testing.T, service string) mesh.Sync {
	t.Helper()
	m, err := mesh.New(mesh.Config{
		Service: service, Secrets: []string{secret}, Peers: map[string]string{mesh.Core: b.server.URL}, HealthEvery: -1,
		Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(m.Close)
	return m.Sync()
}

func (b *bundle) conversion(customer string, sequence int64) mesh.SyncFact {
	return mesh.SyncFact{
		ID: uuid.NewString(), DataType: "conversion", TenantUUID: b.tenant.String(), Source: mesh.MadanSara,
		Data: json.RawMessage(`{"order":"7","revenue":19.90}`), Timestamp: now.Add(-time.Hour), CustomerID: customer, Sequence: sequence,
	}
}

type answer struct {
	status int
	body   string
}

func (a answer) read(t *testing.T, into any) {
	t.Helper()
	require.Equal(t, http.StatusOK, a.status, a.body)
	require.NoError(t, json.Unmarshal([]byte(a.body), into))
}

// send makes a request with an API key, and an idempotency key unless that is "".
func (b *bundle) send(t *testing.T, token, method, path, key, body string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, b.server.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := b.server.Client().Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return answer{response.StatusCode, string(text)}
}

func (b *bundle) get(t *testing.T, path string, into any) {
	t.Helper()
	b.send(t, b.key, http.MethodGet, path, "", "").read(t, into)
}
