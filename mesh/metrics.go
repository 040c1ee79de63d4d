package mesh

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/engardehq/madansara/mesh/breaker"
)

// metrics are the mesh's counters; what is a present state is read when scraped.
type metrics struct {
	calls    *prometheus.CounterVec   // peer, call, outcome
	seconds  *prometheus.HistogramVec // peer, call
	attempts *prometheus.CounterVec   // peer, kind
	changes  *prometheus.CounterVec   // peer, to

	mu    sync.RWMutex
	known map[string]*callMetrics // by peer and call
}

// maxCallNames bounds the label values that callers make up.
const maxCallNames = 256

func newMetrics() *metrics {
	return &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mesh_calls_total", Help: "Calls to peers by how they ended: ok, or the kind of error.",
		}, []string{"peer", "call", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mesh_call_seconds", Help: "How long calls took, retries and the answer's body included.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"peer", "call"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mesh_attempts_total",
			Help: "Attempts by why they were made: first, retry, failover (the first address could not be connected), hedge. over_budget counts those that were not made.",
		}, []string{"peer", "kind"}),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mesh_circuit_changes_total", Help: "Changes of the addresses' circuits, by the state they changed to.",
		}, []string{"peer", "to"}),
		known: map[string]*callMetrics{},
	}
}

func (m *metrics) register(r prometheus.Registerer, state prometheus.Collector) error {
	if r == nil {
		return nil
	}
	var failed []error
	for _, c := range []prometheus.Collector{m.calls, m.seconds, m.attempts, m.changes, state} {
		failed = append(failed, r.Register(c))
	}
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("register the mesh's metrics: %w", err)
	}
	return nil
}

// callMetrics are one call's children, found once.
type callMetrics struct {
	parent     *metrics
	peer, call string
	ok, first  prometheus.Counter
	seconds    prometheus.Observer
}

func (m *metrics) call(peer, name string) *callMetrics {
	key := peer + "\x00" + name
	m.mu.RLock()
	known := m.known[key]
	m.mu.RUnlock()
	if known != nil {
		return known
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if known = m.known[key]; known != nil {
		return known
	}
	if len(m.known) >= maxCallNames {
		name = "other"
	}
	known = &callMetrics{
		parent: m, peer: peer, call: name,
		ok:      m.calls.WithLabelValues(peer, name, "ok"),
		first:   m.attempts.WithLabelValues(peer, "first"),
		seconds: m.seconds.WithLabelValues(peer, name),
	}
	if len(m.known) < maxCallNames {
		m.known[key] = known
	}
	return known
}

func (c *callMetrics) observe(outcome string, took time.Duration) {
	if outcome == "ok" {
		c.ok.Inc()
	} else {
		c.parent.calls.WithLabelValues(c.peer, c.call, outcome).Inc()
	}
	c.seconds.Observe(took.Seconds())
}

var (
	descAddresses = prometheus.NewDesc("mesh_addresses", "A peer's addresses by the state of their circuits.", []string{"peer", "circuit"}, nil)
	descUnder     = prometheus.NewDesc("mesh_calls_under_way", "Calls to a peer that have not ended.", []string{"peer"}, nil)
	descHealthy   = prometheus.NewDesc("mesh_peer_healthy", "Whether a peer can be called and says it is healthy: 1 or 0.", []string{"peer"}, nil)
)

// Describe implements prometheus.Collector.
func (m *Mesh) Describe(to chan<- *prometheus.Desc) {
	to <- descAddresses
	to <- descUnder
	to <- descHealthy
}

// Collect implements prometheus.Collector.
func (m *Mesh) Collect(to chan<- prometheus.Metric) {
	for _, p := range m.peers {
		count := map[breaker.State]int{}
		for _, e := range p.all() {
			count[e.breaker.State()]++
		}
		for _, state := range []breaker.State{breaker.Closed, breaker.HalfOpen, breaker.Open} {
			to <- prometheus.MustNewConstMetric(descAddresses, prometheus.GaugeValue, float64(count[state]), p.id, state.String())
		}
		to <- prometheus.MustNewConstMetric(descUnder, prometheus.GaugeValue, float64(p.under.Load()), p.id)
		healthy := 0.0
		if p.status().Healthy {
			healthy = 1
		}
		to <- prometheus.MustNewConstMetric(descHealthy, prometheus.GaugeValue, healthy, p.id)
	}
}
