package outagebench

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// Proxy is the line between Madan Sara and Core: a TCP forwarder that can be cut
// and slowed. The zero delay passes bytes as they come.
type Proxy struct {
	listener net.Listener
	backend  string
	ended    sync.WaitGroup

	mu    sync.Mutex
	cut   bool
	delay time.Duration
	conns map[net.Conn]struct{}
	done  chan struct{} // closed by Close
}

// NewProxy listens on loopback and forwards to backend.
func NewProxy(ctx context.Context, backend string) (*Proxy, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	p := &Proxy{listener: listener, backend: backend, conns: map[net.Conn]struct{}{}, done: make(chan struct{})}
	p.ended.Go(p.accept)
	return p, nil
}

// URL is where the proxy listens.
func (p *Proxy) URL() string { return "http://" + p.listener.Addr().String() }

// Cut breaks the connections there are and those to come, until Heal.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for conn := range p.conns {
		_ = conn.Close() // it is cut
	}
}

// Slow delays every piece of data towards the backend.
func (p *Proxy) Slow(delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = delay
}

// Heal forwards as at first.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.delay = false, 0
}

// Close ends the proxy and waits for its connections. Call it once.
func (p *Proxy) Close() {
	close(p.done)
	_ = p.listener.Close() // accept ends with it
	p.Cut()
	p.ended.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.ended.Go(func() { p.join(client) })
	}
}

func (p *Proxy) join(client net.Conn) {
	defer func() { _ = client.Close() }()
	if !p.keep(client) {
		return
	}
	defer p.forget(client)
	server, err := net.DialTimeout("tcp", p.backend, 5*time.Second)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	var both sync.WaitGroup
	both.Go(func() { p.pass(server, client, true); _ = server.Close() })
	both.Go(func() { p.pass(client, server, false); _ = client.Close() })
	both.Wait()
}

func (p *Proxy) keep(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[conn] = struct{}{}
	return !p.cut
}

func (p *Proxy) forget(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
}

func (p *Proxy) pass(to, from net.Conn, slowly bool) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		p.mu.Lock()
		delay := p.delay
		p.mu.Unlock()
		if slowly && delay > 0 {
			select {
			case <-time.After(delay): // the line's latency
			case <-p.done:
				return
			}
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
