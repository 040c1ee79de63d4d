package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/app"
	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/mesh"
	"github.com/engardehq/madansara/mesh/signature"
)

// TestServicesCallWhatTheyNeed has each service call every operation of every other.
// Those it needs let it in, whatever they then say of an empty request; all others refuse it.
func TestServicesCallWhatTheyNeed(t *testing.T) {
	t.Parallel()
	memory := []string{"store-memory", "store-memories", "retrieve-memories", "agent-context", "memory-feedback"}
	needed := map[string]map[string][]string{
		mesh.Core:      {"*": {"sync-fact", "read-credentials"}},
		mesh.Onside:    {"*": {"analyze-page"}},
		mesh.Sankore:   {"*": {"campaign-intelligence"}},
		mesh.MadanSara: {"*": append([]string{"customer-insights"}, memory...), mesh.Sankore: {"campaign-conversions"}},
	}
	databaseURL := dbtest.URL(t)
	for id, of := range needed {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			service := startService(t, id, databaseURL, "API_RATE_LIMIT", "0")
			tenant := uuid.Must(uuid.NewV7())
			operations := operationsOf(t, service)
			for _, caller := range []string{mesh.Core, mesh.Onside, mesh.Sankore, mesh.MadanSara, "walker-farm"} {
				let := map[string]bool{}
				if caller != "walker-farm" {
					for _, operation := range append(of["*"], of[caller]...) {
						let[operation] = true
						require.Contains(t, operations, operation, "it is one of the service")
					}
				}
				if caller == id {
					continue // nobody calls himself
				}
				for operation, at := range operations {
					status := callAs(t, service, id, caller, tenant, at)
					if let[operation] {
						require.NotContains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, status, "%s calls %s", caller, operation)
					} else {
						require.Equal(t, http.StatusForbidden, status, "%s calls %s", caller, operation)
					}
				}
			}
		})
	}
}

// TestAServiceDoesNoHarmOverTheMesh names what must never be let in.
func TestAServiceDoesNoHarmOverTheMesh(t *testing.T) {
	t.Parallel()
	service := startService(t, mesh.MadanSara, dbtest.URL(t))
	tenant, err := service.Accounts().CreateTenant(t.Context(), account.Tenant{Name: "Shop"})
	require.NoError(t, err)
	operations := operationsOf(t, service)
	for _, harm := range []string{"erase-subject", "forget-memory", "export-memories", "import-memories", "create-campaign", "start-campaign", "track-conversion"} {
		require.Contains(t, operations, harm)
		require.Equal(t, http.StatusForbidden, callAs(t, service, mesh.MadanSara, mesh.Sankore, tenant, operations[harm]), harm)
	}
}

type place struct{ method, path string }

// body is an empty one; ingest reads an event before it asks whose it is.
func (p place) body() string {
	switch {
	case p.path == "/v1/batch":
		return `{"batch":[{"type":"track","event":"x","anonymousId":"a","messageId":"m"}]}`
	case strings.HasPrefix(p.path, "/v1/"):
		return `{"event":"x","name":"x","anonymousId":"a","userId":"u","messageId":"m"}`
	}
	return "{}"
}

// operationsOf are a service's operations that ask for somebody, by id.
func operationsOf(t *testing.T, service *app.App) map[string]place {
	t.Helper()
	_, body := get(t, service, "/openapi.json")
	var document struct {
		Paths map[string]map[string]struct {
			ID       string           `json:"operationId"`
			Security []map[string]any `json:"security"`
		} `json:"paths"`
	}
	require.NoError(t, json.Unmarshal(body, &document))
	operations := map[string]place{}
	for path, methods := range document.Paths {
		for method, operation := range methods {
			if len(operation.Security) > 0 {
				operations[operation.ID] = place{strings.ToUpper(method), path}
			}
		}
	}
	require.NotEmpty(t, operations)
	return operations
}

// callAs sends a signed request without a body that is any good.
func callAs(t *testing.T, service *app.App, id, caller string, tenant uuid.UUID, to place) int {
	t.Helper()
	keys, err := signature.NewKeys(meshSecret)
	require.NoError(t, err)
	signer, err := signature.NewSigner(signature.SignerConfig{Keys: keys, Service: caller})
	require.NoError(t, err)
	provider := map[string]string{mesh.Onside: "google_search_console", mesh.Sankore: "google_ads"}[caller]
	if provider == "" {
		provider = "smtp"
	}
	path := strings.NewReplacer("{provider}", provider, "{data_type}", "conversion", "{", "", "}", "").Replace(to.path)
	var body io.Reader
	if to.method != http.MethodGet {
		body = strings.NewReader(to.body())
	}
	r := httptest.NewRequestWithContext(t.Context(), to.method, path, body)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(signature.HeaderTenant, tenant.String())
	require.NoError(t, signer.Sign(r, id))
	w := httptest.NewRecorder()
	service.Handler().ServeHTTP(w, r)
	return w.Code
}
