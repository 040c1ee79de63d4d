package mesh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/engardehq/madansara/mesh/balance"
	"github.com/engardehq/madansara/mesh/breaker"
)

// endpoint is one address of a peer, with connections of its own.
type endpoint struct {
	address   netip.AddrPort
	breaker   *breaker.Breaker
	load      balance.PeakEWMA
	transport http.RoundTripper
	closeIdle func()
	health    atomic.Pointer[health]
}

func (p *Peer) newEndpoint(address netip.AddrPort) *endpoint {
	config := p.config.Breaker
	config.Clock = p.clock
	told := config.OnChange
	config.OnChange = func(c breaker.Change) {
		p.changed(address, c)
		if told != nil {
			told(c)
		}
	}
	dialer := &net.Dialer{Timeout: p.config.DialTimeout, KeepAlive: 15 * time.Second}
	target := address.String()
	transport := &http.Transport{
		// The address is fixed here, and not in the URL, so that TLS verifies
		// the peer's name and the Host header carries it.
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, target)
		},
		TLSClientConfig:       p.config.TLS.Clone(),
		ForceAttemptHTTP2:     true,
		TLSHandshakeTimeout:   p.config.DialTimeout,
		MaxIdleConns:          p.config.Concurrency,
		MaxIdleConnsPerHost:   p.config.Concurrency,
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true, // answers are small and the network is private
	}
	e := &endpoint{address: address, breaker: breaker.New(config), transport: transport, closeIdle: transport.CloseIdleConnections}
	if p.config.Wrap != nil {
		e.transport = p.config.Wrap(p.id, address, transport)
	}
	return e
}

// all returns the known addresses.
func (p *Peer) all() []*endpoint {
	if list := p.endpoints.Load(); list != nil {
		return *list
	}
	return nil
}

// known returns the addresses, looking them up when none is known.
func (p *Peer) known(ctx context.Context) ([]*endpoint, error) {
	if list := p.all(); len(list) > 0 {
		return list, nil
	}
	if err := p.resolve(ctx, true); err != nil {
		return nil, err
	}
	return p.all(), nil
}

// maxAddresses bounds how many of a name's addresses are used.
const maxAddresses = 32

