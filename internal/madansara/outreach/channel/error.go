package channel

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what a failed send means for the message, its recipient and its campaign.
type Kind string

// The kinds of failure.
const (
	// Temporary: not accepted; the same message may be accepted later.
	Temporary Kind = "temporary"
	// Permanent: not accepted, and never will be at this address: suppress it.
	Permanent Kind = "permanent"
	// Rejected: not accepted because of the message itself (its content, its
	// size, its sender); the address is not to blame.
	Rejected Kind = "rejected"
	// Uncertain: the connection was lost when the provider may already have
	// accepted the message. Only a person may decide to send it again.
	Uncertain Kind = "uncertain"
	// Misconfigured: not accepted, and neither will be any other until an
	// operator acts (log-in refused, sender not allowed): pause the campaign.
	Misconfigured Kind = "misconfigured"
)

// Stages that a campaign tells apart; the others are the adapters' own.
const (
	// StageAccount: which account the tenant's messages leave by is not known.
	StageAccount = "account"
	// StageConnect: the provider was not reached.
	StageConnect = "connect"
	// StageLogIn: the provider does not let us in.
	StageLogIn = "auth"
)

// Error is a failed send.
type Error struct {
	Kind  Kind
	Stage string // where it failed: StageConnect, "mail", "rcpt", "data", "final dot", ...
	// Unused: the provider could not be used at all, so that the failure says nothing
	// about the message.
	Unused bool
	// Hint says to whoever can mend it what is wrong and what to do, a sentence
	// without its full stop; may be empty.
	Hint       string
	Reply      string        // the provider's words, if it said any; at most 500 bytes
	RetryAfter time.Duration // Temporary only; zero: the caller's own back-off
	Err        error
}

func (e *Error) Error() string {
	if e.Hint != "" {
		return e.Hint + " (" + e.what() + ")"
	}
	return e.what()
}

func (e *Error) what() string {
	switch {
	case e.Reply != "":
		return fmt.Sprintf("%s failure at %s: %s", e.Kind, e.Stage, e.Reply)
	case e.Err != nil:
		return fmt.Sprintf("%s failure at %s: %v", e.Kind, e.Stage, e.Err)
	default:
		return fmt.Sprintf("%s failure at %s", e.Kind, e.Stage)
	}
}

// LogInRefused reports whether err says that the provider refused who we are, before
// anything of a message was said.
func LogInRefused(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Kind == Misconfigured && e.Stage == StageLogIn
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the first *Error in err's chain and the empty kind
// for nil. An error of another type is Uncertain: nothing is known about it, and
// a message of unknown fate must not be sent again by itself.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Uncertain
}
