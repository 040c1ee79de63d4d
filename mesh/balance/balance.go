// Package balance chooses which of several addresses gets the next call.
//
// The method is power of two choices over a peak-sensitive moving average:
// two addresses are drawn at random and the one that promises the shorter wait,
// its latency times the calls it already has, is taken. The average jumps up with
// a slow answer at once and comes down slowly, so that an address that begins to
// stall loses its share within one answer and wins it back as it proves itself.
package balance

import (
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

// decay is the time constant with which a latency is forgotten.
const decay = 10 * time.Second

// A failed call is charged at least this much latency: failing fast must not
// attract calls.
const failureCost = 100 * time.Millisecond

// unknownCost is what a second call costs where no answer has come yet, so that
// a new address is tried with one call, not with all.
const unknownCost = time.Second

// PeakEWMA estimates the wait at one address. Its zero value is ready; it is safe for concurrent use.
type PeakEWMA struct {
	mu      sync.Mutex
	cost    float64 // nanoseconds
	at      time.Time
	pending int
}

// Begin counts a call that is under way until Done or Drop.
func (p *PeakEWMA) Begin() {
	p.mu.Lock()
	p.pending++
	p.mu.Unlock()
}

// Done ends a call that took so long until its answer began.
func (p *PeakEWMA) Done(now time.Time, took time.Duration, failed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending--
	cost := float64(took)
	if failed {
		cost = max(cost, float64(failureCost), 2*p.cost)
	}
	p.observe(now, cost)
}

// Drop ends a call that says nothing about the address.
func (p *PeakEWMA) Drop() {
	p.mu.Lock()
	p.pending--
	p.mu.Unlock()
}

func (p *PeakEWMA) observe(now time.Time, cost float64) {
	if cost >= p.cost || p.at.IsZero() {
		p.cost = cost
	} else {
		keep := math.Exp(-float64(max(0, now.Sub(p.at))) / float64(decay))
		p.cost = p.cost*keep + cost*(1-keep)
	}
	p.at = now
}

// Load is the wait a next call would meet, in nanoseconds; for comparison only.
func (p *PeakEWMA) Load(now time.Time) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at.IsZero() {
		return float64(p.pending) * float64(unknownCost)
	}
	// An address that gets no calls is slowly forgiven.
	cost := p.cost * math.Exp(-float64(max(0, now.Sub(p.at)))/float64(decay))
	return cost * float64(p.pending+1)
}

// Latency is the present estimate.
func (p *PeakEWMA) Latency() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Duration(p.cost)
}

// Pending is how many calls are under way.
func (p *PeakEWMA) Pending() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pending
}

// Choose returns the index, below n, of the less loaded of two drawn at random.
// n must be at least 1.
func Choose(n int, draw func(n int) int, load func(i int) float64) int {
	if n == 1 {
		return 0
	}
	if draw == nil {
		draw = rand.IntN
	}
	first, second := draw(n), draw(n-1)
	if second >= first {
		second++
	}
	if load(second) < load(first) {
		return second
	}
	return first
}
