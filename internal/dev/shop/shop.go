// Package shop is Ti Machann, a small real shop for the demo: three products, a
// cart, a checkout, a sign-up for offers. It is a site as a customer of Madan Sara
// would build it: its pages carry the tracker, and its server reports each order
// through the Segment HTTP API with the ids of the tracker's first-party cookies.
// Orders and sign-ups live in memory, bounded, and end with the process.
package shop

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/jonboulle/clockwork"
)

// Config says where the shop's events go.
type Config struct {
	TrackerURL string // of the tracker script, such as http://127.0.0.1:8002/tracker.js
	IngestURL  string // origin of the Segment HTTP API, such as http://127.0.0.1:8002
	WriteKey   string
	Clock      clockwork.Clock
	Logger     *slog.Logger
	HTTPClient *http.Client // its Timeout bounds one delivery; 0 becomes 10 seconds
}

// Shop is the shop's http.Handler.
type Shop struct {
	config  Config
	pages   pages
	records *records
	reports *reporter
	handler http.Handler
}

//go:embed assets
var assets embed.FS

// New opens the shop. Its caller closes it.
func New(config Config) (*Shop, error) {
	tracker, err := origin(config.TrackerURL)
	if err != nil {
		return nil, errors.Join(errors.New("shop: TrackerURL"), err)
	}
	ingest, err := origin(config.IngestURL)
	if err != nil {
		return nil, errors.Join(errors.New("shop: IngestURL"), err)
	}
	pages, err := parsePages()
	if err != nil {
		return nil, err
	}
	files, err := fs.Sub(assets, "assets")
	if err != nil {
		return nil, err
	}
	s := &Shop{config: config, pages: pages, records: newRecords(), reports: startReporter(config, ingest)}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("GET /product/{id}", s.product)
	mux.HandleFunc("GET /cart", s.cart)
	mux.HandleFunc("POST /cart", s.changeCart)
	mux.HandleFunc("GET /checkout", s.checkout)
	mux.HandleFunc("POST /checkout", s.order)
	mux.HandleFunc("GET /order/{token}", s.thanks)
	mux.HandleFunc("POST /offers", s.signUp)
	mux.HandleFunc("GET /offers/{token}", s.welcome)
	mux.HandleFunc("GET /privacy", s.privacy)
	mux.Handle("GET /assets/", http.StripPrefix("/assets/", cached(http.FileServerFS(files))))
	mux.HandleFunc("/", s.nothingHere)
	s.handler = protected(http.NewCrossOriginProtection().Handler(mux), tracker, ingest)
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Shop) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Close makes one last attempt to report the orders not yet reported and ends
// the shop's goroutine; ctx bounds it.
func (s *Shop) Close(ctx context.Context) error { return s.reports.close(ctx) }

func origin(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return "", errors.New("want an address such as http://127.0.0.1:8002, not " + address)
	}
	return u.Scheme + "://" + u.Host, nil
}

// maxForm bounds a posted form in bytes; the longest honest one has a name and
// an e-mail address.
const maxForm = 16 << 10

// protected lets the pages load only what is ours and the tracker, and bounds
// what they are sent.
func protected(next http.Handler, tracker, ingest string) http.Handler {
	policy := "default-src 'none'; img-src 'self' data:; font-src 'self'; style-src 'self'; script-src 'self' " + tracker +
		"; connect-src " + ingest + "; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "strict-origin-when-cross-origin")
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		next.ServeHTTP(w, r)
	})
}

func cached(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=300")
		next.ServeHTTP(w, r)
	})
}

// newToken makes an unguessable name for a page that only one visitor should see.
func newToken() string { return rand.Text() }
