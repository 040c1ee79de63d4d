package app_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/httpkit"
)

// xss is text that runs when it is taken for markup.
var xss = []string{
	`<script>alert("xss-mark")</script>`, `"><img src=x onerror=alert("xss-mark")>`, `' onmouseover='alert("xss-mark")`,
	`</textarea><script>alert("xss-mark")</script>`, `javascript:alert("xss-mark")`, `{{ "<script>xss-mark" }}`, `</script><svg/onload=alert("xss-mark")>`,
}

func (p party) cookie() http.Header {
	return http.Header{"Cookie": {httpkit.SessionCookie + "=" + p.session}, "Content-Type": {"application/x-www-form-urlencoded"}}
}

func (h *hostile) page(t *testing.T, path string) answer {
	t.Helper()
	return h.send(t, request{method: http.MethodGet, path: path, header: h.attacker.cookie()})
}

func (h *hostile) form(t *testing.T, path string, fields url.Values) answer {
	t.Helper()
	return h.send(t, request{method: http.MethodPost, path: path, body: []byte(fields.Encode()), header: h.attacker.cookie()})
}

// pagesOf are the dashboard's pages for things with these ids.
func pagesOf(ids map[string]string) []string {
	return []string{
		"/customers/" + ids["contact_uuid"], "/campaigns/" + ids["campaign_uuid"], "/segments/" + ids["segment_uuid"], "/templates/" + ids["template_uuid"],
		"/campaigns/segment-count?segment=" + ids["segment_uuid"],
	}
}

// formsOf are the dashboard's forms that name a thing.
func formsOf(ids map[string]string) map[string]url.Values {
	return map[string]url.Values{
		"/campaigns": {"name": {"x"}, "segment": {ids["segment_uuid"]}, "template": {ids["template_uuid"]}},
		"/campaigns/" + ids["campaign_uuid"] + "/start": {},
		"/campaigns/" + ids["campaign_uuid"] + "/pause": {},
		"/messages/" + ids["message_uuid"] + "/resolve": {"outcome": {"failed"}},
		"/segments/" + ids["segment_uuid"]:              {"name": {"x"}, "match": {"all"}, "kind": {"conversion"}},
		"/templates/" + ids["template_uuid"]:            {"name": {"x"}, "subject": {"x"}, "body_html": {"x"}},
		"/settings/keys/" + ids["id"] + "/revoke":       {},
		"/segments":          {"name": {"x"}, "kind": {"conversion"}},
		"/templates":         {"name": {"x"}, "subject": {"x"}, "body_html": {"x"}},
		"/templates/preview": {"subject": {"x"}, "body_html": {"x"}},
		"/segments/preview":  {"kind": {"conversion"}},
		"/settings/keys":     {"kind": {"write"}, "name": {"x"}},
		"/logout":            {},
		"/login":             {"email": {"attacker@example.com"}, "password": {"correct horse battery"}},
	}
}

func TestPagesKeepTenantsApart(t *testing.T) {
	t.Parallel()
	h := setupHostile(t)
	before := h.holdings(t, h.victim.tenant)
	for _, path := range pagesOf(h.victim.ids) {
		a := h.page(t, path)
		if !strings.HasPrefix(path, "/campaigns/segment-count") { // a hint beside a form: it says that there is no such segment
			require.Equal(t, http.StatusNotFound, a.status, path)
		}
		require.NotContains(t, string(a.body), victimsMark, path)
		require.NotRegexp(t, `\d+ (person|people)`, string(a.body), path)
	}
	for path, fields := range formsOf(h.victim.ids) {
		if path == "/logout" {
			continue
		}
		a := h.form(t, path, fields)
		require.Less(t, a.status, 500, path)
		require.NotContains(t, string(a.body), victimsMark, path)
		for _, id := range h.victim.ids {
			if strings.Contains(path, id) {
				require.Equal(t, http.StatusNotFound, a.status, path)
			}
		}
	}
	require.Equal(t, before, h.holdings(t, h.victim.tenant))
}

