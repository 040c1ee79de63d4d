package outbox

import (
	"context"
	"slices"
	"sync"
	"time"
)

// pace decides how many pushes may be under way at once, of all tenants. It is safe for concurrent use.
//
// What has piled up while Core was away is in no hurry, but the people who use
// Madan Sara meanwhile are, and both may live on the same processors. So the
// deliveries begin one at a time, and one more is let in only as long as that
// delivers that much more: when pushes side by side take noticeably longer than one
// alone, they wait for each other, on Core, on the database or on our own processors,
// and the place is taken back. Where it is the way to Core that takes the time,
// the number grows to its limit. It is the idea of RFC 6817 (LEDBAT): background
// traffic that steps back when it makes others wait.
type pace struct {
	most int

	mu      sync.Mutex
	allowed int // pushes at once
	busy    int
	queue   []chan struct{} // who waits, the first in front

	alone  time.Duration // what a push takes while one at a time is allowed; 0: not known
	pushes int           // of this round
	took   time.Duration // by them
	// After a step that brought nothing, hold rounds pass before the next;
	// twice as many each time.
	hold, patience int
}

const (
	// roundPushes are how many pushes' mean a step is decided on, at least.
	roundPushes = 8
	// A step is kept when pushes take less than 5/4 of what one alone does: of two at once that is
	// 1.6 times as many in the same time.
	slowerNum, slowerDen = 5, 4
	mostPatience         = 64
)

func newPace(most int) *pace { return &pace{most: most, allowed: 1, patience: 1} }

// enter waits for a place, in the order of asking. Whoever gets one calls leave.
func (p *pace) enter(ctx context.Context) error {
	p.mu.Lock()
	if p.busy < p.allowed && len(p.queue) == 0 {
		p.busy++
		p.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	p.queue = append(p.queue, turn)
	p.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := slices.Index(p.queue, turn); at >= 0 {
		p.queue = slices.Delete(p.queue, at, at+1)
	} else { // the turn came at the same moment
		p.busy--
		p.admit()
	}
	return ctx.Err() //nolint:wrapcheck // the caller's own
}

// leave gives the place back. took is how long a push lasted that Core answered,
// 0 for one that tells nothing of its speed.
func (p *pace) leave(took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// Only pushes that fill all places tell what these are worth.
	if took > 0 && p.busy == p.allowed {
		p.learn(took)
	}
	p.busy--
	p.admit()
}

// slow begins anew, one at a time: Core was away.
func (p *pace) slow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.allowed, p.hold, p.patience, p.pushes, p.took = 1, 0, 1, 0, 0
}

// limit is how many pushes may be under way now.
func (p *pace) limit() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.allowed
}

func (p *pace) admit() {
	for p.busy < p.allowed && len(p.queue) > 0 {
		close(p.queue[0])
		p.queue = p.queue[1:]
		p.busy++
	}
}

func (p *pace) learn(took time.Duration) {
	p.pushes++
	p.took += took
	if p.pushes < max(roundPushes, 2*p.allowed) {
		return
	}
	mean := p.took / time.Duration(p.pushes)
	p.pushes, p.took = 0, 0
	switch {
	case p.allowed == 1 && p.alone > 0:
		p.alone = (p.alone + mean) / 2
	case p.allowed == 1:
		p.alone = mean
	case mean*slowerDen > p.alone*slowerNum:
		p.allowed = max(1, p.allowed/2)
		p.patience = min(2*p.patience, mostPatience)
		p.hold = p.patience
		return
	default:
		p.patience = 1
	}
	switch {
	case p.hold > 0:
		p.hold--
	case len(p.queue) > 0:
		p.allowed = min(p.allowed+1, p.most)
	}
}
