package httpkit

import (
	"net"
	"net/http"
	"strings"
)

// clientIP returns who asks. Each of the proxyHops proxies in front of us
// appends the address it was called from to X-Forwarded-For; whatever stands
// further left was written by the caller and proves nothing.
func clientIP(r *http.Request, proxyHops int) string {
	if proxyHops > 0 {
		var chain []string
		for _, line := range r.Header.Values("X-Forwarded-For") {
			chain = append(chain, strings.Split(line, ",")...)
		}
		if len(chain) >= proxyHops {
			if ip := net.ParseIP(strings.TrimSpace(chain[len(chain)-proxyHops])); ip != nil {
				return ip.String()
			}
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
