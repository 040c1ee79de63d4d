// Package breaker stops calling what does not answer.
//
// A [Breaker] is closed while calls succeed. It opens on a number of failures
// in a row, or on a rate of failures over a sliding window, whichever comes
// first: the first catches a dead peer in a few calls, the second one that fails
// now and then. Open, it permits nothing for a while that doubles each time a
// probe fails. Then it is half-open: a few probes at a time, which close it
// when enough succeed and open it again when one fails.
//
//	           consecutive failures, or failure rate
//	+--------+ ------------------------------------> +------+
//	| closed |                                       | open | <--+
//	+--------+ <---+                                 +------+    |
//	               | probes succeed                      |       | a probe fails
//	               |            +-----------+  time is   |       | (waits twice as long)
//	               +----------- | half-open | <----------+       |
//	                            +-----------+ -------------------+
//
// A call that ends without saying anything about the peer (its caller hung up)
// gives its permit back with [Unknown]. A call that outlives the state it began
// in is not counted in the next one.
package breaker

import (
	"sync"
	"time"

	"github.com/jonboulle/clockwork"
)

// State of a breaker.
type State int32

// The states, in the order of their gauge's values.
const (
	Closed State = iota
	HalfOpen
	Open
)

// String is the state's name in logs, labels and health.
func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case HalfOpen:
		return "half_open"
	default:
		return "open"
	}
}

// Verdict is what a call says about whom it called.
type Verdict int

// The verdicts.
const (
	Unknown Verdict = iota // nothing: the caller hung up
	Success
	Failure
)

// Config configures a [Breaker]; zero values are the defaults.
type Config struct {
	Consecutive int           // failures in a row that open; 0: 5
	FailureRate float64       // of the window's calls that opens, in (0,1]; 0: 0.5
	MinCalls    int           // in the window before the rate counts; 0: 20
	Window      time.Duration // of the rate; 0: 10 s
	SlowAfter   time.Duration // a success that took longer is a failure; 0: never
	OpenFor     time.Duration // before the first probe; 0: 5 s
	MaxOpenFor  time.Duration // bounds the doubling; 0: 1 min
	Probes      int           // at a time when half-open, and successes that close; 0: 2
	// ProbeTimeout is when a probe that has not ended is given up, so that a
	// lost permit cannot keep a breaker half-open. 0: 1 min.
	ProbeTimeout time.Duration
	// OnChange is told of every change of state, in order of Change.Number. It
	// is called after the change, outside the breaker's lock, and may be called
	// by two goroutines at once.
	OnChange func(Change)
	Clock    clockwork.Clock // nil: the real one
}

// Change is one change of state.
type Change struct {
	From, To State
	Number   uint64 // counts this breaker's changes from 1
	At       time.Time
}

// slots divide the window: counts leave it a slot at a time.
const slots = 10

type slot struct {
	number          int64 // since the zero time; tells a stale slot from a live one
	calls, failures int
}

// Breaker is safe for concurrent use.
type Breaker struct {
	config Config

	mu          sync.Mutex
	state       State
	changes     uint64 // also the generation of permits
	consecutive int
	window      [slots]slot
	openUntil   time.Time
	openFor     time.Duration
	probing     int // permits out when half-open
	passed      int // probes that succeeded
	lastProbe   time.Time
}

// New returns a closed breaker.
func New(config Config) *Breaker {
	orInt := func(value *int, fallback int) {
		if *value <= 0 {
			*value = fallback
		}
	}
	orDuration := func(value *time.Duration, fallback time.Duration) {
		if *value <= 0 {
			*value = fallback
		}
	}
	orInt(&config.Consecutive, 5)
	orInt(&config.MinCalls, 20)
	orInt(&config.Probes, 2)
	orDuration(&config.Window, 10*time.Second)
	orDuration(&config.OpenFor, 5*time.Second)
	orDuration(&config.MaxOpenFor, time.Minute)
	orDuration(&config.ProbeTimeout, time.Minute)
	config.MaxOpenFor = max(config.MaxOpenFor, config.OpenFor)
	if config.FailureRate <= 0 || config.FailureRate > 1 {
		config.FailureRate = 0.5
	}
	if config.Clock == nil {
		config.Clock = clockwork.NewRealClock()
	}
	return &Breaker{config: config, openFor: config.OpenFor}
}

// Permit is the right to make one call. Done must be called once.
type Permit struct {
	breaker    *Breaker
	generation uint64
}

