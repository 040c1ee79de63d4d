package app

import (
	"strings"

	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/internal/core/audit"
	"github.com/engardehq/madansara/internal/core/fact"
	"github.com/engardehq/madansara/internal/core/integration"
	"github.com/engardehq/madansara/internal/retention"
	"github.com/engardehq/madansara/internal/ssrf"
)

func (a *App) buildCore() error {
	cfg := a.opts.Config
	integrations, err := a.integrations()
	if err != nil {
		return err
	}
	workers := river.NewWorkers()
	integrations.RegisterWorkers(workers)
	sweeper := retention.New(a.db, a.opts.Clock, a.opts.Telemetry.Logger, coreRules(cfg)...)
	sweeper.RegisterWorkers(workers)
	queues := map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 2}}
	if err := a.makeQueue(workers, queues, append(integrations.PeriodicJobs(), sweeper.PeriodicJobs()...)...); err != nil {
		return err
	}
	router, err := a.router(nil)
	if err != nil {
		return err
	}
	api := router.API()
	a.accounts.Register(api)
	a.accounts.RegisterPeople(api, strings.HasPrefix(cfg.PublicBaseURL, "https://"))
	integrations.Register(api)
	audit.New(a.db).Register(api)
	fact.New(a.db, a.opts.Clock).Register(api)
	return a.finish(router)
}

func (a *App) integrations() (*integration.Service, error) {
	keys, err := a.opts.Config.CredentialsKeys()
	if err != nil {
		return nil, err
	}
	keyring, err := integration.NewKeyring(keys...)
	if err != nil {
		return nil, err
	}
	return integration.New(integration.Config{
		DB: a.db, Keys: keyring, Guard: ssrf.Guard{AllowLoopback: a.opts.Config.AllowLoopbackURLs},
		Clock: a.opts.Clock, Logger: a.opts.Telemetry.Logger,
	}), nil
}
