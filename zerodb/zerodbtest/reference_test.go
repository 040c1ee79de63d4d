package zerodbtest_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/zerodb/zerodbtest"
)

func TestTheReferenceIsABackend(t *testing.T) {
	t.Parallel()
	zerodbtest.Run(t, func(*testing.T) zerodbtest.Env {
		return zerodbtest.Env{Backend: zerodbtest.NewReference(), Tenant: func(testing.TB) uuid.UUID { return uuid.New() }}
	})
}
