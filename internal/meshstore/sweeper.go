package meshstore

import (
	"context"
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
	writes atomic.Uint64
}

// wrote counts a write. A sweep that fails leaves its rows to the next one: the
// write itself has succeeded, and nobody reads what has expired.
func (s *sweeper) wrote(ctx context.Context, now time.Time) {
	if s.writes.Add(1)%sweepEvery == 0 {
		_, _ = s.db.Pool().Exec(ctx, "SELECT mesh.forget_expired($1, $2)", now, sweepMost)
	}
}
