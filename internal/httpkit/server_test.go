package httpkit_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/httpkit"
)

const soon = 20 * time.Second

type serving struct {
	address string
	entered chan struct{} // a request is under way
	release chan struct{} // lets it finish
	stop    context.CancelFunc
	ended   chan error
}

func serve(t *testing.T, drain time.Duration) *serving {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(cancel)
	s := &serving{
		address: listener.Addr().String(), stop: cancel,
		entered: make(chan struct{}), release: make(chan struct{}), ended: make(chan error, 1),
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(s.entered)
		select {
		case <-s.release:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, "done")
	})
	go func() {
		s.ended <- httpkit.Serve(ctx, listener, handler, drain, slog.New(slog.DiscardHandler))
	}()
	return s
}

func (s *serving) get(t *testing.T) chan string {
	t.Helper()
	answered := make(chan string, 1)
	request, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, "http://"+s.address+"/", nil)
	require.NoError(t, err)
	go func() {
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			answered <- err.Error()
			return
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			answered <- err.Error()
			return
		}
		answered <- string(body)
	}()
	return answered
}

func wait[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	var value T
	select {
	case value = <-from:
	case <-time.After(soon):
		t.Fatal("nothing happened")
	}
	return value
}

func TestStoppingLetsARequestUnderWayFinish(t *testing.T) {
	t.Parallel()
	s := serve(t, soon)
	answered := s.get(t)
	wait(t, s.entered)
	s.stop()
	require.Eventually(t, func() bool {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.address)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, soon, time.Millisecond, "a stopping server takes new connections")
	select {
	case err := <-s.ended:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	close(s.release)
	require.Equal(t, "done", wait(t, answered))
	require.NoError(t, wait(t, s.ended))
}

func TestDrainingIsBounded(t *testing.T) {
	t.Parallel()
	s := serve(t, 20*time.Millisecond)
	answered := s.get(t)
	wait(t, s.entered)
	s.stop()
	require.ErrorContains(t, wait(t, s.ended), "still running")
	require.NotEqual(t, "done", wait(t, answered))
}

func TestHugeHeadersAreRefused(t *testing.T) {
	t.Parallel()
	s := serve(t, soon)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.address)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	go func() {
		// The server stops reading and answers, so a failed write is expected.
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-Long: ")
		_, _ = conn.Write(bytes.Repeat([]byte("a"), 200<<10))
	}()
	line, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "431")
}
