package page

import (
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"

	"github.com/engardehq/madansara/internal/onside/keyword"
	"github.com/engardehq/madansara/internal/onside/weburl"
)

// reader walks the tree of a page once and gathers what stands in it.
type reader struct {
	page *Page
	url  *url.URL
	base *url.URL

	texts []keyword.Text
	block strings.Builder // the text since the last block's border
	place keyword.Place   // of block
	words []string        // the first of the content, to tell the language
}

// state is what a node inherits.
type state struct {
	inHead  bool
	inBody  bool
	hidden  bool // not shown, though its links count
	place   keyword.Place
	heading *strings.Builder // of the heading we are in
	link    *strings.Builder // of the link we are in
}

// invisible elements hold text that is not part of the page's.
var invisible = []string{"script", "style", "template", "noscript", "svg", "math", "iframe", "object", "textarea", "select", "canvas", "audio", "video"}

// inline elements do not end a phrase; every other one does.
var inline = []string{
	"a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "del", "dfn", "em", "font", "i", "ins", "kbd", "label", "mark",
	"q", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "u", "var", "wbr",
}

func (r *reader) walk(node *html.Node, s state) {
	switch node.Type {
	case html.TextNode:
		r.text(node.Data, s)
		return
	case html.DoctypeNode:
		r.page.HTML5 = strings.EqualFold(node.Data, "html") && len(node.Attr) == 0
	case html.ElementNode:
		r.page.Elements++
		r.element(node, s)
		return
	}
	r.children(node, s)
}

func (r *reader) children(node *html.Node, s state) {
	for child := range node.ChildNodes() {
		r.walk(child, s)
	}
}

func (r *reader) element(node *html.Node, s state) {
	if node.Namespace != "" {
		return // SVG and MathML: pictures
	}
	switch node.Data {
	case "html":
		if language, has := attribute(node, "lang"); has {
			r.page.Language = clean(language, 35)
		}
	case "head":
		s.inHead = true
	case "body":
		s.inBody, s.inHead = true, false
	case "title":
		r.title(node, s)
		return
	case "meta":
		r.meta(node, s)
	case "link":
		r.linkElement(node, s)
	case "script":
		r.script(node)
	case "img":
		r.image(node, &s)
	case "nav", "footer", "header", "aside":
		if node.Data != "header" || !insideArticle(node) {
			s.place = keyword.Boilerplate
		}
	case "h1", "h2", "h3", "h4", "h5", "h6":
		r.heading(node, s)
		return
	case "a", "area":
		r.anchor(node, s)
		return
	}
	r.insecurePart(node)
	if slices.Contains(invisible, node.Data) {
		return
	}
	s.hidden = s.hidden || hidden(node)
	isInline := slices.Contains(inline, node.Data)
	if !isInline {
		r.endBlock()
	}
	r.children(node, s)
	if !isInline {
		r.endBlock()
	}
}

// insideArticle reports whether node is a header of the content rather than of
// the site.
func insideArticle(node *html.Node) bool {
	for ancestor := range node.Ancestors() {
		switch ancestor.Data {
		case "article", "main", "section":
			return true
		}
	}
	return false
}

func hidden(node *html.Node) bool {
	if _, is := attribute(node, "hidden"); is {
		return true
	}
	style, _ := attribute(node, "style")
	style = strings.ReplaceAll(strings.ToLower(style), " ", "")
	return strings.Contains(style, "display:none") || strings.Contains(style, "visibility:hidden")
}

func (r *reader) text(text string, s state) {
	if !s.inBody {
		return
	}
	if s.heading != nil && s.heading.Len() < 4*maxText {
		s.heading.WriteString(text)
	}
	if s.link != nil && s.link.Len() < 4*maxText {
		s.link.WriteString(text)
	}
	if s.hidden {
		return
	}
	if r.place != s.place {
		r.endBlock()
		r.place = s.place
	}
	r.block.WriteString(text)
}

// endBlock hands over the text of a block, across whose border no phrase goes.
func (r *reader) endBlock() {
	text := strings.Join(strings.Fields(r.block.String()), " ")
	r.block.Reset()
	if text == "" {
		return
	}
	r.texts = append(r.texts, keyword.Text{Place: r.place, Text: text})
	if r.place == keyword.Boilerplate {
		return
	}
	r.page.WordCount += keyword.CountWords(text)
	r.page.TextBytes += len(text)
	if len(r.words) < 3000 {
		r.words = append(r.words, keyword.Words(text)...)
	}
	if r.page.Filler == "" {
		r.page.Filler = filler(text)
	}
}

