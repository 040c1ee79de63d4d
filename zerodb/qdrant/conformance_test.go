package qdrant_test

import (
	"os"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/zerodb/qdrant"
	"github.com/engardehq/madansara/zerodb/qdrant/qdranttest"
	"github.com/engardehq/madansara/zerodb/zerodbtest"
)

// open returns a back end whose collections exist.
func open(t *testing.T, cfg qdrant.Config) *qdrant.Backend {
	t.Helper()
	if cfg.Dimension == 0 {
		cfg.Dimension = 64
	}
	b, err := qdrant.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	_, err = b.Init(t.Context())
	require.NoError(t, err)
	return b
}

func newTenant(testing.TB) uuid.UUID { return uuid.New() }

func TestQdrantIsABackend(t *testing.T) {
	t.Parallel()
	zerodbtest.Run(t, func(t *testing.T) zerodbtest.Env {
		t.Helper()
		server := qdranttest.Start(t, qdranttest.Options{})
		return zerodbtest.Env{Backend: open(t, qdrant.Config{URL: server.URL}), Tenant: newTenant}
	})
}

// TestARealQdrantIsABackend runs the same suite against the server that QDRANT_TEST_URL
// names (QDRANT_TEST_API_KEY is its key). It leaves points of tenants of its own behind.
func TestARealQdrantIsABackend(t *testing.T) {
	t.Parallel()
	url := os.Getenv("QDRANT_TEST_URL")
	if url == "" {
		t.Skip("QDRANT_TEST_URL names no server")
	}
	zerodbtest.Run(t, func(t *testing.T) zerodbtest.Env {
		t.Helper()
		return zerodbtest.Env{Backend: open(t, qdrant.Config{URL: url, APIKey: os.Getenv("QDRANT_TEST_API_KEY")}), Tenant: newTenant}
	})
}
