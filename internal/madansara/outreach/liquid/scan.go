package liquid

import (
	"strings"
	"unicode/utf8"

	"github.com/osteele/liquid/parser"

	"github.com/engardehq/madansara/internal/fault"
)

// reference is a variable named in the template, with the properties asked of it.
type reference struct {
	line int
	path []string
}

func (r reference) String() string { return strings.Join(r.path, ".") }

// resolves reports whether vars have a value there. What cannot be known
// without rendering (an element of a list) counts as resolved.
func (r reference) resolves(vars map[string]any) bool {
	var value any = vars
	for _, name := range r.path {
		object, ok := value.(map[string]any)
		if !ok {
			return value != nil
		}
		if value, ok = object[name]; !ok {
			return name == "size"
		}
	}
	return true
}

type scanned struct {
	references []reference
	defined    map[string]bool
	depth      int // blocks open
}

// scan refuses what the library's parser lets through or dies of, and collects
// the names a template uses.
func scan(source string) (scanned, error) {
	out := scanned{defined: map[string]bool{"forloop": true}}
	if len(source) > MaxSource {
		return out, fault.New(fault.Invalid, "The template has %d bytes; %d is the limit.", len(source), MaxSource)
	}
	if !utf8.ValidString(source) {
		return out, fault.New(fault.Invalid, "The template is not valid UTF-8.")
	}
	if before, _, found := strings.Cut(source, "\x00"); found {
		return out, at(1+strings.Count(before, "\n"), "a NUL character is not text")
	}
	verbatim, verbatimLine := "", 0
	for _, token := range parser.Scan(source, parser.SourceLoc{LineNo: 1}, nil) {
		line := token.SourceLoc.LineNo
		if verbatim != "" { // inside raw or comment nothing counts but its end
			if token.Type == parser.TagTokenType && token.Name == "end"+verbatim {
				verbatim = ""
			}
			continue
		}
		if token.Type == parser.TagTokenType && (token.Name == "raw" || token.Name == "comment") {
			verbatim, verbatimLine = token.Name, line
			continue
		}
		if err := out.token(token, line); err != nil {
			return out, err
		}
	}
	if verbatim != "" {
		return out, at(verbatimLine, "%q has no %q", verbatim, "end"+verbatim)
	}
	return out, nil
}

func (s *scanned) token(token parser.Token, line int) error {
	switch token.Type {
	case parser.TextTokenType:
		return unclosed(token.Source, line)
	case parser.ObjTokenType:
		return s.expression(token.Args, line)
	case parser.TagTokenType:
		return s.tag(token, line)
	default: // white space control
		return nil
	}
}

func unclosed(text string, line int) error {
	for _, pair := range [][2]string{{"{{", "}}"}, {"{%", "%}"}} {
		if i := strings.Index(text, pair[0]); i >= 0 {
			return at(line+strings.Count(text[:i], "\n"), "%q is empty or has no %q on its line; write {%% raw %%} around it if it is meant as text", pair[0], pair[1])
		}
	}
	return nil
}

func (s *scanned) tag(token parser.Token, line int) error {
	if b := blocks[token.Name]; b != nil && b.IsBlockStart() {
		s.depth++
	} else if b != nil && b.end {
		s.depth--
	}
	if s.depth > MaxDepth {
		return at(line, "blocks are nested deeper than %d", MaxDepth)
	}
	args := token.Args
	switch token.Name {
	case "assign":
		if name, value, found := strings.Cut(args, "="); found {
			s.defined[strings.TrimSpace(name)] = true
			args = value
		}
	case "capture":
		s.defined[strings.TrimSpace(args)] = true
		return nil
	case "for", "tablerow":
		if name, list, found := strings.Cut(args, " in "); found {
			s.defined[strings.TrimSpace(name)] = true
			args = list
		}
	}
	return s.expression(args, line)
}

// words of the expression language that are not variables.
var words = map[string]bool{
	"true": true, "false": true, "nil": true, "and": true, "or": true, "contains": true, "in": true, "reversed": true,
}

// expression checks the characters, length, depth and filters of one expression
// and collects its variables.
func (s *scanned) expression(source string, line int) error {
	if len(source) > MaxExpression {
		return at(line, "an expression has %d bytes; %d is the limit", len(source), MaxExpression)
	}
	depth, afterPipe := 0, false
	for i := 0; i < len(source); {
		c := source[i]
		switch {
		case c == '"' || c == '\'':
			end := strings.IndexByte(source[i+1:], c)
			if end < 0 {
				return at(line, "a text that starts with %c has no end", c)
			}
			i += end + 2
			continue
		case isLetter(c):
			path, next := readPath(source, i)
			if afterPipe {
				if filters[path[0]] == nil {
					return at(line, "there is no filter %q", path[0])
				}
			} else if !words[path[0]] && (next >= len(source) || source[next] != ':') {
				s.references = append(s.references, reference{line: line, path: path})
			}
			afterPipe = false
			i = next
			continue
		case c == '.' && i+1 < len(source) && isLetter(source[i+1]): // a property of what a bracket closed
			i = nameEnd(source, i+1)
			continue
		case c == '(' || c == '[':
			if depth++; depth > MaxDepth {
				return at(line, "an expression is nested deeper than %d", MaxDepth)
			}
		case c == ')' || c == ']':
			depth--
		case c == '|':
			afterPipe = true
		case isDigit(c) || strings.IndexByte(" \t\r\n.,:<>=!-", c) >= 0:
		default:
			r, _ := utf8.DecodeRuneInString(source[i:])
			return at(line, "%q has no meaning in an expression", r)
		}
		i++
	}
	return nil
}

// readPath reads a name and the properties that follow it.
func readPath(source string, start int) (path []string, end int) {
	for {
		end = nameEnd(source, start)
		path = append(path, source[start:end])
		if end+1 >= len(source) || source[end] != '.' || !isLetter(source[end+1]) {
			return path, end
		}
		start = end + 1
	}
}

func nameEnd(source string, i int) int {
	for i < len(source) && (isLetter(source[i]) || isDigit(source[i]) || source[i] == '-' || source[i] == '?') {
		i++
	}
	return i
}

func isLetter(c byte) bool { return c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }

func isName(s string) bool {
	for i := range len(s) {
		if !isLetter(s[i]) && (i == 0 || !isDigit(s[i]) && s[i] != '-') {
			return false
		}
	}
	return s != ""
}
