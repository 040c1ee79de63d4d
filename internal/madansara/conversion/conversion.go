package conversion

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/money"
)

// Bounds of a conversion.
const (
	maxName       = 200       // characters
	maxExternalID = 255       // characters
	maxProperties = 32 * 1024 // bytes, as for any event
	// maxRevenue keeps the sums of a year far from the end of an int64, whoever
	// holds a page's public write key; ten trillion dollars are enough.
	maxRevenue = 1_000_000_000_000_000 // minor units
)

// Conversion is one conversion to record. At least one of VisitorUUID and
// ContactUUID should be known: without a person it has no journey.
type Conversion struct {
	Name string // what was reached, "Order Completed"; 1 to 200 characters
	// ExternalID is the order's own number, or the message's id when there is
	// none: (Name, ExternalID) is recorded once. A refund's own number or the
	// message's id, for an order may be refunded in parts. 1 to 255 characters.
	ExternalID string
	// RefundOf is the number of the order that a refund gives money back for; at
	// most 255 characters. Empty is the refund's ExternalID. Only for a refund.
	RefundOf    string
	VisitorUUID *uuid.UUID
	ContactUUID *uuid.UUID
	SessionUUID *uuid.UUID
	// Amount is the revenue. The empty currency is the tenant's own and only
	// for no revenue. Negative only for a refund (see IsRefund), whose sum is
	// recorded as negative whichever sign it comes with. At most 10^15 minor units.
	Amount     money.Amount
	Properties json.RawMessage // an object of at most 32 KB; nil is none
	OccurredAt time.Time
	ReceivedAt time.Time
}

// Recorded says what became of one conversion.
type Recorded struct {
	ConversionUUID uuid.UUID
	New            bool // false: it had been recorded before
}

// IsRefund reports whether a conversion of that name gives money back, as
// Segment's "Order Refunded" does.
func IsRefund(name string) bool {
	return strings.Contains(strings.ToLower(name), "refund")
}

// Validate reports the first thing that RecordTx would refuse. A caller that
// shares a transaction between many requests calls it before, for each one, so
// that one bad conversion does not fail the others. The fields it names are the
// conversion's own ("revenue"); the caller knows where they stand in its request.
func (c Conversion) Validate() error {
	switch {
	case !storable(c.Name, maxName):
		return fault.At("name", nil, "must be 1 to %d characters of UTF-8 without NUL", maxName)
	case !storable(c.ExternalID, maxExternalID):
		return fault.At("external_id", nil, "must be 1 to %d characters of UTF-8 without NUL", maxExternalID)
	case c.RefundOf != "" && !storable(c.RefundOf, maxExternalID):
		return fault.At("order_id", nil, "must be 1 to %d characters of UTF-8 without NUL", maxExternalID)
	case c.RefundOf != "" && !IsRefund(c.Name):
		return fault.At("refund_id", nil, "is for a refund, whose name says so")
	case c.Amount.Minor < 0 && !IsRefund(c.Name):
		return fault.At("revenue", c.Amount.Decimal(), "may be negative only for a refund")
	case c.Amount.Minor > maxRevenue || c.Amount.Minor < -maxRevenue:
		return fault.At("revenue", c.Amount.Decimal(), "is more than a conversion can earn")
	case c.Amount.Currency == "" && c.Amount.Minor != 0:
		return fault.At("currency", nil, "is needed with revenue")
	case len(c.Properties) > maxProperties:
		return fault.At("properties", nil, "must be at most %d bytes", maxProperties)
	case c.OccurredAt.IsZero() || c.ReceivedAt.IsZero():
		return fault.At("occurred_at", nil, "is needed")
	}
	if c.Amount.Currency != "" {
		if _, known := money.Exponent(c.Amount.Currency); !known {
			return fault.At("currency", c.Amount.Currency, "must be an ISO 4217 code such as USD")
		}
	}
	if len(c.Properties) > 0 && !isStorableObject(c.Properties) {
		return fault.At("properties", nil, "must be a JSON object of UTF-8 without NUL")
	}
	return nil
}

func storable(text string, most int) bool {
	return text != "" && len(text) <= 4*most && utf8.ValidString(text) && utf8.RuneCountInString(text) <= most &&
		!strings.ContainsRune(text, 0)
}

// isStorableObject reports whether PostgreSQL's jsonb takes raw as an object. It
// refuses NUL and half surrogate pairs, which JSON can escape, and numbers
// beyond its numeric type; decoding refuses the last and mends the second.
func isStorableObject(raw json.RawMessage) bool {
	if !utf8.Valid(raw) {
		return false
	}
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil || object == nil {
		return false
	}
	return !holdsUnstorableEscape(raw)
}

// holdsUnstorableEscape looks for \u0000 and for surrogates that are not a pair
// in valid JSON.
func holdsUnstorableEscape(raw []byte) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		i++ // valid JSON has a character after a backslash
		if raw[i] != 'u' {
			continue
		}
		switch kind := escapeKind(raw[i+1:]); kind {
		case escapedNUL, escapedLow:
			return true
		case escapedHigh:
			i += 4
			if i+6 >= len(raw) || raw[i+1] != '\\' || raw[i+2] != 'u' || escapeKind(raw[i+3:]) != escapedLow {
				return true
			}
			i += 6
		case escapedOther:
			i += 4
		}
	}
	return false
}

type escape int

const (
	escapedOther escape = iota
	escapedNUL
	escapedHigh
	escapedLow
)

// escapeKind classifies the four hexadecimal digits at the start of digits.
func escapeKind(digits []byte) escape {
	code := strings.ToLower(string(digits[:4]))
	switch {
	case code == "0000":
		return escapedNUL
	case code >= "d800" && code < "dc00":
		return escapedHigh
	case code >= "dc00" && code < "e000":
		return escapedLow
	}
	return escapedOther
}
