package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/engardehq/madansara/mesh/breaker"
)

// Status is what a service says about its mesh in /health.
type Status struct {
	Status   string                   `json:"status"` // healthy, or degraded when a peer is not
	Services map[string]ServiceStatus `json:"services"`
}

// ServiceStatus is the mesh's view of one peer. It holds no URL.
type ServiceStatus struct {
	Healthy      bool       `json:"healthy"`               // callable, and not unhealthy by its own word
	Circuit      string     `json:"circuit"`               // closed, half_open or open: the best of its addresses
	FailureCount int        `json:"failure_count"`         // failed calls in a row, the most of any address
	Latency      float64    `json:"latency"`               // milliseconds a call takes, lately
	Reported     string     `json:"reported,omitempty"`    // its own word: healthy, degraded, unhealthy
	Addresses    int        `json:"addresses"`             // known
	Ejected      int        `json:"ejected"`               // of them, not called now
	InFlight     int64      `json:"in_flight"`             // calls under way
	RetryInMS    int64      `json:"retry_in_ms,omitempty"` // until an open circuit admits a probe
	CheckedAt    *time.Time `json:"checked_at,omitempty"`  // when it was last asked for its health
}

// Status answers from memory, at once, whatever state the peers are in.
func (m *Mesh) Status() Status {
	status := Status{Status: "healthy", Services: make(map[string]ServiceStatus, len(m.peers))}
	for id, p := range m.peers {
		s := p.status()
		if !s.Healthy {
			status.Status = "degraded"
		}
		status.Services[id] = s
	}
	return status
}

func (p *Peer) status() ServiceStatus {
	list := p.all()
	s := ServiceStatus{Circuit: breaker.Closed.String(), Addresses: len(list), InFlight: p.under.Load()}
	if len(list) == 0 {
		return s
	}
	best := breaker.Open
	alive := false
	for _, e := range list {
		snapshot := e.breaker.Snapshot()
		best = min(best, snapshot.State)
		s.FailureCount = max(s.FailureCount, snapshot.Consecutive)
		if snapshot.State == breaker.Open {
			s.Ejected++
			continue
		}
		if latency := e.load.Latency().Seconds() * 1000; s.Latency == 0 || latency > 0 && latency < s.Latency {
			s.Latency = latency
		}
		h := e.health.Load()
		if h == nil { // not asked yet
			alive = true
			continue
		}
		alive = alive || h.status != "" && h.status != "unhealthy"
		if s.CheckedAt == nil || h.at.After(*s.CheckedAt) {
			s.CheckedAt, s.Reported = &h.at, h.status
		}
	}
	s.Circuit = best.String()
	s.Healthy = best != breaker.Open && alive
	if best == breaker.Open {
		s.RetryInMS = retryIn(list).Milliseconds()
	}
	return s
}

// PeerDetail is everything the mesh knows about a peer. It names addresses, so it is for
// operators and not for /health.
type PeerDetail struct {
	ServiceStatus

	Endpoints []EndpointDetail `json:"endpoints"`
}

// EndpointDetail is one address of a peer.
type EndpointDetail struct {
	Address       string     `json:"address"`
	Circuit       string     `json:"circuit"`
	FailuresInRow int        `json:"failures_in_row"`
	Calls         int        `json:"calls"`    // in the breaker's window
	Failures      int        `json:"failures"` // of them
	RetryInMS     int64      `json:"retry_in_ms,omitempty"`
	Latency       float64    `json:"latency"` // milliseconds
	Pending       int        `json:"pending"` // calls under way
	Reported      string     `json:"reported,omitempty"`
	CheckedAt     *time.Time `json:"checked_at,omitempty"`
	Error         string     `json:"error,omitempty"` // why it could not be asked for its health
}

// Detail answers from memory, at once.
func (m *Mesh) Detail() map[string]PeerDetail {
	all := make(map[string]PeerDetail, len(m.peers))
	for id, p := range m.peers {
		detail := PeerDetail{ServiceStatus: p.status(), Endpoints: []EndpointDetail{}}
		for _, e := range p.all() {
			detail.Endpoints = append(detail.Endpoints, e.detail())
		}
		all[id] = detail
	}
	return all
}

func (e *endpoint) detail() EndpointDetail {
	s := e.breaker.Snapshot()
	d := EndpointDetail{
		Address: e.address.String(), Circuit: s.State.String(), FailuresInRow: s.Consecutive, Calls: s.Calls, Failures: s.Failures,
		RetryInMS: s.RetryIn.Milliseconds(), Latency: e.load.Latency().Seconds() * 1000, Pending: e.load.Pending(),
	}
	if h := e.health.Load(); h != nil {
		d.Reported, d.CheckedAt = h.status, &h.at
		if h.err != nil {
			d.Error = reason(h.err)
		}
	}
	return d
}

// health is an address's last answer to the question after its health.
type health struct {
	status string // "" when there was no usable answer
	body   []byte // of the answer
	err    error
	took   time.Duration
	at     time.Time
}

