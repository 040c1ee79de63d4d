package memoryjobs

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/zerodb"
)

// Why something was erased.
const (
	Requested     = "request"        // somebody asked for it
	ContactErased = "contact_erased" // the contact it is about was erased
)

// Erasure is an erasure of what is remembered of somebody, and its receipt once it is
// finished. It does not say whom it was about: Subject is a hash.
type Erasure struct {
	ID          uuid.UUID
	Subject     string // SHA-256 of the subject, in hexadecimal
	Cause       string // Requested, ContactErased
	RequestedBy string // "key <id>", "user <id>", or a service's name
	RequestedAt time.Time
	Erased      int
	ByType      map[zerodb.Type]int
	Agents      []string
	Digest      string
	Remaining   int
	Backend     string
	StartedAt   time.Time // zero before
	FinishedAt  time.Time // zero while it goes on
}

const (
	// eraseAgain is when a job takes over an erasure whose request may have broken off.
	eraseAgain = time.Minute
	// mostPasses is how often an erasure looks for what is stored meanwhile.
	mostPasses = 3
)

// EraseArgs asks for a planned erasure to be carried out. Whom it is about stands in
// the erasure's row, which forgets it; the queue keeps its jobs for a while.
type EraseArgs struct {
	TenantUUID  uuid.UUID `json:"tenant_uuid"`
	ErasureUUID uuid.UUID `json:"erasure_uuid"`
}

// Kind names the job in the queue.
func (EraseArgs) Kind() string { return "erase_memories" }

// PlanErasureTx makes sure that what is remembered of somebody is erased once tx has committed,
// wherever it is kept, and returns the id of the receipt.
func (j *Jobs) PlanErasureTx(ctx context.Context, tx engardedb.Tx, by, cause string, e zerodb.Erasure) (uuid.UUID, error) {
	return j.planErasure(ctx, tx, by, cause, e, 0)
}

func (j *Jobs) planErasure(ctx context.Context, tx engardedb.Tx, by, cause string, e zerodb.Erasure, in time.Duration) (uuid.UUID, error) {
	if err := e.Check(); err != nil {
		return uuid.Nil, err //nolint:wrapcheck // zerodb's own, which names the field
	}
	wanted, err := json.Marshal(e)
	if err != nil {
		return uuid.Nil, fmt.Errorf("encode an erasure: %w", err)
	}
	id, sum, now := uuid.Must(uuid.NewV7()), sha256.Sum256([]byte(e.Subject)), j.clock.Now()
	const insert = `INSERT INTO memory_erasures (tenant_uuid, erasure_uuid, subject_sha256, wanted, cause, requested_by, requested_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`
	if _, err := tx.Exec(ctx, insert, tx.Tenant(), id, hex.EncodeToString(sum[:]), wanted, cause, by, now); err != nil {
		return uuid.Nil, fmt.Errorf("plan an erasure: %w", err)
	}
	opts := &river.InsertOpts{}
	if in > 0 {
		opts.ScheduledAt = now.Add(in)
	}
	return id, j.queue.Enqueue(ctx, tx, EraseArgs{TenantUUID: tx.Tenant(), ErasureUUID: id}, opts)
}

// Erase erases what is remembered of somebody now, and returns the receipt. Should this process
// or the memory fail on the way, a job carries it out later.
func (j *Jobs) Erase(ctx context.Context, client *zerodb.Client, tenant uuid.UUID, by string, e zerodb.Erasure) (Erasure, error) {
	var id uuid.UUID
	err := j.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) (err error) {
		id, err = j.planErasure(ctx, tx, by, Requested, e, eraseAgain)
		return err
	})
	if err != nil {
		return Erasure{}, err //nolint:wrapcheck // zerodb's own, or engardedb says what it was
	}
	if err := j.carryOut(ctx, client, tenant, id); err != nil {
		return Erasure{}, err
	}
	return j.Erasure(ctx, tenant, id)
}

// carryOut erases until nothing is left and turns the row into a receipt. One that is finished stays as it is.
func (j *Jobs) carryOut(ctx context.Context, client *zerodb.Client, tenant, id uuid.UUID) error {
	var wanted []byte
	err := j.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		return tx.QueryRow(ctx, "SELECT wanted FROM memory_erasures WHERE tenant_uuid = $1 AND erasure_uuid = $2", tenant, id).Scan(&wanted)
	})
	if errors.Is(err, pgx.ErrNoRows) || err == nil && wanted == nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read an erasure: %w", err)
	}
	var e zerodb.Erasure
	if err := json.Unmarshal(wanted, &e); err != nil {
		return fmt.Errorf("read an erasure: %w", err)
	}
	for pass := 1; ; pass++ {
		receipt, err := client.Tenant(tenant).Erase(ctx, e)
		last := err == nil && (receipt.Remaining == 0 || pass == mostPasses)
		// What is gone is told even when the rest could not be: the next run does not find it again.
		if saved := j.settle(context.WithoutCancel(ctx), tenant, id, receipt, last); saved != nil {
			return errors.Join(err, saved)
		}
		if err != nil || last {
			return err //nolint:wrapcheck // zerodb's own
		}
	}
}

