// Package migrate brings a database to the schema this binary was built for.
package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/engardehq/madansara/db"
)

// RiverSchema is where the job queue keeps its tables: they belong to no tenant.
const RiverSchema = "river"

// services in the order their schemas build on each other.
var services = []string{"core", "madansara"}

// advisoryLock serialises concurrent migrators of one database.
const advisoryLock = 0x6d6164616e // "madan"

// Up applies every migration that is missing, of Core, Madan Sara and the job
// queue. Any number of processes may call it at once. url must name a role that
// may create tables and roles.
func Up(ctx context.Context, url string) error {
	return withDatabase(ctx, url, func(pool *sql.DB) error {
		for _, service := range services {
			provider, err := provider(pool, service)
			if err != nil {
				return err
			}
			if _, err := provider.Up(ctx); err != nil {
				return fmt.Errorf("migrate %s: %w", service, err)
			}
		}
		return upRiver(ctx, pool)
	})
}

// Pending returns how many migrations the database lacks.
func Pending(ctx context.Context, url string) (int, error) {
	pending := 0
	err := withDatabase(ctx, url, func(pool *sql.DB) error {
		for _, service := range services {
			provider, err := provider(pool, service)
			if err != nil {
				return err
			}
			statuses, err := provider.Status(ctx)
			if err != nil {
				return fmt.Errorf("migration status of %s: %w", service, err)
			}
			for _, status := range statuses {
				if status.State == goose.StatePending {
					pending++
				}
			}
		}
		return nil
	})
	return pending, err
}

// ErrBehind says that a database lacks migrations this binary needs.
var ErrBehind = errors.New("the database lacks migrations; run: madansara migrate")

// Check returns ErrBehind unless the database has every migration of this
// binary. It only reads, so that a service may ask through its own pool. A
// newer database is fine: it is being rolled out.
func Check(ctx context.Context, pool *pgxpool.Pool) error {
	const question = `select (select coalesce(max(version_id), 0) from goose_core), (select coalesce(max(version_id), 0) from goose_madansara),
		(select coalesce(max(version), 0) from river.river_migration where line = 'main')`
	var core, madansara, queue int64
	if err := pool.QueryRow(ctx, question).Scan(&core, &madansara, &queue); err != nil {
		var pgErr *pgconn.PgError
		if errors.As(err, &pgErr) && (pgErr.Code == "42P01" || pgErr.Code == "3F000" || pgErr.Code == "42501") {
			return ErrBehind // no such table or schema, or not ours to read yet
		}
		return fmt.Errorf("read the database's version: %w", err)
	}
	wanted, err := newest()
	if err != nil {
		return err
	}
	if core < wanted[0] || madansara < wanted[1] || queue < wanted[2] {
		return ErrBehind
	}
	return nil
}

// newest returns the versions this binary needs: Core's, Madan Sara's, the job queue's.
var newest = sync.OnceValues(func() (versions [3]int64, err error) {
	for i, service := range services {
		names, err := fs.Glob(db.Migrations, service+"/migrations/*.sql")
		if err != nil {
			return versions, fmt.Errorf("migrate: files of %s: %w", service, err)
		}
		for _, name := range names {
			version, err := goose.NumericComponent(name)
			if err != nil {
				return versions, fmt.Errorf("migrate: %s: %w", name, err)
			}
			versions[i] = max(versions[i], version)
		}
	}
	migrator, err := rivermigrate.New(riverdatabasesql.New(nil), nil)
	if err != nil {
		return versions, fmt.Errorf("migrate: versions of the job queue: %w", err)
	}
	for _, migration := range migrator.AllVersions() {
		versions[2] = max(versions[2], int64(migration.Version))
	}
	return versions, nil
})

func withDatabase(ctx context.Context, url string, fn func(*sql.DB) error) (err error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return fmt.Errorf("migrate: read the database URL: %w", err)
	}
	cfg.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) {}
	pool := stdlib.OpenDB(*cfg)
	defer func() { err = errors.Join(err, pool.Close()) }()

	lock, err := pool.Conn(ctx)
	if err != nil {
		return fmt.Errorf("migrate: reach the database: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if _, err := lock.ExecContext(ctx, "select pg_advisory_lock($1)", advisoryLock); err != nil {
		return fmt.Errorf("migrate: wait for another migration: %w", err)
	}
	defer func() {
		_, unlockErr := lock.ExecContext(context.WithoutCancel(ctx), "select pg_advisory_unlock($1)", advisoryLock)
		err = errors.Join(err, unlockErr)
	}()
	return fn(pool)
}

func provider(pool *sql.DB, service string) (*goose.Provider, error) {
	files, err := fs.Sub(db.Migrations, service+"/migrations")
	if err != nil {
		return nil, fmt.Errorf("migrate: files of %s: %w", service, err)
	}
	p, err := goose.NewProvider(goose.DialectPostgres, pool, files, goose.WithTableName("goose_"+service))
	if err != nil {
		return nil, fmt.Errorf("migrate: read the migrations of %s: %w", service, err)
	}
	return p, nil
}

func upRiver(ctx context.Context, pool *sql.DB) error {
	if _, err := pool.ExecContext(ctx, "create schema if not exists "+RiverSchema); err != nil {
		return fmt.Errorf("migrate the job queue: %w", err)
	}
	migrator, err := rivermigrate.New(riverdatabasesql.New(pool), &rivermigrate.Config{Schema: RiverSchema})
	if err != nil {
		return fmt.Errorf("migrate the job queue: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrate the job queue: %w", err)
	}
	// Repeated at every migration because a new River version may add tables.
	const grants = `
		grant usage on schema river to madan_sara_app;
		grant select, insert, update, delete on all tables in schema river to madan_sara_app;
		grant usage, select on all sequences in schema river to madan_sara_app;
		grant select on goose_core, goose_madansara to madan_sara_app`
	if _, err := pool.ExecContext(ctx, grants); err != nil {
		return fmt.Errorf("let the services use the job queue: %w", err)
	}
	return nil
}
