package liquid

import (
	"strings"

	"github.com/osteele/liquid/parser"
)

// blocks are the tags that have an end, or stand as a clause inside one.
var blocks = func() grammar {
	g := grammar{}
	for name, clauses := range map[string][]string{
		"if": {"elsif", "else"}, "unless": {"elsif", "else"}, "case": {"when", "else"},
		"for": {"else"}, "tablerow": nil, "capture": nil, "comment": nil, "raw": nil,
	} {
		g[name] = &block{name: name}
		g["end"+name] = &block{name: "end" + name, end: true, parents: []string{name}}
		for _, clause := range clauses {
			if g[clause] == nil {
				g[clause] = &block{name: clause, clause: true}
			}
			g[clause].parents = append(g[clause].parents, name)
		}
	}
	return g
}()

type grammar map[string]*block

// BlockSyntax is part of parser.Grammar.
func (g grammar) BlockSyntax(name string) (parser.BlockSyntax, bool) {
	b, ok := g[name]
	return b, ok
}

type block struct {
	name        string
	clause, end bool
	parents     []string // where a clause or an end may stand
}

func (b *block) IsBlock() bool        { return true }
func (b *block) IsBlockEnd() bool     { return b.end }
func (b *block) IsBlockStart() bool   { return !b.clause && !b.end }
func (b *block) IsClause() bool       { return b.clause }
func (b *block) ParentTags() []string { return b.parents }
func (b *block) RequiresParent() bool { return b.clause || b.end }
func (b *block) TagName() string      { return b.name }
func (b *block) CanHaveParent(parent parser.BlockSyntax) bool {
	if !b.RequiresParent() {
		return true
	}
	for _, name := range b.parents {
		if parent != nil && parent.TagName() == name {
			return true
		}
	}
	return false
}

func stripPosition(message string) string {
	if _, rest, found := strings.Cut(message, "): "); found && strings.HasPrefix(message, "Liquid error (") {
		message = rest
	}
	if i := strings.LastIndex(message, " in {"); i > 0 {
		message = message[:i]
	}
	return message
}
