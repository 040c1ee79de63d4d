package integration

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/core/audit"
	"github.com/engardehq/madansara/internal/core/integration/integrationdb"
	"github.com/engardehq/madansara/internal/jobs"
)

// Reencrypted is what a pass over the stored credentials did.
type Reencrypted struct {
	Done   int // now under the current key
	Failed int // under a key that is not here, or damaged; left as they are
}

// reencryptBatch is how many integrations are looked up at once.
const reencryptBatch = 100

// Reencrypt puts all credentials, of every tenant, under the current key. When
// it is done and nothing failed, the previous key is needed no more. It may run
// more than once at a time.
func (s *Service) Reencrypt(ctx context.Context) (Reencrypted, error) {
	ctx = audit.WithActor(ctx, "job", reencryptArgs{}.Kind())
	var sum Reencrypted
	for tenant, id := uuid.Nil, uuid.Nil; ; {
		stale, err := s.stale(ctx, tenant, id)
		if err != nil || len(stale) == 0 {
			return sum, err
		}
		for _, one := range stale {
			tenant, id = one.Tenant, one.ID
			done, err := s.reencrypt(ctx, tenant, id)
			switch {
			case err != nil && ctx.Err() != nil:
				return sum, err
			case err != nil:
				sum.Failed++
				s.Logger.ErrorContext(ctx, "credentials could not be put under the current key",
					slog.String("tenant_uuid", tenant.String()), slog.String("integration_uuid", id.String()), slog.Any("error", err))
			case done:
				sum.Done++
			}
		}
		if jobs.Stopping(ctx) {
			return sum, nil // the next run goes on
		}
	}
}

type staleIntegration struct{ Tenant, ID uuid.UUID }

func (s *Service) stale(ctx context.Context, afterTenant, afterID uuid.UUID) ([]staleIntegration, error) {
	rows, err := s.DB.Pool().Query(ctx, "select tenant_uuid, integration_uuid from core_stale_integrations($1, $2, $3, $4)",
		s.Keys.current, afterTenant, afterID, reencryptBatch)
	if err != nil {
		return nil, fmt.Errorf("find credentials under another key: %w", err)
	}
	stale, err := pgx.CollectRows(rows, pgx.RowToStructByPos[staleIntegration])
	if err != nil {
		return nil, fmt.Errorf("find credentials under another key: %w", err)
	}
	return stale, nil
}

func (s *Service) reencrypt(ctx context.Context, tenant, id uuid.UUID) (done bool, err error) {
	err = s.DB.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		queries := integrationdb.New(tx)
		row, err := queries.LockIntegration(ctx, integrationdb.LockIntegrationParams{TenantUUID: tenant, IntegrationUUID: id})
		if errors.Is(err, pgx.ErrNoRows) || err == nil && row.KeyID == s.Keys.current {
			return nil // deleted, or somebody was faster
		}
		if err != nil {
			return err
		}
		plain, err := s.Keys.open(row.KeyID, tenant, id, row.Credentials)
		if err != nil {
			return err
		}
		keyID, sealed := s.Keys.seal(tenant, id, plain)
		if err := queries.Reencrypt(ctx, integrationdb.ReencryptParams{TenantUUID: tenant, IntegrationUUID: id, Credentials: sealed, KeyID: keyID}); err != nil {
			return err
		}
		done = true
		return s.record(ctx, tx, "integration.reencrypted", id, map[string]any{"from": row.KeyID, "to": keyID})
	})
	return done && err == nil, err
}

// reencryptArgs is the job that puts credentials under the current key.
type reencryptArgs struct{}

// Kind names the job.
func (reencryptArgs) Kind() string { return "core_reencrypt_credentials" }

// InsertOpts allows one at a time.
func (reencryptArgs) InsertOpts() river.InsertOpts { return river.InsertOpts{UniqueOpts: jobs.Once()} }

type reencryptWorker struct {
	river.WorkerDefaults[reencryptArgs]

	service *Service
}

// Timeout bounds a run; the next goes on where it ended.
func (*reencryptWorker) Timeout(*river.Job[reencryptArgs]) time.Duration { return 50 * time.Second }

func (w *reencryptWorker) Work(ctx context.Context, _ *river.Job[reencryptArgs]) error {
	sum, err := w.service.Reencrypt(ctx)
	if sum != (Reencrypted{}) {
		w.service.Logger.InfoContext(ctx, "credentials were put under the current key", slog.Int("done", sum.Done), slog.Int("failed", sum.Failed))
	}
	return err
}

// RegisterWorkers adds the re-encryption job.
func (s *Service) RegisterWorkers(workers *river.Workers) {
	river.AddWorker(workers, &reencryptWorker{service: s})
}

// PeriodicJobs are when it runs: at each start, which is when keys change, and
// every hour for what a process with the old key stored meanwhile.
func (s *Service) PeriodicJobs() []*river.PeriodicJob {
	return []*river.PeriodicJob{river.NewPeriodicJob(river.PeriodicInterval(time.Hour),
		func() (river.JobArgs, *river.InsertOpts) { return reencryptArgs{}, nil }, &river.PeriodicJobOpts{RunOnStart: true})}
}
