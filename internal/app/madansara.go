package app

import (
	"context"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"strconv"
	"strings"

	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/internal/dashboard"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/internal/madansara/attribution"
	"github.com/engardehq/madansara/internal/madansara/contact"
	"github.com/engardehq/madansara/internal/madansara/contact/segment"
	"github.com/engardehq/madansara/internal/madansara/conversion"
	"github.com/engardehq/madansara/internal/madansara/insight"
	"github.com/engardehq/madansara/internal/madansara/outbox"
	"github.com/engardehq/madansara/internal/madansara/outreach"
	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
	"github.com/engardehq/madansara/internal/madansara/outreach/channel/email"
	"github.com/engardehq/madansara/internal/madansara/outreach/mailaccount"
	"github.com/engardehq/madansara/internal/madansara/outreach/template"
	"github.com/engardehq/madansara/internal/madansara/outreach/tracking"
	"github.com/engardehq/madansara/internal/madansara/remember"
	"github.com/engardehq/madansara/internal/madansara/website"
	"github.com/engardehq/madansara/internal/mcpserver"
	"github.com/engardehq/madansara/internal/memory"
	"github.com/engardehq/madansara/internal/ssrf"
	"github.com/engardehq/madansara/web/tracker"
)

// TrackerPath is where sites load the tracker from.
const TrackerPath = "/tracker.js"

func (a *App) buildMadanSara() error {
	models := attribution.New(a.db, a.opts.Clock)
	signer, err := tracking.NewSigner([]byte(a.opts.Config.SecretKey), a.opts.Config.PublicBaseURL)
	if err != nil {
		return err
	}
	mailing, adapters, err := a.mailing()
	if err != nil {
		return err
	}
	kept, err := a.workMadanSara(models, outreach.NewLetters(signer, a.opts.Clock), adapters, mailing)
	if err != nil {
		return err
	}
	return a.serveMadanSara(models, signer, mailing, kept)
}

// workMadanSara makes the job queue and what works its jobs.
func (a *App) workMadanSara(models *attribution.Service, letters *outreach.Letters, adapters []channel.Adapter, mailing outreach.Config) (*remembering, error) {
	clock, logger := a.opts.Clock, a.opts.Telemetry.Logger
	workers := river.NewWorkers()
	kept, err := a.openMemory(context.Background(), workers)
	if err != nil {
		return kept, err
	}
	models.RegisterWorkers(workers)
	models.OnAttributed(kept.conversions(func() *jobs.Queue { return a.queue }))
	insight.NewAsker(insight.NewCounter(a.db, clock), a.mesh).RegisterWorkers(workers)
	sender := outreach.NewSender(a.db, clock, letters, adapters, mailing)
	if err := sender.RegisterWorkers(workers); err != nil {
		return kept, err
	}
	a.opts.Telemetry.Registry.MustRegister(sender.Collector())
	delivery := outbox.NewDelivery(a.db, a.mesh.Sync(), clock, outbox.Config{Logger: logger})
	delivery.RegisterWorkers(workers)
	a.opts.Telemetry.Registry.MustRegister(delivery.Collector())
	if err := a.makeQueue(workers, map[string]river.QueueConfig{
		river.QueueDefault: {MaxWorkers: 4},
		outreach.Queue:     {MaxWorkers: 8},
		outbox.Queue:       {MaxWorkers: 4},
	}); err != nil {
		return kept, err
	}
	kept.jobs.UseQueue(a.queue)
	return kept, nil
}

