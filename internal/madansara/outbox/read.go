package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
)

// Stored is a fact and what became of it.
type Stored struct {
	ID           uuid.UUID       `json:"fact_uuid" format:"uuid" doc:"What Core knows the fact by"`
	Type         string          `json:"data_type"`
	CustomerUUID uuid.UUID       `json:"customer_uuid" format:"uuid" doc:"Whom it was about when it was recorded: a contact, or a visitor while nobody knew who it was"`
	Sequence     int64           `json:"sequence" doc:"The order in which the tenant's facts were recorded"`
	Data         json.RawMessage `json:"data"`
	OccurredAt   time.Time       `json:"occurred_at" doc:"When it became true"`
	RecordedAt   time.Time       `json:"recorded_at" doc:"When it was put in the outbox"`
	Status       string          `json:"status" enum:"pending,failed,delivered,discarded"`
	Attempts     int             `json:"attempts" doc:"Pushes that Core answered or that timed out; an outage of Core's counts none"`
	Failure      json.RawMessage `json:"failure,omitempty" doc:"Why the last attempt failed: kind, status, message and Core's problem"`
	SettledAt    *time.Time      `json:"settled_at,omitempty" doc:"When it was delivered, failed for good or was discarded"`
	SettledBy    string          `json:"settled_by,omitempty" doc:"Who discarded it"`
	Reason       string          `json:"reason,omitempty" doc:"Why it was discarded"`
}

const selectFacts = `
	SELECT fact_uuid, data_type, customer_uuid, sequence, data, occurred_at, recorded_at, status, attempts, failure, settled_at, settled_by, reason
	FROM outbox_facts `

// Summary counts what a tenant has not delivered.
type Summary struct {
	Pending          int64      `json:"pending" doc:"Facts on their way, with those behind a failed one"`
	Failed           int64      `json:"failed" doc:"Facts that a person must replay or discard"`
	BlockedCustomers int64      `json:"blocked_customers" doc:"Customers whose facts wait behind a failed one"`
	OldestPendingAt  *time.Time `json:"oldest_pending_at,omitempty" doc:"When the oldest fact on its way was recorded"`
	OldestAge        float64    `json:"oldest_pending_age_seconds" doc:"How long ago that was; 0 without one"`
}

// Summary returns the tenant's counts.
func (o *Outbox) Summary(ctx context.Context, tenant uuid.UUID) (s Summary, err error) {
	const query = `
		SELECT count(*) FILTER (WHERE status = 'pending'), count(*) FILTER (WHERE status = 'failed'), min(recorded_at) FILTER (WHERE status = 'pending'),
			(SELECT count(*) FROM outbox_lanes WHERE tenant_uuid = $1 AND due_at IS NULL)
		FROM outbox_facts WHERE tenant_uuid = $1 AND status IN ('pending', 'failed')`
	err = o.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		return tx.QueryRow(ctx, query, tenant).Scan(&s.Pending, &s.Failed, &s.OldestPendingAt, &s.BlockedCustomers)
	})
	if err != nil {
		return s, fmt.Errorf("count the facts for Core: %w", err)
	}
	if s.OldestPendingAt != nil {
		s.OldestAge = max(0, o.clock.Since(*s.OldestPendingAt).Seconds())
	}
	return s, nil
}

// Filter selects facts of a status; the other fields' zero values select all.
type Filter struct {
	Status   string // pending, failed, delivered, discarded
	Type     string
	Customer uuid.UUID
}

// List returns up to limit facts, the latest recorded first, before the fact
// with the number cursor (0 begins).
func (o *Outbox) List(ctx context.Context, tenant uuid.UUID, filter Filter, cursor int64, limit int) (facts []Stored, err error) {
	const where = `
		WHERE tenant_uuid = $1 AND status = $2
			AND ($3 = '' OR data_type = $3) AND ($4::uuid IS NULL OR customer_uuid = $4) AND ($5 = 0 OR sequence < $5)
		ORDER BY sequence DESC LIMIT $6`
	var customer *uuid.UUID
	if filter.Customer != uuid.Nil {
		customer = &filter.Customer
	}
	err = o.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := tx.Query(ctx, selectFacts+where, tenant, filter.Status, filter.Type, customer, cursor, limit)
		if err != nil {
			return err
		}
		facts, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Stored])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the facts for Core: %w", err)
	}
	return facts, nil
}

// Get returns a fact, or NotFound.
func (o *Outbox) Get(ctx context.Context, tenant, id uuid.UUID) (fact Stored, err error) {
	err = o.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) (err error) {
		fact, err = read(ctx, tx, id)
		return err
	})
	return fact, err
}

func read(ctx context.Context, tx engardedb.Tx, id uuid.UUID) (Stored, error) {
	rows, err := tx.Query(ctx, selectFacts+`WHERE tenant_uuid = $1 AND fact_uuid = $2`, tx.Tenant(), id)
	if err != nil {
		return Stored{}, fmt.Errorf("read a fact for Core: %w", err)
	}
	fact, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Stored])
	if errors.Is(err, pgx.ErrNoRows) {
		return fact, fault.New(fault.NotFound, "There is no fact %s in the outbox; delivered ones are kept for a week.", id)
	}
	if err != nil {
		return fact, fmt.Errorf("read a fact for Core: %w", err)
	}
	return fact, nil
}
