package outbox

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/engardehq/madansara/mesh"
	"github.com/engardehq/madansara/mesh/problem"
)

// verdict is what the outcome of a push means.
type verdict int

const (
	delivered verdict = iota
	later             // Core failed over this fact; it is tried again, alone
	refused           // Core will never take this fact as it is
	away              // Core takes nothing from us now
)

// judge says what the error of a push means; nil is an acknowledgement.
//
// Away is what says nothing about the fact: no connection, an open circuit, no
// capacity, and 401 or 403, which the whole service gets when the mesh's secrets
// do not match. Refused is a 4xx about the fact's content. 404 and 405 are later:
// a Core that is being rolled out may not know the route yet. Everything else,
// 5xx and timeouts among it, may be the fact's doing or Core's, and is later.
func judge(err error) verdict {
	if err == nil {
		return delivered
	}
	var failure *mesh.Error
	if !errors.As(err, &failure) {
		return later
	}
	switch failure.Kind {
	case mesh.ErrUnreachable, mesh.ErrCircuitOpen, mesh.ErrRefused, mesh.ErrCanceled:
		return away
	case mesh.ErrRejected:
		return judgeStatus(failure.Status)
	default:
		return later
	}
}

func judgeStatus(status int) verdict {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return away
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusRequestTimeout, http.StatusConflict,
		http.StatusMisdirectedRequest, http.StatusLocked, http.StatusTooEarly:
		return later
	}
	if status >= http.StatusInternalServerError {
		return later
	}
	return refused
}

// Failure is why a fact was not delivered.
type Failure struct {
	Kind    string           `json:"kind" doc:"How the call failed: rejected, timeout, unreachable, ..."`
	Status  int              `json:"status,omitempty" doc:"The status that Core answered"`
	Problem *problem.Problem `json:"problem,omitempty" doc:"What Core said"`
	Message string           `json:"message"`
}

func failureOf(err error) json.RawMessage {
	f := Failure{Kind: "error", Message: err.Error()}
	if failure := (*mesh.Error)(nil); errors.As(err, &failure) {
		f.Kind, f.Status, f.Problem = string(failure.Kind), failure.Status, failure.Problem
	}
	const most = 2000 // characters of a message; it is for people
	if text := []rune(f.Message); len(text) > most {
		f.Message = string(text[:most])
	}
	raw, err := json.Marshal(f)
	if err != nil { // there is nothing in it that JSON cannot say
		return json.RawMessage(`{"kind":"error","message":"cannot be told"}`)
	}
	return raw
}

// Limits of the waits between attempts.
const (
	firstRetry = time.Second
	lastRetry  = time.Hour
	minAway    = time.Second
	maxAway    = 30 * time.Second
)

// retryAfter is how long a fact waits after its n-th attempt failed, n from 1:
// twice as long each time, up to an hour, less a random part of up to half, so
// that facts that failed together do not come back together.
func retryAfter(n int) time.Duration {
	wait := lastRetry
	if n < 13 {
		wait = min(firstRetry<<(n-1), lastRetry)
	}
	return wait - rand.N(wait/2) //nolint:gosec // nobody gains by guessing it
}

// awayFor is how long a tenant's delivery puts itself off: as long as the mesh
// or Core says, within limits, plus a fifth at random.
func awayFor(err error) time.Duration {
	wait := minAway
	if failure := (*mesh.Error)(nil); errors.As(err, &failure) {
		wait = max(wait, failure.RetryAfter)
		if failure.Status == http.StatusUnauthorized || failure.Status == http.StatusForbidden {
			wait = maxAway
		}
	}
	wait = min(wait, maxAway)
	return wait + rand.N(wait/5) //nolint:gosec // nobody gains by guessing it
}
