package signature

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// This file reads the part of Structured Fields (RFC 8941) that signatures and
// digests use: dictionaries whose members are inner lists of strings, or byte
// sequences. It is stricter than the RFC where leniency could make two readers
// disagree: a key may occur once.

// Limits of a header field that is parsed.
const (
	maxFieldBytes = 8 << 10
	maxMembers    = 16
	maxItems      = 32
	maxParams     = 16
)

var errSyntax = errors.New("not a structured field")

// parameter is one ;name=value. value is a string, an int64, a bool or []byte.
type parameter struct {
	name  string
	value any
}

// innerList is ("a" "b");p=1, items without parameters of their own.
type innerList struct {
	items  []string
	params []parameter
}

// member is a dictionary's member: an inner list or a byte sequence.
type member struct {
	key   string
	list  *innerList
	bytes []byte
}

type reader struct {
	text string
	at   int
}

func (r *reader) fail(what string) error {
	return fmt.Errorf("%w: %s at byte %d", errSyntax, what, r.at)
}

func (r *reader) end() bool { return r.at >= len(r.text) }

func (r *reader) peek() byte {
	if r.end() {
		return 0
	}
	return r.text[r.at]
}

func (r *reader) take(c byte) bool {
	if !r.end() && r.text[r.at] == c {
		r.at++
		return true
	}
	return false
}

func (r *reader) spaces() int {
	from := r.at
	for r.peek() == ' ' {
		r.at++
	}
	return r.at - from
}

func (r *reader) optionalWhitespace() {
	for c := r.peek(); c == ' ' || c == '\t'; c = r.peek() {
		r.at++
	}
}

// parseDictionary reads a whole field value.
func parseDictionary(text string) ([]member, error) {
	if len(text) > maxFieldBytes {
		return nil, fmt.Errorf("%w: longer than %d bytes", errSyntax, maxFieldBytes)
	}
	r := &reader{text: text}
	r.spaces()
	var members []member
	for {
		m, err := r.member()
		if err != nil {
			return nil, err
		}
		for _, earlier := range members {
			if earlier.key == m.key {
				return nil, r.fail("a second member " + m.key)
			}
		}
		if members = append(members, m); len(members) > maxMembers {
			return nil, r.fail("too many members")
		}
		r.optionalWhitespace()
		if r.end() {
			return members, nil
		}
		if !r.take(',') {
			return nil, r.fail("no comma between members")
		}
		r.optionalWhitespace()
		if r.end() {
			return nil, r.fail("a comma at the end")
		}
	}
}

func (r *reader) member() (member, error) {
	key, err := r.key()
	if err != nil {
		return member{}, err
	}
	if !r.take('=') {
		return member{}, r.fail("a member without a value")
	}
	m := member{key: key}
	switch r.peek() {
	case '(':
		m.list, err = r.innerList()
	case ':':
		m.bytes, err = r.byteSequence()
	default:
		err = r.fail("neither an inner list nor a byte sequence")
	}
	return m, err
}

func (r *reader) key() (string, error) {
	from := r.at
	c := r.peek()
	if c != '*' && (c < 'a' || c > 'z') {
		return "", r.fail("a key must begin with a small letter")
	}
	for c := r.peek(); c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.' || c == '*'; c = r.peek() {
		r.at++
	}
	return r.text[from:r.at], nil
}

func (r *reader) innerList() (*innerList, error) {
	r.at++ // the caller saw the parenthesis
	list := &innerList{}
	for {
		spaces := r.spaces()
		if r.take(')') {
			break
		}
		if spaces == 0 && len(list.items) > 0 {
			return nil, r.fail("no space between items")
		}
		item, err := r.quoted()
		if err != nil {
			return nil, err
		}
		if r.peek() == ';' {
			return nil, r.fail("a component with parameters, which this reader does not support")
		}
		if list.items = append(list.items, item); len(list.items) > maxItems {
			return nil, r.fail("too many items")
		}
	}
	var err error
	list.params, err = r.parameters()
	return list, err
}

