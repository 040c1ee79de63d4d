package telemetry_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"

	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/telemetry"
)

// These tests share OpenTelemetry's global provider, so they run one by one.

func start(t *testing.T, opts telemetry.Options) *telemetry.Telemetry {
	t.Helper()
	opts.Service, opts.Version, opts.Environment = "madan-sara", "1.2.3", "test"
	if opts.Level == "" {
		opts.Level = "info"
	}
	if opts.Output == nil {
		opts.Output = io.Discard
	}
	observed, err := telemetry.Start(t.Context(), opts)
	require.NoError(t, err)
	return observed
}

func stop(t *testing.T, observed *telemetry.Telemetry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
	defer cancel()
	require.NoError(t, observed.Stop(ctx))
}

// ask sends one request through a router whose handler calls fn.
func ask(t *testing.T, observed *telemetry.Telemetry, fn func(ctx context.Context)) {
	t.Helper()
	router := httpkit.NewRouter(httpkit.RouterConfig{Title: "T", Version: "1", Logger: observed.Logger, Observer: observed.Observe})
	router.Handle("GET /thing/{id}", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { fn(r.Context()) }))
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/thing/7", nil)
	request.Header.Set("X-Request-ID", "the-request")
	request.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	router.Handler().ServeHTTP(httptest.NewRecorder(), request)
}

func TestLogLinesCarryTheIDsOfRequestAndTrace(t *testing.T) { //nolint:paralleltest // global provider
	var out bytes.Buffer
	observed := start(t, telemetry.Options{Output: &out})
	defer stop(t, observed)
	ask(t, observed, func(ctx context.Context) {
		observed.Logger.With(slog.Int("a", 1)).InfoContext(ctx, "inside")
	})
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 2) // ours, and the access log's
	for _, line := range lines {
		var record map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &record), line)
		require.Equal(t, "the-request", record["request_id"])
		require.Equal(t, "0af7651916cd43dd8448eb211c80319c", record["trace_id"])
		require.Equal(t, "madan-sara", record["service"])
	}
}

func TestMetricsAreByRouteNotByPath(t *testing.T) { //nolint:paralleltest // global provider
	observed := start(t, telemetry.Options{})
	defer stop(t, observed)
	ask(t, observed, func(context.Context) {})
	observed.Observe("GET", "", http.StatusNotFound, time.Millisecond)
	observed.Observe("BREW", "", http.StatusMethodNotAllowed, time.Millisecond)
	answer := httptest.NewRecorder()
	observed.Metrics().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	text := answer.Body.String()
	require.Contains(t, text, `http_request_duration_seconds_count{method="GET",route="GET /thing/{id}",status="200"} 1`)
	require.Contains(t, text, `route="none",status="404"`)
	require.NotContains(t, text, "BREW", "a caller must not make labels")
	require.NotContains(t, text, "/thing/7")
	require.Contains(t, text, `madansara_build_info{service="madan-sara",version="1.2.3"} 1`)
}

// receiver is a collector that keeps what it is sent.
type receiver struct {
	mu     sync.Mutex
	paths  []string
	bodies bytes.Buffer
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	var body io.Reader = request.Body
	if request.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		body = unpacked
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paths = append(r.paths, request.URL.Path)
	_, _ = io.Copy(&r.bodies, body)
	_, _ = w.Write([]byte("{}"))
}

func TestErrorsAreReportedWithoutPeople(t *testing.T) { //nolint:paralleltest // global provider
	sentry := &receiver{}
	server := httptest.NewServer(sentry)
	defer server.Close()
	observed := start(t, telemetry.Options{SentryDSN: strings.Replace(server.URL, "://", "://key@", 1) + "/1"})
	ask(t, observed, func(ctx context.Context) {
		observed.Logger.InfoContext(ctx, "nothing is wrong")
		observed.Logger.ErrorContext(ctx, "operation failed",
			slog.String("operation", "send-mail"), slog.Any("error", errors.New("no mailbox rose@example.org here")), slog.String("address", "rose@example.org"))
	})
	stop(t, observed)
	sent := sentry.bodies.String()
	require.Contains(t, sent, "operation failed")
	require.Contains(t, sent, "send-mail")
	require.Contains(t, sent, "the-request")
	require.Contains(t, sent, "no mailbox [address] here")
	require.NotContains(t, sent, "rose@example.org")
	require.NotContains(t, sent, "nothing is wrong")
}

func TestTracesLeaveOnlyWhenTheyHaveSomewhereToGo(t *testing.T) { //nolint:paralleltest // global provider
	collector := &receiver{}
	server := httptest.NewServer(collector)
	defer server.Close()

	silent := start(t, telemetry.Options{})
	require.Nil(t, silent.QueryTracer())
	stop(t, silent)

	observed := start(t, telemetry.Options{OTLPEndpoint: server.URL})
	require.NotNil(t, observed.QueryTracer())
	_, span := otel.Tracer("test").Start(t.Context(), "a-span-of-ours")
	span.End()
	stop(t, observed)
	require.Equal(t, []string{"/v1/traces"}, collector.paths)
	require.Contains(t, collector.bodies.String(), "a-span-of-ours")
}

func TestBadOptions(t *testing.T) { //nolint:paralleltest // global provider
	_, err := telemetry.Start(t.Context(), telemetry.Options{Level: "loud"})
	require.Error(t, err)
	_, err = telemetry.Start(t.Context(), telemetry.Options{Level: "info", SentryDSN: "hunter2"})
	require.ErrorContains(t, err, "SENTRY_DSN")
	require.NotContains(t, err.Error(), "hunter2")
}
