package seo_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/onside/onsidetest"
)

// TestOneTenantDoesNotHoldEveryTurn has a tenant analyse pages of a site that does not answer.
func TestOneTenantDoesNotHoldEveryTurn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	answering := make(chan struct{})
	b.web.Handle("slow.example", "/", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-answering:
		case <-r.Context().Done():
		}
		w.Header().Set("Content-Type", "text/html")
	})
	b.web.HTML("fast.example", "/", "<title>Fast</title>")
	analyze := func(tenant uuid.UUID, host string) onsidetest.Answer {
		return b.api.As(t, tenant).Do("POST", "/api/v1/seo/analyze", map[string]any{"url": b.web.URL(host, "/"), "tenant_uuid": tenant})
	}
	answers := make(chan onsidetest.Answer, 20)
	begin := func(tenant uuid.UUID, times int) {
		for range times {
			go func() { answers <- analyze(tenant, "slow.example") }()
		}
	}
	slow := func(hits int) {
		require.Eventually(t, func() bool { return b.web.Hits("slow.example", "/") == hits }, time.Minute, time.Millisecond)
	}
	refused := func(answer onsidetest.Answer, status int, code string) {
		require.Equal(t, status, answer.Status, answer)
		require.Equal(t, code, answer.Body["code"])
		require.Equal(t, "5", answer.Header.Get("Retry-After"))
		require.Equal(t, "application/problem+json", answer.Header.Get("Content-Type"))
	}

	begin(b.tenant, 10)
	slow(2)
	require.NoError(t, b.clock.BlockUntilContext(t.Context(), 8))
	refused(analyze(b.tenant, "fast.example"), http.StatusTooManyRequests, "rate_limited")
	require.Equal(t, http.StatusOK, analyze(b.other, "fast.example").Status, "another tenant's turn comes at once")

	b.clock.Advance(10 * time.Second)
	for range 8 {
		refused(<-answers, http.StatusTooManyRequests, "rate_limited")
	}
	begin(b.other, 2)
	slow(4)
	third := dbtest.Tenant(t, b.database)
	go func() { answers <- analyze(third, "fast.example") }()
	require.NoError(t, b.clock.BlockUntilContext(t.Context(), 1))
	b.clock.Advance(10 * time.Second)
	refused(<-answers, http.StatusServiceUnavailable, "unavailable")

	go func() { answers <- analyze(third, "fast.example") }()
	require.NoError(t, b.clock.BlockUntilContext(t.Context(), 1))
	close(answering)
	for range 5 {
		answer := <-answers
		require.Equal(t, http.StatusOK, answer.Status, answer)
	}
}
