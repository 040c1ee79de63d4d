package ssrf_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/ssrf"
	"github.com/engardehq/madansara/internal/ssrf/ssrftest"
)

func TestAddressesThatMayNotBeDialled(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.8.8.8",
		"168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1",
		"192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.255",
		"240.0.0.1", "255.255.255.255",
		"::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::808:808",
		"64:ff9b:1::1", "100::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "2001:10::1", "2001:20::1",
		"2002:7f00:1::", "2002:808:808::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fd20:ce::254", "fe80::1", "fe80::1%eth0",
		"fec0::1", "ff02::1",
	} {
		err := ssrf.Guard{}.CheckAddr(netip.AddrPortFrom(netip.MustParseAddr(address), 443))
		reason, refused := ssrf.Refused(err)
		require.True(t, refused, address)
		require.NotEmpty(t, reason, address)
	}
}

func TestPublicAddressesMayBeDialled(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"1.1.1.1", "8.8.8.8", "93.184.216.34", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2606:4700::1111", "2a00:1450:4001::1", "2001:4860:4860::8888"} {
		for _, port := range []uint16{80, 443, 8080, 8443} {
			require.NoError(t, ssrf.Guard{}.CheckAddr(netip.AddrPortFrom(netip.MustParseAddr(address), port)), address)
		}
		for _, port := range []uint16{0, 22, 25, 5432, 6379} {
			require.Error(t, ssrf.Guard{}.CheckAddr(netip.AddrPortFrom(netip.MustParseAddr(address), port)), address)
		}
	}
}

func TestDevelopmentAllowsLoopbackOnly(t *testing.T) {
	t.Parallel()
	guard := ssrf.Guard{AllowLoopback: true}
	for _, address := range []string{"127.0.0.1:5000", "127.1.2.3:80", "[::1]:5000", "[::ffff:127.0.0.1]:80"} {
		require.NoError(t, guard.CheckAddr(netip.MustParseAddrPort(address)), address)
	}
	for _, address := range []string{"10.0.0.1:80", "169.254.169.254:80", "0.0.0.0:80", "[::]:80", "[fe80::1]:80", "8.8.8.8:25"} {
		require.Error(t, guard.CheckAddr(netip.MustParseAddrPort(address)), address)
	}
}

func TestDenyAndPorts(t *testing.T) {
	t.Parallel()
	guard := ssrf.Guard{Deny: []netip.Prefix{netip.MustParsePrefix("93.184.216.0/24")}, Ports: []uint16{443}}
	require.Error(t, guard.CheckAddr(netip.MustParseAddrPort("93.184.216.34:443")))
	require.Error(t, guard.CheckAddr(netip.MustParseAddrPort("8.8.8.8:80")))
	require.NoError(t, guard.CheckAddr(netip.MustParseAddrPort("8.8.8.8:443")))
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"http://example.com", "https://example.com:443/a?b#c", "https://[2606:4700::1111]/", "http://8.8.8.8:8080", "https://ünïcode.example/"} {
		u, err := url.Parse(good)
		require.NoError(t, err)
		require.NoError(t, ssrf.Guard{}.CheckURL(u), good)
	}
	for _, bad := range []string{
		"ftp://example.com", "file:///etc/passwd", "gopher://example.com", "javascript:alert(1)", "data:text/html,x", "//example.com", "/path", "",
		"http://", "http:example.com", "http://user@example.com", "http://user:secret@example.com", "http://example.com:22", "http://example.com:0",
		"http://example.com:", "http://127.0.0.1", "http://[::1]", "http://[::ffff:10.0.0.1]", "http://169.254.169.254/latest/meta-data", "http://[fe80::1%25eth0]/",
	} {
		u, err := url.Parse(bad)
		require.NoError(t, err, bad)
		err = ssrf.Guard{}.CheckURL(u)
		require.Error(t, err, bad)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestServersThatAreNamedWithoutAURL(t *testing.T) {
	t.Parallel()
	guard := ssrf.Guard{Ports: []uint16{25, 465, 587}}
	for _, host := range []string{"smtp.example.com", "8.8.8.8", "2606:4700::1111", "münchen.example"} {
		require.NoError(t, guard.CheckHost(host, 587), host)
		reason, refused := ssrf.Refused(guard.CheckHost(host, 443))
		require.True(t, refused, host)
		require.Equal(t, "port 443 is none of 25, 465, 587", reason)
	}
	for _, host := range []string{
		"", "127.0.0.1", "::1", "::ffff:10.0.0.1", "169.254.169.254", "10.0.0.1", "fe80::1%eth0", "[::1]", "smtp.example.com:25", "a b", "a\r\nb", "http://a.example", "user@a.example",
	} {
		require.Error(t, guard.CheckHost(host, 587), host)
	}
	local := ssrf.Guard{Ports: []uint16{587}, AllowLoopback: true}
	require.NoError(t, local.CheckHost("127.0.0.1", 2525))
	require.Error(t, local.CheckHost("10.0.0.1", 587))
}

// TestTheDialledAddressIsJudged gives names that stand for the inside, and one
// that stands for the outside when first asked and for the inside afterwards.
func TestTheDialledAddressIsJudged(t *testing.T) {
	t.Parallel()
	reached := atomic.Int32{}
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	t.Cleanup(server.Close)
	port := netip.MustParseAddrPort(server.Listener.Addr().String()).Port()

	asked := atomic.Int32{}
	resolver := ssrftest.Resolver(func(name string) []netip.Addr {
		switch strings.TrimSuffix(name, ".") {
		case "inside.test":
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}
		case "metadata.test":
			return []netip.Addr{netip.MustParseAddr("169.254.169.254")}
		case "mapped.test":
			return []netip.Addr{netip.MustParseAddr("::ffff:127.0.0.1")}
		case "rebinding.test":
			if asked.Add(1) == 1 {
				return []netip.Addr{netip.MustParseAddr("8.8.8.8")}
			}
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}
		}
		return nil
	})
	guard := ssrf.Guard{Resolver: resolver, Ports: []uint16{port}}
	client := guard.Client(5*time.Second, 3)
	get := func(host string) error {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+net.JoinHostPort(host, strings.TrimPrefix(server.Listener.Addr().String(), "127.0.0.1:")), nil)
		require.NoError(t, err)
		response, err := client.Do(request)
		if err == nil {
			response.Body.Close()
		}
		return err
	}
	addresses, err := resolver.LookupNetIP(t.Context(), "ip4", "rebinding.test")
	require.NoError(t, err)
	require.Equal(t, "8.8.8.8", addresses[0].String(), "the check before the use")
	for _, host := range []string{"inside.test", "metadata.test", "mapped.test", "rebinding.test"} {
		_, refused := ssrf.Refused(get(host))
		require.True(t, refused, "%s: %v", host, get(host))
	}
	require.Zero(t, reached.Load())
	require.Error(t, get("unknown.test"))

	guard.AllowLoopback = true
	client = guard.Client(5*time.Second, 3)
	require.NoError(t, get("inside.test"), "the same server is there when it is allowed")
	require.EqualValues(t, 1, reached.Load())
}

