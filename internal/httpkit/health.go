package httpkit

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// healthTimeout leaves room for writing the answer inside a second.
const healthTimeout = 800 * time.Millisecond

// Status of a service or one of its components.
type Status string

// The states. A component that may fail without stopping the service degrades it.
const (
	Healthy       Status = "healthy"
	Degraded      Status = "degraded"
	Unhealthy     Status = "unhealthy"
	NotConfigured Status = "not_configured" // says nothing against the service
)

// Component is what /health tells of one dependency: "status" and numbers. It
// must hold no URL, credential or tenant data.
type Component map[string]any

// Check asks one dependency.
type Check struct {
	Name string
	// Critical makes the service unhealthy, and not only degraded, when it fails.
	Critical bool
	// Run must return when ctx ends.
	Run func(ctx context.Context) Component
	// Late is the answer when Run has not returned in time.
	Late func() Component
}

// Health answers the three health endpoints.
type Health struct {
	Service, Version string

	Checks []Check
	// Ready says why the service can't serve yet; its error is for the log only.
	Ready func(ctx context.Context) error
}

// Routes adds /health, /health/live and /health/ready.
func (h *Health) Routes(r *Router) {
	r.Handle("GET /health/live", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		WriteJSON(w, http.StatusOK, map[string]any{"status": "alive"})
	}))
	r.Handle("GET /health/ready", http.HandlerFunc(h.ready))
	r.Handle("GET /health", http.HandlerFunc(h.health))
}

func (h *Health) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
	defer cancel()
	failed := make(chan error, 1) // buffered: Ready may end after us
	go func() { failed <- h.Ready(ctx) }()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		logNotReady(r.Context(), err)
		WriteJSON(w, http.StatusServiceUnavailable, map[string]any{"status": "not_ready"})
		return
	}
	WriteJSON(w, http.StatusOK, map[string]any{"status": "ready"})
}

func (h *Health) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
	defer cancel()
	components := make([]Component, len(h.Checks))
	var all sync.WaitGroup
	for i, check := range h.Checks {
		all.Go(func() { components[i] = check.ask(ctx) })
	}
	all.Wait()

	overall := Healthy
	named := map[string]Component{}
	for i, check := range h.Checks {
		named[check.Name] = components[i]
		switch components[i]["status"] {
		case Healthy, NotConfigured:
		case Unhealthy:
			if check.Critical {
				overall = Unhealthy
			} else if overall == Healthy {
				overall = Degraded
			}
		default:
			if overall == Healthy {
				overall = Degraded
			}
		}
	}
	code := http.StatusOK
	if overall == Unhealthy {
		code = http.StatusServiceUnavailable
	}
	WriteJSON(w, code, map[string]any{"status": overall, "service": h.Service, "version": h.Version, "components": named})
}

func (c Check) ask(ctx context.Context) Component {
	answer := make(chan Component, 1) // buffered: Run may end after us
	go func() { answer <- c.Run(ctx) }()
	select {
	case component := <-answer:
		return component
	case <-ctx.Done():
		if c.Late != nil {
			return c.Late()
		}
		return Component{"status": Unhealthy, "reason": "no answer in time"}
	}
}

// WriteJSON answers with a body that must not be cached, for handlers that are no
// operations.
func WriteJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client is gone if this fails
}
