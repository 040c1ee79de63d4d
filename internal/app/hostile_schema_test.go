package app_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// document is what the test reads of the OpenAPI document.
type document struct {
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]*schema }
}

type operation struct {
	OperationID string
	Parameters  []struct {
		Name, In string
		Schema   schema
	}
	RequestBody *struct {
		Content map[string]struct{ Schema *schema }
	}
	Security []map[string][]string
}

func (o operation) takesJSON() bool {
	return o.RequestBody != nil && o.RequestBody.Content["application/json"].Schema != nil
}

type schema struct {
	Ref        string `json:"$ref"`
	Type       any
	Format     string
	Enum       []any
	Properties map[string]*schema
	Required   []string
	Items      *schema
	OneOf      []*schema
}

func (d document) resolve(s *schema) *schema {
	for s != nil && s.Ref != "" {
		s = d.Components.Schemas[s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]]
	}
	return s
}

func (s *schema) is(kind string) bool {
	switch named := s.Type.(type) {
	case string:
		return named == kind
	case []any:
		return slices.Contains(named, any(kind))
	}
	return false
}

// valid returns a value that the operation likes, with every property set that
// is not a rule within a rule.
func (d document) valid(name string, s *schema, ids map[string]string, depth int) any {
	s = d.resolve(s)
	if id, known := ids[name]; known && s.Format == "uuid" {
		return id
	}
	switch {
	case len(s.OneOf) > 0:
		return d.valid(name, s.OneOf[0], ids, depth)
	case len(s.Enum) > 0:
		return s.Enum[0]
	case name == "rules":
		return map[string]any{"any": []any{
			map[string]any{"event": map[string]any{"name": "Signed Up", "within_days": 3}},
			map[string]any{"not": map[string]any{"field": map[string]any{"name": "traits.plan", "op": "eq", "value": "gold"}}},
			map[string]any{"created": map[string]any{"after": "2026-01-01T00:00:00Z"}},
			map[string]any{"message": map[string]any{"did": "sent", "campaign_uuid": ids["campaign_uuid"]}},
		}}
	case s.is("object"):
		object := map[string]any{}
		for property, inner := range s.Properties {
			if depth < 4 && property != "writeKey" && !onlyOnceInAWhile[property] {
				object[property] = d.valid(property, inner, ids, depth+1)
			}
		}
		return object
	case s.is("array"):
		if name == "scopes" {
			return []any{"website:read"}
		}
		return []any{d.valid(strings.TrimSuffix(name, "s"), s.Items, ids, depth+1)}
	case name == "tokens":
		return json.Number("500")
	case s.is("integer"), s.is("number"):
		return json.Number("1")
	case s.is("boolean"):
		return true
	}
	return validText(name, s)
}

// onlyOnceInAWhile are properties that go with some values of the others only.
var onlyOnceInAWhile = map[string]bool{"refund_id": true, "half_life_days": true, "first_share": true, "last_share": true}

func validText(name string, s *schema) string {
	switch {
	case s.Format == "date-time" && name == "expires_at":
		return "2999-01-01T00:00:00Z"
	case s.Format == "date-time":
		return "2026-01-02T03:04:05Z"
	case name == "email", name == "from_email", name == "address":
		return "attacker@example.com"
	case name == "currency":
		return "USD"
	case name == "from", name == "to":
		return "2026-01-02"
	case name == "mentioning":
		return "somebody"
	case name == "landing_url":
		return "https://shop.example/"
	}
	return "text"
}

// evil are values put in the place of each valid one.
func evil(victim map[string]string) []any {
	values := []any{
		nil, true, json.Number("0"), json.Number("-1"), json.Number("1.5"), json.Number("1e400"), json.Number("9223372036854775808"),
		json.Number("-9223372036854775808"), json.Number(strings.Repeat("9", 400)),
		[]any{},
		[]any{[]any{}},
		map[string]any{},
		map[string]any{"$ref": "x"},
		"", " ", "\x00", "a\x00b", "\ufeff", "\u202eevil", "\u2028", "a\r\nBcc: x@evil.example", strings.Repeat("x", 300_000), strings.Repeat("é", 300),
		"'; drop table contacts; --", `" or 1=1 --`, `\'; select pg_sleep(30); --`, "%' or '%'='", "{{ contact.email | raw }}",
		`<script>alert("xss-mark")</script>`, `"><img src=x onerror=alert("xss-mark")>`, "javascript:alert(1)", "{% for i in (1..1000000000) %}{% for j in (1..1000000000) %}x{% endfor %}{% endfor %}",
		"{% include '/etc/passwd' %}", "{{", "{% if", "${jndi:ldap://evil.example}", "../../../../etc/passwd", "file:///etc/passwd",
		"9999-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "99999-01-01T00:00:00Z", "1969-12-31T23:59:59.999999999+23:59",
		"9999-12-31", "1970-01-01", "0000-00-00", "Infinity", "NaN", "infinity", "-infinity", "epoch", "now",
	}
	for _, name := range slices.Sorted(maps.Keys(victim)) {
		if name != "user_id" && name != "customer_id" { // an address, which would carry the victim's mark into the attacker's own rows
			values = append(values, victim[name])
		}
	}
	return values
}

// places lists the paths of all values in a value, its own first.
func places(value any, at []any) [][]any {
	found := [][]any{at}
	deeper := func(step, inner any) {
		found = append(found, places(inner, append(slices.Clone(at), step))...)
	}
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			deeper(key, v[key])
		}
	case []any:
		for i, inner := range v {
			deeper(i, inner)
		}
	}
	return found
}

// with returns value with what is at the place replaced.
func with(value any, place []any, replacement any) any {
	if len(place) == 0 {
		return replacement
	}
	switch v := value.(type) {
	case map[string]any:
		changed := maps.Clone(v)
		changed[place[0].(string)] = with(v[place[0].(string)], place[1:], replacement)
		return changed
	case []any:
		changed := slices.Clone(v)
		changed[place[0].(int)] = with(v[place[0].(int)], place[1:], replacement)
		return changed
	}
	return value
}
