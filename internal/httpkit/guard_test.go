package httpkit

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzCheckJSON holds the guard to its promise: what it lets through decodes to
// text that can be stored, and nothing was replaced on the way.
func FuzzCheckJSON(f *testing.F) {
	for _, seed := range []string{
		`{"a":"b"}`, `{"a":"\u0000"}`, `["\ud83d\ude00"]`, `["\ud83d"]`, `["\\u0000"]`, "\"\xff\"", `{`, `"\ufffd"`, `[1e5,null,true]`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		_, _, detail := checkJSON(body)
		if detail != nil || len(strings.TrimSpace(string(body))) == 0 {
			return
		}
		var value any
		decoder := json.NewDecoder(strings.NewReader(string(body)))
		decoder.UseNumber()
		if err := decoder.Decode(&value); err != nil {
			t.Fatalf("let through, but not JSON: %v", err)
		}
		if findNUL("body", value) != "" {
			t.Fatal("let a NUL through")
		}
		replaced := strings.Count(string(body), "\uFFFD") + strings.Count(strings.ToLower(string(body)), `\ufffd`)
		if countReplacements(value) > replaced || !utf8.Valid(body) {
			t.Fatal("let text through that the decoder changes")
		}
	})
}

func countReplacements(value any) int {
	n := 0
	switch v := value.(type) {
	case string:
		n = strings.Count(v, "\uFFFD")
	case []any:
		for _, item := range v {
			n += countReplacements(item)
		}
	case map[string]any:
		for key, item := range v {
			n += strings.Count(key, "\uFFFD") + countReplacements(item)
		}
	}
	return n
}
