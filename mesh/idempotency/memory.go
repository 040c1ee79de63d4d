package idempotency

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"
)

// ErrFull is returned by a [Memory] that cannot take another operation.
var ErrFull = errors.New("the idempotency store is full")

// Memory is a bounded Store in the process's memory, for tests and for services
// of one replica. When full it refuses new operations rather than forget one.
type Memory struct {
	clock clockwork.Clock
	limit int

	mu         sync.Mutex
	operations map[ID]operation
	swept      time.Time
}

type operation struct {
	fingerprint Fingerprint
	answer      *Answer
	until       time.Time // the lease's end, or until when the answer is kept
}

// NewMemory takes the greatest number of operations (0: 10,000) and a clock (nil: the real one).
func NewMemory(limit int, clock clockwork.Clock) *Memory {
	if limit <= 0 {
		limit = 10_000
	}
	if clock == nil {
		clock = clockwork.NewRealClock()
	}
	return &Memory{clock: clock, limit: limit, operations: map[ID]operation{}}
}

// Claim implements [Store].
func (m *Memory) Claim(_ context.Context, id ID, fingerprint Fingerprint, lease time.Duration) (Claim, error) {
	now := m.clock.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	known, found := m.operations[id]
	if found && now.Before(known.until) {
		return Claim{Fingerprint: known.fingerprint, Answer: known.answer}, nil
	}
	if !found && len(m.operations) >= m.limit {
		m.sweep(now)
		if len(m.operations) >= m.limit {
			return Claim{}, ErrFull
		}
	}
	m.operations[id] = operation{fingerprint: fingerprint, until: now.Add(lease)}
	return Claim{Fresh: true}, nil
}

// sweep forgets what has ended, at most once a second: a full store must not
// make every claim walk all of it.
func (m *Memory) sweep(now time.Time) {
	if now.Sub(m.swept) < time.Second {
		return
	}
	m.swept = now
	for id, o := range m.operations {
		if !now.Before(o.until) {
			delete(m.operations, id)
		}
	}
}

// Complete implements [Store].
func (m *Memory) Complete(_ context.Context, id ID, answer Answer, keep time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.operations[id]
	o.answer, o.until = &answer, m.clock.Now().Add(keep)
	m.operations[id] = o
	return nil
}

// Release implements [Store].
func (m *Memory) Release(_ context.Context, id ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.operations[id].answer == nil {
		delete(m.operations, id)
	}
	return nil
}
