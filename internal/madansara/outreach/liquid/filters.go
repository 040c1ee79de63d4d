package liquid

import (
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/osteele/tuesday"
)

// filters are what a template calls after |; each is made for one rendering,
// whose bounds it charges. The library converts nothing when every parameter is
// any, which keeps a range from becoming a slice.
var filters map[string]func(r *run) any

func init() {
	filters = map[string]func(r *run) any{}
	for _, group := range []map[string]func(r *run, value, a, b any) (any, error){textFilters, numberFilters, listFilters, valueFilters} {
		for name, fn := range group {
			filters[name] = func(r *run) any {
				return func(value, a, b any) (any, error) {
					if err := r.step(); err != nil {
						return nil, err
					}
					return fn(r, value, a, b)
				}
			}
		}
	}
}

var valueFilters = map[string]func(r *run, value, a, b any) (any, error){
	"default": func(_ *run, value, a, _ any) (any, error) {
		switch v := value.(type) {
		case nil:
			return a, nil
		case bool:
			if !v {
				return a, nil
			}
		case string:
			if v == "" {
				return a, nil
			}
		case []any:
			if len(v) == 0 {
				return a, nil
			}
		case map[string]any:
			if len(v) == 0 {
				return a, nil
			}
		}
		return value, nil
	},
	"json": func(r *run, value, _, _ any) (any, error) { return r.json(value) },
	// raw keeps markup from being escaped in an HTML template.
	"raw": func(r *run, value, _, _ any) (any, error) {
		text, err := r.text(value)
		return markup{text}, err
	},
	"date": date,
}

// textFilter is a filter over text that charges what it returns.
func textFilter(fn func(s string) string) func(r *run, value, a, b any) (any, error) {
	return func(r *run, value, _, _ any) (any, error) {
		s, err := r.text(value)
		if err != nil {
			return nil, err
		}
		result := fn(s)
		return result, r.charge(len(result))
	}
}

// joining is a filter whose result can be longer than its input by size bytes,
// charged before it is made.
func joining(size func(s, a, b string) int, fn func(s, a, b string) string) func(r *run, value, a, b any) (any, error) {
	return func(r *run, value, a, b any) (any, error) {
		var texts [3]string
		for i, v := range []any{value, a, b} {
			text, err := r.text(v)
			if err != nil {
				return nil, err
			}
			texts[i] = text
		}
		if err := r.charge(size(texts[0], texts[1], texts[2])); err != nil {
			return nil, err
		}
		return fn(texts[0], texts[1], texts[2]), nil
	}
}

// escaping is a text filter whose result is markup already.
func escaping(fn func(s string) string) func(r *run, value, a, b any) (any, error) {
	return func(r *run, value, _, _ any) (any, error) {
		s, err := r.text(value)
		if err != nil {
			return nil, err
		}
		result := fn(s)
		if err := r.charge(len(result)); err != nil {
			return nil, err
		}
		if r.mode == HTML {
			return markup{result}, nil
		}
		return result, nil
	}
}

var textFilters = map[string]func(r *run, value, a, b any) (any, error){
	"append": joining(func(s, a, _ string) int { return len(s) + len(a) }, func(s, a, _ string) string { return s + a }),
	"prepend": joining(func(s, a, _ string) int { return len(s) + len(a) }, func(s, a, _ string) string {
		return a + s
	}),
	"replace": joining(func(s, a, b string) int { return len(s) + strings.Count(s, a)*(len(b)-len(a)) }, strings.ReplaceAll),
	"replace_first": joining(func(s, _, b string) int { return len(s) + len(b) }, func(s, a, b string) string {
		return strings.Replace(s, a, b, 1)
	}),
	"remove":       joining(func(s, _, _ string) int { return len(s) }, func(s, a, _ string) string { return strings.ReplaceAll(s, a, "") }),
	"remove_first": joining(func(s, _, _ string) int { return len(s) }, func(s, a, _ string) string { return strings.Replace(s, a, "", 1) }),
	"capitalize": textFilter(func(s string) string {
		r, n := utf8.DecodeRuneInString(s)
		if n == 0 {
			return s
		}
		return string(unicode.ToUpper(r)) + s[n:]
	}),
	"downcase":       textFilter(strings.ToLower),
	"upcase":         textFilter(strings.ToUpper),
	"strip":          textFilter(strings.TrimSpace),
	"lstrip":         textFilter(func(s string) string { return strings.TrimLeftFunc(s, unicode.IsSpace) }),
	"rstrip":         textFilter(func(s string) string { return strings.TrimRightFunc(s, unicode.IsSpace) }),
	"strip_newlines": textFilter(func(s string) string { return strings.NewReplacer("\r", "", "\n", "").Replace(s) }),
	"strip_html":     textFilter(stripHTML),
	"url_encode":     textFilter(url.QueryEscape),
	"url_decode": func(r *run, value, _, _ any) (any, error) {
		s, err := r.text(value)
		if err != nil {
			return nil, err
		}
		decoded, err := url.QueryUnescape(s)
		if err != nil {
			return s, nil // text that is not encoded stays as it is
		}
		return decoded, r.charge(len(decoded))
	},
	"escape":      escaping(html.EscapeString),
	"escape_once": escaping(func(s string) string { return html.EscapeString(html.UnescapeString(s)) }),
	"newline_to_br": func(r *run, value, _, _ any) (any, error) {
		if m, ok := value.(markup); ok {
			return markup{strings.ReplaceAll(m.text, "\n", "<br />\n")}, r.charge(len(m.text) + 6*strings.Count(m.text, "\n"))
		}
		return escaping(func(s string) string {
			if r.mode == HTML {
				s = html.EscapeString(s)
			}
			return strings.ReplaceAll(s, "\n", "<br />\n")
		})(r, value, nil, nil)
	},
	"truncate":      truncate,
	"truncatewords": truncateWords,
	"slice":         slice,
	"split": func(r *run, value, a, _ any) (any, error) {
		s, err := r.text(value)
		if err != nil {
			return nil, err
		}
		separator, err := r.text(a)
		if err != nil {
			return nil, err
		}
		// One more than allowed tells that there are too many, and costs no more.
		parts := strings.SplitN(s, separator, MaxItems+1)
		if separator == " " {
			parts = strings.Fields(s)
		}
		for len(parts) > 0 && parts[len(parts)-1] == "" {
			parts = parts[:len(parts)-1]
		}
		if err := r.list(len(parts)); err != nil {
			return nil, err
		}
		result := make([]any, len(parts))
		for i, part := range parts {
			result[i] = part
		}
		return result, nil
	},
}

