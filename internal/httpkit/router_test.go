package httpkit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
)

type note struct {
	Text  string         `json:"text" maxLength:"100"`
	Count int            `json:"count,omitempty"`
	Extra map[string]any `json:"extra,omitempty"`
}

type noteInput struct {
	Wanted string `query:"wanted"`
	Body   note
}

type noteOutput struct{ Body note }

// keys knows one secret key, one write key and one session.
type keys struct{}

var tenant = uuid.MustParse("0198c000-0000-7000-8000-000000000001")

func (keys) Key(_ context.Context, token string) (httpkit.Principal, error) {
	switch token {
	case "secret":
		return httpkit.Principal{Tenant: tenant, ID: "key secret", Name: "secret", Scopes: []string{"notes:write"}}, nil
	case "write":
		return httpkit.Principal{Tenant: tenant, ID: "key write", Name: "write", Scopes: []string{"ingest:write"}}, nil
	}
	return httpkit.Principal{}, fault.New(fault.Unauthenticated, "This key is unknown.")
}

func (keys) Session(_ context.Context, token string) (httpkit.Principal, error) {
	if token == "session" {
		return httpkit.Principal{Tenant: tenant, ID: "user", Name: "user", Scopes: []string{"*"}}, nil
	}
	return httpkit.Principal{}, fault.New(fault.Unauthenticated, "This session has ended.")
}

type bundle struct {
	url string
	log *lines
}

// lines is a log that a server's goroutines write and a test reads.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func setup(t *testing.T, change ...func(*httpkit.RouterConfig)) bundle {
	t.Helper()
	log := &lines{}
	cfg := httpkit.RouterConfig{
		Title: "Notes", Version: "1", Authenticator: keys{},
		Origins: []string{"https://app.example"}, OpenPaths: []string{"/open", "/v1/"},
		OwnOrigin: "https://own.example", MaxBody: 1 << 20,
		Logger: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&cfg)
	}
	router := httpkit.NewRouter(cfg)
	httpkit.Register(router.API(), huma.Operation{
		OperationID: "create-note", Method: http.MethodPost, Path: "/notes", MaxBodyBytes: 1000, Security: httpkit.Scoped("notes:write"),
	}, func(_ context.Context, in *noteInput) (*noteOutput, error) {
		if in.Body.Text == "fail" {
			return nil, errors.New(`pq: relation "secrets" does not exist`)
		}
		return &noteOutput{Body: in.Body}, nil
	})
	router.Handle("GET /panic", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("the secret reason") }))
	router.Handle("POST /open", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		principal, _ := httpkit.PrincipalFrom(r.Context())
		w.Header().Set("X-Principal", principal.ID)
	}))
	router.Handle("POST /login", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	router.Handle("GET /c/{token}", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	router.Handle("GET /journey/{user_id}", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	router.Handle("GET /slow", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		httpkit.WriteProblem(w, r.Context().Err())
	}))
	server := httptest.NewServer(router.Handler())
	t.Cleanup(server.Close)
	return bundle{url: server.URL, log: log}
}

