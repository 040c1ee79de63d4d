package mailaccount

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"strconv"
	"time"

	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
	"github.com/engardehq/madansara/internal/madansara/outreach/channel/email"
	"github.com/engardehq/madansara/internal/ssrf"
	"github.com/engardehq/madansara/mesh"
)

// implicitTLS is the port on which TLS begins with the connection (RFC 8314).
const implicitTLS = 465

// account makes what Core answered ready to send. Its error is a Misconfigured
// *channel.Error that says what to mend.
func (a *Accounts) account(c *mesh.IntegrationCredentials) (*channel.Account, error) {
	label := fmt.Sprintf("SMTP integration “%s” (%s)", c.Name, c.Settings["host"])
	unusable := func(format string, args ...any) error {
		return &channel.Error{
			Kind: channel.Misconfigured, Stage: channel.StageAccount, Unused: true,
			Hint: "The company's " + label + " cannot be used: " + fmt.Sprintf(format, args...),
		}
	}
	if c.Provider != provider || c.IntegrationID == "" {
		return nil, unusable("Core answered another integration than the one asked for")
	}
	cfg, err := a.smtp(c)
	if err != nil {
		return nil, unusable("%s", err)
	}
	// Mails are not signed here: the key is the installation's, and the domain is not.
	adapter, err := email.New(cfg, a.cfg.Clock)
	if err != nil {
		return nil, unusable("%s", err)
	}
	from := channel.Address{Name: c.Settings["from_name"], Address: c.Settings["from_email"]}
	if user := c.Settings["username"]; from.Address == "" && isAddress(user) {
		from.Address = user
	}
	return &channel.Account{
		Adapter: &own{Adapter: adapter, label: label}, From: from, Version: c.IntegrationID + " " + c.UpdatedAt.UTC().Format(time.RFC3339Nano),
	}, nil
}

// smtp reads the integration's fields. Core checked them when they were entered; where
// they lead is checked again when it is dialled.
func (a *Accounts) smtp(c *mesh.IntegrationCredentials) (email.Config, error) {
	host, port := c.Settings["host"], uint64(ssrf.MailPorts[0])
	if text := c.Settings["port"]; text != "" {
		var err error
		if port, err = strconv.ParseUint(text, 10, 16); err != nil {
			return email.Config{}, fmt.Errorf("port %q is no port", text)
		}
	}
	security := email.Security(c.Settings["tls"])
	switch {
	case security == "" && port == implicitTLS:
		security = email.TLS
	case security == "":
		security = email.StartTLS
	case security == email.Plain && (!a.cfg.Guard.AllowLoopback || !ssrf.IsLoopback(host)):
		return email.Config{}, errors.New("mail leaves this machine encrypted only, and its tls is none")
	}
	if reason, refused := ssrf.Refused(a.cfg.Guard.CheckHost(host, uint16(port))); refused {
		return email.Config{}, errors.New(reason)
	}
	return email.Config{
		Address: net.JoinHostPort(host, strconv.FormatUint(port, 10)), Security: security,
		Username: c.Settings["username"], Password: c.Credentials["password"],
		Domain: a.cfg.Domain, TLSConfig: a.cfg.TLS, Dial: a.cfg.Guard.Dialer().DialContext,
	}, nil
}

func isAddress(text string) bool {
	parsed, err := mail.ParseAddress(text)
	return err == nil && parsed.Address == text
}

// own is an adapter whose failures say whose account it is, to whoever can mend it.
type own struct {
	*email.Adapter

	label string
}

// Open is part of channel.Adapter.
func (o *own) Open(ctx context.Context) (channel.Session, error) {
	session, err := o.Adapter.Open(ctx)
	if err != nil {
		return nil, o.explain(err)
	}
	return &ownSession{Session: session, own: o}, nil
}

// Send is part of channel.Adapter.
func (o *own) Send(ctx context.Context, m channel.Message) (channel.Receipt, error) {
	receipt, err := o.Adapter.Send(ctx, m)
	return receipt, o.explain(err)
}

type ownSession struct {
	channel.Session

	own *own
}

// Send is part of channel.Session.
func (s *ownSession) Send(ctx context.Context, m channel.Message) (channel.Receipt, error) {
	receipt, err := s.Session.Send(ctx, m)
	return receipt, s.own.explain(err)
}

// explain adds what the people of the company can do about a failure of their account.
func (o *own) explain(err error) error {
	failed, is := errors.AsType[*channel.Error](err)
	if !is || failed.Kind != channel.Misconfigured && !failed.Unused {
		return err
	}
	reason, refused := ssrf.Refused(err)
	told := *failed
	switch {
	case refused:
		told.Hint = "The mail server of the company's " + o.label + " may not be used: " + reason
	case channel.LogInRefused(err):
		told.Hint = "The mail server refused the log-in of the company's " + o.label + ": enter its user name and password anew, then continue"
	case failed.Kind == channel.Temporary:
		told.Hint = "The mail server of the company's " + o.label + " cannot be used at the moment"
	default:
		told.Hint = "The mail server of the company's " + o.label + " does not take its messages: check the account's settings and sender's address, then continue"
	}
	return &told
}
