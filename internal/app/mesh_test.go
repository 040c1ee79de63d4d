package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/app"
	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/mesh"
	"github.com/engardehq/madansara/mesh/signature"
)

var meshSecret, legacySecret = strings.Repeat("m", 32), strings.Repeat("l", 32)

// TestEveryServiceStarts builds each service on one database, and asks it who it is.
func TestEveryServiceStarts(t *testing.T) {
	t.Parallel()
	databaseURL := dbtest.URL(t)
	for _, id := range []string{mesh.MadanSara, mesh.Core, mesh.Onside, mesh.Sankore} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			service := startService(t, id, databaseURL)
			status, body := get(t, service, "/health")
			require.Equal(t, http.StatusOK, status)
			h := readHealth(t, body)
			require.Equal(t, id, h.Service)
			require.Contains(t, string(body), `"service_mesh"`)
			for _, peer := range []string{mesh.MadanSara, mesh.Core, mesh.Onside, mesh.Sankore} {
				require.Equal(t, peer != id, strings.Contains(string(body), `"`+peer+`":{`), "%s: %s", peer, body)
			}
			require.NotContains(t, string(body), "127.0.0.1", "health names no address")
			status, body = get(t, service, "/api/v1/system/service-mesh-status")
			require.Equal(t, http.StatusOK, status)
			require.Contains(t, string(body), `"endpoints"`)
			for _, path := range []string{"/openapi.json", "/docs", "/metrics", "/health/live", "/health/ready"} {
				status, _ := get(t, service, path)
				require.Equal(t, http.StatusOK, status, path)
			}
		})
	}
}

