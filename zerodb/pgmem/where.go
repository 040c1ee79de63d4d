package pgmem

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/zerodb"
)

// where builds a WHERE clause. Values are always arguments, never text.
type where struct {
	conditions []string
	arguments  []any
}

// format puts arguments in the places of %s.
func (w *where) format(text string, arguments ...any) string {
	places := make([]any, len(arguments))
	for i, argument := range arguments {
		w.arguments = append(w.arguments, argument)
		places[i] = fmt.Sprintf("$%d", len(w.arguments))
	}
	return fmt.Sprintf(text, places...)
}

func (w *where) and(condition string, arguments ...any) {
	w.conditions = append(w.conditions, w.format(condition, arguments...))
}

func (w *where) where() string { return " WHERE " + strings.Join(w.conditions, " AND ") }

// whereOf says the filter in SQL: see zerodb.Filter.Match.
func whereOf(tenant uuid.UUID, f *zerodb.Filter, now time.Time) *where {
	w := &where{}
	w.and("m.tenant_uuid = %s", tenant)
	if scopes := f.Audience.Scopes(); scopes != nil {
		kinds, names := scopeArrays(scopes)
		w.and("(m.scope_kind, m.scope_name) IN (SELECT * FROM unnest(%s::text[], %s::text[]))", kinds, names)
	}
	if len(f.Types) > 0 {
		w.and("m.type = ANY (%s)", f.Types)
	}
	if len(f.Agents) > 0 {
		w.and("m.agent = ANY (%s)", f.Agents)
	}
	if !f.From.IsZero() {
		w.and("m.valid_from >= %s", f.From)
	}
	if !f.Before.IsZero() {
		w.and("m.valid_from < %s", f.Before)
	}
	if f.Expired {
		w.and("m.expires_at <= %s", now)
	} else {
		w.and("(m.expires_at IS NULL OR m.expires_at > %s)", now)
	}
	if !f.History && !f.Expired {
		at := now
		if !f.AsOf.IsZero() {
			at = f.AsOf
		}
		w.and("m.valid_from <= %s AND (m.valid_until IS NULL OR m.valid_until > %s)", at, at)
	}
	w.onlyHere(f)
	return w
}

// asksDatabase reports whether the filter has a part that an index of the process can't answer.
func asksDatabase(f *zerodb.Filter) bool {
	return len(f.IDs) > 0 || f.Subject != "" || f.Lineage != uuid.Nil || f.NotModel != "" || len(f.Where) > 0
}

// onlyHere adds the parts that only the database can answer.
func (w *where) onlyHere(f *zerodb.Filter) {
	if len(f.IDs) > 0 {
		w.and("m.memory_uuid = ANY (%s)", f.IDs)
	}
	if f.Subject != "" {
		w.and("m.subject = %s", f.Subject)
	}
	if f.Lineage != uuid.Nil {
		w.and("m.lineage_uuid = %s", f.Lineage)
	}
	if f.NotModel != "" {
		// Two ranges, because an index does not help with "not equal".
		w.and("(m.model < %s OR m.model > %s)", f.NotModel, f.NotModel)
	}
	for i := range f.Where {
		w.condition(&f.Where[i])
	}
}

// condition says a condition on the metadata.
func (w *where) condition(c *zerodb.Condition) {
	// With -> and a text, unlike with #>, no part of the path can be a list's index.
	keys := strings.Split(c.Path, ".")
	for i, key := range keys {
		keys[i] = w.format("%s::text", key)
	}
	value := "m.metadata -> " + strings.Join(keys, " -> ")
	switch c.Op {
	case zerodb.OpExists:
		w.conditions = append(w.conditions, "coalesce("+value+", 'null') <> 'null'")
	case zerodb.OpMissing:
		w.conditions = append(w.conditions, "coalesce("+value+", 'null') = 'null'")
	case zerodb.OpEq:
		w.element(value, w.format("e = ANY (%s::jsonb[])", encoded(c.Value)))
	case zerodb.OpIn:
		w.element(value, w.format("e = ANY (%s::jsonb[])", encoded(c.Values...)))
	case zerodb.OpRange:
		w.element(value, w.bound(">=", c.Min)+" AND "+w.bound("<=", c.Max))
	}
}

// element demands that the value, or one of its elements when it is a list, fulfils a condition.
func (w *where) element(value, condition string) {
	w.conditions = append(w.conditions, "EXISTS (SELECT FROM jsonb_array_elements(CASE jsonb_typeof("+value+") WHEN 'array' THEN "+value+
		" ELSE jsonb_build_array("+value+") END) AS e WHERE "+condition+")")
}

func encoded(values ...any) []string {
	texts := make([]string, 0, len(values))
	for _, value := range values {
		if text, err := json.Marshal(value); err == nil { // texts, numbers and booleans always encode
			texts = append(texts, string(text))
		}
	}
	return texts
}

func (w *where) bound(operator string, value any) string {
	switch v := value.(type) {
	case float64:
		return w.format("CASE jsonb_typeof(e) WHEN 'number' THEN e::float8 "+operator+" %s ELSE false END", v)
	case time.Time:
		return w.format("CASE jsonb_typeof(e) WHEN 'string' THEN coalesce(zerodb_time(e #>> '{}') "+operator+" %s, false) ELSE false END", v)
	default:
		return "true"
	}
}
