package app

func (a *App) buildSankore() error {
	router, err := a.router(nil)
	if err != nil {
		return err
	}
	return a.finish(router)
}
