package dashboard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/madansara/contact/segment"
)

type segmentsPage struct {
	*view
	Rows []segmentRow
}

type segmentRow struct {
	segment.Segment
	Explained string
}

func (d *Dashboard) segments(w http.ResponseWriter, r *http.Request, v *view) error {
	v.Title, v.Section = "Segments", "segments"
	page := segmentsPage{view: v}
	rows, err := d.Segments.List(r.Context(), v.Tenant, uuid.Nil, allOf)
	if err != nil {
		return err
	}
	for _, row := range rows {
		page.Rows = append(page.Rows, segmentRow{row, explainRules(row.Rules)})
	}
	return d.render(w, r, http.StatusOK, segmentsView(page))
}

// condition is one row of the builder.
type condition struct {
	Kind  string // "event", "no_event", "conversion", "no_conversion", "field", "visit", "consent", "message", "no_message"
	Text  string // the event's, source's or field's name
	Op    string // of a field
	Value string // of a field; a consent's status; what a message came to
	Days  string // within the last so many days; empty for ever
}

const maxConditions = 20

type segmentForm struct {
	ID         uuid.UUID // uuid.Nil for a new one
	Name       string
	Match      string // "all" or "any"
	Conditions []condition
	Problem    string
	Members    []segment.Member
	Count      int64
	Advanced   string // rules the builder cannot show
}

type segmentPage struct {
	*view
	Form segmentForm
}

func (d *Dashboard) newSegment(w http.ResponseWriter, r *http.Request, v *view) error {
	form := segmentForm{Name: "Signed up, did not buy", Match: "all", Conditions: []condition{
		{Kind: "event", Text: "Signed Up"}, {Kind: "no_conversion"},
	}}
	return d.showSegment(w, r, v, http.StatusOK, form)
}

func (d *Dashboard) segment(w http.ResponseWriter, r *http.Request, v *view) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	kept, err := d.Segments.Get(r.Context(), v.Tenant, id)
	if err != nil {
		return err
	}
	form := segmentForm{ID: id, Name: kept.Name, Match: "all"}
	if match, conditions, ok := conditionsOf(kept.Rules); ok {
		form.Match, form.Conditions = match, conditions
	} else {
		form.Advanced = rulesText(kept.Rules)
	}
	if form.Count, form.Members, err = d.Segments.Preview(r.Context(), v.Tenant, kept.Rules, uuid.Nil, 10); err != nil {
		return err
	}
	return d.showSegment(w, r, v, http.StatusOK, form)
}

func (d *Dashboard) showSegment(w http.ResponseWriter, r *http.Request, v *view, status int, form segmentForm) error {
	v.Section, v.Title = "segments", "New segment"
	if form.ID != uuid.Nil {
		v.Title = form.Name
	}
	return d.render(w, r, status, segmentView(segmentPage{view: v, Form: form}))
}

// previewSegment answers who the rules of the form select, before they are kept.
func (d *Dashboard) previewSegment(w http.ResponseWriter, r *http.Request, v *view) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	form := readSegmentForm(r.PostForm)
	rules, err := form.rules()
	if err == nil {
		form.Count, form.Members, err = d.Segments.Preview(r.Context(), v.Tenant, rules, uuid.Nil, 10)
	}
	if err != nil && !isUsers(err) {
		return err
	}
	if err != nil {
		form.Problem = problemText(err)
	}
	return d.render(w, r, http.StatusOK, membersCard(v, form))
}

