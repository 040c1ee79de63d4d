package zerodbtest

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/zerodb"
)

// testTransfer moves a tenant's memories to another, with lines among them that can't be stored.
func testTransfer(t *testing.T, b *bundle) {
	b.store(t, zerodb.Item{Type: zerodb.Semantic, Key: "channel", Content: "Marie prefers e-mail"})
	b.clock.Advance(time.Hour)
	b.store(t, zerodb.Item{Type: zerodb.Semantic, Key: "channel", Content: "Marie prefers WhatsApp"})
	last := b.store(t, zerodb.Item{Type: zerodb.Episodic, Content: "the sitemap was broken", Metadata: zerodb.Metadata{"pages": 3}})
	var export bytes.Buffer
	written, err := b.tenant.Export(t.Context(), &export)
	require.NoError(t, err)
	require.Equal(t, 3, written)

	lines := strings.Split(strings.TrimSpace(export.String()), "\n")
	require.Len(t, lines, 4)
	// The same ID as an event's, as a fact: an ID's type never changes.
	moved := strings.Replace(lines[3], `"type":"episodic"`, `"type":"semantic"`, 1)
	require.NotEqual(t, lines[3], moved)
	file := strings.Join([]string{lines[0], lines[1], "not json", lines[2], `{"content":"without an agent"}`, lines[3], moved}, "\n")
	other := b.client.Tenant(b.env.Tenant(t))
	refused := map[int]string{}
	for range 2 { // an import may be repeated
		refused = map[int]string{}
		stored, err := other.ImportWith(t.Context(), strings.NewReader(file), func(line int, err *zerodb.Error) error {
			refused[line] = err.Error()
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, 3, stored)
		require.Len(t, refused, 3)
		require.Contains(t, refused[3], "line 3")
		require.Contains(t, refused[5], "line 5")
		require.Contains(t, refused[7], "can't become")
	}
	history, err := other.History(t.Context(), last.ID)
	require.NoError(t, err)
	require.Len(t, history, 1)
	require.Equal(t, zerodb.Metadata{"pages": 3.0}, history[0].Metadata)
	require.NotNil(t, history[0].Vector, "vectors of the client's model travel along")
	stats, err := other.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3, stats.Memories)

	_, err = other.Import(t.Context(), strings.NewReader(file))
	require.ErrorIs(t, err, zerodb.ErrInvalid)
	_, err = other.Import(t.Context(), strings.NewReader(lines[1]))
	require.ErrorIs(t, err, zerodb.ErrInvalid, "a file without its header")
	_, err = other.Import(t.Context(), strings.NewReader(lines[0]+"\n"+strings.Repeat("x", 2<<20)))
	require.ErrorIs(t, err, zerodb.ErrTooLarge)
}
