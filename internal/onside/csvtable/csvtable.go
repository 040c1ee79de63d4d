// Package csvtable reads the CSV files that people export from other tools:
// whatever the encoding, the separator and the language of the headings.
package csvtable

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/engardehq/madansara/internal/csvbound"
)

// Bounds of a file; exports have some tens of columns.
const (
	MaxRows    = 50_000
	MaxColumns = 500
	MaxField   = 32 << 10 // bytes of a value
)

// BadRow is a row that cannot be taken, and why.
type BadRow struct {
	Line    int    `json:"line" doc:"In the file, from 1"`
	Message string `json:"message"`
}

// Table is a file whose columns are known.
type Table struct {
	Rows []Row
	// Bad are the rows that are no CSV.
	Bad []BadRow

	columns map[string]int // where a row's cells have the column's value
	kept    []int          // where the file has those of a row's cells
}

// Row is a line of a table.
type Row struct {
	Line  int
	cells []string // of the columns that are known: what nobody asks for is not kept
	table *Table
}

// Has reports whether the file has the column.
func (t *Table) Has(column string) bool {
	_, has := t.columns[column]
	return has
}

// Get returns the row's value in a column, "" when there is none.
func (r Row) Get(column string) string {
	at, has := r.table.columns[column]
	if !has || at >= len(r.cells) {
		return ""
	}
	return strings.TrimSpace(strings.ReplaceAll(r.cells[at], "\x00", ""))
}

// Read reads a file. headings gives, for each column, the headings it goes by,
// in lower case. Every column of required must be there. Its error is a sentence
// for the person who sent the file.
func Read(content []byte, headings map[string][]string, required ...string) (*Table, error) {
	text := decode(content)
	table := &Table{columns: map[string]int{}}
	reader := csv.NewReader(strings.NewReader(text))
	reader.Comma = separator(text)
	reader.FieldsPerRecord, reader.LazyQuotes, reader.ReuseRecord = -1, true, true
	if line, wide := csvbound.WiderThan(text, reader.Comma, MaxColumns); wide {
		return nil, fmt.Errorf("line %d has more than %d columns; export fewer", line, MaxColumns)
	}
	first := true
	for {
		cells, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			line := 0
			if parse, is := errors.AsType[*csv.ParseError](err); is {
				line = parse.StartLine
			}
			table.Bad = append(table.Bad, BadRow{Line: line, Message: "it is not CSV: a quote is not closed"})
			break // the reader cannot find the next row's beginning
		}
		line, _ := reader.FieldPos(0)
		if first {
			first = false
			if err := table.heading(cells, headings, required); err != nil {
				return nil, err
			}
			continue
		}
		if len(cells) == 1 && strings.TrimSpace(cells[0]) == "" {
			continue
		}
		if len(table.Rows) == MaxRows {
			return nil, fmt.Errorf("the file has more than %d rows; send it in parts", MaxRows)
		}
		table.add(line, cells)
	}
	if first {
		return nil, errors.New("the file is empty")
	}
	return table, nil
}

// add takes a row's known cells. They are copies: cells are parts of their whole row's text.
func (t *Table) add(line int, cells []string) {
	row := Row{Line: line, cells: make([]string, len(t.kept)), table: t}
	for to, from := range t.kept {
		if from >= len(cells) {
			continue
		}
		if len(cells[from]) > MaxField {
			t.Bad = append(t.Bad, BadRow{Line: line, Message: fmt.Sprintf("it has a value of more than %d bytes; is a quote not closed?", MaxField)})
			return
		}
		row.cells[to] = strings.Clone(cells[from])
	}
	t.Rows = append(t.Rows, row)
}

func (t *Table) heading(cells []string, headings map[string][]string, required []string) error {
	for at, cell := range cells {
		name := strings.ToLower(strings.TrimSpace(cell))
		for column, names := range headings {
			for _, known := range names {
				if _, has := t.columns[column]; name == known && !has {
					t.columns[column] = len(t.kept)
					t.kept = append(t.kept, at)
				}
			}
		}
	}
	for _, column := range required {
		if !t.Has(column) {
			return fmt.Errorf("the first line has no column for the %s, which may be called: %s", column, strings.Join(headings[column], ", "))
		}
	}
	return nil
}

// decode makes text of a file: UTF-16 with its mark (as spreadsheets save it),
// UTF-8 with or without, else Windows-1252.
func decode(content []byte) string {
	if bytes.HasPrefix(content, []byte{0xff, 0xfe}) || bytes.HasPrefix(content, []byte{0xfe, 0xff}) {
		if decoded, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder().Bytes(content); err == nil {
			return string(decoded)
		}
	}
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	if utf8.Valid(content) {
		return string(content)
	}
	decoded, err := charmap.Windows1252.NewDecoder().Bytes(content)
	if err != nil {
		return strings.ToValidUTF8(string(content), "\uFFFD")
	}
	return string(decoded)
}

// separator is the one that the first line has most of.
func separator(text string) rune {
	line, _, _ := strings.Cut(text, "\n")
	best, most := ',', 0
	for _, candidate := range []rune{',', ';', '\t'} {
		if n := strings.Count(line, string(candidate)); n > most {
			best, most = candidate, n
		}
	}
	return best
}

// Number reads a number of 0 or more written with a point or a comma, with or
// without separators of thousands: "1,234.5", "1.234,5", "1 234", "3,4".
func Number(text string) (float64, error) {
	text = strings.NewReplacer(" ", "", "\u00a0", "", "\u202f", "", "'", "").Replace(text)
	comma, point := strings.LastIndexByte(text, ','), strings.LastIndexByte(text, '.')
	switch {
	case comma >= 0 && point >= 0 && comma > point:
		text = strings.Replace(strings.ReplaceAll(text, ".", ""), ",", ".", 1)
	case comma >= 0 && point >= 0:
		text = strings.ReplaceAll(text, ",", "")
	case comma >= 0 && (strings.Count(text, ",") > 1 || len(text)-comma == 4 && comma > 0 && text[0] != '0'):
		text = strings.ReplaceAll(text, ",", "") // thousands
	case comma >= 0:
		text = strings.Replace(text, ",", ".", 1)
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(value) || math.IsInf(value, 0) || value < 0 {
		return 0, errors.New("is not a number of 0 or more")
	}
	return value, nil
}

// Count reads a whole number of 0 or more, at most 1e15.
func Count(text string) (int64, error) {
	value, err := Number(text)
	if err != nil || value != math.Trunc(value) || value > 1e15 {
		return 0, errors.New("is not a whole number of 0 or more")
	}
	return int64(value), nil
}

// Day reads a date, "2026-03-01" or "2026/03/01", with or without a time after
// it; forms in which day and month could be mistaken are refused.
func Day(text string) (time.Time, error) {
	text = strings.ReplaceAll(text, "/", "-")
	if len(text) > 10 && (text[10] == ' ' || text[10] == 'T') {
		text = text[:10]
	}
	day, err := time.Parse(time.DateOnly, text)
	if err != nil || day.Year() < 1990 || day.Year() > 2200 {
		return time.Time{}, errors.New("is not a date such as 2026-03-01")
	}
	return day, nil
}
