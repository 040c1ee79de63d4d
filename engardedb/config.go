package engardedb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/tracelog"
)

// Config is what the pool variables DB_POOL_SIZE and the rest set.
type Config struct {
	// URL is a PostgreSQL connection URL.
	URL string
	// Role is the application role that every session runs as. Empty keeps the
	// role of the URL, which only migrations want.
	Role string
	// PoolSize connections are kept open (DB_POOL_SIZE, at least 1).
	PoolSize int
	// MaxOverflow more are opened on demand (DB_MAX_OVERFLOW, 0 or more) and
	// closed when nobody has used them for OverflowIdle.
	MaxOverflow int
	// OverflowIdle is how long a connection beyond PoolSize is kept unused;
	// 0 is 30 seconds. Opening one costs PostgreSQL a process and every plan
	// and catalogue entry it then reads again, as much as a hundred small
	// transactions: closing at once would pay that for each of them.
	OverflowIdle time.Duration
	// PoolTimeout bounds the wait for a connection (DB_POOL_TIMEOUT).
	PoolTimeout time.Duration
	// PoolRecycle is the age at which a connection is replaced (DB_POOL_RECYCLE).
	PoolRecycle time.Duration
	// Echo logs every statement, without its arguments (SQL_ECHO).
	Echo bool
	// Logger receives the statements when Echo is set; nil is slog.Default().
	Logger *slog.Logger
	// Tracer observes queries (OpenTelemetry); nil for none. Echo and Tracer may
	// be used together.
	Tracer pgx.QueryTracer
	// ApplicationName is shown in pg_stat_activity.
	ApplicationName string
}

// Defaults returns the pool variables' documented defaults for url.
func Defaults(url string) Config {
	return Config{
		URL: url, PoolSize: 5, MaxOverflow: 10,
		PoolTimeout: 30 * time.Second, PoolRecycle: time.Hour,
	}
}

func (c Config) validate() error {
	switch {
	case c.URL == "":
		return errors.New("engardedb: no database URL")
	case c.PoolSize < 1:
		return fmt.Errorf("engardedb: pool size %d: at least 1 connection is needed", c.PoolSize)
	case c.MaxOverflow < 0:
		return fmt.Errorf("engardedb: overflow %d: must not be negative", c.MaxOverflow)
	case c.PoolTimeout <= 0:
		return fmt.Errorf("engardedb: pool timeout %s: must be positive", c.PoolTimeout)
	case c.OverflowIdle < 0:
		return fmt.Errorf("engardedb: overflow idle time %s: must not be negative", c.OverflowIdle)
	case c.PoolRecycle <= 0:
		return fmt.Errorf("engardedb: pool recycle %s: must be positive", c.PoolRecycle)
	}
	return nil
}

// connectTimeout bounds one attempt to connect unless the URL has a connect_timeout.
const connectTimeout = 10 * time.Second

func (c Config) pgx() (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		// pgx redacts the password in its own message.
		return nil, fmt.Errorf("engardedb: read the database URL: %w", err)
	}
	cfg.MinConns = int32(c.PoolSize)
	cfg.MaxConns = int32(c.PoolSize + c.MaxOverflow)
	cfg.MaxConnIdleTime = cmp.Or(c.OverflowIdle, 30*time.Second)
	cfg.HealthCheckPeriod = min(cfg.MaxConnIdleTime, 10*time.Second)
	cfg.MaxConnLifetime = c.PoolRecycle
	// A tenth of jitter keeps the connections from being replaced all at once.
	cfg.MaxConnLifetimeJitter = c.PoolRecycle / 10
	if cfg.ConnConfig.ConnectTimeout == 0 {
		// Without it a host that swallows packets holds a place in the pool for
		// as long as the operating system tries: minutes.
		cfg.ConnConfig.ConnectTimeout = connectTimeout
	}
	params := cfg.ConnConfig.RuntimeParams
	params["timezone"] = "UTC"
	if c.ApplicationName != "" {
		params["application_name"] = c.ApplicationName
	}
	if c.Role != "" {
		// As a start-up parameter the role is what RESET ROLE and DISCARD ALL
		// go back to.
		params["role"] = c.Role
	}
	cfg.ConnConfig.Tracer = c.tracer()
	return cfg, nil
}

func (c Config) tracer() pgx.QueryTracer {
	if !c.Echo {
		return c.Tracer
	}
	logger := c.Logger
	if logger == nil {
		logger = slog.Default()
	}
	echo := &tracelog.TraceLog{
		LogLevel: tracelog.LogLevelInfo,
		Logger: tracelog.LoggerFunc(func(ctx context.Context, _ tracelog.LogLevel, msg string, data map[string]any) {
			delete(data, "args") // arguments are tenant data
			logger.LogAttrs(ctx, slog.LevelInfo, "sql", slog.String("event", msg), slog.Any("data", data))
		}),
	}
	if c.Tracer == nil {
		return echo
	}
	return bothTracers{c.Tracer, echo}
}

type bothTracers [2]pgx.QueryTracer

func (b bothTracers) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return b[1].TraceQueryStart(b[0].TraceQueryStart(ctx, conn, data), conn, data)
}

func (b bothTracers) TraceQueryEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryEndData) {
	b[1].TraceQueryEnd(ctx, conn, data)
	b[0].TraceQueryEnd(ctx, conn, data)
}

// TraceBatchStart hands a batch to those of both that trace batches, as do the two after it.
func (b bothTracers) TraceBatchStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	return startBatch(startBatch(ctx, b[0], conn, data), b[1], conn, data)
}

func startBatch(ctx context.Context, t pgx.QueryTracer, conn *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	if batches, ok := t.(pgx.BatchTracer); ok {
		return batches.TraceBatchStart(ctx, conn, data)
	}
	return ctx
}

// TraceBatchQuery is part of [pgx.BatchTracer].
func (b bothTracers) TraceBatchQuery(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchQueryData) {
	for t := range b.ofBatches() {
		t.TraceBatchQuery(ctx, conn, data)
	}
}

// TraceBatchEnd is part of [pgx.BatchTracer].
func (b bothTracers) TraceBatchEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchEndData) {
	for t := range b.ofBatches() {
		t.TraceBatchEnd(ctx, conn, data)
	}
}

func (b bothTracers) ofBatches() iter.Seq[pgx.BatchTracer] {
	return func(yield func(pgx.BatchTracer) bool) {
		for _, t := range b {
			if batches, ok := t.(pgx.BatchTracer); ok && !yield(batches) {
				return
			}
		}
	}
}
