package zerodb

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Clock tells the time. clockwork.Clock is one.
type Clock interface {
	Now() time.Time
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

// Config is what a client is made of.
type Config struct {
	Backend  Backend
	Embedder Embedder // nil: memories are found by their words alone
	Clock    Clock    // nil: the system's
	Logger   *slog.Logger
	// Changed, when set, is called after memories of a tenant were stored; pending
	// says that some wait to be embedded. It is where a job gets enqueued
	// that embeds them and looks after the tenant's memories (see [Tenant.EmbedPending] and
	// [Tenant.Upkeep]). It is not called by StoreWith, whose caller has a transaction.
	Changed func(ctx context.Context, tenant uuid.UUID, pending bool) error
	// FlushRecalls is how long recalls are gathered before they are written. Zero
	// is two seconds.
	FlushRecalls time.Duration
}

// Client stores and finds memories. It is safe for concurrent use; Close it to
// write the recall counts it still holds.
type Client struct {
	backend  Backend
	embedder Embedder
	clock    Clock
	logger   *slog.Logger
	changed  func(ctx context.Context, tenant uuid.UUID, pending bool) error
	recalls  recallBuffer
}

// New returns a client.
func New(cfg Config) (*Client, error) {
	if cfg.Backend == nil {
		return nil, invalid("Backend", "is required")
	}
	c := &Client{backend: cfg.Backend, embedder: cfg.Embedder, clock: cfg.Clock, logger: cfg.Logger, changed: cfg.Changed}
	if c.clock == nil {
		c.clock = systemClock{}
	}
	if c.logger == nil {
		c.logger = slog.Default()
	}
	c.recalls = recallBuffer{client: c, every: cfg.FlushRecalls, counts: map[recallKey]Recall{}}
	if c.recalls.every <= 0 {
		c.recalls.every = 2 * time.Second
	}
	return c, nil
}

// Backend returns the client's back end.
func (c *Client) Backend() Backend { return c.backend }

// Embedder returns the client's embedder, nil for none.
func (c *Client) Embedder() Embedder { return c.embedder }

// Flush writes the recall counts gathered so far.
func (c *Client) Flush(ctx context.Context) error { return c.recalls.flush(ctx) }

// Close writes the recall counts gathered so far and waits for those under way.
func (c *Client) Close(ctx context.Context) error { return c.recalls.close(ctx) }

// Tenant returns the memory of one tenant: every call is bound to it.
func (c *Client) Tenant(id uuid.UUID) Tenant { return Tenant{client: c, id: id} }

// Tenant is the memory of one tenant.
type Tenant struct {
	client *Client
	id     uuid.UUID
}

// ID returns the tenant's id.
func (t Tenant) ID() uuid.UUID { return t.id }

func (t Tenant) check() error {
	if t.id == uuid.Nil {
		return invalid("tenant", "is required")
	}
	return nil
}

// now is the time in the precision that back ends keep.
func (c *Client) now() time.Time { return stored(c.clock.Now()) }

func stored(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

func (c *Client) model() string {
	if c.embedder == nil {
		return ""
	}
	return c.embedder.Model()
}

type recallKey struct{ tenant, id uuid.UUID }

// recallBuffer gathers which memories were recalled, so that a search writes
// nothing. What it holds when a process is killed is lost: a few seconds of
// counts, on which no answer depends.
type recallBuffer struct {
	client *Client
	every  time.Duration

	mu     sync.Mutex
	counts map[recallKey]Recall
	timer  *time.Timer
	closed bool
	active sync.WaitGroup
}

const maxRecallsHeld = 10_000

func (b *recallBuffer) add(tenant uuid.UUID, hits []Hit, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || len(hits) == 0 || len(b.counts) > maxRecallsHeld {
		return
	}
	for i := range hits {
		key := recallKey{tenant, hits[i].Memory.ID}
		recall := b.counts[key]
		b.counts[key] = Recall{ID: key.id, Count: recall.Count + 1, At: at}
	}
	if b.timer == nil {
		b.active.Add(1)
		b.timer = time.AfterFunc(b.every, b.flushDue)
	}
}

func (b *recallBuffer) flushDue() {
	defer b.active.Done()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := b.flush(ctx); err != nil {
		b.client.logger.WarnContext(ctx, "recalls of memories were not counted", "error", err)
	}
}

func (b *recallBuffer) flush(ctx context.Context) error {
	b.mu.Lock()
	counts := b.counts
	b.counts = map[recallKey]Recall{}
	if b.timer != nil && b.timer.Stop() {
		b.active.Done()
	}
	b.timer = nil
	b.mu.Unlock()
	byTenant := map[uuid.UUID][]Recall{}
	for key, recall := range counts {
		byTenant[key.tenant] = append(byTenant[key.tenant], recall)
	}
	for tenant, recalls := range byTenant {
		if err := b.client.backend.Recalled(ctx, tenant, recalls); err != nil {
			return err
		}
	}
	return nil
}

func (b *recallBuffer) close(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	err := b.flush(ctx)
	b.active.Wait()
	return err
}
