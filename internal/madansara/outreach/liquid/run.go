package liquid

import (
	"context"
	"errors"
	"html"
	"strconv"

	"github.com/osteele/liquid/expressions"
	"github.com/osteele/liquid/values"

	"github.com/engardehq/madansara/internal/fault"
)

// run is one rendering and what it has used of its bounds.
type run struct {
	ctx    context.Context
	mode   Mode
	vars   map[string]any
	config expressions.Config
	scope  expressions.Context
	line   int // being rendered

	out        []byte
	steps      int
	iterations int
	memory     int
}

func (s sequence) render(r *run) error {
	for _, n := range s {
		if err := r.step(); err != nil {
			return err
		}
		if err := n.render(r); err != nil {
			return err
		}
	}
	return nil
}

func (l literal) render(r *run) error { return r.write(string(l)) }

func (o output) render(r *run) error {
	value, err := r.evaluate(o.line, o.value)
	if err != nil {
		return err
	}
	return r.writeValue(value, 0)
}

func (a assign) render(r *run) error {
	value, err := r.evaluate(a.line, a.value)
	if err != nil {
		return err
	}
	r.vars[a.name] = value
	return nil
}

func (c capture) render(r *run) error {
	r.line = c.line
	start := len(r.out)
	if err := c.body.render(r); err != nil {
		return err
	}
	text := string(r.out[start:])
	r.out = r.out[:start]
	if err := r.charge(len(text)); err != nil {
		return err
	}
	if r.mode == HTML {
		r.vars[c.name] = markup{text} // its values were escaped inside
	} else {
		r.vars[c.name] = text
	}
	return nil
}

func (b branches) render(r *run) error {
	for _, branch := range b.list {
		holds := true
		if branch.test != nil {
			value, err := r.evaluate(b.line, branch.test)
			if err != nil {
				return err
			}
			holds = (value != nil && value != false) != branch.negate
		}
		if holds {
			return branch.body.render(r)
		}
	}
	return nil
}

func (c choice) render(r *run) error {
	value, err := r.evaluate(c.line, c.value)
	if err != nil {
		return err
	}
	for _, when := range c.whens {
		if when.values == nil {
			return when.body.render(r)
		}
		for _, candidate := range when.values {
			other, err := r.evaluate(c.line, candidate)
			if err != nil {
				return err
			}
			if values.Equal(value, other) {
				return when.body.render(r)
			}
		}
	}
	return nil
}

func (c cycle) render(r *run) error {
	r.line = c.line
	current, ok := r.vars[forloop].(map[string]any)
	if !ok {
		return at(c.line, "cycle stands outside a loop")
	}
	counts, ok := current[cyclesKey].(map[string]int)
	if !ok {
		return at(c.line, "cycle stands outside a loop")
	}
	n := counts[c.group]
	counts[c.group] = n + 1
	return r.write(c.values[n%len(c.values)])
}

func (j jump) render(r *run) error {
	r.line = j.line
	return j.err
}

// evaluate computes an expression of that line.
func (r *run) evaluate(line int, e expressions.Expression) (any, error) {
	r.line = line
	value, err := e.Evaluate(r.scope)
	if err != nil {
		return nil, err
	}
	return value, nil
}

// step counts one piece of the template and looks at the clock.
func (r *run) step() error {
	if r.steps++; r.steps > MaxSteps {
		return exceeded("the template renders more than %d pieces", MaxSteps)
	}
	return r.alive()
}

func (r *run) alive() error {
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	return nil
}

// charge counts bytes that a value made by the template takes.
func (r *run) charge(bytes int) error {
	if bytes > MaxString {
		return exceeded("a value would have more than %d bytes", MaxString)
	}
	if r.memory += bytes; r.memory > MaxMemory {
		return exceeded("the template makes more than %d bytes of values", MaxMemory)
	}
	return r.alive()
}

func (r *run) write(text string) error {
	if len(r.out)+len(text) > MaxOutput {
		return exceeded("the result would have more than %d bytes", MaxOutput)
	}
	r.out = append(r.out, text...)
	return nil
}

// writeValue writes a value as {{ }} does: lists without separators, nil as nothing.
func (r *run) writeValue(value any, depth int) error {
	switch v := value.(type) {
	case markup:
		return r.write(v.text)
	case []any:
		if depth > MaxDepth {
			return exceeded("a list is nested deeper than %d", MaxDepth)
		}
		for _, item := range v {
			if err := r.step(); err != nil {
				return err
			}
			if err := r.writeValue(item, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	text, err := r.text(value)
	if err != nil {
		return err
	}
	if r.mode == HTML {
		text = html.EscapeString(text)
	}
	return r.write(text)
}

// limitError is a bound that was reached.
type limitError struct{ error }

func exceeded(format string, args ...any) error {
	return limitError{fault.New(fault.Invalid, format, args...)}
}

// explain turns a rendering's failure into what the author of the template reads.
func (r *run) explain(err error) error {
	var known *fault.Error
	var limit limitError
	var filter expressions.FilterError
	switch {
	case errors.As(err, &limit):
		return at(r.line, "%s", limit.Error())
	case errors.Is(err, errTooLong):
		return at(r.line, "%s", errTooLong)
	case r.ctx.Err() != nil && errors.Is(err, context.Cause(r.ctx)):
		return err
	case errors.As(err, &filter):
		return r.explainFilter(filter)
	case errors.As(err, &known):
		return err
	default:
		return at(r.line, "%.200s", err)
	}
}

// explainFilter looks inside, which the library's error does not let errors.As do.
func (r *run) explainFilter(filter expressions.FilterError) error {
	if inner, ok := errors.AsType[expressions.FilterError](filter.Err); ok {
		return r.explainFilter(inner)
	}
	var limit limitError
	if errors.As(filter.Err, &limit) || errors.Is(filter.Err, errTooLong) || r.ctx.Err() != nil {
		return r.explain(filter.Err)
	}
	return at(r.line, "%s: %.200s", filter.FilterName, filter.Err)
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
