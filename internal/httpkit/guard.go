package httpkit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
)

// guardText refuses what PostgreSQL cannot store and JSON decoders silently
// change: NUL characters and invalid UTF-8, in the body, the query or the path.
// An operation with SkipValidateBody looks at its body itself.
func guardText(api huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		u := ctx.URL()
		if detail := badQuery(&u); detail != nil {
			_ = huma.WriteErr(api, ctx, http.StatusUnprocessableEntity, detail.Location+" "+detail.Message+".", detail) // huma reports a failed write itself
			return
		}
		op := ctx.Operation()
		if op.RequestBody == nil || op.SkipValidateBody || !isJSON(ctx.Header("Content-Type")) {
			next(ctx)
			return
		}
		body, status, message := readBounded(ctx.BodyReader(), op.MaxBodyBytes)
		if status != 0 {
			_ = huma.WriteErr(api, ctx, status, message) // huma reports a failed write itself
			return
		}
		if status, message, detail := checkJSON(body); detail != nil {
			_ = huma.WriteErr(api, ctx, status, message, detail) // huma reports a failed write itself
			return
		}
		next(&bodyContext{humaContext: ctx, body: bytes.NewReader(body)})
	}
}

// humaContext can be embedded beside a method called Context.
type humaContext huma.Context

// bodyContext is a huma.Context whose body has been read already.
type bodyContext struct {
	humaContext

	body io.Reader
}

func (c *bodyContext) BodyReader() io.Reader { return c.body }

// Unwrap lets adapters find their own context.
func (c *bodyContext) Unwrap() huma.Context { return c.humaContext }

func isJSON(contentType string) bool {
	return contentType == "" || strings.HasPrefix(contentType, "application/json") || strings.Contains(contentType, "+json")
}

func readBounded(from io.Reader, limit int64) (body []byte, status int, message string) {
	if from == nil {
		return nil, 0, ""
	}
	body, err := io.ReadAll(io.LimitReader(from, limit+1))
	if int64(len(body)) > limit {
		return nil, http.StatusRequestEntityTooLarge, ""
	}
	var timeout net.Error
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return body, 0, ""
	case errors.As(err, &tooLarge):
		return nil, http.StatusRequestEntityTooLarge, ""
	case errors.As(err, &timeout) && timeout.Timeout():
		return nil, http.StatusRequestTimeout, "The request's body did not arrive in time."
	default:
		return nil, http.StatusBadRequest, "The request's body broke off."
	}
}

// checkJSON returns a detail when body is not JSON, or holds text that cannot be stored.
func checkJSON(body []byte) (status int, message string, detail *huma.ErrorDetail) {
	if len(bytes.TrimSpace(body)) == 0 {
		return 0, "", nil // whether a body is required is the operation's to say
	}
	if !utf8.Valid(body) {
		return http.StatusUnprocessableEntity, "The body is not valid UTF-8.",
			&huma.ErrorDetail{Location: "body", Message: fmt.Sprintf("invalid UTF-8 at byte %d", firstInvalid(body))}
	}
	if !json.Valid(body) {
		return http.StatusBadRequest, "The body is not JSON.", &huma.ErrorDetail{Location: "body", Message: syntaxError(body)}
	}
	if at := loneSurrogate(body); at >= 0 {
		return http.StatusUnprocessableEntity, "The body holds half a character, which cannot be stored.",
			&huma.ErrorDetail{Location: "body", Message: fmt.Sprintf("an escape at byte %d is half of a surrogate pair", at)}
	}
	// \u0000 may also be an escaped backslash followed by text; only then is
	// the body decoded here.
	if !bytes.Contains(body, []byte(`\u0000`)) {
		return 0, "", nil
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return http.StatusBadRequest, "The body is not JSON.", &huma.ErrorDetail{Location: "body", Message: err.Error()}
	}
	if place := findNUL("body", value); place != "" {
		return http.StatusUnprocessableEntity, place + " holds a NUL character, which cannot be stored.",
			&huma.ErrorDetail{Location: place, Message: "holds a NUL character"}
	}
	return 0, "", nil
}

// loneSurrogate returns where an escape such as \ud800 stands without its other
// half, -1 for nowhere. body is valid JSON, so a backslash is always an escape.
func loneSurrogate(body []byte) int {
	high := -1 // where a first half awaits its second
	for i := 0; i < len(body); i++ {
		unit := rune(0)
		size := 1
		if body[i] == '\\' {
			size = 2
			if body[i+1] == 'u' {
				size = 6
				code, err := strconv.ParseUint(string(body[i+2:i+6]), 16, 16)
				if err == nil {
					unit = rune(code)
				}
			}
		}
		switch {
		case unit >= 0xd800 && unit <= 0xdbff && high < 0:
			high = i
		case unit >= 0xdc00 && unit <= 0xdfff && high >= 0:
			high = -1
		case high >= 0:
			return high
		case unit >= 0xdc00 && unit <= 0xdfff:
			return i
		}
		i += size - 1
	}
	return high
}

func syntaxError(body []byte) string {
	var value any
	err := json.Unmarshal(body, &value)
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return fmt.Sprint(err)
	}
	before := body[:min(int(syntax.Offset), len(body))]
	line := 1 + bytes.Count(before, []byte{'\n'})
	column := len(before) - bytes.LastIndexByte(before, '\n') - 1
	return fmt.Sprintf("line %d, column %d: %s", line, column, syntax)
}

func firstInvalid(body []byte) int {
	at := 0
	for at < len(body) {
		r, size := utf8.DecodeRune(body[at:])
		if r == utf8.RuneError && size <= 1 {
			break
		}
		at += size
	}
	return at
}

// findNUL returns the path of the first text with a NUL character, "" for none.
func findNUL(path string, value any) string {
	switch v := value.(type) {
	case string:
		if strings.ContainsRune(v, 0) {
			return path
		}
	case []any:
		for i, item := range v {
			if place := findNUL(path+"["+strconv.Itoa(i)+"]", item); place != "" {
				return place
			}
		}
	case map[string]any:
		for key, item := range v {
			if strings.ContainsRune(key, 0) {
				return path
			}
			if place := findNUL(path+"."+key, item); place != "" {
				return place
			}
		}
	}
	return ""
}

func badQuery(u *url.URL) *huma.ErrorDetail {
	if !storable(u.Path) {
		return &huma.ErrorDetail{Location: "path", Message: "holds a NUL character or invalid UTF-8"}
	}
	if u.RawQuery == "" {
		return nil
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return &huma.ErrorDetail{Location: "query", Message: "cannot be read: " + err.Error()}
	}
	for name, values := range query {
		for _, value := range append(values, name) {
			if !storable(value) {
				return &huma.ErrorDetail{Location: "query." + strings.ToValidUTF8(strings.ReplaceAll(name, "\x00", ""), ""), Message: "holds a NUL character or invalid UTF-8"}
			}
		}
	}
	return nil
}

func storable(text string) bool { return utf8.ValidString(text) && !strings.ContainsRune(text, 0) }
