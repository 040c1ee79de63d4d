package liquid

import (
	"errors"
	"math"
	"slices"
	"strings"

	"github.com/osteele/liquid/values"
)

var errNotANumber = errors.New("it needs a number")

// arithmetic keeps whole numbers whole: 3 | plus: 1 is 4 and not 4.0.
func arithmetic(fn func(a, b float64) (float64, error)) func(r *run, value, a, b any) (any, error) {
	return func(_ *run, value, a, _ any) (any, error) {
		x, ok := numberOf(value)
		if value == nil {
			x, ok = 0, true
		}
		y, okToo := numberOf(a)
		if !ok || !okToo {
			return nil, errNotANumber
		}
		return whole(fn(x, y))
	}
}

func unary(fn func(a float64) float64) func(r *run, value, a, b any) (any, error) {
	return func(_ *run, value, _, _ any) (any, error) {
		x, ok := numberOf(value)
		if !ok {
			return nil, errNotANumber
		}
		return whole(fn(x), nil)
	}
}

// whole returns n as an int where it is one that float64 counts exactly.
func whole(n float64, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	if n == math.Trunc(n) && math.Abs(n) < 1<<53 {
		return int(n), nil
	}
	return n, nil
}

var errZero = errors.New("division by zero")

var numberFilters = map[string]func(r *run, value, a, b any) (any, error){
	"plus":     arithmetic(func(a, b float64) (float64, error) { return a + b, nil }),
	"minus":    arithmetic(func(a, b float64) (float64, error) { return a - b, nil }),
	"times":    arithmetic(func(a, b float64) (float64, error) { return a * b, nil }),
	"at_least": arithmetic(func(a, b float64) (float64, error) { return max(a, b), nil }),
	"at_most":  arithmetic(func(a, b float64) (float64, error) { return min(a, b), nil }),
	"modulo": arithmetic(func(a, b float64) (float64, error) {
		if b == 0 {
			return 0, errZero
		}
		return a - b*math.Floor(a/b), nil
	}),
	// Whole numbers divide to a whole number, as in Liquid everywhere.
	"divided_by": arithmetic(func(a, b float64) (float64, error) {
		switch {
		case b == 0:
			return 0, errZero
		case a == math.Trunc(a) && b == math.Trunc(b):
			return math.Floor(a / b), nil
		default:
			return a / b, nil
		}
	}),
	"abs":   unary(math.Abs),
	"ceil":  unary(math.Ceil),
	"floor": unary(math.Floor),
	"round": func(_ *run, value, a, _ any) (any, error) {
		x, ok := numberOf(value)
		if !ok {
			return nil, errNotANumber
		}
		places, _ := numberOf(a)
		scale := math.Pow(10, min(max(places, 0), 15))
		return whole(math.Round(x*scale)/scale, nil)
	},
}

// overList is a filter over a list.
func overList(fn func(r *run, list []any, a any) (any, error)) func(r *run, value, a, b any) (any, error) {
	return func(r *run, value, a, _ any) (any, error) {
		list, err := r.items(value)
		if err != nil {
			return nil, err
		}
		return fn(r, list, a)
	}
}

