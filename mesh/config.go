package mesh

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/engardehq/madansara/mesh/breaker"
	"github.com/engardehq/madansara/mesh/signature"
)

// The services' ids.
const (
	Core      = "engarde-core"
	Onside    = "onside"
	MadanSara = "madan-sara"
	Sankore   = "sankore"
)

// DefaultTimeout bounds a call that states no other limit.
const DefaultTimeout = 30 * time.Second

// Config configures a [Mesh]. Service, Peers and Secrets (or Unsigned) are needed; the zero
// value of everything else is its default.
type Config struct {
	Service string            // this service's id
	Peers   map[string]string // base URL of each peer, by its id
	// Secrets are shared by all services: the first signs, all verify. See
	// package signature for how to change a secret.
	Secrets []string
	// Unsigned sends calls without a signature, for peers that authenticate
	// otherwise (mutual TLS, a service mesh around them). Secrets must then be empty.
	Unsigned bool

	Timeout     time.Duration // no call lasts longer, retries and body included; 0: 30 s
	Concurrency int           // calls to one peer at a time; more are refused; 0: 128
	Breaker     breaker.Config
	Retry       Retry
	// HedgeAfter sends a GET or HEAD that has no answer yet to a second address;
	// the first answer wins. Hedges count as retries in the budget. 0: never.
	HedgeAfter time.Duration

	ResolveEvery  time.Duration // how often host names are looked up again; 0: 10 s
	HealthEvery   time.Duration // how often each address's /health is asked; 0: 10 s; negative: never
	HealthTimeout time.Duration // of one such question; 0: 2 s
	DialTimeout   time.Duration // of one connection; 0: 2 s
	MaxAnswer     int64         // bytes of an answer that [Peer.Call] reads; 0: 8 MiB

	Resolver   Resolver              // nil: the system's
	TLS        *tls.Config           // nil: the system's roots
	Logger     *slog.Logger          // nil: slog.Default()
	Registerer prometheus.Registerer // nil: metrics are kept, and not shown
	Tracer     trace.TracerProvider  // nil: trace context is passed on without a span of its own
	Clock      clockwork.Clock       // nil: the real one. Deadlines always use the real one
	Random     func() float64        // in [0,1), for the jitter of waits; nil: math/rand/v2

	// Wrap, if set, stands around the transport to each address; package
	// faultinject uses it.
	Wrap func(peer string, address netip.AddrPort, next http.RoundTripper) http.RoundTripper
}

// Resolver finds a host's addresses. A *net.Resolver behind [SystemResolver] is one.
type Resolver interface {
	Lookup(ctx context.Context, host string) ([]netip.Addr, error)
}

// ResolverFunc is a function as a Resolver.
type ResolverFunc func(ctx context.Context, host string) ([]netip.Addr, error)

// Lookup calls f.
func (f ResolverFunc) Lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return f(ctx, host)
}

// SystemResolver asks the operating system for A and AAAA records.
var SystemResolver Resolver = ResolverFunc(func(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
})

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{
		{&c.Timeout, DefaultTimeout},
		{&c.ResolveEvery, 10 * time.Second},
		{&c.HealthEvery, 10 * time.Second},
		{&c.HealthTimeout, 2 * time.Second},
		{&c.DialTimeout, 2 * time.Second},
	} {
		if *d.value == 0 {
			*d.value = d.fallback
		}
	}
	if c.Concurrency <= 0 {
		c.Concurrency = 128
	}
	if c.MaxAnswer <= 0 {
		c.MaxAnswer = 8 << 20
	}
	if c.Resolver == nil {
		c.Resolver = SystemResolver
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Clock == nil {
		c.Clock = clockwork.NewRealClock()
	}
	c.Retry = c.Retry.withDefaults()
	return c
}

// baseURL reads a peer's base URL.
func baseURL(id, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("peer %s: %w", id, err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("peer %s: its base URL must look like http://onside.railway.internal:8001, without user, query or fragment", id)
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	u.RawPath = ""
	return u, nil
}

// The environment variables that [FromEnv] reads, with the peer each URL names
// and where it is when the variable is unset.
var peerVariables = []struct{ id, variable, local string }{
	{Core, "ENGARDE_CORE_URL", "http://127.0.0.1:8000"},
	{Onside, "ONSIDE_URL", "http://127.0.0.1:8001"},
	{MadanSara, "MADAN_SARA_URL", "http://127.0.0.1:8002"},
	{Sankore, "SANKORE_URL", "http://127.0.0.1:8003"},
}

// FromEnv reads a service's configuration from environment variables through
// lookup (os.LookupEnv): ENGARDE_CORE_URL, ONSIDE_URL, MADAN_SARA_URL and
// SANKORE_URL (the local ports when unset; the service's own is left out),
// SERVICE_MESH_SECRET and SERVICE_MESH_SECRET_PREVIOUS (verifies only),
// SERVICE_MESH_TIMEOUT ("30s", or a number of seconds) and
// CIRCUIT_BREAKER_THRESHOLD. The error names every variable that is wrong.
func FromEnv(service string, lookup func(string) (string, bool)) (Config, error) {
	config := Config{Service: service, Peers: map[string]string{}}
	var problems []error
	for _, p := range peerVariables {
		if p.id == service {
			continue
		}
		value, set := lookup(p.variable)
		if !set || value == "" {
			value = p.local
		}
		if _, err := baseURL(p.id, value); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", p.variable, err))
		}
		config.Peers[p.id] = value
	}
	secrets, err := secretsFrom(lookup)
	config.Secrets = secrets
	problems = append(problems, err)
	if value, set := lookup("SERVICE_MESH_TIMEOUT"); set && value != "" {
		timeout, err := seconds(value)
		if err != nil || timeout <= 0 {
			problems = append(problems, fmt.Errorf("SERVICE_MESH_TIMEOUT: %q is no positive duration such as 30s", value))
		}
		config.Timeout = timeout
	}
	if value, set := lookup("CIRCUIT_BREAKER_THRESHOLD"); set && value != "" {
		threshold, err := strconv.Atoi(value)
		if err != nil || threshold < 1 {
			problems = append(problems, fmt.Errorf("CIRCUIT_BREAKER_THRESHOLD: %q is no positive whole number such as 5", value))
		}
		config.Breaker.Consecutive = threshold
	}
	return config, errors.Join(problems...)
}

func secretsFrom(lookup func(string) (string, bool)) (secrets []string, err error) {
	var problems []error
	for _, name := range []string{"SERVICE_MESH_SECRET", "SERVICE_MESH_SECRET_PREVIOUS"} {
		value, set := lookup(name)
		if !set || value == "" {
			continue
		}
		if len(value) < signature.MinSecret {
			problems = append(problems, fmt.Errorf("%s: has %d bytes and needs at least %d; make one with: openssl rand -base64 32", name, len(value), signature.MinSecret))
		}
		secrets = append(secrets, value)
	}
	if value, set := lookup("SERVICE_MESH_SECRET"); !set || value == "" {
		problems = append(problems, errors.New("SERVICE_MESH_SECRET: is not set; make one with: openssl rand -base64 32"))
	}
	return secrets, errors.Join(problems...)
}

func seconds(text string) (time.Duration, error) {
	if number, err := strconv.ParseFloat(text, 64); err == nil {
		return time.Duration(number * float64(time.Second)), nil
	}
	return time.ParseDuration(text)
}
