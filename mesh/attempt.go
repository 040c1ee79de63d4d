package mesh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/propagation"

	"github.com/engardehq/madansara/mesh/breaker"
)

// result is what came of an attempt.
type result struct {
	response       *http.Response
	err            error
	worthRepeating bool
	flight         *flight
}

// discard gives up an answer that another attempt follows, keeping its
// connection when its body is short and already there.
func (r result) discard() {
	f := r.flight
	if r.response == nil || f.call.readAll > 0 { // nothing, or in memory
		return
	}
	const short, patience = 4 << 10, 50 * time.Millisecond
	if n := r.response.ContentLength; n >= 0 && n <= short {
		timer := time.AfterFunc(patience, f.cancel)
		_, _ = io.Copy(io.Discard, f.body) // it is given up in any case
		timer.Stop()
	}
	_ = f.close() // likewise
}

// attempt sends the request to the chosen address and, where the call may be
// hedged and no answer comes in time, to a second one.
func (c *call) attempt(list []*endpoint, chosen *endpoint, permit breaker.Permit) result {
	hedge := c.peer.config.HedgeAfter
	reading := c.base.Method == "" || c.base.Method == http.MethodGet || c.base.Method == http.MethodHead
	if hedge <= 0 || !reading || len(list) < 2 {
		return c.send(chosen, permit, c.attempts > 1)
	}
	results := make(chan result, 2)
	var flights [2]*flight
	start := func(i int, e *endpoint, permit breaker.Permit) {
		f := c.newFlight(e, permit)
		flights[i] = f
		c.peer.owned.Go(func() { results <- c.fly(f, true) })
	}
	start(0, chosen, permit)
	under := 1
	timer := c.peer.clock.NewTimer(hedge)
	defer timer.Stop()
	for {
		select {
		case <-timer.Chan():
			second, permit, err := c.peer.choose(list, c.tried, true)
			if err != nil {
				continue
			}
			if second == chosen || !c.peer.budget.Retry() {
				permit.Done(breaker.Unknown, 0)
				continue
			}
			c.peer.metrics.attempts.WithLabelValues(c.peer.id, "hedge").Inc()
			c.tried = append(c.tried, second)
			c.attempts++
			start(1, second, permit)
			under++
		case got := <-results:
			under--
			if under > 0 && (got.err != nil || got.worthRepeating) {
				got.discard()
				continue // the other one may still answer
			}
			if under > 0 {
				loser := flights[0]
				if got.flight == loser {
					loser = flights[1]
				}
				loser.lost.Store(true)
				loser.cancel()
				c.peer.owned.Go(func() { (<-results).discard() })
			}
			return got
		}
	}
}

func (c *call) send(e *endpoint, permit breaker.Permit, copyHeader bool) result {
	return c.fly(c.newFlight(e, permit), copyHeader)
}

// flight is one attempt under way, and the body of its answer.
type flight struct {
	call     *call
	endpoint *endpoint
	permit   breaker.Permit
	ctx      context.Context
	cancel   context.CancelFunc
	body     io.ReadCloser
	status   int
	waited   time.Duration // for the head, and in reads of the body
	lost     atomic.Bool   // another attempt won
	judged   atomic.Bool
}

func (c *call) newFlight(e *endpoint, permit breaker.Permit) *flight {
	f := &flight{call: c, endpoint: e, permit: permit}
	if limit := c.peer.config.Retry.AttemptTimeout; limit > 0 && c.repeatable && c.attempts < c.peer.config.Retry.Attempts {
		f.ctx, f.cancel = context.WithTimeout(c.ctx, limit)
	} else {
		f.ctx, f.cancel = context.WithCancel(c.ctx)
	}
	return f
}

func (c *call) fly(f *flight, copyHeader bool) result {
	p := c.peer
	request, err := c.request(f.ctx, copyHeader)
	if err != nil {
		f.judge(breaker.Unknown)
		f.cancel()
		return result{err: err, flight: f}
	}
	began := p.clock.Now()
	f.endpoint.load.Begin()
	response, err := f.endpoint.transport.RoundTrip(request) //nolint:bodyclose // closed by flight.close
	now := p.clock.Now()
	f.waited = now.Sub(began)
	if err != nil {
		verdict := f.blame(err)
		if verdict == breaker.Failure {
			f.endpoint.load.Done(now, f.waited, true)
		} else {
			f.endpoint.load.Drop()
		}
		f.judge(verdict)
		f.cancel()
		return result{err: err, flight: f}
	}
	switch verdict := f.verdict(response.StatusCode); verdict {
	case breaker.Unknown:
		f.endpoint.load.Drop()
		f.judge(verdict)
	case breaker.Failure:
		f.endpoint.load.Done(now, f.waited, true)
		f.judge(verdict)
	default: // not judged before its body is read
		f.endpoint.load.Done(now, f.waited, false)
	}
	f.status, f.body = response.StatusCode, response.Body
	response.Body = f
	if c.readAll > 0 {
		if err := f.readAll(response); err != nil {
			return result{err: err, flight: f}
		}
	}
	return result{response: response, worthRepeating: worthRepeating(response), flight: f}
}