func (b bundle) do(t *testing.T, method, path, body string, header ...string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, b.url+path, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func problem(t *testing.T, response *http.Response) httpkit.Problem {
	t.Helper()
	require.Equal(t, "application/problem+json", response.Header.Get("Content-Type"))
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	var p httpkit.Problem
	require.NoError(t, json.Unmarshal(body, &p), string(body))
	require.Equal(t, response.StatusCode, p.Status)
	require.NotEmpty(t, p.Detail)
	require.NotEmpty(t, p.RequestID)
	require.Equal(t, response.Header.Get("X-Request-ID"), p.RequestID)
	return p
}

const bearer = "Bearer secret"

func TestBadInputIsAProblemWithItsPlace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		location           string
	}{
		"malformed":        {"POST", "/notes", "{\"text\":\n x}", 400, "body"},
		"cut off":          {"POST", "/notes", `{"text":"a`, 400, "body"},
		"nothing":          {"POST", "/notes", "", 400, ""},
		"wrong type":       {"POST", "/notes", `{"text":7}`, 422, "body.text"},
		"float for int":    {"POST", "/notes", `{"text":"a","count":1.5}`, 422, "body.count"},
		"unknown field":    {"POST", "/notes", `{"text":"a","colour":1}`, 422, "body.colour"},
		"too long":         {"POST", "/notes", `{"text":"` + strings.Repeat("a", 101) + `"}`, 422, "body.text"},
		"array":            {"POST", "/notes", `[1]`, 422, "body"},
		"NUL":              {"POST", "/notes", `{"text":"a\u0000b"}`, 422, "body.text"},
		"nested NUL":       {"POST", "/notes", `{"text":"a","extra":{"list":[1,{"x":"\u0000"}]}}`, 422, "body.extra.list[1].x"},
		"NUL in a name":    {"POST", "/notes", `{"text":"a","extra":{"a\u0000":1}}`, 422, "body.extra"},
		"half a pair":      {"POST", "/notes", `{"text":"a\ud83d"}`, 422, "body"},
		"the other half":   {"POST", "/notes", `{"text":"\ude00"}`, 422, "body"},
		"two first halves": {"POST", "/notes", `{"text":"\ud83d\ud83d\ude00"}`, 422, "body"},
		"invalid UTF-8":    {"POST", "/notes", "{\"text\":\"a\xff\"}", 422, "body"},
		"NUL in query":     {"POST", "/notes?wanted=a%00", `{"text":"a"}`, 422, "query.wanted"},
		"UTF-8 in query":   {"POST", "/notes?wanted=%ff", `{"text":"a"}`, 422, "query.wanted"},
		"over operation":   {"POST", "/notes", `{"text":"` + strings.Repeat("a", 1000) + `"}`, 413, ""},
		"10 MB":            {"POST", "/notes", strings.Repeat("a", 10<<20), 413, ""},
		"unknown route":    {"GET", "/nowhere", "", 404, ""},
		"unknown method":   {"DELETE", "/notes", "", 405, ""},
		"a deep document":  {"POST", "/notes", strings.Repeat("[", 400) + strings.Repeat("]", 400), 422, "body"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response := b.do(t, c.method, c.path, c.body, "Authorization", bearer, "Content-Type", "application/json")
			p := problem(t, response)
			require.Equal(t, c.status, p.Status, p)
			if c.location != "" {
				require.NotEmpty(t, p.Errors)
				require.Equal(t, c.location, p.Errors[0].Location)
			}
		})
	}
}

func TestEscapedBackslashIsNoNUL(t *testing.T) {
	t.Parallel()
	response := setup(t).do(t, http.MethodPost, "/notes", `{"text":"a\\u0000b"}`, "Authorization", bearer, "Content-Type", "application/json")
	require.Equal(t, http.StatusOK, response.StatusCode)
	var got note
	require.NoError(t, json.NewDecoder(response.Body).Decode(&got))
	require.Equal(t, `a\u0000b`, got.Text)
}

func TestWholeCharactersPass(t *testing.T) {
	t.Parallel()
	response := setup(t).do(t, http.MethodPost, "/notes", `{"text":"\ud83d\ude00 \\ud83d \u00e9"}`, "Authorization", bearer, "Content-Type", "application/json")
	require.Equal(t, http.StatusOK, response.StatusCode)
	var got note
	require.NoError(t, json.NewDecoder(response.Body).Decode(&got))
	require.Equal(t, "\U0001F600 \\ud83d \u00e9", got.Text)
}

func TestMalformedJSONNamesLineAndColumn(t *testing.T) {
	t.Parallel()
	p := problem(t, setup(t).do(t, http.MethodPost, "/notes", "{\"text\":\n  x}", "Authorization", bearer, "Content-Type", "application/json"))
	require.Contains(t, p.Errors[0].Message, "line 2, column 3")
}

func TestWrongMediaType(t *testing.T) {
	t.Parallel()
	p := problem(t, setup(t).do(t, http.MethodPost, "/notes", "text=a", "Authorization", bearer, "Content-Type", "application/x-www-form-urlencoded"))
	require.GreaterOrEqual(t, p.Status, 400)
	require.Less(t, p.Status, 500)
}

func TestAFailureTellsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := problem(t, b.do(t, http.MethodPost, "/notes", `{"text":"fail"}`, "Authorization", bearer, "Content-Type", "application/json"))
	require.Equal(t, http.StatusInternalServerError, p.Status)
	require.NotContains(t, p.Detail, "secrets")

	p = problem(t, b.do(t, http.MethodGet, "/panic", ""))
	require.Equal(t, http.StatusInternalServerError, p.Status)
	require.NotContains(t, p.Detail, "secret")
	require.Contains(t, b.log.String(), "the secret reason")
	require.Contains(t, b.log.String(), "router_test.go", "the stack is logged")
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, c := range map[string]struct {
		header, value string
		status        int
	}{
		"nobody":        {"X-None", "", 401},
		"a wrong key":   {"Authorization", "Bearer wrong", 401},
		"another form":  {"Authorization", "Digest x", 401},
		"a key":         {"Authorization", bearer, 200},
		"a write key":   {"Authorization", "Basic d3JpdGU6", 403}, // write:
		"a session":     {"Cookie", httpkit.SessionCookie + "=session", 200},
		"an old cookie": {"Cookie", httpkit.SessionCookie + "=old", 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response := b.do(t, http.MethodPost, "/notes", `{"text":"a"}`, "Content-Type", "application/json", c.header, c.value)
			require.Equal(t, c.status, response.StatusCode)
			if c.status == http.StatusOK {
				require.Equal(t, "no-store", response.Header.Get("Cache-Control"))
			} else {
				problem(t, response)
			}
			require.Equal(t, c.status == http.StatusUnauthorized, response.Header.Get("WWW-Authenticate") != "")
		})
	}
	require.Equal(t, http.StatusOK, b.do(t, http.MethodPost, "/login", "", "Cookie", httpkit.SessionCookie+"=old").StatusCode,
		"a stale cookie does not lock the log-in page")
}

func TestAnotherSitesPageCannotUseTheCookie(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, c := range map[string]struct {
		path   string
		header []string
		status int
	}{
		"cross-site":           {"/login", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"another origin":       {"/login", []string{"Origin", "https://evil.example"}, 403},
		"same-origin":          {"/login", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		"our public origin":    {"/login", []string{"Sec-Fetch-Site", "same-site", "Origin", "https://own.example"}, 200},
		"a program":            {"/login", nil, 200},
		"a key from elsewhere": {"/login", []string{"Sec-Fetch-Site", "cross-site", "Authorization", bearer}, 200},
		"an open path":         {"/open", []string{"Sec-Fetch-Site", "cross-site"}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.status, b.do(t, http.MethodPost, c.path, "", c.header...).StatusCode)
		})
	}
}

// An open path is not guarded against other sites' pages, and sendBeacon takes
// cookies along: there only a key tells who sends.
func TestACookieIsNobodyOnAnOpenPath(t *testing.T) {
	t.Parallel()
	b := setup(t)
	response := b.do(t, http.MethodPost, "/open", "", "Cookie", httpkit.SessionCookie+"=session", "Sec-Fetch-Site", "same-site")
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Empty(t, response.Header.Get("X-Principal"))
	require.Equal(t, "key write", b.do(t, http.MethodPost, "/open", "", "Authorization", "Bearer write").Header.Get("X-Principal"))
}

// Whoever has one IPv6 address usually has all of its /64.
func TestRateLimitsCountIPv6Networks(t *testing.T) {
	t.Parallel()
	b := setup(t, func(cfg *httpkit.RouterConfig) {
		cfg.ProxyHops, cfg.Limiter = 1, httpkit.NewLimiter(clockwork.NewFakeClock(), 0.5, 1, 100)
	})
	from := func(address string) int {
		return b.do(t, http.MethodGet, "/c/x", "", "X-Forwarded-For", address).StatusCode
	}
	require.Equal(t, http.StatusOK, from("2001:db8:1:2::1"))
	require.Equal(t, http.StatusTooManyRequests, from("2001:db8:1:2:ffff:ffff:ffff:ffff"))
	require.Equal(t, http.StatusOK, from("2001:db8:1:3::1"))
	require.Equal(t, http.StatusOK, from("192.0.2.1"))
	require.Equal(t, http.StatusOK, from("192.0.2.2"))
	require.Equal(t, http.StatusTooManyRequests, from("::ffff:192.0.2.2"), "an IPv4 address in IPv6's clothes is the same")
}

// A path may name a person; the log names the route only.
func TestTheLogNamesNobody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do(t, http.MethodGet, "/journey/ada@example.com", "")
	require.Eventually(t, func() bool { return strings.Contains(b.log.String(), `"route":"GET /journey/{user_id}"`) }, time.Minute, time.Millisecond)
	require.NotContains(t, b.log.String(), "ada")
}

func TestABodyIsNotReadForNobody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Equal(t, http.StatusUnauthorized, problem(t, b.do(t, http.MethodPost, "/notes", `{"text":`, "Content-Type", "application/json")).Status)
	require.Equal(t, http.StatusForbidden, problem(t, b.do(t, http.MethodPost, "/notes", `{"text":`, "Content-Type", "application/json", "Authorization", "Bearer write")).Status)
}

