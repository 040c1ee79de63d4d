package account

import (
	"context"
	"crypto/subtle"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/core/account/accountdb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
)

// Key describes a key without its secret.
type Key struct {
	ID        uuid.UUID  `json:"id" doc:"The key's id"`
	Kind      Kind       `json:"kind" enum:"secret,write" doc:"secret authorises the API; write, which may stand in a web page, only adds events"`
	Name      string     `json:"name" doc:"What the key is used for"`
	Scopes    []string   `json:"scopes" doc:"What the key may do"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
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
		return accountdb.New(tx).InsertKey(ctx, accountdb.InsertKeyParams{
			TenantUUID: tenant, KeyUUID: id, Kind: string(key.Kind), Name: key.Name, SecretHash: hashToken(token),
			Scopes: key.Scopes, CreatedAt: now, ExpiresAt: key.ExpiresAt,
		})
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
	case k.Name == "" || len(k.Name) > 200:
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
			keys = append(keys, Key{
				ID: row.KeyUUID, Kind: Kind(row.Kind), Name: row.Name, Scopes: row.Scopes,
				CreatedAt: row.CreatedAt, ExpiresAt: row.ExpiresAt, RevokedAt: row.RevokedAt,
			})
		}
		return err
	})
	return keys, err
}

// RevokeKey ends a key: in this process at once, in others within 15 seconds.
func (s *Service) RevokeKey(ctx context.Context, tenant, id uuid.UUID) error {
	err := s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		now := s.clock.Now().UTC()
		changed, err := accountdb.New(tx).RevokeKey(ctx, accountdb.RevokeKeyParams{TenantUUID: tenant, KeyUUID: id, RevokedAt: &now})
		if err == nil && changed == 0 {
			return fault.New(fault.NotFound, "There is no such key.")
		}
		return err
	})
	if err == nil {
		s.keys.put(id, nil, s.clock.Now())
	}
	return err
}

type storedKey struct {
	tenant     uuid.UUID
	id         uuid.UUID
	secretHash []byte
	scopes     []string
	expiresAt  *time.Time
	revokedAt  *time.Time
}

// Key returns whom an API key or write key belongs to. What the database said
// is remembered for 15 seconds, so that ingest does not ask it for every request.
func (s *Service) Key(ctx context.Context, token string) (httpkit.Principal, error) {
	unknown := fault.New(fault.Unauthenticated, "This key is unknown, expired or revoked.")
	id, ok := keyID(token)
	if !ok {
		return httpkit.Principal{}, unknown
	}
	now := s.clock.Now()
	key, known := s.keys.get(id, now)
	if !known {
		var err error
		if key, err = s.lookUp(ctx, id); err != nil {
			return httpkit.Principal{}, err
		}
	}
	// Compared also when there is no such key, so that time does not tell.
	stored := make([]byte, 32)
	if key != nil {
		stored = key.secretHash
	}
	right := subtle.ConstantTimeCompare(hashToken(token), stored) == 1
	if !right || key == nil || key.revokedAt != nil || key.expiresAt != nil && !now.Before(*key.expiresAt) {
		return httpkit.Principal{}, unknown
	}
	name := "key " + key.id.String()
	return httpkit.Principal{Tenant: key.tenant, ID: name, Name: name, Scopes: key.scopes}, nil
}

// lookUp asks the database, once for all who wait for the same key.
func (s *Service) lookUp(ctx context.Context, id uuid.UUID) (*storedKey, error) {
	found, err, _ := s.lookups.Do(id.String(), func() (any, error) {
		// The first caller's going away must not fail the others.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), authTimeout)
		defer cancel()
		// Keys nobody has cost a look-up each; whoever tries many must not take
		// the connections that log-ins need.
		select {
		case s.asking <- struct{}{}:
			defer func() { <-s.asking }()
		case <-ctx.Done():
			return nil, fault.Wrap(ctx.Err(), fault.Unavailable, "Too many keys are being checked; try again in a moment.")
		}
		key := storedKey{id: id}
		asked := s.clock.Now()
		err := s.db.Pool().QueryRow(ctx, "select tenant_uuid, secret_hash, scopes, expires_at, revoked_at from auth_api_key($1)", id).
			Scan(&key.tenant, &key.secretHash, &key.scopes, &key.expiresAt, &key.revokedAt)
		if errors.Is(err, pgx.ErrNoRows) {
			s.keys.put(id, nil, asked)
			return (*storedKey)(nil), nil
		}
		if err != nil {
			return nil, err
		}
		s.keys.put(id, &key, asked)
		return &key, nil
	})
	if err != nil {
		return nil, err
	}
	return found.(*storedKey), nil //nolint:forcetypeassert // the function above returns nothing else
}