// request is the call's request for one attempt: its own body, time left,
// trace context, and signature with a nonce of its own.
func (c *call) request(ctx context.Context, copyHeader bool) (*http.Request, error) {
	request := c.base.WithContext(ctx)
	if copyHeader {
		request.Header = copyOf(c.base.Header)
	}
	if request.GetBody != nil && request.Body != nil && request.Body != http.NoBody {
		body, err := request.GetBody()
		if err != nil {
			return nil, fmt.Errorf("read the request's body again: %w", err)
		}
		request.Body = body
	}
	if deadline, ok := ctx.Deadline(); ok {
		setTimeout(request.Header, time.Until(deadline))
	}
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(request.Header))
	if c.peer.signer != nil {
		if err := c.peer.signer.Sign(request, c.peer.id); err != nil {
			return nil, err
		}
	}
	return request, nil
}

// blameAfter is how long an attempt must have waited before the end of the
// call's time counts against the address: one that had a millisecond learns nothing.
const blameAfter = time.Second

func (f *flight) patience() time.Duration {
	return min(blameAfter, f.call.peer.config.Timeout/2)
}

// blame says what an error tells about the address.
func (f *flight) blame(err error) breaker.Verdict {
	c := f.call
	switch {
	case f.lost.Load(), errors.Is(c.caller.Err(), context.Canceled):
		return breaker.Unknown
	case errors.Is(c.ctx.Err(), context.DeadlineExceeded):
		if f.waited >= f.patience() {
			return breaker.Failure
		}
		return breaker.Unknown
	case errors.Is(err, context.Canceled) && c.ctx.Err() == nil && f.ctx.Err() != nil:
		return breaker.Unknown // discarded
	default:
		return breaker.Failure
	}
}

// verdict is what an answer's status tells about the address. A caller's mistake
// (4xx) is no failure of the peer, and neither is that a caller in a hurry was
// answered 504 because his own time ran out.
func (f *flight) verdict(status int) breaker.Verdict {
	switch {
	case status < http.StatusInternalServerError, status == http.StatusNotImplemented:
		return breaker.Success
	case status == http.StatusGatewayTimeout && f.call.hurried() && f.waited < f.patience():
		return breaker.Unknown
	default:
		return breaker.Failure
	}
}

// hurried reports whether the caller gave the call less time than the mesh does.
func (c *call) hurried() bool {
	callers, has := c.caller.Deadline()
	deadline, _ := c.ctx.Deadline()
	return has && !callers.After(deadline)
}

// judge gives the permit back; only the first verdict counts.
func (f *flight) judge(verdict breaker.Verdict) {
	if f.judged.CompareAndSwap(false, true) {
		f.permit.Done(verdict, f.waited)
	}
}

// errAnswerTooLarge is the cause of a BadAnswer.
var errAnswerTooLarge = errors.New("the answer is larger than MaxAnswer")

// readAll replaces the streamed body by one in memory.
func (f *flight) readAll(response *http.Response) error {
	limit := f.call.readAll
	var body []byte
	var err error
	if n := response.ContentLength; f.call.base.Method == http.MethodHead {
		// it has a length and no body
	} else if n > 0 && n <= limit {
		body = make([]byte, n)
		_, err = io.ReadFull(f, body)
	} else if n != 0 {
		body, err = io.ReadAll(io.LimitReader(f, limit+1))
	}
	if err == nil && int64(len(body)) > limit {
		err = &Error{Kind: ErrBadAnswer, Status: f.status, Err: errAnswerTooLarge}
	}
	if err == nil {
		f.judge(breaker.Success)
	}
	_ = f.close() // the body was read, or the error says why not
	response.Body = io.NopCloser(bytes.NewReader(body))
	return err
}

// Read implements io.Reader for the answer's body.
func (f *flight) Read(to []byte) (int, error) {
	clock := f.call.peer.clock
	began := clock.Now()
	n, err := f.body.Read(to)
	f.waited += clock.Since(began)
	if err == nil {
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		f.judge(breaker.Success)
		return n, err
	}
	f.judge(f.blame(err))
	if f.call.readAll == 0 {
		failure := f.call.failed(err)
		failure.Peer, failure.Call, failure.Attempts, failure.Status = f.call.peer.id, f.call.name, f.call.attempts, f.status
		f.call.end(string(failure.Kind))
		return n, failure
	}
	return n, err
}

// close ends the attempt, and not the call.
func (f *flight) close() error {
	f.judge(breaker.Success) // the answer began well and its reader had enough
	err := f.body.Close()
	f.cancel()
	return err
}

// Close implements io.Closer for a streamed answer's body: it ends the call.
func (f *flight) Close() error {
	err := f.close()
	if f.call.readAll == 0 && !f.lost.Load() {
		f.call.end(outcomeOf(f.status))
	}
	return err
}
