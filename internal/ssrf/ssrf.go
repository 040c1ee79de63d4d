// Package ssrf keeps URLs that somebody else chose (a tenant's page, webhook or
// feed) from reaching what only this process should reach: the machine itself,
// the private network and a cloud's metadata service (server-side request
// forgery).
//
// The address is judged when it is dialled, after names have been resolved, so
// that neither a name that points inside, nor one that points outside when it is
// checked and inside when it is used (DNS rebinding), nor a redirect, nor an odd
// spelling of an address gets through. A proxy from the environment is never
// used: it would dial in our place, unchecked.
package ssrf

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Guard says what may be reached. Its zero value allows the public internet on
// the usual web ports. It is read only, so it may be used concurrently.
type Guard struct {
	// AllowLoopback also allows this machine's own loopback addresses, on any
	// port. It is for development and tests, where the sites are local.
	AllowLoopback bool
	// Ports that may be dialled; empty is 80, 443, 8080 and 8443.
	Ports []uint16
	// Deny are ranges that may not be reached although they are public, for
	// instance the installation's own.
	Deny []netip.Prefix
	// Resolver resolves names; nil is the machine's own.
	Resolver *net.Resolver
}

var webPorts = []uint16{80, 443, 8080, 8443}

// MailPorts are those of mail servers that take mail for delivery: of submission, with
// STARTTLS and with TLS, of relays, and the one that providers offer where a network
// blocks the others.
var MailPorts = []uint16{587, 465, 25, 2525}

// RefusedError says that the guard does not allow a URL or an address.
type RefusedError struct {
	Target string // the URL or the address
	Reason string // what is wrong with it, a phrase
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s may not be reached: %s", e.Target, e.Reason)
}

// Refused reports whether err comes from a guard, and its reason.
func Refused(err error) (reason string, is bool) {
	refusal, is := errors.AsType[*RefusedError](err)
	if !is {
		return "", false
	}
	return refusal.Reason, true
}

// CheckURL refuses what can be told to be wrong from the URL alone: another
// scheme than http and https, credentials, a missing host, a port that is not
// allowed, or an address for a host that may not be dialled. A host name is
// not resolved: the dialer judges what it stands for. Its error is a
// *RefusedError.
func (g Guard) CheckURL(u *url.URL) error {
	refuse := func(format string, args ...any) error {
		return &RefusedError{Target: u.Redacted(), Reason: fmt.Sprintf(format, args...)}
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return refuse("the scheme must be http or https")
	case u.Opaque != "" || u.Hostname() == "":
		return refuse("it names no host")
	case u.User != nil:
		return refuse("it carries credentials")
	case strings.ContainsAny(u.Hostname(), " \t\r\n\x00%"):
		return refuse("the host is not a name or an address")
	}
	port := uint16(80)
	if u.Scheme == "https" {
		port = 443
	}
	if text := u.Port(); text != "" {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return refuse("the port must be between 1 and 65535")
		}
		port = uint16(n)
	} else if strings.HasSuffix(u.Host, ":") {
		return refuse("the port is missing after the colon")
	}
	if err := g.checkNamed(u.Hostname(), port); err != nil {
		return refuse("%s", reasonOf(err))
	}
	return nil
}

// CheckHost is [Guard.CheckURL] for a server that is named without a URL, a mail
// server for instance; the guard's Ports are then its protocol's. Whoever connects
// to it does so by [Guard.Dialer], which judges what the name stands for.
func (g Guard) CheckHost(host string, port uint16) error {
	if _, err := netip.ParseAddr(host); err != nil && (host == "" || strings.ContainsAny(host, " \t\r\n\x00%/\\:@?#[]")) {
		return &RefusedError{Target: host, Reason: "the host is not a name or an address"}
	}
	return g.checkNamed(host, port)
}

func (g Guard) checkNamed(host string, port uint16) error {
	if address, err := netip.ParseAddr(host); err == nil {
		return g.CheckAddr(netip.AddrPortFrom(address, port))
	}
	// A name's addresses are not known yet; loopback's own would allow any port.
	if !g.AllowLoopback && !g.portAllowed(port) {
		return &RefusedError{Target: host, Reason: g.badPort(port)}
	}
	return nil
}

