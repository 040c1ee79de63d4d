package adreport

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/engardehq/madansara/internal/fault"
)

// Bounds of a file.
const (
	MaxBytes = 4 << 20 // a campaign's year is some 30 KB
	MaxLines = 50_000
	// MaxColumns of a line and MaxField bytes of a cell: exports have some tens of
	// columns, and a cell takes more memory than the comma that makes it.
	MaxColumns = 500
	MaxField   = 32 << 10
)

// decode returns the file's text as UTF-8: UTF-16 with or without a byte-order
// mark, UTF-8, or else Windows-1252, in which old programs save what they opened.
func decode(file []byte) (string, error) {
	switch {
	case len(file) > MaxBytes:
		return "", fault.New(fault.TooLarge, "The file has %d bytes; at most %d are read. Export fewer days at a time.", len(file), MaxBytes)
	case bytes.HasPrefix(file, []byte{0xff, 0xfe}), looksLikeUTF16(file, 1):
		return utf16(file, unicode.LittleEndian)
	case bytes.HasPrefix(file, []byte{0xfe, 0xff}), looksLikeUTF16(file, 0):
		return utf16(file, unicode.BigEndian)
	}
	text := string(bytes.TrimPrefix(file, []byte("\ufeff")))
	if !utf8.ValidString(text) {
		var err error
		if text, err = charmap.Windows1252.NewDecoder().String(text); err != nil {
			return "", fault.Wrap(err, fault.Malformed, "The file is no text.")
		}
	}
	return checked(text)
}

func utf16(file []byte, order unicode.Endianness) (string, error) {
	text, err := unicode.UTF16(order, unicode.UseBOM).NewDecoder().Bytes(file)
	if err != nil {
		return "", fault.Wrap(err, fault.Malformed, "The file starts as UTF-16 but is not.")
	}
	return checked(string(text))
}

func checked(text string) (string, error) {
	if strings.ContainsRune(text, 0) {
		return "", fault.New(fault.Malformed, "The file holds NUL bytes: it is no CSV. Of an Excel workbook, export it as CSV.")
	}
	return text, nil
}

// looksLikeUTF16 reports whether the first bytes at odd (1) or even (0) places
// are zero, as those of Latin text in UTF-16 are.
func looksLikeUTF16(file []byte, at int) bool {
	const looked = 32
	if len(file) < looked || len(file)%2 != 0 {
		return false
	}
	zeros := 0
	for i := at; i < looked; i += 2 {
		if file[i] == 0 {
			zeros++
		}
	}
	return zeros > looked/2*3/4
}

// fields splits one line at delimiter as RFC 4180 says, but for line breaks in
// quotes: no column of these reports holds any, and a quote that is never closed
// must cost its own line only. problem says what is wrong with the line, "" for nothing.
func fields(line string, delimiter byte) (list []string, problem string) {
	if tooWide(line, delimiter) {
		return nil, fmt.Sprintf("The line has more than %d columns.", MaxColumns)
	}
	list, closed := split(line, delimiter)
	if !closed {
		return nil, "A quote is not closed on this line."
	}
	if slices.ContainsFunc(list, func(cell string) bool { return len(cell) > MaxField }) {
		return nil, fmt.Sprintf("The line has a cell of more than %d bytes.", MaxField)
	}
	return list, ""
}

// tooWide reports whether a line has too many columns, or as many delimiters inside
// its quotes, which no name has.
func tooWide(line string, delimiter byte) bool {
	return strings.Count(line, string(delimiter)) >= MaxColumns
}

// split returns a line's cells; false when a quote is not closed.
func split(line string, delimiter byte) (list []string, closed bool) {
	for {
		if !strings.HasPrefix(line, `"`) {
			field, rest, more := strings.Cut(line, string(delimiter))
			list = append(list, clean(field))
			if !more {
				return list, true
			}
			line = rest
			continue
		}
		var field strings.Builder
		line = line[1:]
		for {
			part, rest, closed := strings.Cut(line, `"`)
			if !closed {
				return nil, false
			}
			field.WriteString(part)
			line = rest
			if !strings.HasPrefix(line, `"`) {
				break
			}
			field.WriteByte('"')
			line = line[1:]
		}
		after, rest, more := strings.Cut(line, string(delimiter))
		list = append(list, clean(field.String()+after))
		if !more {
			return list, true
		}
		line = rest
	}
}

// clean trims a cell and makes its white space plain.
func clean(cell string) string {
	return strings.Join(strings.Fields(cell), " ") // Fields knows the no-break spaces too
}
