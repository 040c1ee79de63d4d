package memoryjobs

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/zerodb"
)

// RenameArgs asks for what is remembered of one subject to be remembered of another.
type RenameArgs struct {
	TenantUUID uuid.UUID `json:"tenant_uuid"`
	From       string    `json:"from"`
	To         string    `json:"to"`
}

// Kind names the job in the queue.
func (RenameArgs) Kind() string { return "rename_memories" }

// RenameTx makes what is remembered of a subject be remembered of another once tx has committed.
func (j *Jobs) RenameTx(ctx context.Context, tx engardedb.Tx, from, to string) error {
	return j.queue.Enqueue(ctx, tx, RenameArgs{TenantUUID: tx.Tenant(), From: from, To: to}, nil)
}

type renameWorker struct {
	river.WorkerDefaults[RenameArgs]

	client *zerodb.Client
}

// Work renames. It may be run any number of times.
func (w *renameWorker) Work(ctx context.Context, job *river.Job[RenameArgs]) error {
	_, err := w.client.Tenant(job.Args.TenantUUID).Rename(ctx, job.Args.From, job.Args.To)
	switch {
	case errors.Is(err, zerodb.ErrUnavailable):
		return river.JobSnooze(memoryBack)
	case err != nil:
		return fmt.Errorf("rename a subject of memories: %w", err)
	}
	return nil
}
