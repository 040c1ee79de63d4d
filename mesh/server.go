package mesh

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/engardehq/madansara/mesh/signature"
)

// ServerConfig configures what a service does with the calls it receives.
// Service and Secrets are needed.
type ServerConfig struct {
	Service string
	Secrets []string             // all verify
	Timeout time.Duration        // the most time any call gets; 0: [DefaultTimeout]
	MaxBody int64                // bytes; 0: [signature.DefaultMaxBody]
	Nonces  signature.NonceStore // shared by replicas; nil: in this process's memory
	// LegacySecrets admits X-Service-Secret with one of them; empty: never. None may
	// be among Secrets.
	LegacySecrets []string
	LegacySources []string              // whom such a caller may name as itself; nil: anybody but Service
	Logger        *slog.Logger          // nil: slog.Default()
	Registerer    prometheus.Registerer // nil: metrics are kept, and not shown
	Clock         clockwork.Clock       // nil: the real one
}

// NewServer returns the middleware that stands before every handler for peers:
// it verifies the signature ([signature.From] then tells who calls), bounds the
// request's time by the caller's, and continues the caller's trace.
func NewServer(config ServerConfig) (func(http.Handler) http.Handler, error) {
	keys, err := signature.NewKeys(config.Secrets...)
	if err != nil {
		return nil, fmt.Errorf("mesh server: %w", err)
	}
	if config.Timeout <= 0 {
		config.Timeout = DefaultTimeout
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	refused, err := newRefusals(config.Logger, config.Clock, config.Registerer)
	if err != nil {
		return nil, fmt.Errorf("mesh server: %w", err)
	}
	verifier, err := signature.NewVerifier(signature.VerifierConfig{
		Keys: keys, Service: config.Service, Nonces: config.Nonces, MaxBody: config.MaxBody,
		LegacySecrets: config.LegacySecrets, LegacySources: config.LegacySources, Clock: config.Clock,
		Refused: refused.tell,
	})
	if err != nil {
		return nil, fmt.Errorf("mesh server: %w", err)
	}
	deadlines := Deadlines(config.Timeout)
	return func(next http.Handler) http.Handler {
		return verifier.Middleware(deadlines(continueTrace(next)))
	}, nil
}

// continueTrace takes up the caller's W3C trace context, unless a tracing
// middleware before it already has.
func continueTrace(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Traceparent") != "" && !trace.SpanContextFromContext(r.Context()).IsValid() {
			r = r.WithContext(propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header)))
		}
		next.ServeHTTP(w, r)
	})
}
