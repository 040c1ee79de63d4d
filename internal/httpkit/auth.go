package httpkit

import (
	"context"
	"net/http"
	"strings"

	"github.com/engardehq/madansara/internal/fault"
)

// SessionCookie holds the token of a dashboard log-in.
const SessionCookie = "madansara_session"

// Authenticator tells whom a token belongs to. Both return a *fault.Error of
// code Unauthenticated for a token that is unknown, expired or revoked.
type Authenticator interface {
	// Key checks an API key or a write key.
	Key(ctx context.Context, token string) (Principal, error)
	// Session checks the token of a log-in session.
	Session(ctx context.Context, token string) (Principal, error)
}

// NewSessionCookie returns the cookie that carries a log-in session. maxAge is
// in seconds; a negative one takes the cookie away.
func NewSessionCookie(token string, maxAge int, secure bool) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure everywhere but on plain http, where the browser would drop it
		Name: SessionCookie, Value: token, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode,
	}
}

// authenticate puts the principal into the request's context. A key that is
// wrong is refused at once; a stale cookie is the same as none, so that the
// log-in page stays reachable. On an open path a cookie is nobody's: browsers
// send it along with other sites' requests (sendBeacon does), nothing there
// refuses those, and it would win over the write key that the page sends.
func authenticate(who Authenticator, open func(*http.Request) bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" && open(r) {
			next.ServeHTTP(w, r)
			return
		}
		if principal, known := PrincipalFrom(r.Context()); known { // another service, by its signature
			admit(w, r, principal, next)
			return
		}
		principal, err := principalOf(who, r)
		if err != nil {
			WriteProblem(w, err)
			return
		}
		if principal == nil {
			next.ServeHTTP(w, r)
			return
		}
		admit(w, r, *principal, next)
	})
}

func admit(w http.ResponseWriter, r *http.Request, principal Principal, next http.Handler) {
	if info := requestOf(r.Context()); info != nil {
		info.principal = principal
	}
	// What a tenant sees stays out of shared and back-button caches; a
	// static file sets its own header.
	w.Header().Set("Cache-Control", "no-store")
	next.ServeHTTP(w, r.WithContext(WithPrincipal(r.Context(), principal)))
}

func principalOf(who Authenticator, r *http.Request) (*Principal, error) {
	if r.Header.Get("Authorization") != "" {
		token, err := headerToken(r)
		if err != nil {
			return nil, err
		}
		principal, err := who.Key(r.Context(), token)
		if err != nil {
			return nil, err //nolint:wrapcheck // already a fault for the caller
		}
		return &principal, nil
	}
	cookie, err := r.Cookie(SessionCookie)
	if err != nil || cookie.Value == "" {
		return nil, nil //nolint:nilnil,nilerr // no cookie: anonymous
	}
	principal, err := who.Session(r.Context(), cookie.Value)
	if fault.CodeOf(err) == fault.Unauthenticated {
		return nil, nil //nolint:nilnil // anonymous
	}
	if err != nil {
		return nil, err //nolint:wrapcheck // already a fault for the caller
	}
	return &principal, nil
}

// headerToken reads "Bearer <key>", or basic authentication whose user name is
// the key (Segment's form).
func headerToken(r *http.Request) (string, error) {
	if token, _, ok := r.BasicAuth(); ok {
		return token, nil
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(token) == "" {
		return "", fault.New(fault.Unauthenticated,
			"The Authorization header is neither 'Bearer <API key>' nor basic authentication with a write key as the user name.")
	}
	return strings.TrimSpace(token), nil
}

// refuseCrossOrigin stops another site's page from acting with a user's
// cookie. Requests with an Authorization header carry no ambient authority.
func refuseCrossOrigin(trusted []string, next http.Handler) http.Handler {
	guard := http.NewCrossOriginProtection()
	for _, origin := range trusted {
		if err := guard.AddTrustedOrigin(origin); err != nil {
			continue // configuration has validated them; one that is no origin is simply not trusted
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			if err := guard.Check(r); err != nil {
				WriteProblem(w, fault.Wrap(err, fault.Forbidden, "A page of another site may not do this with a log-in; send an API key instead."))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
