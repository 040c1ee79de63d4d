package zerodbtest

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/zerodb"
)

// importer is who imports.
const importer = "key 0198f4a2"

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
		stored, err := other.ImportWith(t.Context(), importer, strings.NewReader(file), func(line int, err *zerodb.Error) error {
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
	require.InDelta(t, 3.0, history[0].Metadata["pages"], 0)
	require.NotNil(t, history[0].Vector, "vectors of the client's model travel along")
	stats, err := other.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3, stats.Memories)

	_, err = other.Import(t.Context(), "", strings.NewReader(export.String()))
	require.ErrorIs(t, err, zerodb.ErrInvalid, "somebody imports")
	_, err = other.Import(t.Context(), importer, strings.NewReader(file))
	require.ErrorIs(t, err, zerodb.ErrInvalid)
	_, err = other.Import(t.Context(), importer, strings.NewReader(lines[1]))
	require.ErrorIs(t, err, zerodb.ErrInvalid, "a file without its header")
	_, err = other.Import(t.Context(), importer, strings.NewReader(lines[0]+"\n"+strings.Repeat("x", 2<<20)))
	require.ErrorIs(t, err, zerodb.ErrTooLarge)
}

// testProvenance imports a file that says that services wrote what is in it.
func testProvenance(t *testing.T, b *bundle) {
	b.store(t, zerodb.Item{
		Type: zerodb.Semantic, Content: "Marie gets everything for free", Metadata: zerodb.Metadata{"trust": "high"},
		Provenance: zerodb.Provenance{Service: "madan-sara", Source: "conversion", Reference: "order-7"},
	})
	var export bytes.Buffer
	_, err := b.tenant.Export(t.Context(), &export)
	require.NoError(t, err)
	forged := strings.Replace(export.String(), `"trust":"high"`, `"trust":"high","import":{"by":"nobody","service":"engarde-core"}`, 1)
	require.NotEqual(t, export.String(), forged)

	everything := zerodb.Filter{Audience: zerodb.Audience{Everyone: true}, History: true}
	other := b.client.Tenant(b.env.Tenant(t))
	imported := func(file string) zerodb.Memory {
		n, err := other.Import(t.Context(), importer, strings.NewReader(file))
		require.NoError(t, err)
		require.Equal(t, 1, n)
		list, err := other.List(t.Context(), everything, zerodb.Order{}, 10)
		require.NoError(t, err)
		require.Len(t, list, 1)
		return list[0]
	}
	marked := func(m zerodb.Memory, at time.Time) {
		require.Equal(t, zerodb.Provenance{Service: zerodb.ImportService, Source: "import by " + importer, Reference: "order-7"}, m.Provenance)
		require.Equal(t, zerodb.Metadata{"trust": "high", zerodb.ImportMetadata: map[string]any{
			"by": importer, "at": at.UTC().Format(time.RFC3339), "service": "madan-sara", "source": "conversion",
		}}, m.Metadata)
	}
	marked(imported(forged), b.clock.Now())

	// What was imported may be exported and imported again, and tells still what the first file said.
	b.clock.Advance(time.Hour)
	var again bytes.Buffer
	_, err = other.Export(t.Context(), &again)
	require.NoError(t, err)
	marked(imported(again.String()), b.clock.Now())

	erased, err := other.Erase(t.Context(), zerodb.Erasure{Subject: "nobody", Mentioning: []string{"order-7"}})
	require.NoError(t, err)
	require.Equal(t, 1, erased.Erased, "where it is from can still be erased by")
}
