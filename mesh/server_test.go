package mesh_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/mesh"
	"github.com/engardehq/madansara/mesh/signature"
)

// TestAFloodOfRefusalsDoesNotFloodTheLog sends what anybody can send without a secret.
func TestAFloodOfRefusalsDoesNotFloodTheLog(t *testing.T) {
	t.Parallel()
	log, metrics, clock := &logged{}, prometheus.NewRegistry(), clockwork.NewFakeClock()
	guard, err := mesh.NewServer(mesh.ServerConfig{
		Service: mesh.Onside, Secrets: []string{secret}, LegacySecrets: []string{"a secret that travels in a header"},
		Logger: slog.New(slog.NewTextHandler(log, nil)), Registerer: metrics, Clock: clock,
	})
	require.NoError(t, err)
	handler := guard(http.NotFoundHandler())
	refused := func(times int, header, value string) {
		for range times {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			if header != "" {
				r.Header.Set(header, value)
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			require.NotEqual(t, http.StatusNotFound, w.Code)
		}
	}
	refused(1000, "", "")
	require.Equal(t, 10, strings.Count(log.String(), "mesh call refused"))

	refused(1, signature.HeaderSecret, "guessed")
	require.Equal(t, 1, strings.Count(log.String(), "reason=signature_mismatch"), "one kind of refusal hides no other")

	clock.Advance(time.Second)
	refused(3, "", "")
	require.Equal(t, 12, strings.Count(log.String(), "mesh call refused"))
	require.Contains(t, log.String(), "left_out=990")

	clock.Advance(time.Hour)
	refused(1, "", "")
	require.Contains(t, log.String(), "left_out=2")
	b := &bundle{metrics: metrics}
	require.Equal(t, 1004, b.count(t, "mesh_calls_refused_total", map[string]string{"reason": "signature_missing"}), "the count leaves none out")
	require.Equal(t, 1, b.count(t, "mesh_calls_refused_total", map[string]string{"reason": "signature_mismatch"}))
}
