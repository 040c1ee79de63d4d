package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// lookInterval is how often a process looks for dead ones. A process is dead
	// when two looks in a row found its lock free: one look may fall into the
	// moment in which a live process opens its connection anew.
	lookInterval = time.Second
	reconnect    = 200 * time.Millisecond
	queryTimeout = 5 * time.Second
)

// liveness tells the other processes that this one lives, and takes over the
// jobs of those that don't. A process holds an advisory lock on a connection of
// its own for as long as it lives: the operating system closes the connection of
// a killed process, and the database then frees the lock.
//
// Should a live process be taken for dead, because its connection broke for
// longer than two looks, its running jobs run twice at once. Jobs run at least
// once in any case, and a sender's records tell its messages from another's.
type liveness struct {
	pool   *pgxpool.Pool
	table  string // of the queue's jobs
	id     string // of this process, as the queue writes it to the jobs it works
	logger *slog.Logger
	// suspects had no lock at the last look.
	suspects map[string]bool

	cancel context.CancelFunc
	ended  chan struct{}
}

// start takes the lock, and returns once it is held.
func (l *liveness) start(ctx context.Context) error {
	conn, err := l.connect(ctx)
	if err != nil {
		return err
	}
	ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	l.ended = make(chan struct{})
	go func() {
		defer close(l.ended)
		l.run(ctx, conn)
	}()
	return nil
}

// stop gives up the lock. Call it when no job runs any more.
func (l *liveness) stop() {
	if l.cancel != nil {
		l.cancel()
		<-l.ended
	}
}

func (l *liveness) connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, l.pool.Config().ConnConfig.Copy())
	if err != nil {
		return nil, fmt.Errorf("connect to say that this process lives: %w", err)
	}
	// The keep-alives let the server notice within half a minute that a whole
	// machine is gone.
	_, err = conn.Exec(ctx, `SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3`)
	if err == nil {
		_, err = conn.Exec(ctx, `SELECT pg_advisory_lock(hashtextextended('job client ' || $1, 0))`, l.id)
	}
	if err != nil {
		closeConn(ctx, conn)
		return nil, fmt.Errorf("say that this process lives: %w", err)
	}
	return conn, nil
}

func closeConn(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), queryTimeout)
	defer cancel()
	_ = conn.Close(ctx) // whatever it says, the lock goes with the connection
}

func (l *liveness) run(ctx context.Context, conn *pgx.Conn) {
	defer func() {
		if conn != nil {
			closeConn(ctx, conn)
		}
	}()
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	for wait(ctx, ticker.C) {
		err := l.look(ctx, conn)
		if err == nil || ctx.Err() != nil {
			continue
		}
		l.logger.WarnContext(ctx, "lost the connection that says this process lives", slog.Any("error", err))
		closeConn(ctx, conn)
		conn = l.again(ctx)
		if conn == nil {
			return
		}
	}
}

// again connects until it succeeds; nil when ctx ends first.
func (l *liveness) again(ctx context.Context) *pgx.Conn {
	ticker := time.NewTicker(reconnect)
	defer ticker.Stop()
	for wait(ctx, ticker.C) {
		attempt, cancel := context.WithTimeout(ctx, queryTimeout)
		conn, err := l.connect(attempt)
		cancel()
		if err == nil {
			return conn
		}
	}
	return nil
}

func wait(ctx context.Context, tick <-chan time.Time) bool {
	select {
	case <-ctx.Done():
		return false
	case <-tick:
		return ctx.Err() == nil
	}
}

// findDead names the processes that have running jobs and no lock. The locks it
// gets in looking end with the statement's transaction. JOBS is the table.
const findDead = `
WITH working AS MATERIALIZED (
	SELECT DISTINCT attempted_by[array_upper(attempted_by, 1)] AS client
	FROM JOBS WHERE state = 'running'
)
SELECT client FROM working
WHERE client <> $1 AND pg_try_advisory_xact_lock(hashtextextended('job client ' || client, 0))`

// takeOver makes the jobs of dead processes available. It leaves the reason with them.
const takeOver = `
UPDATE JOBS SET state = 'available', scheduled_at = now(),
	errors = array_append(errors, jsonb_build_object('at', now(), 'attempt', attempt, 'error', $2::text, 'trace', ''))
WHERE state = 'running' AND attempted_by[array_upper(attempted_by, 1)] = ANY($1)
RETURNING id`

// takenOver is what a job's list of errors says about a process that died.
const takenOver = "The process that ran this job died."

func (l *liveness) look(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	rows, err := conn.Query(ctx, strings.ReplaceAll(findDead, "JOBS", l.table), l.id)
	if err != nil {
		return fmt.Errorf("look for dead processes: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look for dead processes: %w", err)
	}
	var dead []string
	suspects := map[string]bool{}
	for _, client := range found {
		if l.suspects[client] {
			dead = append(dead, client)
		}
		suspects[client] = true
	}
	l.suspects = suspects
	if len(dead) == 0 {
		return nil
	}
	rows, err = conn.Query(ctx, strings.ReplaceAll(takeOver, "JOBS", l.table), dead, takenOver)
	if err != nil {
		return fmt.Errorf("take over a dead process's jobs: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return fmt.Errorf("take over a dead process's jobs: %w", err)
	}
	l.logger.WarnContext(ctx, "took over the jobs of processes that died", slog.Int("jobs", len(ids)))
	return nil
}
