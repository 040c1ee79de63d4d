package outbox_test

import (
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
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/madansara/outbox"
	"github.com/engardehq/madansara/mesh"
	"github.com/engardehq/madansara/mesh/problem"
)

// keys knows a key "<tenant> <scope>...".
type keys struct{}

func (keys) Key(_ context.Context, token string) (httpkit.Principal, error) {
	tenant, scopes, _ := strings.Cut(token, "+")
	id, err := uuid.Parse(tenant)
	if err != nil {
		return httpkit.Principal{}, fault.New(fault.Unauthenticated, "This key is unknown.")
	}
	return httpkit.Principal{Tenant: id, ID: "key", Name: "The key", Scopes: strings.Split(scopes, "+")}, nil
}

func (keys) Session(context.Context, string) (httpkit.Principal, error) {
	return httpkit.Principal{}, fault.New(fault.Unauthenticated, "This session has ended.")
}

type api struct {
	*bundle

	server *httptest.Server
}

func setupAPI(t *testing.T) *api {
	t.Helper()
	b := setup(t, nil)
	router := httpkit.NewRouter(httpkit.RouterConfig{Title: "test", Version: "0", Authenticator: keys{}, Logger: slog.New(slog.DiscardHandler)})
	b.outbox.Register(router.API())
	server := httptest.NewServer(router.Handler())
	t.Cleanup(server.Close)
	return &api{bundle: b, server: server}
}

func (a *api) call(t *testing.T, key, method, path, body string, out any) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, a.server.URL+"/api/v1/sync/outbox"+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	if out != nil {
		require.NoError(t, json.Unmarshal(raw, out), "%s", raw)
	}
	return response.StatusCode
}

type page struct {
	Facts []outbox.Stored `json:"facts"`
	Next  string          `json:"next_cursor"`
}

func TestFailuresAreSeenReplayedAndDiscarded(t *testing.T) {
	t.Parallel()
	a := setupAPI(t)
	key := a.tenant.String() + "+sync:read+sync:write"
	a.core.set(func(mesh.SyncFact) *problem.Problem {
		return problem.New(http.StatusUnprocessableEntity, "invalid", "No.")
	}, nil)
	customers := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	for n, customer := range customers {
		a.add(t, fact(customer, n))
	}
	a.start(t)
	var summary outbox.Summary
	a.await(t, "three facts have failed", func() bool {
		require.Equal(t, http.StatusOK, a.call(t, key, http.MethodGet, "", "", &summary))
		return summary.Failed == 3
	})
	require.EqualValues(t, 3, summary.BlockedCustomers)
	require.Zero(t, summary.OldestAge)

	var first, second page
	require.Equal(t, http.StatusOK, a.call(t, key, http.MethodGet, "/facts?limit=2", "", &first))
	require.Len(t, first.Facts, 2)
	require.Equal(t, http.StatusOK, a.call(t, key, http.MethodGet, "/facts?limit=2&cursor="+first.Next, "", &second))
	require.Len(t, second.Facts, 1)
	require.Empty(t, second.Next)
	require.Greater(t, first.Facts[1].Sequence, second.Facts[0].Sequence)
	require.Contains(t, string(first.Facts[0].Failure), "No.")
	var of page
	require.Equal(t, http.StatusOK, a.call(t, key, http.MethodGet, "/facts?data_type=conversion&customer_uuid="+customers[1].String(), "", &of))
	require.Len(t, of.Facts, 1)
	for _, query := range []string{"?status=delivered", "?status=pending", "?data_type=refund", "?customer_uuid=" + uuid.NewString()} {
		var none page
		require.Equal(t, http.StatusOK, a.call(t, key, http.MethodGet, "/facts"+query, "", &none))
		require.Empty(t, none.Facts, query)
	}

	id := of.Facts[0].ID.String()
	var discarded, got outbox.Stored
	require.Equal(t, http.StatusOK, a.call(t, key, http.MethodPost, "/facts/"+id+"/discard", `{"reason":"a test order"}`, &discarded))
	require.Equal(t, "The key", discarded.SettledBy)
	require.Equal(t, http.StatusOK, a.call(t, key, http.MethodGet, "/facts/"+id, "", &got))
	require.Equal(t, discarded, got)
	require.Equal(t, http.StatusConflict, a.call(t, key, http.MethodPost, "/facts/"+id+"/replay", "", nil))

	a.core.set(nil, nil)
	require.Equal(t, http.StatusOK, a.call(t, key, http.MethodPost, "/facts/"+second.Facts[0].ID.String()+"/replay", "", nil))
	a.await(t, "the replayed one is delivered", func() bool { return a.core.total() == 1 })
	var replayed struct{ Replayed int }
	require.Equal(t, http.StatusOK, a.call(t, key, http.MethodPost, "/replay", `{}`, &replayed))
	require.Equal(t, 1, replayed.Replayed)
	a.awaitDelivered(t, a.tenant)
	require.Equal(t, 2, a.core.total())
}

func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	a := setupAPI(t)
	a.add(t, fact(uuid.New(), 1))
	id := a.list(t, "pending")[0].ID.String()
	reader, stranger := a.tenant.String()+"+sync:read", dbtest.Tenant(t, a.url).String()+"+sync:read+sync:write"
	for path, body := range map[string]string{"/replay": "{}", "/facts/" + id + "/replay": "", "/facts/" + id + "/discard": `{"reason":"x"}`} {
		require.Equal(t, http.StatusForbidden, a.call(t, reader, http.MethodPost, path, body, nil), path)
	}
	require.Equal(t, http.StatusForbidden, a.call(t, a.tenant.String()+"+sync:write", http.MethodGet, "", "", nil))
	var none page
	require.Equal(t, http.StatusOK, a.call(t, stranger, http.MethodGet, "/facts?status=pending", "", &none))
	require.Empty(t, none.Facts)
	require.Equal(t, http.StatusNotFound, a.call(t, stranger, http.MethodGet, "/facts/"+id, "", nil))
	require.Equal(t, http.StatusNotFound, a.call(t, stranger, http.MethodPost, "/facts/"+id+"/discard", `{"reason":"x"}`, nil))
	for path, body := range map[string]string{
		"/facts/" + id + "/discard": `{"reason":"  "}`, "/replay": `{"data_type":"a\u0000"}`,
	} {
		require.Equal(t, http.StatusUnprocessableEntity, a.call(t, stranger, http.MethodPost, path, body, nil), body)
	}
	for _, query := range []string{"?cursor=x", "?cursor=-1", "?cursor=99999999999999999999", "?status=lost", "?data_type=%00", "?customer_uuid=x"} {
		require.Equal(t, http.StatusUnprocessableEntity, a.call(t, stranger, http.MethodGet, "/facts"+query, "", nil), query)
	}
}

// Delivered facts are kept for their time and then removed.
func TestDeliveredFactsGo(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *outbox.Config) { c.Keep = time.Second })
	b.start(t)
	b.add(t, fact(uuid.New(), 1))
	b.awaitDelivered(t, b.tenant)
	b.await(t, "it is removed", func() bool {
		left := 0
		require.NoError(t, b.db.Tenant(t.Context(), b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
			return tx.QueryRow(ctx, "SELECT count(*) FROM outbox_facts").Scan(&left)
		}))
		return left == 0
	})
}
