package app

import (
	"context"
	"net/http"
	"strings"

	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/internal/memory"
	"github.com/engardehq/madansara/internal/migrate"
	"github.com/engardehq/madansara/web/apidocs"
)

// makeQueue makes the service's job queue, which Serve works.
func (a *App) makeQueue(workers *river.Workers, queues map[string]river.QueueConfig, periodic ...*river.PeriodicJob) (err error) {
	a.queue, err = jobs.New(a.db, jobs.Config{
		Schema: a.service.queue, Workers: workers, Queues: queues, PeriodicJobs: periodic, Logger: a.opts.Telemetry.Logger,
	})
	return err
}

// router returns the service's surface. openPaths are called by other sites' pages and
// by mail programs: ingest, the tracker, and the links in mails, whose signature is
// what allows.
func (a *App) router(openPaths []string) (*httpkit.Router, error) {
	cfg := a.opts.Config
	peers, err := a.peerGuard()
	if err != nil {
		return nil, err
	}
	limiter := func(perSecond float64) *httpkit.Limiter {
		if perSecond == 0 {
			return nil
		}
		return httpkit.NewLimiter(a.opts.Clock, perSecond, int(2*perSecond), 10_000)
	}
	return httpkit.NewRouter(httpkit.RouterConfig{
		Title: a.service.title, Version: a.opts.Version, Description: a.service.description,
		Authenticator: a.accounts, Peers: peers,
		Origins:   append([]string{cfg.PublicBaseURL}, cfg.CORSOrigins...),
		OpenPaths: openPaths, OwnOrigin: cfg.PublicBaseURL,
		Streams: memory.Streams(),
		Limiter: limiter(cfg.APIRateLimit), IngestLimiter: limiter(cfg.IngestRateLimit),
		ProxyHops:  cfg.TrustedProxyHops,
		Production: strings.HasPrefix(cfg.PublicBaseURL, "https://"),
		Logger:     a.opts.Telemetry.Logger, Observer: a.opts.Telemetry.Observe,
	}), nil
}

// finish adds what every service has: health, its view of the mesh, metrics and the API's
// documentation. more are the service's own checks.
func (a *App) finish(router *httpkit.Router, more ...httpkit.Check) error {
	health := a.health()
	health.Checks = append(health.Checks, more...)
	health.Routes(router)
	router.Handle("GET /api/v1/system/service-mesh-status", http.HandlerFunc(a.meshStatus))
	apidocs.Mount(router.Handle)
	router.Handle("GET /metrics", a.opts.Telemetry.Metrics())
	a.handler = router.Handler()
	return nil
}

func (a *App) health() *httpkit.Health {
	database := func(status httpkit.Status) httpkit.Component {
		return httpkit.Component{"status": status, "pool_stats": a.db.Stats()}
	}
	return &httpkit.Health{
		Service: a.service.id, Version: a.opts.Version,
		Ready: func(ctx context.Context) error { return migrate.Check(ctx, a.db.Pool(), a.service.queue) },
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
				Name: "service_mesh",
				Run: func(context.Context) httpkit.Component {
					status := a.mesh.Status()
					return httpkit.Component{"status": httpkit.Status(status.Status), "services": status.Services}
				},
			},
		},
	}
}
