package fact_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/core/fact"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/mesh"
)

type list struct {
	Facts []fact.Stored `json:"facts"`
	Next  string        `json:"next_cursor"`
}

func TestAFactIsKeptOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	peer := b.peer(t, mesh.MadanSara)
	sent := b.conversion("c1", 1)
	receipt, err := peer.Push(t.Context(), sent)
	require.NoError(t, err)
	require.Equal(t, &mesh.SyncReceipt{ID: sent.ID}, receipt)

	b.forget() // the row must know it all the same
	for range 2 {
		receipt, err = peer.Push(t.Context(), sent)
		require.NoError(t, err)
		require.Equal(t, &mesh.SyncReceipt{ID: sent.ID, Duplicate: true}, receipt)
	}
	b.forget()
	respelt := sent
	respelt.Data = []byte(`{ "revenue": 19.9, "order": "\u0037" }`)
	respelt.Timestamp = sent.Timestamp.Add(999 * time.Nanosecond).In(time.FixedZone("", 3600))
	receipt, err = peer.Push(t.Context(), respelt)
	require.NoError(t, err, "the same content in another spelling")
	require.True(t, receipt.Duplicate)

	var facts list
	b.get(t, "/api/v1/sync/conversion", &facts)
	require.Len(t, facts.Facts, 1)
	require.Empty(t, facts.Next)
	require.Equal(t, sent.ID, facts.Facts[0].ID.String())
	require.JSONEq(t, string(sent.Data), string(facts.Facts[0].Data))
	require.True(t, sent.Timestamp.Equal(facts.Facts[0].OccurredAt))
	var one fact.Stored
	b.get(t, "/api/v1/sync/conversion/"+sent.ID, &one)
	require.Equal(t, facts.Facts[0], one)
}

func TestOneIdIsOneFact(t *testing.T) {
	t.Parallel()
	b := setup(t)
	peer := b.peer(t, mesh.MadanSara)
	sent := b.conversion("c1", 1)
	_, err := peer.Push(t.Context(), sent)
	require.NoError(t, err)
	for what, change := range map[string]func(*mesh.SyncFact){
		"data":      func(f *mesh.SyncFact) { f.Data = []byte(`{"order":"8"}`) },
		"timestamp": func(f *mesh.SyncFact) { f.Timestamp = f.Timestamp.Add(time.Microsecond) },
		"type":      func(f *mesh.SyncFact) { f.DataType = "refund" },
		"customer":  func(f *mesh.SyncFact) { f.CustomerID = "c2" },
		"nobody":    func(f *mesh.SyncFact) { f.CustomerID, f.Sequence = "", 0 },
		"sequence":  func(f *mesh.SyncFact) { f.Sequence = 2 },
	} {
		other := sent
		change(&other)
		b.forget()
		_, err := peer.Push(t.Context(), other)
		rejected(t, err, http.StatusUnprocessableEntity, what)
	}
	var facts list
	b.get(t, "/api/v1/sync/conversion", &facts)
	require.Len(t, facts.Facts, 1)

	// Another source has ids of its own.
	theirs := sent
	theirs.Source, theirs.Data = mesh.Sankore, []byte(`{"clicks":3}`)
	receipt, err := b.peer(t, mesh.Sankore).Push(t.Context(), theirs)
	require.NoError(t, err)
	require.False(t, receipt.Duplicate)
	require.Equal(t, http.StatusUnprocessableEntity, b.send(t, b.key, http.MethodGet, "/api/v1/sync/conversion/"+sent.ID, "", "").status)
	var one fact.Stored
	b.get(t, "/api/v1/sync/conversion/"+sent.ID+"?source=sankore", &one)
	require.JSONEq(t, `{"clicks":3}`, string(one.Data))
}

func rejected(t *testing.T, err error, status int, what string) {
	t.Helper()
	var failure *mesh.Error
	require.ErrorAs(t, err, &failure, what)
	require.Equal(t, status, failure.Status, "%s: %v", what, err)
	require.ErrorIs(t, err, mesh.ErrRejected, what)
}

func TestSimultaneousPushesKeepOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sent := b.conversion("c1", 1)
	f := fact.Fact{ID: uuid.MustParse(sent.ID), DataType: sent.DataType, Source: sent.Source, Data: sent.Data, OccurredAt: sent.Timestamp}
	var group sync.WaitGroup
	fresh := make(chan bool, 16)
	for range cap(fresh) {
		group.Go(func() {
			duplicate, err := b.facts.Receive(t.Context(), b.tenant, f)
			fresh <- err == nil && !duplicate
		})
	}
	group.Wait()
	close(fresh)
	kept := 0
	for one := range fresh {
		if one {
			kept++
		}
	}
	require.Equal(t, 1, kept)
	counts, err := b.facts.Counts(t.Context(), b.tenant, time.Time{}, time.Time{})
	require.NoError(t, err)
	require.EqualValues(t, 1, counts[0].Facts)
}

func TestALateFactReplacesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	peer := b.peer(t, mesh.MadanSara)
	for _, sequence := range []int64{1, 3, 2} {
		sent := b.conversion("c/1 é", sequence)
		sent.DataType = "consent"
		sent.Data = fmt.Appendf(nil, `{"sequence":%d}`, sequence)
		sent.Timestamp = now.Add(-time.Duration(sequence) * time.Hour) // the clock does not count where there is a sequence
		_, err := peer.Push(t.Context(), sent)
		require.NoError(t, err)
	}
	var known struct {
		CustomerID string        `json:"customer_id"`
		Facts      []fact.Stored `json:"facts"`
	}
	b.get(t, "/api/v1/customers"+mesh.Path("c/1 é")+"/facts", &known)
	require.Equal(t, "c/1 é", known.CustomerID)
	require.Len(t, known.Facts, 1)
	require.JSONEq(t, `{"sequence":3}`, string(known.Facts[0].Data))
	require.Equal(t, http.StatusNotFound, b.send(t, b.key, http.MethodGet, "/api/v1/customers/nobody/facts", "", "").status)
}

func TestWhoMayTellWhat(t *testing.T) {
	t.Parallel()
	b := setup(t)
	// A service speaks for itself.
	_, err := b.peer(t, mesh.Onside).Push(t.Context(), b.conversion("", 0))
	rejected(t, err, http.StatusForbidden, "another service's name")
	other := b.conversion("", 0)
	other.TenantUUID = dbtest.Tenant(t, b.url).String()
	receipt, err := b.peer(t, mesh.MadanSara).Push(t.Context(), other)
	require.NoError(t, err, "a service acts for any tenant")
	require.False(t, receipt.Duplicate)
	var facts list
	b.get(t, "/api/v1/sync/conversion", &facts)
	require.Empty(t, facts.Facts, "what another tenant's facts are")
	nobody := b.conversion("", 0)
	nobody.TenantUUID = uuid.NewString()
	_, err = b.peer(t, mesh.MadanSara).Push(t.Context(), nobody)
	rejected(t, err, http.StatusUnprocessableEntity, "a tenant that does not exist")

	// A key speaks for its tenant, in no service's name.
	body := func(tenant uuid.UUID, source string) string {
		return fmt.Sprintf(`{"tenant_uuid":%q,"source":%q,"data":{},"timestamp":"2026-03-01T00:00:00Z"}`, tenant, source)
	}
	require.Equal(t, http.StatusCreated, b.send(t, b.key, http.MethodPost, "/api/v1/sync/lead", "k", body(b.tenant, "crm")).status)
	require.Equal(t, http.StatusForbidden, b.send(t, b.key, http.MethodPost, "/api/v1/sync/lead", "k", body(b.tenant, mesh.MadanSara)).status)
	require.Equal(t, http.StatusForbidden, b.send(t, b.key, http.MethodPost, "/api/v1/sync/lead", "k", body(uuid.MustParse(other.TenantUUID), "crm")).status)
	for _, path := range []string{"/api/v1/sync", "/api/v1/sync/lead", "/api/v1/sync/lead/" + uuid.NewString(), "/api/v1/customers/c/facts"} {
		require.Equal(t, http.StatusForbidden, b.send(t, b.narrow, http.MethodGet, path, "", "").status, path)
	}
	require.Equal(t, http.StatusForbidden, b.send(t, b.narrow, http.MethodPost, "/api/v1/sync/lead", "k", body(b.tenant, "crm")).status)
}

func TestSendersWithoutAUUID(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := func(data string) string {
		return fmt.Sprintf(`{"tenant_uuid":%q,"source":"crm","data":%s,"timestamp":"2026-03-01T00:00:00Z"}`, b.tenant, data)
	}
	post := func(key, data string) int {
		return b.send(t, b.key, http.MethodPost, "/api/v1/sync/lead", key, body(data)).status
	}
	require.Equal(t, http.StatusCreated, post("lead 1", `{"a":1}`))
	require.Equal(t, http.StatusOK, post("lead 1", `{"a":1}`))
	require.Equal(t, http.StatusUnprocessableEntity, post("lead 1", `{"a":2}`))
	require.Equal(t, http.StatusCreated, post("lead 2", `{"a":1}`), "another key is another fact")

	require.Equal(t, http.StatusCreated, post("", `{"a":1,"b":"x"}`))
	require.Equal(t, http.StatusOK, post("", `{"b":"\u0078", "a":1}`), "without a key the content tells")
	require.Equal(t, http.StatusCreated, post("", `{"a":1,"b":"y"}`))

	id := strings.ToUpper(uuid.NewString())
	require.Equal(t, http.StatusCreated, post(id, `{}`))
	require.Equal(t, http.StatusOK, post(strings.ToLower(id), `{}`), "a UUID however it is spelt")
}

