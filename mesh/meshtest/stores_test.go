package meshtest_test

import (
	"testing"

	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/mesh/idempotency"
	"github.com/engardehq/madansara/mesh/meshtest"
	"github.com/engardehq/madansara/mesh/signature"
)

func TestStoresInMemoryKeepTheirContracts(t *testing.T) {
	t.Parallel()
	t.Run("nonces", func(t *testing.T) {
		t.Parallel()
		meshtest.Nonces(t, func(_ *testing.T, clock clockwork.Clock) signature.NonceStore {
			return signature.NewMemoryNonces(0, clock)
		})
	})
	t.Run("idempotency", func(t *testing.T) {
		t.Parallel()
		meshtest.Idempotency(t, func(_ *testing.T, clock clockwork.Clock) idempotency.Store { return idempotency.NewMemory(0, clock) })
	})
}
