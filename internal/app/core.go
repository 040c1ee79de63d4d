package app

func (a *App) buildCore() error {
	router, err := a.router(nil)
	if err != nil {
		return err
	}
	a.accounts.Register(router.API())
	return a.finish(router)
}
