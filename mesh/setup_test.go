package mesh_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/engardehq/madansara/mesh"
	"github.com/engardehq/madansara/mesh/meshtest"
)

const (
	secret = "a secret of the mesh, long enough"
	tenant = "0198f4a2-0000-7000-8000-000000000001"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bundle is a mesh whose peer Onside runs on real loopback addresses and
// verifies every call.
type bundle struct {
	*mesh.Mesh

	cluster *meshtest.Cluster
	metrics *prometheus.Registry
	log     *logged
}

// logged collects what is logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// setup starts replicas that all answer with handler.
func setup(t *testing.T, replicas int, handler http.HandlerFunc, change func(*mesh.Config)) *bundle {
	t.Helper()
	return setupEach(t, replicas, func(int) http.Handler { return handler }, change)
}

func setupEach(t *testing.T, replicas int, handler func(replica int) http.Handler, change func(*mesh.Config)) *bundle {
	t.Helper()
	b := &bundle{metrics: prometheus.NewRegistry(), log: &logged{}}
	config := mesh.Config{
		Service: mesh.MadanSara, Secrets: []string{secret}, Timeout: 5 * time.Second,
		HealthEvery: -1, ResolveEvery: time.Hour, Registerer: b.metrics, Logger: slog.New(slog.NewTextHandler(b.log, nil)),
		Retry: mesh.Retry{Base: time.Millisecond},
	}
	if change != nil {
		change(&config)
	}
	server, err := mesh.NewServer(mesh.ServerConfig{Service: mesh.Onside, Secrets: []string{secret}, Clock: config.Clock, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	b.cluster = meshtest.NewCluster(t, replicas, func(replica int) http.Handler {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
			_, err := io.WriteString(w, `{"status":"degraded","service":"onside","version":"1.2.3","components":{"database":{"status":"healthy"}}}`)
			if err != nil {
				t.Log(err)
			}
		})
		mux.Handle("/", server(handler(replica)))
		return mux
	})
	if config.Peers == nil {
		config.Peers = map[string]string{mesh.Onside: b.cluster.URL()}
	}
	if config.Resolver == nil {
		config.Resolver = b.cluster
	}
	b.Mesh, err = mesh.New(config)
	require.NoError(t, err)
	t.Cleanup(b.Close)
	return b
}

func (b *bundle) get(t *testing.T) error {
	t.Helper()
	return b.Peer(mesh.Onside).Call(t.Context(), mesh.Call{Name: "test.get", Path: "/"}, nil)
}

func (b *bundle) post(t *testing.T, key string) error {
	t.Helper()
	return b.Peer(mesh.Onside).Call(t.Context(), mesh.Call{Name: "test.post", Method: http.MethodPost, Path: "/", IdempotencyKey: key, In: map[string]int{"n": 1}}, nil)
}

// count sums a counter over the labels that are not given.
func (b *bundle) count(t *testing.T, name string, labels map[string]string) int {
	t.Helper()
	families, err := b.metrics.Gather()
	require.NoError(t, err)
	total := 0.0
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
	series:
		for _, m := range family.GetMetric() {
			got := map[string]string{}
			for _, l := range m.GetLabel() {
				got[l.GetName()] = l.GetValue()
			}
			for k, v := range labels {
				if got[k] != v {
					continue series
				}
			}
			total += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return int(total)
}

func ok(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]string{"says": "hello"})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		panic(http.ErrAbortHandler) // the caller is gone
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// hang answers when the test or the caller ends.
func hang(t *testing.T) http.HandlerFunc {
	t.Helper()
	return func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-t.Context().Done():
		}
	}
}

func failure(t *testing.T, err error) *mesh.Error {
	t.Helper()
	var failure *mesh.Error
	require.ErrorAs(t, err, &failure)
	require.ErrorIs(t, err, failure.Kind)
	return failure
}
