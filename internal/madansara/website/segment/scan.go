package segment

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"
)

const (
	// maxDepth bounds how deep objects and arrays nest.
	maxDepth = 32
	// maxNumber bounds a number's digits, and maxExponent its power of ten: a
	// few bytes such as 1e100000 would be 100,000 digits in the database.
	maxNumber   = 350
	maxExponent = 308
)

// RefusalError says why an event, or a whole body, is not taken.
type RefusalError struct {
	Location string // "body.batch[3].timestamp"
	Message  string
}

func (r *RefusalError) Error() string { return r.Location + ": " + r.Message }

// scanner walks JSON once, without building values. It tells apart what makes
// the rest of the body unreadable (broken) from what only makes the current
// event unacceptable (refused): after the latter it goes on, to find the next.
//
// It is stricter than JSON where PostgreSQL's jsonb is: no NUL, no lone
// surrogate, no invalid UTF-8, no number beyond a double's range; and where a
// reader could be misled: no duplicate key.
type scanner struct {
	b       []byte
	i       int
	path    []step
	keys    [][]byte // keys of the objects being read, outermost first
	broken  *RefusalError
	refused *RefusalError
}

// step is a key, or when key is nil an index, on the way to the current value.
type step struct {
	key   []byte
	index int
}

func (s *scanner) location() string {
	out := []byte("body")
	for _, p := range s.path {
		if p.key == nil {
			out = append(strconv.AppendInt(append(out, '['), int64(p.index), 10), ']')
			continue
		}
		key := p.key
		if len(key) > 60 {
			key = append(key[:60:60], "..."...)
		}
		out = append(append(out, '.'), bytes.ToValidUTF8(key, []byte("?"))...)
	}
	return string(out)
}

func (s *scanner) refusef(format string, args ...any) {
	if s.refused == nil {
		s.refused = &RefusalError{Location: s.location(), Message: fmt.Sprintf(format, args...)}
	}
}

func (s *scanner) malformed(want string) {
	if s.broken != nil {
		return
	}
	got := "the body ends"
	if s.i < len(s.b) {
		got = fmt.Sprintf("found %q at byte %d", s.b[s.i:min(s.i+1, len(s.b))], s.i)
	}
	s.broken = &RefusalError{Location: s.location(), Message: "not valid JSON: " + got + " where " + want + " should be"}
	s.i = len(s.b)
}

// peek skips white space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return c
		}
	}
	return 0
}

// value skips one value of any kind, checking it.
func (s *scanner) value() {
	switch c := s.peek(); c {
	case '{':
		var o object
		for _, ok := s.member(&o); ok; _, ok = s.member(&o) {
			s.value()
		}
	case '[':
		n := 0
		for s.element(&n) {
			s.value()
		}
	case '"':
		s.str()
	case 't':
		s.literal("true")
	case 'f':
		s.literal("false")
	case 'n':
		s.literal("null")
	default:
		s.number()
	}
}

// object is the state of reading one object with member.
type object struct {
	opened bool
	base   int
	seen   map[string]struct{}
}

// member moves to the next member's value and returns its key; false after the
// last. The caller reads the value before it calls member again.
func (s *scanner) member(o *object) (key []byte, ok bool) {
	if !o.opened {
		s.i++ // '{'
		o.opened, o.base = true, len(s.keys)
		if len(s.path) >= maxDepth {
			s.skipDeep()
			return nil, false
		}
		s.path = append(s.path, step{key: []byte{}})
		if s.peek() == '}' {
			s.i++
			return s.endObject(o)
		}
	} else {
		s.path[len(s.path)-1] = step{key: []byte{}}
		switch s.peek() {
		case '}':
			s.i++
			return s.endObject(o)
		case ',':
			s.i++
		default:
			s.malformed(`"," or "}"`)
			return s.endObject(o)
		}
	}
	if s.peek() != '"' {
		s.malformed("a key in double quotes")
		return s.endObject(o)
	}
	raw, escaped := s.str()
	key = raw
	if escaped {
		key = unescape(raw)
	}
	s.path[len(s.path)-1] = step{key: key}
	s.unique(o, key)
	if s.peek() != ':' {
		s.malformed(`":"`)
		return s.endObject(o)
	}
	s.i++
	return key, true
}

func (s *scanner) endObject(o *object) ([]byte, bool) {
	s.keys = s.keys[:o.base]
	s.path = s.path[:len(s.path)-1]
	return nil, false
}

// unique refuses a key that the object has already. Few keys are compared one
// by one; many would make that quadratic, so they go into a map.
func (s *scanner) unique(o *object, key []byte) {
	const few = 16
	known := s.keys[o.base:]
	duplicate := false
	switch {
	case o.seen != nil:
		_, duplicate = o.seen[string(key)]
		o.seen[string(key)] = struct{}{}
		if duplicate {
			s.refusef("this key stands twice in its object")
		}
		return
	case len(known) < few:
		for _, k := range known {
			duplicate = duplicate || bytes.Equal(k, key)
		}
	default:
		o.seen = make(map[string]struct{}, 2*few)
		for _, k := range known {
			o.seen[string(k)] = struct{}{}
		}
		s.unique(o, key)
		return
	}
	if duplicate {
		s.refusef("this key stands twice in its object")
	}
	s.keys = append(s.keys, key)
}

