package pgmem

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/zerodb"
)

// Config is what a back end is made of.
type Config struct {
	// CacheBytes bounds what the process holds of memories to search them; 0 is
	// 128 MiB, enough for 50,000 memories with vectors of 384 numbers whole, or 500,000 compact.
	CacheBytes int
}

// Backend keeps memories in PostgreSQL. It is safe for concurrent use, as are
// any number of them on one database.
type Backend struct {
	db    *engardedb.DB
	cache *cache
}

var _ zerodb.Backend = (*Backend)(nil)

// New returns a back end on db, whose role must be allowed to use the memory tables.
func New(db *engardedb.DB, cfg Config) *Backend {
	if cfg.CacheBytes <= 0 {
		cfg.CacheBytes = 128 << 20
	}
	return &Backend{db: db, cache: newCache(cfg.CacheBytes)}
}

// Name is "postgresql".
func (*Backend) Name() string { return "postgresql" }

// CacheStats tells what the process holds.
func (b *Backend) CacheStats() CacheStats { return b.cache.stats() }

// tables are those of the migrations in db/zerodb.
var tables = []string{"memory_partitions", "memories", "memory_deletions", "memory_recalls"}

// Init creates nothing: the tables come with the database's migrations. It says
// whether they are there.
func (b *Backend) Init(ctx context.Context) ([]zerodb.Collection, error) {
	var collections []zerodb.Collection
	for _, table := range tables {
		var there bool
		if err := b.db.Pool().QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", "public."+table).Scan(&there); err != nil {
			return nil, failed(err, "look for the memory tables")
		}
		if !there {
			return nil, &zerodb.Error{Kind: zerodb.ErrUnavailable, Message: "the database has no table " + table + ": run madansara migrate"}
		}
		collections = append(collections, zerodb.Collection{Name: table, Status: "current", Detail: "made by the database's migrations"})
	}
	return collections, nil
}

// Health asks the tables.
func (b *Backend) Health(ctx context.Context) error {
	var some bool
	err := b.db.Pool().QueryRow(ctx, "SELECT EXISTS (SELECT FROM memories) AND EXISTS (SELECT FROM memory_partitions)").Scan(&some)
	return failed(err, "ask the memory tables")
}

// View runs fn. Each of its reads sees what was committed before it.
func (b *Backend) View(ctx context.Context, tenant uuid.UUID, fn func(context.Context, zerodb.Reader) error) error {
	return failed(fn(ctx, &glance{reader: reader{alone{b.db, tenant}, tenant}, backend: b}), "reach the database")
}

// Change runs fn in a transaction that holds the scopes' locks.
func (b *Backend) Change(ctx context.Context, tenant uuid.UUID, scopes []zerodb.Scope, fn func(context.Context, zerodb.Writer) error) error {
	return b.tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error { return b.ChangeTx(ctx, tx, scopes, fn) })
}

// ChangeTx is Change in a transaction of the caller's. What fn wrote exists when
// that commits; until then nobody else can change memories of these scopes. When it returns an
// error the transaction must be rolled back. A transaction that stores more than
// once searches the scopes in the database, which is slow for large ones: store a batch.
func (b *Backend) ChangeTx(ctx context.Context, tx engardedb.Tx, scopes []zerodb.Scope, fn func(context.Context, zerodb.Writer) error) error {
	s := newSession(b, tx)
	if err := s.lock(ctx, scopes); err != nil {
		return err
	}
	return fn(ctx, s)
}

// StoreTx stores items in a transaction of the caller's, for the tenant of the
// transaction: see [Backend.ChangeTx] and [zerodb.Tenant.StoreWith].
func (b *Backend) StoreTx(ctx context.Context, tx engardedb.Tx, client *zerodb.Client, items []zerodb.Item) ([]zerodb.Receipt, error) {
	tenant := client.Tenant(tx.Tenant())
	scopes, err := tenant.ScopesOf(items)
	if err != nil {
		return nil, err
	}
	var receipts []zerodb.Receipt
	err = b.ChangeTx(ctx, tx, scopes, func(ctx context.Context, w zerodb.Writer) error {
		receipts, err = tenant.StoreWith(ctx, w, items)
		return err
	})
	return receipts, err
}

// recalled counts recalls of the memories that exist. Locking them, in one order,
// keeps a deletion from coming between and two of these from waiting for each other.
const recalled = `
	WITH there AS (
		SELECT m.memory_uuid, t.recalls, t.at FROM unnest($2::uuid[], $3::int[], $4::timestamptz[]) AS t (memory_uuid, recalls, at)
		JOIN memories m ON m.tenant_uuid = $1 AND m.memory_uuid = t.memory_uuid
		ORDER BY m.memory_uuid FOR KEY SHARE OF m
	)
	INSERT INTO memory_recalls AS r (tenant_uuid, memory_uuid, recalls, last_recalled_at)
	SELECT $1, memory_uuid, recalls, at FROM there ORDER BY memory_uuid
	ON CONFLICT (tenant_uuid, memory_uuid) DO UPDATE
	SET recalls = r.recalls + excluded.recalls, last_recalled_at = greatest(r.last_recalled_at, excluded.last_recalled_at)`

// Recalled adds to the memories' recall counts.
func (b *Backend) Recalled(ctx context.Context, tenant uuid.UUID, recalls []zerodb.Recall) error {
	a := struct {
		ids    []uuid.UUID
		counts []int32
		times  []any
	}{}
	for _, recall := range recalls {
		a.ids, a.counts, a.times = append(a.ids, recall.ID), append(a.counts, int32(recall.Count)), append(a.times, recall.At)
	}
	return b.tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		_, err := tx.Exec(ctx, recalled, tenant, a.ids, a.counts, a.times)
		return failed(err, "count recalls")
	})
}

func (b *Backend) tenant(ctx context.Context, tenant uuid.UUID, fn func(context.Context, engardedb.Tx) error) error {
	return failed(b.db.Tenant(ctx, tenant, fn), "reach the database")
}

// failed gives an error of the database its kind. An error that has one, and the
// context's own, stay what they are.
func failed(err error, doing string) error {
	var ours *zerodb.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ours):
		return ours
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", doing, err)
	}
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == "23503" && strings.Contains(pgErr.ConstraintName, "tenant") {
		return &zerodb.Error{Kind: zerodb.ErrNotFound, Field: "tenant", Message: "there is no such tenant", Err: err}
	}
	return zerodb.Unavailable(err, doing)
}

func sortedScopes(scopes []zerodb.Scope) []zerodb.Scope {
	scopes = slices.Clone(scopes)
	slices.SortFunc(scopes, func(a, b zerodb.Scope) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(scopes)
}
