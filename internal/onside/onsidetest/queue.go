package onsidetest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/internal/migrate"
)

// Queue returns Onside's job queue with the workers that register adds; it works
// the queues that are named. Start and Stop are the test's, unless run is true.
func Queue(t testing.TB, db *engardedb.DB, run bool, register func(*river.Workers), queues ...string) *jobs.Queue {
	t.Helper()
	workers := river.NewWorkers()
	register(workers)
	configs := map[string]river.QueueConfig{}
	for _, name := range queues {
		configs[name] = river.QueueConfig{MaxWorkers: 2}
	}
	queue, err := jobs.New(db, jobs.Config{
		Schema: migrate.OnsideRiverSchema, Workers: workers, Queues: configs,
		PollInterval: 100 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	if !run {
		return queue
	}
	if err := queue.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := queue.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return queue
}
