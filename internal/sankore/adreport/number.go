package adreport

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/engardehq/madansara/internal/money"
)

var (
	errNoNumber = errors.New("is not a number")
	errNegative = errors.New("must not be negative")
	errTooLarge = errors.New("is more than an advertising day can hold")
	// errBounded is a number that the platform does not tell exactly, "< 10".
	errBounded = errors.New("is not told exactly")
)

// Bounds of one row, far beyond any account's: their sums stay inside an int64.
const (
	maxCount = 1_000_000_000_000
	maxMinor = 1_000_000_000_000_000
)

// IsCurrency reports whether code is an ISO 4217 currency in capital letters.
func IsCurrency(code string) bool {
	_, known := money.Exponent(code)
	return known
}

// nothing reports whether a cell says that there is no value.
func nothing(cell string) bool {
	switch strings.ToLower(cell) {
	case "", "-", "--", "—", "–", "n/a":
		return true
	}
	return false
}

// bare takes white space, currencies, percent signs and Switzerland's grouping
// off a number: "R$ 1.204,50" is "1.204,50", "CHF 1'204.50" is "1204.50".
func bare(cell string) string {
	cell = strings.Map(func(r rune) rune {
		switch {
		case r == '\u2212': // the minus sign proper
			return '-'
		case unicode.IsSpace(r), r == '\'', r == '’', r == '%', unicode.Is(unicode.Sc, r), unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, cell)
	return strings.TrimFunc(cell, unicode.IsLetter)
}

// marks are which of point and comma is the decimal one, from the cells seen.
type marks struct{ point, comma int }

// see counts what a cell says about it; whole is whether its column counts.
func (m *marks) see(cell string, whole bool) {
	cell = bare(cell)
	points, commas := strings.Count(cell, "."), strings.Count(cell, ",")
	vote := func(comma bool) {
		if comma {
			m.comma++
		} else {
			m.point++
		}
	}
	switch {
	case points == 0 && commas == 0:
	case points > 0 && commas > 0:
		vote(strings.LastIndexByte(cell, ',') > strings.LastIndexByte(cell, '.'))
	case points > 1 || commas > 1:
		vote(points > 1) // what stands twice groups thousands
	default:
		before, after, isPoint := strings.Cut(cell, ".")
		if !isPoint {
			before, after, _ = strings.Cut(cell, ",")
		}
		groups := len(after) == 3 && before != "" && before != "0"
		switch {
		case !groups:
			vote(!isPoint)
		case whole:
			vote(isPoint)
		}
	}
}

// decimal returns the decimal mark, the language's own when nothing tells.
func (m *marks) decimal(language string) byte {
	switch {
	case m.point > m.comma:
		return '.'
	case m.comma > m.point:
		return ','
	case language == "en":
		return '.'
	}
	return ','
}

// Groups are of three digits, in India of two but for the last.
var grouped = regexp.MustCompile(`^-?\d{1,3}(?:[.,]\d{2,3})*[.,]\d{3}$`)

// normalise writes a number as JSON would. errBounded for "< 10".
func normalise(cell string, decimal byte) (string, error) {
	cell = bare(cell)
	if strings.HasPrefix(cell, "<") || strings.HasPrefix(cell, ">") {
		return "", errBounded
	}
	whole, fraction, _ := strings.Cut(cell, string(decimal))
	if strings.ContainsAny(whole, ".,") {
		if !grouped.MatchString(whole) {
			return "", errNoNumber
		}
		whole = strings.NewReplacer(".", "", ",", "").Replace(whole)
	}
	digits := strings.TrimPrefix(whole, "-")
	if strings.Trim(digits, "0123456789") != "" || strings.Trim(fraction, "0123456789") != "" || digits+fraction == "" {
		return "", errNoNumber
	}
	if digits == "" {
		whole += "0"
	}
	if fraction == "" {
		return whole, nil
	}
	return whole + "." + fraction, nil
}

// count reads how often something happened.
func count(cell string, decimal byte) (int64, error) {
	text, err := normalise(cell, decimal)
	if err != nil {
		return 0, err
	}
	whole, fraction, _ := strings.Cut(text, ".")
	if strings.Trim(fraction, "0") != "" {
		return 0, fmt.Errorf("%w: only whole things are counted", errNoNumber)
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	switch {
	case err != nil || n > maxCount:
		return 0, errTooLarge
	case n < 0:
		return 0, errNegative
	}
	return n, nil
}

// quantity reads conversions, which attribution divides: "2.33".
func quantity(cell string, decimal byte) (float64, error) {
	text, err := normalise(cell, decimal)
	if err != nil {
		return 0, err
	}
	x, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || math.Abs(x) > maxCount:
		return 0, errTooLarge
	case x < 0:
		return 0, errNegative
	}
	return x, nil
}

// amount reads money.
func amount(cell string, decimal byte, currency string) (int64, error) {
	text, err := normalise(cell, decimal)
	if err != nil {
		return 0, err
	}
	sum, err := money.Parse(text, currency)
	switch {
	case errors.Is(err, money.ErrOverflow), err == nil && sum.Minor > maxMinor:
		return 0, errTooLarge
	case err != nil:
		return 0, errNoNumber
	case sum.Minor < 0:
		return 0, errNegative
	}
	return sum.Minor, nil
}
