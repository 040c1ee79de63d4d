package meshtest

import (
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/mesh/idempotency"
	"github.com/engardehq/madansara/mesh/signature"
)

// Nonces holds an implementation of signature.NonceStore to its contract. open
// returns an empty store that uses the clock.
func Nonces(t *testing.T, open func(t *testing.T, clock clockwork.Clock) signature.NonceStore) {
	t.Helper()
	t.Run("a nonce is fresh once until it expires", func(t *testing.T) {
		t.Parallel()
		clock := clockwork.NewFakeClock()
		store := open(t, clock)
		expires := clock.Now().Add(time.Minute)
		use(t, store, "key", "nonce", expires, true)
		use(t, store, "key", "nonce", expires, false)
		clock.Advance(time.Minute)
		use(t, store, "key", "nonce", expires, false)
		clock.Advance(2 * time.Second)
		use(t, store, "key", "nonce", clock.Now().Add(time.Minute), true)
	})
	t.Run("keys and nonces are told apart", func(t *testing.T) {
		t.Parallel()
		clock := clockwork.NewFakeClock()
		store := open(t, clock)
		expires := clock.Now().Add(time.Minute)
		use(t, store, "ab", "c", expires, true)
		use(t, store, "a", "bc", expires, true)
		use(t, store, "ab", "C", expires, true)
	})
	t.Run("of simultaneous uses one is fresh", func(t *testing.T) {
		t.Parallel()
		clock := clockwork.NewFakeClock()
		store := open(t, clock)
		for n := range 5 {
			require.EqualValues(t, 1, atOnce(t, func() (bool, error) {
				return store.Use(t.Context(), "key", "nonce"+strconv.Itoa(n), clock.Now().Add(time.Minute))
			}))
		}
	})
}

func use(t *testing.T, store signature.NonceStore, key, nonce string, expires time.Time, want bool) {
	t.Helper()
	fresh, err := store.Use(t.Context(), key, nonce, expires)
	require.NoError(t, err)
	require.Equal(t, want, fresh)
}

// atOnce counts how many of eight simultaneous attempts succeed.
func atOnce(t *testing.T, attempt func() (bool, error)) int64 {
	t.Helper()
	var won atomic.Int64
	errs := make(chan error, 8)
	var group sync.WaitGroup
	for range cap(errs) {
		group.Go(func() {
			ok, err := attempt()
			if ok {
				won.Add(1)
			}
			errs <- err
		})
	}
	group.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	return won.Load()
}

// Idempotency holds an implementation of idempotency.Store to its contract.
// open returns an empty store that uses the clock.
func Idempotency(t *testing.T, open func(t *testing.T, clock clockwork.Clock) idempotency.Store) {
	t.Helper()
	id := idempotency.ID{Source: "a", Tenant: "0198f4a2-0000-7000-8000-000000000001", Key: "key"}
	first, second := idempotency.Fingerprint{1}, idempotency.Fingerprint{2}
	answer := idempotency.Answer{Status: http.StatusCreated, Header: http.Header{"Content-Type": {"application/json"}, "Location": {"/1"}}, Body: []byte(`{"a":"\x00 é"}`)}
	claim := func(t *testing.T, store idempotency.Store, id idempotency.ID, fingerprint idempotency.Fingerprint) idempotency.Claim {
		t.Helper()
		claim, err := store.Claim(t.Context(), id, fingerprint, time.Minute)
		require.NoError(t, err)
		return claim
	}
	t.Run("an operation is claimed, answered and replayed", func(t *testing.T) {
		t.Parallel()
		clock := clockwork.NewFakeClock()
		store := open(t, clock)
		require.True(t, claim(t, store, id, first).Fresh)
		require.Equal(t, idempotency.Claim{Fingerprint: first}, claim(t, store, id, second), "it is running")
		require.NoError(t, store.Complete(t.Context(), id, answer, time.Hour))
		clock.Advance(time.Hour - time.Second)
		require.Equal(t, idempotency.Claim{Fingerprint: first, Answer: &answer}, claim(t, store, id, second))
		clock.Advance(time.Second)
		require.True(t, claim(t, store, id, second).Fresh, "answers are kept for their time")
	})
	t.Run("a lease ends", func(t *testing.T) {
		t.Parallel()
		clock := clockwork.NewFakeClock()
		store := open(t, clock)
		require.True(t, claim(t, store, id, first).Fresh)
		clock.Advance(time.Minute)
		require.True(t, claim(t, store, id, second).Fresh)
		require.Equal(t, second, claim(t, store, id, first).Fingerprint)
	})
	t.Run("a released operation can be claimed, an answered one not", func(t *testing.T) {
		t.Parallel()
		store := open(t, clockwork.NewFakeClock())
		require.True(t, claim(t, store, id, first).Fresh)
		require.NoError(t, store.Release(t.Context(), id))
		require.True(t, claim(t, store, id, first).Fresh)
		require.NoError(t, store.Complete(t.Context(), id, answer, time.Hour))
		require.NoError(t, store.Release(t.Context(), id))
		require.Equal(t, &answer, claim(t, store, id, first).Answer)
	})
	t.Run("sources, tenants and keys are told apart", func(t *testing.T) {
		t.Parallel()
		store := open(t, clockwork.NewFakeClock())
		for _, other := range []idempotency.ID{
			id, {Source: "b", Tenant: id.Tenant, Key: id.Key}, {Source: id.Source, Key: id.Key}, {Source: id.Source, Tenant: id.Tenant, Key: "KEY"},
		} {
			require.True(t, claim(t, store, other, first).Fresh)
		}
	})
	t.Run("of simultaneous claims one is fresh", func(t *testing.T) {
		t.Parallel()
		store := open(t, clockwork.NewFakeClock())
		require.EqualValues(t, 1, atOnce(t, func() (bool, error) {
			claim, err := store.Claim(t.Context(), id, first, time.Minute)
			return claim.Fresh, err
		}))
	})
}
