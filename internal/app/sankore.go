package app

import (
	"github.com/engardehq/madansara/internal/sankore/campaign"
	"github.com/engardehq/madansara/internal/sankore/intelligence"
)

func (a *App) buildSankore() error {
	router, err := a.router(nil)
	if err != nil {
		return err
	}
	campaigns := campaign.New(a.db, a.opts.Clock)
	campaigns.Register(router.API())
	intelligence.New(campaigns, a.mesh.ConversionInsights()).Register(router.API())
	return a.finish(router)
}
