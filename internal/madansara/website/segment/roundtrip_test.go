package segment_test

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/madansara/website/segment"
)

// TestAcceptedPropertiesSurviveJSONB holds the parser to its promise: what it
// accepts, PostgreSQL stores and gives back with the same meaning.
func TestAcceptedPropertiesSurviveJSONB(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), dbtest.URL(t))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	accepted := 0
	rapid.Check(t, func(rt *rapid.T) {
		sent := "{" + strings.Join(rapid.SliceOfN(member(3), 0, 6).Draw(rt, "members"), ",") + "}"
		parsed, refusal := segment.Parse([]byte(`{"event":"x","userId":"u","properties":`+sent+`}`), segment.Track, false, now)
		if refusal != nil || len(parsed.Events) == 0 {
			return
		}
		accepted++
		var back string
		err := conn.QueryRow(t.Context(), "select $1::jsonb::text", string(parsed.Events[0].Properties)).Scan(&back)
		if err != nil {
			rt.Fatalf("PostgreSQL refuses what was accepted: %s: %v", sent, err)
		}
		if want, got := meaning(rt, sent), meaning(rt, back); !bytes.Equal(want, got) {
			rt.Fatalf("%s came back as %s", want, got)
		}
	})
	require.Positive(t, accepted)
}

// member draws a member of an object whose text has every oddity of JSON's
// grammar, the refused ones too.
func member(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string { return text().Draw(t, "key") + ":" + value(depth).Draw(t, "value") })
}

func value(depth int) *rapid.Generator[string] {
	kinds := []*rapid.Generator[string]{
		text(),
		rapid.SampledFrom([]string{"true", "false", "null", "0", "-0", "-0.0", "1e308", "-1E-308", "1e309", "12345678901234567890.123456789", "1.50"}),
		rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?`),
	}
	if depth > 0 {
		kinds = append(kinds,
			rapid.Custom(func(t *rapid.T) string {
				return "[" + strings.Join(rapid.SliceOfN(value(depth-1), 0, 4).Draw(t, "elements"), " , ") + "]"
			}),
			rapid.Custom(func(t *rapid.T) string {
				return "{" + strings.Join(rapid.SliceOfN(member(depth-1), 0, 4).Draw(t, "members"), ",\n") + "}"
			}))
	}
	return rapid.OneOf(kinds...)
}

func text() *rapid.Generator[string] {
	piece := rapid.OneOf(
		rapid.StringMatching(`[a-zA-Z0-9 '<>;-]{0,8}`),
		rapid.SampledFrom([]string{`\n`, `\"`, `\\`, `\/`, `\u0041`, `\ud83d\ude00`, `\ud83d`, `\ude00`, `\u0000`, `\u001f`, "é", "\U0001F452", "\u2028", "\xff", "\x01"}),
	)
	return rapid.Custom(func(t *rapid.T) string {
		return `"` + strings.Join(rapid.SliceOfN(piece, 0, 4).Draw(t, "pieces"), "") + `"`
	})
}

// meaning is a form in which equal JSON is equal text: keys sorted, numbers exact.
func meaning(t *rapid.T, raw string) []byte {
	decoder := json.NewDecoder(strings.NewReader(raw))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	out, err := json.Marshal(exact(v))
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return out
}

func exact(v any) any {
	switch v := v.(type) {
	case json.Number:
		number, ok := new(big.Rat).SetString(v.String())
		if !ok {
			return v
		}
		return number.RatString()
	case []any:
		for i := range v {
			v[i] = exact(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = exact(v[key])
		}
	}
	return v
}
