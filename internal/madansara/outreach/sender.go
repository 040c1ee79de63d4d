package outreach

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
)

// Config bounds expansion and sending; a zero field takes its default.
type Config struct {
	// Senders is how many messages of one campaign are sent at once. Default 4.
	Senders int
	// Slice is how long a sender works before it gives its place to the next
	// job. Default 7 s.
	Slice time.Duration
	// SendTimeout is how long the message that a slice ends with may take: servers
	// that scan content answer the final dot after minutes. Default 3 min.
	SendTimeout time.Duration
	// MaxAttempts is how often a message is tried that fails for the time being. Default 5.
	MaxAttempts int
	// RetryAfter is the wait after a message's first such failure; it doubles
	// with each. Default 30 s.
	RetryAfter time.Duration
	// ErrorBurst is how many failures of a sender in a row pause the campaign. Default 20.
	ErrorBurst int
	// Outages is how many runs of a sender within ten minutes may fail to reach
	// the provider at all before the campaign is paused. Default 8.
	Outages int
	// AccountWait is how soon a sender looks again that does not know whose account
	// its messages leave by. Default 15 s.
	AccountWait time.Duration
	// FromEmail and FromName are the sender of a message that names none and leaves by
	// the installation's account.
	FromEmail, FromName string
	// Accounts are the tenants' own; nil: all tenants use the installation's.
	Accounts Accounts
	Policy   Policy
	Logger   *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Senders == 0 {
		c.Senders = 4
	}
	if c.Slice == 0 {
		c.Slice = 7 * time.Second
	}
	if c.SendTimeout == 0 {
		c.SendTimeout = 3 * time.Minute
	}
	if c.MaxAttempts == 0 {
		c.MaxAttempts = 5
	}
	if c.RetryAfter == 0 {
		c.RetryAfter = 30 * time.Second
	}
	if c.ErrorBurst == 0 {
		c.ErrorBurst = 20
	}
	if c.Outages == 0 {
		c.Outages = 8
	}
	if c.AccountWait == 0 {
		c.AccountWait = 15 * time.Second
	}
	if c.Accounts == nil {
		c.Accounts = nobodys{}
	}
	if c.Policy == (Policy{}) {
		c.Policy = DefaultPolicy
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Sender works the jobs of this package: it expands campaigns and sends messages.
type Sender struct {
	db       *engardedb.DB
	clock    clockwork.Clock
	cfg      Config
	adapters map[string]channel.Adapter
	renderer Renderer
	messages *prometheus.CounterVec // channel, outcome
}

// NewSender returns a Sender over the given channels.
func NewSender(db *engardedb.DB, clock clockwork.Clock, renderer Renderer, adapters []channel.Adapter, cfg Config) *Sender {
	s := &Sender{db: db, clock: clock, cfg: cfg.withDefaults(), renderer: renderer, adapters: map[string]channel.Adapter{}, messages: newMessageCounter()}
	for _, adapter := range adapters {
		s.adapters[adapter.Channel()] = adapter
	}
	return s
}

// RegisterWorkers adds the job kinds. Work the queue named [Queue].
func (s *Sender) RegisterWorkers(workers *river.Workers) error {
	if err := river.AddWorkerSafely(workers, &expander{Sender: s}); err != nil {
		return fmt.Errorf("register the expander: %w", err)
	}
	if err := river.AddWorkerSafely(workers, &sendWorker{Sender: s}); err != nil {
		return fmt.Errorf("register the sender: %w", err)
	}
	return nil
}

type sendWorker struct {
	river.WorkerDefaults[sendArgs]
	*Sender
}

// NextRetry takes over at once what a killed process left, and comes back
// slowly to a provider that cannot be reached.
func (w *sendWorker) NextRetry(job *river.Job[sendArgs]) time.Time {
	return w.clock.Now().Add(retryDelay(recentErrors(job.Errors, w.clock.Now())))
}

// retryDelay doubles from nothing to half a minute.
func retryDelay(failures int) time.Duration {
	if failures <= 1 {
		return 0
	}
	return min(time.Second<<min(failures-2, 10), 30*time.Second)
}

// Timeout bounds a run, its last message included.
func (w *sendWorker) Timeout(*river.Job[sendArgs]) time.Duration {
	return w.cfg.Slice + w.cfg.SendTimeout
}

// Work sends until nothing is due or the slice is over.
func (w *sendWorker) Work(ctx context.Context, job *river.Job[sendArgs]) error {
	r := &run{Sender: w.Sender, job: job, log: w.cfg.Logger.With(
		slog.String("campaign", job.Args.Campaign.String()), slog.Int64("job", job.ID))}
	defer r.close(ctx)
	return r.work(ctx)
}
