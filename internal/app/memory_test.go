package app_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/app"
	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/zerodb/qdrant"
	"github.com/engardehq/madansara/zerodb/qdrant/qdranttest"
)

// keyed sends a key with every request.
type keyed string

func (k keyed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(k))
	return http.DefaultTransport.RoundTrip(r)
}

func key(t *testing.T, service *app.App, tenant uuid.UUID, scopes ...string) string {
	t.Helper()
	token, _, err := service.Accounts().CreateKey(t.Context(), tenant, account.NewKey{Kind: account.SecretKey, Name: "walker_seo_001", Scopes: scopes})
	require.NoError(t, err)
	return token
}

// TestAgentsRememberThroughTheWiredService lets the official client use every tool of a
// service on a real database, of which two replicas run.
func TestAgentsRememberThroughTheWiredService(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	service, replica := start(t, url), start(t, url)
	tenant, err := service.Accounts().CreateTenant(t.Context(), account.Tenant{Name: "Shop"})
	require.NoError(t, err)
	token := key(t, service, tenant, "*")
	connect := func(service *app.App) *mcp.ClientSession {
		server := httptest.NewServer(service.Handler())
		t.Cleanup(server.Close)
		session, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), &mcp.StreamableClientTransport{
			Endpoint: server.URL + "/mcp", HTTPClient: &http.Client{Transport: keyed(token)}, MaxRetries: -1, DisableStandaloneSSE: true,
		}, nil)
		require.NoError(t, err)
		t.Cleanup(func() { _ = session.Close() })
		return session
	}
	use := func(session *mcp.ClientSession, tool string, arguments map[string]any) string {
		result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: arguments})
		require.NoError(t, err)
		text := result.Content[0].(*mcp.TextContent).Text
		require.False(t, result.IsError, text)
		return text
	}
	here, there := connect(service), connect(replica)
	use(here, "memory_store", map[string]any{"content": "Marie prefers WhatsApp", "type": "semantic", "subject": "customer:42", "predicate": "preferred channel"})
	require.Contains(t, use(there, "memory_recall", map[string]any{"query": "how does Marie want to be reached? WhatsApp?"}), "Marie prefers WhatsApp")
	use(there, "memory_store", map[string]any{"content": "Marie prefers Signal", "type": "semantic", "subject": "customer:42", "predicate": "preferred channel"})
	said := use(here, "memory_recall", map[string]any{"query": "Marie prefers"})
	require.Contains(t, said, "Marie prefers Signal", "a replica is never stale")
	require.NotContains(t, said, "WhatsApp")
	require.Contains(t, use(here, "memory_context", map[string]any{"task": "write to Marie"}), "Marie prefers Signal")
	require.Contains(t, use(here, "campaign_status", nil), `"campaigns":[]`)
	require.Contains(t, use(here, "conversion_performance", map[string]any{"model": "linear"}), `"linear"`)
	result, err := here.CallTool(t.Context(), &mcp.CallToolParams{Name: "customer_insights", Arguments: map[string]any{"customer_id": "nobody@example.org"}})
	require.NoError(t, err)
	require.True(t, result.IsError, "nobody is known by that address")

	status, body := get(t, service, "/api/v1/memory/stats", "Authorization", "Bearer "+token)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, string(body), `"backend":"postgresql"`)
	other, err := service.Accounts().CreateTenant(t.Context(), account.Tenant{Name: "Rival"})
	require.NoError(t, err)
	status, body = get(t, service, "/api/v1/memory/memories", "Authorization", "Bearer "+key(t, service, other, "memory:read"))
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, string(body), `"memories":[]`)
}

// TestAnOrderIsRemembered reports an order over the API, and recalls it.
func TestAnOrderIsRemembered(t *testing.T) {
	t.Parallel()
	service := start(t, dbtest.URL(t))
	tenant, err := service.Accounts().CreateTenant(t.Context(), account.Tenant{Name: "Shop"})
	require.NoError(t, err)
	token := key(t, service, tenant, "*")
	address := serve(t, service) // its jobs attribute the order
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address+"/api/v1/conversion/track",
		strings.NewReader(`{"name":"Order Completed","order_id":"1001","revenue":49.90,"currency":"USD","email":"marie@example.org","properties":{"products":[{"name":"Red market bag"}]}}`))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusCreated, response.StatusCode)
	var list struct {
		Memories []struct{ Content, Subject, Agent string }
	}
	require.Eventually(t, func() bool {
		status, body := get(t, service, "/api/v1/memory/memories", "Authorization", "Bearer "+token)
		require.Equal(t, http.StatusOK, status, string(body))
		require.NoError(t, json.Unmarshal(body, &list))
		return len(list.Memories) == 1
	}, time.Minute, 50*time.Millisecond)
	require.Contains(t, list.Memories[0].Content, "bought Red market bag for 49.90 USD")
	require.True(t, strings.HasPrefix(list.Memories[0].Subject, "customer:"))
	require.Equal(t, "madan_sara", list.Memories[0].Agent)
}

