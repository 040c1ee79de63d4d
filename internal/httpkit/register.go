package httpkit

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/fault"
)

// Security schemes of the OpenAPI document.
const (
	BearerScheme   = "apiKey"   // Authorization: Bearer <API key>
	WriteKeyScheme = "writeKey" // basic authentication, a write key as user name
	SessionScheme  = "session"  // the dashboard's cookie
)

// Scoped is the Security of an operation that a key with scope, or a logged-in
// user who holds it, may call.
func Scoped(scope string) []map[string][]string {
	return []map[string][]string{{BearerScheme: {scope}}, {SessionScheme: {scope}}}
}

type notForServices struct{}

// NotForServices is the Metadata of an operation for people and keys alone: who may
// log in, which keys there are. No service needs it, and one that was broken into, or
// a secret of the mesh that got out, must not make itself an owner of every tenant.
func NotForServices() map[string]any { return map[string]any{"not for services": notForServices{}} }

// Register adds an operation whose errors are turned into problem+json and
// logged in one place. An operation with Security is refused without a
// principal that holds its scope.
func Register[I, O any](api huma.API, op huma.Operation, handler func(context.Context, *I) (*O, error)) {
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		if err := authorize(ctx, op); err != nil {
			return nil, problemIn(ctx, err)
		}
		out, err := handler(ctx, in)
		if err != nil {
			problem := problemIn(ctx, err)
			if problem.Status >= http.StatusInternalServerError {
				logFailure(ctx, op.OperationID, err)
			}
			return nil, problem
		}
		return out, nil
	})
}

// guardAccess refuses whom authorize would refuse before anything of the request
// is read: nobody makes us parse megabytes without a key.
func guardAccess(api huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		if err := authorize(ctx.Context(), *ctx.Operation()); err != nil {
			problem := ProblemOf(err)
			for name := range problem.GetHeaders() {
				ctx.SetHeader(name, problem.GetHeaders().Get(name))
			}
			_ = huma.WriteErr(api, ctx, problem.Status, problem.Detail) // huma reports a failed write itself
			return
		}
		next(ctx)
	}
}

func problemIn(ctx context.Context, err error) *Problem {
	problem := *ProblemOf(err) // a copy: the error may be shared
	problem.RequestID = RequestID(ctx)
	return &problem
}

func authorize(ctx context.Context, op huma.Operation) error {
	if len(op.Security) == 0 {
		return nil
	}
	principal, ok := PrincipalFrom(ctx)
	if !ok {
		return fault.New(fault.Unauthenticated, "Send an API key as 'Authorization: Bearer <key>', or log in.")
	}
	if principal.Service != "" && principal.Tenant == uuid.Nil {
		return fault.New(fault.Invalid, "The call of %s names no tenant.", principal.Service)
	}
	if _, closed := op.Metadata["not for services"].(notForServices); closed && principal.Service != "" {
		return fault.New(fault.Forbidden, "This is for people and their keys, not for %s.", principal.Name)
	}
	if principal.Service != "" {
		if !slices.Contains(principal.Operations, op.OperationID) {
			return fault.New(fault.Forbidden, "The service %s does not call this: it has no need to.", principal.Name)
		}
		return nil
	}
	for _, requirement := range op.Security {
		for _, scopes := range requirement {
			for _, scope := range scopes {
				if !principal.Allows(scope) {
					return fault.New(fault.Forbidden, "This needs the scope %q, which %s does not have.", scope, principal.Name)
				}
			}
		}
	}
	return nil
}
