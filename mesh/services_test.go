package mesh_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/mesh"
	"github.com/engardehq/madansara/mesh/signature"
)

func newPlain(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

// asked is what a peer was asked on the wire.
type asked struct {
	Method string          `json:"method"`
	URI    string          `json:"uri"`
	Tenant string          `json:"tenant"`
	Key    string          `json:"key"`
	Body   json.RawMessage `json:"body"`
}

func TestTypedCallsOnTheWire(t *testing.T) {
	t.Parallel()
	when := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, c := range map[string]struct {
		reply string
		call  func(m *mesh.Mesh) (any, error)
		want  any
	}{
		"seo": {
			`{"url":"https://example.com","title":"Hello","primary_keywords":[{"term":"hello","count":3,"weight":1}],"audit":{"score":80,"checks":[{"id":"title","severity":"error","passed":true}]}}`,
			func(m *mesh.Mesh) (any, error) {
				return m.SEO().Analyze(t.Context(), mesh.SEORequest{URL: "https://example.com", TenantUUID: tenant})
			},
			&mesh.SEOAnalysis{
				URL: "https://example.com", Title: "Hello", PrimaryKeywords: []mesh.SEOKeyword{{Term: "hello", Count: 3, Weight: 1}},
				Audit: mesh.SEOAudit{Score: 80, Checks: []mesh.SEOCheck{{ID: "title", Severity: "error", Passed: true}}},
			},
		},
		"ads": {
			`{"campaign_id":"a/b","spend":{"amount":1250,"currency":"EUR"},"ctr":{"value":0.02,"low":0.01,"high":0.03},"unknown":true}`,
			func(m *mesh.Mesh) (any, error) { return m.AdIntelligence().Campaign(t.Context(), tenant, "a/b") },
			&mesh.CampaignIntelligence{CampaignID: "a/b", Spend: mesh.Money{Amount: 1250, Currency: "EUR"}, CTR: &mesh.Estimate{Value: .02, Low: .01, High: .03}},
		},
		"insights": {
			`{"customer_id":"u 1","conversions":2,"value":[{"amount":5,"currency":"USD"}],"preferred_channel":"email"}`,
			func(m *mesh.Mesh) (any, error) { return m.ConversionInsights().Customer(t.Context(), tenant, "u 1") },
			&mesh.CustomerInsights{CustomerID: "u 1", Conversions: 2, Value: []mesh.Money{{Amount: 5, Currency: "USD"}}, PreferredChannel: "email"},
		},
		"campaign": {
			`{"campaign_id":"spring & summer","model":"last_touch","touches":3,"days":[{"day":"2026-01-02","conversions":1.5,"revenue":[{"amount":5,"currency":"USD"}]}]}`,
			func(m *mesh.Mesh) (any, error) {
				return m.ConversionInsights().Campaign(t.Context(), tenant, mesh.CampaignConversionsRequest{
					CampaignID: "spring & summer", Aliases: []string{"1/2", "x"}, From: "2026-01-01", To: "2026-01-31", Model: "last_touch",
				})
			},
			&mesh.CampaignConversions{
				CampaignID: "spring & summer", Model: "last_touch", Touches: 3,
				Days: []mesh.CampaignConversionsDay{{Day: "2026-01-02", Conversions: 1.5, Revenue: []mesh.Money{{Amount: 5, Currency: "USD"}}}},
			},
		},
		"credentials": {
			`{"integration_id":"0198f4a2-0000-7000-8000-0000000000aa","provider":"sendgrid","name":"marketing","settings":{"from_email":"a@example.com"},"credentials":{"api_key":"k"},"updated_at":"2026-01-02T03:04:05Z"}`,
			func(m *mesh.Mesh) (any, error) {
				return m.Credentials().Integration(t.Context(), tenant, "sendgrid", "marketing & more")
			},
			&mesh.IntegrationCredentials{
				IntegrationID: "0198f4a2-0000-7000-8000-0000000000aa", Provider: "sendgrid", Name: "marketing",
				Settings: map[string]string{"from_email": "a@example.com"}, Credentials: map[string]string{"api_key": "k"}, UpdatedAt: when,
			},
		},
		"sync": {
			`{"id":"0198f4a2-0000-7000-8000-0000000000ff","duplicate":true}`,
			func(m *mesh.Mesh) (any, error) {
				return m.Sync().Push(t.Context(), mesh.SyncFact{
					ID: "0198f4a2-0000-7000-8000-0000000000ff", DataType: "conversion", TenantUUID: tenant,
					Source: mesh.MadanSara, Data: json.RawMessage(`{"order":"7"}`), Timestamp: when,
					CustomerID: "0198f4a2-0000-7000-8000-00000000c057", Sequence: 3,
				})
			},
			&mesh.SyncReceipt{ID: "0198f4a2-0000-7000-8000-0000000000ff", Duplicate: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := make(chan asked, 1)
			server := newPlain(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/health" {
					return
				}
				body, err := io.ReadAll(r.Body)
				if err != nil {
					body = []byte(err.Error())
				}
				key := r.Header.Get(signature.HeaderIdempotencyKey)
				if name == "seo" && key != "" {
					key = "random"
				}
				if len(body) == 0 {
					body = []byte("null")
				}
				got <- asked{r.Method, r.RequestURI, r.Header.Get(signature.HeaderTenant), key, body}
				w.Header().Set("Content-Type", "application/json")
				if _, err := io.WriteString(w, c.reply); err != nil {
					t.Log(err)
				}
			})
			peers := map[string]string{}
			for _, id := range []string{mesh.Core, mesh.Onside, mesh.MadanSara, mesh.Sankore} {
				peers[id] = server.URL
			}
			m, err := mesh.New(mesh.Config{Service: "test", Secrets: []string{secret}, Peers: peers})
			require.NoError(t, err)
			t.Cleanup(m.Close)
			answer, err := c.call(m)
			require.NoError(t, err)
			require.Equal(t, c.want, answer)
			text, err := json.MarshalIndent(<-got, "", "  ")
			require.NoError(t, err)
			golden(t, "call_"+name+".json", text)
		})
	}
}

