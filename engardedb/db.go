package engardedb

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrNoTenant is returned for the zero tenant, which would otherwise be a
// transaction that silently sees nothing.
var ErrNoTenant = errors.New("engardedb: no tenant")

// ErrPoolTimeout is returned when no connection came free within PoolTimeout.
var ErrPoolTimeout = errors.New("engardedb: no database connection came free in time")

// DB is a pool of connections. It is safe for concurrent use.
type DB struct {
	pool    *pgxpool.Pool
	cfg     Config
	waiting atomic.Int64
}

// Open connects, checks that the database answers, and returns the pool.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	pgxCfg, err := cfg.pgx()
	if err != nil {
		return nil, err
	}
	if err := reach(ctx, pgxCfg.ConnConfig); err != nil {
		return nil, err
	}
	db := &DB{cfg: cfg}
	// Looked at before a use and not after one: pgxpool releases with an
	// AfterRelease in a goroutine of its own, which costs as much as a small read and
	// lets whoever asks next find the pool empty.
	pgxCfg.PrepareConn = func(_ context.Context, conn *pgx.Conn) (bool, error) {
		// Somebody's statement left the application role; the server tells us so
		// by itself, and the next user must not inherit it.
		return cfg.Role == "" || conn.PgConn().ParameterStatus("is_superuser") != "on", nil
	}
	pool, err := pgxpool.NewWithConfig(ctx, pgxCfg)
	if err != nil {
		return nil, fmt.Errorf("engardedb: open the pool: %w", err)
	}
	db.pool = pool
	return db, nil
}

// reach tries one connection before there is a pool: a pool connects in the
// background, beyond ctx, and closing it waits for that.
func reach(ctx context.Context, cfg *pgx.ConnConfig) error {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("engardedb: reach the database: %w", err)
	}
	if err := conn.Close(ctx); err != nil {
		return fmt.Errorf("engardedb: reach the database: %w", err)
	}
	return nil
}

// Close waits for connections in use and closes the pool.
func (db *DB) Close() { db.pool.Close() }

// Pool is for libraries that bring their own queries on tables without a
// tenant (the job queue). It sees no row of a tenant table.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// Tx is a transaction of one tenant.
type Tx struct {
	pgx.Tx
	tenant uuid.UUID
}

// Tenant returns the tenant whose rows this transaction sees.
func (tx Tx) Tenant() uuid.UUID { return tx.tenant }

// Tenant runs fn in a transaction that sees and writes rows of tenant only. It
// commits when fn returns nil and rolls back otherwise. The wait for a
// connection is bounded by PoolTimeout, everything else by ctx.
func (db *DB) Tenant(ctx context.Context, tenant uuid.UUID, fn func(ctx context.Context, tx Tx) error) error {
	return db.tenant(ctx, tenant, "begin", fn)
}

// TenantRead is Tenant for a read-only transaction that sees one snapshot.
func (db *DB) TenantRead(ctx context.Context, tenant uuid.UUID, fn func(ctx context.Context, tx Tx) error) error {
	return db.tenant(ctx, tenant, "begin read only isolation level repeatable read", fn)
}

func (db *DB) tenant(ctx context.Context, tenant uuid.UUID, begin string, fn func(ctx context.Context, tx Tx) error) error {
	if tenant == uuid.Nil {
		return ErrNoTenant
	}
	conn, err := db.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	// Begin and the tenant travel in one round trip. A UUID's text has no
	// character that SQL could take for anything else.
	options := pgx.TxOptions{BeginQuery: begin + "; set local app.tenant_uuid = '" + tenant.String() + "'"}
	err = pgx.BeginTxFunc(ctx, conn, options, func(tx pgx.Tx) error {
		return fn(ctx, Tx{Tx: tx, tenant: tenant})
	})
	if err != nil {
		return fmt.Errorf("tenant transaction: %w", err)
	}
	return nil
}

func (db *DB) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	wait, cancel := context.WithTimeoutCause(ctx, db.cfg.PoolTimeout, ErrPoolTimeout)
	defer cancel()
	db.waiting.Add(1)
	conn, err := db.pool.Acquire(wait)
	db.waiting.Add(-1)
	if err == nil {
		return conn, nil
	}
	if ctx.Err() == nil && errors.Is(context.Cause(wait), ErrPoolTimeout) {
		return nil, fmt.Errorf("%w (waited %s; raise DB_POOL_SIZE or DB_MAX_OVERFLOW)", ErrPoolTimeout, db.cfg.PoolTimeout)
	}
	return nil, fmt.Errorf("engardedb: get a connection: %w", err)
}

// Stats describes the pool at one moment; the JSON names are those of /health.
type Stats struct {
	PoolSize    int `json:"pool_size"`    // connections kept open
	MaxOverflow int `json:"max_overflow"` // more allowed on demand
	CheckedOut  int `json:"checked_out"`  // in use now
	CheckedIn   int `json:"checked_in"`   // open and idle
	Overflow    int `json:"overflow"`     // open beyond PoolSize
	Waiting     int `json:"waiting"`      // callers waiting for one
	// AcquireCount and AcquireWait are totals since Open.
	AcquireCount int64         `json:"acquire_count"`
	AcquireWait  time.Duration `json:"acquire_wait_ns"`
}

// Stats returns the pool's numbers.
func (db *DB) Stats() Stats {
	s := db.pool.Stat()
	return Stats{
		PoolSize: db.cfg.PoolSize, MaxOverflow: db.cfg.MaxOverflow,
		CheckedOut: int(s.AcquiredConns()), CheckedIn: int(s.IdleConns()),
		Overflow:     max(0, int(s.TotalConns())-db.cfg.PoolSize),
		Waiting:      int(db.waiting.Load()),
		AcquireCount: s.AcquireCount(), AcquireWait: s.AcquireDuration(),
	}
}

// Ping asks the database for an answer, bounded by ctx.
func (db *DB) Ping(ctx context.Context) error {
	if err := db.pool.Ping(ctx); err != nil {
		return fmt.Errorf("engardedb: ping: %w", err)
	}
	return nil
}
