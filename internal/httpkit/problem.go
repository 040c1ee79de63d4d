package httpkit

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
)

// Problem is the body of every error answer (RFC 9457, application/problem+json).
type Problem struct { //nolint:errname // RFC 9457 calls it a problem; huma wants it to be an error too
	Type   string     `json:"type" doc:"Identifies the kind of problem" example:"about:blank"`
	Title  string     `json:"title" doc:"The status in words"`
	Status int        `json:"status" doc:"The HTTP status"`
	Detail string     `json:"detail" doc:"What is wrong with this request and what to do about it"`
	Code   fault.Code `json:"code" doc:"The kind of failure, for programs"`
	// RequestID is what the service's log calls this request.
	RequestID string          `json:"request_id,omitempty" doc:"Names this request in the service's log"`
	Errors    []ProblemDetail `json:"errors,omitempty" doc:"The places of the request that are wrong"`

	retryAfter time.Duration
}

// ProblemDetail is one wrong place of a request.
type ProblemDetail struct {
	Location string `json:"location" doc:"Where, for instance body.batch[3].event"`
	Message  string `json:"message" doc:"What is wrong there"`
	Value    any    `json:"value,omitempty" doc:"What was sent"`
}

// Error makes Problem an error, as huma wants it.
func (p *Problem) Error() string { return p.Detail }

// GetStatus returns the HTTP status, as huma wants it.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders returns what the problem adds to the answer's headers.
func (p *Problem) GetHeaders() http.Header {
	header := http.Header{}
	switch p.Status {
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", `Bearer realm="madansara"`)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		seconds := max(1, int(math.Ceil(p.retryAfter.Seconds())))
		header.Set("Retry-After", strconv.Itoa(seconds))
	}
	return header
}

// ContentType is problem+json wherever huma would answer JSON.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

var statusOf = map[fault.Code]int{
	fault.Invalid:         http.StatusUnprocessableEntity,
	fault.Malformed:       http.StatusBadRequest,
	fault.Unauthenticated: http.StatusUnauthorized,
	fault.Forbidden:       http.StatusForbidden,
	fault.NotFound:        http.StatusNotFound,
	fault.Conflict:        http.StatusConflict,
	fault.TooLarge:        http.StatusRequestEntityTooLarge,
	fault.RateLimited:     http.StatusTooManyRequests,
	fault.Unavailable:     http.StatusServiceUnavailable,
	fault.Internal:        http.StatusInternalServerError,
}

var codeOf = func() map[int]fault.Code {
	codes := make(map[int]fault.Code, len(statusOf))
	for code, status := range statusOf {
		codes[status] = code
	}
	return codes
}()

// ProblemOf turns any error into what the caller may see. The text of an error
// that is not a *fault.Error stays inside: it goes to the log.
func ProblemOf(err error) *Problem {
	var problem *Problem
	if errors.As(err, &problem) {
		return problem
	}
	var f *fault.Error
	switch {
	case errors.As(err, &f):
	case errors.Is(err, engardedb.ErrPoolTimeout), errors.Is(err, context.DeadlineExceeded), databaseAway(err):
		f = fault.New(fault.Unavailable, "The service is at its limit; try again in a moment.")
	case errors.Is(err, engardedb.ErrNoTenant):
		f = fault.New(fault.Unauthenticated, "The request names no tenant: authenticate first.")
	default:
		f = fault.New(fault.Internal, "The service failed to answer; the failure is logged under the request id.")
	}
	status, known := statusOf[f.Code]
	if !known {
		status = http.StatusInternalServerError
	}
	problem = newProblem(status, f.Message)
	problem.Code = f.Code
	problem.retryAfter = f.RetryAfter
	for _, field := range f.Fields {
		problem.Errors = append(problem.Errors, ProblemDetail{Location: field.Location, Message: field.Message, Value: clip(field.Value)})
	}
	return problem
}

// databaseAway reports whether err says that the database cannot answer now,
// rather than that the statement is wrong.
func databaseAway(err error) bool {
	if _, is := errors.AsType[*pgconn.ConnectError](err); is {
		return true
	}
	pgErr, is := errors.AsType[*pgconn.PgError](err)
	if !is || len(pgErr.Code) < 2 {
		return false
	}
	switch pgErr.Code[:2] {
	case "08", "53", "57", "40": // connection, resources, operator intervention, serialisation
		return true
	}
	return false
}

// longestValue bounds how much of a wrong value is sent back.
const longestValue = 200

func clip(value any) any {
	text, ok := value.(string)
	if !ok {
		encoded, err := json.Marshal(value)
		if err != nil || len(encoded) > longestValue {
			return nil
		}
		return value
	}
	if len(text) <= longestValue {
		return text
	}
	return strings.ToValidUTF8(text[:longestValue], "") + "…"
}

func newProblem(status int, detail string) *Problem {
	code, known := codeOf[status]
	if !known {
		code = fault.Malformed
		if status >= http.StatusInternalServerError {
			code = fault.Internal
		}
	}
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Code: code}
}

// WriteProblem answers err outside huma's operations.
func WriteProblem(w http.ResponseWriter, err error) {
	problem := ProblemOf(err)
	problem.RequestID = w.Header().Get(requestIDHeader)
	maps.Copy(w.Header(), problem.GetHeaders())
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(problem.Status)
	_ = json.NewEncoder(w).Encode(problem) // the client is gone if this fails
}

func init() {
	// huma builds its own validation errors through this hook, so that they
	// look like ours.
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		problem := newProblem(status, explain(status, message))
		for _, err := range errs {
			if detail, is := errors.AsType[*huma.ErrorDetail](err); is {
				problem.Errors = append(problem.Errors, ProblemDetail{Location: detail.Location, Message: detail.Message, Value: clip(detail.Value)})
			} else if err != nil {
				problem.Errors = append(problem.Errors, ProblemDetail{Message: err.Error()})
			}
		}
		return problem
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, message string, errs ...error) huma.StatusError {
		err := huma.NewError(status, message, errs...)
		var problem *Problem
		if ctx != nil && errors.As(err, &problem) {
			problem.RequestID = RequestID(ctx.Context())
		}
		return err
	}
}

// explain makes sentences of huma's terse messages.
func explain(status int, message string) string {
	switch {
	case message == "validation failed":
		return "The request does not fit the operation; see errors."
	case status == http.StatusRequestEntityTooLarge:
		return "The request's body is too large."
	case status == http.StatusInternalServerError:
		return "The service failed to answer; the failure is logged under the request id."
	}
	return message
}
