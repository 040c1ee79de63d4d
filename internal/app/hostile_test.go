package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/app"
	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/dbtest"
)

// victimsMark stands in everything that the victim has; no answer to the
// attacker may hold it.
const victimsMark = "zzvictimzz"

// hostile is a service with two tenants: the attacker, whose keys the requests
// carry, and the victim, whose ids they name.
type hostile struct {
	url         string
	databaseURL string
	service     *app.App
	document    document
	attacker    party
	victim      party
	peer        bool // the service is not Madan Sara
}

// party is a tenant with one of everything.
type party struct {
	tenant                   uuid.UUID
	secret, write, session   string
	email                    string
	ids                      map[string]string // by the name that a path or body gives it
	anonymousID, orderNumber string
	leaving                  string // a contact that may be erased
}

func setupHostile(t *testing.T) *hostile {
	t.Helper()
	h := &hostile{databaseURL: dbtest.URL(t)}
	service, err := app.New(t.Context(), options(t, h.databaseURL,
		"API_RATE_LIMIT", "0", "SMTP_HOST", "127.0.0.1", "SMTP_PORT", "1", "SMTP_TLS", "none", "SMTP_FROM", "shop@example.com"))
	require.NoError(t, err)
	h.service = service
	server := httptest.NewServer(service.Handler())
	h.url = server.URL
	t.Cleanup(func() {
		server.Close()
		require.NoError(t, service.Close(context.WithoutCancel(t.Context())))
	})
	h.victim = h.party(t, victimsMark)
	h.attacker = h.party(t, "attacker")
	answer := h.send(t, request{method: http.MethodGet, path: "/openapi.json"})
	require.NoError(t, json.Unmarshal(answer.body, &h.document))
	return h
}

// party makes a tenant with one of everything, over the API where that can be.
func (h *hostile) party(t *testing.T, mark string) party {
	t.Helper()
	ctx := t.Context()
	accounts := h.service.Accounts()
	p := party{email: mark + "@example.com", ids: map[string]string{}, anonymousID: mark + "-visitor", orderNumber: mark + "-order"}
	var err error
	p.tenant, err = accounts.CreateTenant(ctx, account.Tenant{Name: mark})
	require.NoError(t, err)
	_, err = accounts.CreateUser(ctx, p.tenant, account.User{Email: p.email, Name: mark, Role: account.Owner, Password: "correct horse battery"})
	require.NoError(t, err)
	login, err := accounts.LogIn(ctx, p.email, "correct horse battery", "192.0.2.1")
	require.NoError(t, err)
	p.session = login.Token
	p.secret, _, err = accounts.CreateKey(ctx, p.tenant, account.NewKey{Kind: account.SecretKey, Name: mark, Scopes: []string{"*"}})
	require.NoError(t, err)
	_, spare, err := accounts.CreateKey(ctx, p.tenant, account.NewKey{Kind: account.SecretKey, Name: mark, Scopes: []string{"*"}})
	require.NoError(t, err)
	p.ids["id"] = spare.ID.String()
	p.write, _, err = accounts.CreateKey(ctx, p.tenant, account.NewKey{Kind: account.WriteKey, Name: mark})
	require.NoError(t, err)

	h.made(t, p, "/v1/batch", `{"batch":[
		{"type":"page","anonymousId":"`+p.anonymousID+`","properties":{"url":"https://shop.example/`+mark+`"},"context":{"sessionId":"`+uuid.NewString()+`","campaign":{"source":"`+mark+`"}}},
		{"type":"identify","anonymousId":"`+p.anonymousID+`","userId":"`+mark+`","traits":{"email":"`+p.email+`","firstName":"`+mark+`","marketing_consent":true}},
		{"type":"track","event":"Order Completed","anonymousId":"`+p.anonymousID+`","properties":{"order_id":"`+p.orderNumber+`","revenue":10,"currency":"USD"}}]}`)
	p.ids["contact_uuid"] = h.value(t, p.tenant, "select contact_uuid::text from contacts where tenant_uuid = $1")
	p.ids["visitor_uuid"] = h.value(t, p.tenant, "select visitor_uuid::text from website_visitors where tenant_uuid = $1")
	p.ids["session_uuid"] = h.value(t, p.tenant, "select session_uuid::text from website_sessions where tenant_uuid = $1 limit 1")
	p.ids["template_uuid"] = h.made(t, p, "/api/v1/outreach/templates", `{"name":"`+mark+`","subject":"`+mark+`","body_html":"<p>`+mark+`</p>"}`)["template_uuid"]
	p.ids["segment_uuid"] = h.made(t, p, "/api/v1/segments", `{"name":"`+mark+`","rules":{"event":{"name":"`+mark+`"}}}`)["segment_uuid"]
	p.ids["campaign_uuid"] = h.made(t, p, "/api/v1/outreach/campaigns",
		`{"name":"`+mark+`","segment_uuid":"`+p.ids["segment_uuid"]+`","template_uuid":"`+p.ids["template_uuid"]+`"}`)["campaign_uuid"]
	p.ids["message_uuid"] = h.made(t, p, "/api/v1/outreach/send", `{"contact_uuid":"`+p.ids["contact_uuid"]+`","template_uuid":"`+p.ids["template_uuid"]+`"}`)["decision_uuid"]
	h.made(t, p, "/api/v1/memory/store", `{"agent":"`+mark+`","type":"semantic","subject":"`+mark+`","predicate":"likes","content":"`+mark+` likes coffee"}`)
	p.ids["memory_id"] = h.value(t, p.tenant, "select memory_uuid::text from memories where tenant_uuid = $1 limit 1")
	p.ids["erasure_uuid"] = h.made(t, p, "/api/v1/memory/erasures", `{"subject":"`+mark+`-gone"}`)["id"]
	h.made(t, p, "/v1/identify", `{"userId":"`+mark+`-leaving","anonymousId":"`+mark+`-leaving"}`)
	p.leaving = h.value(t, p.tenant, "select contact_uuid::text from contact_identities where tenant_uuid = $1 and value = '"+mark+"-leaving' and kind = 'user_id'")
	p.ids["fact_uuid"] = h.value(t, p.tenant, "select fact_uuid::text from outbox_facts where tenant_uuid = $1 limit 1")
	p.ids["user_id"], p.ids["customer_id"], p.ids["campaign_id"] = p.email, p.email, p.ids["campaign_uuid"]
	_ = h.value(t, p.tenant, "update outreach_messages set status = 'unknown' where tenant_uuid = $1 returning ''")
	for name, id := range p.ids {
		require.NotEmpty(t, id, name)
	}
	return p
}

