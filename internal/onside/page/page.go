// Package page reads an HTML page as a search engine does: what it says it is
// about, what it links to, and how it may be indexed. It looks at the HTML as
// sent; scripts are not run.
package page

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding/unicode"

	"github.com/engardehq/madansara/internal/onside/keyword"
	"github.com/engardehq/madansara/internal/onside/weburl"
)

// What is kept of a page at most. A page with more is an exception that its
// counts still show.
const (
	maxText     = 1000 // characters of a title, heading, link text, ...
	maxLinks    = 2000
	maxHeadings = 300
	maxImages   = 500
	maxKeywords = 20
	maxNamed    = 100 // entries of Open Graph, Twitter card, hreflang, JSON-LD
	maxJSONLD   = 100 << 10
)

// ErrNotHTML is returned for what is not an HTML page.
var ErrNotHTML = errors.New("it is not an HTML page")

// ErrTooDeep is returned for a page whose elements nest deeper than 512 levels.
var ErrTooDeep = errors.New("its elements nest deeper than 512 levels")

// Page is what stands on a page.
type Page struct {
	Title        string   `json:"title"`
	Titles       int      `json:"titles" doc:"Title elements in the page's head"`
	Description  string   `json:"description"`
	Descriptions int      `json:"descriptions"`
	Canonical    string   `json:"canonical,omitempty" doc:"Absolute, when it can be resolved"`
	Canonicals   []string `json:"canonicals,omitempty" doc:"Every canonical address the page or its headers declare, as written"`
	// Language is what the html element declares, Detected what the text is
	// written in ("" when it cannot be told).
	Language string `json:"language,omitempty"`
	Detected string `json:"detected_language,omitempty"`

	Charset         string `json:"charset" doc:"The encoding the page was read in"`
	CharsetDeclared bool   `json:"charset_declared"`
	HTML5           bool   `json:"html5" doc:"Whether it begins with the HTML5 doctype"`
	Viewport        string `json:"viewport,omitempty"`
	Favicon         bool   `json:"favicon"`
	Refresh         string `json:"refresh,omitempty" doc:"A meta refresh, as written"`
	// Directives for crawlers, of meta tags and headers, in lower case.
	Directives []string `json:"directives,omitempty"`
	// Misplaced are head elements that the parser found in the body, where
	// search engines ignore them.
	Misplaced []string `json:"misplaced,omitempty"`

	Headings   []Heading         `json:"headings"`
	WordCount  int               `json:"word_count" doc:"Words of the visible text, without navigation, header and footer"`
	TextBytes  int               `json:"text_bytes"`
	HTMLBytes  int               `json:"html_bytes"`
	Elements   int               `json:"elements"`
	Filler     string            `json:"filler,omitempty" doc:"Placeholder text that was left in the page"`
	Keywords   []keyword.Keyword `json:"keywords"`
	Links      []Link            `json:"links"`
	Internal   int               `json:"internal_links"`
	External   int               `json:"external_links"`
	Unfollowed []string          `json:"unfollowable_links,omitempty" doc:"Links a crawler cannot follow, as written"`
	Images     []Image           `json:"images"`
	ImageCount int               `json:"image_count"`
	WithoutAlt int               `json:"images_without_alt"`
	Unsized    int               `json:"images_without_size"`

	OpenGraph    map[string]string `json:"open_graph,omitempty"`
	Twitter      map[string]string `json:"twitter_card,omitempty"`
	Hreflang     []Alternate       `json:"hreflang,omitempty"`
	JSONLD       []json.RawMessage `json:"json_ld,omitempty"`
	BadJSONLD    []string          `json:"bad_json_ld,omitempty" doc:"What is wrong with the blocks that cannot be read"`
	Insecure     []string          `json:"insecure,omitempty" doc:"Parts of a page over https that are loaded over http"`
	LinkTexts    int               `json:"-"`
	VagueLinks   []string          `json:"vague_links,omitempty" doc:"Internal links whose text says nothing"`
	InternalHTTP []string          `json:"-"`
}

// Heading is a heading, h1 to h6.
type Heading struct {
	Level int    `json:"level" minimum:"1" maximum:"6"`
	Text  string `json:"text"`
}

// Link is a link to a page.
type Link struct {
	URL      string `json:"url"`
	Text     string `json:"text"`
	Internal bool   `json:"internal" doc:"To the same host, with or without www."`
	Nofollow bool   `json:"nofollow"`
	Rel      string `json:"rel,omitempty" doc:"nofollow, ugc and sponsored, where the link has them"`
}

