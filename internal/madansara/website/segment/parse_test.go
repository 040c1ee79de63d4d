package segment_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/madansara/website/segment"
)

var now = time.Date(2026, 3, 9, 10, 0, 0, 0, time.UTC)

func TestParseTrack(t *testing.T) {
	t.Parallel()
	parsed, refusal := segment.Parse([]byte(`{
		"messageId": "m1", "anonymousId": "a1", "userId": null, "event": "Product Added", "_metadata": {"x": []},
		"properties": {"sku": "s\u00e9", "price": 1.50, "url": "https://shop.test/p"},
		"context": {"sessionId": "0192f0c1-0000-7000-8000-000000000000", "userAgent": "UA",
			"page": {"url": "https://shop.test/other", "referrer": "https://instagram.com/", "title": "T"},
			"campaign": {"source": "instagram", "medium": "social", "name": "spring"},
			"traits": {"email": "Ada@Example.COM", "marketing_consent": true}, "timezone": "Europe/Paris"},
		"timestamp": "2026-03-09T09:00:00.000Z", "sentAt": "2026-03-09T09:00:05+00:00"}`), segment.Track, false, now)
	require.Nil(t, refusal)
	require.Empty(t, parsed.Rejected)
	require.Len(t, parsed.Events, 1)
	e := parsed.Events[0]
	require.Equal(t, "m1", e.MessageID)
	require.Equal(t, "Product Added", e.Name)
	require.Equal(t, now.Add(-5*time.Second), e.OccurredAt, "an hour of clock skew is corrected")
	require.Equal(t, "https://shop.test/p", e.Source.URL, "the property wins over the context")
	require.Equal(t, "https://instagram.com/", e.Source.Referrer)
	require.Equal(t, segment.Campaign{Source: "instagram", Medium: "social", Name: "spring"}, e.Source.Campaign)
	require.Equal(t, "ada@example.com", e.Traits.Email)
	require.True(t, *e.Traits.EmailConsent)
	require.Equal(t, "Europe/Paris", e.Traits.TimeZone)
	require.JSONEq(t, `{"sku":"sé","price":1.50,"url":"https://shop.test/p"}`, string(e.Properties))
}

// What a cookie banner was told is about cookies; only marketing_consent is a
// word about mail.
func TestABannersAnswerIsNoConsentToMail(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"true", "false", `"yes"`, "null", "{}"} {
		parsed, refusal := segment.Parse([]byte(`{"event":"x","userId":"u","context":{"consent":{"categoryPreferences":{"marketing":`+answer+`,"analytics":true}}}}`),
			segment.Track, false, now)
		require.Nil(t, refusal)
		require.Empty(t, parsed.Rejected, answer)
		require.Nil(t, parsed.Events[0].Traits.EmailConsent, answer)
		require.Contains(t, string(parsed.Events[0].Context), "categoryPreferences", "the answer itself is kept")
	}
}

func TestParseBatchKeepsTheGood(t *testing.T) {
	t.Parallel()
	parsed, refusal := segment.Parse([]byte(`{"writeKey":"k","batch":[
		{"type":"page","anonymousId":"a","messageId":"ok1"},
		{"type":"track","anonymousId":"a","messageId":"bad1"},
		{"type":"identify","userId":"u","messageId":"bad2","traits":{"a":{"b":"\u0000"}}},
		7,
		{"type":"track","event":"x","userId":"u","messageId":"bad3","timestamp":"9999-01-01T00:00:00Z"},
		{"type":"track","event":"x","userId":"u","messageId":"ok2","timestamp":"2026-03-09T08:00:00Z"}],
		"sentAt":"2026-03-09T08:00:01Z","context":{"userAgent":"UA"}}`), "", true, now)
	require.Nil(t, refusal)
	require.Equal(t, "k", parsed.WriteKey)
	require.Equal(t, []int{0, 5}, parsed.Indexes)
	require.Equal(t, now.Add(-time.Second), parsed.Events[1].OccurredAt, "sentAt of the batch counts, even after it")
	require.Equal(t, "UA", parsed.Events[1].Source.UserAgent)
	locations := make([]string, 0, len(parsed.Rejected))
	for _, r := range parsed.Rejected {
		locations = append(locations, fmt.Sprint(r.Index, " ", r.MessageID, " ", r.Location))
	}
	require.Equal(t, []string{
		"1 bad1 body.batch[1].event", "2 bad2 body.batch[2].traits.a.b", "3  body.batch[3]", "4 bad3 body.batch[4].timestamp",
	}, locations)
}

