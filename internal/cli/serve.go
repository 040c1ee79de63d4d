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
	"github.com/engardehq/madansara/mesh"
)

type serveCommand struct {
	Service string `arg:"" optional:"" default:"madan-sara" enum:"madan-sara,engarde-core,onside,sankore" help:"The service to run: ${enum}."`
}

// localPorts are the services' ports where PORT says no other.
var localPorts = map[string]int{mesh.Core: 8000, mesh.Onside: 8001, mesh.MadanSara: 8002, mesh.Sankore: 8003}

// Run serves until it is told to stop.
func (c *serveCommand) Run(ctx context.Context, p process) (err error) {
	cfg, err := p.configOn(strconv.Itoa(localPorts[c.Service]))
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
	if cfg, err = withKeptSecrets(cfg); err != nil {
		return err
	}
	if database.embedded {
		// Its only user is this process; a real database is migrated by the
		// operator, before the release.
		if err := migrate.Up(ctx, database.url); err != nil {
			return err
		}
	}
	return withTelemetry(ctx, cfg, p, c.Service, cfg.Environment == config.Development, func(t *telemetry.Telemetry) error {
		return serve(ctx, app.Options{
			Service: c.Service, Config: cfg, DatabaseURL: database.url, Version: programVersion(), Telemetry: t, Clock: clockwork.NewRealClock(),
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

func telemetryOptions(cfg config.Config, p process, service string, text bool) telemetry.Options {
	return telemetry.Options{
		Service: service, Version: programVersion(), Environment: cfg.Environment,
		Level: cfg.LogLevel, Text: text, Output: p.stderr,
		SentryDSN: string(cfg.SentryDSN), OTLPEndpoint: cfg.OTLPEndpoint,
	}
}

func withTelemetry(ctx context.Context, cfg config.Config, p process, service string, text bool, fn func(*telemetry.Telemetry) error) (err error) {
	t, err := telemetry.Start(ctx, telemetryOptions(cfg, p, service, text))
	if err != nil {
		return err
	}
	setDefaultLogger(t.Logger)
	defer func() { err = errors.Join(err, stopTelemetry(ctx, t)) }()
	return fn(t)
}

// stopTelemetry gives it five seconds to send what it holds, also when ctx has ended.
func stopTelemetry(ctx context.Context, t *telemetry.Telemetry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return t.Stop(ctx)
}

// loopback is the host of what only this machine may reach.
const loopback = "127.0.0.1"

// listen takes a port of host, of every address when that is empty; variable
// is what chooses another.
func listen(ctx context.Context, host string, port int, variable string) (net.Listener, error) {
	return listenOr(ctx, host, port, func(other int) string { return variable + "=" + strconv.Itoa(other) })
}

// listenOr takes a port; setting says how to choose another.
func listenOr(ctx context.Context, host string, port int, setting func(other int) string) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("port %d is in use by another program; stop it, or choose another port: %s", port, setting(port+100))
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("port %d needs rights this user does not have; choose one above 1023: %s", port, setting(port%1000+8000))
	case err != nil:
		return nil, fmt.Errorf("listen on port %d: %w", port, err)
	}
	return listener, nil
}
