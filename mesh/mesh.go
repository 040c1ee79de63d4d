package mesh

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/engardehq/madansara/mesh/signature"
)

// Mesh calls the peers of one service. Close ends it.
type Mesh struct {
	config  *Config
	peers   map[string]*Peer
	metrics *metrics
	stop    context.CancelFunc
	owned   sync.WaitGroup
}

// New returns a mesh and starts its look-ups and health questions, which end
// with Close. It does not wait for any peer. The error names what is wrong with
// the configuration.
func New(config Config) (*Mesh, error) {
	config = config.withDefaults()
	signer, err := newSigner(config)
	if err != nil {
		return nil, fmt.Errorf("mesh: %w", err)
	}
	m := &Mesh{config: &config, peers: make(map[string]*Peer, len(config.Peers)), metrics: newMetrics()}
	for id, text := range config.Peers {
		base, err := baseURL(id, text)
		if err != nil {
			return nil, fmt.Errorf("mesh: %w", err)
		}
		p := &Peer{
			id: id, base: base, config: &config, clock: config.Clock, log: config.Logger, signer: signer, metrics: m.metrics,
			budget:    NewBudget(config.Retry.Budget, config.Retry.Floor, config.Clock),
			resolving: make(chan struct{}, 1),
			kicked:    make(chan struct{}, 1),
		}
		if config.Tracer != nil {
			p.tracer = config.Tracer.Tracer("github.com/engardehq/madansara/mesh")
		}
		m.peers[id] = p
	}
	if err := m.metrics.register(config.Registerer, m); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	for _, p := range m.peers {
		m.owned.Go(func() { p.watch(ctx) })
		if config.HealthEvery > 0 {
			m.owned.Go(func() { p.monitor(ctx) })
		}
	}
	return m, nil
}

// newSigner returns nil for a mesh that does not sign.
func newSigner(config Config) (*signature.Signer, error) {
	if config.Unsigned {
		if len(config.Secrets) > 0 {
			return nil, errors.New("secrets given to a mesh that is not to sign: Unsigned and Secrets contradict each other")
		}
		return nil, nil //nolint:nilnil // no signer is what was asked for
	}
	keys, err := signature.NewKeys(config.Secrets...)
	if err != nil {
		return nil, err
	}
	return signature.NewSigner(signature.SignerConfig{Keys: keys, Service: config.Service, Clock: config.Clock})
}

// Peer returns the peer with an id. A call to a peer that is not configured
// fails as unreachable, so that a service can start without all of them.
func (m *Mesh) Peer(id string) *Peer {
	if p, ok := m.peers[id]; ok {
		return p
	}
	return &Peer{id: id, config: m.config, clock: m.config.Clock, log: m.config.Logger, metrics: m.metrics, absent: true}
}

// Close ends the mesh's goroutines, waits for them, and closes idle connections.
// Calls under way are not cut off; a hedged one is waited for.
func (m *Mesh) Close() {
	m.stop()
	m.owned.Wait()
	for _, p := range m.peers {
		p.owned.Wait()
		for _, e := range p.all() {
			e.closeIdle()
		}
	}
}