func TestParseRefusesAnEvent(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40)
	for name, test := range map[string]struct{ body, location, message string }{
		"no id":             {`{"event":"x"}`, "body", "anonymousId or userId"},
		"number as id":      {`{"event":"x","userId":7}`, "body.userId", "must be a string"},
		"long id":           {`{"event":"x","userId":"` + strings.Repeat("a", 256) + `"}`, "body.userId", "256 bytes"},
		"long message id":   {`{"event":"x","userId":"u","messageId":"` + strings.Repeat("a", 256) + `"}`, "body.messageId", "256 bytes"},
		"array properties":  {`{"event":"x","userId":"u","properties":[]}`, "body.properties", "must be an object"},
		"string context":    {`{"event":"x","userId":"u","context":"c"}`, "body.context", "must be an object"},
		"1970":              {`{"event":"x","userId":"u","timestamp":"1970-01-01T00:00:00Z"}`, "body.timestamp", "not plausible"},
		"9999":              {`{"event":"x","userId":"u","timestamp":"9999-12-31T00:00:00Z"}`, "body.timestamp", "not plausible"},
		"9999 against 1970": {`{"event":"x","userId":"u","timestamp":"1970-01-01T00:00:00Z","sentAt":"9999-12-31T00:00:00Z"}`, "body.timestamp", "not plausible"},
		"no date":           {`{"event":"x","userId":"u","timestamp":"yesterday"}`, "body.timestamp", "ISO 8601"},
		"date as number":    {`{"event":"x","userId":"u","timestamp":1741514400}`, "body.timestamp", "must be a string"},
		"NUL byte":          {"{\"event\":\"x\x00\",\"userId\":\"u\"}", "body.event", "NUL byte"},
		"NUL escape":        {`{"event":"x","userId":"u","properties":{"a":["\u0000"]}}`, "body.properties.a[0]", "NUL character"},
		"NUL in a key":      {`{"event":"x","userId":"u","properties":{"\u0000":1}}`, "body.properties", "NUL character"},
		"invalid UTF-8":     {"{\"event\":\"\xff\",\"userId\":\"u\"}", "body.event", "UTF-8"},
		"lone surrogate":    {`{"event":"\ud800","userId":"u"}`, "body.event", "surrogate"},
		"huge number":       {`{"event":"x","userId":"u","properties":{"n":1e99999}}`, "body.properties.n", "number"},
		"many digits":       {`{"event":"x","userId":"u","properties":{"n":` + strings.Repeat("1", 400) + `}}`, "body.properties.n", "number"},
		"deep":              {`{"event":"x","userId":"u","properties":` + deep + `}`, "body.properties.a", "nested deeper"},
		"duplicate key":     {`{"event":"x","userId":"u","event":"y"}`, "body.event", "twice"},
		"escaped duplicate": {`{"event":"x","userId":"u","properties":{"a":1,"\u0061":2}}`, "body.properties.a", "twice"},
		"large":             {`{"event":"x","userId":"u","properties":{"a":"` + strings.Repeat("a", segment.MaxEvent) + `"}}`, "body", "32768"},
		"bad e-mail":        {`{"event":"x","userId":"u","context":{"traits":{"email":"<a@b>"}}}`, "body.context.traits.email", "e-mail"},
		"bad consent":       {`{"event":"x","userId":"u","context":{"traits":{"marketing_consent":"yes"}}}`, "body.context.traits.marketing_consent", "true or false"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parsed, refusal := segment.Parse([]byte(test.body), segment.Track, false, now)
			require.Nil(t, refusal)
			require.Empty(t, parsed.Events)
			require.Len(t, parsed.Rejected, 1)
			require.Contains(t, parsed.Rejected[0].Location, test.location)
			require.Contains(t, parsed.Rejected[0].Message, test.message)

			batch := `{"batch":[` + strings.Replace(test.body, "{", `{"type":"track",`, 1) + `,{"type":"page","userId":"u"}]}`
			parsed, refusal = segment.Parse([]byte(batch), "", true, now)
			require.Nil(t, refusal)
			require.Len(t, parsed.Events, 1, "its neighbour is kept")
			require.Contains(t, parsed.Rejected[0].Location, strings.Replace(test.location, "body", "body.batch[0]", 1))
		})
	}
}