func (d *Dashboard) saveSegment(w http.ResponseWriter, r *http.Request, v *view) error {
	if err := needs(v.CanWrite); err != nil {
		return err
	}
	if err := readForm(w, r); err != nil {
		return err
	}
	form := readSegmentForm(r.PostForm)
	if r.PathValue("id") != "" {
		id, err := pathID(r)
		if err != nil {
			return err
		}
		form.ID = id
	}
	rules, err := form.rules()
	if err == nil {
		if form.ID == uuid.Nil {
			var created segment.Segment
			created, err = d.Segments.Create(r.Context(), v.Tenant, form.Name, rules)
			form.ID = created.UUID
		} else {
			_, err = d.Segments.Update(r.Context(), v.Tenant, form.ID, form.Name, rules)
		}
	}
	if isUsers(err) && fault.CodeOf(err) != fault.NotFound {
		form.Problem = problemText(err)
		return d.showSegment(w, r, v, http.StatusUnprocessableEntity, form)
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/segments/"+form.ID.String()+"?done=saved", http.StatusSeeOther) //nolint:gosec // a path of ours with an id that was parsed
	return nil
}

// readSegmentForm reads the builder. Every row sends every field, so the n-th
// of each name belongs to the n-th row.
func readSegmentForm(form url.Values) segmentForm {
	f := segmentForm{Name: strings.TrimSpace(form.Get("name")), Match: form.Get("match")}
	at := func(key string, i int) string {
		if values := form[key]; i < len(values) {
			return strings.TrimSpace(values[i])
		}
		return ""
	}
	for i := range min(len(form["kind"]), maxConditions) {
		c := condition{Kind: at("kind", i), Text: at("text", i), Op: at("op", i), Value: at("value", i), Days: at("days", i)}
		switch c.Kind {
		case "message", "no_message":
			c.Value = at("did", i)
		case "consent":
			c.Value = at("consent", i)
		}
		f.Conditions = append(f.Conditions, c)
	}
	return f
}

func (f segmentForm) rules() (segment.Rule, error) {
	if len(f.Conditions) == 0 {
		return segment.Rule{}, fault.New(fault.Invalid, "Add at least one condition.")
	}
	var rules []segment.Rule
	for i, c := range f.Conditions {
		rule, err := c.rule()
		if err != nil {
			return segment.Rule{}, fault.Wrap(err, fault.Invalid, "Condition %d: %s", i+1, problemText(err))
		}
		rules = append(rules, rule)
	}
	group := segment.Rule{All: rules}
	if f.Match == "any" {
		group = segment.Rule{Any: rules}
	}
	return group, group.Validate()
}

func (c condition) rule() (segment.Rule, error) {
	days := 0
	if c.Days != "" {
		n, err := strconv.Atoi(c.Days)
		if err != nil || n < 1 || n > 3650 {
			return segment.Rule{}, fault.New(fault.Invalid, "the days are a number from 1 to 3,650, or empty for ever.")
		}
		days = n
	}
	kind, negated := strings.CutPrefix(c.Kind, "no_")
	var rule segment.Rule
	switch kind {
	case "event":
		if c.Text == "" {
			return rule, fault.New(fault.Invalid, "name the event, such as “Signed Up”.")
		}
		rule.Event = &segment.Event{Name: c.Text, WithinDays: days}
	case "conversion":
		rule.Conversion = &segment.Conversion{WithinDays: days}
	case "visit":
		if c.Text == "" {
			return rule, fault.New(fault.Invalid, "name the source, such as “instagram”.")
		}
		rule.Visit = &segment.Visit{Source: c.Text, WithinDays: days}
	case "message":
		rule.Message = &segment.Message{Did: c.Value, WithinDays: days}
	case "consent":
		rule.Consent = &segment.Consent{Channel: "email", Status: c.Value}
	case "field":
		if c.Text == "" {
			return rule, fault.New(fault.Invalid, "name the field, such as “email” or “traits.plan”.")
		}
		rule.Field = &segment.Field{Name: c.Text, Op: c.Op, Value: fieldValue(c.Op, c.Value)}
	default:
		return rule, fault.New(fault.Invalid, "choose what it is about.")
	}
	if negated {
		return segment.Rule{Not: &rule}, nil
	}
	return rule, nil
}

// fieldValue reads what was typed as the operator compares it.
func fieldValue(op, typed string) any {
	switch op {
	case segment.Exists:
		return nil
	case segment.Greater, segment.Less:
		if n, err := strconv.ParseFloat(typed, 64); err == nil {
			return n
		}
	}
	return typed
}

// conditionsOf turns rules into the builder's rows; false when they are more
// than it can show (groups in groups, counts).
func conditionsOf(rules segment.Rule) (match string, conditions []condition, ok bool) {
	match, list := "all", rules.All
	if len(rules.Any) > 0 {
		match, list = "any", rules.Any
	}
	if len(list) == 0 {
		list = []segment.Rule{rules}
	}
	for _, rule := range list {
		c, ok := conditionOf(rule)
		if !ok {
			return "", nil, false
		}
		conditions = append(conditions, c)
	}
	return match, conditions, len(conditions) <= maxConditions
}

func conditionOf(rule segment.Rule) (condition, bool) {
	if rule.Not != nil {
		c, ok := conditionOf(*rule.Not)
		positive := c.Kind == "event" || c.Kind == "conversion" || c.Kind == "message"
		c.Kind = "no_" + c.Kind
		return c, ok && positive
	}
	days := func(n int) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(n)
	}
	switch {
	case rule.Event != nil && rule.Event.AtLeast <= 1:
		return condition{Kind: "event", Text: rule.Event.Name, Days: days(rule.Event.WithinDays)}, true
	case rule.Conversion != nil && rule.Conversion.AtLeast <= 1 && rule.Conversion.Name == "":
		return condition{Kind: "conversion", Days: days(rule.Conversion.WithinDays)}, true
	case rule.Visit != nil && rule.Visit.Channel == "":
		return condition{Kind: "visit", Text: rule.Visit.Source, Days: days(rule.Visit.WithinDays)}, true
	case rule.Message != nil && rule.Message.Campaign == uuid.Nil:
		return condition{Kind: "message", Value: rule.Message.Did, Days: days(rule.Message.WithinDays)}, true
	case rule.Consent != nil && rule.Consent.Channel == "email":
		return condition{Kind: "consent", Value: rule.Consent.Status}, true
	case rule.Field != nil:
		value := ""
		if rule.Field.Value != nil {
			value = fmt.Sprint(rule.Field.Value)
		}
		return condition{Kind: "field", Text: rule.Field.Name, Op: rule.Field.Op, Value: value}, true
	default:
		return condition{}, false
	}
}

