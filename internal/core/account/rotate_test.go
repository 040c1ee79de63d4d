package account_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/fault"
)

func (b bundle) newKey(t *testing.T) (token string, id uuid.UUID) {
	t.Helper()
	token, key, err := b.accounts.CreateKey(t.Context(), b.tenant, account.NewKey{Kind: account.SecretKey, Name: "CI", Scopes: []string{"contacts:read"}})
	require.NoError(t, err)
	return token, key.ID
}

func (b bundle) key(t *testing.T, id uuid.UUID) account.Key {
	t.Helper()
	keys, err := b.accounts.Keys(t.Context(), b.tenant)
	require.NoError(t, err)
	for _, key := range keys {
		if key.ID == id {
			return key
		}
	}
	require.Fail(t, "the key is gone")
	return account.Key{}
}

func TestARotatedKeyWorksWithBothSecretsForAWhile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	first, id := b.newKey(t)
	second, key, err := b.accounts.RotateKey(ctx, b.tenant, id, time.Hour, nil)
	require.NoError(t, err)
	require.Equal(t, b.clock.Now(), *key.RotatedAt)
	require.Equal(t, b.clock.Now().Add(time.Hour), *key.PreviousUntil)
	for _, token := range []string{first, second} {
		principal, err := b.accounts.Key(ctx, token)
		require.NoError(t, err)
		require.Equal(t, []string{"contacts:read"}, principal.Scopes)
	}
	b.clock.Advance(time.Hour)
	_, err = b.accounts.Key(ctx, first)
	requireCode(t, fault.Unauthenticated, err)
	_, err = b.accounts.Key(ctx, second)
	require.NoError(t, err)

	expires := b.clock.Now().Add(time.Minute)
	third, _, err := b.accounts.RotateKey(ctx, b.tenant, id, 0, &expires)
	require.NoError(t, err)
	_, err = b.accounts.Key(ctx, second)
	requireCode(t, fault.Unauthenticated, err)
	_, err = b.accounts.Key(ctx, third)
	require.NoError(t, err)
	b.clock.Advance(time.Minute)
	_, err = b.accounts.Key(ctx, third)
	requireCode(t, fault.Unauthenticated, err)
	_, _, err = b.accounts.RotateKey(ctx, b.tenant, id, 0, nil)
	requireCode(t, fault.Conflict, err)
}

func TestWhatCannotBeRotated(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	token, id := b.newKey(t)
	past := b.clock.Now()
	for _, overlap := range []time.Duration{-1, account.LongestOverlap + 1} {
		_, _, err := b.accounts.RotateKey(ctx, b.tenant, id, overlap, nil)
		requireCode(t, fault.Invalid, err)
	}
	_, _, err := b.accounts.RotateKey(ctx, b.tenant, id, 0, &past)
	requireCode(t, fault.Invalid, err)
	_, _, err = b.accounts.RotateKey(ctx, dbtest.Tenant(t, b.url), id, 0, nil)
	requireCode(t, fault.NotFound, err)
	_, err = b.accounts.Key(ctx, token)
	require.NoError(t, err)
	require.NoError(t, b.accounts.RevokeKey(ctx, b.tenant, id))
	_, _, err = b.accounts.RotateKey(ctx, b.tenant, id, time.Hour, nil)
	requireCode(t, fault.Conflict, err)
	_, err = b.accounts.Key(ctx, token)
	requireCode(t, fault.Unauthenticated, err)
}

// TestANewSecretReachesOtherProcesses is about a process that remembers the key
// from before: it must not refuse the new secret for as long as it remembers.
func TestANewSecretReachesOtherProcesses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first, id := b.newKey(t)
	other := account.New(dbtest.Pool(t, b.url, "sankore_app"), b.clock)
	_, err := other.Key(t.Context(), first)
	require.NoError(t, err)
	second, _, err := b.accounts.RotateKey(t.Context(), b.tenant, id, time.Hour, nil)
	require.NoError(t, err)
	b.clock.Advance(time.Second)
	_, err = other.Key(t.Context(), second)
	require.NoError(t, err)
	_, err = other.Key(t.Context(), first)
	require.NoError(t, err)
}

