package mesh

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jonboulle/clockwork"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/engardehq/madansara/mesh/problem"
	"github.com/engardehq/madansara/mesh/signature"
)

// Peer is one service to call. It is safe for concurrent use.
type Peer struct {
	id           string
	absent       bool // not configured: every call fails
	base         *url.URL
	config       *Config
	clock        clockwork.Clock
	log          *slog.Logger
	signer       *signature.Signer // nil: calls are not signed
	metrics      *metrics
	tracer       trace.Tracer // nil: no spans
	budget       *Budget
	endpoints    atomic.Pointer[[]*endpoint]
	resolving    chan struct{} // held while looking up, and to touch the next two
	lookupError  error         // of the last look-up, nil when it went well
	lookupFailed time.Time     // when
	kicked       chan struct{}
	under        atomic.Int64   // calls under way
	owned        sync.WaitGroup // goroutines of hedged attempts
}

// ID is the peer's id, for instance "onside".
func (p *Peer) ID() string { return p.id }

type callName struct{}

// WithCall names the calls made with ctx through [Peer.RoundTrip], for metrics,
// traces and errors. Use few names: each is a label value.
func WithCall(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, callName{}, name)
}

// RoundTrip sends a request to the peer, with everything the mesh does, so that
// any HTTP client can stand over it: &http.Client{Transport: peer}. The scheme
// and host of the request's URL are replaced by the peer's; its path is appended
// to the base URL's. An answer of any status is an answer; an error is an
// *[Error]. The call's time, and its place among the concurrent ones, ends when
// the answer's body is closed.
func (p *Peer) RoundTrip(r *http.Request) (*http.Response, error) {
	name, _ := r.Context().Value(callName{}).(string)
	if name == "" {
		name = "other"
	}
	response, _, err := p.do(r, name, 0)
	if err != nil { // no typed nil, and no answer beside an error
		return nil, err
	}
	return response, nil
}

// call is one call under way: everything that its attempts have in common.
type call struct {
	peer       *Peer
	name       string
	metrics    *callMetrics
	caller     context.Context // the caller's
	ctx        context.Context // with the call's deadline
	cancel     context.CancelFunc
	span       trace.Span // nil: none
	base       *http.Request
	rewindable bool  // the request's body can be sent again
	repeatable bool  // and sending it again does no harm
	readAll    int64 // the answer is read inside the attempt, up to so many bytes; 0: it is streamed
	began      time.Time
	attempts   int
	tried      []*endpoint
	ended      atomic.Bool
}

// do makes a call. With readAll the answer's body is in memory when it returns.
func (p *Peer) do(r *http.Request, name string, readAll int64) (response *http.Response, attempts int, failure *Error) {
	c := &call{peer: p, name: name, metrics: p.metrics.call(p.id, name), caller: r.Context(), readAll: readAll, began: p.clock.Now()}
	if under := p.under.Add(1); p.absent || under > int64(p.config.Concurrency) {
		c.ctx, c.cancel = c.caller, func() {}
		closeBody(r)
		if p.absent {
			return nil, c.attempts, c.fail(&Error{Kind: ErrUnreachable, Err: errNotConfigured})
		}
		return nil, c.attempts, c.fail(&Error{Kind: ErrRefused, Err: errTooManyCalls})
	}
	c.ctx, c.cancel = context.WithTimeout(c.caller, p.config.Timeout)
	if p.tracer != nil {
		c.ctx, c.span = p.tracer.Start(c.ctx, p.id+" "+name, trace.WithSpanKind(trace.SpanKindClient), //nolint:spancheck // ended by call.end
			trace.WithAttributes(attribute.String("peer.service", p.id), attribute.String("http.request.method", r.Method)))
	}
	if err := c.prepare(r); err != nil {
		return nil, c.attempts, c.fail(&Error{Kind: ErrUnreachable, Err: err})
	}
	response, failure = c.run()
	if failure != nil {
		return nil, c.attempts, c.fail(failure)
	}
	response.Request = r
	if c.span != nil {
		c.span.SetAttributes(attribute.Int("http.response.status_code", response.StatusCode))
		if response.StatusCode >= http.StatusBadRequest {
			c.span.SetStatus(codes.Error, outcomeOf(response.StatusCode))
		}
	}
	if readAll > 0 {
		c.end(outcomeOf(response.StatusCode))
	}
	return response, c.attempts, nil
}

var (
	errTooManyCalls  = errors.New("too many calls to this peer are under way")
	errNotConfigured = errors.New("this peer has no URL")
)

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close() // a round tripper closes the body; the request was not sent
	}
}

// prepare makes the request that every attempt is a copy of.
func (c *call) prepare(r *http.Request) error {
	base := r.WithContext(c.ctx)
	base.Header = copyOf(r.Header)
	u := *r.URL
	u.Scheme, u.Host, u.User = c.peer.base.Scheme, c.peer.base.Host, nil
	if c.peer.base.Path != "" {
		u.RawPath = c.peer.base.EscapedPath() + r.URL.EscapedPath()
		u.Path = c.peer.base.Path + r.URL.Path
	}
	base.URL = &u
	base.Host = ""
	if c.peer.signer != nil {
		if err := c.peer.signer.Prepare(base); err != nil {
			closeBody(r)
			return err
		}
	}
	if base.GetBody != nil && r.GetBody != nil {
		closeBody(r) // each attempt gets a body of its own
	}
	c.base = base
	c.rewindable = base.GetBody != nil || base.Body == nil || base.Body == http.NoBody
	c.repeatable = repeatable(base) && c.rewindable
	return nil
}