func TestHostileFacts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	valid := map[string]string{"tenant_uuid": `"` + b.tenant.String() + `"`, "source": `"crm"`, "data": `{}`, "timestamp": `"2026-03-01T00:00:00Z"`}
	send := func(dataType, key string, change map[string]string) answer {
		var fields []string
		for name, value := range valid {
			if changed, ok := change[name]; ok {
				value = changed
			}
			if value != "" {
				fields = append(fields, `"`+name+`":`+value)
			}
		}
		for name, value := range change {
			if _, ok := valid[name]; !ok {
				fields = append(fields, `"`+name+`":`+value)
			}
		}
		return b.send(t, b.key, http.MethodPost, "/api/v1/sync/"+dataType, key, "{"+strings.Join(fields, ",")+"}")
	}
	for name, change := range map[string]map[string]string{
		"data missing": {"data": ""}, "data a list": {"data": `[]`}, "data null": {"data": "null"}, "data a text": {"data": `"x"`},
		"data deep":              {"data": strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40)},
		"data deeper":            {"data": `{"a":` + strings.Repeat(`[`, 9000) + strings.Repeat("]", 9000) + "}"},
		"number with many zeros": {"data": `{"a":1e100000}`}, "number near zero": {"data": `{"a":-1E-00309}`}, "long number": {"data": `{"a":` + strings.Repeat("9", 65) + `}`},
		"NUL": {"data": `{"a":"\u0000"}`}, "half a character": {"data": `{"a":"\ud800"}`},
		"tenant missing": {"tenant_uuid": ""}, "tenant no id": {"tenant_uuid": `"x"`},
		"source missing": {"source": ""}, "source empty": {"source": `""`}, "source shouts": {"source": `"CRM"`}, "source long": {"source": `"` + strings.Repeat("a", 64) + `"`}, "source with a break": {"source": `"crm\n"`},
		"timestamp missing": {"timestamp": ""}, "timestamp old": {"timestamp": `"1999-12-31T23:59:59Z"`}, "timestamp ahead": {"timestamp": `"2026-03-02T12:00:01Z"`},
		"timestamp unreadable": {"timestamp": `"yesterday"`}, "timestamp a number": {"timestamp": `1`}, "year 10000": {"timestamp": `"10000-01-01T00:00:00Z"`},
		"customer long": {"customer_id": `"` + strings.Repeat("é", 321) + `"`}, "sequence negative": {"customer_id": `"c"`, "sequence": "-1"},
		"sequence huge": {"customer_id": `"c"`, "sequence": "9223372036854775808"}, "sequence of nobody": {"sequence": "1"}, "sequence half": {"customer_id": `"c"`, "sequence": "1.5"},
		"a field more": {"received_at": `"2026-03-01T00:00:00Z"`},
	} {
		got := send("lead", uuid.NewString(), change)
		require.GreaterOrEqual(t, got.status, 400, "%s: %s", name, got.body)
		require.Less(t, got.status, 500, "%s: %s", name, got.body)
	}
	for _, dataType := range []string{"Lead", "1lead", strings.Repeat("a", 64), "a%2Fb", "%2e%2e", "a%00", "l%C3%A9", "a%20b", "';drop%20table--", "lead%0A"} {
		got := send(dataType, uuid.NewString(), nil)
		require.Contains(t, []int{http.StatusUnprocessableEntity, http.StatusNotFound}, got.status, "%s: %s", dataType, got.body)
	}
	require.Equal(t, http.StatusUnprocessableEntity, send("lead", strings.Repeat("k", 256), nil).status)
	require.Equal(t, http.StatusRequestEntityTooLarge, send("lead", "k", map[string]string{"data": `{"a":"` + strings.Repeat("x", 256<<10) + `"}`}).status)
	for _, query := range []string{"cursor=x", "cursor=" + url.QueryEscape("bnVsbA"), "limit=0", "limit=201", "from=yesterday", "source=%00", "limit=-1"} {
		got := b.send(t, b.key, http.MethodGet, "/api/v1/sync/lead?"+query, "", "")
		require.Equal(t, http.StatusUnprocessableEntity, got.status, "%s: %s", query, got.body)
	}
	var counts struct {
		Counts []fact.Count `json:"counts"`
	}
	b.get(t, "/api/v1/sync", &counts)
	require.Empty(t, counts.Counts, "nothing of it was kept")
}

func TestAPageOfLargeFactsEndsEarly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	text := strings.Repeat("x", 200<<10)
	for n := range 30 {
		_, err := b.facts.Receive(t.Context(), b.tenant, fact.Fact{
			ID: uuid.New(), DataType: "page", Source: "crm", Data: fmt.Appendf(nil, `{"n":%d,"text":%q}`, n, text), OccurredAt: now,
		})
		require.NoError(t, err)
	}
	seen := map[uuid.UUID]bool{}
	pages := 0
	for cursor := ""; ; pages++ {
		facts, next, err := b.facts.List(t.Context(), b.tenant, "page", fact.Filter{}, cursor, 200)
		require.NoError(t, err)
		for _, f := range facts {
			seen[f.ID] = true
		}
		if cursor = next; next == "" {
			break
		}
	}
	require.Len(t, seen, 30)
	require.Equal(t, 1, pages)
}
