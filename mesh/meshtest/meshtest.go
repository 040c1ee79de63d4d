// Package meshtest helps to test what calls over a mesh: real servers on
// several loopback addresses, and a name that resolves to them.
package meshtest

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// Host is the name that a [Cluster]'s resolver knows.
const Host = "peer.internal"

// Cluster is one service on several addresses with one port, as a name with
// several A records is. Replicas can be stopped and started.
type Cluster struct {
	t       testing.TB
	handler func(replica int) http.Handler
	port    uint16
	Hits    []atomic.Int64 // requests that reached each replica

	mu      sync.Mutex
	servers []*httptest.Server // nil: stopped
	listed  []netip.Addr
}

// NewCluster starts n replicas, at most 9, on 127.0.0.1, 127.0.0.2 and so on.
// The test's end stops them.
func NewCluster(tb testing.TB, n int, handler func(replica int) http.Handler) *Cluster {
	tb.Helper()
	c := &Cluster{t: tb, handler: handler, Hits: make([]atomic.Int64, n), servers: make([]*httptest.Server, n)}
	tb.Cleanup(func() {
		for i := range n {
			c.Stop(i)
		}
	})
	for range 20 { // a port that is free on one address may be taken on another
		if c.startAll() {
			return c
		}
		for i := range n {
			c.Stop(i)
		}
		c.port = 0
	}
	tb.Fatal("no port is free on all loopback addresses")
	return nil
}

func (c *Cluster) startAll() bool {
	c.listed = nil
	for i := range c.servers {
		c.listed = append(c.listed, c.Address(i).Addr())
		if !c.start(i) {
			return false
		}
	}
	return true
}

// Address is a replica's address.
func (c *Cluster) Address(replica int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(replica + 1)}), c.port)
}

// URL is the cluster's base URL, by its name.
func (c *Cluster) URL() string {
	return "http://" + net.JoinHostPort(Host, strconv.Itoa(int(c.port)))
}

// Start starts a replica that was stopped, on its old address.
func (c *Cluster) Start(replica int) {
	c.t.Helper()
	if !c.start(replica) {
		c.t.Fatalf("replica %d cannot have its address again", replica)
	}
}

func (c *Cluster) start(replica int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	listener, err := new(net.ListenConfig).Listen(c.t.Context(), "tcp", c.Address(replica).String())
	if err != nil {
		return false
	}
	if c.port == 0 {
		c.port = netip.MustParseAddrPort(listener.Addr().String()).Port()
	}
	handler := c.handler(replica)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/health" {
			c.Hits[replica].Add(1)
		}
		handler.ServeHTTP(w, r)
	}))
	if err := server.Listener.Close(); err != nil {
		c.t.Fatal(err)
	}
	server.Listener = listener
	server.Start()
	c.servers[replica] = server
	return true
}

// Stop stops a replica: its connections are cut, new ones are refused.
func (c *Cluster) Stop(replica int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if server := c.servers[replica]; server != nil {
		server.CloseClientConnections()
		server.Close()
		c.servers[replica] = nil
	}
}

// List makes the name resolve to these replicas.
func (c *Cluster) List(replicas ...int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listed = nil
	for _, i := range replicas {
		c.listed = append(c.listed, c.Address(i).Addr())
	}
}

// Lookup implements mesh.Resolver.
func (c *Cluster) Lookup(_ context.Context, host string) ([]netip.Addr, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if host != Host || len(c.listed) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return slices.Clone(c.listed), nil
}

// Total is how many requests reached any replica.
func (c *Cluster) Total() int64 {
	total := int64(0)
	for i := range c.Hits {
		total += c.Hits[i].Load()
	}
	return total
}
