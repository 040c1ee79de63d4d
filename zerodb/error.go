package zerodb

import "strconv"

// Kind says how a call failed. Compare with errors.Is:
//
//	if errors.Is(err, zerodb.ErrInvalid) { ... }
type Kind string //nolint:errname // a kind is an errors.Is target, an Error is the error

// The kinds of an [Error].
const (
	// ErrInvalid: the request can't be accepted as it is; Field and Message say why.
	ErrInvalid Kind = "invalid"
	// ErrTooLarge: a content, a metadata or a batch exceeds its limit.
	ErrTooLarge Kind = "too_large"
	// ErrNotFound: the tenant has no such memory (another tenant's counts as none).
	ErrNotFound Kind = "not_found"
	// ErrConflict: the memory's state does not allow the change, a correction of an
	// outdated version for instance.
	ErrConflict Kind = "conflict"
	// ErrUnavailable: the back end can't be reached or does not answer; the same
	// call may succeed later.
	ErrUnavailable Kind = "unavailable"
)

// Error makes a Kind a target of errors.Is.
func (k Kind) Error() string { return string(k) }

// Error is a failure with a message that may be shown to the caller. Every
// error of this package is one, except those of the context and of a callback.
type Error struct {
	Kind    Kind
	Item    int    // index in a batch; 0 for the first and for a single call
	Field   string // of the request: "content", "ttl", "metadata.a.b"; "" for none
	Message string // what is wrong and what to do
	Err     error  // the cause, for the log only; nil for none
}

// Error tells the item (from the second on), the field, what is wrong and the cause.
func (e *Error) Error() string {
	text := "zerodb: "
	if e.Item > 0 {
		text += "item " + strconv.Itoa(e.Item) + ": "
	}
	if e.Field != "" {
		text += e.Field + ": "
	}
	text += e.Message
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is matches a [Kind].
func (e *Error) Is(target error) bool {
	kind, ok := target.(Kind)
	return ok && kind == e.Kind
}

// Unavailable wraps a back end's failure to answer.
func Unavailable(err error, doing string) *Error {
	return &Error{Kind: ErrUnavailable, Message: doing, Err: err}
}

func invalid(field, message string) *Error {
	return &Error{Kind: ErrInvalid, Field: field, Message: message}
}

func tooLarge(field, message string) *Error {
	return &Error{Kind: ErrTooLarge, Field: field, Message: message}
}
