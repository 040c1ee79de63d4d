package mesh_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/mesh"
	"github.com/engardehq/madansara/mesh/breaker"
)

func TestCallsAreSharedByTheAddresses(t *testing.T) {
	t.Parallel()
	b := setup(t, 3, ok, nil)
	for range 300 {
		require.NoError(t, b.get(t))
	}
	for i := range b.cluster.Hits {
		require.Positive(t, b.cluster.Hits[i].Load(), "replica %d", i)
	}
	require.Equal(t, 3, b.Status().Services[mesh.Onside].Addresses)
}

func TestAnAddressThatDiesCostsNoCallAndComesBack(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClock()
	b := setup(t, 3, ok, func(c *mesh.Config) {
		c.Clock = clock
		c.Breaker.Consecutive = 1
		c.Retry.Floor, c.Retry.Budget = -1, 1e-9 // passing over an address must not need a budget
	})
	for range 30 {
		require.NoError(t, b.get(t))
	}
	b.cluster.Stop(1)
	for n := range 300 {
		require.NoError(t, b.get(t), "call %d", n)
		if b.Status().Services[mesh.Onside].Ejected == 1 {
			break
		}
	}
	require.Equal(t, 1, b.Status().Services[mesh.Onside].Ejected)
	require.Equal(t, "closed", b.Status().Services[mesh.Onside].Circuit, "the peer as a whole works")

	b.cluster.Start(1)
	before := b.cluster.Hits[1].Load()
	require.NoError(t, b.get(t))
	require.Equal(t, before, b.cluster.Hits[1].Load(), "an ejected address rests")
	clock.Advance(5 * time.Second)
	require.NoError(t, b.get(t))
	require.NoError(t, b.get(t))
	require.Equal(t, before+2, b.cluster.Hits[1].Load(), "the next calls that can be repeated probe it")
	require.Zero(t, b.Status().Services[mesh.Onside].Ejected)
}

func TestAnAddressThatRefusesConnectionsIsPassedOverByAnyCall(t *testing.T) {
	t.Parallel()
	b := setup(t, 3, ok, func(c *mesh.Config) { c.Retry.Floor, c.Retry.Budget = -1, 1e-9 })
	b.cluster.Stop(0)
	b.cluster.Stop(2)
	for range 50 {
		require.NoError(t, b.post(t, ""), "nothing was sent, so nothing is repeated")
	}
	require.EqualValues(t, 50, b.cluster.Total())
	require.Positive(t, b.count(t, "mesh_attempts_total", map[string]string{"kind": "failover"}))
	b.cluster.Stop(1)
	require.Equal(t, mesh.ErrUnreachable, failure(t, b.post(t, "")).Kind)
}

func TestANameWithAnAddressOfAFamilyThatDoesNotWork(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, ok, func(c *mesh.Config) {
		c.Resolver = mesh.ResolverFunc(func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("::1"), netip.MustParseAddr("::ffff:127.0.0.1"), netip.MustParseAddr("127.0.0.1")}, nil
		})
	})
	for range 20 {
		require.NoError(t, b.post(t, ""), "the peer listens on IPv4 only")
	}
	require.Equal(t, 2, b.Status().Services[mesh.Onside].Addresses, "one address in two spellings is one")
}

func TestAWriteThatCannotBeRepeatedIsNoProbe(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClock()
	var bad atomic.Bool
	bad.Store(true)
	b := setupEach(t, 2, func(replica int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if replica == 1 && bad.Load() {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			ok(w, r)
		})
	}, func(c *mesh.Config) { c.Clock = clock; c.Breaker.Consecutive = 1 })
	for b.Status().Services[mesh.Onside].Ejected == 0 {
		if err := b.get(t); err != nil {
			failure(t, err)
		}
	}
	clock.Advance(5 * time.Second)
	for range 10 {
		require.NoError(t, b.post(t, ""))
	}
	require.Equal(t, 1, b.Status().Services[mesh.Onside].Ejected)
}

func TestANameThatMovesIsFollowed(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClock()
	b := setup(t, 3, ok, func(c *mesh.Config) { c.Clock = clock; c.ResolveEvery = 10 * time.Second })
	require.NoError(t, b.get(t))
	b.cluster.List(2)
	b.advanceUntil(t, clock, func() bool { return b.Status().Services[mesh.Onside].Addresses == 1 })
	before := b.cluster.Hits[2].Load()
	for range 10 {
		require.NoError(t, b.get(t))
	}
	require.Equal(t, before+10, b.cluster.Hits[2].Load())

	b.cluster.List() // the name no longer resolves: old addresses are better than none
	require.NoError(t, clock.BlockUntilContext(t.Context(), 1))
	clock.Advance(10 * time.Second)
	require.NoError(t, b.get(t))
	require.Eventually(t, func() bool { return strings.Contains(b.log.String(), "cannot be looked up") }, time.Minute, time.Millisecond)
	require.NoError(t, b.get(t))
}

// advanceUntil moves the clock in steps of ten seconds until something is seen.
func (b *bundle) advanceUntil(t *testing.T, clock *clockwork.FakeClock, seen func() bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		clock.Advance(10 * time.Second)
		return seen()
	}, time.Minute, 5*time.Millisecond)
}

