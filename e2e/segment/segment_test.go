// Package segment_test runs the unmodified @segment/analytics-node from npm
// against the service.
package segment_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/internal/madansara/conversion"
	"github.com/engardehq/madansara/internal/madansara/website"
)

func TestAnalyticsNode(t *testing.T) {
	t.Parallel()
	url, db := dbtest.App(t, "madan_sara_app")
	clock := clockwork.NewRealClock()
	accounts := account.New(dbtest.Pool(t, url, "engarde_core_app"), clock)
	tenant := dbtest.Tenant(t, url)
	key, _, err := accounts.CreateKey(t.Context(), tenant, account.NewKey{Kind: account.WriteKey, Name: "shop"})
	require.NoError(t, err)
	queue, err := jobs.New(db, jobs.Config{})
	require.NoError(t, err)
	ingest := website.NewIngest(website.Config{
		DB: db, Keys: accounts, Conversions: conversion.NewRecorder(queue, nil, clock), Clock: clock, Limits: website.DefaultLimits(),
	})
	router := httpkit.NewRouter(httpkit.RouterConfig{Title: "t", Version: "1", Authenticator: accounts, OpenPaths: website.OpenPaths()})
	ingest.Handle(router.Mux())
	var requests atomic.Int64
	server := httptest.NewServer(unreliable(&requests, router.Handler()))
	t.Cleanup(func() {
		server.Close()
		require.NoError(t, ingest.Close(context.WithoutCancel(t.Context())))
	})

	const count = 20
	node := exec.CommandContext(t.Context(), "node", "send.mjs")
	node.Env = append(os.Environ(), "HOST="+server.URL, "WRITE_KEY="+key, "COUNT="+strconv.Itoa(count))
	output, err := node.CombinedOutput()
	require.NoError(t, err, "node and `npm ci` in e2e/segment are needed (make test runs it):\n%s", output)
	require.Equal(t, strconv.Itoa(7*count), strings.TrimSpace(string(output)), "each call was acknowledged")
	require.Greater(t, requests.Load(), int64(7*count/20), "some requests were repeated")

	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.WithoutCancel(t.Context()))) }()
	for sql, want := range map[string]int{
		"select count(*) from page_views where title = 'Home'":                                                count,
		"select count(*) from website_events":                                                                 6 * count,
		"select count(distinct type || name) from website_events":                                             6,
		"select count(*) from website_events where properties->>'name' like '\"hat\" <b>%</b> \U0001F452'":    count,
		"select count(*) from website_sessions where channel = 'instagram' and page_view_count = 1":           count,
		"select count(*) from contacts where email like 'user%@example.com' and first_name = 'Ada'":           count,
		"select count(*) from website_visitors where contact_uuid is not null":                                count,
		"select count(*) from conversion_events where revenue_minor = 1990 and currency = 'EUR'":              count,
		"select count(distinct contact_uuid) from conversion_events":                                          count,
		"select count(*) from contact_identities where kind in ('user_id', 'email')":                          3 * count,
		"select count(*) from website_events where abs(extract(epoch from received_at - occurred_at)) > 30":   count,
		"select count(*) from customer_touchpoints t join contacts using (contact_uuid) where kind = 'visit'": count,
	} {
		var got int
		require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&got))
		require.Equal(t, want, got, sql)
	}
}

// unreliable turns the first request away, and loses the answers of the second
// and the fourth after their events were committed.
func unreliable(requests *atomic.Int64, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch requests.Add(1) {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2, 4:
			next.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		default:
			next.ServeHTTP(w, r)
		}
	})
}
