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
	"github.com/engardehq/madansara/mesh"
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
	// Service is the id of the service to be; empty is Madan Sara.
	Service string
	Config  config.Config
	// DatabaseURL is the database to use, the embedded one's included.
	DatabaseURL string
	Version     string
	Telemetry   *telemetry.Telemetry
	Clock       clockwork.Clock
}

// App is one of the platform's services.
type App struct {
	opts     Options
	service  service
	db       *engardedb.DB // as the service's role
	accounts *account.Service
	mesh     *mesh.Mesh
	queue    *jobs.Queue
	handler  http.Handler
	// closers end what the parts hold, in reverse order of their making.
	closers []func(context.Context) error
}

// service is what tells the services apart.
type service struct {
	id, title, description string

	role  string // in the database
	queue string // schema of its job queue, "" for a service without jobs
	// build makes the service's parts in the order they need each other: those
	// that work jobs, the queue, those that enqueue, and the surface.
	build func(*App) error
}

// services are the platform's, the product first.
var services = []service{
	{
		id: mesh.MadanSara, title: "Madan Sara",
		description: "Turns an audience into customers: records what visitors do, writes to them, and says what earned each purchase.",
		role:        "madan_sara_app", queue: migrate.RiverSchema, build: (*App).buildMadanSara,
	},
	{
		id: mesh.Core, title: "En Garde Core",
		description: "Tenants, users, API keys, integrations, and the facts that the services report.",
		role:        "engarde_core_app", queue: migrate.CoreRiverSchema, build: (*App).buildCore,
	},
	{
		id: mesh.Onside, title: "Onside",
		description: "Search engine optimisation: page analysis, audits, crawls, keyword rankings, backlinks.",
		role:        "onside_app", queue: migrate.OnsideRiverSchema, build: (*App).buildOnside,
	},
	{
		id: mesh.Sankore, title: "Sankore",
		description: "Paid advertising: campaigns, performance, budget allocation, competitors.",
		role:        "sankore_app", build: (*App).buildSankore,
	},
}

// New connects to the database and builds every part. Close it, also when it
// was never served.
func New(ctx context.Context, opts Options) (_ *App, err error) {
	if opts.Service == "" {
		opts.Service = mesh.MadanSara
	}
	index := slices.IndexFunc(services, func(s service) bool { return s.id == opts.Service })
	if index < 0 {
		return nil, fmt.Errorf("there is no service %q", opts.Service)
	}
	a := &App{opts: opts, service: services[index]}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close(context.WithoutCancel(ctx)))
		}
	}()
	if err := a.openDatabase(ctx); err != nil {
		return nil, err
	}
	if err := a.openMesh(); err != nil { //nolint:contextcheck // it lives until it is closed
		return nil, err
	}
	if err := a.service.build(a); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *App) openDatabase(ctx context.Context) error {
	db, err := a.open(ctx, a.service.role, a.service.id, 0)
	if pgErr := (&pgconn.PgError{}); errors.As(err, &pgErr) && pgErr.Code == unknownRole {
		return migrate.ErrBehind // the role is not there
	}
	if err != nil {
		return err
	}
	a.db = db
	if err := migrate.Check(ctx, db.Pool(), a.service.queue); err != nil {
		return err
	}
	if a.service.queue != "" {
		a.opts.Telemetry.WatchJobs(db.Pool(), a.service.queue)
	}
	accounts := db
	if a.service.id == mesh.MadanSara {
		// The dashboard lives here, and people log in to it: that is Core's part, and
		// small.
		if accounts, err = a.open(ctx, "engarde_core_app", "core", 1); err != nil {
			return err
		}
	}
	a.accounts = account.New(accounts, a.opts.Clock)
	a.closing(a.accounts.Close)
	return nil
}

// open connects as role; size is that of the pool, 0 for the configured one.
func (a *App) open(ctx context.Context, role, name string, size int) (*engardedb.DB, error) {
	pool := a.opts.Config.Pool(a.opts.DatabaseURL, role)
	pool.Logger = a.opts.Telemetry.Logger
	pool.Tracer = a.opts.Telemetry.QueryTracer()
	if size > 0 {
		pool.PoolSize = size
	}
	db, err := engardedb.Open(ctx, pool)
	if err != nil {
		return nil, err
	}
	a.closing(func(context.Context) error { db.Close(); return nil })
	a.opts.Telemetry.WatchPool(name, db.Stats)
	return db, nil
}

func (a *App) closing(fn func(context.Context) error) { a.closers = append(a.closers, fn) }

// Accounts is En Garde Core's part, which set-up commands use; it can make
// tenants and keys in Core and in Madan Sara.
func (a *App) Accounts() *account.Service { return a.accounts }

// Handler answers the service's requests.
func (a *App) Handler() http.Handler { return a.handler }

// Serve works jobs and answers requests until ctx ends. Then it accepts no
// more, lets what is under way finish within bounds, and returns.
func (a *App) Serve(ctx context.Context, listener net.Listener) error {
	logger := a.opts.Telemetry.Logger
	group, groupCtx := errgroup.WithContext(ctx)
	// Jobs outlive ctx until requests, which may add some, have drained.
	if a.queue != nil {
		if err := a.queue.Start(context.WithoutCancel(ctx)); err != nil {
			return errors.Join(err, listener.Close())
		}
	}
	group.Go(func() error {
		return httpkit.Serve(groupCtx, listener, a.handler, drainRequests, logger)
	})
	logger.InfoContext(ctx, "serving", "address", listener.Addr().String())
	err := group.Wait()
	logger.InfoContext(ctx, "stopping: requests have drained")
	if a.queue == nil {
		return err
	}
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
