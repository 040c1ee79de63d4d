package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/internal/app"
	"github.com/engardehq/madansara/internal/config"
	"github.com/engardehq/madansara/internal/migrate"
	"github.com/engardehq/madansara/internal/telemetry"
)

type serveCommand struct {
	Service string `arg:"" optional:"" default:"madan-sara" enum:"madan-sara" help:"The service to run: madan-sara."`
}

// Run serves until it is told to stop.
func (c *serveCommand) Run(ctx context.Context, p process) (err error) {
	cfg, err := p.config()
	if err != nil {
		return err
	}
	listener, err := listen(ctx, "", cfg.Port, "PORT")
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // served or not, it is closed by now or unused
	database, err := openDatabase(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, database.stop()) }()
	if cfg, err = withSecretKey(cfg); err != nil {
		return err
	}
	if database.embedded {
		// Its only user is this process; a real database is migrated by the
		// operator, before the release.
		if err := migrate.Up(ctx, database.url); err != nil {
			return err
		}
	}
	return withTelemetry(ctx, cfg, p, cfg.Environment == config.Development, func(t *telemetry.Telemetry) error {
		return serve(ctx, app.Options{
			Config: cfg, DatabaseURL: database.url, Version: programVersion(), Telemetry: t, Clock: clockwork.NewRealClock(),
		}, listener)
	})
}

func serve(ctx context.Context, opts app.Options, listener net.Listener) (err error) {
	service, err := app.New(ctx, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeService(ctx, service)) }()
	return service.Serve(ctx, listener)
}

// closeService gives the parts ten seconds to flush, also when ctx has ended.
func closeService(ctx context.Context, service *app.App) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return service.Close(ctx)
}

func withTelemetry(ctx context.Context, cfg config.Config, p process, text bool, fn func(*telemetry.Telemetry) error) (err error) {
	t, err := telemetry.Start(ctx, telemetry.Options{
		Service: "madan-sara", Version: programVersion(), Environment: cfg.Environment,
		Level: cfg.LogLevel, Text: text, Output: p.stderr,
		SentryDSN: string(cfg.SentryDSN), OTLPEndpoint: cfg.OTLPEndpoint,
	})
	if err != nil {
		return err
	}
	setDefaultLogger(t.Logger)
	defer func() {
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, t.Stop(stopCtx))
	}()
	return fn(t)
}

// loopback is the host of what only this machine may reach.
const loopback = "127.0.0.1"

// listen takes a port of host, of every address when that is empty; variable
// is what chooses another.
func listen(ctx context.Context, host string, port int, variable string) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("port %d is in use by another program; stop it, or choose another port: %s=%d", port, variable, port+100)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("port %d needs rights this user does not have; choose one above 1023: %s=%d", port, variable, port%1000+8000)
	case err != nil:
		return nil, fmt.Errorf("listen on port %d: %w", port, err)
	}
	return listener, nil
}
