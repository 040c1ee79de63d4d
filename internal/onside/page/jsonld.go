package page

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// maxJSONDepth is deeper than any structured data nests.
const maxJSONDepth = 64

// readJSONLD reads one block of structured data and writes it as what every
// JSON reader and PostgreSQL accept: no NUL characters, no lone surrogates, no
// numbers beyond a float64.
func readJSONLD(text string) (json.RawMessage, error) {
	if len(text) > maxJSONLD {
		return nil, fmt.Errorf("it is larger than %d KB", maxJSONLD>>10)
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, jsonProblem(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON value")
	}
	switch value.(type) {
	case map[string]any, []any:
	default:
		return nil, errors.New("it is neither an object nor an array")
	}
	value, err := storable(value, 0)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("it cannot be written again: %w", err)
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

func jsonProblem(err error) error {
	if syntax, is := errors.AsType[*json.SyntaxError](err); is {
		return fmt.Errorf("at byte %d: %s", syntax.Offset, syntax.Error())
	}
	return errors.New("the JSON value breaks off")
}

func storable(value any, depth int) (any, error) {
	if depth > maxJSONDepth {
		return nil, fmt.Errorf("it nests deeper than %d levels", maxJSONDepth)
	}
	switch v := value.(type) {
	case string:
		return strings.ReplaceAll(v, "\x00", ""), nil
	case json.Number:
		if f, err := strconv.ParseFloat(v.String(), 64); err != nil || math.IsInf(f, 0) || len(v) > 64 {
			return nil, fmt.Errorf("the number %.20s… is out of range", v.String())
		}
		return v, nil
	case []any:
		for i := range v {
			item, err := storable(v[i], depth+1)
			if err != nil {
				return nil, err
			}
			v[i] = item
		}
		return v, nil
	case map[string]any:
		clean := make(map[string]any, len(v))
		for key, item := range v {
			item, err := storable(item, depth+1)
			if err != nil {
				return nil, err
			}
			clean[strings.ReplaceAll(key, "\x00", "")] = item
		}
		return clean, nil
	}
	return value, nil
}
