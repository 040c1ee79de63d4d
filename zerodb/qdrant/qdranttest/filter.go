package qdranttest

import (
	"slices"
	"strings"
	"time"

	pb "github.com/qdrant/go-client/qdrant"
)

// fields is what a filter looks into: a point's payload, or an element of a nested one.
type fields map[string]*pb.Value

func matchFilter(f *pb.Filter, p *point) bool { return matchFields(f, fields(p.payload), p) }

func matchFields(f *pb.Filter, in fields, p *point) bool {
	holds := func(c *pb.Condition) bool { return matchCondition(c, in, p) }
	for _, c := range f.GetMust() {
		if !holds(c) {
			return false
		}
	}
	if slices.ContainsFunc(f.GetMustNot(), holds) {
		return false
	}
	if len(f.GetShould()) > 0 && !slices.ContainsFunc(f.GetShould(), holds) {
		return false
	}
	if least := f.GetMinShould(); least != nil {
		n := uint64(0)
		for _, c := range least.GetConditions() {
			if holds(c) {
				n++
			}
		}
		return n >= least.GetMinCount()
	}
	return true
}

func matchCondition(c *pb.Condition, in fields, p *point) bool {
	switch c := c.GetConditionOneOf().(type) {
	case *pb.Condition_Field:
		return matchField(c.Field, in)
	case *pb.Condition_IsEmpty:
		return !slices.ContainsFunc(in.at(c.IsEmpty.GetKey()), func(v *pb.Value) bool { return !isNull(v) })
	case *pb.Condition_IsNull:
		return slices.ContainsFunc(in.at(c.IsNull.GetKey()), isNull)
	case *pb.Condition_HasId:
		return slices.ContainsFunc(c.HasId.GetHasId(), func(id *pb.PointId) bool {
			key, err := idKey(id)
			return err == nil && key == p.key
		})
	case *pb.Condition_Filter:
		return matchFields(c.Filter, in, p)
	case *pb.Condition_Nested:
		return slices.ContainsFunc(in.at(c.Nested.GetKey()), func(v *pb.Value) bool {
			object := v.GetStructValue()
			return object != nil && matchFields(c.Nested.GetFilter(), fields(object.GetFields()), p)
		})
	default:
		return false
	}
}

func isNull(v *pb.Value) bool {
	_, null := v.GetKind().(*pb.Value_NullValue)
	return null
}

// at returns the values at a path such as a.b or a[].b. A list stands for its elements.
func (f fields) at(path string) []*pb.Value {
	step, rest, more := strings.Cut(path, ".")
	key, through := strings.CutSuffix(step, "[]")
	value, found := f[key]
	if !found {
		return nil
	}
	values := []*pb.Value{value}
	if list := value.GetListValue(); list != nil && (through || !more) {
		values = list.GetValues()
	}
	if !more {
		return values
	}
	var deeper []*pb.Value
	for _, v := range values {
		if object := v.GetStructValue(); object != nil {
			deeper = append(deeper, fields(object.GetFields()).at(rest)...)
		}
	}
	return deeper
}

func matchField(c *pb.FieldCondition, in fields) bool {
	return slices.ContainsFunc(in.at(c.GetKey()), func(v *pb.Value) bool {
		switch {
		case c.GetMatch() != nil:
			return matchValue(c.GetMatch(), v)
		case c.GetRange() != nil:
			return inRange(c.GetRange(), v)
		case c.GetDatetimeRange() != nil:
			return inTime(c.GetDatetimeRange(), v)
		default:
			return false
		}
	})
}

func matchValue(m *pb.Match, v *pb.Value) bool {
	text, isText := v.GetKind().(*pb.Value_StringValue)
	number, isInt := v.GetKind().(*pb.Value_IntegerValue)
	flag, isBool := v.GetKind().(*pb.Value_BoolValue)
	switch m := m.GetMatchValue().(type) {
	case *pb.Match_Keyword:
		return isText && text.StringValue == m.Keyword
	case *pb.Match_Keywords:
		return isText && slices.Contains(m.Keywords.GetStrings(), text.StringValue)
	case *pb.Match_ExceptKeywords:
		return isText && !slices.Contains(m.ExceptKeywords.GetStrings(), text.StringValue)
	case *pb.Match_Integer:
		return isInt && number.IntegerValue == m.Integer
	case *pb.Match_Integers:
		return isInt && slices.Contains(m.Integers.GetIntegers(), number.IntegerValue)
	case *pb.Match_Boolean:
		return isBool && flag.BoolValue == m.Boolean
	case *pb.Match_Text:
		has := words(v.GetStringValue())
		return isText && !slices.ContainsFunc(words(m.Text), func(w string) bool { return !slices.Contains(has, w) })
	default:
		return false
	}
}

// words are what the text index's word tokenizer makes of a text.
func words(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r <= 0x7f
	})
}

func inRange(r *pb.Range, v *pb.Value) bool {
	var x float64
	switch v := v.GetKind().(type) {
	case *pb.Value_DoubleValue:
		x = v.DoubleValue
	case *pb.Value_IntegerValue:
		x = float64(v.IntegerValue)
	default:
		return false
	}
	return (r.Lt == nil || x < r.GetLt()) && (r.Lte == nil || x <= r.GetLte()) && (r.Gt == nil || x > r.GetGt()) && (r.Gte == nil || x >= r.GetGte())
}

// inTime compares in microseconds, as Qdrant keeps times.
func inTime(r *pb.DatetimeRange, v *pb.Value) bool {
	t, ok := instant(v)
	if !ok {
		return false
	}
	return (r.GetLt() == nil || t < r.GetLt().AsTime().UnixMicro()) && (r.GetLte() == nil || t <= r.GetLte().AsTime().UnixMicro()) &&
		(r.GetGt() == nil || t > r.GetGt().AsTime().UnixMicro()) && (r.GetGte() == nil || t >= r.GetGte().AsTime().UnixMicro())
}

func instant(v *pb.Value) (micros int64, ok bool) {
	text, isText := v.GetKind().(*pb.Value_StringValue)
	if !isText {
		return 0, false
	}
	t, err := time.Parse(time.RFC3339Nano, text.StringValue)
	return t.UnixMicro(), err == nil
}