func TestRedirectsAreJudgedAndCounted(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, map[string]string{"/inside": "http://10.0.0.1/", "/file": "file:///etc/passwd", "/loop": "/loop"}[r.URL.Path], http.StatusFound)
	}))
	t.Cleanup(server.Close)
	client := ssrf.Guard{AllowLoopback: true}.Client(5*time.Second, 3)
	for path, want := range map[string]string{"/inside": "not public", "/file": "scheme", "/loop": "3 redirects"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		require.NoError(t, err)
		response, err := client.Do(request)
		if response != nil {
			response.Body.Close()
		}
		require.ErrorContains(t, err, want, path)
	}
}

// TestNoProxy would reach the proxy of the environment if there were a way.
func TestNoProxy(t *testing.T) { //nolint:paralleltest // it sets the environment
	proxied := atomic.Int32{}
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied.Add(1) }))
	t.Cleanup(proxy.Close)
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	resolver := ssrftest.Resolver(func(string) []netip.Addr { return []netip.Addr{netip.MustParseAddr("10.1.1.1")} })
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://site.test/", nil)
	require.NoError(t, err)
	_, err = ssrf.Guard{Resolver: resolver}.Client(time.Second, 0).Do(request)
	require.Error(t, err)
	require.Zero(t, proxied.Load())
}

func TestOnlyTCP(t *testing.T) {
	t.Parallel()
	require.Error(t, ssrf.Guard{}.Control("udp4", "8.8.8.8:443", nil))
	require.Error(t, ssrf.Guard{}.Control("unix", "/tmp/socket", nil))
	require.NoError(t, ssrf.Guard{}.Control("tcp4", "8.8.8.8:443", nil))
	_, err := ssrf.Guard{AllowLoopback: true}.Dialer().DialContext(context.Background(), "unix", "/nowhere")
	require.Error(t, err)
}

// FuzzURL holds that whatever is spelled, what the URL check lets through as an
// address is one that the dialer would allow.
func FuzzURL(f *testing.F) {
	for _, seed := range []string{"http://0x7f000001/", "http://2130706433/", "http://127.1/", "http://[::ffff:7f00:1]/", "http://①②⑦.⓪.⓪.①/", "http://a@b:80@127.0.0.1/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := url.Parse(text)
		if err != nil || (ssrf.Guard{}).CheckURL(u) != nil {
			return
		}
		if address, err := netip.ParseAddr(u.Hostname()); err == nil {
			require.True(t, address.IsGlobalUnicast() && !address.IsPrivate() && !address.IsLoopback() && !address.Is4In6(), text)
		}
	})
}
