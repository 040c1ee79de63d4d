package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/getsentry/sentry-go"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
)

// Options say what is observed and where it goes.
type Options struct {
	Service, Version, Environment string

	Level  string    // debug, info, warn, error
	Text   bool      // lines for people instead of JSON
	Output io.Writer // of the log
	// SentryDSN receives errors and panics; empty for nobody.
	SentryDSN string
	// OTLPEndpoint receives traces; empty for nobody.
	OTLPEndpoint string
}

// Telemetry is one process's. Stop it last.
type Telemetry struct {
	Logger *slog.Logger
	// Registry takes further metrics.
	Registry *prometheus.Registry

	traces   *trace.TracerProvider
	exported bool
	errors   *sentry.Client
	requests *prometheus.HistogramVec
}

// Start sets up logs, metrics, traces and error tracking. It replaces
// OpenTelemetry's global provider, which libraries use.
func Start(ctx context.Context, opts Options) (*Telemetry, error) {
	t := &Telemetry{Registry: prometheus.NewRegistry()}
	var level slog.Level
	if err := level.UnmarshalText([]byte(opts.Level)); err != nil {
		return nil, fmt.Errorf("telemetry: log level: %w", err)
	}
	if opts.SentryDSN != "" {
		client, err := sentry.NewClient(sentry.ClientOptions{
			Dsn: opts.SentryDSN, Release: opts.Version, Environment: opts.Environment, ServerName: opts.Service,
		})
		if err != nil {
			return nil, errors.New("telemetry: SENTRY_DSN is no DSN") // Sentry's own message repeats the key
		}
		t.errors = client
	}
	t.Logger = slog.New(newHandler(opts, level, t.errors)).With(slog.String("service", opts.Service))
	if err := t.startTraces(ctx, opts); err != nil {
		return nil, err
	}
	t.startMetrics(opts)
	return t, nil
}

func (t *Telemetry) startTraces(ctx context.Context, opts Options) error {
	options := []trace.TracerProviderOption{
		trace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", opts.Service), attribute.String("service.version", opts.Version),
			attribute.String("deployment.environment.name", opts.Environment),
		)),
	}
	if opts.OTLPEndpoint == "" {
		// Nothing is recorded, but requests still get and pass on trace ids.
		options = append(options, trace.WithSampler(trace.NeverSample()))
	} else {
		// The variable is the base of all signals; traces have their path below it.
		exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(strings.TrimRight(opts.OTLPEndpoint, "/")+"/v1/traces"))
		if err != nil {
			return fmt.Errorf("telemetry: trace exporter: %w", err)
		}
		options = append(options, trace.WithBatcher(exporter))
		t.exported = true
	}
	t.traces = trace.NewTracerProvider(options...)
	otel.SetTracerProvider(t.traces)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	return nil
}

func (t *Telemetry) startMetrics(opts Options) {
	t.requests = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_request_duration_seconds", Help: "Time to answer, by route.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
	}, []string{"method", "route", "status"})
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "madansara_build_info", Help: "Always 1; the labels tell the build.",
		ConstLabels: prometheus.Labels{"service": opts.Service, "version": opts.Version},
	})
	info.Set(1)
	t.Registry.MustRegister(t.requests, info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}

// Observe counts an answered request (httpkit's Observer).
func (t *Telemetry) Observe(method, route string, status int, elapsed time.Duration) {
	if route == "" {
		route = "none" // unknown paths share one label: callers choose them
	}
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
	default:
		method = "other"
	}
	t.requests.WithLabelValues(method, route, strconv.Itoa(status)).Observe(elapsed.Seconds())
}

// Metrics serves the registry to Prometheus.
func (t *Telemetry) Metrics() http.Handler {
	return promhttp.HandlerFor(t.Registry, promhttp.HandlerOpts{Timeout: 5 * time.Second})
}

// TracerProvider makes this service's spans.
func (t *Telemetry) TracerProvider() *trace.TracerProvider { return t.traces }

// QueryTracer traces database queries, without their arguments; nil when
// traces go nowhere.
func (t *Telemetry) QueryTracer() pgx.QueryTracer {
	if !t.exported {
		return nil
	}
	return otelpgx.NewTracer(otelpgx.WithTracerProvider(t.traces))
}

// Stop sends what is still buffered, bounded by ctx.
func (t *Telemetry) Stop(ctx context.Context) error {
	err := t.traces.Shutdown(ctx)
	if t.errors != nil {
		t.errors.FlushWithContext(ctx)
	}
	if err != nil {
		return fmt.Errorf("telemetry: flush traces: %w", err)
	}
	return nil
}
