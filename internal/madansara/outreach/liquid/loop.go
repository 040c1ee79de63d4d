package liquid

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"strconv"

	"github.com/osteele/liquid/expressions"
)

const (
	forloop   = "forloop"
	cyclesKey = ".cycles" // no name in a template starts with a dot
)

// list is what a loop goes over; ranges are never made into slices.
type list interface {
	Len() int
	Index(i int) any
}

func (l loop) render(r *run) error {
	value, err := r.evaluate(l.line, l.statement.Expr)
	if err != nil {
		return err
	}
	items, err := r.window(l, listOf(value))
	if err != nil {
		return err
	}
	if items.n == 0 {
		return l.otherwise.render(r)
	}
	// Refused before it starts: a loop of a billion must not cost ten thousand first.
	if items.n > MaxIterations-r.iterations {
		return exceeded("the loops would run more than %d times", MaxIterations)
	}
	columns, err := r.columns(l)
	if err != nil {
		return err
	}
	defer func(name string, outer, variable any) {
		r.vars[forloop] = outer
		r.vars[name] = variable
	}(l.statement.Variable, r.vars[forloop], r.vars[l.statement.Variable])
	cycles := map[string]int{}
	for i := range items.n {
		if err := r.iterate(); err != nil {
			return err
		}
		r.vars[l.statement.Variable] = items.at(i)
		r.vars[forloop] = map[string]any{
			"first": i == 0, "last": i == items.n-1, "index": i + 1, "index0": i,
			"rindex": items.n - i, "rindex0": items.n - i - 1, "length": items.n, cyclesKey: cycles,
		}
		done, err := l.once(r, i, items.n, columns)
		if err != nil {
			return err
		}
		if done {
			break
		}
	}
	return nil
}

// once renders the body; done tells that it broke out of the loop.
func (l loop) once(r *run, i, n, columns int) (done bool, err error) {
	if l.isTableRow {
		if err := r.write(openCell(i, columns)); err != nil {
			return false, err
		}
	}
	err = l.body.render(r)
	if err != nil && !errors.Is(err, errBreak) && !errors.Is(err, errSkip) {
		return false, err
	}
	done = errors.Is(err, errBreak)
	if l.isTableRow {
		err = r.write(closeCell(i, columns, done || i == n-1))
		return done, err
	}
	return done, nil
}

func openCell(i, columns int) string {
	cell := `<td class="col` + strconv.Itoa(i%columns+1) + `">`
	if i%columns == 0 {
		return `<tr class="row` + strconv.Itoa(i/columns+1) + `">` + cell
	}
	return cell
}

func closeCell(i, columns int, last bool) string {
	if last || (i+1)%columns == 0 {
		return "</td></tr>"
	}
	return "</td>"
}

func (r *run) iterate() error {
	if r.iterations++; r.iterations > MaxIterations {
		return exceeded("the loops run more than %d times", MaxIterations)
	}
	return r.step()
}

func (r *run) columns(l loop) (int, error) {
	columns := math.MaxInt32
	if l.statement.Cols == nil {
		return columns, nil
	}
	n, err := r.integer(l, l.statement.Cols, "cols")
	if err == nil && n > 0 {
		columns = n
	}
	return columns, err
}

// window is the part of a list that offset, limit and reversed select.
type window struct {
	list     list
	from, n  int
	reversed bool
}

func (w window) at(i int) any {
	if w.reversed {
		return w.list.Index(w.from + w.n - 1 - i)
	}
	return w.list.Index(w.from + i)
}

func (r *run) window(l loop, items list) (window, error) {
	w := window{list: items, n: max(0, items.Len()), reversed: l.statement.Reversed}
	if l.statement.Offset != nil {
		offset, err := r.integer(l, l.statement.Offset, "offset")
		if err != nil {
			return w, err
		}
		w.from = min(max(0, offset), w.n)
		w.n -= w.from
	}
	if l.statement.Limit != nil {
		limit, err := r.integer(l, l.statement.Limit, "limit")
		if err != nil {
			return w, err
		}
		w.n = min(w.n, max(0, limit))
	}
	return w, nil
}

func (r *run) integer(l loop, e expressions.Expression, name string) (int, error) {
	value, err := r.evaluate(l.line, e)
	if err != nil {
		return 0, err
	}
	n, ok := numberOf(value)
	if !ok || n != math.Trunc(n) || math.Abs(n) > math.MaxInt32 {
		return 0, at(l.line, "%s of a loop is not a whole number", name)
	}
	return int(n), nil
}

type (
	sliceList   []any
	reflectList struct{ reflect.Value }
)

func (s sliceList) Len() int          { return len(s) }
func (s sliceList) Index(i int) any   { return s[i] }
func (s reflectList) Index(i int) any { return s.Value.Index(i).Interface() }

// listOf returns what a loop over value goes over: a map's pairs in the order
// of its keys, and nothing for what is no list.
func listOf(value any) list {
	switch v := value.(type) {
	case list:
		return v
	case []any:
		return sliceList(v)
	case map[string]any:
		pairs := make(sliceList, 0, len(v))
		for _, key := range sortedKeys(v) {
			pairs = append(pairs, []any{key, v[key]})
		}
		return pairs
	}
	if rv := reflect.ValueOf(value); rv.IsValid() && rv.Kind() == reflect.Slice {
		return reflectList{rv}
	}
	return sliceList(nil)
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
