package seo

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"golang.org/x/sync/semaphore"

	"github.com/engardehq/madansara/internal/fault"
)

const (
	// atOnce bounds how many pages a process analyses at a time: a page of 2 MB can
	// take 100 MB while it is a tree.
	atOnce = 4
	// atOnceEach bounds those of one tenant, whose pages may each take the whole of
	// the fetcher's patience, so that another's turn comes at all.
	atOnceEach = 2
	// waitingEach bounds how many of a tenant's pages wait for a turn, and longestTurn
	// for how long: a caller is told to come back rather than left to time out.
	waitingEach = 8
	longestTurn = 10 * time.Second
	// comeBack is when a caller who got no turn may try again.
	comeBack = 5 * time.Second
)

// turns shares out the pages that may be analysed at a time. A tenant's wait for each
// other first, so that in the queue of all stand as many of his as he may have at a
// time, whoever asks how often: it is served in order, and nobody waits for more than a
// few of each other tenant's.
type turns struct {
	clock clockwork.Clock
	all   *semaphore.Weighted

	mu      sync.Mutex
	tenants map[uuid.UUID]*tenantTurns // those that have any
}

type tenantTurns struct {
	own *semaphore.Weighted
	has int // analyses, under way or waiting
}

func newTurns(clock clockwork.Clock) *turns {
	return &turns{clock: clock, all: semaphore.NewWeighted(atOnce), tenants: map[uuid.UUID]*tenantTurns{}}
}

// take waits for a turn; end gives it back. Its error is for the caller.
func (t *turns) take(ctx context.Context, tenant uuid.UUID) (end func(), err error) {
	own, admitted := t.enter(tenant)
	if !admitted {
		return nil, tooMany(nil)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer t.clock.AfterFunc(longestTurn, cancel).Stop()
	if err := own.Acquire(ctx, 1); err != nil {
		t.leave(tenant)
		return nil, tooMany(err)
	}
	if err := t.all.Acquire(ctx, 1); err != nil {
		own.Release(1)
		t.leave(tenant)
		busy := fault.Wrap(err, fault.Unavailable, "Too many pages are being analysed; try again in a moment.")
		busy.RetryAfter = comeBack
		return nil, busy
	}
	return func() {
		t.all.Release(1)
		own.Release(1)
		t.leave(tenant)
	}, nil
}

func tooMany(err error) error {
	limit := fault.Wrap(err, fault.RateLimited, "Of one tenant %d pages are analysed at a time, and %d wait; try again when some are done.", atOnceEach, waitingEach)
	limit.RetryAfter = comeBack
	return limit
}

func (t *turns) enter(tenant uuid.UUID) (own *semaphore.Weighted, admitted bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	of := t.tenants[tenant]
	if of == nil {
		of = &tenantTurns{own: semaphore.NewWeighted(atOnceEach)}
		t.tenants[tenant] = of
	}
	if of.has == atOnceEach+waitingEach {
		return nil, false
	}
	of.has++
	return of.own, true
}

func (t *turns) leave(tenant uuid.UUID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	of := t.tenants[tenant]
	of.has--
	if of.has == 0 {
		delete(t.tenants, tenant)
	}
}
