package email_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	smtp "github.com/emersion/go-smtp"
	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
	"github.com/engardehq/madansara/internal/madansara/outreach/channel/channeltest"
	"github.com/engardehq/madansara/internal/madansara/outreach/channel/email"
)

// script is what the server does with one mail. A nil error accepts the stage.
type script struct {
	auth, mail, rcpt, data error
	dropAt                 string // "rcpt", "data" or "after": the connection ends there
	silent                 bool   // takes the mail and never answers
}

type delivered struct {
	from, to string
	data     []byte
}

// relay is a real SMTP server that follows scripts.
type relay struct {
	server  *smtp.Server
	socket  net.Listener
	addr    string
	release chan struct{} // closed when silence ends

	mu          sync.Mutex
	scripts     []script
	taken       []delivered
	connections int
	ended       int
}

func startRelay(t *testing.T, configure func(s *smtp.Server)) *relay {
	t.Helper()
	r := &relay{release: make(chan struct{})}
	r.server = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		r.mu.Lock()
		r.connections++
		r.mu.Unlock()
		return &relaySession{relay: r, conn: c}, nil
	}))
	r.server.Domain = "relay.example"
	r.server.AllowInsecureAuth = true
	r.server.EnableSMTPUTF8 = true
	r.server.MaxMessageBytes = 1 << 20
	r.server.ErrorLog = quiet{}
	if configure != nil {
		configure(r.server)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r.socket, r.addr = listener, listener.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.server.Serve(listener)
	}()
	t.Cleanup(func() {
		close(r.release)
		r.Stop()
		<-done
	})
	return r
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

// Stop closes the socket too: a server that is closed before it serves would serve on.
func (r *relay) Stop() {
	_ = r.server.Close()
	_ = r.socket.Close()
}

func (r *relay) add(scripts ...script) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.scripts = append(r.scripts, scripts...)
}

func (r *relay) current() script {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.scripts) == 0 {
		return script{}
	}
	return r.scripts[0]
}

func (r *relay) finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.scripts) > 0 {
		r.scripts = r.scripts[1:]
	}
}

func (r *relay) mails() []delivered {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]delivered(nil), r.taken...)
}

func (r *relay) connected() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.connections
}

// left is how many connections ended.
func (r *relay) left() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended
}

type relaySession struct {
	relay    *relay
	conn     *smtp.Conn
	from, to string
}

func (s *relaySession) refuse(err error) error {
	if err != nil {
		s.relay.finish()
	}
	return err
}

func (s *relaySession) drop(stage string) bool {
	if s.relay.current().dropAt != stage {
		return false
	}
	s.relay.finish()
	_ = s.conn.Conn().Close()
	return true
}

func (s *relaySession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *relaySession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		if err := s.refuse(s.relay.current().auth); err != nil {
			return err
		}
		if username != "user" || password != "secret" {
			return smtp.ErrAuthFailed
		}
		return nil
	}), nil
}

func (s *relaySession) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return s.refuse(s.relay.current().mail)
}

func (s *relaySession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	s.drop("rcpt")
	return s.refuse(s.relay.current().rcpt)
}

func (s *relaySession) Data(r io.Reader) error {
	now := s.relay.current()
	if s.drop("data") {
		return errors.New("gone")
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := s.refuse(now.data); err != nil {
		return err
	}
	s.relay.mu.Lock()
	s.relay.taken = append(s.relay.taken, delivered{from: s.from, to: s.to, data: data})
	s.relay.mu.Unlock()
	if s.drop("after") {
		return nil
	}
	s.relay.finish()
	if now.silent {
		<-s.relay.release
	}
	return nil
}

func (s *relaySession) Reset() {}
func (s *relaySession) Logout() error {
	s.relay.mu.Lock()
	defer s.relay.mu.Unlock()
	s.relay.ended++
	return nil
}

// conforming is the relay as the conformance suite sees it.
type conforming struct {
	*relay
	adapter channel.Adapter
}

func (c conforming) Adapter() channel.Adapter { return c.adapter }

func (c conforming) Next(behaviours ...channeltest.Behaviour) {
	for _, b := range behaviours {
		c.add(map[channeltest.Behaviour]script{
			channeltest.Busy:            {rcpt: &smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 2, 0}, Message: "busy"}},
			channeltest.UnknownAddress:  {rcpt: &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}},
			channeltest.UnwantedContent: {data: &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "spam"}},
			channeltest.RefusedLogin:    {auth: smtp.ErrAuthFailed},
			channeltest.DropBefore:      {dropAt: "rcpt"},
			channeltest.DropAfter:       {dropAt: "after"},
			channeltest.Silence:         {silent: true},
		}[b])
	}
}

func (c conforming) Taken() []uuid.UUID {
	var ids []uuid.UUID
	for _, m := range c.mails() {
		header, err := textproto.NewReader(bufio.NewReader(strings.NewReader(string(m.data)))).ReadMIMEHeader()
		if err != nil {
			continue
		}
		id, _, _ := strings.Cut(strings.Trim(header.Get("Message-Id"), "<>"), "@")
		ids = append(ids, uuid.MustParse(id))
	}
	return ids
}

func TestConformance(t *testing.T) {
	t.Parallel()
	channeltest.Run(t, func(t *testing.T) channeltest.Provider {
		t.Helper()
		r := startRelay(t, nil)
		return conforming{relay: r, adapter: newAdapter(t, r, nil)}
	})
}

func newAdapter(t *testing.T, r *relay, change func(c *email.Config)) *email.Adapter {
	t.Helper()
	cfg := email.Config{
		Address: r.addr, Security: email.Plain, Username: "user", Password: "secret", Domain: "mail.example.com",
		ConnectTimeout: 5 * time.Second, CommandTimeout: 5 * time.Second, SubmissionTimeout: 2 * time.Second,
	}
	if change != nil {
		change(&cfg)
	}
	adapter, err := email.New(cfg, clockwork.NewFakeClockAt(time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)))
	require.NoError(t, err)
	return adapter
}
