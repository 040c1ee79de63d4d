package zerodbtest

import (
	"bytes"
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
