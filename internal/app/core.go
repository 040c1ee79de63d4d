package app

import (
	"strings"

	"github.com/engardehq/madansara/internal/core/audit"
	"github.com/engardehq/madansara/internal/core/fact"
)

func (a *App) buildCore() error {
	router, err := a.router(nil)
	if err != nil {
		return err
	}
	api := router.API()
	a.accounts.Register(api)
	a.accounts.RegisterPeople(api, strings.HasPrefix(a.opts.Config.PublicBaseURL, "https://"))
	audit.New(a.db).Register(api)
	fact.New(a.db, a.opts.Clock).Register(api)
	return a.finish(router)
}
