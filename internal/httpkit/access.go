package httpkit

import (
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/fault"
)

// Observer is told of every answered request; telemetry counts them.
// route is the pattern that matched ("" for none), so it is a bounded label.
type Observer func(method, route string, status int, elapsed time.Duration)

// answer remembers what was answered.
type answer struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 || a.status < http.StatusOK {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(b)
	a.bytes += int64(n)
	return n, err //nolint:wrapcheck // io.Writer's own error
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// logAccess writes one line a request and turns a panic into a problem.
// Neither query strings nor headers are logged: they carry keys and addresses.
func logAccess(logger *slog.Logger, observe Observer, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		out := &answer{ResponseWriter: w}
		defer func() { //nolint:contextcheck // the request carries its context
			failure := recover()
			aborted := isAbort(failure)
			if failure != nil && !aborted {
				logger.ErrorContext(r.Context(), "panic in a request",
					slog.Any("panic", failure), slog.String("stack", string(debug.Stack())))
				if out.status == 0 {
					WriteProblem(out, fault.New(fault.Internal, "The service failed to answer; the failure is logged under the request id."))
				} else {
					aborted = true // the answer is half sent: break the connection, so that it is not taken for whole
				}
			}
			record(logger, observe, r, out, time.Since(started))
			if aborted {
				panic(http.ErrAbortHandler)
			}
		}()
		next.ServeHTTP(out, r)
	})
}

func isAbort(failure any) bool {
	err, ok := failure.(error)
	return ok && errors.Is(err, http.ErrAbortHandler)
}

func record(logger *slog.Logger, observe Observer, r *http.Request, out *answer, elapsed time.Duration) {
	info := requestOf(r.Context())
	if info == nil {
		return
	}
	status := out.status
	if status == 0 {
		status = http.StatusOK
	}
	if observe != nil {
		observe(r.Method, info.route, status, elapsed)
	}
	level := slog.LevelInfo
	switch {
	case status >= http.StatusInternalServerError:
		level = slog.LevelWarn // what failed is logged by itself, as an error
	case strings.HasPrefix(r.URL.Path, "/health/"), r.URL.Path == "/health", r.URL.Path == "/metrics":
		level = slog.LevelDebug
	}
	attrs := []slog.Attr{
		slog.String("method", r.Method), slog.String("route", info.route), slog.Int("status", status),
		slog.Float64("duration_ms", float64(elapsed.Microseconds())/1000), slog.Int64("bytes", out.bytes),
	}
	attrs = append(attrs, slog.String("path", loggedPath(info.route, r.URL.Path)))
	if tenant := info.principal.Tenant; tenant != [16]byte{} {
		attrs = append(attrs, slog.String("tenant_uuid", tenant.String()), slog.String("principal", info.principal.ID))
	}
	logger.LogAttrs(r.Context(), level, "request", attrs...)
}

// loggedPath is the path with the values of the route's wildcards left out
// unless they are ids of ours: another may be a token or somebody's address.
func loggedPath(route, path string) string {
	if len(path) > longestValue {
		path = path[:longestValue]
	}
	_, pattern, _ := strings.Cut(route, "/")
	if !strings.Contains(pattern, "{") {
		return path
	}
	values := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, name := range strings.Split(pattern, "/") {
		if i >= len(values) || !strings.HasPrefix(name, "{") {
			continue
		}
		if _, err := uuid.Parse(values[i]); err != nil {
			values[i] = name
		}
	}
	return "/" + strings.Join(values, "/")
}
