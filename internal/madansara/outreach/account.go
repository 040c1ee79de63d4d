package outreach

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
)

// Accounts finds the accounts that tenants have of their own. It is safe for concurrent use.
type Accounts interface {
	// Own returns the tenant's own account at a channel, nil when it has none, as it was
	// at since or later where that can be had. Its error is a *channel.Error: nothing may
	// be sent, because nobody knows whose account it would leave by.
	Own(ctx context.Context, tenant uuid.UUID, channelName string, since time.Time) (*channel.Account, error)
	// Refused says that the account's log-in was refused: it is not to be used again
	// unless it is entered anew or asked for anew.
	Refused(tenant uuid.UUID, account *channel.Account)
	// Unusable says the same of an account that was asked for anew, and why: until it is
	// asked for anew once more, Own answers problem. Providers lock an account that is
	// tried again and again.
	Unusable(tenant uuid.UUID, account *channel.Account, problem error)
}

// nobodys is for an installation on which all tenants share its accounts.
type nobodys struct{}

func (nobodys) Own(context.Context, uuid.UUID, string, time.Time) (*channel.Account, error) {
	return nil, nil //nolint:nilnil // no account is an answer
}

func (nobodys) Refused(uuid.UUID, *channel.Account)         {}
func (nobodys) Unusable(uuid.UUID, *channel.Account, error) {}

// installations is who the installation's own account sends as.
func (c Config) installations(adapter channel.Adapter) *channel.Account {
	return &channel.Account{
		Adapter: adapter, From: channel.Address{Name: c.FromName, Address: c.FromEmail}, Domain: channel.DomainOf(c.FromEmail),
	}
}

// line is an open session and the account it was opened with.
type line struct {
	session channel.Session
	account *channel.Account
}

// line returns the run's session over a channel, opened when there is none. Its error is
// a *channel.Error.
func (r *run) line(ctx context.Context, name string) (*line, error) {
	if open := r.lines[name]; open != nil {
		return open, nil
	}
	account, err := r.account(ctx, name, r.campaign.UpdatedAt)
	if err != nil {
		return nil, err
	}
	session, err := account.Open(ctx)
	if channel.LogInRefused(err) && account.Own() {
		return r.renew(ctx, name, account, err)
	}
	return r.keep(name, account, session, err)
}

// account returns what the tenant's messages leave by: its own account, as it was when
// the campaign was started or later, else the installation's.
func (r *run) account(ctx context.Context, name string, since time.Time) (*channel.Account, error) {
	own, err := r.cfg.Accounts.Own(ctx, r.job.Args.Tenant, name, since)
	if err != nil || own != nil {
		return own, err
	}
	adapter, known := r.adapters[name]
	if !known {
		return nil, &channel.Error{
			Kind: channel.Misconfigured, Stage: channel.StageConnect, Unused: true, Err: fmt.Errorf("the channel %q is not set up", name),
		}
	}
	return r.cfg.installations(adapter), nil
}

// renew opens the tenant's account once more after its log-in was refused, if it is
// another one now; else the refusal stands.
func (r *run) renew(ctx context.Context, name string, refused *channel.Account, refusal error) (*line, error) {
	r.hangUp(ctx, name)
	r.cfg.Accounts.Refused(r.job.Args.Tenant, refused)
	account, err := r.account(ctx, name, r.clock.Now())
	if err != nil {
		return nil, err
	}
	if account.Version == refused.Version {
		r.cfg.Accounts.Unusable(r.job.Args.Tenant, account, refusal)
		return nil, refusal
	}
	session, err := account.Open(ctx)
	if channel.LogInRefused(err) && account.Own() {
		r.cfg.Accounts.Refused(r.job.Args.Tenant, account)
	}
	return r.keep(name, account, session, err)
}

func (r *run) keep(name string, account *channel.Account, session channel.Session, err error) (*line, error) {
	if err == nil {
		r.lines[name] = &line{session: session, account: account}
		return r.lines[name], nil
	}
	if _, classified := errors.AsType[*channel.Error](err); !classified {
		// Nothing was sent yet, whatever it was.
		err = &channel.Error{Kind: channel.Temporary, Stage: channel.StageConnect, Unused: true, Err: err}
	}
	return nil, err
}

// deliver hands a message over. A log-in that is refused on the way, because it was
// changed since, is renewed once: nothing of the message was said by then.
func (r *run) deliver(ctx context.Context, name string, from channel.Address, message channel.Message) (channel.Receipt, error) {
	open, err := r.line(ctx, name)
	if err != nil {
		return channel.Receipt{}, err
	}
	receipt, err := open.send(ctx, from, message)
	if !channel.LogInRefused(err) || !open.account.Own() {
		return receipt, err
	}
	if open, err = r.renew(ctx, name, open.account, err); err != nil {
		return channel.Receipt{}, err
	}
	return open.send(ctx, from, message)
}

func (l *line) send(ctx context.Context, from channel.Address, message channel.Message) (channel.Receipt, error) {
	sender, err := l.account.Sender(from)
	if err != nil {
		return channel.Receipt{}, err
	}
	message.From = sender
	return l.session.Send(ctx, message)
}
