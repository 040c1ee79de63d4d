package app_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/dbtest"
)

// TestTheWiringCarriesAnEventToAConversion sends what a shop's page sends, and
// reads the purchase over the API.
func TestTheWiringCarriesAnEventToAConversion(t *testing.T) {
	t.Parallel()
	service := start(t, dbtest.URL(t))
	ctx := context.WithoutCancel(t.Context())
	tenant, err := service.Accounts().CreateTenant(ctx, account.Tenant{Name: "Shop"})
	require.NoError(t, err)
	write, _, err := service.Accounts().CreateKey(ctx, tenant, account.NewKey{Kind: account.WriteKey, Name: "site"})
	require.NoError(t, err)
	secret, _, err := service.Accounts().CreateKey(ctx, tenant, account.NewKey{Kind: account.SecretKey, Name: "api", Scopes: []string{"conversion:read", "conversion:write"}})
	require.NoError(t, err)

	send := func(path, body string, authorize func(*http.Request)) *httptest.ResponseRecorder {
		request := httptest.NewRequestWithContext(ctx, http.MethodPost, path, strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		authorize(request)
		answer := httptest.NewRecorder()
		service.Handler().ServeHTTP(answer, request)
		return answer
	}
	byWriteKey := func(r *http.Request) { r.SetBasicAuth(write, "") }
	answer := send("/v1/track", `{"event":"Order Completed","anonymousId":"visitor-1","messageId":"m-1",
		"properties":{"order_id":"1001","revenue":12.5,"currency":"USD"}}`, byWriteKey)
	require.Equal(t, http.StatusOK, answer.Code, answer.Body)
	require.Equal(t, http.StatusUnauthorized, send("/v1/track", `{"event":"x","anonymousId":"a","messageId":"m-2"}`,
		func(r *http.Request) { r.SetBasicAuth("mswk_wrong", "") }).Code)
	// The shop's server reports the same order, and who bought.
	answer = send("/api/v1/conversion/track", `{"name":"Order Completed","order_id":"1001","revenue":12.5,"currency":"USD","email":"buyer@example.com"}`,
		func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+secret) })
	require.Less(t, answer.Code, 300, answer.Body)

	_, metrics := get(t, service, "/metrics")
	require.Contains(t, string(metrics), `ingest_events_total{outcome="committed"} 1`)
	status, body := get(t, service, "/api/v1/conversion/events", "Authorization", "Bearer "+secret)
	require.Equal(t, http.StatusOK, status)
	var list struct {
		Conversions []struct {
			ContactUUID *string `json:"contact_uuid"`
			VisitorUUID *string `json:"visitor_uuid"`
		} `json:"conversions"`
	}
	require.NoError(t, json.Unmarshal(body, &list), string(body))
	require.Len(t, list.Conversions, 1, "one order is one conversion: %s", body)
	require.NotNil(t, list.Conversions[0].ContactUUID, string(body))
	require.NotNil(t, list.Conversions[0].VisitorUUID, string(body))
}
