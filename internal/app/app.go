package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jonboulle/clockwork"
	"golang.org/x/sync/errgroup"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/config"
	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/internal/migrate"
	"github.com/engardehq/madansara/internal/telemetry"
)

// Shutdown gives requests, then jobs, this long to finish; what is left is
// cancelled, and as every piece of work is a row, done again later.
const (
	drainRequests = 10 * time.Second
	drainJobs     = 10 * time.Second
)

// unknownRole is what PostgreSQL answers to an unknown start-up role.
const unknownRole = "22023"

// Options are what a service needs from outside.
type Options struct {
	Config config.Config
	// DatabaseURL is the database to use, the embedded one's included.
	DatabaseURL string
	Version     string
	Telemetry   *telemetry.Telemetry
	Clock       clockwork.Clock
}

// App is the service Madan Sara.
type App struct {
	opts     Options
	db       *engardedb.DB // as madan_sara_app
	coreDB   *engardedb.DB // as engarde_core_app
	accounts *account.Service
	queue    *jobs.Queue
	handler  http.Handler
	// closers end what the parts hold, in reverse order of their making.
	closers []func(context.Context) error
}

// New connects to the database and builds every part. Close it, also when it
// was never served.
func New(ctx context.Context, opts Options) (_ *App, err error) {
	a := &App{opts: opts}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close(context.WithoutCancel(ctx)))
		}
	}()
	if err := a.openDatabase(ctx); err != nil {
		return nil, err
	}
	a.accounts = account.New(a.coreDB, opts.Clock)
	if err := a.build(); err != nil { //nolint:contextcheck // what handles a request takes the request's context
		return nil, err
	}
	return a, nil
}

func (a *App) openDatabase(ctx context.Context) error {
	pool := a.opts.Config.Pool(a.opts.DatabaseURL, "madan_sara_app")
	pool.Logger = a.opts.Telemetry.Logger
	pool.Tracer = a.opts.Telemetry.QueryTracer()
	db, err := engardedb.Open(ctx, pool)
	if pgErr := (&pgconn.PgError{}); errors.As(err, &pgErr) && pgErr.Code == unknownRole {
		return migrate.ErrBehind // the role is not there
	}
	if err != nil {
		return err
	}
	a.db = db
	a.closing(func(context.Context) error { db.Close(); return nil })
	if err := migrate.Check(ctx, db.Pool()); err != nil {
		return err
	}

	// Core's part of this process is small: log-ins, and keys once in a while.
	pool.Role, pool.PoolSize = "engarde_core_app", 1
	coreDB, err := engardedb.Open(ctx, pool)
	if err != nil {
		return err
	}
	a.coreDB = coreDB
	a.closing(func(context.Context) error { coreDB.Close(); return nil })

	a.opts.Telemetry.WatchPool("madan-sara", db.Stats)
	a.opts.Telemetry.WatchPool("core", coreDB.Stats)
	a.opts.Telemetry.WatchJobs(db.Pool())
	return nil
}

func (a *App) closing(fn func(context.Context) error) { a.closers = append(a.closers, fn) }

// Accounts is En Garde Core's part, which set-up commands use.
func (a *App) Accounts() *account.Service { return a.accounts }

// Handler answers the service's requests.
func (a *App) Handler() http.Handler { return a.handler }

// Serve works jobs and answers requests until ctx ends. Then it accepts no
// more, lets what is under way finish within bounds, and returns.
func (a *App) Serve(ctx context.Context, listener net.Listener) error {
	logger := a.opts.Telemetry.Logger
	group, groupCtx := errgroup.WithContext(ctx)
	// Jobs outlive ctx until requests, which may add some, have drained.
	if err := a.queue.Start(context.WithoutCancel(ctx)); err != nil {
		return errors.Join(err, listener.Close())
	}
	group.Go(func() error {
		return httpkit.Serve(groupCtx, listener, a.handler, drainRequests, logger)
	})
	logger.InfoContext(ctx, "serving", "address", listener.Addr().String())
	err := group.Wait()
	logger.InfoContext(ctx, "stopping: requests have drained")
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainJobs)
	defer cancel()
	return errors.Join(err, a.queue.Stop(stopCtx))
}

// Close flushes and ends every part.
func (a *App) Close(ctx context.Context) error {
	var errs []error
	for _, end := range slices.Backward(a.closers) {
		errs = append(errs, end(ctx))
	}
	a.closers = nil
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close the service: %w", err)
	}
	return nil
}
