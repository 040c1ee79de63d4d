package meshstore

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/engardehq/madansara/engardedb"
)

const (
	sweepEvery = 64   // writes
	sweepMost  = 1000 // rows of each table
)

// sweeper removes expired rows on some of a store's writes. It is safe for
// concurrent use.
type sweeper struct {
	db     *engardedb.DB
	logger *slog.Logger
	writes atomic.Uint64
}

// wrote counts a write. A sweep that fails leaves its rows to the next one and is
// only told of: the write itself has succeeded, and nobody reads what has expired.
func (s *sweeper) wrote(ctx context.Context, now time.Time) {
	if s.writes.Add(1)%sweepEvery == 0 {
		if _, err := s.db.Pool().Exec(ctx, "SELECT mesh.forget_expired($1, $2)", now, sweepMost); err != nil && ctx.Err() == nil {
			s.logger.WarnContext(ctx, "expired rows of the mesh stay until a sweep succeeds", slog.Any("error", err))
		}
	}
}
