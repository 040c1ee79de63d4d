package kill_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"
)

// sink is an SMTP server that accepts everything and remembers it.
type sink struct {
	address string
	mu      sync.Mutex
	changed *sync.Cond
	total   int
	to      map[string]int // accepted mails by recipient
	ids     map[string]int // and by Message-ID
}

func startSink(t *testing.T) *sink {
	t.Helper()
	s := &sink{to: map[string]int{}, ids: map[string]int{}}
	s.changed = sync.NewCond(&s.mu)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.address = listener.Addr().String()
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &sinkSession{sink: s}, nil }))
	server.Domain, server.ErrorLog = "sink.example.com", discard{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener) // ends with Close
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
	return s
}

type discard struct{}

func (discard) Printf(string, ...any) {}
func (discard) Println(...any)        {}

type sinkSession struct {
	sink *sink
	to   []string
}

func (s *sinkSession) Reset()                               { s.to = nil }
func (s *sinkSession) Logout() error                        { return nil }
func (s *sinkSession) Mail(string, *smtp.MailOptions) error { return nil }
func (s *sinkSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

// Data accepts a mail: from here on it is delivered, whether the client hears it or not.
func (s *sinkSession) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("read the mail: %w", err)
	}
	header, _, _ := strings.Cut(string(raw), "\r\n\r\n")
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	for line := range strings.SplitSeq(header, "\r\n") {
		if id, found := strings.CutPrefix(strings.ToLower(line), "message-id:"); found {
			s.sink.ids[strings.TrimSpace(id)]++
		}
	}
	for _, to := range s.to {
		s.sink.to[to]++
	}
	s.sink.total++
	s.sink.changed.Broadcast()
	return nil
}

func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

func (s *sink) has(address string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.to[address] > 0
}

// await returns once n mails were accepted.
func (s *sink) await(t *testing.T, n int) {
	t.Helper()
	late := false
	timer := time.AfterFunc(2*time.Minute, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		late = true
		s.changed.Broadcast()
	})
	defer timer.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.total < n && !late {
		s.changed.Wait()
	}
	require.False(t, late, "%d of %d mails arrived in time", s.total, n)
}

// twice names the recipients and mails that were accepted more than once.
func (s *sink) twice() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, counts := range []map[string]int{s.to, s.ids} {
		for name, n := range counts {
			if n > 1 {
				out = append(out, name)
			}
		}
	}
	return out
}
