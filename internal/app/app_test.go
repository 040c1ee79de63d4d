package app_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/app"
	"github.com/engardehq/madansara/internal/config"
	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/migrate"
	"github.com/engardehq/madansara/internal/telemetry"
)

func options(t *testing.T, databaseURL string, environment ...string) app.Options {
	t.Helper()
	set := map[string]string{"SECRET_KEY": strings.Repeat("k", 32), "SERVICE_MESH_SECRET": strings.Repeat("m", 32), "CREDENTIALS_KEY": strings.Repeat("c5", 32), "DB_POOL_SIZE": "2", "DB_MAX_OVERFLOW": "4"}
	for _, peer := range []string{"ENGARDE_CORE_URL", "ONSIDE_URL", "MADAN_SARA_URL", "SANKORE_URL"} {
		set[peer] = "http://127.0.0.1:1" // nobody there
	}
	for i := 0; i < len(environment); i += 2 {
		set[environment[i]] = environment[i+1]
	}
	cfg, err := config.Load(set)
	require.NoError(t, err)
	observed, err := telemetry.Start(t.Context(), telemetry.Options{Service: "madan-sara", Version: "test", Level: "warn", Output: io.Discard})
	require.NoError(t, err)
	return app.Options{Config: cfg, DatabaseURL: databaseURL, Version: "test", Telemetry: observed, Clock: clockwork.NewRealClock()}
}

func start(t *testing.T, databaseURL string, environment ...string) *app.App {
	t.Helper()
	service, err := app.New(t.Context(), options(t, databaseURL, environment...))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, service.Close(context.WithoutCancel(t.Context()))) })
	return service
}

func get(t *testing.T, service *app.App, path string, header ...string) (status int, body []byte) {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	answer := httptest.NewRecorder()
	service.Handler().ServeHTTP(answer, request)
	return answer.Code, answer.Body.Bytes()
}

type health struct {
	Status     string               `json:"status"`
	Service    string               `json:"service"`
	Version    string               `json:"version"`
	Components map[string]component `json:"components"`
}

type component struct {
	Status     string             `json:"status"`
	Configured bool               `json:"configured"`
	PoolStats  map[string]float64 `json:"pool_stats"`
}

func readHealth(t *testing.T, body []byte) health {
	t.Helper()
	var h health
	require.NoError(t, json.Unmarshal(body, &h), string(body))
	return h
}

func TestHealthTellsWhatTheContractSays(t *testing.T) {
	t.Parallel()
	service := start(t, dbtest.URL(t))
	status, body := get(t, service, "/health")
	require.Equal(t, http.StatusOK, status, string(body))
	h := readHealth(t, body)
	require.Contains(t, []string{"healthy", "degraded"}, h.Status, "without its peers a service is degraded once it has asked them")
	require.Equal(t, "madan-sara", h.Service)
	require.Equal(t, "test", h.Version)
	require.Equal(t, "healthy", h.Components["database"].Status)
	pool := h.Components["database"].PoolStats
	require.InDelta(t, 2, pool["pool_size"], 0)
	require.Contains(t, pool, "overflow")
	require.LessOrEqual(t, pool["overflow"], pool["max_overflow"])
	require.Contains(t, pool, "checked_out")
	require.True(t, h.Components["zerodb"].Configured)
	for _, path := range []string{"/health/live", "/health/ready"} {
		status, _ := get(t, service, path)
		require.Equal(t, http.StatusOK, status, path)
	}
	status, body = get(t, service, "/metrics")
	require.Equal(t, http.StatusOK, status)
	for _, metric := range []string{"db_pool_size", "http_request_duration_seconds", "go_goroutines", "madansara_build_info"} {
		require.Contains(t, string(body), metric)
	}
}

func TestHealthAnswersWhenTheDatabaseIsSilent(t *testing.T) {
	t.Parallel()
	line, databaseURL := throughProxy(t, dbtest.URL(t))
	service := start(t, databaseURL)
	line.freeze()
	for path, want := range map[string]int{"/health": 503, "/health/ready": 503, "/health/live": 200} {
		started := time.Now()
		status, body := get(t, service, path)
		require.Less(t, time.Since(started), time.Second, path)
		require.Equal(t, want, status, path)
		require.NotContains(t, string(body), "127.0.0.1", "health leaks an address")
		require.NotContains(t, string(body), "postgres")
		if path == "/health" {
			h := readHealth(t, body)
			require.Equal(t, "unhealthy", h.Status)
			require.Equal(t, "unhealthy", h.Components["database"].Status)
		}
	}
	line.thaw()
	require.Eventually(t, func() bool {
		status, _ := get(t, service, "/health/ready")
		return status == http.StatusOK
	}, time.Minute, 50*time.Millisecond, "the service recovers")
}