// filler finds text that templates come with.
func filler(text string) string {
	lower := strings.ToLower(text)
	for _, phrase := range []string{"lorem ipsum", "dolor sit amet", "your content goes here", "placeholder text", "texte de remplissage"} {
		if strings.Contains(lower, phrase) {
			return phrase
		}
	}
	return ""
}

func (r *reader) title(node *html.Node, s state) {
	if !s.inHead {
		r.misplaced("title")
		return
	}
	r.page.Titles++
	if r.page.Titles == 1 {
		r.page.Title = clean(textOf(node), maxText)
		r.texts = append(r.texts, keyword.Text{Place: keyword.Title, Text: r.page.Title})
	}
}

func (r *reader) heading(node *html.Node, s state) {
	r.endBlock()
	level := int(node.Data[1] - '0')
	if s.place != keyword.Boilerplate || level == 1 {
		s.place = keyword.Heading
		if level == 1 {
			s.place = keyword.H1
		}
	}
	s.heading = &strings.Builder{}
	r.children(node, s)
	r.endBlock()
	if len(r.page.Headings) < maxHeadings {
		r.page.Headings = append(r.page.Headings, Heading{Level: level, Text: clean(s.heading.String(), maxText)})
	}
}

func (r *reader) image(node *html.Node, s *state) {
	src, has := attribute(node, "src")
	if !has {
		src, _ = attribute(node, "srcset")
		src, _, _ = strings.Cut(strings.TrimSpace(src), " ")
	}
	r.page.ImageCount++
	image := Image{URL: clean(src, weburl.MaxLength)}
	if strings.HasPrefix(src, "data:") {
		image.URL = "data:"
	} else if u, err := weburl.Resolve(r.base, src); err == nil && src != "" {
		image.URL = u.String()
	}
	if alt, has := attribute(node, "alt"); has {
		alt = clean(alt, maxText)
		image.Alt = &alt
		if alt != "" {
			r.texts = append(r.texts, keyword.Text{Place: max(keyword.Alt, s.place), Text: alt})
			if s.link != nil {
				s.link.WriteString(" " + alt + " ")
			}
		}
	} else {
		r.page.WithoutAlt++
	}
	if !sized(node) {
		r.page.Unsized++
	}
	if len(r.page.Images) < maxImages {
		r.page.Images = append(r.page.Images, image)
	}
}

func sized(node *html.Node) bool {
	_, width := attribute(node, "width")
	_, height := attribute(node, "height")
	style, _ := attribute(node, "style")
	return width && height || strings.Contains(style, "width") && strings.Contains(style, "height") || strings.Contains(style, "aspect-ratio")
}

func (r *reader) finish() {
	r.endBlock()
	r.page.Detected = keyword.Detect(r.words)
	language := r.page.Detected
	if language == "" {
		language = keyword.Primary(r.page.Language)
	}
	if r.page.Description != "" {
		r.texts = append(r.texts, keyword.Text{Place: keyword.Description, Text: r.page.Description})
	}
	r.page.Keywords = keyword.Extract(r.texts, language, maxKeywords)
}

// misplaced notes a head element that stands in the body, where it has no effect.
func (r *reader) misplaced(what string) {
	if !slices.Contains(r.page.Misplaced, what) {
		r.page.Misplaced = append(r.page.Misplaced, what)
	}
}

func attribute(node *html.Node, name string) (string, bool) {
	for _, a := range node.Attr {
		if a.Namespace == "" && a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

func textOf(node *html.Node) string {
	var out strings.Builder
	for child := range node.Descendants() {
		if child.Type == html.TextNode {
			out.WriteString(child.Data)
		}
	}
	return out.String()
}

// clean makes one line of text, at most longest characters of it, that a
// database can keep.
func clean(text string, longest int) string {
	text = strings.Join(strings.Fields(strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "")), " ")
	if utf8.RuneCountInString(text) <= longest {
		return text
	}
	return string([]rune(text)[:longest-1]) + "…"
}
