package engardedb_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dbtest"
)

// seen queues a query for the tenants that the batch sees.
func seen(batch *pgx.Batch) *[]uuid.UUID {
	var tenants []uuid.UUID
	batch.Queue("select tenant_uuid from tenants").Query(func(rows pgx.Rows) (err error) {
		tenants, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		return err
	})
	return &tenants
}

func TestABatchSeesOnlyItsTenantsRows(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	db := open(t, url, func(c *engardedb.Config) { c.PoolSize, c.MaxOverflow = 1, 0 })
	for _, tenant := range []uuid.UUID{dbtest.Tenant(t, url), dbtest.Tenant(t, url)} {
		for range 2 { // statements prepared, and already prepared
			var batch pgx.Batch
			first, second := seen(&batch), seen(&batch)
			require.NoError(t, db.TenantBatch(t.Context(), tenant, &batch))
			require.Equal(t, []uuid.UUID{tenant}, *first)
			require.Equal(t, []uuid.UUID{tenant}, *second)
		}
	}
	require.ErrorIs(t, db.TenantBatch(t.Context(), uuid.Nil, &pgx.Batch{}), engardedb.ErrNoTenant)
}

func TestTheTenantEndsWithItsBatch(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	db := open(t, url, func(c *engardedb.Config) { c.PoolSize, c.MaxOverflow = 1, 0 })
	tenant := dbtest.Tenant(t, url)
	unread := errors.New("unread")
	for _, batch := range []func(*pgx.Batch){
		func(b *pgx.Batch) { b.Queue("select 1") },
		func(b *pgx.Batch) { b.Queue("select 1/(select 0)") },
		func(b *pgx.Batch) { b.Queue("select no_such_column"); b.Queue("select 1") },
		func(b *pgx.Batch) {
			b.Queue("select 1").Query(func(pgx.Rows) error { return unread })
			b.Queue("select 2")
		},
	} {
		var queued pgx.Batch
		batch(&queued)
		_ = db.TenantBatch(t.Context(), tenant, &queued) // whether it succeeds or fails
		var setting string
		require.NoError(t, db.Pool().QueryRow(t.Context(), "select coalesce(current_setting('app.tenant_uuid', true), '')").Scan(&setting))
		require.Empty(t, setting, "the connection still names the tenant")
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	var batch pgx.Batch
	batch.Queue("select 1")
	require.ErrorIs(t, db.TenantBatch(canceled, tenant, &batch), context.Canceled)
	require.NoError(t, db.Ping(t.Context()), "the connection came back")
}

func TestABatchIsAllOrNothing(t *testing.T) {
	t.Parallel()
	url, db := dbtest.App(t, "madan_sara_app")
	tenant := dbtest.Tenant(t, url)
	insert := func(batch *pgx.Batch, name string) {
		batch.Queue("insert into memory_partitions (tenant_uuid, scope_kind, scope_name) values ($1, 'agent', $2)", tenant, name)
	}
	var failing pgx.Batch
	insert(&failing, "a")
	failing.Queue("select 1/(select 0)")
	require.ErrorContains(t, db.TenantBatch(t.Context(), tenant, &failing), "division by zero")
	var succeeding pgx.Batch
	insert(&succeeding, "b")
	insert(&succeeding, "c")
	require.NoError(t, db.TenantBatch(t.Context(), tenant, &succeeding))
	var names []string
	require.NoError(t, db.Tenant(t.Context(), tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := tx.Query(ctx, "select scope_name from memory_partitions order by 1")
		require.NoError(t, err)
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	}))
	require.Equal(t, []string{"b", "c"}, names)
}

func TestABatchIsWaitedForOnce(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	db := open(t, url, func(c *engardedb.Config) { c.PoolSize, c.MaxOverflow = 1, 0 })
	var batch pgx.Batch
	sent, err := db.SendTenantBatch(t.Context(), dbtest.Tenant(t, url), &batch)
	require.NoError(t, err)
	require.Equal(t, 1, db.Stats().CheckedOut)
	require.NoError(t, sent.Wait())
	require.NoError(t, sent.Wait())
	require.Eventually(t, func() bool { return db.Stats().CheckedOut == 0 }, soon, time.Millisecond, "the pool takes a connection back in the background")
}
