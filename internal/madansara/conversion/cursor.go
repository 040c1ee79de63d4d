package conversion

import (
	"encoding/base64"
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/engardehq/madansara/internal/fault"
)

// cursor is the place after which a page begins, in lists that go back in time.
// It is opaque to callers, who may not rely on what is in it.
type cursor struct {
	At   time.Time `json:"t"`
	Kind string    `json:"k,omitempty"`
	ID   string    `json:"i"`
}

// start is before the first entry of any list: no row's time reaches it.
func start() cursor { return cursor{At: time.Date(maxYear+800, 1, 1, 0, 0, 0, 0, time.UTC)} }

func (c cursor) String() string {
	text, err := json.Marshal(c)
	if err != nil {
		return "" // a time of four digits' year and two strings always marshal
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func parseCursor(text string) (cursor, error) {
	if text == "" {
		return start(), nil
	}
	c := cursor{}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	if err != nil || !storable("c"+c.Kind, maxName) || !storable("c"+c.ID, 4*maxExternalID) || !utf8.Valid(raw) || c.At.IsZero() {
		return cursor{}, fault.At("query.cursor", text, "must be the next_cursor of an earlier answer")
	}
	return c, nil
}