// TestSecretsInAnyOrder holds rotation to its model: the newest secret works, the
// one before it until its time, all others never.
func TestSecretsInAnyOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rapid.Check(t, func(r *rapid.T) {
		token, id := b.newKey(t)
		tokens := []string{token}
		var until time.Time
		for range rapid.IntRange(1, 4).Draw(r, "rotations") {
			overlap := time.Duration(rapid.IntRange(0, 120).Draw(r, "overlap")) * time.Second
			token, _, err := b.accounts.RotateKey(t.Context(), b.tenant, id, overlap, nil)
			require.NoError(r, err)
			tokens, until = append(tokens, token), b.clock.Now().Add(overlap)
			b.clock.Advance(time.Duration(rapid.IntRange(0, 120).Draw(r, "later")) * time.Second)
		}
		for i, token := range tokens {
			_, err := b.accounts.Key(t.Context(), token)
			works := i == len(tokens)-1 || i == len(tokens)-2 && b.clock.Now().Before(until)
			require.Equal(r, works, err == nil, "secret %d of %d: %v", i+1, len(tokens), err)
		}
	})
}

// TestEveryServiceNotesTheUseOfKeys uses keys as each service does, with its own role.
func TestEveryServiceNotesTheUseOfKeys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, role := range []string{"engarde_core_app", "madan_sara_app", "onside_app", "sankore_app"} {
		token, id := b.newKey(t)
		service := account.New(dbtest.Pool(t, b.url, role), b.clock)
		for range 3 {
			_, err := service.Key(t.Context(), token)
			require.NoError(t, err)
			b.clock.Advance(time.Second)
		}
		require.Nil(t, b.key(t, id).LastUsedAt, "uses are gathered")
		require.NoError(t, service.Close(t.Context()))
		require.WithinDuration(t, b.clock.Now().Add(-time.Second), *b.key(t, id).LastUsedAt, 0, role)
	}
}

func TestUsesAreWrittenAfterHalfAMinute(t *testing.T) {
	t.Parallel()
	b := setup(t)
	token, id := b.newKey(t)
	_, err := b.accounts.Key(t.Context(), token)
	require.NoError(t, err)
	used := b.clock.Now()
	b.clock.Advance(30 * time.Second)
	require.Eventually(t, func() bool { return b.key(t, id).LastUsedAt != nil }, time.Minute, 5*time.Millisecond)
	require.WithinDuration(t, used, *b.key(t, id).LastUsedAt, 0)
}

func TestATimeOfUseOnlyGoesForward(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, id := b.newKey(t)
	_, another := b.newKey(t)
	pool := dbtest.Pool(t, b.url, "onside_app").Pool()
	note := func(at time.Time) {
		_, err := pool.Exec(t.Context(), "select auth_note_key_use($1, $2)", []uuid.UUID{id, another, uuid.New()}, []time.Time{at, at, at})
		require.NoError(t, err)
	}
	later := b.clock.Now().Add(time.Hour)
	note(later)
	note(b.clock.Now())
	require.WithinDuration(t, later, *b.key(t, id).LastUsedAt, 0)
	note(time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC))
	require.Less(t, b.key(t, id).LastUsedAt.Year(), 9000, "not beyond now")

	var group sync.WaitGroup // replicas that report the same keys in different orders
	for n := range 16 {
		group.Go(func() {
			keys := []uuid.UUID{id, another}
			if n%2 == 1 {
				keys = []uuid.UUID{another, id}
			}
			_, err := pool.Exec(t.Context(), "select auth_note_key_use($1, $2)", keys, []time.Time{time.Now(), time.Now()})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}