func (r *reader) parameters() (params []parameter, err error) {
	for r.take(';') {
		r.spaces()
		name, err := r.key()
		if err != nil {
			return nil, err
		}
		for _, earlier := range params {
			if earlier.name == name {
				return nil, r.fail("a second parameter " + name)
			}
		}
		var value any = true
		if r.take('=') {
			if value, err = r.bareItem(); err != nil {
				return nil, err
			}
		}
		if params = append(params, parameter{name, value}); len(params) > maxParams {
			return nil, r.fail("too many parameters")
		}
	}
	return params, nil
}

func (r *reader) bareItem() (any, error) {
	switch c := r.peek(); {
	case c == '"':
		return r.quoted()
	case c == ':':
		return r.byteSequence()
	case c == '?':
		r.at++
		if r.take('1') {
			return true, nil
		}
		if r.take('0') {
			return false, nil
		}
		return nil, r.fail("not a boolean")
	case c == '-' || c >= '0' && c <= '9':
		return r.integer()
	default:
		return nil, r.fail("a value of an unknown type")
	}
}

func (r *reader) integer() (int64, error) {
	from := r.at
	r.take('-')
	digits := r.at
	for c := r.peek(); c >= '0' && c <= '9'; c = r.peek() {
		r.at++
	}
	if n := r.at - digits; n == 0 || n > 15 || r.peek() == '.' {
		return 0, r.fail("not an integer of at most 15 digits")
	}
	value, err := strconv.ParseInt(r.text[from:r.at], 10, 64)
	if err != nil {
		return 0, r.fail("not an integer")
	}
	return value, nil
}

func (r *reader) quoted() (string, error) {
	if !r.take('"') {
		return "", r.fail("no string")
	}
	from := r.at
	escaped := false
	for !r.end() {
		c := r.text[r.at]
		r.at++
		switch {
		case c == '"':
			text := r.text[from : r.at-1]
			if escaped {
				text = unescape.Replace(text)
			}
			return text, nil
		case c == '\\':
			if c := r.peek(); c != '"' && c != '\\' {
				return "", r.fail("a wrong escape")
			}
			escaped = true
			r.at++
		case c < 0x20 || c > 0x7e:
			return "", r.fail("a character that a string cannot hold")
		}
	}
	return "", r.fail("a string without an end")
}

var (
	unescape = strings.NewReplacer(`\\`, `\`, `\"`, `"`)
	escape   = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
)

func (r *reader) byteSequence() ([]byte, error) {
	r.at++ // the caller saw the colon
	length := strings.IndexByte(r.text[r.at:], ':')
	if length < 0 {
		return nil, r.fail("a byte sequence without an end")
	}
	encoded := r.text[r.at : r.at+length]
	if strings.ContainsAny(encoded, "\r\n") { // encoding/base64 would skip them
		return nil, r.fail("a line break in a byte sequence")
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, r.fail("not base64")
	}
	r.at += length + 1
	return decoded, nil
}

// String is the one canonical form of a list (RFC 8941 section 4.1).
func (l *innerList) String() string { return string(l.append(nil)) }

func (l *innerList) append(to []byte) []byte {
	to = append(to, '(')
	for i, item := range l.items {
		if i > 0 {
			to = append(to, ' ')
		}
		to = appendQuoted(to, item)
	}
	to = append(to, ')')
	for _, p := range l.params {
		to = append(to, ';')
		to = append(to, p.name...)
		if p.value == true {
			continue
		}
		to = append(to, '=')
		switch value := p.value.(type) {
		case string:
			to = appendQuoted(to, value)
		case int64:
			to = strconv.AppendInt(to, value, 10)
		case bool: // true is written as the name alone
			to = append(to, "?0"...)
		case []byte:
			to = append(to, ':')
			to = base64.StdEncoding.AppendEncode(to, value)
			to = append(to, ':')
		}
	}
	return to
}

func appendQuoted(to []byte, text string) []byte {
	if strings.ContainsAny(text, `\"`) {
		text = escape.Replace(text)
	}
	to = append(to, '"')
	to = append(to, text...)
	return append(to, '"')
}

func (l *innerList) text(name string) (string, bool) {
	for _, p := range l.params {
		if p.name == name {
			value, isText := p.value.(string)
			return value, isText
		}
	}
	return "", false
}

func (l *innerList) integer(name string) (int64, bool) {
	for _, p := range l.params {
		if p.name == name {
			value, isInteger := p.value.(int64)
			return value, isInteger
		}
	}
	return 0, false
}
