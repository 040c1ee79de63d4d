package memory_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/internal/memory"
	"github.com/engardehq/madansara/internal/memoryjobs"
	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/zerodbtest"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// bundle is the API over real HTTP, with the reference back end behind it and erasures in a real database.
type bundle struct {
	address  string
	clock    *clockwork.FakeClock
	embedder *zerodbtest.Hashing
	backend  *unreliable
	keys     keys
	log      *bytes.Buffer
}

// unreliable is a back end that can be away.
type unreliable struct {
	*zerodbtest.Reference

	away bool
}

func (b *unreliable) View(ctx context.Context, tenant uuid.UUID, fn func(context.Context, zerodb.Reader) error) error {
	if b.away {
		return zerodb.Unavailable(io.ErrUnexpectedEOF, "ask http://user:secret@qdrant:6333")
	}
	return b.Reference.View(ctx, tenant, fn)
}

// keys knows whose a token is.
type keys map[string]httpkit.Principal

func (k keys) Key(_ context.Context, token string) (httpkit.Principal, error) {
	principal, known := k[token]
	if !known {
		return principal, fault.New(fault.Unauthenticated, "The key is unknown.")
	}
	return principal, nil
}

func (keys) Session(context.Context, string) (httpkit.Principal, error) {
	return httpkit.Principal{}, fault.New(fault.Unauthenticated, "There are no sessions.")
}

// The callers of the tests: two tenants, and one that may only read.
const (
	anna, other, reader = "anna", "other", "reader"
)

func setup(t *testing.T) *bundle {
	t.Helper()
	url, db := dbtest.App(t, "madan_sara_app")
	shop := dbtest.Tenant(t, url)
	b := &bundle{
		clock: clockwork.NewFakeClockAt(noon), embedder: &zerodbtest.Hashing{}, backend: &unreliable{Reference: zerodbtest.NewReference()}, log: &bytes.Buffer{},
		keys: keys{
			anna:   {Tenant: shop, ID: "key 1", Name: "anna", Scopes: []string{"memory:read", "memory:write"}},
			other:  {Tenant: dbtest.Tenant(t, url), ID: "key 2", Name: "other", Scopes: []string{"*"}},
			reader: {Tenant: shop, ID: "key 3", Name: "reader", Scopes: []string{"memory:read"}},
		},
	}
	client, err := zerodb.New(zerodb.Config{Backend: b.backend, Embedder: b.embedder, Clock: b.clock, Logger: slog.New(slog.DiscardHandler), FlushRecalls: time.Hour})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close(context.WithoutCancel(t.Context()))) })
	router := httpkit.NewRouter(httpkit.RouterConfig{
		Title: "Test", Version: "1", Authenticator: b.keys, Logger: slog.New(slog.DiscardHandler), OwnOrigin: "http://localhost",
		Streams: memory.Streams(),
	})
	queue, err := jobs.New(db, jobs.Config{})
	require.NoError(t, err)
	kept := memoryjobs.New(db, b.clock)
	kept.UseQueue(queue)
	memory.New(client, kept, b.clock, slog.New(slog.NewTextHandler(b.log, nil))).Register(router.API())
	server := httptest.NewServer(router.Handler())
	t.Cleanup(server.Close)
	b.address = server.URL
	return b
}

// call sends a body (a text as it is, anything else as JSON) and reads the answer into into.
func (b *bundle) call(t *testing.T, key, method, path string, body, into any) int {
	t.Helper()
	var reading io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		reading = strings.NewReader(body)
	default:
		encoded, err := json.Marshal(body)
		require.NoError(t, err)
		reading = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, b.address+"/api/v1/memory"+path, reading)
	require.NoError(t, err)
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	if reading != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	if into != nil {
		require.NoError(t, json.Unmarshal(answer, into), string(answer))
	}
	return response.StatusCode
}

type problem struct {
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	Errors []struct {
		Location string `json:"location"`
		Message  string `json:"message"`
	} `json:"errors"`
}

func (p problem) String() string {
	text := p.Detail
	for _, e := range p.Errors {
		text += "\n" + e.Location + ": " + e.Message
	}
	return text
}

func (b *bundle) store(t *testing.T, key string, item memory.Item) memory.Receipt {
	t.Helper()
	if item.Agent == "" {
		item.Agent = walker
	}
	var receipt memory.Receipt
	status := b.call(t, key, "POST", "/store", item, &receipt)
	require.Contains(t, []int{200, 201}, status, receipt)
	return receipt
}

type found struct {
	Hits []struct {
		Memory      memory.Memory   `json:"memory"`
		Score       float64         `json:"score"`
		Why         string          `json:"why"`
		Explanation json.RawMessage `json:"explanation"`
	} `json:"hits"`
	Degraded string `json:"degraded"`
}

func (b *bundle) retrieve(t *testing.T, key string, query map[string]any) found {
	t.Helper()
	if query["agent"] == nil && query["everyone"] == nil {
		query["agent"] = walker
	}
	var out found
	require.Equal(t, 200, b.call(t, key, "POST", "/retrieve", query, &out))
	return out
}

func (f found) contents() []string {
	list := []string{}
	for _, hit := range f.Hits {
		list = append(list, hit.Memory.Content)
	}
	return list
}

const walker = "walker_seo_001"
