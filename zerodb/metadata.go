package zerodb

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Metadata is typed JSON beside a memory's content: texts, numbers, booleans,
// null, lists and objects. Numbers are float64, as in JSON: a whole number
// beyond 2^53 loses digits, so keep such an id as a text.
type Metadata map[string]any

// Limits of what is accepted.
const (
	MaxContent       = 64 << 10 // bytes of a content
	MaxMetadata      = 32 << 10 // bytes of a metadata's JSON
	MaxMetadataDepth = 8        // objects and lists inside each other
	MaxBatch         = 1000     // items of one StoreBatch
	MaxName          = 200      // bytes of an agent, a group, a key, a subject and the parts of a provenance
	MaxQuery         = 8 << 10  // bytes of a query
	MaxLimit         = 200      // hits of one search
)

// at returns the value at a dotted path and whether there is one that is not null.
func (m Metadata) at(path string) (any, bool) {
	object := map[string]any(m)
	for {
		key, rest, more := strings.Cut(path, ".")
		value, found := object[key]
		if !found || value == nil {
			return nil, false
		}
		if !more {
			return value, true
		}
		var nested bool
		if object, nested = value.(map[string]any); !nested {
			return nil, false
		}
		path = rest
	}
}

// checked returns the metadata as JSON would read it back, so that what is
// stored and what is compared have the same types whatever the caller's were.
func (m Metadata) checked() (Metadata, error) {
	if len(m) == 0 {
		return nil, nil //nolint:nilnil // no metadata is not an error
	}
	// The depth is looked at before anything recurses: encoding/json itself
	// would follow a structure that contains itself for quite a while.
	if err := checkValue("metadata", map[string]any(m), MaxMetadataDepth); err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(m)
	if err != nil {
		return nil, &Error{Kind: ErrInvalid, Field: "metadata", Message: "is not JSON", Err: err}
	}
	if len(encoded) > MaxMetadata {
		return nil, tooLarge("metadata", fmt.Sprintf("its JSON has %d bytes, at most %d are kept", len(encoded), MaxMetadata))
	}
	var decoded Metadata
	if err := json.Unmarshal(encoded, &decoded); err != nil {
		return nil, &Error{Kind: ErrInvalid, Field: "metadata", Message: "is not JSON", Err: err}
	}
	// A type that encodes itself may have hidden levels and texts until now.
	if err := checkValue("metadata", map[string]any(decoded), MaxMetadataDepth); err != nil {
		return nil, err
	}
	return decoded, nil
}

func checkValue(path string, value any, levels int) error {
	switch v := value.(type) {
	case map[string]any:
		return checkObject(path, v, levels)
	case Metadata:
		return checkObject(path, v, levels)
	case []any:
		if levels == 0 {
			return tooDeep(path)
		}
		for i, element := range v {
			if err := checkValue(fmt.Sprintf("%s[%d]", path, i), element, levels-1); err != nil {
				return err
			}
		}
	case string:
		return checkText(path, v)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return invalid(path, "is no finite number")
		}
	}
	return nil
}

func checkObject(path string, object map[string]any, levels int) error {
	if levels == 0 {
		return tooDeep(path)
	}
	for key, element := range object {
		if err := checkText(path+" key", key); err != nil {
			return err
		}
		if err := checkValue(path+"."+key, element, levels-1); err != nil {
			return err
		}
	}
	return nil
}

func tooDeep(path string) error {
	return invalid(path[:min(len(path), 80)], fmt.Sprintf("is nested too deep: at most %d levels are kept", MaxMetadataDepth))
}

// checkText refuses what no back end could store and give back unchanged.
func checkText(field, text string) error {
	if !utf8.ValidString(text) {
		return invalid(field, "is not UTF-8 text")
	}
	if strings.ContainsRune(text, 0) {
		return invalid(field, "has a NUL character")
	}
	return nil
}

// checkName is checkText for names: short, of one line, and not only space.
func checkName(field, name string, required bool) error {
	if name == "" && !required {
		return nil
	}
	if strings.TrimSpace(name) == "" {
		return invalid(field, "is empty")
	}
	if len(name) > MaxName {
		return tooLarge(field, fmt.Sprintf("has %d bytes, at most %d are kept", len(name), MaxName))
	}
	if strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }) {
		return invalid(field, "has control characters")
	}
	return checkText(field, name)
}

func scalar(field string, value any) (any, error) {
	switch v := value.(type) {
	case string:
		return v, checkText(field, v)
	case bool:
		return v, nil
	}
	// Whatever kind of number the caller has becomes what JSON reads back.
	encoded, err := json.Marshal(value)
	if err == nil {
		var number float64
		if err = json.Unmarshal(encoded, &number); err == nil && value != nil {
			return number, nil
		}
	}
	return nil, invalid(field, "give a text, a number or a boolean")
}