func TestAFailureMakesTheNameBeLookedUpSoon(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*bundle){
		"no connection": func(b *bundle) { b.cluster.Stop(0) },
		"circuit opens": func(*bundle) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := clockwork.NewFakeClock()
			b := setupEach(t, 2, func(replica int) http.Handler {
				if replica == 0 && name == "circuit opens" {
					return status(http.StatusInternalServerError)
				}
				return http.HandlerFunc(ok)
			}, func(c *mesh.Config) {
				c.Clock = clock
				c.Breaker.Consecutive = 2
				c.Retry.Attempts = 1
				c.Resolver = mesh.ResolverFunc(func(context.Context, string) ([]netip.Addr, error) {
					if clock.Now().Before(clockwork.NewFakeClock().Now().Add(time.Second)) { // the fake clock's beginning
						return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
					}
					return []netip.Addr{netip.MustParseAddr("127.0.0.2")}, nil
				})
			})
			require.NoError(t, clock.BlockUntilContext(t.Context(), 1))
			require.Eventually(t, func() bool { return b.Status().Services[mesh.Onside].Addresses == 1 }, time.Minute, time.Millisecond)
			fail(b)
			clock.Advance(2 * time.Second) // far from the next look-up that is due
			for range 2 {
				require.Error(t, b.get(t))
			}
			require.Eventually(t, func() bool { return b.get(t) == nil }, time.Minute, time.Millisecond)
		})
	}
}

func TestAPeerThatSaysItIsUnhealthyIsNotProbedBackIn(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClock()
	server := newPlain(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			answer(w, http.StatusServiceUnavailable, map[string]string{"status": "unhealthy"})
			return
		}
		w.WriteHeader(http.StatusInternalServerError)
	})
	var log logged
	m, err := mesh.New(mesh.Config{
		Service: mesh.MadanSara, Secrets: []string{secret}, Peers: map[string]string{mesh.Core: server.URL}, Clock: clock,
		Breaker: breaker.Config{Consecutive: 1, Probes: 1}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	require.NoError(t, err)
	t.Cleanup(m.Close)
	require.Error(t, m.Peer(mesh.Core).Call(t.Context(), mesh.Call{Name: "test", Path: "/"}, nil))
	require.Equal(t, "open", m.Status().Services[mesh.Core].Circuit)
	require.Eventually(t, func() bool {
		clock.Advance(10 * time.Second)
		return strings.Contains(log.String(), "from=half_open to=open")
	}, time.Minute, time.Millisecond)
	require.NotContains(t, log.String(), "to=closed")
}

func TestANameWithoutAddressIsUnreachable(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	clock := clockwork.NewFakeClock()
	b := setup(t, 1, ok, func(c *mesh.Config) {
		c.Clock = clock
		c.Resolver = mesh.ResolverFunc(func(context.Context, string) ([]netip.Addr, error) { asked.Add(1); return nil, nil })
	})
	for range 10 {
		require.ErrorIs(t, b.get(t), mesh.ErrUnreachable)
	}
	require.LessOrEqual(t, asked.Load(), int64(2), "a resolver that fails is not asked by every call")
	clock.Advance(time.Second)
	got := failure(t, b.get(t))
	require.Equal(t, mesh.ErrUnreachable, got.Kind)
	require.False(t, b.Status().Services[mesh.Onside].Healthy)
}

func TestAnEjectedAddressIsProbedBackInWithoutCalls(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClock()
	b := setup(t, 1, ok, func(c *mesh.Config) { c.Clock = clock; c.HealthEvery = 10 * time.Second; c.Breaker.Consecutive = 2 })
	require.NoError(t, b.get(t))
	b.cluster.Stop(0)
	b.advanceUntil(t, clock, func() bool { return b.Status().Services[mesh.Onside].Circuit == "open" })
	b.cluster.Start(0)
	b.advanceUntil(t, clock, func() bool { return b.Status().Services[mesh.Onside].Circuit == "closed" })
	require.Equal(t, "degraded", b.Status().Services[mesh.Onside].Reported)
	require.True(t, b.Status().Services[mesh.Onside].Healthy)
	require.EqualValues(t, 1, b.cluster.Total(), "only its health was asked")
}

func TestTLSVerifiesThePeersNameAtEveryAddress(t *testing.T) {
	t.Parallel()
	var host, name string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, name = r.Host, r.TLS.ServerName
		ok(w, r)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate()) // it names example.com and 127.0.0.1

	for hostname, good := range map[string]bool{"example.com": true, "other.com": false} {
		m, err := mesh.New(mesh.Config{
			Service: mesh.MadanSara, Secrets: []string{secret}, HealthEvery: -1, Logger: slog.New(slog.DiscardHandler),
			Peers: map[string]string{mesh.Onside: "https://" + net.JoinHostPort(hostname, port)},
			TLS:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			Retry: mesh.Retry{Attempts: 1},
			Resolver: mesh.ResolverFunc(func(context.Context, string) ([]netip.Addr, error) {
				return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
			}),
		})
		require.NoError(t, err)
		t.Cleanup(m.Close)
		err = m.Peer(mesh.Onside).Call(t.Context(), mesh.Call{Name: "test", Path: "/"}, nil)
		if !good {
			require.Equal(t, mesh.ErrUnreachable, failure(t, err).Kind)
			require.ErrorContains(t, err, "certificate is valid for example.com")
			continue
		}
		require.NoError(t, err)
		require.Equal(t, "example.com", name)
		require.Equal(t, net.JoinHostPort("example.com", port), host)
	}
}
