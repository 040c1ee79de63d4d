// Package ingestbench measures how fast events are taken, against the fastest
// that the same server can store the same rows: a raw COPY by the superuser.
package ingestbench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/bench/benchdb"
	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/madansara/website"
)

// Options size the run; the zero value is the documented one.
type Options struct {
	BatchEvents  int // events sent in batches of 100 by 16 clients, a round (40,000)
	SingleEvents int // events sent one by one by 64 clients, a round (10,000)
	Rounds       int // of which the median counts (3)
}

// Result is what was measured. The ratios compare within one round.
type Result struct {
	BatchPerSecond  float64       // events/s in batches of 100
	SinglePerSecond float64       // events/s one by one
	CopyPerSecond   float64       // events/s of the raw COPY
	BatchRatio      float64       // BatchPerSecond / CopyPerSecond, median of the rounds
	SingleRatio     float64       // likewise
	SingleP50       time.Duration // of one durable event with 64 clients
	SingleP99       time.Duration
	IdleBytes       uint64 // resident memory of this process before the load, clients included
	LoadBytes       uint64 // the most under the load
	Cores           int
	PostgreSQL      string
}

// String is the result for people.
func (r Result) String() string {
	const mb = 1 << 20
	return fmt.Sprintf(`ingest over HTTP, fsync on, %d cores shared by clients, service and PostgreSQL %s
batches of 100, 16 clients: %6.0f events/s   %.2f of raw COPY
single, 64 clients: %5.0f events/s   %.2f of raw COPY, p50 %s, p99 %s
raw COPY:        %8.0f events/s
resident memory: %d MB idle, %d MB under load (clients included)
`, r.Cores, r.PostgreSQL, r.BatchPerSecond, r.BatchRatio, r.SinglePerSecond, r.SingleRatio,
		r.SingleP50.Round(time.Microsecond*100), r.SingleP99.Round(time.Microsecond*100), r.CopyPerSecond, r.IdleBytes/mb, r.LoadBytes/mb)
}

func (o Options) defaults() Options {
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	set(&o.BatchEvents, 40_000)
	set(&o.SingleEvents, 10_000)
	set(&o.Rounds, 3)
	return o
}

// Run measures on a throw-away PostgreSQL with fsync on.
func Run(ctx context.Context, opts Options) (_ Result, err error) {
	opts = opts.defaults()
	database, err := benchdb.Start(ctx)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, database.Stop()) }()
	b := bench{opts: opts, url: database.URL, tenant: uuid.Must(uuid.NewV7())}
	if err := b.open(ctx); err != nil {
		return Result{}, err
	}
	defer b.close()
	return b.run(ctx)
}

type bench struct {
	opts    Options
	url     string
	tenant  uuid.UUID
	admin   *pgx.Conn
	db      *engardedb.DB
	ingest  *website.Ingest
	server  *http.Server
	address string
}

func (b *bench) open(ctx context.Context) (err error) {
	if b.admin, err = pgx.Connect(ctx, b.url); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if _, err := b.admin.Exec(ctx, "insert into tenants (tenant_uuid, name, created_at) values ($1, 'Bench', now())", b.tenant); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	cfg := engardedb.Defaults(b.url)
	cfg.Role = "madan_sara_app"
	if b.db, err = engardedb.Open(ctx, cfg); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	keys := oneKey(b.tenant)
	quiet := slog.New(slog.DiscardHandler)
	b.ingest = website.NewIngest(website.Config{
		DB: b.db, Keys: keys, Clock: clockwork.NewRealClock(), Logger: quiet, Limits: website.DefaultLimits(),
	})
	router := httpkit.NewRouter(httpkit.RouterConfig{Title: "bench", Version: "1", Authenticator: keys, OpenPaths: website.OpenPaths(), Logger: quiet})
	b.ingest.Handle(router.Mux())
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	b.address = listener.Addr().String()
	b.server = &http.Server{Handler: router.Handler(), ReadHeaderTimeout: time.Minute}
	go func() { _ = b.server.Serve(listener) }() // it ends with close
	return nil
}

func (b *bench) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// Everything is thrown away after this; what fails to close dies with it.
	_ = b.server.Close()
	_ = b.ingest.Close(ctx)
	b.db.Close()
	_ = b.admin.Close(ctx)
}

// oneKey lets any key in as one tenant.
type oneKey uuid.UUID

func (k oneKey) Key(context.Context, string) (httpkit.Principal, error) {
	return httpkit.Principal{Tenant: uuid.UUID(k), ID: "bench", Scopes: []string{"ingest:write"}}, nil
}

func (k oneKey) Session(ctx context.Context, token string) (httpkit.Principal, error) {
	return k.Key(ctx, token)
}

func (b *bench) run(ctx context.Context) (Result, error) {
	r := Result{Cores: runtime.NumCPU()}
	if err := b.admin.QueryRow(ctx, "select current_setting('server_version')").Scan(&r.PostgreSQL); err != nil {
		return r, fmt.Errorf("bench: %w", err)
	}
	r.IdleBytes = resident()
	var batch, single, copied, batchRatio, singleRatio []float64
	var p50s, p99s []time.Duration
	for round := range b.opts.Rounds {
		perSecond, _, err := b.load(ctx, bodies(round, b.opts.BatchEvents, 100), 100, 16, &r)
		if err != nil {
			return r, err
		}
		raw, err := b.copyBack(ctx, b.opts.BatchEvents)
		if err != nil {
			return r, err
		}
		alone, latencies, err := b.load(ctx, bodies(round, b.opts.SingleEvents, 1), 1, 64, &r)
		if err != nil {
			return r, err
		}
		if err := b.truncate(ctx); err != nil {
			return r, err
		}
		slices.Sort(latencies)
		p50s, p99s = append(p50s, latencies[len(latencies)/2]), append(p99s, latencies[len(latencies)*99/100])
		batch, single, copied = append(batch, perSecond), append(single, alone), append(copied, raw)
		batchRatio, singleRatio = append(batchRatio, perSecond/raw), append(singleRatio, alone/raw)
	}
	r.BatchPerSecond, r.SinglePerSecond, r.CopyPerSecond = median(batch), median(single), median(copied)
	r.BatchRatio, r.SingleRatio = median(batchRatio), median(singleRatio)
	r.SingleP50, r.SingleP99 = median(p50s), median(p99s)
	return r, nil
}

func median[T cmp.Ordered](v []T) T {
	slices.Sort(v)
	return v[len(v)/2]
}
