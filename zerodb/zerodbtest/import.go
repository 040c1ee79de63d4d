package zerodbtest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/zerodb"
)

// testImportOverNewer imports an export that is older than what is there.
func testImportOverNewer(t *testing.T, b *bundle) {
	first := b.store(t, channel("Marie prefers e-mail"))
	wrong := b.store(t, zerodb.Item{Type: zerodb.LongTerm, Content: "Marie lives in Jacmel"})
	task := b.store(t, zerodb.Item{Type: zerodb.Working, Key: "task", Content: "audit the shop's pages"})
	var export bytes.Buffer
	_, err := b.tenant.Export(t.Context(), &export)
	require.NoError(t, err)
	b.clock.Advance(time.Hour)
	second := b.store(t, channel("Marie prefers WhatsApp"))
	right, err := b.tenant.Correct(t.Context(), "operator", wrong.ID, "Marie lives in Les Cayes", nil)
	require.NoError(t, err)
	_, err = b.tenant.Forget(t.Context(), task.ID)
	require.NoError(t, err)
	b.store(t, zerodb.Item{Type: zerodb.Working, Key: "task", Content: "write the report"})

	for range 2 {
		n, err := b.tenant.Import(t.Context(), importer, strings.NewReader(export.String()))
		require.NoError(t, err)
		require.Equal(t, 3, n)
		list, err := b.tenant.List(t.Context(), zerodb.Filter{Audience: zerodb.Audience{Agent: agent}}, zerodb.Order{}, 10)
		require.NoError(t, err)
		texts := make([]string, len(list))
		for i := range list {
			texts[i] = list[i].Content
		}
		require.ElementsMatch(t, []string{"Marie prefers WhatsApp", "Marie lives in Les Cayes", "write the report"}, texts, "the newest only")
		history, err := b.tenant.History(t.Context(), second.ID)
		require.NoError(t, err)
		require.Len(t, history, 2)
		requireTimeline(t, history)
		require.Equal(t, first.ID, history[1].ID)
		require.Equal(t, second.ID, history[1].SupersededBy)
		require.Equal(t, zerodb.ImportService, history[1].Provenance.Service)
		history, err = b.tenant.History(t.Context(), right.ID)
		require.NoError(t, err)
		require.Len(t, history, 2)
	}
	receipt := b.store(t, channel("Marie prefers letters"))
	require.Equal(t, second.ID, receipt.Superseded, "the history goes on")
}

// testImportedLives: what is imported lives as its type does, and waits for a vector that the file lacks.
func testImportedLives(t *testing.T, b *bundle) {
	line := func(n int, typ zerodb.Type, rest string) string {
		return fmt.Sprintf(`{"id":"0198f4a2-0000-7000-8000-00000000000%d","agent":%q,"type":%q,"scope":{"kind":"agent"},"key":"k%d","content":"thing %d",`+
			`"importance":0.5,"prior":0.9,"mentions":1,"created_at":"2026-02-28T12:00:00Z","updated_at":"2026-02-28T12:00:00Z","valid_from":"2026-02-28T12:00:00Z"%s}`, n, agent, typ, n, n, rest)
	}
	file := strings.Join([]string{
		`{"zerodb":1}`,
		line(1, zerodb.Working, ""),
		line(2, zerodb.ShortTerm, ""),
		line(3, zerodb.ShortTerm, `,"expires_at":"2036-01-01T00:00:00Z"`),
		line(4, zerodb.ShortTerm, `,"expires_at":"2026-03-01T18:00:00Z"`),
		line(5, zerodb.Semantic, fmt.Sprintf(`,"model":%q`, b.embedder.Model())),
		line(6, zerodb.Episodic, `,"expires_at":"9999-01-01T00:00:00Z"`),
	}, "\n")
	n, err := b.tenant.Import(t.Context(), importer, strings.NewReader(file))
	require.NoError(t, err)
	require.Equal(t, 6, n)
	list, err := b.tenant.List(t.Context(), zerodb.Filter{Audience: zerodb.Audience{Agent: agent}}, zerodb.Order{}, 10)
	require.NoError(t, err)
	require.Len(t, list, 6)
	for i, end := range []time.Time{
		start.Add(30 * day), start.Add(2 * day), start.Add(2 * day), start.Add(6 * time.Hour), {}, start.Add(10 * 365 * day),
	} {
		require.Equal(t, end, list[i].ExpiresAt, list[i].Content)
	}
	n, err = b.tenant.EmbedPending(t.Context(), 100)
	require.NoError(t, err)
	require.Equal(t, 6, n)
	m, err := b.tenant.Get(t.Context(), list[4].ID)
	require.NoError(t, err)
	require.NotNil(t, m.Vector)
}