var listFilters = map[string]func(r *run, value, a, b any) (any, error){
	"size": func(r *run, value, _, _ any) (any, error) {
		switch v := value.(type) {
		case nil:
			return 0, nil
		case string, markup, int, float64, bool:
			text, err := r.text(v)
			return len([]rune(text)), err
		case map[string]any:
			return len(v), nil
		default:
			return listOf(v).Len(), nil
		}
	},
	"first": overList(func(_ *run, list []any, _ any) (any, error) {
		if len(list) == 0 {
			return nil, nil //nolint:nilnil // nil is a value of the language
		}
		return list[0], nil
	}),
	"last": overList(func(_ *run, list []any, _ any) (any, error) {
		if len(list) == 0 {
			return nil, nil //nolint:nilnil // nil is a value of the language
		}
		return list[len(list)-1], nil
	}),
	"reverse": overList(func(_ *run, list []any, _ any) (any, error) {
		slices.Reverse(list)
		return list, nil
	}),
	"compact": overList(func(_ *run, list []any, _ any) (any, error) {
		return slices.DeleteFunc(list, func(item any) bool { return item == nil }), nil
	}),
	"concat": overList(func(r *run, list []any, a any) (any, error) {
		more, err := r.items(a)
		if err != nil {
			return nil, err
		}
		return append(list, more...), r.list(len(list) + len(more))
	}),
	"join": join,
	"map": overList(func(r *run, list []any, a any) (any, error) {
		for i, item := range list {
			value, err := r.property(item, a)
			if err != nil {
				return nil, err
			}
			list[i] = value
		}
		return list, nil
	}),
	"where": func(r *run, value, a, b any) (any, error) {
		list, err := r.items(value)
		if err != nil {
			return nil, err
		}
		kept := list[:0]
		for _, item := range list {
			found, err := r.property(item, a)
			if err != nil {
				return nil, err
			}
			if b == nil && found != nil && found != false || b != nil && values.Equal(found, b) {
				kept = append(kept, item)
			}
		}
		return kept, nil
	},
	"sum": overList(func(r *run, list []any, a any) (any, error) {
		total := 0.0
		for _, item := range list {
			if a != nil {
				value, err := r.property(item, a)
				if err != nil {
					return nil, err
				}
				item = value
			}
			n, _ := numberOf(item)
			total += n
		}
		return whole(total, nil)
	}),
	"uniq": overList(uniq),
	"sort": overList(func(r *run, list []any, a any) (any, error) {
		return r.sorted(list, a, func(s string) string { return s })
	}),
	"sort_natural": overList(func(r *run, list []any, a any) (any, error) { return r.sorted(list, a, strings.ToLower) }),
}

func join(r *run, value, a, _ any) (any, error) {
	list, err := r.items(value)
	if err != nil {
		return nil, err
	}
	separator := " "
	if a != nil {
		if separator, err = r.text(a); err != nil {
			return nil, err
		}
	}
	var out strings.Builder
	for i, item := range list {
		text, err := r.text(item)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			text = separator + text
		}
		if out.Len()+len(text) > MaxString {
			return nil, exceeded("a value would have more than %d bytes", MaxString)
		}
		out.WriteString(text)
	}
	return out.String(), r.charge(out.Len())
}

func uniq(r *run, list []any, _ any) (any, error) {
	seen := map[string]bool{}
	kept := list[:0]
	for _, item := range list {
		text, err := r.json(item)
		if err != nil {
			return nil, err
		}
		if !seen[text] {
			seen[text] = true
			kept = append(kept, item)
		}
	}
	return kept, nil
}

func (r *run) property(item, name any) (any, error) {
	if err := r.step(); err != nil {
		return nil, err
	}
	object, ok := item.(map[string]any)
	if !ok {
		return nil, nil //nolint:nilnil // nil is a value of the language
	}
	key, err := r.text(name)
	if err != nil {
		return nil, err
	}
	return object[key], nil
}

// sorted orders numbers before texts before everything else; each key is made once.
func (r *run) sorted(list []any, property any, fold func(string) string) (any, error) {
	type keyed struct {
		item   any
		rank   int
		number float64
		text   string
	}
	keys := make([]keyed, len(list))
	for i, item := range list {
		value := item
		if property != nil {
			found, err := r.property(item, property)
			if err != nil {
				return nil, err
			}
			value = found
		}
		k := keyed{item: item, rank: 2}
		switch v := value.(type) {
		case string:
			k.rank, k.text = 1, fold(v)
			if err := r.charge(len(v)); err != nil {
				return nil, err
			}
		case nil:
			k.rank = 3
		default:
			if n, ok := numberOf(v); ok {
				k.rank, k.number = 0, n
			}
		}
		keys[i] = k
	}
	slices.SortStableFunc(keys, func(a, b keyed) int {
		switch {
		case a.rank != b.rank:
			return a.rank - b.rank
		case a.number < b.number:
			return -1
		case a.number > b.number:
			return 1
		default:
			return strings.Compare(a.text, b.text)
		}
	})
	for i, k := range keys {
		list[i] = k.item
	}
	return list, nil
}