func TestADatabaseWithoutMigrationsIsToldSo(t *testing.T) {
	t.Parallel()
	databaseURL := dbtest.URL(t)
	service := start(t, databaseURL)
	conn, err := pgx.Connect(t.Context(), databaseURL)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "delete from goose_madansara")
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	status, _ := get(t, service, "/health/ready")
	require.Equal(t, http.StatusServiceUnavailable, status)
	_, err = app.New(t.Context(), options(t, databaseURL))
	require.ErrorIs(t, err, migrate.ErrBehind)
}

// TestNoOperationFails calls every parameterless GET of the OpenAPI document in
// an empty tenant, which is what a new customer sees first.
func TestNoOperationFails(t *testing.T) {
	t.Parallel()
	service := start(t, dbtest.URL(t))
	ctx := t.Context()
	tenant, err := service.Accounts().CreateTenant(ctx, account.Tenant{Name: "New"})
	require.NoError(t, err)
	token, _, err := service.Accounts().CreateKey(ctx, tenant, account.NewKey{Kind: account.SecretKey, Name: "all", Scopes: []string{"*"}})
	require.NoError(t, err)
	_, body := get(t, service, "/openapi.json")
	var document struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	require.NoError(t, json.Unmarshal(body, &document))
	require.NotEmpty(t, document.Paths)
	for path, methods := range document.Paths {
		if _, ok := methods["get"]; !ok {
			continue
		}
		asked := path
		for strings.Contains(asked, "{") { // an id nobody has
			before, rest, _ := strings.Cut(asked, "{")
			_, after, _ := strings.Cut(rest, "}")
			asked = before + "0198c000-0000-7000-8000-000000000099" + after
		}
		status, body := get(t, service, asked, "Authorization", "Bearer "+token)
		require.Less(t, status, 500, "%s: %s", asked, body)
		if asked == path && strings.HasPrefix(path, "/api/") {
			status, _ = get(t, service, asked)
			require.Equal(t, http.StatusUnauthorized, status, "%s answers without a key", asked)
		}
	}
}

func TestServeDrainsAndStops(t *testing.T) {
	t.Parallel()
	service := start(t, dbtest.URL(t))
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- service.Serve(ctx, listener) }()
	address := "http://" + listener.Addr().String()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/health/live", nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
	cancel()
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(time.Minute):
		t.Fatal("the service does not stop")
	}
	_, err = (&net.Dialer{}).DialContext(t.Context(), "tcp", listener.Addr().String())
	require.Error(t, err, "the port is still open")
}

// proxy stands between a service and its database, and can fall silent.
type proxy struct {
	mu     sync.Mutex
	frozen chan struct{} // closed while data may pass
}

func throughProxy(t *testing.T, databaseURL string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(databaseURL)
	require.NoError(t, err)
	backend := u.Host
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{}
	p.thaw()
	var conns sync.WaitGroup
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(func() {
		p.thaw()
		cancel()
		_ = listener.Close()
		conns.Wait()
	})
	conns.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { p.join(ctx, client, backend) })
		}
	})
	u.Host = listener.Addr().String()
	return p, u.String()
}

func (p *proxy) join(ctx context.Context, client net.Conn, backend string) {
	defer func() { _ = client.Close() }()
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", backend)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = client.Close(); _ = server.Close() })
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { p.pass(server, client); _ = server.Close() })
	both.Go(func() { p.pass(client, server); _ = client.Close() })
	both.Wait()
}

func (p *proxy) pass(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		p.mu.Lock()
		open := p.frozen
		p.mu.Unlock()
		<-open
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = make(chan struct{})
}

func (p *proxy) thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen == nil {
		p.frozen = make(chan struct{})
	}
	select {
	case <-p.frozen:
	default:
		close(p.frozen)
	}
}
