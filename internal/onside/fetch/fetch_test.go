package fetch_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/onside/fetch"
	"github.com/engardehq/madansara/internal/onside/weburl"
	"github.com/engardehq/madansara/internal/ssrf"
	"github.com/engardehq/madansara/internal/ssrf/ssrftest"
)

// site is a server of pages by path; without one of its own for /robots.txt
// there is none.
func site(t *testing.T, pages map[string]http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if page := pages[r.URL.Path]; page != nil {
			page(w, r)
			return
		}
		http.NotFound(w, r)
	}))
	server.Config.ErrorLog = nil
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

func text(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusFound)
	}
}

func fetcher(t *testing.T, limits fetch.Limits) *fetch.Fetcher {
	t.Helper()
	f := fetch.New(fetch.Config{
		Guard: ssrf.Guard{AllowLoopback: true, Resolver: ssrftest.Hosts()}, Limits: limits,
		Contact: "https://engarde.example/bot", Clock: clockwork.NewFakeClock(),
	})
	t.Cleanup(f.Close)
	return f
}

func get(t *testing.T, f *fetch.Fetcher, address string) (*fetch.Response, error) {
	t.Helper()
	u, err := weburl.Parse(address)
	require.NoError(t, err)
	return f.Get(t.Context(), u)
}

func requireKind(t *testing.T, want fetch.Kind, err error) {
	t.Helper()
	failed := &fetch.Error{}
	require.ErrorAs(t, err, &failed)
	require.Equal(t, want, failed.Kind, failed.Message)
}

func TestAPageThroughRedirects(t *testing.T) {
	t.Parallel()
	var agent string
	base := site(t, map[string]http.HandlerFunc{
		"/a": redirect("b?x=1"), "/b": redirect("/c#there"),
		"/c": func(w http.ResponseWriter, r *http.Request) {
			agent = r.UserAgent()
			w.Header().Set("X-Kind", "page")
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, "hello")
		},
	})
	page, err := get(t, fetcher(t, fetch.Limits{}), base+"/a")
	require.NoError(t, err)
	require.Equal(t, http.StatusTeapot, page.Status)
	require.Equal(t, "hello", string(page.Body))
	require.Equal(t, "page", page.Header.Get("X-Kind"))
	require.Equal(t, base+"/a", page.URL.String())
	require.Equal(t, base+"/c", page.Final.String())
	require.Equal(t, []fetch.Hop{{URL: base + "/a", Status: 302, To: base + "/b?x=1"}, {URL: base + "/b?x=1", Status: 302, To: base + "/c"}}, page.Hops)
	require.Contains(t, agent, "OnsideBot/1.0; +https://engarde.example/bot")
	require.Equal(t, http.StatusNotFound, page.Robots.Status)
}

func TestHostileRedirects(t *testing.T) {
	t.Parallel()
	count := atomic.Int32{}
	base := site(t, map[string]http.HandlerFunc{
		"/loop": redirect("/back"), "/back": redirect("/loop"), "/self": redirect("/self"),
		"/endless":  func(w http.ResponseWriter, r *http.Request) { redirect(fmt.Sprintf("/endless?%d", count.Add(1)))(w, r) },
		"/file":     redirect("file:///etc/passwd"),
		"/script":   redirect("javascript:alert(1)"),
		"/private":  redirect("http://10.0.0.1/"),
		"/metadata": redirect("http://169.254.169.254/latest/meta-data/"),
		"/user":     redirect("http://root:secret@example.com/"),
		"/long":     redirect("/" + strings.Repeat("a", 3000)),
		"/nowhere":  redirect(""),
	})
	for path, want := range map[string]fetch.Kind{
		"/loop": fetch.RedirectLoop, "/self": fetch.RedirectLoop, "/endless": fetch.TooManyRedirects, "/file": fetch.BadRedirect, "/script": fetch.BadRedirect,
		"/private": fetch.Refused, "/metadata": fetch.Refused, "/user": fetch.Refused, "/long": fetch.BadRedirect,
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			_, err := get(t, fetcher(t, fetch.Limits{}), base+path)
			requireKind(t, want, err)
			require.NotContains(t, err.Error(), "secret")
		})
	}
	page, err := get(t, fetcher(t, fetch.Limits{}), base+"/nowhere")
	require.NoError(t, err)
	require.Equal(t, 302, page.Status, "a redirect without a place to go is a page")
}

