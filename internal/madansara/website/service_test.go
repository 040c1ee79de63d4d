package website_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/madansara/contact"
	"github.com/engardehq/madansara/internal/madansara/website"
)

func TestVisitorsSessionsAndContactsAreShown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const session = "0192f0c1-1111-7000-8000-000000000001"
	b.take("/v1/page", `{"messageId":"1","anonymousId":"a","timestamp":"2026-01-01T10:00:00Z","context":{"sessionId":"`+session+`","page":{"title":"Home","url":"https://shop.test/"}}}`)
	b.take("/v1/identify", `{"messageId":"2","anonymousId":"a","userId":"u","timestamp":"2026-01-01T10:00:05Z","traits":{"email":"ada@example.com","marketing_consent":true},"context":{"sessionId":"`+session+`"}}`)
	b.take("/v1/identify", `{"userId":"u2"}`)

	get := func(tenant uuid.UUID, path string) (status int, body map[string]any) {
		router := httpkit.NewRouter(httpkit.RouterConfig{Title: "t", Version: "1"})
		website.New(b.db).Register(router.API())
		contact.New(b.db, contact.Followers{}, clockwork.NewRealClock()).Register(router.API())
		answer := httptest.NewRecorder()
		ctx := httpkit.WithPrincipal(t.Context(), httpkit.Principal{Tenant: tenant, Scopes: []string{"website:read", "contacts:read"}})
		router.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
		require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &body), answer.Body)
		return answer.Code, body
	}
	visitor := "/api/v1/website/visitors/" + website.VisitorID(b.tenant, "a").String()
	status, v := get(b.tenant, visitor)
	require.Equal(t, 200, status, v)
	require.Equal(t, session, v["sessions"].([]any)[0].(map[string]any)["session_uuid"])
	status, v = get(b.other, visitor)
	require.Equal(t, 404, status, v)

	status, s := get(b.tenant, "/api/v1/website/sessions/"+session)
	require.Equal(t, 200, status, s)
	require.Len(t, s["timeline"], 2)
	require.Equal(t, "Home", s["timeline"].([]any)[0].(map[string]any)["name"])

	status, first := get(b.tenant, "/api/v1/contacts?limit=1")
	require.Equal(t, 200, status, first)
	require.Len(t, first["contacts"], 1)
	_, second := get(b.tenant, "/api/v1/contacts?limit=1&cursor="+first["next_cursor"].(string))
	require.Len(t, second["contacts"], 1)
	require.NotContains(t, second, "next_cursor")
	_, byEmail := get(b.tenant, "/api/v1/contacts?email=ADA@example.com")
	ada := byEmail["contacts"].([]any)[0].(map[string]any)["contact_uuid"].(string)
	status, c := get(b.tenant, "/api/v1/contacts/"+ada)
	require.Equal(t, 200, status, c)
	require.Len(t, c["identities"], 2)
	require.Equal(t, "granted", c["consents"].([]any)[0].(map[string]any)["status"])
	status, _ = get(b.other, "/api/v1/contacts/"+ada)
	require.Equal(t, 404, status)

	_, doc := get(b.tenant, "/openapi.json")
	for _, path := range website.OpenPaths() {
		require.Contains(t, doc["paths"], path)
	}
}
