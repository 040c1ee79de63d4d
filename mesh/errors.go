package mesh

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/engardehq/madansara/mesh/problem"
)

// Kind says how a call failed.
type Kind string //nolint:errname // a kind is an errors.Is target, an Error is the error

// The kinds of an [Error].
const (
	// ErrUnreachable: no answer came: no address is known, none accepted the
	// connection, or it broke.
	ErrUnreachable Kind = "unreachable"
	// ErrCircuitOpen: the peer failed lately and is left alone for a while; nothing was sent.
	ErrCircuitOpen Kind = "circuit_open"
	// ErrTimeout: the time of the call, the mesh's or the caller's, ran out, here
	// or at the peer (Status is 504).
	ErrTimeout Kind = "timeout"
	// ErrRefused: there is no capacity. Either too many calls to the peer are
	// under way here and nothing was sent (Status is 0), or the peer answered 429 or 503.
	ErrRefused Kind = "refused"
	// ErrRejected: the peer answered with another error; Problem says what it objects to.
	ErrRejected Kind = "rejected"
	// ErrCanceled: the caller gave up.
	ErrCanceled Kind = "canceled"
	// ErrBadAnswer: the peer answered something that is not what the call expects.
	ErrBadAnswer Kind = "bad_answer"
)

// Error is the error of every call. Compare it with errors.Is and a Kind:
//
//	if errors.Is(err, mesh.ErrCircuitOpen) { ... }
//
// or take it apart with errors.As.
type Error struct {
	Kind     Kind
	Peer     string           // the peer's id
	Call     string           // the call's name
	Attempts int              // requests sent or tried to send
	Status   int              // of the answer, 0 for none
	Problem  *problem.Problem // what the answer said, nil for none
	// RetryAfter is when trying again makes sense: what the peer asked for, or
	// until the circuit admits a probe. 0: not known.
	RetryAfter time.Duration
	Err        error // the cause, nil for none
}

// Error makes a Kind a target of errors.Is.
func (k Kind) Error() string { return string(k) }

// Error tells the peer, the call, the kind and the cause.
func (e *Error) Error() string {
	text := "mesh: " + e.Peer + " " + e.Call + ": " + string(e.Kind)
	if e.Attempts > 1 {
		text += " after " + strconv.Itoa(e.Attempts) + " attempts"
	}
	switch {
	case e.Problem != nil:
		text += ": " + e.Problem.Error()
	case e.Status != 0:
		text += ": " + strconv.Itoa(e.Status) + " " + http.StatusText(e.Status)
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is matches a [Kind], and ErrTimeout and ErrCanceled also match the context's errors.
func (e *Error) Is(target error) bool {
	switch target {
	case e.Kind:
		return true
	case context.DeadlineExceeded:
		return e.Kind == ErrTimeout
	case context.Canceled:
		return e.Kind == ErrCanceled
	}
	return false
}

// Timeout reports whether time ran out, as net.Error does.
func (e *Error) Timeout() bool { return e.Kind == ErrTimeout }

// Temporary reports whether the same call may succeed later.
func (e *Error) Temporary() bool {
	switch e.Kind {
	case ErrUnreachable, ErrCircuitOpen, ErrTimeout, ErrRefused:
		return true
	case ErrRejected:
		return e.Status >= http.StatusInternalServerError
	default:
		return false
	}
}

// neverSent reports whether an attempt failed before anything reached the peer,
// which makes it safe to repeat whatever it was.
func neverSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
