package qdrant

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	pb "github.com/qdrant/go-client/qdrant"

	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/qdrant/internal/wire"
)

// The payload of a lease's point, whose ID says the scope.
const (
	keyOwner = "owner"
	keyUntil = "until"
)

// lease is the right to change some scopes until a time. Inside the process a lock gives
// it; between processes a point a scope, which a conditional upsert
// takes when there is none, or when its time has passed.
type lease struct {
	b      *Backend
	t      wire.Tenant
	owner  string
	points []uuid.UUID
	until  time.Time
	unlock func()
}

// acquire waits for the scopes.
func (b *Backend) acquire(ctx context.Context, t wire.Tenant, tenant uuid.UUID, scopes []zerodb.Scope) (*lease, error) {
	names := make([]string, len(scopes))
	for i, scope := range scopes {
		names[i] = tenant.String() + " " + scope.String()
	}
	slices.Sort(names) // one order for all: none waits for one who waits for it
	unlock, err := b.scopes.lock(ctx, names)
	if err != nil {
		return nil, err
	}
	l := &lease{b: b, t: t, owner: newRevision(), unlock: unlock}
	for _, name := range names {
		sum := sha256.Sum256([]byte(name))
		l.points = append(l.points, t.PointID(uuid.UUID(sum[:16])))
	}
	// Longer than this nobody holds one without having died.
	patience, cancel := context.WithTimeout(ctx, b.cfg.Lease+b.cfg.Timeout)
	defer cancel()
	for attempt := 0; ; attempt++ {
		held, err := l.take(patience)
		if err == nil && held {
			return l, nil
		}
		l.release(ctx)
		if err == nil {
			err = pause(patience, attempt)
		}
		if err != nil {
			unlock()
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if patience.Err() != nil {
				return nil, zerodb.Unavailable(nil, "another process is changing memories of "+scopeNames(scopes))
			}
			return nil, err
		}
	}
}

func scopeNames(scopes []zerodb.Scope) string {
	names := make([]string, len(scopes))
	for i, scope := range scopes {
		names[i] = scope.String()
	}
	return strings.Join(names, ", ")
}

// take tries once. Reading back says who got each point.
func (l *lease) take(ctx context.Context) (bool, error) {
	now := l.b.cfg.Clock.Now()
	l.until = now.Add(l.b.cfg.Lease)
	points := make([]*pb.PointStruct, len(l.points))
	for i, id := range l.points {
		points[i] = &pb.PointStruct{
			Id: pb.NewID(id.String()), Vectors: pb.NewVectorsMap(nil),
			Payload: map[string]*pb.Value{keyOwner: pb.NewValueString(l.owner), keyUntil: timeValue(l.until)},
		}
	}
	passed := wire.Where{}.And(pb.NewDatetimeRange(keyUntil, &pb.DatetimeRange{Lt: stamp(now)}))
	if err := l.t.Upsert(ctx, leases, points, passed); err != nil {
		return false, err
	}
	n, err := l.t.Count(ctx, leases, l.mine())
	return n == len(l.points), err
}

func (l *lease) mine() wire.Where {
	return wire.Where{}.And(wire.HasID(l.points...), pb.NewMatchKeyword(keyOwner, l.owner))
}

// left is how long the lease still lasts.
func (l *lease) left() time.Duration { return l.until.Sub(l.b.cfg.Clock.Now()) }

// release gives the points back, also when ctx is done. One that can't be given back ends by itself.
func (l *lease) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.b.cfg.Timeout)
	defer cancel()
	_ = l.t.Delete(ctx, leases, l.mine())
}

// end gives everything back.
func (l *lease) end(ctx context.Context) {
	l.release(ctx)
	l.unlock()
}

// pause waits some milliseconds, more with each attempt up to about 200, differently each time.
func pause(ctx context.Context, attempt int) error {
	most := min(5<<min(attempt, 6), 200)
	timer := time.NewTimer(time.Duration(1+rand.IntN(most)) * time.Millisecond) //nolint:gosec // spreads attempts, hides nothing
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("qdrant: %w", context.Cause(ctx))
	}
}

// keyedLocks are locks by name, for the goroutines of one process.
type keyedLocks struct {
	mu   sync.Mutex
	held map[string]chan struct{} // closed when it is free again
}

// lock waits for all names, which must be sorted.
func (k *keyedLocks) lock(ctx context.Context, names []string) (unlock func(), err error) {
	for i, name := range names {
		if err := k.lockOne(ctx, name); err != nil {
			k.unlock(names[:i])
			return nil, err
		}
	}
	return func() { k.unlock(names) }, nil
}

func (k *keyedLocks) lockOne(ctx context.Context, name string) error {
	for {
		k.mu.Lock()
		if k.held == nil {
			k.held = map[string]chan struct{}{}
		}
		free, taken := k.held[name]
		if !taken {
			k.held[name] = make(chan struct{})
		}
		k.mu.Unlock()
		if !taken {
			return nil
		}
		select {
		case <-free:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (k *keyedLocks) unlock(names []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, name := range names {
		close(k.held[name])
		delete(k.held, name)
	}
}
