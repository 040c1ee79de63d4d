package segment

import (
	"encoding/json"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/fault"
)

// Bounds of one segment's rules, which keep its SQL small enough to plan.
const (
	MaxDepth = 6   // groups within groups
	MaxRules = 50  // groups and conditions together
	maxText  = 200 // characters of a name or value
	maxDays  = 3650
	maxTimes = 100_000
)

// Rule is a group of rules or one condition: exactly one of its fields is set.
type Rule struct {
	All        []Rule      `json:"all,omitempty" maxItems:"50" doc:"Every rule holds"`
	Any        []Rule      `json:"any,omitempty" maxItems:"50" doc:"At least one rule holds"`
	Not        *Rule       `json:"not,omitempty" doc:"The rule does not hold"`
	Event      *Event      `json:"event,omitempty" doc:"The contact did something"`
	Conversion *Conversion `json:"conversion,omitempty" doc:"The contact converted"`
	Field      *Field      `json:"field,omitempty" doc:"A field or trait of the contact compares so"`
	Consent    *Consent    `json:"consent,omitempty" doc:"What the contact said about a channel"`
	Message    *Message    `json:"message,omitempty" doc:"What became of a campaign's message to the contact"`
	Visit      *Visit      `json:"visit,omitempty" doc:"The contact visited, coming from somewhere"`
	Created    *Created    `json:"created,omitempty" doc:"When the contact became known"`
}

// Event holds when the contact did the tracked event at least so often.
type Event struct {
	Name       string `json:"name" minLength:"1" maxLength:"200" doc:"The track call's event name" example:"Signed Up"`
	WithinDays int    `json:"within_days,omitempty" minimum:"0" maximum:"3650" doc:"Only the last so many days; 0 for ever"`
	AtLeast    int    `json:"at_least,omitempty" minimum:"0" maximum:"100000" doc:"Times; 0 means once"`
}

// Conversion holds when the contact converted at least so often.
type Conversion struct {
	Name       string `json:"name,omitempty" maxLength:"200" doc:"The conversion's name; empty for any"`
	WithinDays int    `json:"within_days,omitempty" minimum:"0" maximum:"3650" doc:"Only the last so many days; 0 for ever"`
	AtLeast    int    `json:"at_least,omitempty" minimum:"0" maximum:"100000" doc:"Times; 0 means once"`
}

// Operators of a Field.
const (
	Equal    = "eq"
	NotEqual = "ne" // holds as well when the field is missing
	Contains = "contains"
	Exists   = "exists" // present and not empty
	Greater  = "gt"
	Less     = "lt"
)

// Field compares one field of the contact with a value of the same type: a
// value of another type is not equal, and neither greater nor less.
type Field struct {
	Name  string `json:"name" minLength:"1" maxLength:"207" doc:"email, first_name, last_name, time_zone, or traits.<name>" example:"traits.plan"`
	Op    string `json:"op" enum:"eq,ne,contains,exists,gt,lt"`
	Value any    `json:"value,omitempty" doc:"Text, a number or true/false; gt and lt compare numbers, contains text"`
}

// Consent statuses; Unknown means that the contact never said anything.
const (
	Granted   = "granted"
	Withdrawn = "withdrawn"
	Unknown   = "unknown"
)

// Consent holds when the contact's latest word on the channel is Status.
type Consent struct {
	Channel string `json:"channel" minLength:"1" maxLength:"50" example:"email"`
	Status  string `json:"status" enum:"granted,withdrawn,unknown"`
}

// What became of a message.
const (
	Sent         = "sent"
	Opened       = "opened"
	Clicked      = "clicked"
	Unsubscribed = "unsubscribed"
)