// element moves to the next element's value; false after the last. n starts at
// 0 and counts the elements begun.
func (s *scanner) element(n *int) bool {
	if *n == 0 {
		s.i++ // '['
		if len(s.path) >= maxDepth {
			s.skipDeep()
			return false
		}
		s.path = append(s.path, step{})
		if s.peek() == ']' {
			s.i++
			s.path = s.path[:len(s.path)-1]
			return false
		}
	} else {
		switch s.peek() {
		case ']':
			s.i++
			s.path = s.path[:len(s.path)-1]
			return false
		case ',':
			s.i++
			s.path[len(s.path)-1] = step{index: *n}
		default:
			s.malformed(`"," or "]"`)
			s.path = s.path[:len(s.path)-1]
			return false
		}
	}
	*n++
	return true
}

// skipDeep refuses what nests too deep and skips to its end without recursion.
func (s *scanner) skipDeep() {
	s.refusef("nested deeper than %d levels", maxDepth)
	for open := 1; open > 0; {
		switch s.peek() {
		case '{', '[':
			open++
			s.i++
		case '}', ']':
			open--
			s.i++
		case '"':
			s.str()
		default:
			if s.i >= len(s.b) {
				s.malformed("the end of an object or array")
				return
			}
			s.i++
		}
	}
}

func (s *scanner) literal(word string) {
	if !bytes.HasPrefix(s.b[s.i:], []byte(word)) {
		s.malformed("a value")
		return
	}
	s.i += len(word)
}

// plain marks the bytes that a string holds as they are and need no look.
var plain = func() (t [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// str reads a string and returns what is between its quotes, and whether that
// has escapes.
func (s *scanner) str() (raw []byte, escaped bool) {
	s.i++ // '"'
	start := s.i
	for s.i < len(s.b) {
		c := s.b[s.i]
		switch {
		case plain[c]:
			s.i++
		case c == '"':
			s.i++
			return s.b[start : s.i-1], escaped
		case c == '\\':
			escaped = true
			if !s.escape() {
				return nil, false
			}
		case c < 0x20:
			if c == 0 {
				s.refusef("holds a NUL byte")
			} else {
				s.refusef("holds the control character %q, which JSON wants escaped", c)
			}
			s.i++
		default:
			r, size := utf8.DecodeRune(s.b[s.i:])
			if r == utf8.RuneError && size == 1 {
				s.refusef("is not valid UTF-8")
			}
			s.i += size
		}
	}
	s.malformed(`the closing '"' of a string`)
	return nil, false
}

func (s *scanner) escape() bool {
	if s.i+1 >= len(s.b) {
		s.i = len(s.b)
		s.malformed(`the closing '"' of a string`)
		return false
	}
	switch s.b[s.i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.i += 2
		return true
	case 'u':
	default:
		s.malformed("a valid escape")
		return false
	}
	r, ok := hex4(s.b[s.i:])
	if !ok {
		s.malformed(`four hexadecimal digits after "\u"`)
		return false
	}
	s.i += 6
	switch {
	case r == 0:
		s.refusef("holds a NUL character (\\u0000)")
	case r >= 0xDC00 && r <= 0xDFFF:
		s.refusef("holds half of a surrogate pair (\\u%04x)", r)
	case r >= 0xD800 && r <= 0xDBFF:
		low, ok := hex4(s.b[s.i:])
		if !ok || low < 0xDC00 || low > 0xDFFF {
			s.refusef("holds half of a surrogate pair (\\u%04x)", r)
			return true
		}
		s.i += 6
	}
	return true
}

// hex4 reads \uXXXX at the start of b.
func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// unescape returns the text of a string that str has checked.
func unescape(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			i++
			continue
		}
		if r, ok := hex4(raw[i:]); ok {
			i += 6
			if low, ok := hex4(raw[i:]); ok && r >= 0xD800 && r <= 0xDBFF {
				r = (r-0xD800)<<10 | (low - 0xDC00) + 0x10000
				i += 6
			}
			out = utf8.AppendRune(out, r)
			continue
		}
		c := raw[i+1]
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		}
		out = append(out, c)
		i += 2
	}
	return out
}

// number reads a number and returns its text.
func (s *scanner) number() []byte {
	start := s.i
	if s.at('-') {
		s.i++
	}
	switch {
	case s.at('0'):
		s.i++
	case s.digits() == 0:
		s.i = start
		s.malformed("a value")
		return nil
	}
	if s.at('.') {
		s.i++
		if s.digits() == 0 {
			s.malformed("a digit")
			return nil
		}
	}
	exponent := 0
	if s.at('e') || s.at('E') {
		s.i++
		if s.at('+') || s.at('-') {
			s.i++
		}
		from := s.i
		if s.digits() == 0 {
			s.malformed("a digit")
			return nil
		}
		var err error
		if exponent, err = strconv.Atoi(string(s.b[from:s.i])); err != nil {
			exponent = maxExponent + 1 // more digits than an int has
		}
	}
	if s.i-start > maxNumber || exponent > maxExponent {
		s.refusef("is a number of more than %d digits or a power of ten beyond %d", maxNumber, maxExponent)
	}
	return s.b[start:s.i]
}

func (s *scanner) at(c byte) bool { return s.i < len(s.b) && s.b[s.i] == c }

func (s *scanner) digits() (n int) {
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
		n++
	}
	return n
}
