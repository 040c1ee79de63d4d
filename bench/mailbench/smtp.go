package mailbench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/engardehq/madansara/internal/madansara/outreach"
	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
)

// bareSMTP renders and sends the campaign's mails over as many sessions, with
// nothing recorded: what SMTP and the templates alone would take.
func (b *bench) bareSMTP(ctx context.Context) (perSecond float64, err error) {
	var next atomic.Int64
	started := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for range b.opts.Senders {
		group.Go(func() (err error) {
			session, err := b.adapter.Open(ctx)
			if err != nil {
				return fmt.Errorf("bench: open a session: %w", err)
			}
			defer func() { err = errors.Join(err, session.Close()) }()
			for {
				i := int(next.Add(1))
				if i > b.opts.Recipients {
					return nil
				}
				if err := b.sendBare(ctx, session, i); err != nil {
					return err
				}
			}
		})
	}
	if err := group.Wait(); err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	return float64(b.opts.Recipients) / time.Since(started).Seconds(), nil
}

func (b *bench) sendBare(ctx context.Context, session channel.Session, i int) error {
	id := uuid.New()
	address := fmt.Sprintf("person%d@example.com", i)
	content, err := b.letters.Render(ctx, outreach.Letter{
		Tenant: b.tenant, Message: id, TenantName: "The Shop", CampaignName: "Bench",
		Template:  outreach.Template{UUID: b.template, Channel: "email", Subject: subject, HTML: html},
		Recipient: outreach.Recipient{UUID: id, Email: address, FirstName: "Ti", Traits: []byte(`{"plan":"gold"}`)},
	})
	if err != nil {
		return fmt.Errorf("render: %w", err)
	}
	_, err = session.Send(ctx, channel.Message{
		UUID: id, Tenant: b.tenant, From: channel.Address{Name: "The Shop", Address: "shop@example.com"},
		To: channel.Address{Name: "Ti", Address: address}, Subject: content.Subject, HTML: content.HTML, Text: content.Text,
		UnsubscribeURL: content.UnsubscribeURL,
	})
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// sink is an SMTP server that accepts everything and keeps nothing.
type sink struct {
	address  string
	accepted atomic.Int64
	server   *smtp.Server
	ended    chan error
}

func startSink(ctx context.Context) (*sink, error) {
	listener, err := listen(ctx)
	if err != nil {
		return nil, err
	}
	s := &sink{address: listener.Addr().String(), ended: make(chan error, 1)}
	s.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &sinkSession{sink: s}, nil }))
	s.server.Domain = "sink.example.com"
	s.server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	go func() { s.ended <- s.server.Serve(listener) }()
	return s, nil
}

func (s *sink) count() int { return int(s.accepted.Load()) }

func (s *sink) close() error {
	err := s.server.Close()
	if ended := <-s.ended; ended != nil && !errors.Is(ended, smtp.ErrServerClosed) && !errors.Is(ended, net.ErrClosed) {
		err = errors.Join(err, ended)
	}
	if err != nil {
		return fmt.Errorf("bench: stop the sink: %w", err)
	}
	return nil
}

type sinkSession struct{ sink *sink }

func (*sinkSession) Reset()                               {}
func (*sinkSession) Logout() error                        { return nil }
func (*sinkSession) Mail(string, *smtp.MailOptions) error { return nil }
func (*sinkSession) Rcpt(string, *smtp.RcptOptions) error { return nil }

func (s *sinkSession) Data(r io.Reader) error {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return fmt.Errorf("read a mail: %w", err)
	}
	s.sink.accepted.Add(1)
	return nil
}
