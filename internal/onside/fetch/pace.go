package fetch

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"
)

// pace spaces the requests to a host, over all crawls of this process.
type pace struct {
	clock clockwork.Clock
	mu    sync.Mutex
	next  map[string]time.Time // when a host may be asked again
}

func newPace(clock clockwork.Clock) *pace {
	return &pace{clock: clock, next: map[string]time.Time{}}
}

// reserve books the next turn at a host and returns how long it is until then.
func (p *pace) reserve(host string, gap time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.Now()
	for known, at := range p.next {
		if at.Before(now) {
			delete(p.next, known)
		}
	}
	turn := now
	if at, waiting := p.next[host]; waiting {
		turn = at
	}
	p.next[host] = turn.Add(gap)
	return turn.Sub(now)
}

// Await returns when host may be asked again: gap after the turn before, of
// whichever crawl. Its error is ctx's.
func (f *Fetcher) Await(ctx context.Context, host string, gap time.Duration) error {
	wait := f.pace.reserve(host, gap)
	if wait <= 0 {
		return nil
	}
	select {
	case <-f.clock.After(wait):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for %s: %w", host, ctx.Err())
	}
}
