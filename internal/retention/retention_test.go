package retention_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/core/audit"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/internal/migrate"
	"github.com/engardehq/madansara/internal/onside/ranking"
	"github.com/engardehq/madansara/internal/onside/seo"
	"github.com/engardehq/madansara/internal/retention"
)

func exec(t *testing.T, db *engardedb.DB, tenant uuid.UUID, sql string, arguments ...any) {
	t.Helper()
	require.NoError(t, db.Tenant(t.Context(), tenant, func(ctx context.Context, tx engardedb.Tx) error {
		_, err := tx.Exec(ctx, sql, append([]any{tenant}, arguments...)...)
		return err
	}))
}

func texts(t require.TestingT, db *engardedb.DB, tenant uuid.UUID, sql string) (list []string) {
	require.NoError(t, db.TenantRead(context.Background(), tenant, func(ctx context.Context, tx engardedb.Tx) error {
		return tx.QueryRow(ctx, "SELECT coalesce(array_agg(text ORDER BY text), '{}') FROM ("+sql+") AS of (text)").Scan(&list)
	}))
	return list
}

func ago(days int) func(time.Time) time.Time {
	return func(now time.Time) time.Time { return now.AddDate(0, 0, -days) }
}

func TestAnalysesGoButTheNewestOfEachPage(t *testing.T) {
	t.Parallel()
	url, db := dbtest.App(t, "onside_app")
	tenants := []uuid.UUID{dbtest.Tenant(t, url), dbtest.Tenant(t, url)}
	clock := clockwork.NewFakeClockAt(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	const insert = `INSERT INTO seo_analyses (tenant_uuid, analysis_uuid, url, final_url, status, title, page, response, fetched_at)
		VALUES ($1, gen_random_uuid(), $2, $2, 200, $3, '{}', '{}', $4)`
	for _, tenant := range tenants {
		for page, days := range map[string][]int{"/often": {200, 100, 91, 10}, "/long-ago": {400, 300}, "/once": {365}, "/now": {0}} {
			for _, day := range days {
				exec(t, db, tenant, insert, page, page+clock.Now().AddDate(0, 0, -day).Format(" 2006-01-02"), clock.Now().AddDate(0, 0, -day))
			}
		}
	}
	sweeper := retention.New(db, clock, slog.New(slog.DiscardHandler), retention.Rule{Name: "analyses", Before: ago(90), Delete: seo.DeleteBefore})
	deleted, err := sweeper.Sweep(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 8, deleted, "of every tenant")
	for _, tenant := range tenants {
		require.Equal(t, []string{"/long-ago 2025-05-05", "/now 2026-03-01", "/often 2026-02-19", "/once 2025-03-01"}, texts(t, db, tenant, "SELECT title FROM seo_analyses"))
	}
	clock.Advance(365 * 24 * time.Hour)
	deleted, err = sweeper.Sweep(t.Context())
	require.NoError(t, err)
	require.Zero(t, deleted)
}

func TestRankingsGoInBatches(t *testing.T) {
	t.Parallel()
	url, db := dbtest.App(t, "onside_app")
	tenant := dbtest.Tenant(t, url)
	clock := clockwork.NewFakeClockAt(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	exec(t, db, tenant, `INSERT INTO keyword_rankings (tenant_uuid, ranking_uuid, site, keyword, ranked_on, source, country, device, page, position, imported_at)
		SELECT $1, gen_random_uuid(), 'a.example', 'oil ' || n, $2::date - n % 2, 'x', '', '', '', 1, now() FROM generate_series(1, 2500) n`, clock.Now().AddDate(0, 0, -30))
	sweeper := retention.New(db, clock, slog.New(slog.DiscardHandler), retention.Rule{Name: "rankings", Before: ago(30), Delete: ranking.DeleteBefore})
	deleted, err := sweeper.Sweep(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1250, deleted, "the day itself stays")
	clock.Advance(24 * time.Hour)
	deleted, err = sweeper.Sweep(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1250, deleted)
}

// TestTheAuditLogForgetsSlowly runs the real job queue.
func TestTheAuditLogForgetsSlowly(t *testing.T) {
	t.Parallel()
	url, db := dbtest.App(t, "engarde_core_app")
	tenant := dbtest.Tenant(t, url)
	now := time.Now().UTC() // the database has its own idea of what is young
	for action, months := range map[string]int{"key.old": 25, "key.year": 13, "key.new": 1} {
		require.NoError(t, db.Tenant(t.Context(), tenant, func(ctx context.Context, tx engardedb.Tx) error {
			return audit.Record(ctx, tx, now.AddDate(0, -months, 0), audit.On(action, "k", nil))
		}))
	}
	logger := slog.New(slog.DiscardHandler)
	rule := func(months int) retention.Rule {
		return retention.Rule{Name: "entries", Before: func(now time.Time) time.Time { return now.AddDate(0, -months, 0) }, Delete: audit.DeleteBefore}
	}
	sweeper := retention.New(db, clockwork.NewFakeClockAt(now), logger, rule(24))
	workers := river.NewWorkers()
	sweeper.RegisterWorkers(workers)
	queue, err := jobs.New(db, jobs.Config{
		Schema: migrate.CoreRiverSchema, Workers: workers, Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 1}},
		PeriodicJobs: sweeper.PeriodicJobs(), Logger: logger,
	})
	require.NoError(t, err)
	require.NoError(t, queue.Start(context.WithoutCancel(t.Context())))
	require.Eventually(t, func() bool { return len(texts(t, db, tenant, "SELECT action FROM audit_log")) == 2 }, time.Minute, 20*time.Millisecond)
	require.NoError(t, queue.Stop(context.WithoutCancel(t.Context())))

	_, err = retention.New(db, clockwork.NewFakeClockAt(now.AddDate(10, 0, 0)), logger, rule(24)).Sweep(t.Context())
	require.ErrorContains(t, err, "at least 11 months", "no clock and no setting makes the database forget what is young")
	require.Equal(t, []string{"key.new", "key.year"}, texts(t, db, tenant, "SELECT action FROM audit_log"))
}
