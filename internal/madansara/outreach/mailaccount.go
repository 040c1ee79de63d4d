package outreach

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
)

// MailAccount says whose account a tenant's mails leave by now, and as whom.
type MailAccount struct {
	Own       bool   `json:"own" doc:"Whether it is the company's own SMTP integration; else it is the service's, which companies without one share"`
	FromEmail string `json:"from_email" doc:"Of a mail that names no sender; empty when every campaign has to name one, or nothing is set up"`
	FromName  string `json:"from_name"`
	Problem   string `json:"problem" doc:"Why it cannot be used or is not known, and what to do; empty when nothing is known to be wrong"`
}

// checkTimeout bounds how long a person waits for a mail server.
const checkTimeout = 25 * time.Second

// MailAccount tells by which account a mail of the tenant's would leave now.
func (s *Service) MailAccount(ctx context.Context, tenant uuid.UUID) MailAccount {
	_, account := s.mailAccount(ctx, tenant, time.Time{})
	return account
}

// CheckMailAccount asks for the tenant's own account anew and logs in to it, without
// sending anything. The installation's is its operator's to check.
func (s *Service) CheckMailAccount(ctx context.Context, tenant uuid.UUID) MailAccount {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	own, account := s.mailAccount(ctx, tenant, s.clock.Now())
	if own == nil {
		return account
	}
	session, err := own.Open(ctx)
	if err != nil {
		account.Problem = short(err)
		return account
	}
	_ = session.Close() // it let us in; a broken goodbye says nothing else
	return account
}

func (s *Service) mailAccount(ctx context.Context, tenant uuid.UUID, since time.Time) (*channel.Account, MailAccount) {
	own, err := s.cfg.Accounts.Own(ctx, tenant, "email", since)
	failed, explained := errors.AsType[*channel.Error](err)
	switch {
	case explained && failed.Hint != "":
		return nil, MailAccount{Problem: failed.Hint + "."}
	case err != nil:
		return nil, MailAccount{Problem: "Which account the company's mails leave by is not known at the moment."}
	case own != nil:
		return own, MailAccount{Own: true, FromEmail: own.From.Address, FromName: own.From.Name}
	case s.cfg.FromEmail == "":
		return nil, MailAccount{Problem: "No mail account is set up: add an SMTP integration of the company's own to En Garde Core, or set SMTP_HOST and SMTP_FROM for the service."}
	}
	return nil, MailAccount{FromEmail: s.cfg.FromEmail, FromName: s.cfg.FromName}
}

type mailAccountOutput struct{ Body MailAccount }

func (s *Service) registerMailAccount(api huma.API) {
	const account = path + "/mail-account"
	httpkit.Register(api, operation("get-mail-account", http.MethodGet, account, "See whose account mails leave by", "outreach:read"),
		func(ctx context.Context, _ *struct{}) (*mailAccountOutput, error) {
			return &mailAccountOutput{s.MailAccount(ctx, httpkit.Tenant(ctx))}, nil
		})
	httpkit.Register(api, operation("check-mail-account", http.MethodPost, account+"/check", "Log in to the company's own mail account, and send nothing", "outreach:write"),
		func(ctx context.Context, _ *struct{}) (*mailAccountOutput, error) {
			return &mailAccountOutput{s.CheckMailAccount(ctx, httpkit.Tenant(ctx))}, nil
		})
}