// serveMadanSara makes the surface: what enqueues, and what only reads.
func (a *App) serveMadanSara(models *attribution.Service, signer *tracking.Signer, mailing outreach.Config, kept *remembering) error {
	clock, logger, cfg := a.opts.Clock, a.opts.Telemetry.Logger, a.opts.Config
	facts := outbox.New(a.db, a.queue, clock)

	router, err := a.router(append(website.OpenPaths(), TrackerPath, "/t/", "/u/"))
	if err != nil {
		return err
	}
	api := router.API()
	a.accounts.Register(api)
	followers := contact.Followers{Facts: facts, Memories: remember.Contacts(kept.jobs)}
	contacts := contact.New(a.db, followers, clock)
	contacts.Register(api)
	website.New(a.db).Register(api)
	segments := segment.New(a.db, clock)
	segments.Register(api)
	templates := template.New(a.db, clock)
	templates.Register(api)
	campaigns := outreach.New(a.db, a.queue, clock, mailing)
	campaigns.Register(api)
	conversions := conversion.New(a.db, a.queue, facts, people{clock, followers}, models, clock)
	conversions.Register(api)
	remembered := memory.New(kept.client, kept.jobs, clock, logger)
	remembered.Register(api)
	router.Handle(mcpserver.Path, mcpserver.Handler(mcpserver.HTTPConfig{
		API: router.Mux(), Origins: append([]string{cfg.PublicBaseURL}, cfg.CORSOrigins...), Version: a.opts.Version, Logger: logger,
	}))
	insights := insight.New(a.db, a.queue, clock)
	insights.Register(api)
	facts.Register(api)
	a.opts.Telemetry.Registry.MustRegister(facts.Collector())
	ingest := website.NewIngest(website.Config{
		DB: a.db, Keys: a.accounts, Conversions: conversions, Followers: followers, Clock: clock, Logger: logger,
		Limits: website.DefaultLimits(),
	})
	a.closing(ingest.Close)
	a.opts.Telemetry.Registry.MustRegister(ingest.Collector())
	a.opts.Telemetry.Watch("ingest_waiting_events", "Events that wait for their transaction.", ingest.Waiting)
	a.opts.Telemetry.Watch("ingest_reading_bytes", "Bytes that have arrived of bodies that are still being read.", ingest.Reading)
	ingest.Handle(router.Mux())
	tracking.New(a.db, signer, facts, clock).Routes(router.Mux())
	router.Handle("GET "+TrackerPath, tracker.Handler())
	dashboard.New(dashboard.Config{
		DB: a.db, Clock: clock, Logger: logger, Accounts: a.accounts, Contacts: contacts, Conversions: conversions,
		Campaigns: campaigns, Insights: insights, Segments: segments, Templates: templates, Memories: remembered,
		PublicURL: cfg.PublicBaseURL, TrackerPath: TrackerPath,
		SecureCookies: strings.HasPrefix(cfg.PublicBaseURL, "https://"),
	}).Mount(router.Mux())
	return a.finish(router, kept.check(logger))
}

// mailing is how mails leave: over the tenant's own account, which Core has; for tenants
// without one over SMTP_HOST, from SMTP_FROM unless they name a sender. Without SMTP_HOST
// those have no channel to send them over.
func (a *App) mailing() (outreach.Config, []channel.Adapter, error) {
	cfg := a.opts.Config
	sending := outreach.Config{Logger: a.opts.Telemetry.Logger}
	own, err := url.Parse(cfg.PublicBaseURL)
	if err != nil {
		return sending, nil, fmt.Errorf("PUBLIC_BASE_URL: %w", err)
	}
	sending.Accounts = mailaccount.New(mailaccount.Config{
		Credentials: a.mesh.Credentials(), Guard: ssrf.Guard{AllowLoopback: cfg.AllowLoopbackURLs}, Domain: own.Hostname(),
		Clock: a.opts.Clock, Logger: a.opts.Telemetry.Logger,
	})
	if cfg.SMTPHost == "" {
		return sending, nil, nil
	}
	from, err := mail.ParseAddress(cfg.SMTPFrom)
	if err != nil {
		return sending, nil, fmt.Errorf("SMTP_FROM: %w", err)
	}
	sending.FromEmail, sending.FromName = from.Address, from.Name
	key, err := cfg.DKIMKey()
	if err != nil {
		return sending, nil, fmt.Errorf("DKIM_PRIVATE_KEY: %w", err)
	}
	adapter, err := email.New(email.Config{
		Address:  net.JoinHostPort(cfg.SMTPHost, strconv.Itoa(cfg.SMTPPort)),
		Security: email.Security(cfg.SMTPTLS), Username: cfg.SMTPUsername, Password: string(cfg.SMTPPassword),
		Domain:    own.Hostname(),
		Signature: email.Signature{Domain: cfg.DKIMDomain, Selector: cfg.DKIMSelector, Key: key},
	}, a.opts.Clock)
	if err != nil {
		return sending, nil, err
	}
	return sending, []channel.Adapter{adapter}, nil
}
