package mailaccount

import (
	"container/list"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/internal/madansara/outreach/channel"
)

// entry is an answer of Core about a tenant: an account, none, or one that cannot be
// used as it was entered. It does not change.
type entry struct {
	asked   time.Time // before Core was asked, so that it knew all that was entered by then
	account *channel.Account
	problem error
}

// known are the last answers, a bounded number for a bounded time. Secrets leave the
// memory when their time is up, also when nobody asks any more.
type known struct {
	clock clockwork.Clock
	life  time.Duration
	most  int

	mu       sync.Mutex
	byTenant map[uuid.UUID]*list.Element
	used     *list.List // of *kept, the last used first
}

type kept struct {
	tenant uuid.UUID
	entry  *entry
	end    clockwork.Timer
}

func newKnown(clock clockwork.Clock, life time.Duration, most int) *known {
	return &known{clock: clock, life: life, most: most, byTenant: map[uuid.UUID]*list.Element{}, used: list.New()}
}

// of returns the last answer about a tenant, nil for none.
func (k *known) of(tenant uuid.UUID) *entry {
	k.mu.Lock()
	defer k.mu.Unlock()
	element := k.byTenant[tenant]
	if element == nil {
		return nil
	}
	found := element.Value.(*kept).entry //nolint:forcetypeassert // it holds nothing else
	if k.clock.Since(found.asked) >= k.life {
		return nil // its timer is about to take it
	}
	k.used.MoveToFront(element)
	return found
}

func (k *known) keep(tenant uuid.UUID, e *entry) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.remove(k.byTenant[tenant])
	for k.used.Len() >= k.most {
		k.remove(k.used.Back())
	}
	element := k.used.PushFront(&kept{tenant: tenant, entry: e})
	element.Value.(*kept).end = k.clock.AfterFunc(k.life, func() { //nolint:forcetypeassert // it holds nothing else
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.byTenant[tenant] == element {
			k.remove(element)
		}
	})
	k.byTenant[tenant] = element
}

// replace forgets a tenant's account, unless another has been learnt since; a problem
// takes its place for what is left of its life.
func (k *known) replace(tenant uuid.UUID, account *channel.Account, problem error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	element := k.byTenant[tenant]
	if element == nil {
		return
	}
	held := element.Value.(*kept) //nolint:forcetypeassert // it holds nothing else
	switch {
	case held.entry.account != account:
	case problem == nil:
		k.remove(element)
	default:
		held.entry = &entry{asked: held.entry.asked, problem: problem}
	}
}

// remove takes an element out; nil is none. The caller holds the lock.
func (k *known) remove(element *list.Element) {
	if element == nil {
		return
	}
	gone := k.used.Remove(element).(*kept) //nolint:forcetypeassert // it holds nothing else
	gone.end.Stop()
	delete(k.byTenant, gone.tenant)
}
