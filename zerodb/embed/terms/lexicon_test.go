package terms

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLexiconIsWhole finds a line with too few columns, no English, or a word that the reader would split.
func TestLexiconIsWhole(t *testing.T) {
	t.Parallel()
	for line := range strings.Lines(lexiconText) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		columns := strings.Split(line, "|")
		require.Len(t, columns, len(lexiconColumns), line)
		require.NotEmpty(t, strings.Fields(columns[0]), line)
		for word := range strings.FieldsSeq(strings.ReplaceAll(line, "|", " ")) {
			require.Equal(t, []string{word}, split(word), line)
		}
	}
	require.Greater(t, len(lexicon().english), 700)
}
