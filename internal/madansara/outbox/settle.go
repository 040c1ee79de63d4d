package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
)

// settle records what became of the lanes' facts and whose turn is when, also
// when the job's own time is up.
//
// Lanes that a transaction which adds facts holds are left for last and taken
// one by one: whoever waits for such a lane must hold no other.
func (r *run) settle(ctx context.Context, lanes []*lane) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	byID := make(map[uuid.UUID]*lane, len(lanes))
	ids := make([]uuid.UUID, len(lanes))
	for i, l := range lanes {
		byID[l.id], ids[i] = l, l.id
	}
	record := func(lock string, ids []uuid.UUID) error {
		return r.db.Tenant(ctx, r.tenant, func(ctx context.Context, tx engardedb.Tx) error {
			rows, err := tx.Query(ctx, lock, r.tenant, ids)
			if err != nil {
				return fmt.Errorf("hold customers: %w", err)
			}
			held, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
			if err != nil {
				return fmt.Errorf("hold customers: %w", err)
			}
			of := make([]*lane, len(held))
			for i, id := range held {
				of[i] = byID[id]
				delete(byID, id)
			}
			return r.record(ctx, tx, held, of)
		})
	}
	const hold = `SELECT lane_uuid FROM outbox_lanes WHERE tenant_uuid = $1 AND lane_uuid = ANY ($2) ORDER BY lane_uuid FOR UPDATE`
	if err := record(hold+" SKIP LOCKED", ids); err != nil {
		return fmt.Errorf("record deliveries to Core: %w", err)
	}
	for _, id := range ids {
		if byID[id] == nil {
			continue
		}
		if err := record(hold, []uuid.UUID{id}); err != nil {
			return fmt.Errorf("record deliveries to Core: %w", err)
		}
	}
	return nil
}

func (r *run) record(ctx context.Context, tx engardedb.Tx, ids []uuid.UUID, lanes []*lane) error {
	now := r.clock.Now()
	var sent, tried []uuid.UUID
	var failures, statuses []string
	var settled []*time.Time
	dues := make([]time.Time, len(lanes))
	for i, l := range lanes {
		dues[i] = now.Add(l.retryIn)
		sent = append(sent, l.delivered...)
		if l.failure == nil {
			continue
		}
		status, at := "pending", (*time.Time)(nil)
		if l.refused {
			status, at = "failed", &now
		}
		tried = append(tried, l.facts[len(l.delivered)].id)
		failures, statuses, settled = append(failures, string(l.failure)), append(statuses, status), append(settled, at)
	}
	var batch pgx.Batch
	if len(sent) > 0 {
		batch.Queue(`
			UPDATE outbox_facts SET status = 'delivered', settled_at = $3, attempts = attempts + 1, failure = NULL
			WHERE tenant_uuid = $1 AND fact_uuid = ANY ($2) AND status = 'pending'`, r.tenant, sent, now)
	}
	if len(tried) > 0 {
		batch.Queue(`
			UPDATE outbox_facts f SET status = t.status, settled_at = t.settled, attempts = f.attempts + 1, failure = t.failure::jsonb
			FROM unnest($2::uuid[], $3::text[], $4::text[], $5::timestamptz[]) AS t (id, failure, status, settled)
			WHERE f.tenant_uuid = $1 AND f.fact_uuid = t.id AND f.status = 'pending'`, r.tenant, tried, failures, statuses, settled)
	}
	batch.Queue(advance, r.tenant, ids, dues)
	batch.Queue(leave, r.tenant, ids)
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("write outcomes: %w", err)
	}
	return nil
}

// advance sets when lanes' turn is: at $3, or not until a person decides when
// the first fact has failed.
const advance = `
	UPDATE outbox_lanes l SET due_at = CASE WHEN first.status = 'failed' THEN NULL ELSE n.due END
	FROM unnest($2::uuid[], $3::timestamptz[]) AS n (lane, due) CROSS JOIN LATERAL (
		SELECT status FROM outbox_facts f
		WHERE f.tenant_uuid = $1 AND f.lane_uuid = n.lane AND f.status IN ('pending', 'failed')
		ORDER BY f.sequence LIMIT 1) first
	WHERE l.tenant_uuid = $1 AND l.lane_uuid = n.lane`

// leave removes lanes with nothing left. Whoever holds a lane may ask.
const leave = `
	DELETE FROM outbox_lanes l WHERE l.tenant_uuid = $1 AND l.lane_uuid = ANY ($2) AND NOT EXISTS (
		SELECT FROM outbox_facts f WHERE f.tenant_uuid = $1 AND f.lane_uuid = l.lane_uuid AND f.status IN ('pending', 'failed'))`
