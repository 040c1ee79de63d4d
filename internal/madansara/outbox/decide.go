package outbox

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
)

// Replay lets a failed fact be tried again, with all its attempts. A fact that
// waits for its next attempt is tried now.
func (o *Outbox) Replay(ctx context.Context, tenant, id uuid.UUID) (fact Stored, err error) {
	err = o.decide(ctx, tenant, id, func(ctx context.Context, tx engardedb.Tx) error {
		_, err := tx.Exec(ctx, replay+` AND fact_uuid = $2`, tenant, id)
		return err
	}, &fact)
	return fact, err
}

const replay = `
	UPDATE outbox_facts SET status = 'pending', attempts = 0, settled_at = NULL
	WHERE tenant_uuid = $1 AND status IN ('pending', 'failed')`

// Discard gives a fact up: Core will not be told it, and the customer's later
// facts go on. A push of it that is under way may reach Core all the same. by
// says who decided.
func (o *Outbox) Discard(ctx context.Context, tenant, id uuid.UUID, by, reason string) (fact Stored, err error) {
	err = o.decide(ctx, tenant, id, func(ctx context.Context, tx engardedb.Tx) error {
		_, err := tx.Exec(ctx, `
			UPDATE outbox_facts SET status = 'discarded', settled_at = $3, settled_by = $4, reason = $5
			WHERE tenant_uuid = $1 AND fact_uuid = $2`, tenant, id, o.clock.Now(), by, reason)
		return err
	}, &fact)
	return fact, err
}

// decide changes a fact that is not settled, under its lane's lock, and lets the
// lane go on.
func (o *Outbox) decide(ctx context.Context, tenant, id uuid.UUID, change func(context.Context, engardedb.Tx) error, result *Stored) error {
	return o.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		const hold = `
			SELECT l.lane_uuid FROM outbox_facts f JOIN outbox_lanes l USING (tenant_uuid, lane_uuid)
			WHERE f.tenant_uuid = $1 AND f.fact_uuid = $2 FOR UPDATE OF l`
		lanes, err := holdTx(ctx, tx, hold, id)
		if err != nil {
			return err
		}
		fact, err := read(ctx, tx, id)
		if err != nil {
			return err
		}
		if fact.Status != "pending" && fact.Status != "failed" {
			return fault.New(fault.Conflict, "The fact is %s already.", fact.Status)
		}
		if err := change(ctx, tx); err != nil {
			return fmt.Errorf("decide about a fact for Core: %w", err)
		}
		if err := o.releaseTx(ctx, tx, lanes); err != nil {
			return err
		}
		*result, err = read(ctx, tx, id)
		return err
	})
}

// ReplayAll lets all failed facts of a type be tried again, of every type when
// it is empty, and returns how many there were.
func (o *Outbox) ReplayAll(ctx context.Context, tenant uuid.UUID, dataType string) (n int64, err error) {
	const hold = `
		SELECT lane_uuid FROM outbox_lanes WHERE tenant_uuid = $1 AND lane_uuid IN (
			SELECT lane_uuid FROM outbox_facts WHERE tenant_uuid = $1 AND status = 'failed' AND ($2 = '' OR data_type = $2))
		ORDER BY lane_uuid FOR UPDATE`
	err = o.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		lanes, err := holdTx(ctx, tx, hold, dataType)
		if err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, replay+` AND status = 'failed' AND ($2 = '' OR data_type = $2) AND lane_uuid = ANY ($3)`, tenant, dataType, lanes)
		if err != nil {
			return fmt.Errorf("replay the failed facts: %w", err)
		}
		n = tag.RowsAffected()
		return o.releaseTx(ctx, tx, lanes)
	})
	return n, err
}

// holdTx locks the lanes that a query names.
func holdTx(ctx context.Context, tx engardedb.Tx, query string, argument any) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, query, tx.Tenant(), argument)
	if err != nil {
		return nil, fmt.Errorf("hold customers: %w", err)
	}
	lanes, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("hold customers: %w", err)
	}
	return lanes, nil
}

// releaseTx makes it the turn of lanes that tx holds. A delivery blocks those
// again whose first fact has still failed, and removes those that are empty.
func (o *Outbox) releaseTx(ctx context.Context, tx engardedb.Tx, lanes []uuid.UUID) error {
	if len(lanes) == 0 {
		return nil
	}
	const statement = `UPDATE outbox_lanes SET due_at = $3 WHERE tenant_uuid = $1 AND lane_uuid = ANY ($2)`
	if _, err := tx.Exec(ctx, statement, tx.Tenant(), lanes, o.clock.Now()); err != nil {
		return fmt.Errorf("let customers' facts go on: %w", err)
	}
	return o.wakeTx(ctx, tx)
}