func TestRobotsIsObeyedOnEveryHop(t *testing.T) {
	t.Parallel()
	reached := atomic.Int32{}
	secret := func(http.ResponseWriter, *http.Request) { reached.Add(1) }
	other := site(t, map[string]http.HandlerFunc{"/robots.txt": text(200, "User-agent: *\nDisallow: /secret"), "/secret": secret})
	base := site(t, map[string]http.HandlerFunc{
		"/robots.txt": text(200, "User-agent: OnsideBot\nDisallow: /private\nSitemap: /s.xml"),
		"/private":    secret, "/open": redirect("/private"), "/out": redirect(other + "/secret"), "/": text(200, "home"),
	})
	f := fetcher(t, fetch.Limits{})
	for _, path := range []string{"/private", "/private/a?b", "/open", "/out"} {
		_, err := get(t, f, base+path)
		require.True(t, fetch.IsDisallowed(err), "%s: %v", path, err)
	}
	require.Zero(t, reached.Load())
	page, err := get(t, f, base+"/")
	require.NoError(t, err)
	require.Equal(t, []string{"/s.xml"}, page.Robots.File.Sitemaps)
}

func TestRobotsThatCannotBeHad(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		robots  http.HandlerFunc
		allowed bool
	}{
		"none":                 {text(404, ""), true},
		"forbidden":            {text(403, "User-agent: *\nDisallow: /"), true},
		"broken":               {text(500, ""), false},
		"away":                 {text(503, "User-agent: *\nAllow: /"), false},
		"too often":            {text(429, ""), false},
		"moved":                {redirect("/other"), false},
		"moved in circles":     {redirect("/robots.txt"), true},
		"moved to a bad place": {redirect("ftp://x"), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := site(t, map[string]http.HandlerFunc{"/robots.txt": test.robots, "/other": text(200, "User-agent: *\nDisallow: /"), "/": text(200, "home")})
			_, err := get(t, fetcher(t, fetch.Limits{}), base+"/")
			require.Equal(t, test.allowed, err == nil, err)
			if !test.allowed {
				require.True(t, fetch.IsDisallowed(err))
			}
		})
	}
}

func TestRobotsIsAskedForOnceAnHour(t *testing.T) {
	t.Parallel()
	asked := atomic.Int32{}
	base := site(t, map[string]http.HandlerFunc{"/robots.txt": func(http.ResponseWriter, *http.Request) { asked.Add(1) }, "/": text(200, "")})
	clock := clockwork.NewFakeClock()
	f := fetch.New(fetch.Config{Guard: ssrf.Guard{AllowLoopback: true}, Clock: clock})
	t.Cleanup(f.Close)
	for range 3 {
		_, err := get(t, f, base+"/")
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, asked.Load())
	clock.Advance(time.Hour)
	_, err := get(t, f, base+"/")
	require.NoError(t, err)
	require.EqualValues(t, 2, asked.Load())
}

// TestRememberedRobotsAreBounded has many hosts tell a great deal, as one site with many
// names could: what is remembered of them must not grow with what they say.
func TestRememberedRobotsAreBounded(t *testing.T) {
	t.Parallel()
	asked := atomic.Int32{}
	full := "User-agent: *\n" + strings.Repeat("Allow: /a\n", 49_000)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/robots.txt" {
			asked.Add(1)
			_, _ = io.WriteString(w, full)
		}
	})
	f := fetch.New(fetch.Config{Guard: ssrf.Guard{AllowLoopback: true}, Clock: clockwork.NewFakeClock()})
	t.Cleanup(f.Close)
	const hosts = 20
	bases := make([]string, hosts)
	for i := range bases {
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		bases[i] = server.URL + "/"
	}
	for range 2 {
		for _, base := range bases {
			_, err := get(t, f, base)
			require.NoError(t, err)
		}
	}
	require.Greater(t, asked.Load(), int32(hosts+hosts/4), "some were forgotten, and asked again")
}