// made posts what has to succeed and returns the texts at the top of the answer.
func (h *hostile) made(t *testing.T, p party, path, body string) map[string]string {
	t.Helper()
	answer := h.send(t, request{method: http.MethodPost, path: path, body: []byte(body), header: p.bearer()})
	require.Less(t, answer.status, 300, "%s: %s", path, answer.body)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(answer.body, &fields))
	texts := map[string]string{}
	for name, value := range fields {
		if text, is := value.(string); is {
			texts[name] = text
		}
	}
	return texts
}

// value asks the database for one value; $1 is the tenant.
func (h *hostile) value(t *testing.T, tenant uuid.UUID, query string) (value string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), h.databaseURL)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.WithoutCancel(t.Context()))) }()
	require.NoError(t, conn.QueryRow(t.Context(), query, tenant).Scan(&value), query)
	return value
}

func (p party) bearer() http.Header {
	return http.Header{"Authorization": {"Bearer " + p.secret}, "Content-Type": {"application/json"}}
}

type request struct {
	method, path string
	body         []byte
	chunked      bool
	header       http.Header
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

// send sends the path as it is written, however broken.
func (h *hostile) send(t *testing.T, r request) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
		if r.chunked {
			body = io.MultiReader(body) // hides the length
		}
	}
	sent, err := http.NewRequestWithContext(ctx, r.method, h.url, body)
	require.NoError(t, err)
	path, query, _ := strings.Cut(r.path, "?")
	sent.URL.Opaque, sent.URL.RawQuery = strings.TrimPrefix(h.url, "http:")+path, query
	maps.Copy(sent.Header, r.header)
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(sent)
	require.NoError(t, err, "%s %.200s", r.method, r.path)
	defer func() { require.NoError(t, response.Body.Close()) }()
	read, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return answer{response.StatusCode, response.Header, read}
}

// judge holds an answer of the API to what every answer must be.
func (h *hostile) judge(t *testing.T, what string, r request, a answer) {
	t.Helper()
	where := fmt.Sprintf("%s: %s %.200s\n%s\n-> %d %.600s", what, r.method, r.path, r.body[:min(400, len(r.body))], a.status, a.body)
	require.Less(t, a.status, 500, where)
	require.GreaterOrEqual(t, a.status, 200, where)
	text := string(a.body)
	if !strings.Contains(r.path, victimsMark) && !bytes.Contains(r.body, []byte(victimsMark)) { // else the answer only repeats it
		require.NotContains(t, text, victimsMark, where)
	}
	for _, leak := range []string{"SQLSTATE", "jackc", "goroutine ", ".go:", "syntax error at or near"} {
		require.NotContains(t, text, leak, where)
	}
	if a.status < 400 {
		return
	}
	require.Equal(t, "application/problem+json", a.header.Get("Content-Type"), where)
	var problem struct {
		Status        int
		Detail, Title string
	}
	require.NoError(t, json.Unmarshal(a.body, &problem), where)
	require.Equal(t, a.status, problem.Status, where)
	require.NotEmpty(t, problem.Detail, where)
}

// holdings tells all of a tenant's rows by what they say. When a key was used last is
// written down later, in one go with others.
func (h *hostile) holdings(t *testing.T, tenant uuid.UUID) map[string]string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), h.databaseURL)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.WithoutCancel(t.Context()))) }()
	rows, err := conn.Query(t.Context(), `select table_name from information_schema.columns
		where column_name = 'tenant_uuid' and table_schema = 'public' order by 1`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	found := map[string]string{}
	for _, table := range tables {
		var hash string
		require.NoError(t, conn.QueryRow(t.Context(), "select coalesce(string_agg(h, '' order by h), '') from (select tenant_uuid, md5((to_jsonb(r) - 'last_used_at')::text) as h from "+
			pgx.Identifier{table}.Sanitize()+" r) x where tenant_uuid = $1", tenant).Scan(&hash))
		found[table] = hash
	}
	return found
}
