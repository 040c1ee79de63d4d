package meshstore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/mesh/signature"
)

// Nonces is a signature.NonceStore that a service's replicas share. Errors are
// the database's; the request that brought the nonce is then refused.
type Nonces struct {
	db    *engardedb.DB
	clock clockwork.Clock
	sweep sweeper
}

var _ signature.NonceStore = (*Nonces)(nil)

// NewNonces returns the nonces of the service whose role db runs as.
func NewNonces(db *engardedb.DB, clock clockwork.Clock, logger *slog.Logger) *Nonces {
	return &Nonces{db: db, clock: clock, sweep: sweeper{db: db, logger: logger}}
}

// useNonce does not wait for the disk: a nonce is lost only when PostgreSQL
// itself crashes within the fraction of a second before it writes its log, and
// the signature it belongs to expires within a minute. Waiting would add a flush
// to every call between services.
const useNonce = `
	INSERT INTO mesh.nonces (digest, expires_at)
	SELECT $1, $2 WHERE set_config('synchronous_commit', 'off', true) IS NOT NULL
	ON CONFLICT (service, digest) DO UPDATE SET expires_at = excluded.expires_at WHERE nonces.expires_at < $3
	RETURNING true`

// Use implements signature.NonceStore. A nonce is kept through the second in
// which it expires, as signatures count whole seconds.
func (n *Nonces) Use(ctx context.Context, keyID, nonce string, expires time.Time) (fresh bool, err error) {
	now := n.clock.Now().Truncate(time.Second)
	digest := digestOf(keyID, nonce)
	err = n.db.Pool().QueryRow(ctx, useNonce, digest[:16], expires.Truncate(time.Second), now).Scan(&fresh)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return false, fmt.Errorf("record a nonce: %w", err)
	}
	n.sweep.wrote(ctx, now)
	return fresh, nil
}

// digestOf makes one key of parts, whatever bytes they hold and however long
// their sender made them.
func digestOf(parts ...string) [sha256.Size]byte {
	hash := sha256.New()
	for _, part := range parts {
		hash.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		hash.Write([]byte(part))
	}
	return [sha256.Size]byte(hash.Sum(nil))
}
