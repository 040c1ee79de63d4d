// Package liquid renders message templates written by marketers. Their text is
// not trusted: whatever the template and the data, rendering ends within Limits,
// touches nothing outside its variables and leaves nothing running.
//
// The language is Liquid. Its scanner, parser and expressions are those of
// github.com/osteele/liquid; blocks, filters and output are this package's own,
// because that library's have no bounds: it loops a billion times over
// (1..1000000000), turns such a range into a slice for any array filter, and
// includes files.
//
// In HTML templates values are escaped where they are written. {{ x | raw }}
// opts out, for markup the author trusts; raw has to be the last filter, since a
// filter's result is text again. A captured block is markup already and is not
// escaped twice.
package liquid

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/osteele/liquid/expressions"
	"github.com/osteele/liquid/parser"

	"github.com/engardehq/madansara/internal/fault"
)

// The bounds of a template and of one rendering.
const (
	MaxSource     = 256 << 10       // bytes of a template
	MaxExpression = 1000            // bytes between {{ and }}
	MaxDepth      = 32              // blocks inside blocks, parentheses inside parentheses
	MaxOutput     = 1 << 20         // bytes of a rendered template
	MaxIterations = 10_000          // of all loops together
	MaxSteps      = 200_000         // tags, values and pieces of text rendered
	MaxString     = 256 << 10       // bytes of one value
	MaxItems      = 2_000           // of one list made by a filter
	MaxMemory     = 4 << 20         // bytes of all values made by filters and captures
	MaxTime       = 2 * time.Second // of one rendering
)

// Mode says what a template renders.
type Mode int

// The modes.
const (
	Text Mode = iota // values are written as they are
	HTML             // values are escaped unless they went through raw
)

// Template is a parsed template. It is safe for concurrent use.
type Template struct {
	mode       Mode
	root       sequence
	references []reference
	defined    map[string]bool // names that the template itself sets
}

// Parse reads a template that renders text. Its error is a *fault.Error of code
// Invalid that names the line and the reason.
func Parse(source string) (*Template, error) { return parse(source, Text) }

// ParseHTML is Parse for a template that renders HTML.
func ParseHTML(source string) (*Template, error) { return parse(source, HTML) }

func parse(source string, mode Mode) (t *Template, err error) {
	scanned, err := scan(source)
	if err != nil {
		return nil, err
	}
	// The library panics on some input that is merely wrong, such as a number
	// beyond 64 bits.
	defer func() {
		if r := recover(); r != nil {
			t, err = nil, fault.New(fault.Invalid, "The template cannot be read: %v.", r)
		}
	}()
	ast, parseErr := parser.NewConfig(blocks).Parse(source, parser.SourceLoc{LineNo: 1})
	if parseErr != nil {
		return nil, at(max(parseErr.LineNumber(), 1), "%s", reason(parseErr))
	}
	root, err := compile(ast)
	if err != nil {
		return nil, err
	}
	return &Template{mode: mode, root: root, references: scanned.references, defined: scanned.defined}, nil
}

// Render returns the template's text for vars, which it does not change. Values
// are what encoding/json decodes to, and time.Time. Undefined variables render
// as nothing. Its error is a *fault.Error of code Invalid (the template asks for
// too much or cannot be applied to this data), or ctx's.
func (t *Template) Render(ctx context.Context, vars map[string]any) (text string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, MaxTime, errTooLong)
	defer cancel()
	r := &run{ctx: ctx, mode: t.mode, vars: maps.Clone(vars), line: 1}
	if r.vars == nil {
		r.vars = map[string]any{}
	}
	for name, fn := range filters {
		r.config.AddFilter(name, fn(r))
	}
	r.scope = expressions.NewContext(r.vars, r.config)
	defer func() {
		if recovered := recover(); recovered != nil {
			text, err = "", at(r.line, "this cannot be done with the data given: %.200v", recovered)
		}
	}()
	if err := t.root.render(r); err != nil {
		return "", r.explain(err)
	}
	return string(r.out), nil
}

// Warning is something in a template that is allowed and probably not meant.
type Warning struct {
	Line    int    `json:"line" doc:"The template's line, from 1"`
	Message string `json:"message" doc:"What may be wrong there"`
}

// Check reports the variables that the template uses and sample does not have.
func (t *Template) Check(sample map[string]any) []Warning {
	var warnings []Warning
	seen := map[string]bool{}
	for _, ref := range t.references {
		name := ref.String()
		if t.defined[ref.path[0]] || ref.resolves(sample) || seen[name] {
			continue
		}
		seen[name] = true
		warnings = append(warnings, Warning{Line: ref.line, Message: fmt.Sprintf("%s has no value here and renders as nothing", name)})
	}
	return warnings
}

func at(line int, format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "line %d: %s", line, fmt.Sprintf(format, args...))
}

// reason is a library error's message without its position, which we give ourselves.
func reason(err parser.Error) string {
	if cause := err.Cause(); cause != nil {
		return cause.Error()
	}
	return stripPosition(err.Error())
}

var (
	errTooLong = fmt.Errorf("rendering takes longer than %s", MaxTime)
	errBreak   = errors.New("break outside a loop")
	errSkip    = errors.New("continue outside a loop")
)
