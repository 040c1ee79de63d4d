// Package csvbound bounds CSV files before they are taken apart. What a parser makes of
// a row takes 24 bytes a cell beside its text, so that four megabytes of commas, which
// are one row, become a hundred.
package csvbound

import "strings"

// WiderThan returns the line, from 1, on which the first row begins that has more than
// most cells. It takes rows apart as [encoding/csv] does with LazyQuotes, and
// keeps none of them. separator is one byte in UTF-8.
func WiderThan(text string, separator rune, most int) (line int, is bool) {
	ends := string(separator) + "\n"
	line, begun, cells := 1, 1, 1
	for {
		if strings.HasPrefix(text, `"`) {
			size := quoted(text, separator)
			line += strings.Count(text[:size], "\n")
			text = text[size:]
		}
		if cells > most {
			return begun, true
		}
		end := strings.IndexAny(text, ends)
		if end < 0 {
			return 0, false
		}
		cells++
		if text[end] == '\n' {
			line++
			begun, cells = line, 1
		}
		text = text[end+1:]
	}
}

// quoted is the length of the quoted cell that text begins with, its quotes included. A
// quote that neither is doubled nor ends the cell belongs to it.
func quoted(text string, separator rune) int {
	at := 1
	for {
		next := strings.IndexByte(text[at:], '"')
		if next < 0 {
			return len(text)
		}
		at += next + 1
		rest := text[at:]
		switch {
		case strings.HasPrefix(rest, `"`):
			at++
		case rest == "", rest == "\r", strings.HasPrefix(rest, string(separator)), strings.HasPrefix(rest, "\n"), strings.HasPrefix(rest, "\r\n"):
			return at
		}
	}
}
