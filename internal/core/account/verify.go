package account

import (
	"context"
	"crypto/subtle"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/httpkit"
)

// recheckAfter is how old an answer about a key must be before a secret that
// does not fit it has the database asked again: the key may have been made or
// rotated by another process since.
const recheckAfter = time.Second

type storedKey struct {
	tenant        uuid.UUID
	id            uuid.UUID
	secretHash    []byte
	previousHash  []byte // nil for a key that was never rotated
	previousUntil *time.Time
	scopes        []string
	expiresAt     *time.Time
	revokedAt     *time.Time
}

// fits reports whether hash is that of a secret which the key, if any, has now.
// Every comparison is made whatever the others say, so that time does not tell.
func (k *storedKey) fits(hash []byte, now time.Time) bool {
	current, previous := make([]byte, len(hash)), make([]byte, len(hash))
	valid, overlap := false, false
	if k != nil {
		current = k.secretHash
		if k.previousHash != nil {
			previous = k.previousHash
		}
		valid = k.revokedAt == nil && (k.expiresAt == nil || now.Before(*k.expiresAt))
		overlap = k.previousUntil != nil && now.Before(*k.previousUntil)
	}
	isCurrent := subtle.ConstantTimeCompare(hash, current) == 1
	isPrevious := subtle.ConstantTimeCompare(hash, previous) == 1
	return valid && (isCurrent || isPrevious && overlap)
}

// Key returns whom an API key or write key belongs to. What the database said
// is remembered for 15 seconds, so that ingest does not ask it for every request.
// That the key was used is noted, in one write for many uses.
func (s *Service) Key(ctx context.Context, token string) (httpkit.Principal, error) {
	unknown := fault.New(fault.Unauthenticated, "This key is unknown, expired or revoked.")
	id, ok := keyID(token)
	if !ok {
		return httpkit.Principal{}, unknown
	}
	now := s.clock.Now()
	hash := hashToken(token)
	key, readAt, known := s.keys.get(id, now)
	right := known && key.fits(hash, now)
	if !known || !right && now.Sub(readAt) >= recheckAfter {
		var err error
		if key, err = s.lookUp(ctx, id); err != nil {
			return httpkit.Principal{}, err
		}
		right = key.fits(hash, now)
	}
	if !right {
		return httpkit.Principal{}, unknown
	}
	s.noteUse(id, now) //nolint:contextcheck // what is gathered is written after the request
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
		err := s.db.Pool().QueryRow(ctx, `select tenant_uuid, secret_hash, previous_hash, previous_until, scopes, expires_at, revoked_at
			from auth_api_key($1)`, id).
			Scan(&key.tenant, &key.secretHash, &key.previousHash, &key.previousUntil, &key.scopes, &key.expiresAt, &key.revokedAt)
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