func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	packer := gzip.NewWriter(&bomb)
	for range 100 {
		_, err := packer.Write(bytes.Repeat([]byte("x"), 1<<20))
		require.NoError(t, err)
	}
	require.NoError(t, packer.Close())
	sent := atomic.Int64{}
	base := site(t, map[string]http.HandlerFunc{
		"/large": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "104857600")
			for range 100 {
				n, err := w.Write(bytes.Repeat([]byte("x"), 1<<20))
				sent.Add(int64(n))
				if err != nil {
					return
				}
			}
		},
		"/bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		},
		"/short": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "only this")
		},
		"/exact": text(200, strings.Repeat("x", 1<<20)),
	})
	f := fetcher(t, fetch.Limits{Bytes: 1 << 20})
	for path, want := range map[string]struct {
		length     int
		truncated  bool
		compressed bool
	}{"/large": {1 << 20, true, false}, "/bomb": {1 << 20, true, true}, "/short": {9, true, false}, "/exact": {1 << 20, false, false}} {
		page, err := get(t, f, base+path)
		require.NoError(t, err, path)
		require.Len(t, page.Body, want.length, path)
		require.Equal(t, want.truncated, page.Truncated, path)
		require.Equal(t, want.compressed, page.Compressed, path)
	}
	require.Less(t, sent.Load(), int64(50<<20), "the rest was not read")
}

func TestTimeIsBounded(t *testing.T) {
	t.Parallel()
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	base := site(t, map[string]http.HandlerFunc{
		"/silent": hang,
		"/drip": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, "x")
				_ = http.NewResponseController(w).Flush()
			}
		},
		"/stops": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "<html>")
			_ = http.NewResponseController(w).Flush()
			hang(w, r)
		},
	})
	slow := site(t, map[string]http.HandlerFunc{"/robots.txt": hang})
	f := fetcher(t, fetch.Limits{Timeout: 300 * time.Millisecond, Bytes: 1 << 40})
	for _, address := range []string{base + "/silent", base + "/stops", slow + "/"} {
		_, err := get(t, f, address)
		requireKind(t, fetch.TimedOut, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	u, err := url.Parse(base + "/drip")
	require.NoError(t, err)
	_, err = f.Get(ctx, u)
	require.ErrorIs(t, err, context.Canceled)
}

func TestWhatIsNotAWebSite(t *testing.T) {
	t.Parallel()
	raw := func(answer string) string {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = listener.Close() })
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				buffer := make([]byte, 4096)
				_, _ = conn.Read(buffer)
				_, _ = io.WriteString(conn, answer)
				_ = conn.Close()
			}
		}()
		return listener.Addr().String()
	}
	closed := raw("")
	plain := strings.TrimPrefix(site(t, nil), "http://")
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	for address, want := range map[string]fetch.Kind{
		"http://" + raw("SSH-2.0-OpenSSH_9.2\r\n"):                                        fetch.BadAnswer,
		"http://" + raw("HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 300<<10)+"\r\n\r\n"): fetch.BadAnswer,
		"http://" + closed:        fetch.BadAnswer,
		"https://" + plain:        fetch.BadTLS,
		secure.URL:                fetch.BadTLS,
		"http://127.0.0.1:1/":     fetch.NotConnected,
		"http://10.0.0.1/":        fetch.Refused,
		"http://user:secret@a.b/": fetch.Refused,
	} {
		_, err := get(t, fetcher(t, fetch.Limits{Timeout: 5 * time.Second}), address)
		requireKind(t, want, err)
	}
	unknown := fetch.New(fetch.Config{Guard: ssrf.Guard{Resolver: ssrftest.Resolver(func(string) []netip.Addr { return nil })}})
	t.Cleanup(unknown.Close)
	_, err := get(t, unknown, "http://nobody.test/")
	requireKind(t, fetch.NotResolved, err)
}

func TestRequestsToAHostAreSpaced(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClock()
	f := fetch.New(fetch.Config{Clock: clock})
	t.Cleanup(f.Close)
	require.NoError(t, f.Await(t.Context(), "a.example", time.Second))
	require.NoError(t, f.Await(t.Context(), "b.example", time.Second), "another host does not wait")
	done := make(chan error, 1)
	go func() { done <- f.Await(t.Context(), "a.example", time.Second) }()
	require.NoError(t, clock.BlockUntilContext(t.Context(), 1))
	select {
	case <-done:
		require.Fail(t, "it did not wait")
	default:
	}
	clock.Advance(time.Second)
	require.NoError(t, <-done)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, f.Await(ctx, "a.example", time.Second), context.Canceled)
}
