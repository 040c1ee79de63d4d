package outbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"
	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/engardedb"
)

// Fact is something that Core is to know.
type Fact struct {
	Type     string    // "conversion", "refund", "consent", ...: lower case, digits, ._-
	Customer uuid.UUID // the contact it is about; a visitor while there is none
	Data     any       // becomes a JSON object
	At       time.Time // when it became true
}

// Enqueuer adds jobs in the tenant's transaction; *jobs.Queue is one.
type Enqueuer interface {
	Enqueue(ctx context.Context, tx engardedb.Tx, args river.JobArgs, opts *river.InsertOpts) error
}

// Outbox takes facts and tells what became of them. It is safe for concurrent use.
type Outbox struct {
	db    *engardedb.DB
	queue Enqueuer
	clock clockwork.Clock
}

// New returns the outbox on db; the jobs that deliver go to queue.
func New(db *engardedb.DB, queue Enqueuer, clock clockwork.Clock) *Outbox {
	return &Outbox{db: db, queue: queue, clock: clock}
}

// count reserves the numbers of $2 facts. The row stays locked until the commit.
const count = `
	INSERT INTO outbox_counters AS c (tenant_uuid, last_sequence) VALUES ($1, $2)
	ON CONFLICT (tenant_uuid) DO UPDATE SET last_sequence = c.last_sequence + excluded.last_sequence
	RETURNING last_sequence`

// open makes lanes that there are not and locks those that there are, so that
// the delivery of a lane's last fact and the coming of its next see each other.
const open = `
	INSERT INTO outbox_lanes AS l (tenant_uuid, lane_uuid, due_at)
	SELECT $1, lane, $3 FROM unnest($2::uuid[]) AS n (lane)
	ON CONFLICT (tenant_uuid, lane_uuid) DO UPDATE SET due_at = l.due_at WHERE false`

const add = `
	INSERT INTO outbox_facts (tenant_uuid, fact_uuid, lane_uuid, sequence, customer_uuid, data_type, data, occurred_at, recorded_at)
	SELECT $1, id, customer, $7 + n, customer, type, data::jsonb, at, $8
	FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::timestamptz[])
		WITH ORDINALITY AS f (id, customer, type, data, at, n)`

// AddTx adds facts, in the order given, in the tenant's transaction: they are on
// their way when it commits. Call it late in the transaction, because until the
// commit the tenant's other facts wait.
func (o *Outbox) AddTx(ctx context.Context, tx engardedb.Tx, facts ...Fact) error {
	if len(facts) == 0 {
		return nil
	}
	cols, err := newColumns(facts)
	if err != nil {
		return err
	}
	var last int64
	if err := tx.QueryRow(ctx, count, tx.Tenant(), len(facts)).Scan(&last); err != nil {
		return fmt.Errorf("number facts for Core: %w", err)
	}
	now := o.clock.Now()
	var batch pgx.Batch
	batch.Queue(open, tx.Tenant(), cols.lanes(), now)
	batch.Queue(add, tx.Tenant(), cols.ids, cols.customers, cols.types, cols.data, cols.times, last-int64(len(facts)), now)
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("add facts for Core: %w", err)
	}
	return o.wakeTx(ctx, tx)
}

// wakeTx makes sure that the tenant's facts are delivered once tx has committed.
func (o *Outbox) wakeTx(ctx context.Context, tx engardedb.Tx) error {
	if err := o.queue.Enqueue(ctx, tx, deliverArgs{Tenant: tx.Tenant()}, nil); err != nil {
		return fmt.Errorf("enqueue the delivery of facts to Core: %w", err)
	}
	return nil
}

// columns are facts turned for unnest.
type columns struct {
	ids, customers []uuid.UUID
	types, data    []string
	times          []time.Time
}

func newColumns(facts []Fact) (cols columns, err error) {
	for _, f := range facts {
		id, err := uuid.NewV7()
		if err != nil {
			return cols, fmt.Errorf("new fact id: %w", err)
		}
		data, err := json.Marshal(f.Data)
		if err != nil {
			return cols, fmt.Errorf("encode a fact for Core: %w", err)
		}
		cols.ids = append(cols.ids, id)
		cols.customers = append(cols.customers, f.Customer)
		cols.types = append(cols.types, f.Type)
		cols.data = append(cols.data, string(data))
		cols.times = append(cols.times, f.At)
	}
	return cols, nil
}

// lanes are the customers, each once and in order, so that transactions that
// lock the same ones do so alike.
func (c *columns) lanes() []uuid.UUID {
	lanes := slices.Clone(c.customers)
	slices.SortFunc(lanes, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(lanes)
}

// MoveTx makes what waits of the customers from[i] wait as into[i]'s, because
// they are one person. What Core is told of a fact stays.
func (o *Outbox) MoveTx(ctx context.Context, tx engardedb.Tx, from, into []uuid.UUID) error {
	if len(from) == 0 {
		return nil
	}
	const find = `
		SELECT n.lane, n.target FROM unnest($2::uuid[], $3::uuid[]) AS n (lane, target)
		JOIN outbox_lanes l ON l.tenant_uuid = $1 AND l.lane_uuid = n.lane WHERE n.lane <> n.target`
	rows, err := tx.Query(ctx, find, tx.Tenant(), from, into)
	if err != nil {
		return fmt.Errorf("find facts of a person now known: %w", err)
	}
	moves, err := pgx.CollectRows(rows, pgx.RowToStructByPos[move])
	if err != nil {
		return fmt.Errorf("find facts of a person now known: %w", err)
	}
	if len(moves) == 0 { // as nearly always: nothing waits
		return nil
	}
	now := o.clock.Now()
	lanes := make([]uuid.UUID, 0, 2*len(moves))
	for _, m := range moves {
		lanes = append(lanes, m.Lane, m.Target)
	}
	touched := (&columns{customers: lanes}).lanes()
	var batch pgx.Batch
	batch.Queue(open, tx.Tenant(), touched, now)
	for _, m := range moves {
		batch.Queue(`UPDATE outbox_facts SET lane_uuid = $3 WHERE tenant_uuid = $1 AND lane_uuid = $2 AND status IN ('pending', 'failed')`,
			tx.Tenant(), m.Lane, m.Target)
	}
	// A delivery finds out which of them are empty and which cannot go on.
	batch.Queue(`UPDATE outbox_lanes SET due_at = COALESCE(due_at, $3) WHERE tenant_uuid = $1 AND lane_uuid = ANY ($2)`, tx.Tenant(), touched, now)
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("move facts of a person now known: %w", err)
	}
	return o.wakeTx(ctx, tx)
}

type move struct{ Lane, Target uuid.UUID }
