package template_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/madansara/outreach/template"
)

type bundle struct {
	tenant uuid.UUID
	db     *engardedb.DB
	url    string
	scopes []string
}

func setup(t *testing.T) *bundle {
	t.Helper()
	dbURL, db := dbtest.App(t, "madan_sara_app")
	b := &bundle{tenant: dbtest.Tenant(t, dbURL), db: db, scopes: []string{"outreach:read", "outreach:write"}}
	other := dbtest.Tenant(t, dbURL)
	mux := http.NewServeMux()
	template.New(db, clockwork.NewFakeClockAt(time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC))).Register(humago.New(mux, huma.DefaultConfig("test", "1")))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := httpkit.Principal{Tenant: b.tenant, Scopes: b.scopes}
		if r.Header.Get("As") == "other" {
			p.Tenant = other
		}
		mux.ServeHTTP(w, r.WithContext(httpkit.WithPrincipal(r.Context(), p)))
	}))
	t.Cleanup(server.Close)
	b.url = server.URL + "/api/v1/outreach/templates"
	return b
}

func (b *bundle) call(t *testing.T, method, path string, body any, headers ...string) (int, map[string]any) {
	t.Helper()
	encoded, err := json.Marshal(body)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), method, b.url+path, bytes.NewReader(encoded))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	var out map[string]any
	require.NoError(t, json.Unmarshal(raw, &out), string(raw))
	return res.StatusCode, out
}

type object = map[string]any

func TestTemplatesAreKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	evil := `'; DROP TABLE channel_templates; -- <script>alert(1)</script>`
	status, created := b.call(t, "POST", "", object{"name": evil, "subject": evil, "body_html": "<p>" + evil + "</p>"})
	require.Equal(t, 201, status, created)
	require.Equal(t, evil, created["name"])
	require.Equal(t, "email", created["channel"])
	id := "/" + created["template_uuid"].(string)

	status, got := b.call(t, "GET", id, nil)
	require.Equal(t, 200, status)
	require.Equal(t, evil, got["subject"])
	status, updated := b.call(t, "PUT", id, object{"name": "n", "subject": "s", "body_text": "t"})
	require.Equal(t, 200, status, updated)
	require.Equal(t, "t", updated["body_text"])
	require.Empty(t, updated["body_html"])

	for range 2 {
		status, _ = b.call(t, "POST", "", object{"name": "more", "subject": "s", "body_text": "t"})
		require.Equal(t, 201, status)
	}
	status, page := b.call(t, "GET", "?limit=2", nil)
	require.Equal(t, 200, status)
	require.Len(t, page["templates"], 2)
	_, rest := b.call(t, "GET", "?limit=2&cursor="+page["next_cursor"].(string), nil)
	require.Len(t, rest["templates"], 1)
	require.NotContains(t, rest, "next_cursor")

	for _, request := range [][2]string{{"GET", id}, {"PUT", id}, {"POST", id + "/preview"}} {
		body := any(object{})
		if request[0] == "PUT" {
			body = object{"name": "n", "subject": "s", "body_text": "stolen"}
		}
		status, _ = b.call(t, request[0], request[1], body, "As", "other")
		require.Equal(t, 404, status, "another tenant's template: %v", request)
	}
	_, page = b.call(t, "GET", "", nil, "As", "other")
	require.Empty(t, page["templates"])
	b.scopes = []string{"ingest:write"}
	status, _ = b.call(t, "GET", id, nil)
	require.Equal(t, 403, status)
}

func TestBadTemplatesAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, c := range map[string]struct {
		body     object
		location string
		message  string
	}{
		"unclosed":      {object{"name": "n", "subject": "s", "body_html": "a\n{% if x %}"}, "body.body_html", "line 2: unterminated"},
		"subject":       {object{"name": "n", "subject": "{{ x | nope }}", "body_html": "a"}, "body.subject", `line 1: there is no filter "nope"`},
		"text":          {object{"name": "n", "subject": "s", "body_text": "{% include 'x' %}"}, "body.body_text", `there is no tag "include"`},
		"NUL":           {object{"name": "n", "subject": "s", "body_html": "a\x00"}, "body.body_html", "NUL"},
		"NUL name":      {object{"name": "n\x00", "subject": "s", "body_html": "a"}, "body.name", "no text"},
		"empty":         {object{"name": "n", "subject": "s", "body_html": " "}, "body.body_html", "both empty"},
		"no name":       {object{"name": "", "subject": "s", "body_html": "a"}, "body.name", ""},
		"long name":     {object{"name": strings.Repeat("n", 201), "subject": "s", "body_html": "a"}, "body.name", ""},
		"huge":          {object{"name": "n", "subject": "s", "body_html": strings.Repeat("x", 300_000)}, "body.body_html", ""},
		"unknown field": {object{"name": "n", "subject": "s", "body_html": "a", "admin": true}, "body.admin", ""},
		"wrong type":    {object{"name": 1, "subject": "s", "body_html": "a"}, "body.name", ""},
		"other channel": {object{"name": "n", "subject": "s", "body_html": "a", "channel": "pigeon"}, "body.channel", ""},
	} {
		status, problem := b.call(t, "POST", "", c.body)
		require.Equal(t, 422, status, "%s: %v", name, problem)
		errs := problem["errors"].([]any)
		require.Equal(t, c.location, errs[0].(object)["location"], name)
		require.Contains(t, errs[0].(object)["message"], c.message, name)
	}
	status, _ := b.call(t, "POST", "", object{"name": "n", "subject": "s", "body_html": strings.Repeat("x", 10<<20)})
	require.Equal(t, 413, status)
	_, page := b.call(t, "GET", "", nil)
	require.Empty(t, page["templates"], "a refused template was stored")
}

func TestPreview(t *testing.T) {
	t.Parallel()
	b := setup(t)
	contact := uuid.Must(uuid.NewV7())
	require.NoError(t, b.db.Tenant(t.Context(), b.tenant, func(ctx context.Context, tx engardedb.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO contacts (tenant_uuid, contact_uuid, email, first_name, traits, created_at, updated_at)
			VALUES ($1, $2, 'jo@example.com', '<b>Jo</b>', '{"city": "Jacmel"}', now(), now())`, b.tenant, contact)
		return err
	}))
	status, created := b.call(t, "POST", "", object{
		"name": "n", "subject": "Hi {{ contact.first_name }}\n of {{ contact.traits.city }}",
		"body_html": "<p>{{ contact.first_name }} {{ contact.traits.citty }} {{ data.order }} {{ tenant.name }}</p>",
	})
	require.Equal(t, 201, status, created)
	id := "/" + created["template_uuid"].(string)
	status, preview := b.call(t, "POST", id+"/preview", object{"contact_uuid": contact, "data": object{"order": "A<1"}})
	require.Equal(t, 200, status, preview)
	require.Equal(t, "Hi <b>Jo</b> of Jacmel", preview["subject"])
	require.Equal(t, "<p>&lt;b&gt;Jo&lt;/b&gt;  A&lt;1 Test</p>", preview["html"])
	require.Equal(t, "<b>Jo</b> A<1 Test\n", preview["text"])
	warnings, err := json.Marshal(preview["warnings"])
	require.NoError(t, err)
	require.Contains(t, string(warnings), "contact.traits.citty has no value")
	require.Contains(t, string(warnings), "unsubscribe_url")

	status, preview = b.call(t, "POST", "/preview", object{"subject": "{{ contact.first_name }}", "body_html": "<a href='{{ unsubscribe_url }}'>off</a>"})
	require.Equal(t, 200, status, preview)
	require.Equal(t, "Marie", preview["subject"])
	require.Empty(t, preview["warnings"])

	status, problem := b.call(t, "POST", "/preview", object{"body_html": "x\n{% for i in (1..1000000000) %}{% endfor %}"})
	require.Equal(t, 422, status)
	require.Contains(t, problem["detail"], "body_html: line 2: the loops would run more than")
	status, _ = b.call(t, "POST", id+"/preview", object{"contact_uuid": uuid.New()})
	require.Equal(t, 404, status)
	status, _ = b.call(t, "POST", id+"/preview", object{"contact_uuid": contact}, "As", "other")
	require.Equal(t, 404, status)
}
