package app_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestHostileRequests sends to every operation of the OpenAPI document what an
// attacker with a key of a tenant of their own would.
func TestHostileRequests(t *testing.T) { //nolint:paralleltest // it counts goroutines and memory, which must be its own
	h := setupHostile(t)
	before := h.holdings(t, h.victim.tenant)
	memory, goroutines := heap(), runtime.NumGoroutine()

	sent := 0
	for _, path := range slices.Sorted(maps.Keys(h.document.Paths)) {
		for method, op := range h.document.Paths[path] {
			method = strings.ToUpper(method)
			sent += h.attackPath(t, method, path, op)
			sent += h.attackQuery(t, method, path, op)
			if op.takesJSON() {
				sent += h.attackBody(t, method, path, op)
				sent += h.attackEncoding(t, method, path)
			}
		}
	}
	require.Greater(t, sent, 5000)
	t.Logf("%d requests", sent)

	require.Equal(t, before, h.holdings(t, h.victim.tenant), "the attacker changed the victim's rows")
	ready := h.send(t, request{method: http.MethodGet, path: "/health/ready"})
	require.Equal(t, http.StatusOK, ready.status)
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= goroutines+30 }, time.Minute, 20*time.Millisecond, "goroutines are left")
	require.Less(t, heap(), memory+64<<20, "memory grows")
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func (h *hostile) attack(t *testing.T, what string, r request) answer {
	t.Helper()
	if r.header == nil {
		r.header = h.attacker.bearer()
	}
	a := h.send(t, r)
	h.judge(t, what, r, a)
	return a
}

// freeNames are paths that take any name, and answer of one nobody has heard of that
// there is nothing.
var freeNames = map[string]bool{
	"/api/v1/conversion/campaigns/{campaign_id}/conversions": true,
	"/api/v1/sync/{data_type}":                               true,
	"/api/v1/customers/{customer_id}/facts":                  true,
}

// filled is the path with the given ids in it.
func filled(path string, ids map[string]string) string {
	for name, id := range ids {
		path = strings.ReplaceAll(path, "{"+name+"}", id)
	}
	return strings.ReplaceAll(path, "{model}", "linear")
}

func (h *hostile) attackPath(t *testing.T, method, path string, op operation) int {
	t.Helper()
	body := h.validBody(op)
	mine := filled(path, h.attacker.ids)
	require.NotContains(t, mine, "{", "the test knows no id for a part of the path")
	for name, header := range map[string]http.Header{
		"no key":             {"Content-Type": {"application/json"}},
		"a wrong key":        {"Authorization": {"Bearer mssk_" + strings.Repeat("0", 65)}, "Content-Type": {"application/json"}},
		"a header of noise":  {"Authorization": {"Basic \xff\xfe"}},
		"a key with a NUL":   {"Authorization": {"Basic AAAAAA=="}},
		"somebody's old key": {"Authorization": {"Bearer " + almost(h.victim.secret)}, "Content-Type": {"application/json"}},
		"a long key":         {"Authorization": {"Bearer " + strings.Repeat("m", 30_000)}},
	} {
		a := h.attack(t, name, request{method: method, path: mine, body: body, header: header})
		require.Equal(t, http.StatusUnauthorized, a.status, "%s may %s %s: %s", name, method, path, a.body)
	}
	write := http.Header{"Authorization": {"Bearer " + h.attacker.write}, "Content-Type": {"application/json"}}
	a := h.attack(t, "a write key", request{method: method, path: mine, body: body, header: write})
	if isIngest(path) || path == "/api/v1/me" || strings.HasPrefix(path, "/api/v1/me/") { // whoever asks is told who they are
		require.Less(t, a.status, 500)
	} else {
		require.Equal(t, http.StatusForbidden, a.status, "a write key may %s %s", method, path)
	}
	if !strings.Contains(path, "{") {
		return 7
	}
	n := 8
	a = h.attack(t, "the victim's id", request{method: method, path: filled(path, h.victim.ids), body: body})
	if !strings.HasSuffix(path, "{model}") && !freeNames[path] && !refusesKeys(path) {
		require.Equal(t, http.StatusNotFound, a.status, "%s %s with the victim's id: %s", method, path, a.body)
	}
	for _, id := range []string{
		"%00", "%ff", "..%2f..%2fetc%2fpasswd", "%2e%2e", "1%27%20or%201=1", "%3Cscript%3E", strings.Repeat("x", 5000), "00000000-0000-0000-0000-000000000000",
		"ffffffff-ffff-ffff-ffff-ffffffffffff", "%0d%0aSet-Cookie:x=1", "-1", "9223372036854775808", "%F0%9F%92%A9",
	} {
		whole := path
		for strings.Contains(whole, "{") {
			start, end := strings.IndexByte(whole, '{'), strings.IndexByte(whole, '}')
			whole = whole[:start] + id + whole[end+1:]
		}
		a := h.attack(t, "a broken id", request{method: method, path: whole, body: body})
		if !freeNames[path] {
			require.GreaterOrEqual(t, a.status, 400, "%s %s: %s", method, whole, a.body)
		}
		n++
	}
	return n
}

