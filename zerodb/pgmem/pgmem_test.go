package pgmem_test

import (
	"context"
	"flag"
	"os"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/zerodb/pgmem"
	"github.com/engardehq/madansara/zerodb/zerodbtest"
)

// TestMain makes the properties' default number of checks smaller: each is many transactions.
// The reference back end, whose rules these share, is checked more often.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "4"); err != nil {
		panic(err)
	}
	flag.Parse()
	os.Exit(m.Run())
}

// tenants adds tenants through one pool, for there are many.
func tenants(t *testing.T, url string) func(testing.TB) uuid.UUID {
	t.Helper()
	pool, err := pgxpool.New(context.Background(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return func(t testing.TB) uuid.UUID {
		t.Helper()
		tenant := uuid.Must(uuid.NewV7())
		_, err := pool.Exec(context.Background(), "insert into tenants (tenant_uuid, name, created_at) values ($1, 'Test', now())", tenant)
		require.NoError(t, err)
		return tenant
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	// Whatever form scopes are held in, the answers are those that the suite demands.
	for name, open := range map[string]func(*engardedb.DB) *pgmem.Backend{
		"whole":   func(db *engardedb.DB) *pgmem.Backend { return pgmem.New(db, pgmem.Config{}) },
		"compact": func(db *engardedb.DB) *pgmem.Backend { return pgmem.Compactly(pgmem.New(db, pgmem.Config{})) },
		"scarce":  func(db *engardedb.DB) *pgmem.Backend { return pgmem.New(db, pgmem.Config{CacheBytes: 15_000}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			zerodbtest.Run(t, func(t *testing.T) zerodbtest.Env {
				t.Helper()
				url, db := dbtest.App(t, "onside_app")
				return zerodbtest.Env{Backend: open(db), Tenant: tenants(t, url)}
			})
		})
	}
}
