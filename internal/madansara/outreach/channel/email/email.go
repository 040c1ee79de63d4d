package email

import (
	"context"
	"errors"
	"time"

	smtp "github.com/emersion/go-smtp"
	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
)

// Name is the channel's.
const Name = "email"

// lastWord is how long the reply to a final dot is awaited after the caller
// gave up: the message is out, and knowing its fate is worth a moment.
const lastWord = 10 * time.Second

// Adapter sends mail through one SMTP relay.
type Adapter struct {
	cfg   Config
	clock clockwork.Clock
}

var _ channel.Adapter = (*Adapter)(nil)

// New returns an adapter; it connects when it first sends.
func New(cfg Config, clock clockwork.Clock) (*Adapter, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Adapter{cfg: cfg, clock: clock}, nil
}

// Channel is part of channel.Adapter.
func (a *Adapter) Channel() string { return Name }

// Send is part of channel.Adapter.
func (a *Adapter) Send(ctx context.Context, m channel.Message) (channel.Receipt, error) {
	s := &session{adapter: a}
	receipt, err := s.Send(ctx, m)
	_ = s.Close() // the message's fate is known; a failed goodbye changes nothing
	return receipt, err
}

// Open is part of channel.Adapter.
func (a *Adapter) Open(ctx context.Context) (channel.Session, error) {
	conn, err := connect(ctx, a.cfg)
	if err != nil {
		return nil, err
	}
	return &session{adapter: a, conn: conn}, nil
}

// session keeps one connection; conn is nil when it was lost.
type session struct {
	adapter *Adapter
	conn    *connection
}

// Send is part of channel.Session.
func (s *session) Send(ctx context.Context, m channel.Message) (channel.Receipt, error) {
	mail, err := compose(s.adapter.cfg, m, s.adapter.clock.Now())
	if err != nil {
		return channel.Receipt{}, err
	}
	stale := s.conn != nil && s.conn.used
	reply, failed := s.attempt(ctx, mail)
	if failed != nil && stale && s.conn == nil && failed.Stage == "mail" && failed.Kind == channel.Temporary && ctx.Err() == nil {
		// Servers close idle connections; nothing of this message was said yet.
		reply, failed = s.attempt(ctx, mail)
	}
	if failed != nil {
		return channel.Receipt{}, failed
	}
	return channel.Receipt{Reply: reply, At: s.adapter.clock.Now().UTC()}, nil
}

// attempt sends over the session's connection, or a new one when there is none,
// and drops the connection when it is of no more use.
func (s *session) attempt(ctx context.Context, mail composed) (string, *channel.Error) {
	if s.conn == nil {
		conn, err := connect(ctx, s.adapter.cfg)
		if err != nil {
			var failed *channel.Error
			errors.As(err, &failed)
			return "", failed
		}
		s.conn = conn
	}
	s.conn.used = true
	reply, failed := s.conn.transact(ctx, mail)
	if failed != nil && !s.conn.reset(failed) {
		_ = s.conn.close(false)
		s.conn = nil
	}
	return reply, failed
}

// Close is part of channel.Session.
func (s *session) Close() error {
	if s.conn == nil {
		return nil
	}
	conn := s.conn
	s.conn = nil
	return conn.close(true)
}

// transact is one mail transaction, up to the reply to the final dot.
func (c *connection) transact(ctx context.Context, mail composed) (string, *channel.Error) {
	stop := context.AfterFunc(ctx, func() { _ = c.wire.Close() })
	defer stop()
	fail := func(stage string, err error) (string, *channel.Error) {
		if ctx.Err() != nil {
			err = errors.Join(context.Cause(ctx), err)
		}
		return "", failure(stage, err)
	}
	options := &smtp.MailOptions{Size: int64(len(mail.data))}
	if mail.utf8 {
		if ok, _ := c.client.Extension("SMTPUTF8"); !ok {
			return "", &channel.Error{Kind: channel.Rejected, Stage: "mail", Err: errors.New("the address needs SMTPUTF8, which the server does not offer")}
		}
		options.UTF8 = true
	}
	if err := c.client.Mail(mail.from, options); err != nil {
		return fail("mail", err)
	}
	if err := c.client.Rcpt(mail.to, nil); err != nil {
		return fail("rcpt", err)
	}
	data, err := c.client.Data()
	if err != nil {
		return fail("data", err)
	}
	// A body that the server does not read must not be written forever.
	if err := c.wire.SetWriteDeadline(time.Now().Add(c.client.CommandTimeout)); err != nil {
		return fail("data", err)
	}
	if _, err := data.Write(mail.data); err != nil {
		return fail("data", err)
	}
	if !stop() {
		return fail("data", context.Cause(ctx)) // the socket is being closed
	}
	return c.finish(ctx, data)
}

// finish writes the final dot and reads the reply. From here a failure without
// a reply is Uncertain, unless not a byte of the last write left.
func (c *connection) finish(ctx context.Context, data *smtp.DataCommand) (string, *channel.Error) {
	patience := context.AfterFunc(ctx, func() { _ = c.wire.SetDeadline(time.Now().Add(lastWord)) })
	defer patience()
	before := c.wire.written.Load()
	response, err := data.CloseWithResponse()
	if err == nil {
		return clip("250 " + response.StatusText), nil
	}
	failed := failure("final dot", err)
	if failed.Reply == "" {
		failed.Kind = channel.Uncertain
		if c.wire.written.Load() == before {
			failed.Kind = channel.Temporary
		}
	}
	return "", failed
}

// reset makes the connection ready for the next message after a refused one;
// false when it is of no more use.
func (c *connection) reset(failed *channel.Error) bool {
	var reply *smtp.SMTPError
	if !errors.As(failed.Err, &reply) {
		return failed.Stage == "mail" && failed.Kind == channel.Rejected // refused before a word was said
	}
	if reply.Code == 421 || failed.Kind == channel.Misconfigured {
		return false
	}
	return c.client.Reset() == nil
}
