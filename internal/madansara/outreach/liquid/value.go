package liquid

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/osteele/liquid/values"
)

// markup is text that is written into HTML as it is.
type markup struct{ text string }

// text is a value as a template shows it.
func (r *run) text(value any) (string, error) {
	switch v := value.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case markup:
		return v.text, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int:
		return strconv.Itoa(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return number(v), nil
	case json.Number:
		return v.String(), nil
	case time.Time:
		return v.Format("2006-01-02 15:04:05 -0700"), nil
	case fmt.Stringer:
		return v.String(), nil
	case []any:
		var all strings.Builder
		for _, item := range v {
			text, err := r.text(item)
			if err != nil {
				return "", err
			}
			if all.Len()+len(text) > MaxString {
				return "", exceeded("a value would have more than %d bytes", MaxString)
			}
			all.WriteString(text)
		}
		return all.String(), r.charge(all.Len())
	case map[string]any:
		return r.json(v)
	case values.Range:
		return fmt.Sprint(v), nil
	default:
		return fmt.Sprint(v), nil
	}
}

// json encodes value, having made sure that it is small: a list can hold the
// same long text many times over.
func (r *run) json(value any) (string, error) {
	size := 0
	if err := r.measure(value, &size, 0); err != nil {
		return "", err
	}
	encoded, err := json.Marshal(plain(value))
	if err != nil {
		return "", fmt.Errorf("it cannot be written as JSON: %w", err)
	}
	return string(encoded), r.charge(len(encoded))
}

func (r *run) measure(value any, size *int, depth int) error {
	*size += 8
	switch v := value.(type) {
	case string:
		*size += len(v)
	case markup:
		*size += len(v.text)
	case []any:
		for _, item := range v {
			if err := r.measure(item, size, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		for key, item := range v {
			*size += len(key)
			if err := r.measure(item, size, depth+1); err != nil {
				return err
			}
		}
	}
	if *size > MaxString || depth > MaxDepth {
		return exceeded("a value would have more than %d bytes", MaxString)
	}
	return nil
}

func plain(value any) any {
	if m, ok := value.(markup); ok {
		return m.text
	}
	return value
}

// numberOf reads a number as arithmetic does; ok is false for what is none.
func numberOf(value any) (n float64, ok bool) {
	switch v := value.(type) {
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case float64:
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	case json.Number:
		n, err := v.Float64()
		return n, err == nil
	case string:
		n, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		return n, err == nil && !math.IsNaN(n) && !math.IsInf(n, 0)
	default:
		return 0, false
	}
}

// items is a value as a list filter sees it: a list, or the value alone.
func (r *run) items(value any) ([]any, error) {
	source := listOf(value)
	if _, isList := source.(sliceList); isList && source.Len() == 0 && value != nil {
		switch value.(type) {
		case []any, map[string]any:
		default:
			source = sliceList{value}
		}
	}
	n := max(0, source.Len())
	if err := r.list(n); err != nil {
		return nil, err
	}
	result := make([]any, n)
	for i := range n {
		result[i] = source.Index(i)
	}
	return result, nil
}

// list charges a list of n values.
func (r *run) list(n int) error {
	if n > MaxItems {
		return exceeded("a list would have more than %d values", MaxItems)
	}
	return r.charge(n * 16)
}
