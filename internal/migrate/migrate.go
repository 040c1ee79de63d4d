// Package migrate brings a database to the schema this binary was built for.
package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strings"
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

// Schemas of the job queues. Their tables belong to no tenant, and each service
// that has jobs has its own queue: none may work, or discard, another's.
const (
	RiverSchema       = "river" // Madan Sara's
	CoreRiverSchema   = "river_core"
	OnsideRiverSchema = "river_onside"
)

// queues says which role works which queue.
var queues = []struct{ schema, role string }{
	{RiverSchema, "madan_sara_app"},
	{CoreRiverSchema, "engarde_core_app"},
	{OnsideRiverSchema, "onside_app"},
}

// services in the order their schemas build on each other.
var services = []string{"core", "zerodb", "madansara", "onside", "sankore"}

// advisoryLock serialises concurrent migrators of one database.
const advisoryLock = 0x6d6164616e // "madan"

// Up applies every migration that is missing, of the services and their job
// queues. Any number of processes may call it at once. url must name a role that
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

// ErrBehind says that a database lacks migrations this binary needs.
var ErrBehind = errors.New("the database lacks migrations; run: madansara migrate")

// Check returns ErrBehind unless the database has every migration of this
// binary, and of the job queue in the given schema, "" for none. It only reads, so that a service may
// ask through its own pool. A newer database is fine: it is being rolled out.
func Check(ctx context.Context, pool *pgxpool.Pool, queue string) error {
	wanted, err := newest()
	if err != nil {
		return err
	}
	columns := make([]string, 0, len(wanted))
	for _, service := range services {
		columns = append(columns, "coalesce((select max(version_id) from "+pgx.Identifier{"goose_" + service}.Sanitize()+"), 0)")
	}
	if queue == "" {
		wanted = wanted[:len(services)]
	} else {
		columns = append(columns, "coalesce((select max(version) from "+pgx.Identifier{queue, "river_migration"}.Sanitize()+" where line = 'main'), 0)")
	}
	var found []int64
	if err := pool.QueryRow(ctx, "select array["+strings.Join(columns, ", ")+"]::bigint[]").Scan(&found); err != nil {
		var pgErr *pgconn.PgError
		if errors.As(err, &pgErr) && (pgErr.Code == "42P01" || pgErr.Code == "3F000" || pgErr.Code == "42501") {
			return ErrBehind // no such table or schema, or not ours to read yet
		}
		return fmt.Errorf("read the database's version: %w", err)
	}
	for i := range wanted {
		if found[i] < wanted[i] {
			return ErrBehind
		}
	}
	return nil
}

// newest returns the versions this binary needs: each service's, then the job queue's.
var newest = sync.OnceValues(func() ([]int64, error) {
	versions := make([]int64, len(services)+1)
	for i, service := range services {
		names, err := fs.Glob(db.Migrations, service+"/migrations/*.sql")
		if err != nil {
			return nil, fmt.Errorf("migrate: files of %s: %w", service, err)
		}
		for _, name := range names {
			version, err := goose.NumericComponent(name)
			if err != nil {
				return nil, fmt.Errorf("migrate: %s: %w", name, err)
			}
			versions[i] = max(versions[i], version)
		}
	}
	migrator, err := rivermigrate.New(riverdatabasesql.New(nil), nil)
	if err != nil {
		return nil, fmt.Errorf("migrate: versions of the job queue: %w", err)
	}
	for _, migration := range migrator.AllVersions() {
		versions[len(services)] = max(versions[len(services)], int64(migration.Version))
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
	for _, queue := range queues {
		if _, err := pool.ExecContext(ctx, "create schema if not exists "+queue.schema); err != nil {
			return fmt.Errorf("migrate the job queue %s: %w", queue.schema, err)
		}
		migrator, err := rivermigrate.New(riverdatabasesql.New(pool), &rivermigrate.Config{Schema: queue.schema})
		if err != nil {
			return fmt.Errorf("migrate the job queue %s: %w", queue.schema, err)
		}
		if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
			return fmt.Errorf("migrate the job queue %s: %w", queue.schema, err)
		}
		// Repeated at every migration because a new River version may add tables.
		grants := strings.NewReplacer("SCHEMA", queue.schema, "ROLE", queue.role).Replace(`
			grant usage on schema SCHEMA to ROLE;
			grant select, insert, update, delete on all tables in schema SCHEMA to ROLE;
			grant usage, select on all sequences in schema SCHEMA to ROLE`)
		if _, err := pool.ExecContext(ctx, grants); err != nil {
			return fmt.Errorf("let %s use its job queue: %w", queue.role, err)
		}
	}
	// Every service asks at its start whether the database has what it needs.
	const everybody = "engarde_core_app, madan_sara_app, onside_app, sankore_app"
	versions := "goose_" + strings.Join(services, ", goose_")
	if _, err := pool.ExecContext(ctx, "grant select on "+versions+" to "+everybody); err != nil { //nolint:gosec // names of ours
		return fmt.Errorf("let the services read the database's version: %w", err)
	}
	return nil
}
