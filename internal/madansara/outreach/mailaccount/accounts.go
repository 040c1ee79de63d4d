package mailaccount

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"golang.org/x/sync/singleflight"

	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
	"github.com/engardehq/madansara/internal/madansara/outreach/channel/email"
	"github.com/engardehq/madansara/internal/ssrf"
	"github.com/engardehq/madansara/mesh"
)

// provider is what Core calls the kind of integration.
const provider = "smtp"

// Config is what Accounts need. Zero bounds take the defaults.
type Config struct {
	Credentials mesh.Credentials // Core's
	// Guard says which mail servers may be dialled; its ports are those of mail. Loopback,
	// where it allows it, may also be spoken to without TLS.
	Guard ssrf.Guard
	// Domain is ours: in Message-ID and in the greeting.
	Domain string
	Clock  clockwork.Clock
	Logger *slog.Logger
	TLS    *tls.Config // nil: the system's roots

	// Fresh is how long an account is used before Core is asked again. Default 5 min.
	Fresh time.Duration
	// FreshNone is the same of the answer that there is none; short, because whoever adds
	// an account means it for the next message. Default 30 s.
	FreshNone time.Duration
	// Stale is how long the last answer goes on while Core cannot be asked, and how long
	// a secret stays in memory. Default 1 h.
	Stale time.Duration
	// Most is how many tenants' answers are kept; the longest unused go first. Default 1000.
	Most int
	// Patience is how long Core may take to answer; a third of it when something is
	// known meanwhile. Default 9 s.
	Patience time.Duration
}

func (c Config) withDefaults() Config {
	for bound, fallback := range map[*time.Duration]time.Duration{
		&c.Fresh: 5 * time.Minute, &c.FreshNone: 30 * time.Second, &c.Stale: time.Hour, &c.Patience: 9 * time.Second,
	} {
		if *bound <= 0 {
			*bound = fallback
		}
	}
	if c.Most <= 0 {
		c.Most = 1000
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.Guard.Ports = ssrf.MailPorts
	return c
}

// Accounts finds tenants' own mail accounts. It is safe for concurrent use.
type Accounts struct {
	cfg    Config
	known  *known
	asking singleflight.Group
}

// New returns the accounts that Core has for tenants.
func New(cfg Config) *Accounts {
	cfg = cfg.withDefaults()
	return &Accounts{cfg: cfg, known: newKnown(cfg.Clock, cfg.Stale, cfg.Most)}
}

// Own returns the tenant's own account, nil when it has none, as Core knew it at since or
// later if Core can be asked. Its error is a *channel.Error: Temporary when nobody knows,
// Misconfigured when the account cannot be used as it was entered.
func (a *Accounts) Own(ctx context.Context, tenant uuid.UUID, name string, since time.Time) (*channel.Account, error) {
	if name != email.Name {
		return nil, nil //nolint:nilnil // no account is an answer
	}
	before := a.known.of(tenant)
	if before != nil && a.isFresh(before, since) {
		return before.account, before.problem
	}
	patience := a.cfg.Patience
	if before != nil {
		patience /= 3
	}
	now, err := a.ask(ctx, tenant, since, patience)
	if err == nil {
		return now.account, now.problem
	}
	if last := a.known.of(tenant); last != nil { // it goes by itself when its time is up
		return last.account, last.problem
	}
	return nil, &channel.Error{
		Kind: channel.Temporary, Stage: channel.StageAccount, Unused: true, Err: err,
		Hint: "The message waits until En Garde Core can say whether the company has a mail account of its own",
	}
}

// Refused drops an account whose log-in the mail server refused: it is used again only
// when Core gives it again.
func (a *Accounts) Refused(tenant uuid.UUID, account *channel.Account) {
	a.known.replace(tenant, account, nil)
}

// Unusable keeps, in the account's place, why it cannot be used: for as long as the
// account would have been used.
func (a *Accounts) Unusable(tenant uuid.UUID, account *channel.Account, problem error) {
	a.known.replace(tenant, account, problem)
}

func (a *Accounts) isFresh(e *entry, since time.Time) bool {
	bound := a.cfg.Fresh
	if e.account == nil && e.problem == nil {
		bound = a.cfg.FreshNone
	}
	return !e.asked.Before(since) && a.cfg.Clock.Since(e.asked) < bound
}

// ask asks Core and keeps the answer. Who asks for a tenant at the same time shares one
// call, unless it began before since.
func (a *Accounts) ask(ctx context.Context, tenant uuid.UUID, since time.Time, patience time.Duration) (*entry, error) {
	for again := false; ; again = true {
		// The call is not one caller's: it ends by its own time.
		detached := context.WithoutCancel(ctx)
		answer := a.asking.DoChan(tenant.String(), func() (any, error) {
			detached, cancel := context.WithTimeout(detached, patience)
			defer cancel()
			return a.fetch(detached, tenant)
		})
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case got := <-answer:
			e, _ := got.Val.(*entry)
			if got.Err != nil || again || !e.asked.Before(since) {
				return e, got.Err
			}
		}
	}
}

func (a *Accounts) fetch(ctx context.Context, tenant uuid.UUID) (*entry, error) {
	e := &entry{asked: a.cfg.Clock.Now()}
	credentials, err := a.cfg.Credentials.Integration(ctx, tenant.String(), provider, "")
	switch {
	case errors.Is(err, mesh.ErrNoIntegration):
	case err != nil:
		a.cfg.Logger.WarnContext(ctx, "a company's mail account could not be asked for",
			slog.String("tenant", tenant.String()), slog.Any("error", err))
		return nil, err
	default:
		e.account, e.problem = a.account(credentials)
	}
	a.known.keep(tenant, e)
	return e, nil
}
