package liquid

import (
	"errors"
	"strings"
	"unicode"

	"github.com/osteele/liquid/expressions"
	"github.com/osteele/liquid/parser"
)

// node is a piece of a compiled template.
type node interface {
	render(r *run) error
}

type (
	sequence []node
	// literal is text that is written as it stands.
	literal string
	// output is {{ value }}.
	output struct {
		line  int
		value expressions.Expression
	}
	assign struct {
		line  int
		name  string
		value expressions.Expression
	}
	capture struct {
		line int
		name string
		body sequence
	}
	// branches is if, elsif and else; unless negates the first.
	branches struct {
		line int
		list []branch
	}
	branch struct {
		test   expressions.Expression // nil: always
		negate bool
		body   sequence
	}
	choice struct {
		line  int
		value expressions.Expression
		whens []when
	}
	when struct {
		values []expressions.Expression // nil: always
		body   sequence
	}
	loop struct {
		line       int
		statement  expressions.Loop
		body       sequence
		otherwise  sequence
		isTableRow bool
	}
	cycle struct {
		line   int
		group  string
		values []string
	}
	// jump is break and continue.
	jump struct {
		line int
		err  error
	}
)

func compile(n parser.ASTNode) (sequence, error) {
	root, ok := n.(*parser.ASTSeq)
	if !ok {
		return nil, errors.New("liquid: the parser returned no sequence")
	}
	return compileAll(root.Children)
}

// compileAll compiles siblings; white space control acts between them.
func compileAll(siblings []parser.ASTNode) (sequence, error) {
	compiled := make(sequence, 0, len(siblings))
	for i, sibling := range siblings {
		switch n := sibling.(type) {
		case *parser.ASTTrim:
			continue
		case *parser.ASTText:
			if text := trimmed(n.Source, siblings, i); text != "" {
				compiled = append(compiled, literal(text))
			}
		case *parser.ASTRaw:
			compiled = append(compiled, literal(strings.Join(n.Slices, "")))
		case *parser.ASTObject:
			compiled = append(compiled, output{line: n.SourceLoc.LineNo, value: n.Expr})
		case *parser.ASTTag:
			tag, err := compileTag(n.Token)
			if err != nil {
				return nil, err
			}
			compiled = append(compiled, tag)
		case *parser.ASTBlock:
			compiledBlock, err := compileBlock(n)
			if err != nil {
				return nil, err
			}
			compiled = append(compiled, compiledBlock)
		}
	}
	return compiled, nil
}

func trimmed(text string, siblings []parser.ASTNode, i int) string {
	if i > 0 {
		if trim, ok := siblings[i-1].(*parser.ASTTrim); ok && trim.TrimDirection == parser.Right {
			text = strings.TrimLeftFunc(text, unicode.IsSpace)
		}
	}
	if i+1 < len(siblings) {
		if trim, ok := siblings[i+1].(*parser.ASTTrim); ok && trim.TrimDirection == parser.Left {
			text = strings.TrimRightFunc(text, unicode.IsSpace)
		}
	}
	return text
}

func compileTag(token parser.Token) (node, error) {
	line := token.SourceLoc.LineNo
	switch token.Name {
	case "assign":
		s, err := statement(expressions.AssignStatementSelector, token)
		if err != nil {
			return nil, err
		}
		return assign{line: line, name: s.Assignment.Variable, value: s.ValueFn}, nil
	case "cycle":
		s, err := statement(expressions.CycleStatementSelector, token)
		if err != nil {
			return nil, err
		}
		return cycle{line: line, group: s.Group, values: s.Values}, nil
	case "break":
		return jump{line: line, err: errBreak}, nil
	case "continue":
		return jump{line: line, err: errSkip}, nil
	default:
		return nil, at(line, "there is no tag %q", token.Name)
	}
}

func compileBlock(n *parser.ASTBlock) (node, error) {
	body, err := compileAll(n.Body)
	if err != nil {
		return nil, err
	}
	line := n.SourceLoc.LineNo
	switch n.Name {
	case "if", "unless":
		return compileBranches(n, body)
	case "case":
		return compileChoice(n)
	case "for", "tablerow":
		return compileLoop(n, body)
	case "capture":
		name := strings.TrimSpace(n.Args)
		if !isName(name) {
			return nil, at(line, "capture needs the name of a variable")
		}
		return capture{line: line, name: name, body: body}, nil
	default:
		return nil, at(line, "there is no tag %q", n.Name)
	}
}

func compileBranches(n *parser.ASTBlock, body sequence) (node, error) {
	test, err := expression(n.Token)
	if err != nil {
		return nil, err
	}
	compiled := branches{line: n.SourceLoc.LineNo, list: []branch{{test: test, negate: n.Name == "unless", body: body}}}
	for _, clause := range n.Clauses {
		b := branch{}
		if clause.Name == "elsif" {
			if b.test, err = expression(clause.Token); err != nil {
				return nil, err
			}
		}
		if b.body, err = compileAll(clause.Body); err != nil {
			return nil, err
		}
		compiled.list = append(compiled.list, b)
	}
	return compiled, nil
}

func compileChoice(n *parser.ASTBlock) (node, error) {
	value, err := expression(n.Token)
	if err != nil {
		return nil, err
	}
	compiled := choice{line: n.SourceLoc.LineNo, value: value}
	for _, clause := range n.Clauses {
		w := when{}
		if clause.Name == "when" {
			s, err := statement(expressions.WhenStatementSelector, clause.Token)
			if err != nil {
				return nil, err
			}
			w.values = s.Exprs
		}
		if w.body, err = compileAll(clause.Body); err != nil {
			return nil, err
		}
		compiled.whens = append(compiled.whens, w)
	}
	return compiled, nil
}

func compileLoop(n *parser.ASTBlock, body sequence) (node, error) {
	s, err := statement(expressions.LoopStatementSelector, n.Token)
	if err != nil {
		return nil, err
	}
	compiled := loop{line: n.SourceLoc.LineNo, statement: s.Loop, body: body, isTableRow: n.Name == "tablerow"}
	for i, clause := range n.Clauses {
		if i > 0 {
			return nil, at(clause.SourceLoc.LineNo, "a loop has at most one else")
		}
		if compiled.otherwise, err = compileAll(clause.Body); err != nil {
			return nil, err
		}
	}
	return compiled, nil
}

func expression(token parser.Token) (expressions.Expression, error) {
	e, err := expressions.Parse(token.Args)
	if err != nil {
		return nil, at(token.SourceLoc.LineNo, "%s: %v", token.Name, err)
	}
	return e, nil
}

func statement(selector string, token parser.Token) (*expressions.Statement, error) {
	s, err := expressions.ParseStatement(selector, token.Args)
	if err != nil {
		// The selector is the library's inner spelling of the tag.
		return nil, at(token.SourceLoc.LineNo, "%s", strings.Replace(err.Error(), selector, token.Name+" ", 1))
	}
	return s, nil
}