// monitor asks every address after its health from time to time, until ctx ends.
// An address that is ejected is probed back in this way even when nobody calls it.
func (p *Peer) monitor(ctx context.Context) {
	ticker := p.clock.NewTicker(p.config.HealthEvery)
	defer ticker.Stop()
	for {
		list, err := p.known(ctx)
		if err == nil {
			var asked sync.WaitGroup
			for _, e := range list {
				asked.Go(func() { p.check(ctx, e) })
			}
			asked.Wait()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.Chan():
		}
	}
}

// check asks one address and tells its breaker when that is news: that an address in
// use cannot be reached, or that one on probation can.
func (p *Peer) check(ctx context.Context, e *endpoint) *health {
	permit, allowed := e.breaker.Allow()
	if !allowed {
		return e.health.Load()
	}
	probation := e.breaker.State() != breaker.Closed
	h := p.ask(ctx, e)
	verdict := breaker.Unknown
	switch {
	case ctx.Err() != nil:
	case h.err != nil:
		verdict = breaker.Failure
	case probation:
		// A peer whose own parts fail answers, so it is reachable, but it must
		// say more than "unhealthy" to be trusted with calls again.
		verdict = breaker.Success
		if h.status == "unhealthy" {
			verdict = breaker.Failure
		}
	}
	permit.Done(verdict, 0)
	e.health.Store(h)
	return h
}

// ask sends GET /health to one address. Health is public, so it is not signed.
func (p *Peer) ask(ctx context.Context, e *endpoint) *health {
	ctx, cancel := context.WithTimeout(ctx, p.config.HealthTimeout)
	defer cancel()
	began := p.clock.Now()
	h := &health{at: began}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base.String()+"/health", http.NoBody)
	if err != nil {
		h.err = err
		return h
	}
	response, err := e.transport.RoundTrip(request)
	if err != nil {
		h.err = err
		return h
	}
	defer func() { _ = response.Body.Close() }() // it was read, or reading it failed
	h.body, h.err = io.ReadAll(io.LimitReader(response.Body, 64<<10))
	h.took = p.clock.Since(began)
	if h.err != nil {
		return h
	}
	var says struct {
		Status string `json:"status"`
	}
	switch {
	case json.Unmarshal(h.body, &says) == nil && (says.Status == "healthy" || says.Status == "degraded" || says.Status == "unhealthy"):
		h.status = says.Status
	case response.StatusCode < http.StatusBadRequest:
		h.status = "healthy" // it answers well, in words of its own
	default:
		h.status = "unhealthy"
	}
	return h
}

// PeerHealth is one peer's own /health, as asked now.
type PeerHealth struct {
	Status     string                     `json:"status"` // healthy, degraded, unhealthy or unreachable
	Service    string                     `json:"service,omitempty"`
	Version    string                     `json:"version,omitempty"`
	Components map[string]json.RawMessage `json:"components,omitempty"`
	Latency    float64                    `json:"latency"` // milliseconds
	Error      string                     `json:"error,omitempty"`
}

// Health tells how all services are.
type Health interface {
	// All asks every peer at the same time. It always answers for each of
	// them, within the mesh's HealthTimeout, whatever state they are in.
	All(ctx context.Context) map[string]PeerHealth
}

// All implements [Health].
func (m *Mesh) All(ctx context.Context) map[string]PeerHealth {
	ctx, cancel := context.WithTimeout(ctx, m.config.HealthTimeout)
	defer cancel()
	var mu sync.Mutex
	all := make(map[string]PeerHealth, len(m.peers))
	var asked sync.WaitGroup
	for id, p := range m.peers {
		asked.Go(func() {
			h := p.askNow(ctx)
			mu.Lock()
			defer mu.Unlock()
			all[id] = h
		})
	}
	asked.Wait()
	return all
}

func (p *Peer) askNow(ctx context.Context) PeerHealth {
	list, err := p.known(ctx)
	if err != nil {
		return PeerHealth{Status: "unreachable", Error: "no address is known"}
	}
	best := list[0]
	for _, e := range list[1:] { // one that is in use, if any is
		if e.breaker.State() < best.breaker.State() {
			best = e
		}
	}
	h := p.ask(ctx, best)
	if h.err != nil {
		return PeerHealth{Status: "unreachable", Error: "it did not answer: " + reason(h.err)}
	}
	answer := PeerHealth{}
	if json.Unmarshal(h.body, &answer) != nil {
		answer = PeerHealth{}
	}
	answer.Status, answer.Latency, answer.Error = h.status, h.took.Seconds()*1000, ""
	return answer
}

// reason says why there was no answer without telling an address.
func reason(err error) string {
	var failure net.Error
	switch {
	case neverSent(err):
		return "no connection"
	case errors.As(err, &failure) && failure.Timeout():
		return "too slow"
	default:
		return "the connection broke"
	}
}
