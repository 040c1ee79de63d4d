// Package mailbench measures how fast a campaign's mails leave: the whole
// pipeline, from the started campaign to every mail recorded as sent, with fsync
// on, over SMTP to a sink on the same machine. It is set against the same
// sessions that send the same mails without a campaign around them.
package mailbench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"
	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/bench/benchdb"
	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/internal/madansara/outreach"
	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
	"github.com/engardehq/madansara/internal/madansara/outreach/channel/email"
	"github.com/engardehq/madansara/internal/madansara/outreach/tracking"
)

// Options size the run; the zero value is the documented one.
type Options struct {
	Recipients int // of the campaign (10,000)
	Senders    int // mails in the air at once (4)
}

// Result is what was measured.
type Result struct {
	Recipients    int
	Senders       int
	MailsPerSec   float64       // from the start of the campaign to its end, expansion included
	SMTPPerSec    float64       // the same mails over the same number of bare sessions
	Ratio         float64       // MailsPerSec / SMTPPerSec
	CommitsPerSec float64       // empty-handed commits of this disk, one after another
	Expanded      time.Duration // until every recipient was decided about
	Cores         int
	PostgreSQL    string
}

// String is the result for people.
func (r Result) String() string {
	return fmt.Sprintf(`campaign of %d mails by %d senders, fsync on, %d cores shared by sink, sender and PostgreSQL %s
whole pipeline:   %6.0f mails/s   %.2f of bare SMTP; every recipient decided about after %s
bare SMTP:        %6.0f mails/s
durable commits:  %6.0f /s, one after another
`, r.Recipients, r.Senders, r.Cores, r.PostgreSQL, r.MailsPerSec, r.Ratio, r.Expanded.Round(10*time.Millisecond), r.SMTPPerSec, r.CommitsPerSec)
}

func (o Options) defaults() Options {
	if o.Recipients == 0 {
		o.Recipients = 10_000
	}
	if o.Senders == 0 {
		o.Senders = 4
	}
	return o
}

// Run measures on a throw-away PostgreSQL with fsync on.
func Run(ctx context.Context, opts Options) (_ Result, err error) {
	opts = opts.defaults()
	database, err := benchdb.Start(ctx)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, database.Stop()) }()
	sink, err := startSink(ctx)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, sink.close()) }()
	b := &bench{opts: opts, url: database.URL, sink: sink, clock: clockwork.NewRealClock()}
	return b.run(ctx)
}

type bench struct {
	opts     Options
	url      string
	sink     *sink
	clock    clockwork.Clock
	db       *engardedb.DB
	adapter  channel.Adapter
	letters  *outreach.Letters
	tenant   uuid.UUID
	segment  uuid.UUID
	template uuid.UUID
}

func (b *bench) run(ctx context.Context) (r Result, err error) {
	r = Result{Recipients: b.opts.Recipients, Senders: b.opts.Senders, Cores: runtime.NumCPU()}
	if err := b.seed(ctx, &r); err != nil {
		return r, err
	}
	cfg := engardedb.Defaults(b.url)
	cfg.Role = "madan_sara_app"
	if b.db, err = engardedb.Open(ctx, cfg); err != nil {
		return r, fmt.Errorf("bench: %w", err)
	}
	defer b.db.Close()
	if b.adapter, err = email.New(email.Config{Address: b.sink.address, Security: email.Plain, Domain: "shop.example.com"}, b.clock); err != nil {
		return r, fmt.Errorf("bench: %w", err)
	}
	signer, err := tracking.NewSigner([]byte("a secret of a benchmark, 32 bytes"), "https://shop.example.com")
	if err != nil {
		return r, fmt.Errorf("bench: %w", err)
	}
	b.letters = outreach.NewLetters(signer, b.clock)
	if r.SMTPPerSec, err = b.bareSMTP(ctx); err != nil {
		return r, err
	}
	if err := b.campaign(ctx, &r); err != nil {
		return r, err
	}
	r.Ratio = r.MailsPerSec / r.SMTPPerSec
	return r, nil
}

const (
	subject = "{{ contact.first_name }}, your hat is waiting"
	html    = `<h1>Hello {{ contact.first_name }}</h1><p>You looked at our <a href="https://shop.example.com/hats">straw hats</a>.</p>
{% if contact.traits.plan == "gold" %}<p>As a gold member you save {{ 10 | times: 2 }} %.</p>{% endif %}
<p><a href="https://shop.example.com/cart">Your cart</a> - <a href="{{ unsubscribe_url }}">Unsubscribe</a></p>`
)