// refusesKeys reports whether an operation is for people or services, whatever a key may do.
func refusesKeys(path string) bool {
	return strings.HasPrefix(path, "/api/v1/me/") || strings.HasPrefix(path, "/api/v1/integrations/credentials/")
}

// almost is a key with another last letter.
func almost(key string) string {
	last := "0"
	if strings.HasSuffix(key, last) {
		last = "1"
	}
	return key[:len(key)-1] + last
}

func isIngest(path string) bool {
	return strings.HasPrefix(path, "/v1/") || path == "/api/v1/website/track"
}

func (h *hostile) attackQuery(t *testing.T, method, path string, op operation) int {
	t.Helper()
	mine, n := filled(path, h.attacker.ids), 0
	if op.OperationID == "erase-contact" { // what follows needs the others
		mine = strings.ReplaceAll(path, "{contact_uuid}", h.attacker.leaving)
	}
	body := h.validBody(op)
	for _, parameter := range op.Parameters {
		for _, value := range append(evil(h.victim.ids), "\xff", "eyJ0IjoiOTk5OS0xMi0zMVQyMzo1OTo1OVoiLCJpIjoiJyJ9", "eyJ0IjoiMDAwMS0wMS0wMVQwMDowMDowMFoifQ", "AAAA") {
			text, is := value.(string)
			if number, isNumber := value.(json.Number); isNumber {
				text, is = number.String(), true
			}
			if !is || len(text) > 20_000 {
				continue
			}
			switch parameter.In {
			case "query":
				h.attack(t, "query "+parameter.Name, request{method: method, path: mine + "?" + parameter.Name + "=" + url.QueryEscape(text), body: body})
			case "header":
				if strings.ContainsAny(text, "\x00\r\n") {
					continue // no client can send it, and the server refuses it before us
				}
				header := h.attacker.bearer()
				header.Set(parameter.Name, text)
				h.attack(t, "header "+parameter.Name, request{method: method, path: mine, body: body, header: header})
			}
			n++
		}
	}
	for _, query := range []string{"%zz=1", "a=%", "a;b", "unknown=1", strings.Repeat("a=1&", 5000), "limit=1&limit=2", "%00=%00"} {
		h.attack(t, "a broken query", request{method: method, path: mine + "?" + query, body: body})
		n++
	}
	return n
}

