package mcpserver

import (
	"bufio"
	"io"
	"log/slog"
	"net/http"
	"slices"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
)

// Path is where [Handler] stands.
const Path = "/mcp"

// maxRequest bounds a message of a client, in bytes: a memory at its limits, and then some.
const maxRequest = 1 << 20

// HTTPConfig is what /mcp needs.
type HTTPConfig struct {
	// API answers the tools' calls. The caller is authenticated and counted already when
	// /mcp is asked, so it is the bare mux, whose operations still ask for scopes.
	API http.Handler
	// Origins are the pages that may call from a browser.
	Origins []string
	Version string
	Logger  *slog.Logger
}

// Handler answers MCP over streamable HTTP. It keeps no session, so that any replica
// answers any request. Callers bring an API key; a log-in's cookie is not enough,
// for a browser sends it along whoever asks.
func Handler(cfg HTTPConfig) http.Handler {
	streamable := mcp.NewStreamableHTTPHandler(func(r *http.Request) *mcp.Server {
		principal, _ := httpkit.PrincipalFrom(r.Context()) // present: judged below
		return New(within(cfg.API, principal), Options{Version: cfg.Version, Agent: principal.Name, Allows: principal.Allows})
	}, &mcp.StreamableHTTPOptions{
		Stateless: true, JSONResponse: true, Logger: cfg.Logger, MaxRequestBodyBytes: maxRequest, PropagateRequestCancellation: true,
		// A proxy on this machine forwards another Host. What that protection is for can't
		// happen here: a page has no key.
		DisableLocalhostProtection: true,
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if origin := r.Header.Get("Origin"); origin != "" && !slices.Contains(cfg.Origins, origin) {
			httpkit.WriteProblem(w, fault.New(fault.Forbidden, "Pages of %.100q may not call this; CORS_ORIGINS names those that may.", origin))
			return
		}
		principal, known := httpkit.PrincipalFrom(r.Context())
		if !known || principal.User != [16]byte{} {
			httpkit.WriteProblem(w, fault.New(fault.Unauthenticated, "Send an API key as 'Authorization: Bearer <key>'."))
			return
		}
		if principal.Tenant == [16]byte{} {
			httpkit.WriteProblem(w, fault.New(fault.Invalid, "The call of %s names no tenant.", principal.Name))
			return
		}
		body := bufio.NewReader(r.Body)
		if isBatch(body) {
			// A caller is counted by the request, and a batch would be thousands of calls in one.
			httpkit.WriteProblem(w, fault.New(fault.Malformed, "Send one message a request: batches are not answered."))
			return
		}
		r.Body = struct {
			io.Reader
			io.Closer
		}{body, r.Body}
		streamable.ServeHTTP(w, r)
	})
}

// isBatch reports whether a JSON list comes; it reads no more than the white space before it.
func isBatch(body *bufio.Reader) bool {
	for {
		next, err := body.Peek(1)
		switch {
		case err != nil:
			return false
		case next[0] == ' ' || next[0] == '\t' || next[0] == '\r' || next[0] == '\n':
			_, _ = body.Discard(1) // it was there to peek at
		default:
			return next[0] == '['
		}
	}
}