// TestNoOtherSitesFormActs sends each form as another site's page would, with
// the cookie that a browser without SameSite would add.
func TestNoOtherSitesFormActs(t *testing.T) {
	t.Parallel()
	h := setupHostile(t)
	before := h.holdings(t, h.attacker.tenant)
	for path, fields := range formsOf(h.attacker.ids) {
		for name, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"} {
			header := h.attacker.cookie()
			header.Set(name, value)
			a := h.send(t, request{method: http.MethodPost, path: path, body: []byte(fields.Encode()), header: header})
			require.Equal(t, http.StatusForbidden, a.status, path)
		}
	}
	// The API takes the cookie as well, of the dashboard's own pages only.
	for path, methods := range h.document.Paths {
		for method, op := range methods {
			if method == "get" || isIngest(path) {
				continue
			}
			header := h.attacker.cookie()
			header.Set("Content-Type", "application/json")
			header.Set("Sec-Fetch-Site", "same-site")
			a := h.send(t, request{method: strings.ToUpper(method), path: filled(path, h.attacker.ids), body: h.validBody(op), header: header})
			require.Equal(t, http.StatusForbidden, a.status, "%s %s", method, path)
		}
	}
	// Where any site's page may send, the cookie is nobody's.
	header := h.attacker.cookie()
	header.Set("Content-Type", "text/plain")
	a := h.send(t, request{method: http.MethodPost, path: "/v1/track", body: []byte(`{"event":"x","anonymousId":"y"}`), header: header})
	require.Equal(t, http.StatusUnauthorized, a.status, string(a.body))
	require.Equal(t, before, h.holdings(t, h.attacker.tenant))
}

func TestWhatIsTypedIsText(t *testing.T) {
	t.Parallel()
	h := setupHostile(t)
	quoted := func(text string) string { return string(encode(t, text)) }
	for i, text := range xss {
		q := quoted(text)
		h.made(t, h.attacker, "/v1/batch", `{"batch":[
			{"type":"identify","anonymousId":`+q+`,"userId":`+q+`,"traits":{"email":"x`+string(rune('a'+i))+`@example.com","firstName":`+q+`,"lastName":`+q+`,"timezone":`+q+`,`+q+`:`+q+`}},
			{"type":"page","name":`+q+`,"anonymousId":`+q+`,"userId":`+q+`,"properties":{"url":`+q+`,"title":`+q+`,"referrer":`+q+`},"context":{"sessionId":`+q+`,"userAgent":`+q+`,"campaign":{"source":`+q+`,"medium":`+q+`,"name":`+q+`}}},
			{"type":"track","event":`+q+`,"anonymousId":`+q+`,"userId":`+q+`},
			{"type":"track","event":"Order Completed","anonymousId":`+q+`,"properties":{"order_id":`+q+`,"revenue":3,"currency":"USD"}}]}`)
		h.made(t, h.attacker, "/api/v1/outreach/templates", `{"name":`+q+`,"subject":"s","body_html":`+quoted("<p>{{ contact.first_name }}")+`}`)
		h.made(t, h.attacker, "/api/v1/segments", `{"name":`+q+`,"rules":{"event":{"name":`+q+`}}}`)
		h.made(t, h.attacker, "/api/v1/outreach/campaigns",
			`{"name":`+q+`,"from_name":`+q+`,"segment_uuid":"`+h.attacker.ids["segment_uuid"]+`","template_uuid":"`+h.attacker.ids["template_uuid"]+`"}`)
		require.Less(t, h.form(t, "/settings/keys", url.Values{"kind": {"write"}, "name": {text}}).status, 300)
	}
	paths := append([]string{"/", "/customers", "/campaigns", "/campaigns/new", "/segments", "/segments/new", "/templates", "/templates/new", "/settings", "/login"}, pagesOf(h.attacker.ids)...)
	for _, text := range xss {
		escaped := url.QueryEscape(text)
		paths = append(paths, "/customers?q="+escaped, "/login?next="+escaped, "/?from="+escaped+"&to="+escaped, "/?model="+escaped+"&days="+escaped,
			"/campaigns?page="+escaped, "/campaigns/new?segment="+escaped+"&template="+escaped, "/customers?done="+escaped, "/"+url.PathEscape(text))
	}
	for _, list := range []string{"/customers", "/campaigns", "/segments", "/templates"} {
		for _, piece := range strings.Split(string(h.page(t, list).body), `href="`+list+`/`)[1:] {
			id, _, _ := strings.Cut(piece, `"`)
			paths = append(paths, list+"/"+id)
		}
	}
	require.Greater(t, len(paths), 90)
	for _, path := range paths {
		a := h.page(t, path)
		require.Less(t, a.status, 500, path)
		runsNothing(t, path, a)
	}
	// What a form was sent comes back in its answer.
	for path, fields := range formsOf(h.attacker.ids) {
		for _, text := range xss {
			if path == "/logout" || path == "/templates/preview" || strings.HasSuffix(path, "/revoke") {
				continue
			}
			typed := url.Values{}
			for name := range fields {
				typed[name] = []string{text}
			}
			a := h.form(t, path, typed)
			require.Less(t, a.status, 500, "%s: %s", path, a.body)
			runsNothing(t, path, a)
		}
	}
}

