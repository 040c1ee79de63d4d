package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/app"
	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/mesh"
)

// TestSankoreAsksMadanSaraOverTheMesh imports a platform's report into Sankore,
// lets a visitor come by the campaign and buy on Madan Sara's side, and asks
// Sankore how the campaign fares: over real HTTP, signed, with Madan Sara up and
// then down.
func TestSankoreAsksMadanSaraOverTheMesh(t *testing.T) {
	t.Parallel()
	databaseURL := dbtest.URL(t)
	madanSara := startService(t, mesh.MadanSara, databaseURL)
	front := httptest.NewServer(madanSara.Handler())
	defer front.Close()
	sankore := startService(t, mesh.Sankore, databaseURL, "MADAN_SARA_URL", front.URL)

	tenant, err := madanSara.Accounts().CreateTenant(t.Context(), account.Tenant{Name: "Shop"})
	require.NoError(t, err)
	key, _, err := madanSara.Accounts().CreateKey(t.Context(), tenant, account.NewKey{Kind: account.SecretKey, Name: "server", Scopes: []string{"*"}})
	require.NoError(t, err)
	writeKey, _, err := madanSara.Accounts().CreateKey(t.Context(), tenant, account.NewKey{Kind: account.WriteKey, Name: "site"})
	require.NoError(t, err)
	send := func(service *app.App, method, path, contentType, body string) (int, []byte) {
		r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+key)
		if strings.HasPrefix(path, "/v1/") {
			r.SetBasicAuth(writeKey, "")
		}
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		service.Handler().ServeHTTP(w, r)
		return w.Code, w.Body.Bytes()
	}

	today := time.Now().UTC()
	var report strings.Builder
	report.WriteString("Campaign report\nAll time\nDay,Campaign,Campaign ID,Currency code,Cost,Impr.,Clicks,Conversions\n")
	for i := 20; i >= 0; i-- {
		fmt.Fprintf(&report, "%s,Spring,7001,USD,100.00,\"4,000\",80,9\n", today.AddDate(0, 0, -i).Format(time.DateOnly))
	}
	status, body := send(sankore, http.MethodPost, "/api/v1/campaigns/import/csv", "text/csv", report.String())
	require.Equal(t, http.StatusOK, status, "%s", body)

	intelligence := func() mesh.CampaignIntelligence {
		status, body := send(sankore, http.MethodGet, "/api/v1/campaigns/7001/intelligence", "application/json", "")
		require.Equal(t, http.StatusOK, status, "%s", body)
		var got mesh.CampaignIntelligence
		require.NoError(t, json.Unmarshal(body, &got))
		return got
	}
	got := intelligence()
	require.Equal(t, mesh.ConversionsFromPlatform, got.ConversionsSource)
	require.Contains(t, got.ConversionsProblem, "knows no visit")

	buys(t, madanSara, send, today)
	got = intelligence()
	require.Equal(t, mesh.ConversionsFromMadanSara, got.ConversionsSource, got.ConversionsProblem)
	require.InDelta(t, 1, got.Conversions, 1e-9)
	require.InDelta(t, 189, got.PlatformConversions, 1e-9)
	require.Equal(t, mesh.Money{Amount: 4200, Currency: "USD"}, got.Revenue)
	require.InDelta(t, 210_000, got.CPA.Value, 1e-6)

	front.CloseClientConnections()
	front.Close()
	got = intelligence()
	require.Equal(t, mesh.ConversionsFromPlatform, got.ConversionsSource)
	require.Contains(t, got.ConversionsProblem, "cannot be reached")
	require.InDelta(t, 189, got.Conversions, 1e-9)
}

// buys lets a visitor come by an ad of the campaign and order.
func buys(t *testing.T, madanSara *app.App, send func(*app.App, string, string, string, string) (int, []byte), at time.Time) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { served <- madanSara.Serve(ctx, listener) }() // its jobs attribute the order
	defer func() {
		cancel()
		require.NoError(t, <-served)
	}()
	status, body := send(madanSara, http.MethodPost, "/v1/page", "application/json", fmt.Sprintf(`{"messageId":"m1","anonymousId":"a1","timestamp":%q,
		"context":{"page":{"url":"https://shop.test/?utm_source=google&utm_medium=cpc&utm_campaign=spring"}}}`, at.Add(-time.Minute).Format(time.RFC3339)))
	require.Less(t, status, 300, "%s", body)
	status, body = send(madanSara, http.MethodPost, "/api/v1/conversion/track", "application/json",
		`{"name":"Order Completed","order_id":"A-1","anonymous_id":"a1","revenue":42,"currency":"USD"}`)
	require.Equal(t, http.StatusCreated, status, "%s", body)
	require.Eventually(t, func() bool {
		_, body := send(madanSara, http.MethodGet, "/api/v1/conversion/campaigns/spring/conversions", "application/json", "")
		return strings.Contains(string(body), `"conversions":1`)
	}, time.Minute, 20*time.Millisecond)
}
