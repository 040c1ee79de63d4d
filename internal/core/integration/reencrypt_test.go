package integration_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/core/audit"
	"github.com/engardehq/madansara/internal/core/integration"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/jobs"
	"github.com/engardehq/madansara/internal/migrate"
	"github.com/engardehq/madansara/mesh"
)

// with is Core started anew with other keys.
func (b *bundle) with(t *testing.T, current string, previous ...string) *integration.Service {
	t.Helper()
	return integration.New(integration.Config{
		DB: b.db, Keys: keyring(t, current, previous...), Clock: b.clock, Logger: slog.New(slog.NewJSONHandler(b.logged, nil)),
	})
}

func (b *bundle) opens(t *testing.T, s *integration.Service, tenant uuid.UUID) error {
	t.Helper()
	given, err := s.Reveal(t.Context(), mesh.MadanSara, tenant, "sendgrid", "")
	if err == nil {
		require.Equal(t, apiKey, given.Credentials["api_key"])
	}
	return err
}

func TestKeysAreChangedWithoutALoss(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tenants := []uuid.UUID{b.tenant}
	for range 3 {
		tenants = append(tenants, dbtest.Tenant(t, b.url))
	}
	for _, tenant := range tenants {
		_, err := b.integrations.Create(t.Context(), tenant, integration.Draft{Provider: "sendgrid", Credentials: map[string]string{"api_key": apiKey}, Enabled: true})
		require.NoError(t, err)
	}
	both := b.with(t, newKey, oldKey)
	for _, tenant := range tenants {
		require.NoError(t, b.opens(t, both, tenant), "before the job has run")
	}
	sum, err := both.Reencrypt(t.Context())
	require.NoError(t, err)
	require.Equal(t, integration.Reencrypted{Done: 4}, sum)
	sum, err = both.Reencrypt(t.Context())
	require.NoError(t, err)
	require.Zero(t, sum, "nothing is left")
	only := b.with(t, newKey)
	for _, tenant := range tenants {
		require.NoError(t, b.opens(t, only, tenant), "without the old key")
		require.Error(t, b.opens(t, b.integrations, tenant), "with the old key alone")
	}
	entries, _, err := b.log.List(t.Context(), tenants[3], audit.Filter{Action: "integration.reencrypted"}, "", 10)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, "job", entries[0].Actor)

	// A key that was lost: what is under it stays as it is, and is told.
	lost := b.with(t, oldKey)
	sum, err = lost.Reencrypt(t.Context())
	require.NoError(t, err)
	require.Equal(t, integration.Reencrypted{Failed: 4}, sum)
	require.NoError(t, b.opens(t, only, tenants[1]))
	require.NotContains(t, b.logged.String(), apiKey)
}

// TestAStartPutsEverythingUnderTheCurrentKey runs the real job queue.
func TestAStartPutsEverythingUnderTheCurrentKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sendgrid(t, "default")
	service := b.with(t, newKey, oldKey)
	workers := river.NewWorkers()
	service.RegisterWorkers(workers)
	queue, err := jobs.New(b.db, jobs.Config{
		Schema: migrate.CoreRiverSchema, Workers: workers, Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 1}},
		PeriodicJobs: service.PeriodicJobs(), Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	require.NoError(t, queue.Start(t.Context()))
	only := b.with(t, newKey)
	require.Eventually(t, func() bool { return b.opens(t, only, b.tenant) == nil }, time.Minute, 20*time.Millisecond)
	require.NoError(t, queue.Stop(t.Context()))
}
