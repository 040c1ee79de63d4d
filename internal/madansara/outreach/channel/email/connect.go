package email

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"sync/atomic"
	"time"

	"github.com/emersion/go-sasl"
	smtp "github.com/emersion/go-smtp"

	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
)

// wire is the TCP connection. It counts what the kernel took over, which tells
// whether the final dot can have left the machine.
type wire struct {
	net.Conn
	written atomic.Int64
}

func (w *wire) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	w.written.Add(int64(n))
	return n, err //nolint:wrapcheck // the caller compares net errors
}

// connection is one greeted and authenticated SMTP connection.
type connection struct {
	wire   *wire
	client *smtp.Client
	used   bool // a message was tried on it
}

// connect dials, secures, greets and logs in; its errors are *channel.Error.
func connect(ctx context.Context, cfg Config) (*connection, error) {
	conn, err := cfg.Dial(ctx, "tcp", cfg.Address)
	if err != nil {
		return nil, unused(cfg, channel.StageConnect, err)
	}
	w := &wire{Conn: conn}
	// The client has no context: closing the socket is what ends its calls.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	client, stage, err := greet(ctx, w, cfg)
	if err == nil {
		stage, err = channel.StageLogIn, logIn(client, cfg)
	}
	if err != nil {
		_ = conn.Close() // the failure above is what counts
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, unused(cfg, stage, err)
	}
	return &connection{wire: w, client: client}, nil
}

// unused is the failure of a connection on which no message was begun.
func unused(cfg Config, stage string, err error) *channel.Error {
	failed := failure(stage, err)
	failed.Unused, failed.Reply = true, cfg.withoutSecrets(failed.Reply)
	return failed
}

// greet returns a client that has said EHLO over the secured connection, or the
// stage that failed.
func greet(ctx context.Context, w *wire, cfg Config) (*smtp.Client, string, error) {
	var conn net.Conn = w
	if err := conn.SetDeadline(time.Now().Add(cfg.ConnectTimeout)); err != nil {
		return nil, channel.StageConnect, err
	}
	if cfg.Security == StartTLS {
		if err := askForTLS(w, cfg.Domain); err != nil {
			return nil, "starttls", err
		}
	}
	if cfg.Security != Plain {
		secured := tls.Client(w, cfg.TLSConfig)
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, "tls", err
		}
		conn = secured
	}
	if cfg.Security == StartTLS {
		// The server does not greet again, and the client waits for a greeting.
		conn = &greeted{Conn: conn, rest: strings.NewReader("220 ready\r\n")}
	}
	client := smtp.NewClient(conn)
	client.CommandTimeout = cfg.ConnectTimeout // of the greeting and EHLO
	client.SubmissionTimeout = cfg.SubmissionTimeout
	if err := client.Hello(cfg.Domain); err != nil {
		return nil, "greeting", err
	}
	client.CommandTimeout = cfg.CommandTimeout
	return client, "", nil
}

// askForTLS speaks the plain-text part of STARTTLS under our own name; the
// library's client would introduce itself as localhost, which relays refuse.
func askForTLS(w *wire, domain string) error {
	text := textproto.NewConn(w)
	if _, _, err := text.ReadResponse(220); err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	if _, err := text.Cmd("EHLO %s", domain); err != nil {
		return fmt.Errorf("EHLO: %w", err)
	}
	_, extensions, err := text.ReadResponse(250)
	if err != nil {
		return fmt.Errorf("EHLO: %w", err)
	}
	if !offers(extensions, "STARTTLS") {
		return errNoSTARTTLS
	}
	if _, err := text.Cmd("STARTTLS"); err != nil {
		return fmt.Errorf("STARTTLS: %w", err)
	}
	if _, _, err := text.ReadResponse(220); err != nil {
		return fmt.Errorf("STARTTLS: %w", err)
	}
	if text.R.Buffered() > 0 {
		// Plain text smuggled in behind the answer would be read as if it were
		// protected.
		return errors.New("the server sent more than its answer to STARTTLS")
	}
	return nil
}

var (
	errNoSTARTTLS = errors.New("the server does not offer STARTTLS")
	errNoAuth     = errors.New("the server offers neither AUTH PLAIN nor AUTH LOGIN")
)

func offers(extensions, name string) bool {
	for line := range strings.Lines(extensions) {
		if strings.EqualFold(strings.TrimSpace(line), name) {
			return true
		}
	}
	return false
}

// greeted is a connection that reads a greeting first.
type greeted struct {
	net.Conn
	rest *strings.Reader
}

func (g *greeted) Read(b []byte) (int, error) {
	if n, err := g.rest.Read(b); !errors.Is(err, io.EOF) {
		return n, err //nolint:wrapcheck // a reader in memory
	}
	return g.Conn.Read(b) //nolint:wrapcheck // the caller compares net errors
}

func logIn(client *smtp.Client, cfg Config) error {
	if cfg.Username == "" {
		return nil
	}
	switch {
	case client.SupportsAuth(sasl.Plain):
		return client.Auth(sasl.NewPlainClient("", cfg.Username, cfg.Password))
	case client.SupportsAuth(sasl.Login):
		return client.Auth(sasl.NewLoginClient(cfg.Username, cfg.Password))
	default:
		return errNoAuth
	}
}

// close says goodbye if the connection still listens.
func (c *connection) close(polite bool) error {
	if !polite {
		_ = c.wire.Close() // it is broken already
		return nil
	}
	c.client.CommandTimeout = 5 * time.Second
	if err := c.client.Quit(); err != nil {
		_ = c.wire.Close() // Quit leaves it open when it fails
		return fmt.Errorf("email: say goodbye: %w", err)
	}
	return nil
}
