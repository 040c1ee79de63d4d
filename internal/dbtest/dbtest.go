// Package dbtest gives each test a database of its own: a clone of one migrated
// template, on a PostgreSQL server that lives as long as the test process.
package dbtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dev/postgres"
	"github.com/engardehq/madansara/internal/migrate"
)

// Environment variables that `make test` sets so that all packages share one server.
const (
	serverVariable   = "MADANSARA_TEST_SERVER_URL" // a superuser's URL
	templateVariable = "MADANSARA_TEST_TEMPLATE"   // a migrated database on it
)

// Fast settings: a test's data need not survive the machine.
var Fast = []string{"fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=500"}

var shared = sync.OnceValues(start)

// Server is a throw-away PostgreSQL with a migrated template database.
type Server struct {
	url      string
	template string
	dir      string           // ours to remove; "" for a server of another process
	postgres *postgres.Server // nil for a server of another process
}

func start() (Server, error) {
	if url := os.Getenv(serverVariable); url != "" {
		return Server{url: url, template: os.Getenv(templateVariable)}, nil
	}
	return StartServer(context.Background())
}

// StartServer starts a throw-away server with the migrated template. It ends
// with this process.
func StartServer(ctx context.Context) (Server, error) {
	parent := folder()
	removeOldFolders(parent)
	dir, err := os.MkdirTemp(parent, folderPrefix)
	if err != nil {
		return Server{}, fmt.Errorf("dbtest: %w", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the server's own user must reach the cluster inside
		return Server{}, fmt.Errorf("dbtest: %w", err)
	}
	pg, err := postgres.Start(ctx, postgres.Options{Dir: filepath.Join(dir, "cluster"), Settings: Fast})
	if err != nil {
		return Server{}, err
	}
	const template = "template_madansara"
	if err := pg.CreateDatabase(ctx, template); err != nil {
		return Server{}, err
	}
	if err := migrate.Up(ctx, pg.URL(template)); err != nil {
		return Server{}, err
	}
	return Server{url: pg.URL("postgres"), template: template, dir: dir, postgres: pg}, nil
}

// Stop ends the server and removes its folder. A test process does not call it:
// its server ends with it.
func (s Server) Stop() error {
	if s.postgres == nil {
		return nil
	}
	if err := errors.Join(s.postgres.Stop(), os.RemoveAll(s.dir)); err != nil {
		return fmt.Errorf("dbtest: %w", err)
	}
	return nil
}

// Environ returns the environment variables that share s with child processes.
func (s Server) Environ() []string {
	return []string{serverVariable + "=" + s.url, templateVariable + "=" + s.template}
}

const folderPrefix = "madansara-test-"

// removeOldFolders clears what killed test runs left; their servers died with them.
func removeOldFolders(parent string) {
	folders, err := filepath.Glob(filepath.Join(parent, folderPrefix+"*"))
	if err != nil {
		return // the pattern is well formed
	}
	for _, folder := range folders {
		info, err := os.Stat(folder)
		if err == nil && time.Since(info.ModTime()) > 2*time.Hour {
			_ = os.RemoveAll(folder) // another process may be clearing it too
		}
	}
}

// admin is this process's way to make and drop databases. It stays open until
// the process ends: a connection of its own for each would cost half as much as
// the database does.
var admin = sync.OnceValues(func() (*pgxpool.Pool, error) {
	s, err := shared()
	if err != nil {
		return nil, err
	}
	return pgxpool.New(context.Background(), s.url)
})

// URL creates a migrated database for t and returns its superuser's URL. The
// database is dropped when t ends.
func URL(t testing.TB) string {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	name := "t_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	// Copying files beats logging every page where nothing must survive.
	administer(t, "create database "+name+" template "+s.template+" strategy file_copy")
	t.Cleanup(func() { administer(t, "drop database "+name+" with (force)") })
	return strings.Replace(s.url, "/postgres?", "/"+name+"?", 1)
}

func administer(t testing.TB, sql string) {
	t.Helper()
	pool, err := admin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(context.Background(), sql); err != nil {
		t.Fatalf("dbtest: %s: %v", sql, err)
	}
}

// App creates a database for t and returns its URL and a pool on it that runs
// as the given application role, "madan_sara_app" for instance.
func App(t testing.TB, role string) (string, *engardedb.DB) {
	t.Helper()
	url := URL(t)
	return url, Pool(t, url, role)
}

// Pool opens a pool on url as role, closed when t ends.
func Pool(t testing.TB, url, role string) *engardedb.DB {
	t.Helper()
	cfg := engardedb.Defaults(url)
	cfg.Role = role
	cfg.PoolSize = 1
	db, err := engardedb.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// Tenant inserts a tenant as the superuser of url and returns its id.
func Tenant(t testing.TB, url string) uuid.UUID {
	t.Helper()
	tenant := uuid.Must(uuid.NewV7())
	execute(t, url, "insert into tenants (tenant_uuid, name, created_at) values ($1, 'Test', now())", tenant)
	return tenant
}

func execute(t testing.TB, url, sql string, args ...any) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatalf("dbtest: connect: %v", err)
	}
	defer func() { _ = conn.Close(ctx) }() // the statement's own error is what counts
	if _, err := conn.Exec(ctx, sql, args...); err != nil {
		t.Fatalf("dbtest: %s: %v", sql, err)
	}
}
