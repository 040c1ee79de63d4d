package embed

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// The kinds of an [Error], for errors.Is.
var (
	ErrNoText      = errors.New("the text is empty")
	ErrUnavailable = errors.New("the embedding service does not answer")       // may pass
	ErrRejected    = errors.New("the embedding service rejected the request")  // will not pass by itself
	ErrBadAnswer   = errors.New("the embedding service's answer is not valid") // not the form's JSON, too long, a vector that is none
	ErrDimension   = errors.New("the embedding's dimension is not that of the vectors before it")
	ErrModel       = errors.New("the embedding's model is not that of the vectors before it")
)

// Error says what failed.
type Error struct {
	Kind       error
	Index      int           // which of the texts, where one is to blame
	Status     int           // the service's HTTP status; 0 without one
	RetryAfter time.Duration // how long the service asked to wait; 0 if it did not
	Detail     string        // never holds the text, the URL or the key
	cause      error
}

func (e *Error) Error() string {
	var text strings.Builder
	text.WriteString("embed: ")
	text.WriteString(e.Kind.Error())
	if e.Status != 0 {
		fmt.Fprintf(&text, " (status %d)", e.Status)
	}
	if e.Detail != "" {
		text.WriteString(": " + e.Detail)
	}
	return text.String()
}

// Unwrap gives the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.cause}
}

// Temporary says whether the same call may succeed later.
func (e *Error) Temporary() bool { return errors.Is(e.Kind, ErrUnavailable) }

// RejectsTexts says whether one of the texts is to blame, such as one that is too long for the
// model, so that the others may be embedded without it.
func (e *Error) RejectsTexts() bool {
	switch {
	case errors.Is(e.Kind, ErrNoText):
		return true
	case !errors.Is(e.Kind, ErrRejected):
		return false
	}
	return e.Status == http.StatusBadRequest || e.Status == http.StatusRequestEntityTooLarge || e.Status == http.StatusUnprocessableEntity
}
