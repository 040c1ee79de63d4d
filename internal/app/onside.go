package app

import (
	"context"

	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/internal/onside"
	"github.com/engardehq/madansara/internal/retention"
	"github.com/engardehq/madansara/internal/ssrf"
)

func (a *App) buildOnside() error {
	service := onside.New(onside.Config{
		DB: a.db, Clock: a.opts.Clock, Contact: a.opts.Config.PublicBaseURL,
		Guard: ssrf.Guard{AllowLoopback: a.opts.Config.AllowLoopbackURLs},
	})
	a.closing(func(context.Context) error { service.Close(); return nil })
	workers := river.NewWorkers()
	service.RegisterWorkers(workers)
	sweeper := retention.New(a.db, a.opts.Clock, a.opts.Telemetry.Logger, onsideRules(a.opts.Config)...)
	sweeper.RegisterWorkers(workers)
	queues := onside.Queues()
	queues[river.QueueDefault] = river.QueueConfig{MaxWorkers: 1}
	if err := a.makeQueue(workers, queues, sweeper.PeriodicJobs()...); err != nil {
		return err
	}
	service.UseQueue(a.queue)
	router, err := a.router(nil)
	if err != nil {
		return err
	}
	service.Register(router.API())
	return a.finish(router)
}
