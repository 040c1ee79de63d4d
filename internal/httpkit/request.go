package httpkit

import (
	"context"
	"net/http"
	"regexp"

	"github.com/google/uuid"
)

const requestIDHeader = "X-Request-ID"

// saneRequestID is what we take over from a caller: short, and harmless in a log.
var saneRequestID = regexp.MustCompile(`^[A-Za-z0-9._:-]{8,128}$`)

// request is what the middleware learns about a request on its way in; the
// access log reads it on the way out.
type request struct {
	id        string
	clientIP  string
	route     string // the pattern that matched, "" when none did
	principal Principal
}

type requestKey struct{}

func requestOf(ctx context.Context) *request {
	r, _ := ctx.Value(requestKey{}).(*request)
	return r
}

// RequestID returns the id under which the log knows the request, "" outside one.
func RequestID(ctx context.Context) string {
	if r := requestOf(ctx); r != nil {
		return r.id
	}
	return ""
}

// ClientIP returns where the request came from, for limits: an IPv4 address or
// the /64 network of an IPv6 one; "" outside a request.
func ClientIP(ctx context.Context) string {
	if r := requestOf(ctx); r != nil {
		return r.clientIP
	}
	return ""
}

// identify names the request: the caller's X-Request-Id if it is sane, else an
// id of ours. The answer carries it too.
func identify(proxyHops int, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(requestIDHeader)
		if !saneRequestID.MatchString(id) {
			id = uuid.Must(uuid.NewV7()).String()
		}
		w.Header().Set(requestIDHeader, id)
		info := &request{id: id, clientIP: clientIP(r, proxyHops)}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestKey{}, info)))
	})
}
