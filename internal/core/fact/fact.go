package fact

import (
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/fault"
)

// Fact is something that became true at a service.
type Fact struct {
	// ID is the sender's, the same however often the fact is sent.
	ID       uuid.UUID
	DataType string // what kind of fact: "conversion"
	Source   string // the service it comes from: "madan-sara"
	// CustomerID is the customer it is about, "" for none.
	CustomerID string
	// Sequence orders the facts that a source tells of a customer: the greater is
	// the newer. 0 is not known, and older than any other.
	Sequence int64
	Data     json.RawMessage // a JSON object
	// OccurredAt is when it became true, to the microsecond.
	OccurredAt time.Time
}

// Limits of a fact.
const (
	MaxCustomerID = 320 // characters
	maxDepth      = 32  // of data
	maxDigits     = 64  // characters of a number in data
	maxExponent   = 308 // of a number in data
	earliestYear  = 2000
	// clocksDiffer is how far a sender's clock may be ahead.
	clocksDiffer = 24 * time.Hour
)

// name is the form of data types and sources.
var name = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,62}$`)

// normal returns the fact as it is stored, or what is wrong with it.
func (f Fact) normal(now time.Time) (Fact, error) {
	// PostgreSQL keeps microseconds; a fact that is sent again must be found equal.
	f.OccurredAt = f.OccurredAt.UTC().Truncate(time.Microsecond)
	switch {
	case f.ID == uuid.Nil:
		return f, fault.At("header.Idempotency-Key", f.ID.String(), "is no id")
	case !name.MatchString(f.DataType):
		return f, fault.At("path.data_type", f.DataType, "must match %s", name)
	case !name.MatchString(f.Source):
		return f, fault.At("body.source", f.Source, "must match %s", name)
	case utf8.RuneCountInString(f.CustomerID) > MaxCustomerID:
		return f, fault.At("body.customer_id", f.CustomerID, "must have at most %d characters", MaxCustomerID)
	case f.Sequence < 0:
		return f, fault.At("body.sequence", f.Sequence, "must not be negative")
	case f.Sequence > 0 && f.CustomerID == "":
		return f, fault.At("body.sequence", f.Sequence, "orders a customer's facts, and there is no customer_id")
	case f.OccurredAt.Year() < earliestYear || f.OccurredAt.After(now.Add(clocksDiffer)):
		return f, fault.At("body.timestamp", f.OccurredAt, "must lie between the year %d and a day from now", earliestYear)
	}
	return f, checkData(f.Data)
}

// checkData refuses what the database would refuse, or would blow up: nesting
// without end, and numbers such as 1e100000, which it writes out in full.
func checkData(data json.RawMessage) error {
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.UseNumber()
	depth := 0
	for first := true; ; first = false {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fault.At("body.data", nil, "is no JSON")
		}
		if first && token != json.Delim('{') {
			return fault.At("body.data", nil, "must be an object")
		}
		switch token := token.(type) {
		case json.Delim:
			if token == '{' || token == '[' {
				depth++
			} else {
				depth--
			}
			if depth > maxDepth {
				return fault.At("body.data", nil, "is nested deeper than %d", maxDepth)
			}
		case json.Number:
			if !ordinary(string(token)) {
				return fault.At("body.data", string(token), "holds a number of more than %d characters or with an exponent beyond %d", maxDigits, maxExponent)
			}
		}
	}
}

func ordinary(number string) bool {
	if len(number) > maxDigits {
		return false
	}
	_, exponent, _ := strings.Cut(strings.ToLower(number), "e")
	exponent = strings.TrimLeft(strings.TrimLeft(exponent, "+-"), "0")
	return len(exponent) < 3 || len(exponent) == 3 && exponent <= "308"
}

// Namespaces of the ids of facts that come without a UUID.
var (
	namedFacts   = uuid.MustParse("6f1d0c8e-5b0a-5e7e-9d5c-0b6f0a3f7c11")
	unnamedFacts = uuid.MustParse("6f1d0c8e-5b0a-5e7e-9d5c-0b6f0a3f7c12")
)

// idOf returns the id that a sender's idempotency key stands for: itself when it
// is a UUID, else one made of it. A fact without a key is known by its content,
// so that a sender who knows nothing of keys may repeat itself too.
func idOf(key string, f Fact) uuid.UUID {
	if len(key) == len(uuid.Nil.String()) {
		if id, err := uuid.Parse(key); err == nil && id != uuid.Nil {
			return id
		}
	}
	if key != "" {
		return uuid.NewSHA1(namedFacts, []byte(key))
	}
	content, _ := json.Marshal([]any{f.DataType, f.CustomerID, f.Sequence, f.OccurredAt, canonical(f.Data)}) // strings, numbers and times always marshal
	return uuid.NewSHA1(unnamedFacts, content)
}

// canonical is data without what its sender may write differently the next
// time: white space, the order of keys, the escapes of strings.
func canonical(data json.RawMessage) any {
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return string(data)
	}
	return value
}