// settle adds what a pass erased to the row.
func (j *Jobs) settle(ctx context.Context, tenant, id uuid.UUID, r zerodb.ErasureReceipt, last bool) error {
	if r.StartedAt.IsZero() {
		return nil // it did not begin
	}
	byType, err := json.Marshal(r.ByType)
	if err != nil {
		return fmt.Errorf("encode a receipt: %w", err)
	}
	const update = `
		UPDATE memory_erasures SET
			erased = erased + $3, agents = ARRAY(SELECT DISTINCT a FROM unnest(agents || $4::text[]) a ORDER BY a),
			by_type = (SELECT coalesce(jsonb_object_agg(type, n), '{}') FROM (
				SELECT key AS type, sum(value::int) AS n FROM (
					SELECT * FROM jsonb_each_text(by_type) UNION ALL SELECT * FROM jsonb_each_text($5)) both_passes GROUP BY key) summed),
			digest = CASE WHEN $3 > 0 OR digest = '' THEN $6 ELSE digest END, remaining = $7, backend = $8, started_at = coalesce(started_at, $9),
			finished_at = CASE WHEN $10 THEN $11::timestamptz END, wanted = CASE WHEN $10 THEN NULL ELSE wanted END
		WHERE tenant_uuid = $1 AND erasure_uuid = $2 AND finished_at IS NULL`
	err = j.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		_, err := tx.Exec(ctx, update, tenant, id, r.Erased, r.Agents, byType, r.Digest, r.Remaining, r.Backend, r.StartedAt, last, r.FinishedAt)
		return err //nolint:wrapcheck // wrapped below
	})
	if err != nil {
		return fmt.Errorf("keep the receipt of an erasure: %w", err)
	}
	return nil
}

const selectErasures = `SELECT erasure_uuid, subject_sha256, cause, requested_by, requested_at, erased, by_type, agents, digest, remaining, backend,
	coalesce(started_at, '0001-01-01Z'), coalesce(finished_at, '0001-01-01Z') FROM memory_erasures WHERE tenant_uuid = $1 `

// Erasure returns one erasure.
func (j *Jobs) Erasure(ctx context.Context, tenant, id uuid.UUID) (Erasure, error) {
	found, err := j.erasures(ctx, tenant, "AND erasure_uuid = $2", id)
	if err == nil && len(found) == 0 {
		err = fault.New(fault.NotFound, "There is no erasure %s.", id)
	}
	if err != nil {
		return Erasure{}, err
	}
	return found[0], nil
}

// Erasures returns up to limit erasures, the newest first, that were asked for before
// the one named by cursor (Nil begins).
func (j *Jobs) Erasures(ctx context.Context, tenant, cursor uuid.UUID, limit int) ([]Erasure, error) {
	return j.erasures(ctx, tenant, "AND erasure_uuid < $2 ORDER BY erasure_uuid DESC LIMIT $3", cmp.Or(cursor, uuid.Max), limit)
}

func (j *Jobs) erasures(ctx context.Context, tenant uuid.UUID, which string, args ...any) (found []Erasure, err error) {
	err = j.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := tx.Query(ctx, selectErasures+which, append([]any{tenant}, args...)...)
		if err == nil {
			found, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Erasure])
		}
		return err //nolint:wrapcheck // wrapped below
	})
	if err != nil {
		return nil, fmt.Errorf("read erasures: %w", err)
	}
	for i := range found {
		found[i].StartedAt, found[i].FinishedAt = found[i].StartedAt.UTC(), found[i].FinishedAt.UTC()
	}
	return found, nil
}

type eraseWorker struct {
	river.WorkerDefaults[EraseArgs]

	jobs   *Jobs
	client *zerodb.Client
}

// Work erases. It may be run any number of times.
func (w *eraseWorker) Work(ctx context.Context, job *river.Job[EraseArgs]) error {
	err := w.jobs.carryOut(ctx, w.client, job.Args.TenantUUID, job.Args.ErasureUUID)
	switch {
	case errors.Is(err, zerodb.ErrUnavailable):
		slog.WarnContext(ctx, "an erasure waits for the memory", slog.String("erasure", job.Args.ErasureUUID.String()), slog.Any("error", err))
		return river.JobSnooze(memoryBack)
	case err != nil:
		return fmt.Errorf("erase memories: %w", err)
	}
	return nil
}