// TestHealthyPeersMakeAHealthyService has a service ask peers that are well.
func TestHealthyPeersMakeAHealthyService(t *testing.T) {
	t.Parallel()
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"status":"degraded"}`) // by something of its own
	}))
	t.Cleanup(peer.Close)
	service := startService(t, mesh.Core, dbtest.URL(t), "ONSIDE_URL", peer.URL, "MADAN_SARA_URL", peer.URL, "SANKORE_URL", peer.URL)
	_, body := get(t, service, "/health")
	require.Equal(t, "healthy", readHealth(t, body).Status, string(body))
}

func startService(t *testing.T, id, databaseURL string, environment ...string) *app.App {
	t.Helper()
	opts := options(t, databaseURL, environment...)
	opts.Service = id
	service, err := app.New(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, service.Close(context.WithoutCancel(t.Context()))) })
	return service
}

// TestAPeerIsKnownByItsSignature calls an operation of a tenant as another service does.
func TestAPeerIsKnownByItsSignature(t *testing.T) {
	t.Parallel()
	service := startService(t, mesh.MadanSara, dbtest.URL(t), "SERVICE_MESH_ACCEPT_LEGACY", "true", "SERVICE_MESH_LEGACY_SECRET", legacySecret)
	tenant, err := service.Accounts().CreateTenant(t.Context(), account.Tenant{Name: "Shop"})
	require.NoError(t, err)
	keys, err := signature.NewKeys(meshSecret)
	require.NoError(t, err)
	signer, err := signature.NewSigner(signature.SignerConfig{Keys: keys, Service: mesh.Sankore})
	require.NoError(t, err)

	const path = "/api/v1/conversion/campaigns/spring/conversions"
	call := func(change func(*http.Request)) (int, string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		change(r)
		w := httptest.NewRecorder()
		service.Handler().ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	signed := func(tenant string) func(*http.Request) {
		return func(r *http.Request) {
			if tenant != "" {
				r.Header.Set(signature.HeaderTenant, tenant)
			}
			require.NoError(t, signer.Sign(r, mesh.MadanSara))
		}
	}
	status, body := call(signed(tenant.String()))
	require.Equal(t, http.StatusNotFound, status, body)
	require.Contains(t, body, "No visit carries", "it was let in")
	status, body = call(signed(""))
	require.Equal(t, http.StatusUnprocessableEntity, status, body)
	require.Contains(t, body, "no tenant")
	status, body = call(signed("shop"))
	require.Equal(t, http.StatusBadRequest, status, body)
	status, body = call(func(r *http.Request) {
		signed(tenant.String())(r)
		r.URL.RawQuery = "currency=EUR"
	})
	require.Equal(t, http.StatusUnauthorized, status, body)
	unsigned := func(secret string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set(signature.HeaderSecret, secret)
			r.Header.Set(signature.HeaderSource, mesh.Sankore)
			r.Header.Set(signature.HeaderTenant, tenant.String())
		}
	}
	status, body = call(unsigned(legacySecret))
	require.Equal(t, http.StatusNotFound, status, "the older form is accepted where a setting says so: %s", body)
	status, body = call(unsigned(meshSecret))
	require.Equal(t, http.StatusUnauthorized, status, "what signs is never sent: %s", body)

	// Whoever holds the mesh's secret still makes nobody an owner, and no keys.
	core := startService(t, mesh.Core, dbtest.URL(t), "SERVICE_MESH_ACCEPT_LEGACY", "true", "SERVICE_MESH_LEGACY_SECRET", legacySecret)
	for _, act := range []struct{ method, path, body string }{
		{http.MethodGet, "/api/v1/keys", ""},
		{http.MethodPost, "/api/v1/keys", `{"kind":"secret","name":"x","scopes":["*"]}`},
		{http.MethodPost, "/api/v1/users", `{"email":"x@example.com","role":"owner"}`},
		{http.MethodGet, "/api/v1/users", ""},
		{http.MethodPatch, "/api/v1/integrations/" + tenant.String(), `{"enabled":true}`},
	} {
		for _, legacy := range []bool{false, true} {
			r := httptest.NewRequestWithContext(t.Context(), act.method, act.path, strings.NewReader(act.body))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set(signature.HeaderTenant, tenant.String())
			if legacy {
				r.Header.Set(signature.HeaderSecret, legacySecret)
				r.Header.Set(signature.HeaderSource, mesh.Onside)
			} else {
				require.NoError(t, signer.Sign(r, mesh.Core))
			}
			w := httptest.NewRecorder()
			core.Handler().ServeHTTP(w, r)
			require.Equal(t, http.StatusForbidden, w.Code, "%s %s: %s", act.method, act.path, w.Body)
		}
	}

	strict := startService(t, mesh.Onside, dbtest.URL(t))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/health", nil)
	r.Header.Set(signature.HeaderSecret, legacySecret)
	r.Header.Set(signature.HeaderSource, mesh.Sankore)
	w := httptest.NewRecorder()
	strict.Handler().ServeHTTP(w, r)
	require.Equal(t, http.StatusUnauthorized, w.Code, "and nowhere else")
}

// TestTheOlderFormSpeaksForNoServiceThatSigns: its secret is not the one that signs, so
// whoever read it in a log must not become Madan Sara at Core.
func TestTheOlderFormSpeaksForNoServiceThatSigns(t *testing.T) {
	t.Parallel()
	core := startService(t, mesh.Core, dbtest.URL(t), "SERVICE_MESH_ACCEPT_LEGACY", "true", "SERVICE_MESH_LEGACY_SECRET", legacySecret,
		"SERVICE_MESH_LEGACY_SOURCES", mesh.Onside+", "+mesh.Sankore)
	tenant, err := core.Accounts().CreateTenant(t.Context(), account.Tenant{Name: "Shop"})
	require.NoError(t, err)
	for source, want := range map[string]int{
		mesh.Onside: http.StatusCreated, mesh.Sankore: http.StatusCreated, mesh.MadanSara: http.StatusForbidden, mesh.Core: http.StatusForbidden,
	} {
		body := fmt.Sprintf(`{"tenant_uuid":%q,"source":%q,"customer_id":"c1","timestamp":"2026-07-01T10:00:00Z","data":{}}`, tenant, source)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v1/sync/conversion", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set(signature.HeaderTenant, tenant.String())
		r.Header.Set(signature.HeaderSecret, legacySecret)
		r.Header.Set(signature.HeaderSource, source)
		w := httptest.NewRecorder()
		core.Handler().ServeHTTP(w, r)
		require.Equal(t, want, w.Code, "%s: %s", source, w.Body)
	}
}

// TestAddressesStayInside looks at what a deployed service tells strangers.
func TestAddressesStayInside(t *testing.T) {
	t.Parallel()
	service := startService(t, mesh.Core, dbtest.URL(t), "ENVIRONMENT", "staging", "PUBLIC_BASE_URL", "https://core.example.com")
	status, body := get(t, service, "/api/v1/system/service-mesh-status")
	require.Equal(t, http.StatusOK, status)
	require.NotContains(t, string(body), "127.0.0.1")
	var answer struct {
		Services map[string]mesh.PeerDetail `json:"services"`
	}
	require.NoError(t, json.Unmarshal(body, &answer))
	require.Len(t, answer.Services, 3)
}
