package csvtable_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/engardehq/madansara/internal/onside/csvtable"
)

var headings = map[string][]string{"keyword": {"query", "requête"}, "position": {"position"}}

func TestEncodingsAndSeparators(t *testing.T) {
	t.Parallel()
	latin, err := charmap.Windows1252.NewEncoder().String("Requête;Position\ncafé;3,4\n")
	require.NoError(t, err)
	wide, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String("Query\tPosition\r\ncafé\t3,4\r\n")
	require.NoError(t, err)
	for name, file := range map[string]string{
		"plain": "Query,Position\ncafé,\"3,4\"\n", "mark": "\xef\xbb\xbfQUERY , Position\r\ncafé,\"3,4\"", "latin": latin, "wide": wide,
		"blank lines": "query,position\n\ncafé,\"3,4\"\n\n", "more columns": "x,query,y,position\n1,café,2,\"3,4\",5",
	} {
		table, err := csvtable.Read([]byte(file), headings, "keyword", "position")
		require.NoError(t, err, name)
		require.Len(t, table.Rows, 1, name)
		require.Equal(t, "café", table.Rows[0].Get("keyword"), name)
		require.Equal(t, "3,4", table.Rows[0].Get("position"), name)
		require.Empty(t, table.Bad, name)
	}
}

func TestBadFiles(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"": "empty", "a,b\n1,2": "no column for the keyword", "query\nx": "no column for the position",
		"query,position\n" + strings.Repeat("a,1\n", csvtable.MaxRows+1): "more than 50000 rows",
	} {
		_, err := csvtable.Read([]byte(file), headings, "keyword", "position")
		require.ErrorContains(t, err, want)
	}
	table, err := csvtable.Read([]byte("query,position\na,1\n\"b,2\nc,3"), headings, "keyword")
	require.NoError(t, err)
	require.NotEmpty(t, table.Rows)
	require.Equal(t, 2, table.Rows[0].Line)
}

// TestFilesAreBounded reads what is small as a file and was large once it was taken apart.
func TestFilesAreBounded(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"query,position" + strings.Repeat(",", csvtable.MaxColumns) + "\na,1\n":        "line 1 has more than 500 columns",
		"query,position\na,1\n\nb,2" + strings.Repeat(",", csvtable.MaxColumns) + "\n": "line 4 has more than 500 columns",
		"query;position\n" + strings.Repeat(";", 4<<20):                                "line 2 has more than 500 columns",
		"query,position\n" + strings.Repeat("\"\n\",", csvtable.MaxColumns+1):          "line 2 has more than 500 columns",
	} {
		_, err := csvtable.Read([]byte(file), headings, "keyword", "position")
		require.ErrorContains(t, err, want)
	}
	widest := "query,position" + strings.Repeat(",", csvtable.MaxColumns-2) + "\na,1\n"
	table, err := csvtable.Read([]byte(widest), headings, "keyword", "position")
	require.NoError(t, err)
	require.Len(t, table.Rows, 1)

	long := strings.Repeat("x", csvtable.MaxField)
	table, err = csvtable.Read([]byte("query,position,note\n"+long+",1,"+long+"x\n"+long+"x,2\nc,3\n\"d,4\n"+long), headings, "keyword", "position")
	require.NoError(t, err)
	require.Len(t, table.Rows, 2, "a long note that nobody reads does no harm")
	require.Equal(t, "c", table.Rows[1].Get("keyword"))
	require.Len(t, table.Bad, 2)
	require.Equal(t, 3, table.Bad[0].Line)
	require.Contains(t, table.Bad[0].Message, "more than 32768 bytes")
	require.Equal(t, 5, table.Bad[1].Line)
	require.Contains(t, table.Bad[1].Message, "a quote not closed")
}

func TestValues(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]float64{"3.4": 3.4, "3,4": 3.4, "1,234": 1234, "1,234.5": 1234.5, "1.234,5": 1234.5, "1 234": 1234, "0,125": 0.125, "12": 12, "1,234,567": 1234567} {
		got, err := csvtable.Number(text)
		require.NoError(t, err, text)
		require.InDelta(t, want, got, 1e-9, text)
	}
	for _, text := range []string{"", "-1", "NaN", "Inf", "1e999", "x", "3.4%", "1-2"} {
		_, err := csvtable.Number(text)
		require.Error(t, err, text)
	}
	_, err := csvtable.Count("1.5")
	require.Error(t, err)
	for _, text := range []string{"2026-03-01", "2026/03/01", "2026-03-01 10:00:00", "2026-03-01T10:00:00Z"} {
		day, err := csvtable.Day(text)
		require.NoError(t, err, text)
		require.Equal(t, "2026-03-01", day.Format("2006-01-02"))
	}
	for _, text := range []string{"", "01.03.2026", "3/1/2026", "2026-13-01", "0001-01-01", "tomorrow"} {
		_, err := csvtable.Day(text)
		require.Error(t, err, text)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("query,position\na,\"1\nb\""))
	f.Add([]byte{0xff, 0xfe, 0x00})
	f.Add([]byte("\xef\xbb\xbfrequ\xeate;position;\n;;\x00"))
	f.Fuzz(func(t *testing.T, content []byte) {
		table, err := csvtable.Read(content, headings, "keyword")
		if err != nil {
			require.Nil(t, table)
			return
		}
		for _, row := range table.Rows {
			require.NotContains(t, row.Get("keyword"), "\x00")
			require.Positive(t, row.Line)
			_, _ = csvtable.Number(row.Get("position")) // it must not panic
			_, _ = csvtable.Day(row.Get("position"))    // nor this
		}
	})
}
