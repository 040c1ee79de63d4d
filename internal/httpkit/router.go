package httpkit

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/engardehq/madansara/internal/fault"
)

// RouterConfig says how a service's requests are treated.
type RouterConfig struct {
	Title, Version, Description string

	Authenticator Authenticator
	// Peers, if set, stands before the Authenticator: it judges requests that
	// another service signed, and puts their principal into the context.
	Peers func(http.Handler) http.Handler
	// Origins may call the API from a browser. OpenPaths (exact, or a prefix
	// that ends in "/") may be called from any.
	Origins   []string
	OpenPaths []string
	// OwnOrigin is the service's public origin, whose pages act with cookies.
	OwnOrigin string
	// Limiter bounds each caller, IngestLimiter each caller of OpenPaths; nil
	// for no bound.
	Limiter, IngestLimiter *Limiter
	// MaxBody bounds every request's body in bytes, whatever an operation
	// allows; 0 is 4 MiB.
	MaxBody int64
	// Timeout ends a request's context; 0 is 60 s.
	Timeout time.Duration
	// Streams have bounds of their own, for callers who are known: the paths of long
	// uploads and downloads.
	Streams map[string]Bounds
	// ProxyHops is how many trusted proxies stand in front.
	ProxyHops  int
	Production bool
	Logger     *slog.Logger
	Observer   Observer
}

// Bounds are what one request may take.
type Bounds struct {
	MaxBody int64 // bytes
	Timeout time.Duration
}

// Router is a service's HTTP surface: operations on API, everything else by Handle.
type Router struct {
	cfg     RouterConfig
	mux     *http.ServeMux
	api     huma.API
	openAPI func() ([]byte, error)
}

// NewRouter returns a router that serves /openapi.json so far.
func NewRouter(cfg RouterConfig) *Router {
	if cfg.MaxBody == 0 {
		cfg.MaxBody = 4 << 20
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Minute
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	r := &Router{cfg: cfg, mux: http.NewServeMux()}
	r.api = humago.New(r.mux, apiConfig(cfg))
	r.api.UseMiddleware(guardAccess(r.api), guardText(r.api))
	r.openAPI = sync.OnceValues(func() ([]byte, error) { return json.Marshal(r.api.OpenAPI()) })
	r.mux.HandleFunc("GET /openapi.json", r.serveOpenAPI)
	return r
}

func apiConfig(cfg RouterConfig) huma.Config {
	config := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info:    &huma.Info{Title: cfg.Title, Version: cfg.Version, Description: cfg.Description},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", schemaNames()),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					BearerScheme:   {Type: "http", Scheme: "bearer", Description: "An API key, as 'Authorization: Bearer <key>'."},
					WriteKeyScheme: {Type: "http", Scheme: "basic", Description: "A write key as the user name, no password (the Segment form)."},
					SessionScheme:  {Type: "apiKey", In: "cookie", Name: SessionCookie, Description: "The dashboard's log-in."},
				},
			},
		},
		Formats:       map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat: "application/json",
	}
	return config
}

// API is where capabilities register their operations.
func (r *Router) API() huma.API { return r.api }

// Handle adds a handler that is no operation: a page, a script, a webhook.
func (r *Router) Handle(pattern string, handler http.Handler) { r.mux.Handle(pattern, handler) }

// Mux is the router's own mux, for packages that bring several patterns.
func (r *Router) Mux() *http.ServeMux { return r.mux }

