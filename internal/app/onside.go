package app

import (
	"context"

	"github.com/engardehq/madansara/internal/onside/fetch"
	"github.com/engardehq/madansara/internal/onside/seo"
	"github.com/engardehq/madansara/internal/ssrf"
)

func (a *App) buildOnside() error {
	router, err := a.router(nil)
	if err != nil {
		return err
	}
	fetcher := fetch.New(fetch.Config{
		Guard: ssrf.Guard{AllowLoopback: a.opts.Config.AllowLoopbackURLs}, Contact: a.opts.Config.PublicBaseURL, Clock: a.opts.Clock,
	})
	a.closing(func(context.Context) error { fetcher.Close(); return nil })
	seo.New(a.db, a.opts.Clock, fetcher).Register(router.API())
	return a.finish(router)
}
