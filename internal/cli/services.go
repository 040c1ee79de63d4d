package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"

	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/internal/app"
	"github.com/engardehq/madansara/internal/config"
	"github.com/engardehq/madansara/internal/telemetry"
	"github.com/engardehq/madansara/mesh"
)

// peerVariables name where each peer of Madan Sara is; up serves it at that port.
var peerVariables = map[string]string{mesh.Core: "ENGARDE_CORE_URL", mesh.Onside: "ONSIDE_URL", mesh.Sankore: "SANKORE_URL"}

// listenServices takes the ports of the four services: PORT for Madan Sara, those of the
// peers' URLs for the others.
func listenServices(ctx context.Context, cfg config.Config) (ports, error) {
	p := ports{services: map[string]net.Listener{}}
	listener, err := listen(ctx, "", cfg.Port, "PORT")
	if err != nil {
		return p, err
	}
	p.services[mesh.MadanSara] = listener
	for id, variable := range peerVariables {
		port, err := localPort(variable, cfg.Peers()[id])
		if err != nil {
			return p, err
		}
		if listener, err = listenOr(ctx, "", port, func(other int) string {
			return variable + "=http://localhost:" + strconv.Itoa(other)
		}); err != nil {
			return p, err
		}
		p.services[id] = listener
	}
	return p, nil
}

// localPort is the port that this machine should serve for a URL.
func localPort(variable, text string) (int, error) {
	u, err := url.Parse(text)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", variable, err)
	}
	address, err := netip.ParseAddr(u.Hostname())
	if local := u.Hostname() == "localhost" || err == nil && address.IsLoopback(); !local || u.Port() == "" {
		return 0, usageError{fmt.Errorf("%s=%q: up runs every service on this machine; for example: %s=http://localhost:8100, or unset it", variable, text, variable)}
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		return 0, fmt.Errorf("%s: %w", variable, err)
	}
	return port, nil
}

// running is a service of this process.
type running struct {
	app       *app.App
	telemetry *telemetry.Telemetry
}

type runningServices map[string]running

// services builds all four, each with metrics and traces of its own.
func (s surroundings) services(ctx context.Context, p process, clock clockwork.Clock) (_ runningServices, err error) {
	all := runningServices{}
	defer func() {
		if err != nil {
			err = errors.Join(err, all.close(ctx))
		}
	}()
	shared := s.cfg
	shared.AllowLoopbackURLs = true // the demo shop's pages are on this machine
	shared.MadanSaraURL = "http://127.0.0.1:" + strconv.Itoa(s.cfg.Port)
	for id := range s.ports.services {
		cfg, observed := shared, s.telemetry
		if id != mesh.MadanSara {
			if cfg.Port, err = localPort(peerVariables[id], cfg.Peers()[id]); err != nil {
				return all, err
			}
			cfg.PublicBaseURL = "http://localhost:" + strconv.Itoa(cfg.Port)
			if observed, err = telemetry.Start(ctx, telemetryOptions(cfg, p, id, true)); err != nil {
				return all, err
			}
		}
		service, err := app.New(ctx, app.Options{
			Service: id, Config: cfg, DatabaseURL: s.database.url, Version: programVersion(), Telemetry: observed, Clock: clock,
		})
		if err != nil {
			return all, fmt.Errorf("%s: %w", id, err)
		}
		all[id] = running{app: service, telemetry: observed}
	}
	return all, nil
}

func (all runningServices) close(ctx context.Context) error {
	var errs []error
	for id, service := range all {
		errs = append(errs, closeService(ctx, service.app))
		if id != mesh.MadanSara { // whose telemetry outlives it
			errs = append(errs, stopTelemetry(ctx, service.telemetry))
		}
	}
	return errors.Join(errs...)
}