func (r *Router) serveOpenAPI(w http.ResponseWriter, req *http.Request) {
	document, err := r.openAPI()
	if err != nil {
		r.cfg.Logger.ErrorContext(req.Context(), "the OpenAPI document cannot be written", slog.Any("error", err))
		WriteProblem(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(document) // the client is gone if this fails
}

// Handler returns the router behind its middleware. The order matters: who
// asks is known before how much they may ask, and both before anything costs.
func (r *Router) Handler() http.Handler {
	open := pathSet(r.cfg.OpenPaths).has
	var h http.Handler = http.HandlerFunc(r.route)
	h = boundRequest(Bounds{r.cfg.MaxBody, r.cfg.Timeout}, r.cfg.Streams, h)
	h = limitBy(r.cfg.IngestLimiter, only(open, callerOf), h)
	h = limitBy(r.cfg.Limiter, only(not(open), callerOf), h)
	if r.cfg.Authenticator != nil {
		h = authenticate(r.cfg.Authenticator, open, h)
		if r.cfg.Peers != nil {
			h = r.cfg.Peers(h)
		}
		// Wrong keys cost a look-up each, so an address may not try for ever.
		h = limitBy(r.cfg.Limiter, only(not(open), func(req *http.Request) string {
			if req.Header.Get("Authorization") == "" {
				return ""
			}
			return "try " + ClientIP(req.Context())
		}), h)
	}
	h = exceptFor(open, refuseCrossOrigin([]string{r.cfg.OwnOrigin}, h), h)
	h = crossOrigin(r.cfg.Origins, open, h)
	h = secureHeaders(r.cfg.Production, open, h)
	h = logAccess(r.cfg.Logger, r.cfg.Observer, h)
	h = identify(r.cfg.ProxyHops, h)
	return otelhttp.NewHandler(h, "http", otelhttp.WithSpanNameFormatter(func(_ string, req *http.Request) string { return req.Method }))
}

// route answers unknown paths and methods as problems, and notes which route
// a request took.
func (r *Router) route(w http.ResponseWriter, req *http.Request) {
	handler, pattern := r.mux.Handler(req)
	if pattern == "" {
		refused := &discarded{header: http.Header{}}
		handler.ServeHTTP(refused, req)
		if allow := refused.header.Get("Allow"); allow != "" {
			w.Header().Set("Allow", allow)
			problem := newProblem(http.StatusMethodNotAllowed, req.Method+" is not allowed here; allowed: "+allow+".")
			WriteProblem(w, problem)
			return
		}
		WriteProblem(w, fault.New(fault.NotFound, "There is nothing at this path; /openapi.json lists what there is."))
		return
	}
	if info := requestOf(req.Context()); info != nil {
		info.route = pattern
	}
	r.mux.ServeHTTP(w, req)
}

// discarded takes the mux's own plain-text refusal.
type discarded struct{ header http.Header }

func (d *discarded) Header() http.Header       { return d.header }
func (*discarded) Write(b []byte) (int, error) { return len(b), nil }
func (*discarded) WriteHeader(int)             {}

func boundRequest(usual Bounds, streams map[string]Bounds, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bounds := usual
		// Strangers are refused whatever they send, and get no time to send it slowly.
		_, known := PrincipalFrom(r.Context())
		if own, is := streams[r.URL.Path]; is && known {
			bounds = own
			// The server's own deadlines are for requests of the usual kind. A writer that
			// has none has no connection to be closed either.
			connection, until := http.NewResponseController(w), time.Now().Add(own.Timeout)
			_, _ = connection.SetReadDeadline(until), connection.SetWriteDeadline(until.Add(10*time.Second))
		}
		if r.ContentLength > bounds.MaxBody {
			WriteProblem(w, fault.New(fault.TooLarge, "The request's body is %d bytes; the limit is %d.", r.ContentLength, bounds.MaxBody))
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), bounds.Timeout)
		defer cancel()
		r = r.WithContext(ctx)
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = http.MaxBytesReader(w, r.Body, bounds.MaxBody)
		}
		next.ServeHTTP(w, r)
	})
}

// callerOf names whom a request counts against: the key or user, else the address.
// Services are not counted: one call of theirs may be any tenant's, and the mesh bounds them.
func callerOf(r *http.Request) string {
	if p, ok := PrincipalFrom(r.Context()); ok {
		if p.Service != "" {
			return ""
		}
		return p.ID
	}
	return ClientIP(r.Context())
}

func only(want func(*http.Request) bool, caller func(*http.Request) string) func(*http.Request) string {
	return func(r *http.Request) string {
		if !want(r) {
			return ""
		}
		return caller(r)
	}
}

func not(match func(*http.Request) bool) func(*http.Request) bool {
	return func(r *http.Request) bool { return !match(r) }
}

func exceptFor(match func(*http.Request) bool, guarded, plain http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if match(r) {
			plain.ServeHTTP(w, r)
			return
		}
		guarded.ServeHTTP(w, r)
	})
}
