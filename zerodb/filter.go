package zerodb

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Filter says which memories of a tenant are meant. All of its parts must hold;
// a zero part holds for every memory. [Filter.Match] is the meaning that every
// back end must give it.
type Filter struct {
	Audience Audience
	Types    []Type      // one of these
	IDs      []uuid.UUID // one of these
	Agents   []string    // stored by one of these
	Subject  string
	Lineage  uuid.UUID // versions of one memory
	// From and Before bound ValidFrom: not before From, and before Before.
	From, Before time.Time
	Where        []Condition // on the metadata
	// AsOf asks for what held at that time, by what is known now. Zero is now.
	// Working and short-term memories are replaced in place, so their past is not kept.
	AsOf time.Time
	// History includes every version whenever it held; AsOf does not count.
	History bool
	// NotModel asks for memories whose Model is another: those to embed.
	NotModel string
	// Expired asks for memories whose time has passed, which nothing else returns.
	Expired bool
}

// Match reports whether m is meant at the time now.
func (f *Filter) Match(m *Memory, now time.Time) bool {
	if !f.Audience.Sees(m.Scope) ||
		len(f.Types) > 0 && !slices.Contains(f.Types, m.Type) ||
		len(f.IDs) > 0 && !slices.Contains(f.IDs, m.ID) ||
		len(f.Agents) > 0 && !slices.Contains(f.Agents, m.Agent) ||
		f.Subject != "" && m.Subject != f.Subject ||
		f.Lineage != uuid.Nil && m.Lineage != f.Lineage ||
		f.NotModel != "" && m.Model == f.NotModel ||
		!f.From.IsZero() && m.ValidFrom.Before(f.From) ||
		!f.Before.IsZero() && !m.ValidFrom.Before(f.Before) {
		return false
	}
	if f.Expired != m.Expired(now) || !f.Holds(m, now) {
		return false
	}
	for i := range f.Where {
		if !f.Where[i].Match(m.Metadata) {
			return false
		}
	}
	return true
}

// Holds reports whether m was valid at the time the filter asks about.
func (f *Filter) Holds(m *Memory, now time.Time) bool {
	if f.History || f.Expired {
		return true
	}
	at := f.AsOf
	if at.IsZero() {
		at = now
	}
	return !m.ValidFrom.After(at) && (m.ValidUntil.IsZero() || m.ValidUntil.After(at))
}

// Expired reports whether the memory's time has passed at now.
func (m *Memory) Expired(now time.Time) bool {
	return !m.ExpiresAt.IsZero() && !m.ExpiresAt.After(now)
}

// Op is how a [Condition] compares.
type Op string

// The operators. A value that is a list matches when one of its elements does.
const (
	OpEq      Op = "eq"      // equal to Value: a string, a bool or a number
	OpIn      Op = "in"      // equal to one of Values
	OpRange   Op = "range"   // from Min to Max, each included, each optional
	OpExists  Op = "exists"  // there and not null
	OpMissing Op = "missing" // not there, or null
)

// Condition is a condition on one metadata value.
type Condition struct {
	// Path names the value: "tier", or "address.city" inside objects. A key that
	// has a dot in it can be stored but not asked for.
	Path   string `json:"path"`
	Op     Op     `json:"op"`
	Value  any    `json:"value,omitempty"`  // OpEq: string, bool, or a number
	Values []any  `json:"values,omitempty"` // OpIn: up to 100 of those
	// Min and Max are numbers, for values that are numbers, or [time.Time], for
	// values that are RFC 3339 texts. Both of one kind, at least one of them.
	Min any `json:"min,omitempty"`
	Max any `json:"max,omitempty"`
}

// Eq is the condition that the value at path equals value.
func Eq(path string, value any) Condition { return Condition{Path: path, Op: OpEq, Value: value} }

// In is the condition that the value at path equals one of values.
func In(path string, values ...any) Condition {
	return Condition{Path: path, Op: OpIn, Values: values}
}

// Range is the condition that the value at path lies from lowest to highest; nil is no bound.
func Range(path string, lowest, highest any) Condition {
	return Condition{Path: path, Op: OpRange, Min: lowest, Max: highest}
}

// Exists is the condition that there is a value at path.
func Exists(path string) Condition { return Condition{Path: path, Op: OpExists} }

// Missing is the condition that there is no value at path.
func Missing(path string) Condition { return Condition{Path: path, Op: OpMissing} }

