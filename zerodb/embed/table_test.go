package embed

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestABrokenTableIsAnError: it concerns those who embed, and ends no other command.
func TestABrokenTableIsAnError(t *testing.T) {
	t.Parallel()
	_, err := openTable(wordBytes)
	require.NoError(t, err)
	for name, data := range map[string]string{
		"none": "", "another file": "PNG" + wordBytes, "only its beginning": wordBytes[:tableHeader], "without its end": wordBytes[:len(wordBytes)-1],
		"more": wordBytes + "x", "no words": wordBytes[:len(wordBytes)/2],
		"a count of billions": wordBytes[:len(tableMagic)] + "\xff\xff\xff\xff" + wordBytes[len(tableMagic)+4:],
		"starts that go back": wordBytes[:tableHeader+8] + "\xff\xff\xff\x7f" + wordBytes[tableHeader+12:],
	} {
		_, err := openTable(data)
		require.ErrorIs(t, err, errBrokenTable, name)
	}
	rapid.Check(t, func(t *rapid.T) {
		cut := rapid.IntRange(0, len(wordBytes)-1).Draw(t, "cut")
		_, err := openTable(wordBytes[:cut])
		require.ErrorIs(t, err, errBrokenTable)
	})
}
