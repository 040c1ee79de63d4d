package app_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/mesh"
)

// TestHostileRequestsToPeers sends to every operation of the other services what an
// attacker would. The ids in it are nobody's; that a tenant's rows are its own is held
// by the tests of isolation, whatever the service.
func TestHostileRequestsToPeers(t *testing.T) {
	t.Parallel()
	databaseURL := dbtest.URL(t)
	for _, id := range []string{mesh.Core, mesh.Onside, mesh.Sankore} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			h := setupHostilePeer(t, id, databaseURL)
			sent := 0
			for _, path := range slices.Sorted(maps.Keys(h.document.Paths)) {
				for method, op := range h.document.Paths[path] {
					method = strings.ToUpper(method)
					if path != "/api/v1/sessions" { // where people log in
						require.NotEmpty(t, op.Security, "%s %s asks for no key", method, path)
						sent += h.attackPath(t, method, path, op)
					}
					if op.takesJSON() {
						sent += h.attackBody(t, method, path, op)
					}
				}
			}
			require.Greater(t, sent, 300)
			t.Logf("%d requests", sent)
			ready := h.send(t, request{method: http.MethodGet, path: "/health/ready"})
			require.Equal(t, http.StatusOK, ready.status)
		})
	}
}

func setupHostilePeer(t *testing.T, id, databaseURL string) *hostile {
	t.Helper()
	h := &hostile{databaseURL: databaseURL, peer: true}
	h.service = startService(t, id, databaseURL, "API_RATE_LIMIT", "0")
	server := httptest.NewServer(h.service.Handler())
	t.Cleanup(server.Close)
	h.url = server.URL
	core := h.service
	if id != mesh.Core {
		core = startService(t, mesh.Core, databaseURL)
	}
	for _, p := range []*party{&h.victim, &h.attacker} {
		tenant, err := core.Accounts().CreateTenant(t.Context(), account.Tenant{Name: "Somebody"})
		require.NoError(t, err)
		p.tenant, p.ids = tenant, map[string]string{}
		p.secret, _, err = core.Accounts().CreateKey(t.Context(), tenant, account.NewKey{Kind: account.SecretKey, Name: "all", Scopes: []string{"*"}})
		require.NoError(t, err)
		p.write, _, err = core.Accounts().CreateKey(t.Context(), tenant, account.NewKey{Kind: account.WriteKey, Name: "site"})
		require.NoError(t, err)
	}
	answer := h.send(t, request{method: http.MethodGet, path: "/openapi.json"})
	require.NoError(t, json.Unmarshal(answer.body, &h.document))
	wildcard := regexp.MustCompile(`\{(\w+)\}`)
	for path := range h.document.Paths {
		for _, found := range wildcard.FindAllStringSubmatch(path, -1) {
			for _, p := range []*party{&h.victim, &h.attacker} {
				p.ids[found[1]] = uuid.NewString()
			}
		}
	}
	for _, p := range []*party{&h.victim, &h.attacker} {
		p.ids["tenant_uuid"] = p.tenant.String()
		p.ids["data_type"] = "conversion"
	}
	return h
}