// rulesText shows rules as the API has them.
func rulesText(rules segment.Rule) string {
	text, err := json.Marshal(rules)
	if err != nil {
		return "Rules that cannot be shown." // rules are made of what JSON has
	}
	return string(text)
}

// explainRules says rules in a sentence, or shows them as they are.
func explainRules(rules segment.Rule) string {
	match, conditions, ok := conditionsOf(rules)
	if !ok {
		return clip(rulesText(rules), 200)
	}
	var parts []string
	for _, c := range conditions {
		parts = append(parts, c.String())
	}
	return strings.Join(parts, map[string]string{"all": " and ", "any": " or "}[match])
}

// String says the condition as part of a sentence.
func (c condition) String() string {
	within := ""
	if c.Days != "" {
		within = " in the last " + c.Days + " days"
	}
	switch c.Kind {
	case "event":
		return "did “" + c.Text + "”" + within
	case "no_event":
		return "did not do “" + c.Text + "”" + within
	case "conversion":
		return "converted" + within
	case "no_conversion":
		return "did not convert" + within
	case "visit":
		return "came from “" + c.Text + "”" + within
	case "message":
		return map[string]string{"sent": "was sent a message", "opened": "opened a message", "clicked": "clicked in a message", "unsubscribed": "unsubscribed"}[c.Value] + within
	case "no_message":
		return "not: " + condition{Kind: "message", Value: c.Value}.String() + within
	case "consent":
		return map[string]string{"granted": "agreed to e-mail", "withdrawn": "withdrew the consent to e-mail", "unknown": "never said anything about e-mail"}[c.Value]
	default:
		return c.Text + " " + map[string]string{"eq": "is", "ne": "is not", "contains": "contains", "exists": "is known", "gt": "is more than", "lt": "is less than"}[c.Op] + " " + c.Value
	}
}