// copyOf copies a header but not its slices, which are replaced, never changed. It
// leaves room for what the mesh adds.
func copyOf(header http.Header) http.Header {
	const added = 8
	own := make(http.Header, len(header)+added)
	maps.Copy(own, header)
	return own
}

// run attempts the call until there is an answer or no point in going on.
func (c *call) run() (*http.Response, *Error) {
	p := c.peer
	for {
		list, err := p.known(c.ctx)
		if err != nil {
			return nil, c.failed(err)
		}
		chosen, permit, err := p.choose(list, c.tried, c.repeatable)
		if err != nil {
			return nil, &Error{Kind: ErrCircuitOpen, Err: err, RetryAfter: retryIn(list)}
		}
		c.tried = append(c.tried, chosen)
		if c.attempts++; c.attempts == 1 {
			p.budget.Call() // calls that send nothing earn no retries
			c.metrics.first.Inc()
		}
		got := c.attempt(list, chosen, permit)
		again, pause := c.again(list, got)
		if !again {
			return c.settle(got)
		}
		got.discard()
		if !p.wait(c.ctx, pause) {
			return nil, c.failed(cmp.Or(c.ctx.Err(), context.DeadlineExceeded))
		}
	}
}

// again decides whether to attempt once more, and after which pause.
func (c *call) again(list []*endpoint, got result) (again bool, pause time.Duration) {
	p := c.peer
	var bad *Error
	if c.attempts >= p.config.Retry.Attempts || c.ctx.Err() != nil || (got.err == nil && !got.worthRepeating) || errors.As(got.err, &bad) {
		return false, 0
	}
	if got.err != nil && neverSent(got.err) {
		p.kick()
		if c.rewindable && c.untried(list) {
			// Nothing reached the peer, so this is no repetition, and costs no
			// budget: an address that is gone must not cost callers anything.
			p.metrics.attempts.WithLabelValues(p.id, "failover").Inc()
			return true, 0
		}
		if !c.rewindable {
			return false, 0
		}
	} else if !c.repeatable {
		return false, 0
	}
	pause = p.config.Retry.backoff(c.attempts, p.config.Random)
	if got.err == nil {
		pause = max(pause, problem.RetryAfter(got.response.Header, p.clock.Now()))
	}
	if deadline, ok := c.ctx.Deadline(); ok && time.Until(deadline) <= pause {
		return false, 0
	}
	if !p.anyReady(list) {
		return false, 0
	}
	if !p.budget.Retry() {
		p.metrics.attempts.WithLabelValues(p.id, "over_budget").Inc()
		return false, 0
	}
	p.metrics.attempts.WithLabelValues(p.id, "retry").Inc()
	return true, pause
}

func (c *call) untried(list []*endpoint) bool {
	for _, e := range list {
		tried := false
		for _, t := range c.tried {
			tried = tried || t == e
		}
		if !tried && e.breaker.Ready() {
			return true
		}
	}
	return false
}

func (p *Peer) anyReady(list []*endpoint) bool {
	for _, e := range list {
		if e.breaker.Ready() {
			return true
		}
	}
	return false
}

// settle makes the last attempt's result the call's.
func (c *call) settle(got result) (*http.Response, *Error) {
	if got.err != nil {
		return nil, c.failed(got.err)
	}
	return got.response, nil
}

// failed says what kind of failure a transport's error is.
func (c *call) failed(err error) *Error {
	var typed *Error
	switch {
	case errors.As(err, &typed):
		return typed
	case c.caller.Err() != nil && errors.Is(c.caller.Err(), context.Canceled):
		return &Error{Kind: ErrCanceled, Err: err}
	case errors.Is(err, context.DeadlineExceeded), c.ctx.Err() != nil:
		return &Error{Kind: ErrTimeout, Err: err}
	default:
		return &Error{Kind: ErrUnreachable, Err: err}
	}
}

// fail ends the call with an error.
func (c *call) fail(e *Error) *Error {
	e.Peer, e.Call, e.Attempts = c.peer.id, c.name, c.attempts
	if c.span != nil {
		c.span.RecordError(e)
		c.span.SetStatus(codes.Error, string(e.Kind))
	}
	c.end(string(e.Kind))
	return e
}

// end gives back what the call holds. Only the first time counts.
func (c *call) end(outcome string) {
	if !c.ended.CompareAndSwap(false, true) {
		return
	}
	c.cancel()
	c.peer.under.Add(-1)
	c.metrics.observe(outcome, c.peer.clock.Since(c.began))
	if c.span != nil {
		c.span.SetAttributes(attribute.Int("mesh.attempts", c.attempts))
		c.span.End()
	}
}

// outcomeOf is the outcome label of an answer.
func outcomeOf(status int) string {
	switch {
	case status < http.StatusBadRequest:
		return "ok"
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		return string(ErrRefused)
	case status == http.StatusGatewayTimeout:
		return string(ErrTimeout)
	default:
		return string(ErrRejected)
	}
}

// peekCode reads the code of a problem answer and leaves the body readable.
func peekCode(response *http.Response) string {
	body, err := io.ReadAll(io.LimitReader(response.Body, problem.MaxBytes))
	rest := response.Body
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), rest), rest}
	var p problem.Problem
	if err != nil || json.Unmarshal(body, &p) != nil {
		return ""
	}
	return p.Code
}
