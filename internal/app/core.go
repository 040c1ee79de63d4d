package app

import "github.com/engardehq/madansara/internal/core/fact"

func (a *App) buildCore() error {
	router, err := a.router(nil)
	if err != nil {
		return err
	}
	a.accounts.Register(router.API())
	fact.New(a.db, a.opts.Clock).Register(router.API())
	return a.finish(router)
}