// Message holds when a message to the contact, of one campaign or of any, came so far.
type Message struct {
	Campaign   uuid.UUID `json:"campaign_uuid,omitzero" format:"uuid" doc:"Of this campaign; left out: of any"`
	Did        string    `json:"did" enum:"sent,opened,clicked,unsubscribed"`
	WithinDays int       `json:"within_days,omitempty" minimum:"0" maximum:"3650" doc:"Only the last so many days; 0 for ever"`
}

// Visit holds when the contact had a session from that source and channel.
type Visit struct {
	Source     string `json:"source,omitempty" maxLength:"200" doc:"utm_source" example:"instagram"`
	Channel    string `json:"channel,omitempty" maxLength:"200" example:"social"`
	WithinDays int    `json:"within_days,omitempty" minimum:"0" maximum:"3650" doc:"Only the last so many days; 0 for ever"`
}

// Created holds when the contact became known at or after After and before Before.
type Created struct {
	After  time.Time `json:"after,omitzero" format:"date-time"`
	Before time.Time `json:"before,omitzero" format:"date-time"`
}

// Parse reads and validates rules as they are kept.
func Parse(raw []byte) (Rule, error) {
	var rule Rule
	if err := json.Unmarshal(raw, &rule); err != nil {
		return Rule{}, fault.Wrap(err, fault.Invalid, "The segment's rules cannot be read.")
	}
	return rule, rule.Validate()
}

// Validate returns a *fault.Error that names the first place which is wrong.
func (r Rule) Validate() error {
	count := 0
	return r.validate("body.rules", 1, &count)
}

func (r Rule) validate(at string, depth int, count *int) error {
	*count++
	if depth > MaxDepth {
		return fault.At(at, nil, "rules nest deeper than %d", MaxDepth)
	}
	if *count > MaxRules {
		return fault.At(at, nil, "a segment has at most %d rules, groups included", MaxRules)
	}
	if set := r.set(); len(set) != 1 {
		return fault.At(at, set, "a rule is exactly one of all, any, not, event, conversion, field, consent, message, visit, created")
	}
	switch {
	case r.All != nil:
		return validateGroup(at+".all", r.All, depth, count)
	case r.Any != nil:
		return validateGroup(at+".any", r.Any, depth, count)
	case r.Not != nil:
		return r.Not.validate(at+".not", depth+1, count)
	default:
		return r.condition().validate(at)
	}
}

func validateGroup(at string, group []Rule, depth int, count *int) error {
	if len(group) == 0 {
		return fault.At(at, nil, "the group holds no rule")
	}
	for i, rule := range group {
		if err := rule.validate(indexed(at, i), depth+1, count); err != nil {
			return err
		}
	}
	return nil
}

// set names the fields that are set.
func (r Rule) set() []string {
	var names []string
	for _, field := range []struct {
		name string
		set  bool
	}{
		{"all", r.All != nil},
		{"any", r.Any != nil},
		{"not", r.Not != nil},
		{"event", r.Event != nil},
		{"conversion", r.Conversion != nil},
		{"field", r.Field != nil},
		{"consent", r.Consent != nil},
		{"message", r.Message != nil},
		{"visit", r.Visit != nil},
		{"created", r.Created != nil},
	} {
		if field.set {
			names = append(names, field.name)
		}
	}
	return names
}

// condition is one leaf: it can check itself and write its SQL.
type condition interface {
	validate(at string) error
	compile(c *compiler) string
}

func (r Rule) condition() condition {
	switch {
	case r.Event != nil:
		return r.Event
	case r.Conversion != nil:
		return r.Conversion
	case r.Field != nil:
		return r.Field
	case r.Consent != nil:
		return r.Consent
	case r.Message != nil:
		return r.Message
	case r.Visit != nil:
		return r.Visit
	default:
		return r.Created
	}
}

func (e *Event) validate(at string) error {
	if e.Name == "" {
		return fault.At(at+".event.name", e.Name, "name the event")
	}
	return firstError(checkText(at+".event.name", e.Name), checkRange(at+".event", e.WithinDays, e.AtLeast))
}

