package account

import (
	"context"
	"errors"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/core/account/accountdb"
	"github.com/engardehq/madansara/internal/fault"
)

// Key describes a key without its secret.
type Key struct {
	ID            uuid.UUID  `json:"id" doc:"The key's id"`
	Kind          Kind       `json:"kind" enum:"secret,write" doc:"secret authorises the API; write, which may stand in a web page, only adds events"`
	Name          string     `json:"name" doc:"What the key is used for"`
	Scopes        []string   `json:"scopes" doc:"What the key may do"`
	CreatedAt     time.Time  `json:"created_at"`
	ExpiresAt     *time.Time `json:"expires_at,omitempty"`
	RevokedAt     *time.Time `json:"revoked_at,omitempty"`
	RotatedAt     *time.Time `json:"rotated_at,omitempty" doc:"When it last got a new secret"`
	PreviousUntil *time.Time `json:"previous_until,omitempty" doc:"Until when the secret before works too"`
	LastUsedAt    *time.Time `json:"last_used_at,omitempty" doc:"Noted within half a minute; absent for a key that was never used"`
}

// NewKey asks for a key. A write key's scope is always ingest:write.
type NewKey struct {
	Kind      Kind
	Name      string // 1 to 200 characters
	Scopes    []string
	ExpiresAt *time.Time // nil: never
}

// CreateKey adds a key to the tenant and returns its token, which can't be had again.
func (s *Service) CreateKey(ctx context.Context, tenant uuid.UUID, wanted NewKey) (token string, key Key, err error) {
	now := s.clock.Now().UTC()
	if err := wanted.check(now); err != nil {
		return "", Key{}, err
	}
	id := uuid.Must(uuid.NewV7())
	token = newKeyToken(wanted.Kind, id)
	key = Key{ID: id, Kind: wanted.Kind, Name: wanted.Name, Scopes: wanted.Scopes, CreatedAt: now, ExpiresAt: wanted.ExpiresAt}
	if wanted.Kind == WriteKey {
		key.Scopes = []string{"ingest:write"}
	}
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		err := accountdb.New(tx).InsertKey(ctx, accountdb.InsertKeyParams{
			TenantUUID: tenant, KeyUUID: id, Kind: string(key.Kind), Name: key.Name, SecretHash: hashToken(token),
			Scopes: key.Scopes, CreatedAt: now, ExpiresAt: key.ExpiresAt,
		})
		if err != nil {
			return err
		}
		return s.record(ctx, tx, "key.created", id, map[string]any{"name": key.Name, "kind": key.Kind, "scopes": key.Scopes})
	})
	if err != nil {
		return "", Key{}, err
	}
	return token, key, nil
}

func (k NewKey) check(now time.Time) error {
	switch {
	case k.Kind != SecretKey && k.Kind != WriteKey:
		return fault.At("body.kind", string(k.Kind), "is neither secret nor write")
	case k.Name == "" || utf8.RuneCountInString(k.Name) > 200:
		return fault.At("body.name", k.Name, "must have 1 to 200 characters")
	case k.ExpiresAt != nil && !k.ExpiresAt.After(now):
		return fault.At("body.expires_at", k.ExpiresAt, "lies in the past")
	case k.Kind == SecretKey && len(k.Scopes) == 0:
		return fault.At("body.scopes", nil, "a secret key without a scope could do nothing; name some, or *")
	}
	for _, scope := range k.Scopes {
		if scope != "*" && !slices.Contains(Scopes, scope) {
			return fault.At("body.scopes", scope, "is no scope; there are * and %v", Scopes)
		}
	}
	return nil
}

// Keys lists the tenant's keys, the newest first, at most 1,000.
func (s *Service) Keys(ctx context.Context, tenant uuid.UUID) ([]Key, error) {
	keys := []Key{}
	err := s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := accountdb.New(tx).ListKeys(ctx, tenant)
		for _, row := range rows {
			keys = append(keys, keyOf(accountdb.LockKeyRow(row)))
		}
		return err
	})
	return keys, err
}

func keyOf(row accountdb.LockKeyRow) Key {
	return Key{
		ID: row.KeyUUID, Kind: Kind(row.Kind), Name: row.Name, Scopes: row.Scopes,
		CreatedAt: row.CreatedAt, ExpiresAt: row.ExpiresAt, RevokedAt: row.RevokedAt,
		RotatedAt: row.RotatedAt, PreviousUntil: row.PreviousUntil, LastUsedAt: row.LastUsedAt,
	}
}

// lockKey returns a key that nobody else changes until tx ends.
func lockKey(ctx context.Context, tx engardedb.Tx, id uuid.UUID) (Key, error) {
	row, err := accountdb.New(tx).LockKey(ctx, accountdb.LockKeyParams{TenantUUID: tx.Tenant(), KeyUUID: id})
	if errors.Is(err, pgx.ErrNoRows) {
		return Key{}, fault.New(fault.NotFound, "There is no such key.")
	}
	return keyOf(row), err
}

// LongestOverlap bounds how long a rotated key's old secret works.
const LongestOverlap = 30 * 24 * time.Hour

// RotateKey gives a key a new secret and returns its token, which can't be had
// again. The secret before works until overlap has passed, 0 to LongestOverlap;
// one before that not any more. expires replaces the key's expiry, nil keeps it.
func (s *Service) RotateKey(ctx context.Context, tenant, id uuid.UUID, overlap time.Duration, expires *time.Time) (token string, key Key, err error) {
	now := s.clock.Now().UTC()
	if overlap < 0 || overlap > LongestOverlap {
		return "", Key{}, fault.At("body.overlap_seconds", overlap.Seconds(), "must be between 0 and %.0f", LongestOverlap.Seconds())
	}
	if expires != nil && !expires.After(now) {
		return "", Key{}, fault.At("body.expires_at", expires, "lies in the past")
	}
	err = s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		if key, err = lockKey(ctx, tx, id); err != nil {
			return err
		}
		if key.RevokedAt != nil || key.ExpiresAt != nil && !now.Before(*key.ExpiresAt) {
			return fault.New(fault.Conflict, "This key is revoked or expired; create another.")
		}
		until := now.Add(overlap)
		token = newKeyToken(key.Kind, id)
		key.RotatedAt, key.PreviousUntil = &now, &until
		if expires != nil {
			key.ExpiresAt = expires
		}
		err := accountdb.New(tx).RotateKey(ctx, accountdb.RotateKeyParams{
			TenantUUID: tenant, KeyUUID: id, SecretHash: hashToken(token), RotatedAt: &now, PreviousUntil: &until, ExpiresAt: key.ExpiresAt,
		})
		if err != nil {
			return err
		}
		return s.record(ctx, tx, "key.rotated", id, map[string]any{"name": key.Name, "previous_until": until})
	})
	if err != nil {
		return "", Key{}, err
	}
	s.keys.drop(id)
	return token, key, nil
}

// RevokeKey ends a key: in this process at once, in others within 15 seconds.
// Revoking it again changes nothing.
func (s *Service) RevokeKey(ctx context.Context, tenant, id uuid.UUID) error {
	err := s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		key, err := lockKey(ctx, tx, id)
		if err != nil || key.RevokedAt != nil {
			return err
		}
		now := s.clock.Now().UTC()
		if err := accountdb.New(tx).RevokeKey(ctx, accountdb.RevokeKeyParams{TenantUUID: tenant, KeyUUID: id, RevokedAt: &now}); err != nil {
			return err
		}
		return s.record(ctx, tx, "key.revoked", id, map[string]any{"name": key.Name})
	})
	if err == nil {
		s.keys.put(id, nil, s.clock.Now())
	}
	return err
}
