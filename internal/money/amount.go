package money

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Why a decimal is not an amount. Parse wraps them with the text and currency.
var (
	ErrSyntax   = errors.New("not a decimal number")
	ErrOverflow = errors.New("too large an amount")
	ErrCurrency = errors.New("not an ISO 4217 currency")
)

// MaxTextLength bounds the decimals Parse reads, in bytes.
const MaxTextLength = 64

// Amount is a sum of money. Minor counts the currency's minor unit (cents) and
// is negative for money given back.
type Amount struct {
	Minor    int64
	Currency string // ISO 4217, capital letters
}

// Parse reads a decimal in JSON's number syntax ("19.90", "-3", "1.5e3") as an
// amount of currency.
//
// Decimals beyond the minor unit are rounded half to even, once, on the exact
// text. They are not refused: shops add up prices in JavaScript, send
// 59.970000000000006, and refusing it would lose a real order over a
// ten-billionth of a cent.
func Parse(text, currency string) (Amount, error) {
	exponent, known := Exponent(currency)
	if !known {
		return Amount{}, fmt.Errorf("%w: %.8q", ErrCurrency, currency)
	}
	minor, err := parseMinor(text, exponent)
	if err != nil {
		return Amount{}, fmt.Errorf("%w: %.64q", err, text)
	}
	return Amount{Minor: minor, Currency: currency}, nil
}

// ParseJSON is Parse for a JSON value that is a number or a string holding one.
func ParseJSON(raw json.RawMessage, currency string) (Amount, error) {
	text := strings.TrimSpace(string(raw))
	if strings.HasPrefix(text, `"`) {
		var unquoted string
		if err := json.Unmarshal(raw, &unquoted); err != nil {
			return Amount{}, fmt.Errorf("%w: %.64q", ErrSyntax, text)
		}
		text = strings.TrimSpace(unquoted)
	}
	return Parse(text, currency)
}

// String writes the amount for people of any locale: "1234.50 USD".
func (a Amount) String() string {
	if a.Currency == "" {
		return a.Decimal()
	}
	return a.Decimal() + " " + a.Currency
}

// Decimal writes the amount's number in JSON's syntax, with all the decimals of
// its currency: "1234.50".
func (a Amount) Decimal() string {
	exponent := exponents[a.Currency]
	digits := strconv.FormatInt(a.Minor, 10)
	if exponent == 0 {
		return digits
	}
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	if missing := exponent + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	point := len(digits) - exponent
	return sign + digits[:point] + "." + digits[point:]
}

// decimal is (-1)^negative * 0.digits * 10^point, as written.
type decimal struct {
	negative bool
	digits   string
	point    int
}

func parseMinor(text string, exponent int) (int64, error) {
	d, err := scan(text)
	if err != nil {
		return 0, err
	}
	d.point += exponent
	leading := len(d.digits) - len(strings.TrimLeft(d.digits, "0"))
	d.digits, d.point = d.digits[leading:], d.point-leading
	const most = 19 // digits of an int64
	switch {
	case d.digits == "" || d.point < 0:
		return 0, nil // zero, or less than a tenth of a minor unit
	case d.point > most:
		return 0, ErrOverflow
	case d.point > len(d.digits):
		d.digits += strings.Repeat("0", d.point-len(d.digits))
	}
	whole, rest := d.digits[:d.point], d.digits[d.point:]
	if d.negative {
		whole = "-" + whole
	}
	minor, err := strconv.ParseInt(orZero(whole), 10, 64)
	if err != nil {
		return 0, ErrOverflow
	}
	if !roundsAway(whole, rest) {
		return minor, nil
	}
	step := int64(1)
	if d.negative {
		step = -1
	}
	if (minor+step > minor) != (step > 0) {
		return 0, ErrOverflow
	}
	return minor + step, nil
}

func orZero(digits string) string {
	if digits == "" || digits == "-" {
		return "0"
	}
	return digits
}

// roundsAway reports whether whole.rest rounds away from zero, half to even.
func roundsAway(whole, rest string) bool {
	if rest == "" || rest[0] < '5' {
		return false
	}
	if rest[0] > '5' || strings.Trim(rest[1:], "0") != "" {
		return true
	}
	last := orZero(whole)
	return (last[len(last)-1]-'0')%2 == 1
}

// scan reads JSON's number syntax; leading zeros are let through ("007.50").
func scan(text string) (decimal, error) {
	if len(text) > MaxTextLength {
		return decimal{}, ErrSyntax
	}
	d := decimal{negative: strings.HasPrefix(text, "-")}
	if d.negative {
		text = text[1:]
	}
	whole, rest := leadingDigits(text)
	fraction := ""
	if strings.HasPrefix(rest, ".") {
		fraction, rest = leadingDigits(rest[1:])
		if fraction == "" {
			return decimal{}, ErrSyntax
		}
	}
	if whole == "" {
		return decimal{}, ErrSyntax
	}
	d.digits, d.point = whole+fraction, len(whole)
	if rest == "" {
		return d, nil
	}
	if rest[0] != 'e' && rest[0] != 'E' {
		return decimal{}, ErrSyntax
	}
	power, err := scanPower(rest[1:])
	d.point += power
	return d, err
}

func leadingDigits(text string) (digits, rest string) {
	rest = strings.TrimLeft(text, "0123456789")
	return text[:len(text)-len(rest)], rest
}

func scanPower(text string) (int, error) {
	digits := strings.TrimPrefix(text, "-")
	negative := len(digits) < len(text)
	if !negative {
		digits = strings.TrimPrefix(text, "+")
	}
	if number, rest := leadingDigits(digits); number == "" || rest != "" {
		return 0, ErrSyntax
	}
	power, err := strconv.Atoi(digits)
	// No text of MaxTextLength needs a larger power to be an amount, so larger
	// ones all come to the same: nothing, or too much.
	const huge = 1000
	if err != nil || power > huge {
		power = huge
	}
	if negative {
		power = -power
	}
	return power, nil
}