func (v *Conversion) validate(at string) error {
	return firstError(checkText(at+".conversion.name", v.Name), checkRange(at+".conversion", v.WithinDays, v.AtLeast))
}

func (s *Consent) validate(at string) error {
	if err := checkText(at+".consent.channel", s.Channel); err != nil {
		return err
	}
	switch {
	case s.Channel == "":
		return fault.At(at+".consent.channel", s.Channel, "name the channel")
	case s.Status != Granted && s.Status != Withdrawn && s.Status != Unknown:
		return fault.At(at+".consent.status", s.Status, "is granted, withdrawn or unknown")
	}
	return nil
}

func (m *Message) validate(at string) error {
	if _, known := messageColumns[m.Did]; !known {
		return fault.At(at+".message.did", m.Did, "is sent, opened, clicked or unsubscribed")
	}
	return checkRange(at+".message", m.WithinDays, 0)
}

func (v *Visit) validate(at string) error {
	return firstError(
		checkText(at+".visit.source", v.Source), checkText(at+".visit.channel", v.Channel),
		checkRange(at+".visit", v.WithinDays, 0))
}

func (d *Created) validate(at string) error {
	if d.After.IsZero() && d.Before.IsZero() {
		return fault.At(at+".created", nil, "give after, before or both")
	}
	for _, t := range []time.Time{d.After, d.Before} {
		if !t.IsZero() && (t.Year() < 1970 || t.Year() > 9999) {
			return fault.At(at+".created", t, "dates lie between the years 1970 and 9999")
		}
	}
	return nil
}

func (f *Field) validate(at string) error {
	at += ".field"
	if err := checkText(at+".name", strings.TrimPrefix(f.Name, traitPrefix)); err != nil {
		return err
	}
	if _, column := contactColumns[f.Name]; !column && (!strings.HasPrefix(f.Name, traitPrefix) || f.Name == traitPrefix) {
		return fault.At(at+".name", f.Name, "is email, first_name, last_name, time_zone or traits.<name>")
	}
	if f.Op == Exists {
		if f.Value != nil {
			return fault.At(at+".value", f.Value, "exists takes no value")
		}
		return nil
	}
	return f.validateValue(at)
}

func (f *Field) validateValue(at string) error {
	text, isText := f.Value.(string)
	number, isNumber := f.Value.(float64)
	_, isBool := f.Value.(bool)
	if isText {
		if err := checkText(at+".value", text); err != nil {
			return err
		}
	}
	if isNumber && (math.IsNaN(number) || math.IsInf(number, 0)) {
		return fault.At(at+".value", nil, "is not a number")
	}
	switch f.Op {
	case Equal, NotEqual:
		if !isText && !isNumber && !isBool {
			return fault.At(at+".value", nil, "give text, a number or true/false")
		}
	case Contains:
		if !isText || text == "" {
			return fault.At(at+".value", nil, "contains takes text")
		}
	case Greater, Less:
		if !isNumber {
			return fault.At(at+".value", nil, "%s takes a number", f.Op)
		}
	default:
		return fault.At(at+".op", f.Op, "is eq, ne, contains, exists, gt or lt")
	}
	return nil
}

// checkText refuses what PostgreSQL cannot store, besides what is too long.
func checkText(at, s string) error {
	switch {
	case !utf8.ValidString(s) || strings.ContainsRune(s, 0):
		return fault.At(at, nil, "must be UTF-8 text without NUL")
	case utf8.RuneCountInString(s) > maxText:
		return fault.At(at, nil, "is longer than %d characters", maxText)
	}
	return nil
}

func checkRange(at string, days, times int) error {
	switch {
	case days < 0 || days > maxDays:
		return fault.At(at+".within_days", days, "lies between 0 and %d", maxDays)
	case times < 0 || times > maxTimes:
		return fault.At(at+".at_least", times, "lies between 0 and %d", maxTimes)
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
