package channel

import (
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// maxTextDepth bounds the recursion into markup; deeper content is left out.
const maxTextDepth = 200

// TextOf returns what a reader without HTML should see of body: paragraphs by
// blank lines, list items with a dash, the address of a link after its text.
func TextOf(body string) string {
	root, err := html.Parse(strings.NewReader(body))
	if err != nil { // a reader in memory does not fail; nesting beyond the parser's bound does
		return ""
	}
	w := &textWriter{}
	w.walk(root, 0)
	return strings.TrimSpace(w.out.String()) + "\n"
}

type textWriter struct {
	out     strings.Builder
	newline int  // line ends owed before the next word
	space   bool // a space is owed before the next word
}

var (
	hidden     = []atom.Atom{atom.Head, atom.Style, atom.Script, atom.Title, atom.Noscript, atom.Template}
	paragraphs = []atom.Atom{atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Ul, atom.Ol, atom.Table, atom.Blockquote, atom.Pre, atom.Hr}
	lines      = []atom.Atom{atom.Div, atom.Tr, atom.Li, atom.Section, atom.Header, atom.Footer, atom.Article, atom.Center}
)

func (w *textWriter) walk(n *html.Node, depth int) {
	if depth > maxTextDepth {
		return
	}
	if n.Type == html.TextNode {
		w.text(n.Data)
		return
	}
	if n.Type == html.ElementNode && slices.Contains(hidden, n.DataAtom) {
		return
	}
	breaks := 0
	switch {
	case slices.Contains(paragraphs, n.DataAtom):
		breaks = 2
	case slices.Contains(lines, n.DataAtom):
		breaks = 1
	}
	w.owe(breaks)
	switch n.DataAtom {
	case atom.Br:
		w.newline++
	case atom.Td, atom.Th:
		w.space = true
	case atom.Li:
		w.text("- ")
		w.space = true
	case atom.Img:
		w.text(attribute(n, "alt"))
	}
	start := w.out.Len()
	for child := n.FirstChild; child != nil; child = child.NextSibling {
		w.walk(child, depth+1)
	}
	if n.DataAtom == atom.A {
		w.link(attribute(n, "href"), strings.TrimSpace(w.out.String()[start:]))
	}
	w.owe(breaks)
}

func (w *textWriter) link(href, label string) {
	if href == "" || href == label || strings.HasPrefix(href, "#") || strings.TrimPrefix(href, "mailto:") == label {
		return
	}
	if label == "" {
		w.text(href)
		return
	}
	w.space = true
	w.text("(" + href + ")")
}

func (w *textWriter) owe(breaks int) { w.newline = max(w.newline, breaks) }

func (w *textWriter) text(s string) {
	words := strings.Fields(s)
	if len(words) == 0 {
		w.space = w.space || s != ""
		return
	}
	if strings.TrimLeft(s, " \t\r\n") != s {
		w.space = true
	}
	if w.out.Len() > 0 {
		switch {
		case w.newline > 0:
			w.out.WriteString(strings.Repeat("\n", min(w.newline, 2)))
		case w.space:
			w.out.WriteByte(' ')
		}
	}
	w.newline, w.space = 0, strings.TrimRight(s, " \t\r\n") != s
	w.out.WriteString(strings.Join(words, " "))
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return strings.TrimSpace(a.Val)
		}
	}
	return ""
}
