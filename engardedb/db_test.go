package engardedb_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dbtest"
)

func TestTenantSeesOnlyItsRows(t *testing.T) {
	t.Parallel()
	url, db := dbtest.App(t, "madan_sara_app")
	mine, other := dbtest.Tenant(t, url), dbtest.Tenant(t, url)
	ctx := context.Background()

	count := func(ctx context.Context, tx engardedb.Tx) (n int) {
		require.NoError(t, tx.QueryRow(ctx, "select count(*) from tenants").Scan(&n))
		return n
	}
	require.NoError(t, db.Tenant(ctx, mine, func(ctx context.Context, tx engardedb.Tx) error {
		require.Equal(t, 1, count(ctx, tx))
		return nil
	}))
	require.NoError(t, db.TenantRead(ctx, other, func(ctx context.Context, tx engardedb.Tx) error {
		require.Equal(t, 1, count(ctx, tx))
		return nil
	}))
	var n int
	require.NoError(t, db.Pool().QueryRow(ctx, "select count(*) from tenants").Scan(&n))
	require.Zero(t, n)
}
