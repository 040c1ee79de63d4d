package app

import (
	"github.com/engardehq/madansara/internal/sankore/allocation"
	"github.com/engardehq/madansara/internal/sankore/campaign"
	"github.com/engardehq/madansara/internal/sankore/competitor"
	"github.com/engardehq/madansara/internal/sankore/intelligence"
)

func (a *App) buildSankore() error {
	router, err := a.router(nil)
	if err != nil {
		return err
	}
	campaigns := campaign.New(a.db, a.opts.Clock)
	campaigns.Register(router.API())
	fares := intelligence.New(campaigns, a.mesh.ConversionInsights(), a.opts.Clock)
	fares.Register(router.API())
	allocation.New(a.db, fares, a.opts.Clock).Register(router.API())
	competitor.New(a.db, a.opts.Clock).Register(router.API())
	return a.finish(router)
}
