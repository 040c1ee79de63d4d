package fact

import (
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/fault"
)

// cursor is the last fact of a page. What is in it is nobody else's business.
type cursor struct {
	At     time.Time `json:"t"`
	ID     uuid.UUID `json:"i"`
	Source string    `json:"s"`
}

func cursorAfter(f Stored) string {
	text, _ := json.Marshal(cursor{f.OccurredAt.UTC(), f.ID, f.Source}) // a time of four digits' year, an id and a name always marshal
	return base64.RawURLEncoding.EncodeToString(text)
}

func parseCursor(text string) (c cursor, err error) {
	if text == "" {
		return cursor{}, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	if err != nil || !name.MatchString(c.Source) || c.At.Year() < earliestYear {
		return cursor{}, fault.At("query.cursor", text, "must be the next_cursor of an earlier answer")
	}
	return c, nil
}
