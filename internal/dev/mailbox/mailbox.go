// Package mailbox catches the mail that a development service sends: an SMTP
// server on this machine that delivers nothing, and a web page that shows what
// came. Nothing in production imports it.
package mailbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	smtp "github.com/emersion/go-smtp"
	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
)

// Config of a mailbox. Zero values take the defaults.
type Config struct {
	SMTPAddr     string          // loopback address to receive on; default 127.0.0.1:0, any free port
	MaxMessages  int             // kept; the oldest go first; default 2000
	MaxBytes     int64           // kept in all; default 64 MiB
	MaxMessage   int64           // bytes of one message; default 5 MiB
	Clock        clockwork.Clock // default: the real one
	MaxReceivers int             // connections at a time; default 64
}

// Mailbox holds caught mail in memory.
type Mailbox struct {
	cfg    Config
	server *smtp.Server
	socket net.Listener
	done   chan struct{}
	slots  chan struct{}

	mu    sync.RWMutex
	mails []*Mail // oldest first
	bytes int64
}

// New listens and starts to receive.
func New(cfg Config) (*Mailbox, error) {
	cfg.SMTPAddr = or(cfg.SMTPAddr, "127.0.0.1:0")
	cfg.MaxMessages = or(cfg.MaxMessages, 2000)
	cfg.MaxBytes = or(cfg.MaxBytes, 64<<20)
	cfg.MaxMessage = or(cfg.MaxMessage, 5<<20)
	cfg.MaxReceivers = or(cfg.MaxReceivers, 64)
	if cfg.Clock == nil {
		cfg.Clock = clockwork.NewRealClock()
	}
	if host, _, err := net.SplitHostPort(cfg.SMTPAddr); err != nil || net.ParseIP(host) == nil || !net.ParseIP(host).IsLoopback() {
		return nil, fmt.Errorf("mailbox: %q is not an address of this machine only, such as 127.0.0.1:1025", cfg.SMTPAddr)
	}
	socket, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", cfg.SMTPAddr)
	if err != nil {
		return nil, fmt.Errorf("mailbox: %w", err)
	}
	m := &Mailbox{cfg: cfg, socket: socket, done: make(chan struct{}), slots: make(chan struct{}, cfg.MaxReceivers)}
	m.server = smtp.NewServer(smtp.BackendFunc(m.session))
	m.server.Domain = "mailbox.localhost"
	m.server.MaxMessageBytes = cfg.MaxMessage
	m.server.MaxRecipients = 50
	m.server.MaxLineLength = 4000
	m.server.ReadTimeout, m.server.WriteTimeout = time.Minute, time.Minute
	m.server.EnableSMTPUTF8 = true
	m.server.ErrorLog = slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug)
	go func() {
		defer close(m.done)
		if err := m.server.Serve(socket); err != nil && !errors.Is(err, smtp.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			slog.Error("the mailbox stopped receiving", slog.Any("error", err))
		}
	}()
	return m, nil
}

func or[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// SMTPAddr is where it receives, host:port.
func (m *Mailbox) SMTPAddr() string { return m.socket.Addr().String() }

// Close stops receiving and closes connections.
func (m *Mailbox) Close() error {
	err := m.server.Close()
	// A server closed before it got to serve would serve on.
	_ = m.socket.Close()
	<-m.done
	if err != nil && !errors.Is(err, smtp.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("mailbox: %w", err)
	}
	return nil
}

// Clear forgets all mail.
func (m *Mailbox) Clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mails, m.bytes = nil, 0
}

// Messages returns what was caught and matches query, newest first, at most
// limit. The query's words have to be in the subject, an address or the text.
func (m *Mailbox) Messages(query string, limit int) (found []*Mail, total int) {
	words := strings.Fields(strings.ToLower(query))
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, mail := range slices.Backward(m.mails) {
		if !mail.matches(words) {
			continue
		}
		if total++; len(found) < limit {
			found = append(found, mail)
		}
	}
	return found, total
}

func (m *Mailbox) find(id string) *Mail {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, mail := range m.mails {
		if mail.ID == id {
			return mail
		}
	}
	return nil
}

func (m *Mailbox) keep(mail *Mail) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mails = append(m.mails, mail)
	m.bytes += mail.footprint()
	for len(m.mails) > m.cfg.MaxMessages || m.bytes > m.cfg.MaxBytes && len(m.mails) > 1 {
		m.bytes -= m.mails[0].footprint()
		m.mails[0] = nil
		m.mails = m.mails[1:]
	}
}

// session is one connection; busy ones are asked to come back.
func (m *Mailbox) session(*smtp.Conn) (smtp.Session, error) {
	select {
	case m.slots <- struct{}{}:
		return &session{mailbox: m}, nil
	default:
		return nil, &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 3, 2}, Message: "too many connections, come back"}
	}
}

type session struct {
	mailbox *Mailbox
	from    string
	to      []string
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("read a mail: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("name a mail: %w", err)
	}
	s.mailbox.keep(read(id.String(), s.mailbox.cfg.Clock.Now().UTC(), s.from, s.to, raw))
	return nil
}

func (s *session) Reset() { s.from, s.to = "", nil }

func (s *session) Logout() error {
	<-s.mailbox.slots
	return nil
}
