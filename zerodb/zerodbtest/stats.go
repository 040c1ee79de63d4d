package zerodbtest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/zerodb"
)

func testStats(t *testing.T, b *bundle) {
	stats, err := b.tenant.Stats(t.Context())
	require.NoError(t, err)
	require.Zero(t, stats.Memories)
	require.Empty(t, stats.ByAgent)

	b.store(t, zerodb.Item{Agent: "walker_seo_001", Type: zerodb.Semantic, Content: "the shop sells straw hats"})
	b.store(t, zerodb.Item{Agent: "walker_seo_001", Type: zerodb.Episodic, Content: "the sitemap was broken"})
	b.store(t, zerodb.Item{Agent: "walker_ads_002", Type: zerodb.Semantic, Content: "mornings convert best", Scope: zerodb.TenantScope()})
	other := b.client.Tenant(b.env.Tenant(t))
	_, err = other.Store(t.Context(), "walker_seo_001", zerodb.Semantic, "another tenant's", nil, 0)
	require.NoError(t, err)

	stats, err = b.tenant.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3, stats.Memories)
	require.Equal(t, 2, stats.Agents)
	require.Equal(t, 2, stats.ByType[zerodb.Semantic])
	require.Equal(t, 1, stats.ByType[zerodb.Episodic])
	require.Equal(t, map[string]int{"walker_seo_001": 2, "walker_ads_002": 1}, stats.ByAgent)
	require.Zero(t, stats.Pending)
}