func TestParseRefusesABody(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"empty": "", "array": "[]", "cut": `{"event":"x"`, "cut string": `{"event":"x`, "trailing": `{"event":"x","userId":"u"} x`,
		"no colon": `{"a" 1}`, "comma": `{"a":1,}`, "single quotes": `{'a':1}`, "bad literal": `{"a":nul}`, "bad number": `{"a":01}`,
		"bad escape": `{"a":"\x"}`, "half escape": `{"a":"\u12"}`, "two commas": `{"a":[1,,2]}`, "bracket bomb": strings.Repeat("[", 100_000),
		"object bomb": strings.Repeat(`{"a":`, 100_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, refusal := segment.Parse([]byte(body), segment.Track, false, now)
			require.NotNil(t, refusal)
			require.NotEmpty(t, refusal.Message)
		})
	}
	for _, body := range []string{`{}`, `{"batch":{}}`, `{"batch":[],"batch":[]}`} {
		_, refusal := segment.Parse([]byte(body), "", true, now)
		require.NotNil(t, refusal, body)
	}
}

func TestParseDecidesByTheBody(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]segment.Type{
		`{"userId":"u","event":"x"}`:                     segment.Track,
		`{"type":"page","userId":"u"}`:                   segment.Page,
		`{"batch":[{"type":"screen","userId":"u"}]}`:     segment.Screen,
		`{"type":"group","userId":"u","groupId":"g"}`:    segment.Group,
		`{"type":"alias","userId":"u","previousId":"p"}`: segment.Alias,
	} {
		parsed, refusal := segment.Parse([]byte(body), "", false, now)
		require.Nil(t, refusal)
		require.Len(t, parsed.Events, 1, body)
		require.Equal(t, want, parsed.Events[0].Type)
		require.NotEmpty(t, parsed.Events[0].MessageID)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"type":"track","event":"x","userId":"u","properties":{"a":[1,-0.5e3,true,null,"\ud83d\ude00\n"]}}`,
		`{"batch":[{"type":"page","anonymousId":"a","context":{"page":{"url":"https://a.b"},"sessionId":1}},{}],"sentAt":"2026-03-09T10:00:00Z"}`,
		`{"type":"identify","userId":"u","traits":{"email":"a@b.co","marketing_consent":false}}`,
		"{\"userId\":\"\x00\xff\\u0000\"}", `{"a":{"a":1,"a":2}}`, `{"batch":[[[[`, `[]`, ``, `{"n":1e999}`,
		`{"batch":[{"type":"alias","userId":"b","previousId":"a"},{"type":"group","groupId":"g","userId":"u"}]}`,
		strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		parsed, refusal := segment.Parse(body, "", false, now)
		require.Equal(t, before, body, "the body is only read")
		if refusal != nil {
			require.NotEmpty(t, refusal.Message)
			return
		}
		if len(parsed.Rejected) == 0 && len(parsed.Events) > 0 {
			require.True(t, json.Valid(body), "what is taken whole is JSON")
		}
		require.Len(t, parsed.Indexes, len(parsed.Events))
		for _, e := range parsed.Events {
			require.NotEmpty(t, e.MessageID)
			require.LessOrEqual(t, len(e.MessageID), segment.MaxID)
			require.NotEmpty(t, e.AnonymousID+e.UserID)
			require.False(t, e.OccurredAt.Year() < 2000 || e.OccurredAt.After(now.Add(segment.MaxFuture)))
			require.LessOrEqual(t, len(e.Properties)+len(e.Context), segment.MaxEvent*2)
			for _, raw := range []json.RawMessage{e.Properties, e.Context} {
				var object map[string]any
				require.NoError(t, json.Unmarshal(raw, &object))
				require.NotContains(t, string(raw), "\x00")
			}
		}
	})
}

func BenchmarkParseBatch(b *testing.B) {
	event := `{"type":"track","event":"Product Viewed","messageId":"m-%d","anonymousId":"a-1","timestamp":"2026-03-09T09:59:59.123Z",` +
		`"properties":{"product_id":"sku-1","price":19.99,"category":"shoes"},"context":{"userAgent":"Mozilla/5.0","page":{"url":"https://shop.test/p/1","referrer":""},"library":{"name":"x","version":"1"}}}`
	events := make([]string, 100)
	for i := range events {
		events[i] = fmt.Sprintf(event, i)
	}
	body := []byte(`{"batch":[` + strings.Join(events, ",") + `],"sentAt":"2026-03-09T10:00:00Z"}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		segment.Parse(body, "", true, now)
	}
}