// resolve looks the peer's name up and adopts what it finds. An address that
// stays keeps its state and its connections. When the look-up fails or finds
// nothing, the addresses stay as they are: old ones are better than none.
func (p *Peer) resolve(ctx context.Context, onlyIfNone bool) error {
	select {
	case p.resolving <- struct{}{}:
		defer func() { <-p.resolving }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if onlyIfNone {
		if len(p.all()) > 0 {
			return nil
		}
		if p.lookupError != nil && p.clock.Since(p.lookupFailed) < time.Second {
			return p.lookupError // a resolver that fails is not asked by every call
		}
	}
	err := p.lookupAndAdopt(ctx)
	p.lookupError, p.lookupFailed = err, p.clock.Now()
	return err
}

func (p *Peer) lookupAndAdopt(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	addresses, err := p.lookup(ctx)
	if err != nil {
		return fmt.Errorf("look up %s: %w", p.base.Hostname(), err)
	}
	if len(addresses) == 0 {
		return fmt.Errorf("look up %s: it has no address", p.base.Hostname())
	}
	port, err := strconv.ParseUint(portOf(p.base.Port(), p.base.Scheme), 10, 16)
	if err != nil {
		return fmt.Errorf("port of %s: %w", p.id, err)
	}
	p.adopt(addresses, uint16(port))
	return nil
}

func portOf(port, scheme string) string {
	switch {
	case port != "":
		return port
	case scheme == "https":
		return "443"
	default:
		return "80"
	}
}

func (p *Peer) lookup(ctx context.Context) ([]netip.Addr, error) {
	if literal, err := netip.ParseAddr(p.base.Hostname()); err == nil {
		return []netip.Addr{literal}, nil
	}
	return p.config.Resolver.Lookup(ctx, p.base.Hostname())
}

func (p *Peer) adopt(addresses []netip.Addr, port uint16) {
	addresses = slices.Clone(addresses) // the resolver's own
	for i, address := range addresses {
		addresses[i] = address.Unmap()
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	addresses = slices.Compact(addresses)
	if len(addresses) > maxAddresses {
		addresses = addresses[:maxAddresses]
	}
	old := p.all()
	list := make([]*endpoint, 0, len(addresses))
	added := 0
	for _, address := range addresses {
		target := netip.AddrPortFrom(address, port)
		if i := slices.IndexFunc(old, func(e *endpoint) bool { return e.address == target }); i >= 0 {
			list = append(list, old[i])
			continue
		}
		list = append(list, p.newEndpoint(target))
		added++
	}
	p.endpoints.Store(&list)
	gone := 0
	for _, e := range old {
		if !slices.Contains(list, e) {
			e.closeIdle() // calls under way finish on their own connections
			gone++
		}
	}
	if added > 0 || gone > 0 {
		say := p.log.Info
		if len(old) == 0 {
			say = p.log.Debug // found where the settings say: nothing changed
		}
		say("mesh peer's addresses", "peer", p.id, "addresses", len(list), "added", added, "gone", gone)
	}
}

var errNoneReady = errors.New("every address failed lately")

// choose picks the address of the next attempt and takes its breaker's permit.
// An address on probation gets the first call that could be repeated elsewhere,
// so that it is probed back in; else the less loaded of two random ones is
// taken. Those in tried come last.
func (p *Peer) choose(list, tried []*endpoint, repeatable bool) (*endpoint, breaker.Permit, error) {
	if len(list) == 1 {
		if permit, ok := list[0].breaker.Allow(); ok {
			return list[0], permit, nil
		}
		return nil, breaker.Permit{}, errNoneReady
	}
	var storage [maxAddresses]*endpoint
	closed, probation := storage[:0], make([]*endpoint, 0, 4)
	for _, e := range list {
		if slices.Contains(tried, e) {
			continue
		}
		switch {
		case e.breaker.State() == breaker.Closed:
			closed = append(closed, e)
		case e.breaker.Ready():
			probation = append(probation, e)
		}
	}
	if repeatable || len(closed) == 0 {
		for _, e := range probation {
			if permit, ok := e.breaker.Allow(); ok {
				return e, permit, nil
			}
		}
	}
	now := p.clock.Now()
	for len(closed) > 0 {
		i := balance.Choose(len(closed), nil, func(i int) float64 { return closed[i].load.Load(now) })
		if permit, ok := closed[i].breaker.Allow(); ok {
			return closed[i], permit, nil
		}
		closed = slices.Delete(closed, i, i+1) // it opened meanwhile
	}
	if len(tried) > 0 {
		return p.choose(list, nil, repeatable)
	}
	return nil, breaker.Permit{}, errNoneReady
}

// retryIn is when the first address admits a probe.
func retryIn(list []*endpoint) time.Duration {
	soonest := time.Duration(-1)
	for _, e := range list {
		if in := e.breaker.Snapshot().RetryIn; soonest < 0 || in < soonest {
			soonest = in
		}
	}
	return max(0, soonest)
}

// changed logs and counts a change of an address's breaker.
func (p *Peer) changed(address netip.AddrPort, c breaker.Change) {
	level := p.log.Info
	if c.To == breaker.Open {
		level = p.log.Warn
	}
	level("mesh circuit "+c.To.String(), "peer", p.id, "address", address.String(), "from", c.From.String(), "to", c.To.String())
	p.metrics.changes.WithLabelValues(p.id, c.To.String()).Inc()
	if c.To == breaker.Open {
		p.kick() // perhaps the peer moved
	}
}

// kick asks the watcher for a look-up soon.
func (p *Peer) kick() {
	select {
	case p.kicked <- struct{}{}:
	default:
	}
}

// watch looks the peer's name up from time to time, and when asked by kick,
// until ctx ends.
func (p *Peer) watch(ctx context.Context) {
	ticker := p.clock.NewTicker(p.config.ResolveEvery)
	defer ticker.Stop()
	var last time.Time
	failing := false
	for {
		if now := p.clock.Now(); now.Sub(last) >= min(time.Second, p.config.ResolveEvery) {
			last = now
			err := p.resolve(ctx, false)
			if err != nil && !failing && ctx.Err() == nil {
				p.log.Warn("mesh peer cannot be looked up", "peer", p.id, "error", err)
			}
			failing = err != nil
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.Chan():
		case <-p.kicked:
		}
	}
}
