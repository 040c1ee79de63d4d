package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/mesh"
)

// TestFourServicesWorkOnOneCampaign follows an advertised visit through the platform, all by
// `madansara up` and over HTTP: Sankore has what it cost, Madan Sara what it earned, Onside
// what its landing page is about, and Core the sale.
func TestFourServicesWorkOnOneCampaign(t *testing.T) { //nolint:tparallel // the steps follow each other
	t.Parallel()
	data := t.TempDir()
	require.NoError(t, os.Chmod(data, 0o755)) // the database's own user enters it
	p := platform{running: up(t, data)}

	// What the platform reports was spent.
	today := time.Now().UTC()
	report := "Campaign report\nAll time\nDay,Campaign,Campaign ID,Currency code,Cost,Impr.,Clicks,Conversions\n"
	for i := 13; i >= 0; i-- {
		report += fmt.Sprintf("%s,Spring,7001,USD,20.00,\"4,000\",80,9\n", today.AddDate(0, 0, -i).Format(time.DateOnly))
	}
	p.do(t, "Sankore", http.MethodPost, "/api/v1/campaigns/import/csv", "text/csv", report, nil)

	// A visitor comes by one of its ads and buys.
	p.event(t, "/v1/page", fmt.Sprintf(`{"messageId":"m1","anonymousId":"a1","timestamp":%q,
		"context":{"page":{"url":"https://shop.example/?utm_source=google&utm_medium=cpc&utm_campaign=spring"}}}`, today.Add(-time.Minute).Format(time.RFC3339)))
	var sale struct {
		ID string `json:"conversion_uuid"`
	}
	p.do(t, "Dashboard", http.MethodPost, "/api/v1/conversion/track", "application/json",
		`{"name":"Order Completed","order_id":"A-1","anonymous_id":"a1","email":"marie@example.com","revenue":42,"currency":"USD"}`, &sale)

	t.Run("Sankore counts what Madan Sara says it earned", func(t *testing.T) {
		var found mesh.CampaignIntelligence
		p.await(t, func() bool {
			p.do(t, "Sankore", http.MethodGet, "/api/v1/campaigns/7001/intelligence", "", "", &found)
			return found.ConversionsSource == mesh.MadanSara && found.Conversions > 0
		})
		require.InDelta(t, 1, found.Conversions, 1e-9)
		require.Equal(t, mesh.Money{Amount: 28000, Currency: "USD"}, found.Spend)
		require.Equal(t, mesh.Money{Amount: 4200, Currency: "USD"}, found.Revenue)
	})
	t.Run("Madan Sara tells peers of the customer", func(t *testing.T) {
		var found mesh.CustomerInsights
		p.do(t, "Dashboard", http.MethodGet, "/api/v1/conversion/customers/marie@example.com/insights", "", "", &found)
		require.Equal(t, 1, found.Conversions)
		require.Equal(t, "paid_search", found.PreferredChannel)
	})
	t.Run("a campaign shows what Onside and Sankore say", func(t *testing.T) { p.surround(t) })
	t.Run("Core has the sale once", func(t *testing.T) {
		var list struct {
			Facts []struct {
				ID     string          `json:"id"`
				Source string          `json:"source"`
				Data   json.RawMessage `json:"data"`
			} `json:"facts"`
		}
		p.await(t, func() bool {
			p.do(t, "Core", http.MethodGet, "/api/v1/sync/conversion", "", "", &list)
			return len(list.Facts) > 0
		})
		require.Len(t, list.Facts, 1)
		require.Equal(t, mesh.MadanSara, list.Facts[0].Source)
		require.Contains(t, string(list.Facts[0].Data), sale.ID)
	})
	t.Run("every service sees its peers", func(t *testing.T) {
		for _, service := range []string{"Dashboard", "Core", "Onside", "Sankore"} {
			var health struct {
				Status     string `json:"status"`
				Components struct {
					Mesh mesh.Status `json:"service_mesh"`
				} `json:"components"`
			}
			p.await(t, func() bool {
				p.do(t, service, http.MethodGet, "/health", "", "", &health)
				return health.Status == "healthy"
			})
			require.Len(t, health.Components.Mesh.Services, 3, service)
		}
	})
	p.stop(t)
}

// platform is a running `up`, called with the demo tenant's keys.
type platform struct{ *running }

// surround links a campaign of Madan Sara's to the shop's page and to the advertising, and
// waits for what the peers say.
func (p platform) surround(t *testing.T) {
	t.Helper()
	var segment, template, campaign map[string]any
	p.do(t, "Dashboard", http.MethodPost, "/api/v1/segments", "application/json", `{"name":"All","rules":{"event":{"name":"x"}}}`, &segment)
	p.do(t, "Dashboard", http.MethodPost, "/api/v1/outreach/templates", "application/json", `{"name":"Hello","subject":"Hello","body_html":"<p>Hello</p>"}`, &template)
	p.do(t, "Dashboard", http.MethodPost, "/api/v1/outreach/campaigns", "application/json",
		fmt.Sprintf(`{"name":"Spring","segment_uuid":%q,"template_uuid":%q}`, segment["segment_uuid"], template["template_uuid"]), &campaign)
	path := fmt.Sprintf("/api/v1/outreach/campaigns/%s/context", campaign["campaign_uuid"])
	p.do(t, "Dashboard", http.MethodPut, path, "application/json",
		fmt.Sprintf(`{"landing_url":%q,"ad_campaign_id":"7001"}`, p.url(t, "Shop")+"/"), nil)
	var found struct {
		Page      *mesh.SEOAnalysis          `json:"page"`
		PageError string                     `json:"page_error"`
		Ads       *mesh.CampaignIntelligence `json:"ads"`
		AdsError  string                     `json:"ads_error"`
	}
	p.await(t, func() bool {
		p.do(t, "Dashboard", http.MethodGet, path, "", "", &found)
		return found.Page != nil && found.Ads != nil || found.PageError != "" || found.AdsError != ""
	})
	require.Empty(t, found.PageError+found.AdsError)
	require.NotEmpty(t, found.Page.PrimaryKeywords)
	require.Contains(t, found.Page.Title, "Ti Machann")
	require.GreaterOrEqual(t, len(found.Page.Audit.Checks), 25)
	require.Equal(t, "Spring", found.Ads.Name)
}

// do calls a service with the tenant's API key; the answer must be a success.
func (p platform) do(t *testing.T, service, method, path, contentType, body string, into any) {
	t.Helper()
	base := strings.TrimSuffix(p.url(t, service), "/docs")
	request, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+p.printed["API key"])
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	p.send(t, request, into)
}

// event sends what a site's page sends.
func (p platform) event(t *testing.T, path, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url(t, "Dashboard")+path, strings.NewReader(body))
	require.NoError(t, err)
	request.SetBasicAuth(p.printed["Write key"], "")
	request.Header.Set("Content-Type", "application/json")
	p.send(t, request, nil)
}

func (p platform) send(t *testing.T, request *http.Request, into any) {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Less(t, response.StatusCode, 300, "%s: %s", request.URL, content)
	if into != nil {
		require.NoError(t, json.NewDecoder(bytes.NewReader(content)).Decode(into), string(content))
	}
}

// await polls, because what is waited for is another process's work.
func (p platform) await(t *testing.T, done func() bool) {
	t.Helper()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(3 * time.Minute)
	for !done() {
		select {
		case <-ticker.C:
		case <-deadline:
			require.FailNow(t, "it did not come in time", "%s", p.log)
		}
	}
}
