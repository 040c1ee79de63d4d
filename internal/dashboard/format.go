package dashboard

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/engardehq/madansara/internal/madansara/contact"
	"github.com/engardehq/madansara/internal/madansara/conversion"
	"github.com/engardehq/madansara/internal/money"
)

// count writes n with thousands separators.
func count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	return sign + groupThousands(digits)
}

func groupThousands(digits string) string {
	var out strings.Builder
	for i, digit := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			out.WriteByte(',')
		}
		out.WriteRune(digit)
	}
	return out.String()
}

// symbols of the currencies whose symbol is unmistakable; others show their code.
var symbols = map[string]string{"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹", "NGN": "₦", "BRL": "R$"}

// amount writes minor units of currency for people: "$1,234.50", "HTG 1,234.50".
func amount(minor int64, currency string) string {
	decimal := money.Amount{Minor: minor, Currency: currency}.Decimal()
	sign := ""
	if strings.HasPrefix(decimal, "-") {
		sign, decimal = "−", decimal[1:]
	}
	whole, fraction, hasFraction := strings.Cut(decimal, ".")
	text := groupThousands(whole)
	if hasFraction {
		text += "." + fraction
	}
	if symbol, known := symbols[currency]; known {
		return sign + symbol + text
	}
	return sign + currency + "\u00a0" + text
}

// fractional writes credited conversions: whole where they are, else one decimal.
func fractional(n float64) string {
	if rounded := math.Round(n); math.Abs(n-rounded) < 0.005 {
		return count(int64(rounded))
	}
	if n < 10 {
		return strconv.FormatFloat(n, 'f', 2, 64)
	}
	whole, fraction, _ := strings.Cut(strconv.FormatFloat(n, 'f', 1, 64), ".")
	return groupThousands(whole) + "." + fraction
}

// percent writes part/whole with one decimal; "–" for a part of nothing.
func percent(part, whole int64) string {
	if whole == 0 {
		return "–"
	}
	return strconv.FormatFloat(100*float64(part)/float64(whole), 'f', 1, 64) + "%"
}

// share writes a part of one as a percentage; "–" when there is none.
func share(part *float64) string {
	if part == nil {
		return "–"
	}
	return strconv.FormatFloat(100**part, 'f', 1, 64) + "%"
}

// plural writes "1 message", "2,000 messages".
func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

// ago writes how long before now t was, as people say it.
func ago(t, now time.Time) string {
	switch passed := now.Sub(t); {
	case passed < time.Minute:
		return "just now"
	case passed < time.Hour:
		return fmt.Sprintf("%d min ago", int(passed.Minutes()))
	case passed < 24*time.Hour:
		return fmt.Sprintf("%d h ago", int(passed.Hours()))
	case passed < 7*24*time.Hour:
		return plural(int64(passed.Hours()/24), "day", "days") + " ago"
	case t.Year() == now.Year():
		return t.Format("2 Jan")
	default:
		return t.Format("2 Jan 2006")
	}
}

// lasting writes a session's length.
func lasting(d time.Duration) string {
	switch {
	case d < time.Second:
		return "a moment"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	default:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
}

// channelName writes a channel as people call it.
func channelName(channel string) string {
	switch channel {
	case "":
		return "–"
	case "email":
		return "Email"
	case "organic_search":
		return "Organic search"
	case "paid_search":
		return "Paid search"
	default:
		words := strings.ReplaceAll(channel, "_", " ")
		return strings.ToUpper(words[:1]) + words[1:]
	}
}

// personName is how a contact is listed: by name, else by address.
func personName(first, last, email string) string {
	if name := strings.TrimSpace(first + " " + last); name != "" {
		return name
	}
	if email != "" {
		return email
	}
	return "Unnamed customer"
}

func contactName(c contact.Contact) string {
	return personName(c.FirstName, c.LastName, emailOf(c))
}

func emailOf(c contact.Contact) string {
	if c.Email == nil {
		return ""
	}
	return *c.Email
}

// touchChannel writes the channel of a conversion's last touch.
func touchChannel(channel string) string {
	if channel == "" {
		channel = conversion.Unattributed
	}
	return channelName(channel)
}

// initials are the one or two letters of a contact's picture.
func initials(name string) string {
	var letters []rune
	for word := range strings.FieldsSeq(name) {
		letters = append(letters, []rune(strings.ToUpper(word))[0])
		if len(letters) == 2 || strings.Contains(word, "@") {
			break
		}
	}
	return string(letters)
}
