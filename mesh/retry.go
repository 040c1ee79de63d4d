package mesh

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/engardehq/madansara/mesh/problem"
	"github.com/engardehq/madansara/mesh/signature"
)

// Retry configures when a call is sent again; zero values are the defaults.
type Retry struct {
	Attempts int           // in all, the first included; 0: 3; 1: no retry
	Base     time.Duration // the first wait is random up to this; 0: 50 ms
	Max      time.Duration // bounds the doubling; 0: 2 s
	Budget   float64       // retries as a share of the last 10 s' calls; 0: 0.2
	// Floor is how many retries in 10 s are permitted whatever the share; 0: 3, -1: none.
	Floor int
	// AttemptTimeout gives up an attempt that takes longer, body included, when the
	// call may be repeated and has attempts left, so that one address that
	// hangs does not take all of the call's time. 0: an attempt may.
	AttemptTimeout time.Duration
}

func (r Retry) withDefaults() Retry {
	if r.Attempts <= 0 {
		r.Attempts = 3
	}
	if r.Base <= 0 {
		r.Base = 50 * time.Millisecond
	}
	if r.Max <= 0 {
		r.Max = 2 * time.Second
	}
	if r.Budget <= 0 {
		r.Budget = 0.2
	}
	switch {
	case r.Floor == 0:
		r.Floor = 3
	case r.Floor < 0:
		r.Floor = 0
	}
	return r
}

// backoff is the wait before the retry that follows the n-th attempt: random up
// to a bound that doubles ("full jitter"), so that callers that failed together
// do not come back together.
func (r Retry) backoff(n int, random func() float64) time.Duration {
	if random == nil {
		random = rand.Float64
	}
	bound := r.Base << min(n-1, 20)
	if bound > r.Max || bound <= 0 {
		bound = r.Max
	}
	return time.Duration(random() * float64(bound))
}

// repeatable reports whether sending a request twice does no more than sending it once.
func repeatable(r *http.Request) bool {
	switch r.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return r.Header.Get(signature.HeaderIdempotencyKey) != ""
}

// worthRepeating reports whether an answer says that the same request may fare
// better soon.
func worthRepeating(response *http.Response) bool {
	switch response.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable,
		http.StatusGatewayTimeout, http.StatusRequestTimeout, http.StatusTooEarly:
		return true
	case http.StatusConflict:
		// The first attempt of this idempotency key is still running there.
		return response.Header.Get("Retry-After") != "" && response.Request.Header.Get(signature.HeaderIdempotencyKey) != ""
	case http.StatusUnauthorized:
		// net/http sends a repeatable request again by itself when a reused
		// connection breaks. If the first copy had arrived, the second is a
		// replay; a fresh signature makes it acceptable.
		return response.Header.Get("Content-Type") == problem.ContentType && peekCode(response) == string(signature.Replayed)
	}
	return false
}

// wait sleeps until the next attempt. It returns false when the call's time
// would run out before.
func (p *Peer) wait(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return false
	}
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := p.clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.Chan():
		return true
	case <-ctx.Done():
		return false
	}
}