func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	b := setup(t)
	preflight := func(path, origin string) http.Header {
		response := b.do(t, http.MethodOptions, path, "", "Origin", origin, "Access-Control-Request-Method", "POST")
		require.Equal(t, http.StatusNoContent, response.StatusCode)
		return response.Header
	}
	require.Equal(t, "*", preflight("/open", "https://shop.example").Get("Access-Control-Allow-Origin"))
	require.Equal(t, "*", preflight("/v1/track", "https://shop.example").Get("Access-Control-Allow-Origin"))
	require.Equal(t, "https://app.example", preflight("/notes", "https://app.example").Get("Access-Control-Allow-Origin"))
	refused := preflight("/notes", "https://evil.example")
	require.Empty(t, refused.Get("Access-Control-Allow-Origin"))
	require.Empty(t, refused.Get("Access-Control-Allow-Methods"))
	require.Equal(t, "Origin", refused.Get("Vary"))
	require.Empty(t, preflight("/open", "https://shop.example").Get("Access-Control-Allow-Credentials"))
}

func TestRequestIDAndLog(t *testing.T) {
	t.Parallel()
	b := setup(t)
	response := b.do(t, http.MethodGet, "/c/very-secret-token?key=also-secret", "", "X-Request-ID", "caller-chose-this")
	require.Equal(t, "caller-chose-this", response.Header.Get("X-Request-ID"))
	response = b.do(t, http.MethodGet, "/nowhere?key=also-secret", "", "X-Request-ID", "bad id\twith spaces")
	id, err := uuid.Parse(response.Header.Get("X-Request-ID"))
	require.NoError(t, err)
	require.Equal(t, uuid.Version(7), id.Version())
	require.Eventually(t, func() bool { return strings.Contains(b.log.String(), `"path":"/nowhere"`) }, time.Minute, time.Millisecond)
	require.NotContains(t, b.log.String(), "secret")
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClock()
	b := setup(t, func(cfg *httpkit.RouterConfig) { cfg.Limiter = httpkit.NewLimiter(clock, 0.5, 2, 100) })
	call := func(header ...string) *http.Response { return b.do(t, http.MethodGet, "/c/x", "", header...) }
	require.Equal(t, 200, call().StatusCode)
	require.Equal(t, 200, call().StatusCode)
	refused := call()
	require.Equal(t, http.StatusTooManyRequests, problem(t, refused).Status)
	require.Equal(t, "2", refused.Header.Get("Retry-After"))
	require.Equal(t, 200, call("Authorization", bearer).StatusCode, "another caller is not held up")
	clock.Advance(2 * time.Second)
	require.Equal(t, 200, call().StatusCode)
}

func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	header := setup(t, func(cfg *httpkit.RouterConfig) { cfg.Production = true }).do(t, http.MethodGet, "/c/x", "").Header
	require.Equal(t, httpkit.ContentSecurityPolicy, header.Get("Content-Security-Policy"))
	require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
	require.NotEmpty(t, header.Get("Strict-Transport-Security"))
}

func TestARequestEnds(t *testing.T) {
	t.Parallel()
	b := setup(t, func(cfg *httpkit.RouterConfig) { cfg.Timeout = 20 * time.Millisecond })
	response := b.do(t, http.MethodGet, "/slow", "")
	require.Equal(t, http.StatusServiceUnavailable, problem(t, response).Status)
	require.Equal(t, "1", response.Header.Get("Retry-After"))
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	response := setup(t).do(t, http.MethodGet, "/openapi.json", "")
	var document struct {
		OpenAPI string                    `json:"openapi"`
		Paths   map[string]map[string]any `json:"paths"`
	}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&document))
	require.Equal(t, "3.1.0", document.OpenAPI)
	require.Contains(t, document.Paths["/notes"], "post")
}

// TestStrangersGetNoTimeToStream is about a long upload's time, which would let anybody
// hold connections open for as long.
func TestStrangersGetNoTimeToStream(t *testing.T) {
	t.Parallel()
	router := httpkit.NewRouter(httpkit.RouterConfig{
		Title: "Notes", Version: "1", Authenticator: keys{}, Logger: slog.New(slog.DiscardHandler),
		Streams: map[string]httpkit.Bounds{"/upload": {MaxBody: 64 << 20, Timeout: time.Hour}},
	})
	var left time.Duration
	router.Handle("POST /upload", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		until, _ := r.Context().Deadline()
		left = time.Until(until)
	}))
	for key, long := range map[string]bool{"": false, "secret": true} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/upload", strings.NewReader("x"))
		if key != "" {
			r.Header.Set("Authorization", "Bearer "+key)
		}
		router.Handler().ServeHTTP(httptest.NewRecorder(), r)
		require.Equal(t, long, left > time.Minute, "key %q has %s", key, left)
	}
}
