package meshstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/mesh/idempotency"
)

// Operations is an idempotency.Store that a service's replicas share. Errors are
// the database's, or say that an operation's tenant is no UUID.
type Operations struct {
	db    *engardedb.DB
	clock clockwork.Clock
	sweep sweeper
}

var _ idempotency.Store = (*Operations)(nil)

// NewOperations returns the operations of the service whose role db runs as.
func NewOperations(db *engardedb.DB, clock clockwork.Clock, logger *slog.Logger) *Operations {
	return &Operations{db: db, clock: clock, sweep: sweeper{db: db, logger: logger}}
}

// claim does not wait for the disk: PostgreSQL writes its log in order, so the
// first commit of the operation itself makes the claim durable too.
const claim = `
	INSERT INTO mesh.operations (tenant_uuid, operation, fingerprint, expires_at)
	SELECT $1, $2, $3, $4 WHERE set_config('synchronous_commit', 'off', true) IS NOT NULL
	ON CONFLICT (tenant_uuid, service, operation) DO UPDATE
	SET fingerprint = excluded.fingerprint, status = NULL, header = '{}', body = '', truncated = false, expires_at = excluded.expires_at
	WHERE operations.expires_at <= $5
	RETURNING true`

const known = `
	SELECT fingerprint, status, header, body, truncated FROM mesh.operations WHERE tenant_uuid = $1 AND operation = $2`

// Claim implements idempotency.Store.
func (o *Operations) Claim(ctx context.Context, id idempotency.ID, fingerprint idempotency.Fingerprint, lease time.Duration) (got idempotency.Claim, err error) {
	now := o.clock.Now()
	operation := digestOf(id.Source, id.Key)
	err = o.in(ctx, id, func(ctx context.Context, tx pgx.Tx, tenant uuid.UUID) error {
		err := tx.QueryRow(ctx, claim, tenant, operation[:], fingerprint[:], now.Add(lease), now).Scan(&got.Fresh)
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		// The insert that found the row holds it, so that it is still there.
		got, err = read(tx.QueryRow(ctx, known, tenant, operation[:]))
		return err
	})
	if err != nil {
		return idempotency.Claim{}, fmt.Errorf("claim an operation: %w", err)
	}
	o.sweep.wrote(ctx, now)
	return got, nil
}

func read(row pgx.Row) (idempotency.Claim, error) {
	var fingerprint, body []byte
	var status *int
	var header http.Header
	var truncated bool
	if err := row.Scan(&fingerprint, &status, &header, &body, &truncated); err != nil {
		return idempotency.Claim{}, err
	}
	got := idempotency.Claim{Fingerprint: idempotency.Fingerprint(fingerprint)}
	if status != nil {
		got.Answer = &idempotency.Answer{Status: *status, Header: header, Body: body, Truncated: truncated}
	}
	return got, nil
}

// Complete implements idempotency.Store. An operation whose lease has ended and
// which was forgotten since keeps no answer.
func (o *Operations) Complete(ctx context.Context, id idempotency.ID, answer idempotency.Answer, keep time.Duration) error {
	const statement = `
		UPDATE mesh.operations SET status = $3, header = $4, body = $5, truncated = $6, expires_at = $7
		WHERE tenant_uuid = $1 AND operation = $2`
	header, err := json.Marshal(answer.Header)
	if err != nil {
		return fmt.Errorf("encode an answer's header: %w", err)
	}
	body := answer.Body
	if body == nil {
		body = []byte{}
	}
	return o.change(ctx, id, "keep an operation's answer", statement, answer.Status, header, body, answer.Truncated, o.clock.Now().Add(keep))
}

// Release implements idempotency.Store.
func (o *Operations) Release(ctx context.Context, id idempotency.ID) error {
	return o.change(ctx, id, "release an operation", `DELETE FROM mesh.operations WHERE tenant_uuid = $1 AND operation = $2 AND status IS NULL`)
}

func (o *Operations) change(ctx context.Context, id idempotency.ID, what, statement string, arguments ...any) error {
	operation := digestOf(id.Source, id.Key)
	err := o.in(ctx, id, func(ctx context.Context, tx pgx.Tx, tenant uuid.UUID) error {
		_, err := tx.Exec(ctx, statement, append([]any{tenant, operation[:]}, arguments...)...)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// in runs fn in a transaction of the operation's tenant, or in one without a
// tenant when it has none.
func (o *Operations) in(ctx context.Context, id idempotency.ID, fn func(context.Context, pgx.Tx, uuid.UUID) error) error {
	if id.Tenant == "" {
		return pgx.BeginFunc(ctx, o.db.Pool(), func(tx pgx.Tx) error { return fn(ctx, tx, uuid.Nil) })
	}
	tenant, err := uuid.Parse(id.Tenant)
	if err != nil {
		return fmt.Errorf("tenant of an operation: %w", err)
	}
	return o.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error { return fn(ctx, tx.Tx, tenant) })
}
