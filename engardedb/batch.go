package engardedb

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// TenantBatch is [DB.Tenant] for statements that are known beforehand: they travel
// together, with the tenant in front, in one round trip, and are one transaction:
// all of them or none. Their results go to the functions that what
// [pgx.Batch.Queue] returned was given. Each statement sees what was committed before it began.
//
// A transaction of [DB.Tenant] with one statement takes three round trips, which is most of a
// small read's time.
func (db *DB) TenantBatch(ctx context.Context, tenant uuid.UUID, batch *pgx.Batch) error {
	sent, err := db.SendTenantBatch(ctx, tenant, batch)
	if err != nil {
		return err
	}
	return sent.Wait()
}

// Sent is a batch under way. It holds a connection until Wait.
type Sent struct {
	conn    *pgxpool.Conn
	results pgx.BatchResults
}

// SendTenantBatch sends what TenantBatch does and returns while the database works on it.
// Call Wait, whatever happens: until then the connection is taken.
func (db *DB) SendTenantBatch(ctx context.Context, tenant uuid.UUID, batch *pgx.Batch) (*Sent, error) {
	if tenant == uuid.Nil {
		return nil, ErrNoTenant
	}
	conn, err := db.acquire(ctx)
	if err != nil {
		return nil, err
	}
	// What is sent together is one transaction of the server's, without begin and
	// commit; the setting ends with it, whether it succeeds or fails.
	var whole pgx.Batch
	whole.Queue("select set_config('app.tenant_uuid', $1, true)", tenant.String())
	whole.QueuedQueries = append(whole.QueuedQueries, batch.QueuedQueries...)
	return &Sent{conn: conn, results: conn.SendBatch(ctx, &whole)}, nil
}

// Wait reads the results, and ends the transaction and the hold on the connection. A
// second Wait does nothing.
func (s *Sent) Wait() error {
	if s.conn == nil {
		return nil
	}
	defer func() { s.conn.Release(); s.conn = nil }()
	if err := s.results.Close(); err != nil {
		return fmt.Errorf("tenant batch: %w", err)
	}
	return nil
}
