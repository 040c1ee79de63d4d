package website_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/madansara/website"
)

func TestOverloadIsAnsweredAndForgotten(t *testing.T) {
	t.Parallel()
	limits := website.DefaultLimits()
	limits.Committers, limits.QueueEvents, limits.Commit = 1, 8, 20*time.Second
	b := setupWith(t, limits, "")
	b.take("/v1/track", `{"event":"first","anonymousId":"v"}`)
	tx, err := b.database.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "lock table website_visitors in access exclusive mode")
	require.NoError(t, err)

	statuses := make(chan answer, 60)
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			key := "mine"
			if i%2 == 1 {
				key = "theirs"
			}
			got, err := b.send(key, "/v1/track", fmt.Sprintf(`{"messageId":"m%d","event":"x","anonymousId":"v"}`, i))
			if err != nil {
				t.Error(err)
			}
			statuses <- got
		})
	}
	require.Eventually(t, func() bool { return len(statuses) >= 60-16 }, time.Minute, time.Millisecond)
	require.LessOrEqual(t, b.ingest.Waiting(), 8)
	require.NoError(t, tx.Rollback(t.Context()))
	wg.Wait()
	close(statuses)
	taken, seen := 0, map[int]int{}
	for a := range statuses {
		seen[a.status]++
		if a.status == 200 {
			taken++
			continue
		}
		require.Contains(t, []int{429, 503}, a.status, a.body)
		require.NotEmpty(t, a.header.Get("Retry-After"))
	}
	require.Positive(t, seen[429]+seen[503])
	require.JSONEq(t, fmt.Sprintf(`[{"n":%d}]`, taken), b.read("select count(*) n from website_events where name = 'x'"))
}

func TestDatabaseDownAcknowledgesNothing(t *testing.T) {
	t.Parallel()
	b := setupWith(t, website.DefaultLimits(), "")
	b.db.Close()
	got := b.post("mine", "/v1/track", `{"event":"x","userId":"u"}`)
	require.Equal(t, 503, got.status, got.body)
	require.NotEmpty(t, got.header.Get("Retry-After"))
	require.NotContains(t, got.body, "closed pool")
}

func TestCloseCommitsWhatWaits(t *testing.T) {
	t.Parallel()
	limits := website.DefaultLimits()
	limits.Committers = 1
	b := setupWith(t, limits, "")
	answers := make(chan answer, 5)
	sent := func(a answer) { answers <- a }
	release := b.hold(sent)
	for i := range 4 {
		b.sendLater(fmt.Sprint("m", i), sent)
	}
	require.Eventually(t, func() bool { return b.ingest.Waiting() == 4 }, time.Minute, time.Millisecond)
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, b.ingest.Close(impatient), context.Canceled)
	late := b.post("mine", "/v1/track", `{"event":"late","anonymousId":"v"}`)
	require.Equal(t, 503, late.status)
	require.Contains(t, late.body, "shutting down")
	release()
	require.NoError(t, b.ingest.Close(t.Context()))
	for range 5 {
		require.Equal(t, 200, (<-answers).status)
	}
}

// TestBodiesThatDoNotEndAreBounded opens requests that send much and never
// finish: together they may hold only so much.
func TestBodiesThatDoNotEndAreBounded(t *testing.T) {
	t.Parallel()
	limits := website.DefaultLimits()
	limits.QueueBytes = 700_000
	b := setupWith(t, limits, "")
	var conns []net.Conn
	for range 2 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp4", strings.TrimPrefix(b.url, "http://"))
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() }) // the server would wait for the rest of a body
		conns = append(conns, conn)
		_, err = fmt.Fprintf(conn, "POST /v1/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Basic bWluZTo=\r\nContent-Length: 400000\r\n\r\n%s", strings.Repeat(" ", 349_990))
		require.NoError(t, err)
	}
	// Before both have arrived, what is sent beside them could turn one of them away.
	require.Eventually(t, func() bool { return b.ingest.Reading() == 2*349_990 }, time.Minute, time.Millisecond)
	body := `{"event":"x","anonymousId":"a","properties":{"a":"` + strings.Repeat("a", 1000) + `"}}`
	turnedAway := b.post("mine", "/v1/track", body)
	require.Equal(t, 503, turnedAway.status, turnedAway.body)
	require.NotEmpty(t, turnedAway.header.Get("Retry-After"))
	for _, conn := range conns {
		require.NoError(t, conn.Close())
	}
	require.Eventually(t, func() bool {
		a, err := b.send("mine", "/v1/track", body)
		return err == nil && a.status == 200
	}, time.Minute, time.Millisecond)
}
