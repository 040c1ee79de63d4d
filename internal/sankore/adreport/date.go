package adreport

import (
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode"
)

var errNoDate = errors.New("is not a date such as 2026-03-01")

// Order says which of two numbers comes first in a date such as 03/04/2026.
type Order string

// The orders of a day and a month.
const (
	DayMonth Order = "dmy"
	MonthDay Order = "mdy"
)

// Years that a report can be of; the platforms are not older.
const (
	minYear = 2000
	maxYear = 2200
)

// monthWords are how months are named and abbreviated; a word that two
// languages share means the same month in both.
var monthWords = func() map[string]time.Month {
	words := make(map[string]time.Month)
	for _, year := range []string{
		"january february march april may june july august september october november december",
		"jan feb mar apr may jun jul aug sep oct nov dec",
		"januar februar märz april mai juni juli august september oktober november dezember",
		"jän feber mrz apr mai jun jul aug sept okt nov dez",
		"janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
		"janv févr mars avr mai juin juil août sept oct nov déc",
		"enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
		"ene feb mar abr may jun jul ago set oct nov dic",
		"janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
		"jan fev mar abr mai jun jul ago set out nov dez",
		"gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
		"gen feb mar apr mag giu lug ago set ott nov dic",
	} {
		for i, word := range strings.Fields(year) {
			words[word] = time.Month(i + 1)
		}
	}
	return words
}()

// looseDate is a date as it was written: either all is known, or which of two
// numbers is the month is not.
type looseDate struct {
	year, month, day int // month 0 when first and second are still to be told apart
	first, second    int
}

// readDate takes a date apart: ISO, numbers with a year at the end, or words.
func readDate(cell string) (looseDate, error) {
	if len(cell) > 10 && cell[10] == 'T' { // RFC 3339
		cell = cell[:10]
	}
	numbers, yearFirst, month := parts(cell)
	switch {
	case len(numbers) == 1 && month == 0 && numbers[0] >= minYear*10000: // 20260301
		return known(numbers[0]/10000, numbers[0]/100%100, numbers[0]%100)
	case len(numbers) == 2 && month > 0 && yearFirst:
		return known(numbers[0], month, numbers[1])
	case len(numbers) == 2 && month > 0:
		return known(century(numbers[1]), month, numbers[0])
	case len(numbers) == 3 && yearFirst:
		return known(numbers[0], numbers[1], numbers[2])
	case len(numbers) == 3:
		return loose(century(numbers[2]), numbers[0], numbers[1])
	}
	return looseDate{}, errNoDate
}

// parts returns a date's numbers, whether the first has four digits, and the
// month that a word names, 0 for none. What follows a whole date is the time of
// day, "2026-03-01 00:00:00", and left out.
func parts(cell string) (numbers []int, yearFirst bool, month int) {
	for token := range strings.FieldsFuncSeq(strings.ToLower(cell), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if m, is := monthWords[token]; is && month == 0 && len(numbers) < 3 {
			month = int(m)
		}
		if !isDigits(token) || len(token) > 8 {
			continue
		}
		if len(numbers) == 3 || (month > 0 && len(numbers) == 2) {
			break
		}
		n, err := strconv.Atoi(token)
		if err != nil {
			continue
		}
		yearFirst = yearFirst || (len(numbers) == 0 && len(token) == 4)
		numbers = append(numbers, n)
	}
	if len(numbers) == 3 {
		month = 0
	}
	return numbers, yearFirst, month
}

func isDigits(token string) bool { return strings.Trim(token, "0123456789") == "" }

func century(year int) int {
	if year < 100 {
		return 2000 + year
	}
	return year
}

func known(year, month, day int) (looseDate, error) {
	if !exists(year, month, day) {
		return looseDate{}, errNoDate
	}
	return looseDate{year: year, month: month, day: day}, nil
}

func loose(year, first, second int) (looseDate, error) {
	dayFirst, monthFirst := exists(year, second, first), exists(year, first, second)
	switch {
	case first == second && dayFirst:
		return looseDate{year: year, month: first, day: first}, nil
	case !dayFirst && !monthFirst:
		return looseDate{}, errNoDate
	}
	return looseDate{year: year, first: first, second: second}, nil
}

func exists(year, month, day int) bool {
	if year < minYear || year > maxYear || month < 1 || month > 12 || day < 1 {
		return false
	}
	return day <= time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// order returns which order a date can only have, "" when both are possible
// or it is known anyway.
func (d looseDate) order() Order {
	switch {
	case d.month > 0:
		return ""
	case d.first > 12:
		return DayMonth
	case d.second > 12:
		return MonthDay
	}
	return ""
}

// in returns the day, at midnight UTC.
func (d looseDate) in(order Order) (time.Time, error) {
	if d.month == 0 {
		d.day, d.month = d.first, d.second
		if order == MonthDay {
			d.day, d.month = d.second, d.first
		}
	}
	if !exists(d.year, d.month, d.day) {
		return time.Time{}, errNoDate
	}
	return time.Date(d.year, time.Month(d.month), d.day, 0, 0, 0, 0, time.UTC), nil
}
