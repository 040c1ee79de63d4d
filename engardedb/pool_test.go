package engardedb_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dbtest"
)

const soon = 10 * time.Second

func open(t *testing.T, url string, change func(*engardedb.Config)) *engardedb.DB {
	t.Helper()
	cfg := engardedb.Defaults(url)
	cfg.Role = "madan_sara_app"
	cfg.PoolSize, cfg.MaxOverflow = 2, 2
	if change != nil {
		change(&cfg)
	}
	db, err := engardedb.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(db.Close)
	return db
}

// holdAll occupies the four connections of open's pool until the returned
// function is called.
func holdAll(t *testing.T, db *engardedb.DB, tenant uuid.UUID) (release func()) {
	t.Helper()
	free := make(chan struct{})
	var held, ended sync.WaitGroup
	for range 4 {
		held.Add(1)
		ended.Go(func() {
			err := engardedb.ErrPoolTimeout
			for errors.Is(err, engardedb.ErrPoolTimeout) { // opening a connection may take longer on a busy machine
				err = db.Tenant(context.WithoutCancel(t.Context()), tenant, func(context.Context, engardedb.Tx) error {
					held.Done()
					<-free
					return nil
				})
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	held.Wait()
	return sync.OnceFunc(func() { close(free); ended.Wait() })
}

func TestPoolSizeIsKeptOpenAndOverflowIsNot(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	tenant := dbtest.Tenant(t, url)
	db := open(t, url, func(c *engardedb.Config) { c.OverflowIdle = 50 * time.Millisecond })
	open := func() int { s := db.Stats(); return s.CheckedIn + s.CheckedOut }
	require.Eventually(t, func() bool { return open() == 2 }, soon, time.Millisecond, "the pool's size is opened unasked")

	release := holdAll(t, db, tenant)
	stats := db.Stats()
	require.Equal(t, 4, stats.CheckedOut)
	require.Equal(t, 2, stats.Overflow)
	require.Equal(t, 2, stats.PoolSize)
	require.Equal(t, 2, stats.MaxOverflow)
	release()
	require.Eventually(t, func() bool {
		stats := db.Stats()
		return stats.Overflow == 0 && stats.CheckedIn == 2 && stats.CheckedOut == 0
	}, soon, time.Millisecond)
}

// A job queue's listener alone takes the last kept connection of a small pool.
// Every transaction beside it is then overflow, and must not open its own.
func TestOverflowIsUsedAgain(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	tenant := dbtest.Tenant(t, url)
	db := open(t, url, func(c *engardedb.Config) { c.PoolSize, c.MaxOverflow, c.OverflowIdle = 1, 2, time.Hour })
	backends := make(map[int]bool)
	require.NoError(t, db.Tenant(t.Context(), tenant, func(context.Context, engardedb.Tx) error {
		for range 20 {
			require.NoError(t, db.Tenant(t.Context(), tenant, func(ctx context.Context, tx engardedb.Tx) error {
				var pid int
				err := tx.QueryRow(ctx, "select pg_backend_pid()").Scan(&pid)
				backends[pid] = true
				return err
			}))
		}
		return nil
	}))
	require.LessOrEqual(t, len(backends), 2, "all the pool may open beside the one in use")
}

func TestAFullPoolTellsAfterItsTimeout(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	tenant := dbtest.Tenant(t, url)
	db := open(t, url, func(c *engardedb.Config) { c.PoolTimeout = 50 * time.Millisecond })
	release := holdAll(t, db, tenant)
	defer release()
	err := db.Tenant(t.Context(), tenant, func(context.Context, engardedb.Tx) error { return nil })
	require.ErrorIs(t, err, engardedb.ErrPoolTimeout)
	require.ErrorContains(t, err, "DB_MAX_OVERFLOW")
}

func TestAWaiterGetsTheNextConnection(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	tenant := dbtest.Tenant(t, url)
	db := open(t, url, nil)
	release := holdAll(t, db, tenant)
	got := make(chan error, 1)
	go func() {
		got <- db.Tenant(context.WithoutCancel(t.Context()), tenant, func(context.Context, engardedb.Tx) error { return nil })
	}()
	require.Eventually(t, func() bool { return db.Stats().Waiting == 1 }, soon, time.Millisecond)
	release()
	require.NoError(t, <-got)
}

func TestACancelledWaitIsNoPoolTimeout(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	tenant := dbtest.Tenant(t, url)
	db := open(t, url, nil)
	release := holdAll(t, db, tenant)
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for db.Stats().Waiting == 0 && ctx.Err() == nil {
			continue
		}
		cancel()
	}()
	err := db.Tenant(ctx, tenant, func(context.Context, engardedb.Tx) error { return nil })
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, engardedb.ErrPoolTimeout)
}

func TestACancelledStatementEnds(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	db := open(t, url, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := db.Tenant(ctx, dbtest.Tenant(t, url), func(ctx context.Context, tx engardedb.Tx) error {
		_, err := tx.Exec(ctx, "select pg_sleep(60)")
		return err
	})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, db.Ping(t.Context()), "the pool goes on")
}

func TestOldConnectionsAreReplaced(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	tenant := dbtest.Tenant(t, url)
	db := open(t, url, func(c *engardedb.Config) { c.PoolSize, c.MaxOverflow, c.PoolRecycle = 1, 0, time.Millisecond })
	pid := func() (pid int) {
		require.NoError(t, db.Tenant(t.Context(), tenant, func(ctx context.Context, tx engardedb.Tx) error {
			return tx.QueryRow(ctx, "select pg_backend_pid()").Scan(&pid)
		}))
		return pid
	}
	first := pid()
	require.Eventually(t, func() bool { return pid() != first }, soon, 5*time.Millisecond)
}

func TestEchoLogsStatementsWithoutArguments(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	var out bytes.Buffer
	db := open(t, url, func(c *engardedb.Config) {
		c.PoolSize, c.MaxOverflow, c.Echo = 1, 0, true
		c.Logger = slog.New(slog.NewJSONHandler(&out, nil))
	})
	require.NoError(t, db.Tenant(t.Context(), dbtest.Tenant(t, url), func(ctx context.Context, tx engardedb.Tx) error {
		_, err := tx.Exec(ctx, "select $1::text", "a customer's address")
		return err
	}))
	var batch pgx.Batch
	batch.Queue("select $1::text || 'batch'", "a customer's address")
	require.NoError(t, db.TenantBatch(t.Context(), dbtest.Tenant(t, url), &batch))
	db.Close()
	require.Contains(t, out.String(), "select $1::text\"")
	require.Contains(t, out.String(), "select $1::text || 'batch'")
	require.NotContains(t, out.String(), "a customer's address")
}

func TestTheTenantEndsWithItsTransaction(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	db := open(t, url, func(c *engardedb.Config) { c.PoolSize, c.MaxOverflow = 1, 0 })
	tenant := dbtest.Tenant(t, url)
	failure := errors.New("wanted")
	for _, outcome := range []error{nil, failure} {
		err := db.Tenant(t.Context(), tenant, func(_ context.Context, tx engardedb.Tx) error {
			require.Equal(t, tenant, tx.Tenant())
			return outcome
		})
		require.ErrorIs(t, err, outcome)
		var setting string
		require.NoError(t, db.Pool().QueryRow(t.Context(), "select coalesce(current_setting('app.tenant_uuid', true), '')").Scan(&setting))
		require.Empty(t, setting, "the connection still names the tenant")
	}
	require.Panics(t, func() {
		_ = db.Tenant(t.Context(), tenant, func(context.Context, engardedb.Tx) error { panic("in the transaction") })
	})
	require.NoError(t, db.Ping(t.Context()), "a panic gives the connection back")
}

func TestNoTenantNoTransaction(t *testing.T) {
	t.Parallel()
	db := open(t, dbtest.URL(t), nil)
	called := false
	err := db.Tenant(t.Context(), uuid.Nil, func(context.Context, engardedb.Tx) error { called = true; return nil })
	require.ErrorIs(t, err, engardedb.ErrNoTenant)
	require.False(t, called)
}

func TestReadsCannotWrite(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	db := open(t, url, nil)
	err := db.TenantRead(t.Context(), dbtest.Tenant(t, url), func(ctx context.Context, tx engardedb.Tx) error {
		_, err := tx.Exec(ctx, "delete from contacts")
		return err
	})
	require.ErrorContains(t, err, "read-only")
}

// The URL of these tests is a superuser's, the worst case.
func TestTheRoleOutlivesEveryReset(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	db := open(t, url, func(c *engardedb.Config) { c.PoolSize, c.MaxOverflow = 1, 0 })
	user := func() (user string) {
		require.NoError(t, db.Pool().QueryRow(t.Context(), "select current_user", pgx.QueryExecModeSimpleProtocol).Scan(&user))
		return user
	}
	for _, statement := range []string{"reset role", "reset all", "discard all", "set role none", "reset session authorization", "set session authorization default"} {
		_, err := db.Pool().Exec(t.Context(), statement)
		require.NoError(t, err, statement)
		require.Equal(t, "madan_sara_app", user(), "after %q", statement)
	}
}

func TestALoginRoleHasNothingToEscapeTo(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	ctx := context.WithoutCancel(t.Context())
	t.Cleanup(func() { require.NoError(t, conn.Close(ctx)) })
	login := "login_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	_, err = conn.Exec(ctx, "create role "+login+" login; grant madan_sara_app to "+login)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := conn.Exec(ctx, "drop role "+login)
		require.NoError(t, err)
	})
	tenant := dbtest.Tenant(t, url)
	db := open(t, strings.Replace(url, "postgres@", login+"@", 1), nil)
	require.NoError(t, db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		_, err := tx.Exec(ctx, "select from contacts")
		return err
	}))
	for _, escape := range []string{"set role postgres", "set session authorization postgres", "set row_security = off; select from contacts", "alter table contacts disable row level security"} {
		err := db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
			_, err := tx.Exec(ctx, escape)
			return err
		})
		require.Error(t, err, escape)
	}
	db.Close()
}

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*engardedb.Config){
		"no URL":        func(c *engardedb.Config) { c.URL = "" },
		"no URL at all": func(c *engardedb.Config) { c.URL = "postgres://a:hunter2@:x/" },
		"no pool":       func(c *engardedb.Config) { c.PoolSize = 0 },
		"overflow":      func(c *engardedb.Config) { c.MaxOverflow = -1 },
		"timeout":       func(c *engardedb.Config) { c.PoolTimeout = 0 },
		"recycle":       func(c *engardedb.Config) { c.PoolRecycle = 0 },
	} {
		cfg := engardedb.Defaults("postgres://127.0.0.1:1/x")
		change(&cfg)
		_, err := engardedb.Open(t.Context(), cfg)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

// blackHole accepts connections and never answers.
func blackHole(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

func TestASilentServerDoesNotHoldTheCaller(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	started := time.Now()
	_, err := engardedb.Open(ctx, engardedb.Defaults("postgres://postgres@"+blackHole(t)+"/x?sslmode=disable"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(started), soon)
}
