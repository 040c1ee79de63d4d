// Package onsidetest gives Onside's tests a web of sites on this machine, under
// any names, and a caller of its API.
package onsidetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/onside/fetch"
	"github.com/engardehq/madansara/internal/ssrf"
	"github.com/engardehq/madansara/internal/ssrf/ssrftest"
)

// Web is a server that is every site: a page is found by host and path.
type Web struct {
	port string
	mu   sync.Mutex
	// pages by "host/path", the host without its port.
	pages map[string]http.HandlerFunc
	hits  map[string]int
}

// NewWeb starts an empty web, which ends with t. A page it does not have is a 404.
func NewWeb(t testing.TB) *Web {
	t.Helper()
	w := &Web{pages: map[string]http.HandlerFunc{}, hits: map[string]int{}}
	server := httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	w.port = port
	return w
}

func (w *Web) serve(out http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	key := host + r.URL.RequestURI()
	w.mu.Lock()
	w.hits[key]++
	page := w.pages[key]
	w.mu.Unlock()
	if page == nil {
		http.NotFound(out, r)
		return
	}
	page(out, r)
}

// URL is the address of a page: a host and what follows it.
func (w *Web) URL(host, path string) string {
	return "http://" + net.JoinHostPort(host, w.port) + path
}

// Handle sets the page at host and path (with its query).
func (w *Web) Handle(host, path string, page http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pages[host+path] = page
}

// HTML sets a page of 200 and HTML. In body "%PORT%" is the web's port.
func (w *Web) HTML(host, path, body string) {
	text := bytes.ReplaceAll([]byte(body), []byte("%PORT%"), []byte(w.port))
	w.Handle(host, path, func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = out.Write(text)
	})
}

// Text sets a page of plain text and a status.
func (w *Web) Text(host, path string, status int, body string) {
	text := bytes.ReplaceAll([]byte(body), []byte("%PORT%"), []byte(w.port))
	w.Handle(host, path, func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", "text/plain; charset=utf-8")
		out.WriteHeader(status)
		_, _ = out.Write(text)
	})
}

// Redirect sets a redirect.
func (w *Web) Redirect(host, path string, status int, to string) {
	w.Handle(host, path, func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Location", to)
		out.WriteHeader(status)
	})
}

// Remove takes a page away.
func (w *Web) Remove(host, path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pages, host+path)
}

// Hits is how often a page was asked for.
func (w *Web) Hits(host, path string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hits[host+path]
}

// Fetcher returns a fetcher under which every name is a site of this machine.
func Fetcher(t testing.TB, clock clockwork.Clock) *fetch.Fetcher {
	t.Helper()
	f := fetch.New(fetch.Config{
		Guard: ssrf.Guard{AllowLoopback: true, Resolver: ssrftest.Hosts()}, Contact: "https://engarde.example", Clock: clock,
	})
	t.Cleanup(f.Close)
	return f
}

// API is a surface that takes every caller for who the test says.
type API struct{ handler http.Handler }

// NewAPI returns the operations that register adds, behind the middleware that
// every service has.
func NewAPI(register ...func(huma.API)) API {
	router := httpkit.NewRouter(httpkit.RouterConfig{
		Title: "Onside", Version: "1", Logger: slog.New(slog.DiscardHandler),
	})
	for _, add := range register {
		add(router.API())
	}
	return API{handler: router.Handler()}
}

// Answer is what the API answered.
type Answer struct {
	Status int
	Header http.Header
	Raw    []byte
	Body   map[string]any
}

// String is for failure messages.
func (a Answer) String() string { return fmt.Sprintf("%d %s", a.Status, a.Raw) }

// As calls the API as a member of tenant with scopes, all of them if none is named.
func (a API) As(t testing.TB, tenant uuid.UUID, scopes ...string) Caller {
	t.Helper()
	if len(scopes) == 0 {
		scopes = []string{"seo:read", "seo:write"}
	}
	return Caller{t: t, api: a, who: httpkit.Principal{Tenant: tenant, ID: "key test", Name: "tester", Scopes: scopes}}
}

// Caller calls the API for one tenant.
type Caller struct {
	t   testing.TB
	api API
	who httpkit.Principal
}

// Do sends a request; body is nil, text (sent as CSV) or anything else (as JSON).
func (c Caller) Do(method, path string, body any) Answer {
	c.t.Helper()
	var reader io.Reader
	contentType := "application/json"
	switch b := body.(type) {
	case nil:
	case string:
		reader, contentType = bytes.NewReader([]byte(b)), "text/csv"
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			c.t.Fatal(err)
		}
		reader = bytes.NewReader(raw)
	}
	request := httptest.NewRequest(method, path, reader)
	request.Header.Set("Content-Type", contentType)
	request = request.WithContext(httpkit.WithPrincipal(c.t.Context(), c.who))
	recorder := httptest.NewRecorder()
	c.api.handler.ServeHTTP(recorder, request)
	answer := Answer{Status: recorder.Code, Header: recorder.Header(), Raw: recorder.Body.Bytes(), Body: map[string]any{}}
	if recorder.Body.Len() > 0 {
		if err := json.Unmarshal(answer.Raw, &answer.Body); err != nil {
			c.t.Fatalf("%s %s: %v: %s", method, path, err, answer.Raw)
		}
	}
	return answer
}

// Want is Do that fails the test on another status; it reads the body into out
// unless that is nil.
func (c Caller) Want(status int, method, path string, body, out any) Answer {
	c.t.Helper()
	answer := c.Do(method, path, body)
	if answer.Status != status {
		c.t.Fatalf("%s %s: want %d, got %s", method, path, status, answer)
	}
	if out != nil {
		if err := json.Unmarshal(answer.Raw, out); err != nil {
			c.t.Fatal(err)
		}
	}
	return answer
}