// Allow returns a permit for one call, or false when none may be made now.
func (b *Breaker) Allow() (Permit, bool) {
	b.mu.Lock()
	if b.state == Closed {
		permit := Permit{b, b.changes}
		b.mu.Unlock()
		return permit, true
	}
	now := b.config.Clock.Now()
	if !b.ready(now) {
		b.mu.Unlock()
		return Permit{}, false
	}
	var change *Change
	if b.state == Open {
		change = b.to(HalfOpen, now)
	} else if b.probing >= b.config.Probes { // ready, so those out are lost
		b.changes++
		b.probing = 0
	}
	b.probing++
	b.lastProbe = now
	permit := Permit{b, b.changes}
	b.mu.Unlock()
	b.tell(change)
	return permit, true
}

// Ready reports whether [Breaker.Allow] would permit a call now, without taking the permit.
func (b *Breaker) Ready() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state == Closed || b.ready(b.config.Clock.Now())
}

// ready is Ready of a breaker that is not closed.
func (b *Breaker) ready(now time.Time) bool {
	if b.state == Open {
		return !now.Before(b.openUntil)
	}
	return b.probing < b.config.Probes || now.Sub(b.lastProbe) >= b.config.ProbeTimeout
}

// Done gives the permit back with what the call said and how long it took.
func (p Permit) Done(verdict Verdict, took time.Duration) {
	b := p.breaker
	if b == nil {
		return
	}
	if verdict == Success && b.config.SlowAfter > 0 && took > b.config.SlowAfter {
		verdict = Failure
	}
	b.mu.Lock()
	if p.generation != b.changes {
		b.mu.Unlock()
		return
	}
	change := b.record(verdict)
	b.mu.Unlock()
	b.tell(change)
}

func (b *Breaker) record(verdict Verdict) *Change {
	if b.state == HalfOpen {
		b.probing--
	}
	if verdict == Unknown {
		return nil
	}
	now := b.config.Clock.Now()
	if verdict == Failure {
		b.consecutive++
	} else {
		b.consecutive = 0
	}
	if b.state == HalfOpen {
		if verdict == Failure {
			b.openFor = min(2*b.openFor, b.config.MaxOpenFor)
			return b.to(Open, now)
		}
		if b.passed++; b.passed >= b.config.Probes {
			b.openFor = b.config.OpenFor
			return b.to(Closed, now)
		}
		return nil
	}
	s := b.slot(now)
	s.calls++
	if verdict == Success {
		return nil
	}
	s.failures++
	calls, failures := b.counts(now)
	if b.consecutive >= b.config.Consecutive || calls >= b.config.MinCalls && float64(failures) >= b.config.FailureRate*float64(calls) {
		return b.to(Open, now)
	}
	return nil
}

func (b *Breaker) to(state State, now time.Time) *Change {
	b.changes++
	change := &Change{From: b.state, To: state, Number: b.changes, At: now}
	b.state = state
	b.probing, b.passed = 0, 0
	switch state {
	case Open:
		b.openUntil = now.Add(b.openFor)
	case Closed:
		b.consecutive = 0
		b.window = [slots]slot{}
	case HalfOpen:
	}
	return change
}

func (b *Breaker) tell(change *Change) {
	if change != nil && b.config.OnChange != nil {
		b.config.OnChange(*change)
	}
}

func (b *Breaker) number(now time.Time) int64 {
	return now.UnixNano() / int64(b.config.Window/slots)
}

func (b *Breaker) slot(now time.Time) *slot {
	number := b.number(now)
	s := &b.window[number%slots]
	if s.number != number {
		*s = slot{number: number}
	}
	return s
}

func (b *Breaker) counts(now time.Time) (calls, failures int) {
	oldest := b.number(now) - slots + 1
	for _, s := range b.window {
		if s.number >= oldest {
			calls += s.calls
			failures += s.failures
		}
	}
	return calls, failures
}

// State returns the present state.
func (b *Breaker) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}

// Snapshot is a breaker's view of itself.
type Snapshot struct {
	State       State
	Consecutive int           // failures in a row, up to now
	Calls       int           // in the window
	Failures    int           // in the window
	RetryIn     time.Duration // until a probe may be made, when open
}

// Snapshot returns the state and its counts.
func (b *Breaker) Snapshot() Snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.config.Clock.Now()
	s := Snapshot{State: b.state, Consecutive: b.consecutive}
	s.Calls, s.Failures = b.counts(now)
	if b.state == Open {
		s.RetryIn = max(0, b.openUntil.Sub(now))
	}
	return s
}