// stripHTML drops everything between < and >; one pass, whatever the input.
func stripHTML(s string) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(s, "<")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		_, after, closed := strings.Cut(rest, ">")
		if !closed {
			out.WriteString("<" + rest)
			return out.String()
		}
		s = after
	}
}

func truncate(r *run, value, a, b any) (any, error) {
	s, err := r.text(value)
	if err != nil {
		return nil, err
	}
	length, ellipsis := 50, "..."
	if n, ok := numberOf(a); ok {
		length = bounded(n)
	}
	if b != nil {
		if ellipsis, err = r.text(b); err != nil {
			return nil, err
		}
	}
	runes := []rune(s)
	if len(runes) <= length {
		return s, nil
	}
	keep := max(0, length-utf8.RuneCountInString(ellipsis))
	result := string(runes[:min(keep, len(runes))]) + ellipsis
	return result, r.charge(len(result))
}

func truncateWords(r *run, value, a, b any) (any, error) {
	s, err := r.text(value)
	if err != nil {
		return nil, err
	}
	count, ellipsis := 15, "..."
	if n, ok := numberOf(a); ok {
		count = max(1, bounded(n))
	}
	if b != nil {
		if ellipsis, err = r.text(b); err != nil {
			return nil, err
		}
	}
	words := strings.Fields(s)
	if len(words) <= count {
		return s, nil
	}
	result := strings.Join(words[:count], " ") + ellipsis
	return result, r.charge(len(result))
}

func slice(r *run, value, a, b any) (any, error) {
	start, ok := numberOf(a)
	if !ok {
		return nil, fmt.Errorf("it needs a number")
	}
	count := 1
	if n, ok := numberOf(b); ok {
		count = max(0, bounded(n))
	}
	cut := func(n int) (from, to int) {
		from = bounded(start)
		if from < 0 {
			from += n
		}
		if from < 0 || from > n {
			return 0, 0
		}
		return from, min(n, from+count)
	}
	if list, ok := value.([]any); ok {
		from, to := cut(len(list))
		return slices.Clone(list[from:to]), r.list(to - from)
	}
	s, err := r.text(value)
	if err != nil {
		return nil, err
	}
	runes := []rune(s)
	from, to := cut(len(runes))
	result := string(runes[from:to])
	return result, r.charge(len(result))
}

// bounded is n as an int that arithmetic cannot overflow.
func bounded(n float64) int { return int(min(max(n, -1<<30), 1<<30)) }

var dateLayouts = []string{
	time.RFC3339Nano, "2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02",
	time.RFC1123Z, time.RFC1123, "January 2, 2006", "Jan 2, 2006", "2 January 2006", "2 Jan 2006",
}

const maxDateFormat = 200

// date formats as strftime does. "now" is the variable now.
func date(r *run, value, a, _ any) (any, error) {
	format := "%a, %b %d, %y"
	if a != nil {
		text, err := r.text(a)
		if err != nil {
			return nil, err
		}
		format = text
	}
	if len(format) > maxDateFormat || wideDirective.MatchString(format) {
		return nil, fmt.Errorf("the format is too long")
	}
	t, ok := r.timeOf(value)
	if !ok {
		return value, nil
	}
	text, err := tuesday.Strftime(format, t)
	if err != nil {
		return nil, fmt.Errorf("the format %q: %w", format, err)
	}
	return text, r.charge(len(text))
}

// wideDirective finds a padding of a hundred or more, %1000000000Y for instance.
var wideDirective = regexp.MustCompile(`%[-_^#0:]*[0-9]{3}`)

func (r *run) timeOf(value any) (time.Time, bool) {
	switch v := value.(type) {
	case time.Time:
		return v, true
	case string:
		if v == "now" || v == "today" {
			now, ok := r.vars["now"].(time.Time)
			return now, ok
		}
		for _, layout := range dateLayouts {
			if t, err := time.Parse(layout, v); err == nil {
				return t, true
			}
		}
		return time.Time{}, false
	}
	if seconds, ok := numberOf(value); ok && seconds >= 0 && seconds < 253402300800 { // the year 10000
		return time.Unix(int64(seconds), 0).UTC(), true
	}
	return time.Time{}, false
}