// TestErasingAContactErasesItsMemories: people merge and are erased over the API, with memories in either back end.
func TestErasingAContactErasesItsMemories(t *testing.T) {
	t.Parallel()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		testErasingAContact(t, start(t, dbtest.URL(t)))
	})
	t.Run("qdrant", func(t *testing.T) {
		t.Parallel()
		server := qdranttest.Start(t, qdranttest.Options{})
		backend, err := qdrant.New(qdrant.Config{URL: server.URL, Dimension: 256})
		require.NoError(t, err)
		_, err = backend.Init(t.Context())
		require.NoError(t, err)
		require.NoError(t, backend.Close())
		testErasingAContact(t, start(t, dbtest.URL(t), "ZERODB_URL", server.URL))
	})
}

func testErasingAContact(t *testing.T, service *app.App) {
	tenant, err := service.Accounts().CreateTenant(t.Context(), account.Tenant{Name: "Shop"})
	require.NoError(t, err)
	token := key(t, service, tenant, "*")
	address := serve(t, service)
	call := func(method, path, body string, into any) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, address+path, strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		answer, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Less(t, response.StatusCode, 300, "%s %s: %s", method, path, answer)
		if into != nil {
			require.NoError(t, json.Unmarshal(answer, into), string(answer))
		}
	}
	var people struct {
		Contacts []struct {
			UUID string `json:"contact_uuid"`
		}
	}
	identify := func(body string) []string {
		call("POST", "/v1/identify", body, nil)
		call("GET", "/api/v1/contacts", "", &people)
		var ids []string
		for _, c := range people.Contacts {
			ids = append(ids, c.UUID)
		}
		return ids
	}
	older := identify(`{"userId":"42"}`)[0]
	younger := identify(`{"anonymousId":"a","traits":{"email":"marie@example.org"}}`)[0]
	require.NotEqual(t, older, younger)
	remember := func(agent, subject, content string) {
		call("POST", "/api/v1/memory/store", `{"agent":"`+agent+`","type":"semantic","subject":"`+subject+`","content":"`+content+`","scope":{"kind":"tenant"}}`, nil)
	}
	remember("walker_seo_001", "customer:"+younger, "prefers WhatsApp")
	remember("walker_ads_002", "customer:42", "likes hats")
	remember("walker_ads_002", "shop", "an offer went to Marie@example.org")
	remember("walker_ads_002", "customer:43", "is somebody else")
	var list struct{ Memories []struct{ Content string } }
	about := func(subject string) int {
		call("GET", "/api/v1/memory/memories?subject="+subject, "", &list)
		return len(list.Memories)
	}
	require.Equal(t, []string{older}, identify(`{"userId":"42","traits":{"email":"marie@example.org"}}`), "they are one person")
	require.Eventually(t, func() bool { return about("customer:"+older) == 1 }, time.Minute, 20*time.Millisecond, "what is remembered moves")
	require.Zero(t, about("customer:"+younger))
	remember("walker_seo_001", "customer:"+younger, "written by one that knows the old name")

	var erased struct {
		Receipt string `json:"memory_erasure_uuid"`
	}
	call("DELETE", "/api/v1/contacts/"+older, "", &erased)
	var receipt struct {
		Status, Cause string
		Erased        int
		RequestedBy   string `json:"requested_by"`
	}
	require.Eventually(t, func() bool {
		call("GET", "/api/v1/memory/erasures/"+erased.Receipt, "", &receipt)
		return receipt.Status == "finished"
	}, time.Minute, 20*time.Millisecond)
	require.Equal(t, 4, receipt.Erased)
	require.Equal(t, "contact_erased", receipt.Cause)
	require.True(t, strings.HasPrefix(receipt.RequestedBy, "key "), receipt.RequestedBy)
	call("GET", "/api/v1/memory/memories", "", &list)
	require.Len(t, list.Memories, 1)
	require.Equal(t, "is somebody else", list.Memories[0].Content)
	require.Empty(t, identify(`{"anonymousId":"b"}`))
}

// serve serves until the test ends, with its jobs, and returns the address.
func serve(t *testing.T, service *app.App) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- service.Serve(ctx, listener) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-ended) })
	return "http://" + listener.Addr().String()
}

func TestHealthTellsOfTheMemory(t *testing.T) {
	t.Parallel()
	line, databaseURL := throughProxy(t, dbtest.URL(t))
	service := start(t, databaseURL)
	zerodb := func() map[string]any {
		_, body := get(t, service, "/health")
		var health struct {
			Components map[string]map[string]any
		}
		require.NoError(t, json.Unmarshal(body, &health), string(body))
		return health.Components["zerodb"]
	}
	told := zerodb()
	require.Equal(t, "healthy", told["status"])
	require.Equal(t, true, told["configured"])
	require.Equal(t, "embedded", told["backend"])
	require.NotEmpty(t, told["embedder"])
	line.freeze()
	require.Equal(t, "degraded", zerodb()["status"])
	line.thaw()
}
