package httpkit

import (
	"net/http"
	"slices"
	"strings"
)

// ContentSecurityPolicy is every answer's: nothing is loaded from elsewhere. A
// page that needs less sets its own header.
const ContentSecurityPolicy = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data:; font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; " +
	"form-action 'self'; frame-ancestors 'none'"

func secureHeaders(production bool, open func(*http.Request) bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", ContentSecurityPolicy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Referrer-Policy", "strict-origin-when-cross-origin")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		if open(r) {
			header.Set("Cross-Origin-Resource-Policy", "cross-origin")
		} else {
			header.Set("Cross-Origin-Resource-Policy", "same-origin")
		}
		if production {
			header.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
		}
		next.ServeHTTP(w, r)
	})
}

// crossOrigin answers browsers that ask whether another site's page may call.
// Open endpoints (tracker, ingest) take any origin; the rest only those
// configured. Cookies are never allowed along.
func crossOrigin(origins []string, open func(*http.Request) bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		header := w.Header()
		allowed := false
		switch {
		case open(r):
			header.Set("Access-Control-Allow-Origin", "*")
			allowed = true
		case origin != "" && slices.Contains(origins, origin):
			header.Set("Access-Control-Allow-Origin", origin)
			allowed = true
			fallthrough
		default:
			header.Add("Vary", "Origin")
		}
		if allowed {
			header.Set("Access-Control-Expose-Headers", "X-Request-Id, Retry-After")
		}
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
			next.ServeHTTP(w, r)
			return
		}
		if allowed {
			header.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE")
			header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Request-Id, Traceparent, Tracestate")
			header.Set("Access-Control-Max-Age", "86400")
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// pathSet matches paths: exactly, or below an entry that ends in "/".
type pathSet []string

func (s pathSet) has(r *http.Request) bool {
	for _, path := range s {
		if r.URL.Path == path || strings.HasSuffix(path, "/") && strings.HasPrefix(r.URL.Path, path) {
			return true
		}
	}
	return false
}
