package segment

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

const traitPrefix = "traits."

// contactColumns maps a field's name to its column; a name that is not here
// never reaches the SQL.
var contactColumns = map[string]string{
	"email":      "c.email",
	"first_name": "c.first_name",
	"last_name":  "c.last_name",
	"time_zone":  "c.time_zone",
}

// messageColumns maps what became of a message to the column that tells when.
var messageColumns = map[string]string{
	Sent:         "sent_at",
	Opened:       "first_opened_at",
	Clicked:      "first_clicked_at",
	Unsubscribed: "unsubscribed_at",
}

// Condition is a rule as an SQL condition over contacts c. Its text holds no
// value of the rule: those are Args, numbered from $1.
type Condition struct {
	SQL  string
	Args []any
}

// Compile writes a valid rule as SQL; now is where "within days" counts from.
func Compile(rule Rule, now time.Time) (Condition, error) {
	if err := rule.Validate(); err != nil {
		return Condition{}, err
	}
	c := &compiler{now: now}
	return Condition{SQL: c.rule(rule), Args: c.args}, nil
}

type compiler struct {
	now  time.Time
	args []any
}

// arg adds a parameter and returns its placeholder, typed so that PostgreSQL
// never has to guess.
func (c *compiler) arg(value any, sqlType string) string {
	c.args = append(c.args, value)
	return "$" + strconv.Itoa(len(c.args)) + "::" + sqlType
}

func (c *compiler) rule(r Rule) string {
	switch {
	case r.All != nil:
		return c.group(r.All, " AND ")
	case r.Any != nil:
		return c.group(r.Any, " OR ")
	case r.Not != nil:
		return "(NOT " + c.rule(*r.Not) + ")"
	default:
		return r.condition().compile(c)
	}
}

func (c *compiler) group(rules []Rule, between string) string {
	parts := make([]string, len(rules))
	for i, rule := range rules {
		parts[i] = c.rule(rule)
	}
	return "(" + strings.Join(parts, between) + ")"
}

// since limits a column to the last days; 0 days is no limit.
func (c *compiler) since(column string, days int) string {
	if days == 0 {
		return ""
	}
	return " AND " + column + " >= " + c.arg(c.now.AddDate(0, 0, -days), "timestamptz")
}

// ofContact counts the distinct rows of table, by key, that belong to the
// contact itself or to a visitor linked to it, up to the wanted number.
func (c *compiler) ofContact(table, key, conditions string, atLeast int) string {
	const visitors = `SELECT v.visitor_uuid FROM website_visitors v WHERE v.contact_uuid = c.contact_uuid`
	union := "UNION"
	if atLeast <= 1 {
		union = "UNION ALL" // one row decides: nothing to tell apart, so it stops at the first
	}
	rows := fmt.Sprintf(`(SELECT x.%[2]s FROM %[1]s x WHERE x.contact_uuid = c.contact_uuid%[3]s
		%[5]s SELECT x.%[2]s FROM (%[4]s) v JOIN %[1]s x ON x.visitor_uuid = v.visitor_uuid%[3]s)`,
		table, key, conditions, visitors, union)
	if atLeast <= 1 {
		return "EXISTS " + rows
	}
	return "((SELECT count(*) FROM " + rows + " AS found) >= " + c.arg(atLeast, "bigint") + ")"
}

func (e *Event) compile(c *compiler) string {
	conditions := " AND x.type = 'track' AND x.name = " + c.arg(e.Name, "text") + c.since("x.occurred_at", e.WithinDays)
	return c.ofContact("website_events", "message_id", conditions, e.AtLeast)
}

func (v *Conversion) compile(c *compiler) string {
	conditions := ""
	if v.Name != "" {
		conditions = " AND x.name = " + c.arg(v.Name, "text")
	}
	conditions += c.since("x.occurred_at", v.WithinDays)
	return c.ofContact("conversion_events", "conversion_uuid", conditions, v.AtLeast)
}

func (v *Visit) compile(c *compiler) string {
	conditions := ""
	if v.Source != "" {
		conditions += " AND s.utm_source = " + c.arg(v.Source, "text")
	}
	if v.Channel != "" {
		conditions += " AND s.channel = " + c.arg(v.Channel, "text")
	}
	return `EXISTS (SELECT FROM website_visitors v JOIN website_sessions s ON s.visitor_uuid = v.visitor_uuid
		WHERE v.contact_uuid = c.contact_uuid` + conditions + c.since("s.started_at", v.WithinDays) + ")"
}

func (m *Message) compile(c *compiler) string {
	column := "m." + messageColumns[m.Did]
	conditions := column + " IS NOT NULL"
	if m.Campaign != uuid.Nil {
		conditions += " AND m.campaign_uuid = " + c.arg(m.Campaign, "uuid")
	}
	return "EXISTS (SELECT FROM outreach_messages m WHERE m.contact_uuid = c.contact_uuid AND " +
		conditions + c.since(column, m.WithinDays) + ")"
}

func (s *Consent) compile(c *compiler) string {
	exists := "EXISTS (SELECT FROM consents k WHERE k.contact_uuid = c.contact_uuid AND k.channel = " + c.arg(s.Channel, "text")
	if s.Status == Unknown {
		return "(NOT " + exists + "))"
	}
	return exists + " AND k.status = " + c.arg(s.Status, "text") + ")"
}

func (d *Created) compile(c *compiler) string {
	var parts []string
	if !d.After.IsZero() {
		parts = append(parts, "c.created_at >= "+c.arg(d.After, "timestamptz"))
	}
	if !d.Before.IsZero() {
		parts = append(parts, "c.created_at < "+c.arg(d.Before, "timestamptz"))
	}
	return "(" + strings.Join(parts, " AND ") + ")"
}

// compile compares jsonb with jsonb, so that a type never changes on the way;
// a column's empty text counts as missing.
func (f *Field) compile(c *compiler) string {
	var value string
	if column, ok := contactColumns[f.Name]; ok {
		value = "to_jsonb(NULLIF(" + column + ", ''))"
	} else {
		value = "(c.traits -> " + c.arg(strings.TrimPrefix(f.Name, traitPrefix), "text") + ")"
	}
	switch f.Op {
	case Exists:
		return "(COALESCE(" + value + ", 'null') NOT IN ('null', '\"\"'))"
	case Equal:
		return "COALESCE(" + value + " = " + c.jsonArg(f.Value) + ", false)"
	case NotEqual:
		return "COALESCE(" + value + " <> " + c.jsonArg(f.Value) + ", true)"
	case Contains:
		return "COALESCE(jsonb_typeof(" + value + ") = 'string' AND strpos(" + value + " #>> '{}', " + c.arg(f.Value, "text") + ") > 0, false)"
	default:
		operator := map[string]string{Greater: ">", Less: "<"}[f.Op]
		return "(CASE WHEN jsonb_typeof(" + value + ") = 'number' THEN " + value + " " + operator + " " + c.jsonArg(f.Value) + " ELSE false END)"
	}
}

// jsonArg adds the value as JSON text: a valid value is text, a number or a boolean.
func (c *compiler) jsonArg(value any) string {
	encoded, err := json.Marshal(value)
	if err != nil {
		encoded = []byte("null") // no valid value fails to encode; null equals nothing a contact has
	}
	return c.arg(string(encoded), "jsonb")
}

func indexed(at string, i int) string { return at + "[" + strconv.Itoa(i) + "]" }
