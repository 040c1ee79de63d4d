package outreach

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/jobs"
)

// Queue is where the jobs of this package run. Its MaxWorkers bounds how many
// messages a process has in the air at once, over all campaigns and tenants.
const Queue = "outreach"

// neverDiscarded is more attempts than a job lives to see: a sender is given up
// by pausing its campaign with a reason, never by dropping its job.
const neverDiscarded = 30_000

// Enqueuer adds jobs in the tenant's transaction; *jobs.Queue is one.
type Enqueuer interface {
	Enqueue(ctx context.Context, tx engardedb.Tx, args river.JobArgs, opts *river.InsertOpts) error
}

// expandArgs is the job that decides about every contact of a campaign's segment.
type expandArgs struct {
	Tenant   uuid.UUID `json:"tenant"`
	Campaign uuid.UUID `json:"campaign"`
}

func (expandArgs) Kind() string { return "outreach_expand" }

func (expandArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: Queue, MaxAttempts: neverDiscarded, UniqueOpts: jobs.Once(), Priority: 1}
}

// sendArgs is one sender of a campaign, or of the single sends when Campaign is
// uuid.Nil. Slots number a campaign's senders, so that there are never more.
type sendArgs struct {
	Tenant   uuid.UUID `json:"tenant"`
	Campaign uuid.UUID `json:"campaign"`
	Slot     int       `json:"slot"`
}

func (sendArgs) Kind() string { return "outreach_send" }

// InsertOpts lets single sends, for which somebody waits, pass campaigns.
func (a sendArgs) InsertOpts() river.InsertOpts {
	priority := 2
	if a.Campaign == uuid.Nil {
		priority = 1
	}
	return river.InsertOpts{Queue: Queue, MaxAttempts: neverDiscarded, UniqueOpts: jobs.Once(), Priority: priority}
}

// enqueueSenders makes sure that the campaign's senders run. The caller holds
// the campaign's lock, under which senders end themselves.
func enqueueSenders(ctx context.Context, queue Enqueuer, tx engardedb.Tx, campaign uuid.UUID, slots int) error {
	for slot := range slots {
		if err := queue.Enqueue(ctx, tx, sendArgs{Tenant: tx.Tenant(), Campaign: campaign, Slot: slot}, nil); err != nil {
			return fmt.Errorf("start a sender: %w", err)
		}
	}
	return nil
}

// lockSingleSends is to single sends what a campaign's row lock is to its
// messages: a sender ends itself, and a send makes sure that one runs, under it.
func lockSingleSends(ctx context.Context, tx engardedb.Tx) error {
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended('outreach single sends ' || $1::text, 0))", tx.Tenant()); err != nil {
		return fmt.Errorf("lock the single sends: %w", err)
	}
	return nil
}