// seed adds a tenant with recipients who agreed, and measures the disk.
func (b *bench) seed(ctx context.Context, r *Result) (err error) {
	admin, err := pgx.Connect(ctx, b.url)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	defer func() { err = errors.Join(err, admin.Close(context.WithoutCancel(ctx))) }()
	if err := admin.QueryRow(ctx, "SHOW server_version").Scan(&r.PostgreSQL); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	b.tenant, b.segment, b.template = uuid.New(), uuid.New(), uuid.New()
	ids := make([]uuid.UUID, b.opts.Recipients)
	for i := range ids {
		if ids[i], err = uuid.NewV7(); err != nil {
			return fmt.Errorf("bench: %w", err)
		}
	}
	for _, statement := range []struct {
		sql  string
		args []any
	}{
		{`INSERT INTO tenants (tenant_uuid, name, created_at) VALUES ($1, 'The Shop', now())`, []any{b.tenant}},
		{`INSERT INTO segments VALUES ($1, $2, 'All', '{"created":{"after":"2000-01-01T00:00:00Z"}}', now(), current_timestamp)`, []any{b.tenant, b.segment}},
		{`INSERT INTO channel_templates VALUES ($1, $2, 'email', 'T', $3, $4, '', now(), current_timestamp)`, []any{b.tenant, b.template, subject, html}},
		{`INSERT INTO contacts (tenant_uuid, contact_uuid, email, first_name, traits, created_at, updated_at)
			SELECT $1, id, 'person' || n || '@example.com', 'Ti', '{"plan":"gold"}', now(), current_timestamp FROM unnest($2::uuid[]) WITH ORDINALITY AS c (id, n)`, []any{b.tenant, ids}},
		{`INSERT INTO consents SELECT $1, id, 'email', 'granted', 'bench', now() FROM unnest($2::uuid[]) AS c (id)`, []any{b.tenant, ids}},
		{`ANALYZE`, nil},
	} {
		if _, err := admin.Exec(ctx, statement.sql, statement.args...); err != nil {
			return fmt.Errorf("bench: seed: %w", err)
		}
	}
	const commits = 300
	started := time.Now()
	for range commits {
		if _, err := admin.Exec(ctx, "UPDATE tenants SET name = name"); err != nil {
			return fmt.Errorf("bench: %w", err)
		}
	}
	r.CommitsPerSec = commits / time.Since(started).Seconds()
	return nil
}

// campaign starts a campaign and waits for its end.
func (b *bench) campaign(ctx context.Context, r *Result) (err error) {
	logger := slog.New(slog.DiscardHandler)
	cfg := outreach.Config{Senders: b.opts.Senders, FromEmail: "shop@example.com", FromName: "The Shop", Logger: logger}
	workers := river.NewWorkers()
	sender := outreach.NewSender(b.db, b.clock, b.letters, []channel.Adapter{b.adapter}, cfg)
	if err := sender.RegisterWorkers(workers); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	queue, err := jobs.New(b.db, jobs.Config{
		Workers: workers, Queues: map[string]river.QueueConfig{outreach.Queue: {MaxWorkers: b.opts.Senders + 1}}, Logger: logger,
	})
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if err := queue.Start(ctx); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(err, queue.Stop(stop))
	}()
	service := outreach.New(b.db, queue, b.clock, cfg)
	draft := outreach.CampaignDraft{Name: "Bench", Segment: b.segment, Template: b.template}
	campaign, err := service.Create(ctx, b.tenant, draft)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	accepted := b.sink.count()
	if _, err := service.Start(ctx, b.tenant, campaign.UUID); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for campaign.Status != outreach.Finished {
		select {
		case <-ctx.Done():
			return fmt.Errorf("bench: %w", context.Cause(ctx))
		case <-ticker.C:
		}
		if campaign, err = service.Get(ctx, b.tenant, campaign.UUID); err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		if campaign.Status == outreach.Paused {
			return fmt.Errorf("bench: the campaign stopped: %s", campaign.PauseReason)
		}
	}
	if got := b.sink.count() - accepted; got != b.opts.Recipients {
		return fmt.Errorf("bench: %d of %d mails were accepted", got, b.opts.Recipients)
	}
	r.MailsPerSec = float64(b.opts.Recipients) / campaign.FinishedAt.Sub(*campaign.StartedAt).Seconds()
	r.Expanded = campaign.ExpandedAt.Sub(*campaign.StartedAt)
	return nil
}

func listen(ctx context.Context) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	return listener, nil
}
