package httpkit

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// clientIP returns who asks: an IPv4 address, or the /64 network of an IPv6 one,
// because whoever has one address of it has all and could be 2^64 callers. Each of the proxyHops proxies in front of us
// appends the address it was called from to X-Forwarded-For; whatever stands
// further left was written by the caller and proves nothing.
func clientIP(r *http.Request, proxyHops int) string {
	if proxyHops > 0 {
		var chain []string
		for _, line := range r.Header.Values("X-Forwarded-For") {
			chain = append(chain, strings.Split(line, ",")...)
		}
		if len(chain) >= proxyHops {
			if network, ok := networkOf(strings.TrimSpace(chain[len(chain)-proxyHops])); ok {
				return network
			}
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	if network, ok := networkOf(host); ok {
		return network
	}
	return host
}

func networkOf(text string) (string, bool) {
	address, err := netip.ParseAddr(text)
	if err != nil {
		return "", false
	}
	address = address.Unmap().WithZone("")
	if address.Is4() {
		return address.String(), true
	}
	network, err := address.Prefix(64)
	return network.String(), err == nil
}