func (h *hostile) attackBody(t *testing.T, method, path string, op operation) int {
	t.Helper()
	mine, n := filled(path, h.attacker.ids), 0
	valid := h.valid(op)
	post := func(what string, body []byte) {
		h.attack(t, what, request{method: method, path: mine, body: body})
		n++
	}
	// What follows is wrong in one place only, so it gets as far as it can.
	a := h.attack(t, "a valid body", request{method: method, path: mine, body: encode(t, valid)})
	// Of a peer the test knows no more than its document says; the memory's own tests
	// know what goes with what in its requests.
	if !h.peer && !strings.HasPrefix(path, "/api/v1/memory/") {
		require.NotContains(t, []int{http.StatusBadRequest, http.StatusUnprocessableEntity}, a.status, "%s %s %s: %s", method, path, encode(t, valid), a.body)
	}
	for name := range h.document.resolve(op.RequestBody.Content["application/json"].Schema).Properties {
		if onlyOnceInAWhile[name] {
			for _, value := range evil(h.victim.ids) {
				post("a value seldom given", encode(t, with(valid, []any{name}, value)))
			}
		}
	}
	for i, place := range places(valid, nil) {
		for j, value := range evil(h.victim.ids) {
			// Every seventh, others in every place: the whole product passes too,
			// and takes minutes under the race detector.
			if (i+j)%h.every() == 0 {
				post("a value", encode(t, with(valid, place, value)))
			}
		}
	}
	object, is := valid.(map[string]any)
	if !is {
		return n
	}
	unknown := maps.Clone(object)
	unknown["__proto__"], unknown["tenant_uuid"] = map[string]any{"x": 1}, h.victim.tenant.String()
	if a := h.attack(t, "an unknown field", request{method: method, path: mine, body: encode(t, unknown)}); !isIngest(path) {
		require.Equal(t, http.StatusUnprocessableEntity, a.status, "%s %s: %s", method, path, a.body)
	}
	text := string(encode(t, valid))
	for _, body := range []string{
		"", " ", "{", "}", `{"`, `{"a":}`, text + text, text[:len(text)-1], "null", "[]", `""`, "1", "NaN", "\xef\xbb\xbf" + text,
		strings.Repeat("[", 200_000), strings.Repeat(`{"a":`, 100_000), `{"a":"` + "\xff\xfe" + `"}`, `{"name":"\ud800"}`, `{"name":"\u0000"}`, "<xml/>",
		`{"name":"a","name":"b","Name":"c"}`, `{"\u0000":1}`,
	} {
		post("broken JSON", []byte(body))
	}
	return n
}

// attackEncoding sends what is too large or not what it says.
func (h *hostile) attackEncoding(t *testing.T, method, path string) int {
	t.Helper()
	mine := filled(path, h.attacker.ids)
	for _, chunked := range []bool{false, true} {
		a := h.attack(t, "10 MB", request{method: method, path: mine, body: tenMegabytes(), chunked: chunked})
		require.Equal(t, http.StatusRequestEntityTooLarge, a.status, "%s %s: %s", method, path, a.body)
	}
	packed := h.attacker.bearer()
	packed.Set("Content-Encoding", "gzip")
	a := h.attack(t, "a gzip bomb", request{method: method, path: mine, body: gzipBomb(), header: packed})
	require.GreaterOrEqual(t, a.status, 400)
	n := 3
	for name, value := range map[string]string{
		"Content-Encoding": "br", "Content-Type": "application/xml", "Transfer-Encoding": "gzip", "X-Forwarded-For": "'; --",
		"X-Request-Id": "\t\"evil\"", "Traceparent": "00-x", "Accept": "application/evil", "Cookie": "madansara_session=" + strings.Repeat("x", 9000),
		"Idempotency-Key": strings.Repeat("k", 9000), "Origin": "https://evil.example", "Content-Length": "1",
	} {
		header := h.attacker.bearer()
		header.Set(name, value)
		h.attack(t, name, request{method: method, path: mine, body: []byte(`{}`), header: header})
		n++
	}
	return n
}

var tenMegabytes = sync.OnceValue(func() []byte {
	return append(append([]byte(`{"name":"`), bytes.Repeat([]byte("x"), 10<<20)...), `"}`...)
})

// gzipBomb is 100 MB in 100 KB.
var gzipBomb = sync.OnceValue(func() []byte {
	var bomb bytes.Buffer
	packer := gzip.NewWriter(&bomb)
	megabyte := bytes.Repeat([]byte("x"), 1<<20)
	for range 100 {
		_, _ = packer.Write(megabyte) // into memory: it has no error
	}
	_ = packer.Close() // as above
	return bomb.Bytes()
})

// every says how many values are left out for one that is sent.
func (h *hostile) every() int {
	if h.peer {
		return 11
	}
	return 7
}

func (h *hostile) valid(op operation) any {
	if !op.takesJSON() {
		return nil
	}
	return h.document.valid("", op.RequestBody.Content["application/json"].Schema, h.attacker.ids, 0)
}

func (h *hostile) validBody(op operation) []byte {
	if !op.takesJSON() {
		return nil
	}
	body, err := json.Marshal(h.valid(op))
	if err != nil {
		panic(err)
	}
	return body
}

// encode writes a value as JSON, numbers beyond any type included.
func encode(t *testing.T, value any) []byte {
	t.Helper()
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	require.NoError(t, encoder.Encode(value))
	return out.Bytes()
}
