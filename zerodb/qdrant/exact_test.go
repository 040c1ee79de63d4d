package qdrant_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/qdrant"
	"github.com/engardehq/madansara/zerodb/qdrant/qdranttest"
)

// TestTenNearestAreTheTenNearest measures recall@10 against a scan, for agents whose
// memories lie among those of others in one tenant. With QDRANT_TEST_URL it measures that server.
func TestTenNearestAreTheTenNearest(t *testing.T) {
	t.Parallel()
	cfg := qdrant.Config{URL: os.Getenv("QDRANT_TEST_URL"), APIKey: os.Getenv("QDRANT_TEST_API_KEY")}
	if cfg.URL == "" {
		cfg.URL = qdranttest.Start(t, qdranttest.Options{}).URL
	}
	b := open(t, cfg)
	random := rand.New(rand.NewPCG(1, 2))
	vector := func() []float32 {
		v := make([]float32, 64)
		for i := range v {
			v[i] = float32(random.NormFloat64())
		}
		unit, err := zerodb.Normalize(v)
		require.NoError(t, err)
		return unit
	}
	id := uuid.New()
	byAgent := map[string][]zerodb.Memory{}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for a := range 4 {
		agent := fmt.Sprintf("walker_%d", a)
		for range 150 {
			m := zerodb.Memory{ID: uuid.Must(uuid.NewV7()), Agent: agent, Type: zerodb.LongTerm, Scope: zerodb.AgentScope(agent), Content: "x", ValidFrom: now, Vector: vector(), Model: "random/64"}
			m.Lineage = m.ID
			byAgent[agent] = append(byAgent[agent], m)
		}
		require.NoError(t, b.Change(t.Context(), id, []zerodb.Scope{zerodb.AgentScope(agent)}, func(ctx context.Context, w zerodb.Writer) error {
			return w.Put(ctx, byAgent[agent])
		}))
	}
	found, asked := 0, 0
	for agent, memories := range byAgent {
		query := vector()
		slices.SortFunc(memories, func(x, y zerodb.Memory) int {
			switch p, q := zerodb.Dot(x.Vector, query), zerodb.Dot(y.Vector, query); {
			case p > q:
				return -1
			case p < q:
				return 1
			default:
				return bytes.Compare(x.ID[:], y.ID[:])
			}
		})
		require.NoError(t, b.View(t.Context(), id, func(ctx context.Context, r zerodb.Reader) error {
			answers, err := r.Search(ctx, now, []zerodb.Search{{
				Filter: zerodb.Filter{Audience: zerodb.Audience{Agent: agent}}, Vector: query, Model: "random/64", Limit: 10,
			}})
			require.NoError(t, err)
			require.Len(t, answers[0].List, 10)
			for _, m := range memories[:10] {
				asked++
				if slices.ContainsFunc(answers[0].List, func(c zerodb.Candidate) bool { return c.ID == m.ID }) {
					found++
				}
			}
			return nil
		}))
	}
	require.Equal(t, asked, found, "recall@10 is 1")
}