// IsLoopback reports whether a host is named as this machine's own. It says nothing about
// what another name stands for.
func IsLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.Unmap().IsLoopback()
}

// CheckAddr refuses an address that may not be dialled. Its error is a
// *RefusedError.
func (g Guard) CheckAddr(to netip.AddrPort) error {
	address := to.Addr()
	if g.AllowLoopback && address.Unmap().IsLoopback() && address.Zone() == "" {
		return nil
	}
	if reason := forbidden(address); reason != "" {
		return &RefusedError{Target: to.String(), Reason: "the address is not public (" + reason + ")"}
	}
	for _, prefix := range g.Deny {
		if prefix.Contains(address) {
			return &RefusedError{Target: to.String(), Reason: "the address is the installation's own"}
		}
	}
	if !g.portAllowed(to.Port()) {
		return &RefusedError{Target: to.String(), Reason: g.badPort(to.Port())}
	}
	return nil
}

func reasonOf(err error) string {
	reason, _ := Refused(err)
	return reason
}

func (g Guard) ports() []uint16 {
	if len(g.Ports) == 0 {
		return webPorts
	}
	return g.Ports
}

func (g Guard) portAllowed(port uint16) bool { return slices.Contains(g.ports(), port) }

func (g Guard) badPort(port uint16) string {
	if len(g.Ports) == 0 {
		return fmt.Sprintf("port %d is not one of a web site (%s)", port, g.portList())
	}
	return fmt.Sprintf("port %d is none of %s", port, g.portList())
}

func (g Guard) portList() string {
	names := make([]string, 0, len(g.ports()))
	for _, port := range g.ports() {
		names = append(names, strconv.Itoa(int(port)))
	}
	return strings.Join(names, ", ")
}

// Control judges the address that a socket is about to be connected to; it is
// meant for [net.Dialer.Control].
func (g Guard) Control(network, address string, _ syscall.RawConn) error {
	switch network {
	case "tcp4", "tcp6":
	default:
		return &RefusedError{Target: address, Reason: "only TCP is allowed, not " + network}
	}
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return &RefusedError{Target: address, Reason: "it is not an address"}
	}
	return g.CheckAddr(to)
}

// Dialer returns a dialer that connects only to what the guard allows.
func (g Guard) Dialer() *net.Dialer {
	return &net.Dialer{
		Timeout: 10 * time.Second, KeepAlive: 30 * time.Second,
		Resolver: g.Resolver, Control: g.Control,
	}
}

// Transport returns a new HTTP transport over [Guard.Dialer], without a proxy,
// that also checks every request's URL. The caller owns it and may change the
// timeouts of the *http.Transport inside, but neither its dialer nor its proxy.
func (g Guard) Transport() *Transport {
	return &Transport{guard: g, HTTP: &http.Transport{
		Proxy:                  nil,
		DialContext:            g.Dialer().DialContext,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           50,
		MaxIdleConnsPerHost:    2,
		IdleConnTimeout:        30 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  15 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 256 << 10,
	}}
}

// Transport is an http.RoundTripper that reaches only what its guard allows.
type Transport struct {
	guard Guard
	HTTP  *http.Transport
}

// RoundTrip sends a request whose URL the guard allows.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := t.guard.CheckURL(request.URL); err != nil {
		if request.Body != nil {
			_ = request.Body.Close() // a RoundTripper must close it; nothing was sent
		}
		return nil, err
	}
	return t.HTTP.RoundTrip(request)
}

// CloseIdleConnections closes the connections that wait for another request.
func (t *Transport) CloseIdleConnections() { t.HTTP.CloseIdleConnections() }

// Client returns an HTTP client over a new [Guard.Transport] that gives up
// after timeout and follows at most redirects redirects, each of them checked.
func (g Guard) Client(timeout time.Duration, redirects int) *http.Client {
	return &http.Client{
		Transport: g.Transport(), Timeout: timeout,
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > redirects {
				return fmt.Errorf("stopped after %d redirects", redirects)
			}
			return nil
		},
	}
}
