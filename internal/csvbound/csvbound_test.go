package csvbound_test

import (
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engardehq/madansara/internal/csvbound"
)

func TestTheFirstWideRowIsFound(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"": 0, "a,b": 0, "a,b,c": 1, "a,b\nc,d\n": 0, "a,b\n\nc,d,e\n": 3, "\"a,b\",\"c,d\"\n": 0, "\"a\n,\n\",b\nc,d,e": 4, "\"a\",\"b\n\",\"c\"": 1,
		"\"never closed,,,,\n,,,,": 0, "a\",b,\"c": 1, "\"\"\"\",\"\"\r\nx,y,z\r\n": 2,
	} {
		line, is := csvbound.WiderThan(text, ',', 2)
		require.Equal(t, want, line, "%q", text)
		require.Equal(t, want > 0, is, "%q", text)
	}
}

// TestRowsAreThoseOfTheParser compares with what it stands before.
func TestRowsAreThoseOfTheParser(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.SampledFrom([]rune("\"\"\",,\n\n\ra;\u00e9")), 0, 40, -1).Draw(t, "text")
		separator := rapid.SampledFrom([]rune(",;")).Draw(t, "separator")
		most := rapid.IntRange(1, 4).Draw(t, "most")
		reader := csv.NewReader(strings.NewReader(text))
		reader.Comma, reader.FieldsPerRecord, reader.LazyQuotes = separator, -1, true
		want := 0
		for want == 0 {
			row, err := reader.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			if len(row) > most {
				want, _ = reader.FieldPos(0)
			}
		}
		line, is := csvbound.WiderThan(text, separator, most)
		require.Equal(t, want > 0, is)
		require.Equal(t, want, line)
	})
}

func TestLargeFilesAreScannedInNoMemory(t *testing.T) {
	text := strings.Repeat("\"a\",b\n", 1<<16)
	require.Zero(t, testing.AllocsPerRun(2, func() { csvbound.WiderThan(text, ',', 500) }))
}