// Match reports whether metadata fulfils the condition.
func (c *Condition) Match(metadata Metadata) bool {
	value, found := metadata.at(c.Path)
	switch c.Op {
	case OpExists:
		return found
	case OpMissing:
		return !found
	}
	if list, ok := value.([]any); ok {
		return slices.ContainsFunc(list, c.matchOne)
	}
	return found && c.matchOne(value)
}

func (c *Condition) matchOne(value any) bool {
	switch c.Op {
	case OpEq:
		return scalarEqual(value, c.Value)
	case OpIn:
		return slices.ContainsFunc(c.Values, func(v any) bool { return scalarEqual(value, v) })
	case OpRange:
		return inRange(value, c.Min, c.Max)
	default:
		return false
	}
}

func scalarEqual(a, b any) bool {
	switch a.(type) {
	case string, bool, float64:
		return a == b
	default:
		return false
	}
}

func inRange(value, lowest, highest any) bool {
	switch v := value.(type) {
	case float64:
		lo, isLo := lowest.(float64)
		hi, isHi := highest.(float64)
		return (isLo || isHi) && (!isLo || v >= lo) && (!isHi || v <= hi)
	case string:
		lo, isLo := lowest.(time.Time)
		hi, isHi := highest.(time.Time)
		if !isLo && !isHi {
			return false
		}
		t, err := time.Parse(time.RFC3339Nano, v)
		// Go alone takes a comma before the fraction, which RFC 3339 does not know.
		return err == nil && !strings.Contains(v, ",") && (!isLo || !t.Before(lo)) && (!isHi || !t.After(hi))
	default:
		return false
	}
}

// Checked returns the condition with its values in the types of stored metadata,
// or says why it has no meaning. [Condition.Match] and back ends take checked
// conditions; the calls of a [Tenant] check those they are given.
func Checked(c Condition) (Condition, error) {
	err := c.check(0)
	return c, err
}

// check brings the condition's values into the types of stored metadata and
// refuses what has no meaning.
func (c *Condition) check(i int) error {
	field := fmt.Sprintf("where[%d]", i)
	if c.Path == "" || len(c.Path) > 500 || strings.Contains(c.Path, "..") || strings.HasPrefix(c.Path, ".") || strings.HasSuffix(c.Path, ".") {
		return invalid(field+".path", "give the path of a metadata value, such as tier or address.city")
	}
	var err error
	switch c.Op {
	case OpEq:
		c.Value, err = scalar(field+".value", c.Value)
	case OpIn:
		err = c.checkIn(field)
	case OpRange:
		err = c.checkRange(field)
	case OpExists, OpMissing:
	default:
		err = invalid(field+".op", fmt.Sprintf("unknown operator %.40q: use eq, in, range, exists or missing", c.Op))
	}
	return err
}

func (c *Condition) checkIn(field string) error {
	if len(c.Values) == 0 || len(c.Values) > 100 {
		return invalid(field+".values", "give between 1 and 100 values")
	}
	values := make([]any, len(c.Values))
	for i, v := range c.Values {
		var err error
		if values[i], err = scalar(fmt.Sprintf("%s.values[%d]", field, i), v); err != nil {
			return err
		}
	}
	c.Values = values
	return nil
}

func (c *Condition) checkRange(field string) error {
	kind := func(name string, bound any) (any, string, error) {
		switch b := bound.(type) {
		case nil:
			return nil, "", nil
		case time.Time:
			return b.UTC(), "time", nil
		default:
			number, err := scalar(field+"."+name, b)
			if _, ok := number.(float64); err == nil && !ok {
				err = invalid(field+"."+name, "give a number or a time")
			}
			return number, "number", err
		}
	}
	lowest, lowKind, err := kind("min", c.Min)
	if err != nil {
		return err
	}
	highest, highKind, err := kind("max", c.Max)
	if err != nil {
		return err
	}
	if lowKind == "" && highKind == "" || lowKind != "" && highKind != "" && lowKind != highKind {
		return invalid(field, "a range needs min or max, both numbers or both times")
	}
	c.Min, c.Max = lowest, highest
	return nil
}

func (f *Filter) check() error {
	for _, t := range f.Types {
		if _, err := ParseType(string(t)); err != nil {
			return err
		}
	}
	if len(f.Where) > 20 {
		return invalid("where", "give at most 20 conditions")
	}
	f.Where = slices.Clone(f.Where)
	for i := range f.Where {
		if err := f.Where[i].check(i); err != nil {
			return err
		}
	}
	return nil
}
