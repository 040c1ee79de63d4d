// Package memoryjobs looks after agents' memories in the background: it embeds
// what was stored without a vector, and drops, promotes and lets fade what the
// rules of zerodb say. Each tenant that has memories has one job of upkeep,
// which puts itself off until the next time; a tenant without has none.
//
// What is remembered of somebody is erased and renamed here too, by jobs that commit with
// what caused them, so that it happens in whatever back end the memories are. An
// erasure's row is its receipt, and is kept.
package memoryjobs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/pgmem"
)

const (
	// upkeepEvery is how long an expired memory is kept at most. It is not
	// returned from the moment of its expiry on.
	upkeepEvery = 6 * time.Hour
	// embedderBack is when an embedder that did not answer is asked again.
	embedderBack = time.Minute
	// memoryBack is when a memory that did not answer is asked again.
	memoryBack = time.Minute
	// embedAtOnce memories are embedded in one transaction.
	embedAtOnce = 200
	// believed is for how long a process believes that a tenant it saw a job of upkeep for still has one.
	believed = 10 * time.Minute
)

// Jobs enqueues and works the jobs. It is safe for concurrent use once the queue is set.
type Jobs struct {
	db    *engardedb.DB
	clock clockwork.Clock
	queue *jobs.Queue

	mu       sync.Mutex
	looksUp  map[uuid.UUID]time.Time // until when upkeep of a tenant is believed to be enqueued
	lastSeen time.Time
}

// New returns jobs on db. Give [Jobs.Changed] to the client, register the
// workers, make the queue and hand it to [Jobs.UseQueue], in this order.
func New(db *engardedb.DB, clock clockwork.Clock) *Jobs {
	return &Jobs{db: db, clock: clock, looksUp: map[uuid.UUID]time.Time{}}
}

// UseQueue sets where jobs go.
func (j *Jobs) UseQueue(queue *jobs.Queue) { j.queue = queue }

// RegisterWorkers adds the workers of this package's jobs.
func (j *Jobs) RegisterWorkers(workers *river.Workers, client *zerodb.Client) {
	river.AddWorker(workers, &embedWorker{client: client})
	river.AddWorker(workers, &upkeepWorker{client: client})
	river.AddWorker(workers, &eraseWorker{jobs: j, client: client})
	river.AddWorker(workers, &renameWorker{client: client})
}

// EmbedArgs asks for a tenant's memories to be embedded that have no vector of the embedder in use.
type EmbedArgs struct {
	TenantUUID uuid.UUID `json:"tenant_uuid"`
}

// Kind names the job in the queue.
func (EmbedArgs) Kind() string { return "embed_memories" }

// UpkeepArgs asks for a tenant's memories to be looked through, again and again.
type UpkeepArgs struct {
	TenantUUID uuid.UUID `json:"tenant_uuid"`
}

// Kind names the job in the queue.
func (UpkeepArgs) Kind() string { return "upkeep_memories" }

// Changed is zerodb's Config.Changed: memories of a tenant were stored, and if
// pending some wait to be embedded.
func (j *Jobs) Changed(ctx context.Context, tenant uuid.UUID, pending bool) error {
	if !pending && j.believes(tenant) {
		return nil
	}
	err := j.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error { return j.EnqueueTx(ctx, tx, pending) })
	if err == nil {
		j.believe(tenant)
	}
	return err
}

// EnqueueTx enqueues what looks after memories that tx stores, so that it commits with them.
func (j *Jobs) EnqueueTx(ctx context.Context, tx engardedb.Tx, pending bool) error {
	tenant := tx.Tenant()
	if pending {
		if err := j.queue.Enqueue(ctx, tx, EmbedArgs{tenant}, &river.InsertOpts{UniqueOpts: jobs.Once()}); err != nil {
			return err
		}
	}
	if j.believes(tenant) {
		return nil
	}
	at := j.clock.Now().Add(upkeepEvery)
	return j.queue.Enqueue(ctx, tx, UpkeepArgs{tenant}, &river.InsertOpts{UniqueOpts: jobs.Once(), ScheduledAt: at})
}

// StoreTx stores items in the tenant's transaction and enqueues what looks after
// them: all of it exists when the transaction commits. See [pgmem.Backend.StoreTx].
func (j *Jobs) StoreTx(ctx context.Context, tx engardedb.Tx, backend *pgmem.Backend, client *zerodb.Client, items []zerodb.Item) ([]zerodb.Receipt, error) {
	receipts, err := backend.StoreTx(ctx, tx, client, items)
	if err != nil {
		return nil, err
	}
	pending := false
	for _, receipt := range receipts {
		pending = pending || !receipt.Embedded
	}
	return receipts, j.EnqueueTx(ctx, tx, pending && client.Embedder() != nil)
}

func (j *Jobs) believes(tenant uuid.UUID) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.clock.Now().Before(j.looksUp[tenant])
}

func (j *Jobs) believe(tenant uuid.UUID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := j.clock.Now()
	if now.Sub(j.lastSeen) > believed { // nothing of what is held is believed any more
		clear(j.looksUp)
		j.lastSeen = now
	}
	j.looksUp[tenant] = now.Add(believed)
}

type embedWorker struct {
	river.WorkerDefaults[EmbedArgs]

	client *zerodb.Client
}

// Work embeds some, and comes back for the rest.
func (w *embedWorker) Work(ctx context.Context, job *river.Job[EmbedArgs]) error {
	n, err := w.client.Tenant(job.Args.TenantUUID).EmbedPending(ctx, embedAtOnce)
	switch {
	case errors.Is(err, zerodb.ErrUnavailable):
		// Not a failure of the job: it has all the time that the embedder needs.
		return river.JobSnooze(embedderBack)
	case err != nil:
		return fmt.Errorf("embed memories: %w", err)
	case n == embedAtOnce:
		return river.JobSnooze(0)
	}
	return nil
}

type upkeepWorker struct {
	river.WorkerDefaults[UpkeepArgs]

	client *zerodb.Client
}

// Work looks through the tenant's memories, and comes back as long as there are
// any. It also embeds what an embedder of another model left, and what lost its job.
func (w *upkeepWorker) Work(ctx context.Context, job *river.Job[UpkeepArgs]) error {
	tenant := w.client.Tenant(job.Args.TenantUUID)
	report, err := tenant.Upkeep(ctx)
	if err != nil {
		return fmt.Errorf("upkeep of memories: %w", err)
	}
	for n := embedAtOnce; n == embedAtOnce && !jobs.Stopping(ctx); {
		if n, err = tenant.EmbedPending(ctx, embedAtOnce); err != nil {
			break // the embedder is away: the memories are there and are found by their words
		}
	}
	if !report.Left {
		return nil
	}
	return river.JobSnooze(upkeepEvery)
}
