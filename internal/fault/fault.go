// Package fault holds the one error type that crosses package borders. Rules
// and queries return a *Error (or wrap one); internal/httpkit turns its code
// into an HTTP status and problem+json in one place.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Code says what kind of failure it is, independent of any transport.
type Code string

// The codes, each with the HTTP status it becomes.
const (
	Invalid         Code = "invalid"         // 422: the request can be read but not accepted
	Malformed       Code = "malformed"       // 400: the request cannot be read
	Unauthenticated Code = "unauthenticated" // 401
	Forbidden       Code = "forbidden"       // 403
	NotFound        Code = "not_found"       // 404
	Conflict        Code = "conflict"        // 409: the state does not allow it
	TooLarge        Code = "too_large"       // 413
	RateLimited     Code = "rate_limited"    // 429: this caller asks too much
	Unavailable     Code = "unavailable"     // 503: try again later
	Internal        Code = "internal"        // 500: a defect of ours
)

// Error is a failure with a message that may be shown to the caller.
type Error struct {
	Code    Code
	Message string // a sentence for the caller: what is wrong and what to do
	Fields  []Field
	// RetryAfter is when trying again makes sense, for RateLimited and
	// Unavailable; 0 is one second.
	RetryAfter time.Duration
	Err        error // the cause, for the log only
}

// Field locates a failure inside the request.
type Field struct {
	Location string // a path such as "body.batch[3].event"
	Message  string
	Value    any
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// New returns an error of that code; format and args make its message.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap returns an error of that code whose cause is err.
func Wrap(err error, code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Err: err}
}

// At returns an Invalid error about one place of the request.
func At(location string, value any, format string, args ...any) *Error {
	message := fmt.Sprintf(format, args...)
	return &Error{
		Code:    Invalid,
		Message: location + ": " + message,
		Fields:  []Field{{Location: location, Message: message, Value: value}},
	}
}

// CodeOf returns the code of the first *Error in err's chain, Internal when
// there is none and the empty code for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}