func runsNothing(t *testing.T, path string, a answer) {
	t.Helper()
	page := string(a.body)
	if strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		for _, running := range []string{`<script>alert`, `<img src=x`, `<svg/onload`, `' onmouseover='`, `href="javascript:`, `"><img`} {
			require.NotContains(t, page, running, path)
		}
		require.NotContains(t, a.header.Get("Content-Security-Policy"), "script-src 'self' 'unsafe", path)
	}
	require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"), path)
}

func TestBrokenForms(t *testing.T) {
	t.Parallel()
	h := setupHostile(t)
	for path := range formsOf(h.attacker.ids) {
		if path == "/logout" || strings.HasSuffix(path, "/revoke") {
			continue
		}
		for _, body := range []string{
			"", "%zz", "name=%00%ff&subject=%00&body_html=%00&kind=%00&email=%00&password=%ff&next=%00&segment=%00&template=%ff&outcome=%00&text=%00&value=%ff",
			"name=" + strings.Repeat("x", 900_000), "body_html=" + strings.Repeat("x", 2<<20), strings.Repeat("kind=event&text=x&", 20_000),
			"name=x&subject=x&body_html=" + url.QueryEscape("{% for i in (1..1000000000) %}{% for j in (1..1000000000) %}x{% endfor %}{% endfor %}"),
			"kind=field&text=traits.x&op=%27%3B--&value=x&name=x", "kind=event&text=x&days=9223372036854775808&name=x", "kind=field&text=email&op=gt&value=NaN&name=x",
			"kind=field&text=email&op=gt&value=1e400&name=x", "kind=consent&consent=%00&name=x", "kind=message&did=%27&name=x", "name=%C0%AE&kind=conversion",
		} {
			a := h.send(t, request{method: http.MethodPost, path: path, body: []byte(body), header: h.attacker.cookie()})
			require.Less(t, a.status, 500, "%s %.200s: %s", path, body, a.body)
		}
	}
	for _, path := range []string{
		"/?from=9999-12-31&to=9999-12-31", "/?from=1970-01-01&to=1970-01-02", "/?from=0000-01-01&to=0001-01-01", "/?from=99999-01-01&to=x", "/?days=1e9", "/?model=%00&metric=%ff",
		"/customers?q=%00%ff", "/customers?page=9223372036854775808", "/customers?page=-1", "/customers?page=4000", "/customers?q=" + strings.Repeat("%25", 5000),
		"/campaigns?page=99999999", "/campaigns/" + h.attacker.ids["campaign_uuid"] + "?status=%27%00&page=4000", "/customers/%00", "/customers/%ff", "/campaigns/segment-count?segment=%00",
		"/login?next=%00%ff", "/static/%00", "/static/%ff", "/static/..%2f..%2fgo.mod", "/t/o/%00", "/t/c/%ff", "/u/%00", "/u/" + strings.Repeat("A", 9000), "/docs/%00", "/%00", "/%ff", "/tracker.js?%00",
	} {
		a := h.page(t, path)
		require.Less(t, a.status, 500, "%s: %s", path, a.body)
	}
}
