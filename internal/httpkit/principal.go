package httpkit

import (
	"context"
	"slices"

	"github.com/google/uuid"
)

// Principal is who a request acts for: a person with a log-in session, a key, or
// another service of the platform.
type Principal struct {
	Tenant  uuid.UUID // uuid.Nil for a service that acts for none
	ID      string    // names the key, user or service in logs and rate limits, "key <uuid>"
	User    uuid.UUID // uuid.Nil for a key or service
	Session uuid.UUID // the log-in session that a user came with; uuid.Nil for everybody else
	Service string    // the calling service's id; "" for everybody else
	Name    string    // for display and audit: an e-mail address, a key's name
	Scopes  []string  // "outreach:write", ...; "*" is every scope
	// Operations are the ids of those that a calling service may call, whatever their
	// scope: it may call no other. Nil for everybody else.
	Operations []string
}

// Allows reports whether the principal holds scope.
func (p Principal) Allows(scope string) bool {
	return slices.Contains(p.Scopes, "*") || slices.Contains(p.Scopes, scope)
}

type principalKey struct{}

// WithPrincipal returns ctx carrying p.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// PrincipalFrom returns the request's principal; false before authentication.
func PrincipalFrom(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(principalKey{}).(Principal)
	return p, ok
}

// Tenant returns the tenant of the request's principal, uuid.Nil without one
// (for which engardedb refuses a transaction).
func Tenant(ctx context.Context) uuid.UUID {
	p, _ := PrincipalFrom(ctx)
	return p.Tenant
}
