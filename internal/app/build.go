package app

import (
	"context"
	"fmt"
	"net/mail"
	"strings"

	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/internal/dashboard"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/internal/madansara/attribution"
	"github.com/engardehq/madansara/internal/madansara/contact/segment"
	"github.com/engardehq/madansara/internal/madansara/conversion"
	"github.com/engardehq/madansara/internal/madansara/outreach"
	"github.com/engardehq/madansara/internal/madansara/outreach/tracking"
	"github.com/engardehq/madansara/internal/migrate"
	"github.com/engardehq/madansara/web/apidocs"
)

// openPaths are called by other sites' pages and by mail programs.
var openPaths = []string{
	"/v1/", "/api/v1/website/track", "/ms.js", "/t/",
}

// build makes the parts in the order they need each other: those that work
// jobs, the queue, those that enqueue, and the surface.
func (a *App) build() error {
	clock, logger := a.opts.Clock, a.opts.Telemetry.Logger
	workers := river.NewWorkers()
	models := attribution.New(a.db, clock)
	models.RegisterWorkers(workers)
	signer, err := tracking.NewSigner([]byte(a.opts.Config.SecretKey), a.opts.Config.PublicBaseURL)
	if err != nil {
		return err
	}
	sending, err := a.sending()
	if err != nil {
		return err
	}
	sender := outreach.NewSender(a.db, clock, outreach.NewLetters(signer, clock), nil, sending)
	if err := sender.RegisterWorkers(workers); err != nil {
		return err
	}

	a.queue, err = jobs.New(a.db, jobs.Config{
		Workers: workers,
		Queues: map[string]river.QueueConfig{
			river.QueueDefault: {MaxWorkers: 4},
			outreach.Queue:     {MaxWorkers: 4},
		},
		Logger: logger,
	})
	if err != nil {
		return err
	}

	router := a.router()
	api := router.API()
	a.accounts.Register(api)
	segments := segment.New(a.db, clock)
	segments.Register(api)
	campaigns := outreach.New(a.db, a.queue, clock, sending)
	campaigns.Register(api)
	conversion.New(a.db, a.queue, people{clock}, models, clock).Register(api)
	dashboard.New(dashboard.Config{
		DB: a.db, Clock: clock, Logger: logger, Accounts: a.accounts, Campaigns: campaigns, Segments: segments,
		PublicURL: a.opts.Config.PublicBaseURL, FromName: sending.FromName, FromEmail: sending.FromEmail,
		SecureCookies: strings.HasPrefix(a.opts.Config.PublicBaseURL, "https://"),
	}).Mount(router.Mux())
	a.health().Routes(router)
	apidocs.Mount(router.Handle)
	router.Handle("GET /metrics", a.opts.Telemetry.Metrics())
	a.handler = router.Handler()
	return nil
}

// sending is how messages leave: from SMTP_FROM unless they name a sender.
func (a *App) sending() (outreach.Config, error) {
	cfg := outreach.Config{Logger: a.opts.Telemetry.Logger}
	if a.opts.Config.SMTPHost == "" {
		return cfg, nil
	}
	from, err := mail.ParseAddress(a.opts.Config.SMTPFrom)
	if err != nil {
		return cfg, fmt.Errorf("SMTP_FROM: %w", err)
	}
	cfg.FromEmail, cfg.FromName = from.Address, from.Name
	return cfg, nil
}

func (a *App) router() *httpkit.Router {
	cfg := a.opts.Config
	limiter := func(perSecond float64) *httpkit.Limiter {
		if perSecond == 0 {
			return nil
		}
		return httpkit.NewLimiter(a.opts.Clock, perSecond, int(2*perSecond), 10_000)
	}
	return httpkit.NewRouter(httpkit.RouterConfig{
		Title: "Madan Sara", Version: a.opts.Version,
		Description:   "Turns an audience into customers: records what visitors do, writes to them, and says what earned each purchase.",
		Authenticator: a.accounts,
		Origins:       append([]string{cfg.PublicBaseURL}, cfg.CORSOrigins...),
		OpenPaths:     openPaths, OwnOrigin: cfg.PublicBaseURL,
		Limiter: limiter(cfg.APIRateLimit), IngestLimiter: limiter(cfg.IngestRateLimit),
		ProxyHops:  cfg.TrustedProxyHops,
		Production: strings.HasPrefix(cfg.PublicBaseURL, "https://"),
		Logger:     a.opts.Telemetry.Logger, Observer: a.opts.Telemetry.Observe,
	})
}

func (a *App) health() *httpkit.Health {
	database := func(status httpkit.Status) httpkit.Component {
		return httpkit.Component{"status": status, "pool_stats": a.db.Stats()}
	}
	return &httpkit.Health{
		Service: "madan-sara", Version: a.opts.Version,
		Ready: func(ctx context.Context) error { return migrate.Check(ctx, a.db.Pool()) },
		Checks: []httpkit.Check{
			{
				Name: "database", Critical: true,
				Run: func(ctx context.Context) httpkit.Component {
					if err := a.db.Ping(ctx); err != nil {
						return database(httpkit.Unhealthy)
					}
					return database(httpkit.Healthy)
				},
				Late: func() httpkit.Component { return database(httpkit.Unhealthy) },
			},
			{
				Name: "zerodb",
				Run: func(context.Context) httpkit.Component {
					return httpkit.Component{"status": httpkit.NotConfigured, "configured": false}
				},
			},
		},
	}
}
