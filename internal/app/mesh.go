package app

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/config"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/meshstore"
	"github.com/engardehq/madansara/mesh"
	"github.com/engardehq/madansara/mesh/breaker"
	"github.com/engardehq/madansara/mesh/idempotency"
	"github.com/engardehq/madansara/mesh/problem"
	"github.com/engardehq/madansara/mesh/signature"
)

// openMesh makes the service's calls to its peers.
func (a *App) openMesh() (err error) {
	cfg := a.opts.Config
	if cfg.ServiceMeshSecret == "" {
		return errors.New("SERVICE_MESH_SECRET is not set; for example: SERVICE_MESH_SECRET=the output of: openssl rand -hex 32")
	}
	peers := maps.Clone(cfg.Peers())
	delete(peers, a.service.id)
	a.mesh, err = mesh.New(mesh.Config{
		Service: a.service.id, Peers: peers, Secrets: cfg.MeshSecrets(),
		Timeout: time.Duration(cfg.ServiceMeshTimeout), Breaker: breaker.Config{
			Consecutive: cfg.CircuitBreakerThreshold,
			MaxOpenFor:  15 * time.Second, // a peer that is back is used again soon: work waits for it
		},
		Logger: a.opts.Telemetry.Logger, Registerer: a.opts.Telemetry.Registry, Tracer: a.opts.Telemetry.TracerProvider(), Clock: a.opts.Clock,
	})
	if err != nil {
		return err
	}
	a.closing(func(context.Context) error { a.mesh.Close(); return nil })
	return nil
}

// peerGuard lets peers in by their signature, each call once: an operation with an
// Idempotency-Key is carried out once however often it arrives.
func (a *App) peerGuard() (func(http.Handler) http.Handler, error) {
	cfg := a.opts.Config
	server := mesh.ServerConfig{
		Service: a.service.id, Secrets: cfg.MeshSecrets(), Timeout: time.Duration(cfg.ServiceMeshTimeout),
		Nonces:        meshstore.NewNonces(a.db, a.opts.Clock, a.opts.Telemetry.Logger),
		LegacySecrets: cfg.LegacySecrets(), LegacySources: cfg.ServiceMeshLegacySources,
		Logger: a.opts.Telemetry.Logger, Registerer: a.opts.Telemetry.Registry, Clock: a.opts.Clock,
	}
	guard, err := mesh.NewServer(server)
	if err != nil {
		return nil, err
	}
	once := idempotency.Middleware(idempotency.Config{Store: meshstore.NewOperations(a.db, a.opts.Clock, a.opts.Telemetry.Logger), Logger: a.opts.Telemetry.Logger})
	return func(next http.Handler) http.Handler {
		signed := guard(a.asService(once(next)))
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if signature.Signed(r) {
				signed.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}, nil
}

// asService makes the verified sender the request's principal, who may call what it
// needs of this service.
func (a *App) asService(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		identity, ok := signature.From(r.Context())
		if !ok {
			problem.Write(w, problem.New(http.StatusUnauthorized, "signature_missing", "This service answers only signed requests."))
			return
		}
		principal := httpkit.Principal{
			ID: "service " + identity.Source, Service: identity.Source, Name: identity.Source,
			Operations: operationsFor(a.service.id, identity.Source),
		}
		if identity.Tenant != "" {
			tenant, err := uuid.Parse(identity.Tenant)
			if err != nil {
				problem.Write(w, problem.New(http.StatusBadRequest, "tenant_malformed", "The tenant of the call is no UUID."))
				return
			}
			principal.Tenant = tenant
		}
		next.ServeHTTP(w, r.WithContext(httpkit.WithPrincipal(r.Context(), principal)))
	})
}

// meshStatus shows the mesh's view of the peers. Like health it asks for no key, and
// names no address outside development.
func (a *App) meshStatus(w http.ResponseWriter, _ *http.Request) {
	peers := a.mesh.Detail()
	if a.opts.Config.Environment != config.Development {
		for _, peer := range peers {
			for i := range peer.Endpoints {
				peer.Endpoints[i].Address = ""
				if peer.Endpoints[i].Error != "" {
					peer.Endpoints[i].Error = "not reached"
				}
			}
		}
	}
	httpkit.WriteJSON(w, http.StatusOK, map[string]any{"status": a.mesh.Status().Status, "services": peers})
}