// Image is an image element.
type Image struct {
	URL string `json:"url"`
	// Alt is nil where the attribute is missing; "" marks an ornament.
	Alt *string `json:"alt"`
}

// Alternate is a version of the page in another language.
type Alternate struct {
	Language string `json:"language"`
	URL      string `json:"url"`
}

// Source is a page as it was fetched.
type Source struct {
	URL    *url.URL // normalised, after redirects
	Header http.Header
	Body   []byte
}

// IsHTML reports whether a header says that its body is a page; without a
// content type the body decides.
func IsHTML(header http.Header, body []byte) bool {
	contentType := header.Get("Content-Type")
	if contentType == "" {
		contentType = http.DetectContentType(body)
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		media, _, _ = strings.Cut(strings.ToLower(contentType), ";")
	}
	switch strings.TrimSpace(media) {
	case "text/html", "application/xhtml+xml":
		return true
	}
	return false
}

// Analyze reads a page. Its errors are ErrNotHTML and ErrTooDeep.
func Analyze(source Source) (*Page, error) {
	if !IsHTML(source.Header, source.Body) {
		return nil, ErrNotHTML
	}
	head := source.Body[:min(len(source.Body), 1024)] // where browsers look for the encoding
	encoding, name, certain := charset.DetermineEncoding(head, source.Header.Get("Content-Type"))
	if !certain && allUTF8(source.Body) {
		encoding, name = unicode.UTF8, "utf-8" // its head may be plain, and then says nothing
	}
	decoded, err := io.ReadAll(encoding.NewDecoder().Reader(bytes.NewReader(source.Body)))
	if err != nil {
		decoded = bytes.ToValidUTF8(source.Body, []byte("\uFFFD")) // a decoder that gives up; x/text's replace instead
	}
	root, err := parse(bytes.TrimPrefix(decoded, []byte("\xef\xbb\xbf")))
	if err != nil {
		return nil, err
	}
	r := &reader{
		page: &Page{
			Charset: name, CharsetDeclared: certain || declaresCharset(head), HTMLBytes: len(source.Body),
			Headings: []Heading{}, Keywords: []keyword.Keyword{}, Links: []Link{}, Images: []Image{},
			OpenGraph: map[string]string{}, Twitter: map[string]string{},
		},
		url: source.URL, base: source.URL,
	}
	r.headers(source.Header)
	r.findBase(root)
	r.walk(root, state{place: keyword.Body})
	r.finish()
	return r.page, nil
}

// allUTF8 reports whether text is UTF-8, but for a last character that a limit cut.
func allUTF8(text []byte) bool {
	for cut := range min(utf8.UTFMax, len(text)+1) {
		if utf8.Valid(text[:len(text)-cut]) {
			return true
		}
	}
	return false
}

func parse(content []byte) (root *html.Node, err error) {
	defer func() {
		if recover() != nil { // how the parser ends on what nests too deep
			root, err = nil, ErrTooDeep
		}
	}()
	root, err = html.Parse(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrTooDeep, err) // reading from memory fails in no other way
	}
	return root, nil
}

// declaresCharset reports whether a meta tag at the beginning of a page names
// its encoding.
func declaresCharset(head []byte) bool {
	for tokens := html.NewTokenizer(bytes.NewReader(head)); ; {
		switch tokens.Next() {
		case html.ErrorToken:
			return false
		case html.StartTagToken, html.SelfClosingTagToken:
			token := tokens.Token()
			if token.Data != "meta" {
				continue
			}
			for _, a := range token.Attr {
				if a.Key == "charset" || a.Key == "content" && strings.Contains(strings.ToLower(a.Val), "charset=") {
					return true
				}
			}
		}
	}
}

// headers takes over what HTTP headers say about the page.
func (r *reader) headers(header http.Header) {
	for _, line := range header.Values("X-Robots-Tag") {
		r.directives(line, true)
	}
	for _, link := range parseLinkHeader(header.Values("Link")) {
		switch {
		case link.rel == "canonical":
			r.canonical(link.target)
		case link.rel == "alternate" && link.hreflang != "":
			r.alternate(link.hreflang, link.target)
		}
	}
}

// findBase finds the base element, which the links before it obey too.
func (r *reader) findBase(root *html.Node) {
	for node := range root.Descendants() {
		if node.Type == html.ElementNode && node.Data == "base" && node.Namespace == "" {
			if href, has := attribute(node, "href"); has {
				if base, err := weburl.Resolve(r.url, href); err == nil {
					r.base = base
				}
				return
			}
		}
	}
}
