package signature

import (
	"container/heap"
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"
)

// NonceStore remembers nonces until they expire. Implementations are safe for
// concurrent use; of two calls with one key and nonce, exactly one is told that
// it is fresh. An error refuses the request.
type NonceStore interface {
	// Use records a nonce of a key and reports whether it was fresh.
	Use(ctx context.Context, keyID, nonce string, expires time.Time) (fresh bool, err error)
}

// ErrNoncesFull is returned by a [MemoryNonces] that cannot take another nonce.
var ErrNoncesFull = errors.New("the nonce store is full")

// DefaultMaxNonces bounds a [MemoryNonces]: about 40 MB, and with the default lifetime
// and skew of a signature (60 s together) more than 8,000 requests a second.
const DefaultMaxNonces = 500_000

// MemoryNonces is a bounded NonceStore in the process's memory. When full it
// refuses new nonces rather than forget one that could still be replayed.
type MemoryNonces struct {
	clock clockwork.Clock
	limit int

	mu   sync.Mutex
	seen map[nonceKey]struct{}
	due  expiries
}

// nonceKey is a digest, so that an entry's size does not depend on the sender.
type nonceKey [16]byte

// NewMemoryNonces takes the greatest number of live nonces (0:
// [DefaultMaxNonces]) and a clock (nil: the real one).
func NewMemoryNonces(limit int, clock clockwork.Clock) *MemoryNonces {
	if limit <= 0 {
		limit = DefaultMaxNonces
	}
	if clock == nil {
		clock = clockwork.NewRealClock()
	}
	return &MemoryNonces{clock: clock, limit: limit, seen: map[nonceKey]struct{}{}}
}

// Use implements [NonceStore].
func (m *MemoryNonces) Use(_ context.Context, keyID, nonce string, expires time.Time) (bool, error) {
	sum := sha256.Sum256([]byte(keyID + "\x00" + nonce))
	key := nonceKey(sum[:16])
	now := m.clock.Now().Unix()
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.due) > 0 && m.due[0].at < now {
		delete(m.seen, m.due[0].key)
		heap.Pop(&m.due)
	}
	if _, known := m.seen[key]; known {
		return false, nil
	}
	if len(m.seen) >= m.limit {
		return false, ErrNoncesFull
	}
	m.seen[key] = struct{}{}
	heap.Push(&m.due, expiry{at: expires.Unix(), key: key})
	return true, nil
}

// Len returns how many nonces are remembered.
func (m *MemoryNonces) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.seen)
}

type expiry struct {
	at  int64 // the Unix second in which it expires, which it is kept through
	key nonceKey
}

// expiries is a heap, the earliest first.
type expiries []expiry //nolint:recvcheck // heap.Interface wants both kinds of receiver

func (e expiries) Len() int           { return len(e) }
func (e expiries) Less(i, j int) bool { return e[i].at < e[j].at }
func (e expiries) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }

func (e *expiries) Push(x any) { *e = append(*e, x.(expiry)) } //nolint:forcetypeassert // heap.Push above gives nothing else

func (e *expiries) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}