// TestOnlyCoreSaysThatThereIsNoIntegration: a caller that has a fallback for tenants
// without one must not take it because somebody else answered 404.
func TestOnlyCoreSaysThatThereIsNoIntegration(t *testing.T) {
	t.Parallel()
	for body, none := range map[string]bool{
		`{"status":404,"code":"not_found","errors":[{"location":"path.provider","message":"none"}]}`:         true,
		`{"status":404,"code":"not_found","errors":[{"location":"path.integration_uuid","message":"none"}]}`: false,
		`{"status":404,"code":"not_found","detail":"There is nothing at this path"}`:                         false,
		`<h1>Not found</h1>`: false,
		``:                   false,
	} {
		server := newPlain(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, body)
		})
		m, err := mesh.New(mesh.Config{Service: "test", Secrets: []string{secret}, HealthEvery: -1, Peers: map[string]string{mesh.Core: server.URL}})
		require.NoError(t, err)
		t.Cleanup(m.Close)
		_, err = m.Credentials().Integration(t.Context(), tenant, "smtp", "")
		require.ErrorIs(t, err, mesh.ErrRejected, body)
		require.Equal(t, none, errors.Is(err, mesh.ErrNoIntegration), body)
	}
}

func TestTypedCallsPassErrorsOn(t *testing.T) {
	t.Parallel()
	server := newPlain(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	m, err := mesh.New(mesh.Config{Service: "test", Secrets: []string{secret}, HealthEvery: -1, Peers: map[string]string{
		mesh.Core: server.URL, mesh.Onside: server.URL, mesh.MadanSara: server.URL, mesh.Sankore: server.URL,
	}})
	require.NoError(t, err)
	t.Cleanup(m.Close)
	_, err = m.SEO().Analyze(t.Context(), mesh.SEORequest{})
	require.ErrorIs(t, err, mesh.ErrRejected)
	_, err = m.AdIntelligence().Campaign(t.Context(), tenant, "c")
	require.ErrorIs(t, err, mesh.ErrRejected)
	_, err = m.ConversionInsights().Customer(t.Context(), tenant, "c")
	require.ErrorIs(t, err, mesh.ErrRejected)
	_, err = m.ConversionInsights().Campaign(t.Context(), tenant, mesh.CampaignConversionsRequest{CampaignID: "c"})
	require.ErrorIs(t, err, mesh.ErrRejected)
	_, err = m.Sync().Push(t.Context(), mesh.SyncFact{Data: json.RawMessage("{}")})
	require.ErrorIs(t, err, mesh.ErrRejected)
}
