package httpkit

import (
	"container/list"
	"net/http"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"
	"golang.org/x/time/rate"

	"github.com/engardehq/madansara/internal/fault"
)

// Limiter holds a token bucket a caller. It remembers the most recent callers
// only, so that its memory is bounded whoever asks.
type Limiter struct {
	clock   clockwork.Clock
	rate    rate.Limit
	burst   int
	callers int

	mu     sync.Mutex
	recent *list.List // of *bucket, the most recent first
	byKey  map[string]*list.Element
}

type bucket struct {
	key    string
	tokens *rate.Limiter
}

// NewLimiter allows each caller perSecond requests a second, and burst at once.
// It keeps the latest callers (about 200 bytes each).
func NewLimiter(clock clockwork.Clock, perSecond float64, burst, callers int) *Limiter {
	return &Limiter{
		clock: clock, rate: rate.Limit(perSecond), burst: max(1, burst), callers: max(1, callers),
		recent: list.New(), byKey: map[string]*list.Element{},
	}
}

// Take spends one request of the caller's. When there is none left it returns
// how long to wait for the next, and spends nothing.
func (l *Limiter) Take(caller string) (wait time.Duration, ok bool) {
	now := l.clock.Now()
	reservation := l.bucket(caller).ReserveN(now, 1)
	wait = reservation.DelayFrom(now)
	if wait > 0 {
		reservation.CancelAt(now)
	}
	return wait, wait == 0
}

func (l *Limiter) bucket(caller string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if element, known := l.byKey[caller]; known {
		l.recent.MoveToFront(element)
		return element.Value.(*bucket).tokens //nolint:forcetypeassert // the list holds nothing else
	}
	if l.recent.Len() >= l.callers {
		oldest := l.recent.Back()
		l.recent.Remove(oldest)
		delete(l.byKey, oldest.Value.(*bucket).key) //nolint:forcetypeassert // the list holds nothing else
	}
	b := &bucket{key: caller, tokens: rate.NewLimiter(l.rate, l.burst)}
	l.byKey[caller] = l.recent.PushFront(b)
	return b.tokens
}

// limitBy refuses a caller's requests beyond the limiter's rate. caller returns
// "" for a request that is not limited.
func limitBy(limiter *Limiter, caller func(*http.Request) string, next http.Handler) http.Handler {
	if limiter == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if key := caller(r); key != "" {
			if wait, ok := limiter.Take(key); !ok {
				WriteProblem(w, &fault.Error{
					Code: fault.RateLimited, Message: "Too many requests; Retry-After says when the next one is welcome.", RetryAfter: wait,
				})
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
