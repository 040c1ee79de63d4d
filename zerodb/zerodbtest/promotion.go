package zerodbtest

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/zerodb"
)

// recalled counts recalls of a memory, as searches would.
func (b *bundle) recalled(t *testing.T, id uuid.UUID, count int) {
	t.Helper()
	require.NoError(t, b.env.Backend.Recalled(t.Context(), b.tenant.ID(), []zerodb.Recall{{ID: id, Count: count, At: b.clock.Now()}}))
}

func (b *bundle) longTerm(t *testing.T, history bool) []zerodb.Memory {
	t.Helper()
	filter := zerodb.Filter{Audience: zerodb.Audience{Agent: agent}, Types: []zerodb.Type{zerodb.LongTerm}, History: history}
	list, err := b.tenant.List(t.Context(), filter, zerodb.Order{Recent: true}, 100)
	require.NoError(t, err)
	return list
}

func (b *bundle) promote(t *testing.T, want int) {
	t.Helper()
	report, err := b.tenant.Upkeep(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, report.Promoted)
}

// testPromotedVersions: what is promoted under a key is a version of what the key names.
func testPromotedVersions(t *testing.T, b *bundle) {
	of := func(typ zerodb.Type, content string) zerodb.Receipt {
		item := channel(content)
		item.Type = typ
		return b.store(t, item)
	}
	old := of(zerodb.LongTerm, "Marie prefers e-mail")
	b.clock.Advance(time.Hour)
	event := of(zerodb.Episodic, "Marie asked for letters")
	b.clock.Advance(time.Hour)
	short := of(zerodb.ShortTerm, "Marie prefers WhatsApp")
	b.recalled(t, event.ID, 7)
	b.recalled(t, short.ID, 4)
	yes := true
	_, err := b.tenant.Feedback(t.Context(), short.ID, zerodb.Feedback{Succeeded: &yes})
	require.NoError(t, err)
	b.clock.Advance(time.Hour)
	b.promote(t, 2)

	now := b.longTerm(t, false)
	require.Len(t, now, 1, "the newest version only")
	require.Equal(t, "Marie prefers WhatsApp", now[0].Content)
	require.Equal(t, start.Add(2*time.Hour), now[0].ValidFrom, "it holds since it was told")
	require.Equal(t, 4, now[0].Recalls)
	require.Equal(t, start.Add(2*time.Hour), now[0].LastRecalledAt)
	require.Equal(t, 1, now[0].Successes)
	require.Equal(t, 1, now[0].Mentions)
	require.Equal(t, "promoted short_term", now[0].Provenance.Source)
	require.NotNil(t, now[0].Vector)
	versions := b.longTerm(t, true)
	require.Len(t, versions, 3)
	requireTimeline(t, versions)
	require.Equal(t, 7, versions[1].Recalls)
	require.Equal(t, old.ID, versions[2].ID)
	require.Equal(t, versions[1].ID, versions[2].SupersededBy)
	for _, m := range versions {
		require.Equal(t, old.ID, m.Lineage)
	}
	for _, gone := range []uuid.UUID{event.ID, short.ID} {
		_, err := b.tenant.Get(t.Context(), gone)
		require.ErrorIs(t, err, zerodb.ErrNotFound)
	}

	// One that is older than what holds is filed before it.
	late := channel("Marie rang the bell")
	late.Type, late.ValidFrom = zerodb.Episodic, start.Add(-day)
	b.recalled(t, b.store(t, late).ID, 5)
	b.promote(t, 1)
	require.Equal(t, now[0].ID, b.longTerm(t, false)[0].ID)
	versions = b.longTerm(t, true)
	require.Len(t, versions, 4)
	requireTimeline(t, versions)
	require.Equal(t, "Marie rang the bell", versions[3].Content)
}

// testPromotedDuplicates: what says what a long-term memory says already is counted there.
func testPromotedDuplicates(t *testing.T, b *bundle) {
	of := func(typ zerodb.Type, content string, importance float64) zerodb.Receipt {
		return b.store(t, zerodb.Item{Type: typ, Content: content, Importance: importance})
	}
	event := of(zerodb.Episodic, "Marie prefers to be called early in the morning", 0.9)
	b.clock.Advance(time.Hour)
	there := of(zerodb.LongTerm, "Marie prefers to be called in the morning", 0)
	b.recalled(t, there.ID, 2)
	b.clock.Advance(time.Hour)
	again := of(zerodb.ShortTerm, "Marie prefers to be called in the morning", 0)
	b.recalled(t, event.ID, 5)
	b.recalled(t, again.ID, 3)
	no := false
	_, err := b.tenant.Feedback(t.Context(), again.ID, zerodb.Feedback{Succeeded: &no})
	require.NoError(t, err)
	other := of(zerodb.ShortTerm, "Jean prefers to be called in the morning", 0)
	same := of(zerodb.Episodic, "Jean prefers to be called in the morning", 0)
	b.recalled(t, other.ID, 3)
	b.recalled(t, same.ID, 5)
	b.promote(t, 4)

	known := map[string]zerodb.Memory{}
	list := b.longTerm(t, true)
	for _, m := range list {
		known[m.Content] = m
	}
	require.Len(t, list, 2, "%v", list)
	marie := known["Marie prefers to be called early in the morning"]
	require.Equal(t, there.ID, marie.ID)
	require.Equal(t, 3, marie.Mentions)
	require.Equal(t, 10, marie.Recalls)
	require.Equal(t, start.Add(2*time.Hour), marie.LastRecalledAt)
	require.Equal(t, 1, marie.Failures)
	require.GreaterOrEqual(t, marie.Importance, 0.9)
	require.Equal(t, start, marie.ValidFrom, "it holds since it was first told")
	require.Equal(t, 8, known["Jean prefers to be called in the morning"].Recalls, "what is promoted at once sees each other")
	stats, err := b.tenant.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, stats.Memories)
}
