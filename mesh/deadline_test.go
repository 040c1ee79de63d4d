package mesh_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/mesh"
	"github.com/engardehq/madansara/mesh/signature"
)

func TestTheServerHonoursTheCallersDeadline(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		header  string
		handler http.HandlerFunc
		status  int
		ran     bool
	}{
		"time enough":           {"5000", ok, http.StatusOK, true},
		"no header":             {"", ok, http.StatusOK, true},
		"none left":             {"0", ok, http.StatusGatewayTimeout, false},
		"less than none":        {"-5", ok, http.StatusGatewayTimeout, false},
		"not a number":          {"soon", ok, http.StatusBadRequest, false},
		"more than the longest": {"9223372036854775807", hangUntilDeadline, http.StatusGatewayTimeout, true},
		"runs out":              {"20", hangUntilDeadline, http.StatusGatewayTimeout, true},
		"runs out, answered": {"20", func(w http.ResponseWriter, r *http.Request) {
			hangUntilDeadline(w, r)
			w.WriteHeader(http.StatusAccepted)
		}, http.StatusAccepted, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ran, bounded := false, false
			handler := mesh.Deadlines(200 * time.Millisecond)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ran = true
				deadline, has := r.Context().Deadline()
				bounded = has && time.Until(deadline) <= 200*time.Millisecond
				c.handler(w, r)
			}))
			request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
			if c.header != "" {
				request.Header.Set(signature.HeaderTimeout, c.header)
			}
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, request)
			require.Equal(t, c.status, recorder.Code)
			require.Equal(t, c.ran, ran)
			require.Equal(t, c.ran, bounded)
		})
	}
}

func hangUntilDeadline(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
