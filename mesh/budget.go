package mesh

import (
	"sync"
	"time"

	"github.com/jonboulle/clockwork"
)

// Budget bounds retries to a share of recent calls: however long a peer is dead
// and however many callers there are, it sees at most that much more than the
// calls themselves.
type Budget struct {
	ratio float64
	floor int
	clock clockwork.Clock

	mu     sync.Mutex
	window [budgetSlots]budgetSlot
}

const budgetSlots = 10

// budgetWindow is what "recent" means.
const budgetWindow = 10 * time.Second

type budgetSlot struct {
	number         int64
	calls, retries int
}

// NewBudget returns a budget that permits, over 10 s, ratio times as many retries as
// there were calls, plus floor, so that a service that seldom calls may retry at all.
func NewBudget(ratio float64, floor int, clock clockwork.Clock) *Budget {
	return &Budget{ratio: ratio, floor: floor, clock: clock}
}

// Call counts a call, which is always permitted.
func (b *Budget) Call() {
	b.mu.Lock()
	b.slot().calls++
	b.mu.Unlock()
}

// Retry counts a retry and returns true, or returns false when the budget is spent.
func (b *Budget) Retry() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	current := b.slot()
	calls, retries := 0, 0
	for _, s := range b.window {
		if s.number > current.number-budgetSlots {
			calls += s.calls
			retries += s.retries
		}
	}
	if float64(retries+1) > b.ratio*float64(calls)+float64(b.floor) {
		return false
	}
	current.retries++
	return true
}

func (b *Budget) slot() *budgetSlot {
	number := b.clock.Now().UnixNano() / int64(budgetWindow/budgetSlots)
	s := &b.window[number%budgetSlots]
	if s.number != number {
		*s = budgetSlot{number: number}
	}
	return s
}
