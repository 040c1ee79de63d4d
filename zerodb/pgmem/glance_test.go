package pgmem_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/pgmem"
	"github.com/engardehq/madansara/zerodb/zerodbtest"
)

// trips counts the times that a client waits for the database.
type trips struct{ n atomic.Int64 }

func (t *trips) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	t.n.Add(1)
	return ctx
}
func (*trips) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (t *trips) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	t.n.Add(1)
	return ctx
}
func (*trips) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (*trips) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

func TestASearchIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	counted := &trips{}
	cfg := engardedb.Defaults(url)
	cfg.Role, cfg.Tracer, cfg.PoolSize, cfg.MaxOverflow = "madan_sara_app", counted, 1, 1
	db, err := engardedb.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(db.Close)
	client, err := zerodb.New(zerodb.Config{
		Backend: pgmem.New(db, pgmem.Config{}), Embedder: &zerodbtest.Hashing{}, Logger: slog.New(slog.DiscardHandler), FlushRecalls: time.Hour,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close(context.Background())) })
	memory := client.Tenant(dbtest.Tenant(t, url))
	receipts, err := memory.StoreBatch(t.Context(), []zerodb.Item{item("Marie bought a red bag"), item("Jean sold a blue hat")})
	require.NoError(t, err)
	asked := func(fn func()) int64 {
		before := counted.n.Load()
		fn()
		return counted.n.Load() - before
	}
	search := func() {
		hits, err := memory.Retrieve(t.Context(), agent, "red bag, blue hat", "", 10, 0)
		require.NoError(t, err)
		require.Len(t, hits, 2)
	}
	search() // and catches up
	require.EqualValues(t, 1, asked(search))
	require.EqualValues(t, 1, asked(func() {
		_, err := memory.Get(t.Context(), receipts[0].ID)
		require.NoError(t, err)
	}))
}

// TestHitsAreTheCallersOwn: what a caller does with a hit changes nobody else's.
func TestHitsAreTheCallersOwn(t *testing.T) {
	t.Parallel()
	b := setup(t, pgmem.Config{})
	stored := item("Marie bought a red bag")
	stored.Metadata = zerodb.Metadata{"tier": "gold", "address": map[string]any{"city": "Jacmel"}}
	_, err := b.memory(0).StoreBatch(t.Context(), []zerodb.Item{stored})
	require.NoError(t, err)
	for range 3 {
		hits, err := b.memory(0).Retrieve(t.Context(), agent, "red bag", "", 10, 0)
		require.NoError(t, err)
		require.Len(t, hits, 1)
		m := hits[0].Memory
		require.Equal(t, zerodb.Metadata{"tier": "gold", "address": map[string]any{"city": "Jacmel"}}, m.Metadata)
		require.InDelta(t, 1, zerodb.Dot(m.Vector, m.Vector), 1e-6)
		city, ok := m.Metadata["address"].(map[string]any)
		require.True(t, ok)
		city["city"] = "changed"
		clear(m.Vector)
	}
}

// TestNothingIsHeldForAnotherTenant: agents of one name, in tenants that one process serves by turns.
func TestNothingIsHeldForAnotherTenant(t *testing.T) {
	t.Parallel()
	url, db := dbtest.App(t, "madan_sara_app")
	client, err := zerodb.New(zerodb.Config{
		Backend: pgmem.New(db, pgmem.Config{}), Embedder: &zerodbtest.Hashing{}, Logger: slog.New(slog.DiscardHandler), FlushRecalls: time.Hour,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close(context.Background())) })
	tenants := []uuid.UUID{dbtest.Tenant(t, url), dbtest.Tenant(t, url)}
	for i, tenant := range tenants {
		_, err := client.Tenant(tenant).StoreBatch(t.Context(), []zerodb.Item{item([]string{"Marie bought a red bag", "Jean bought a blue hat"}[i])})
		require.NoError(t, err)
	}
	for range 3 {
		for i, tenant := range tenants {
			hits, err := client.Tenant(tenant).Retrieve(t.Context(), agent, "who bought what", "", 10, 0)
			require.NoError(t, err)
			require.Len(t, hits, 1)
			require.Contains(t, hits[0].Memory.Content, []string{"Marie", "Jean"}[i])
		}
	}
}
