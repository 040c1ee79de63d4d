package seo_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/onside/onsidetest"
	"github.com/engardehq/madansara/internal/onside/seo"
	"github.com/engardehq/madansara/mesh"
)

var update = flag.Bool("update", false, "write the golden files")

type bundle struct {
	web           *onsidetest.Web
	api           onsidetest.API
	clock         *clockwork.FakeClock
	database      string
	tenant, other uuid.UUID
}

func setup(t *testing.T) bundle {
	t.Helper()
	url, db := dbtest.App(t, "onside_app")
	clock := clockwork.NewFakeClockAt(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	service := seo.New(db, clock, onsidetest.Fetcher(t, clock))
	return bundle{
		web: onsidetest.NewWeb(t), api: onsidetest.NewAPI(service.Register), clock: clock, database: url,
		tenant: dbtest.Tenant(t, url), other: dbtest.Tenant(t, url),
	}
}

func (b bundle) analyze(t *testing.T, url string) onsidetest.Answer {
	t.Helper()
	return b.api.As(t, b.tenant).Do("POST", "/api/v1/seo/analyze", map[string]any{"url": url, "tenant_uuid": b.tenant})
}

// TestGoldenAnalysis holds the wire format that peers read.
func TestGoldenAnalysis(t *testing.T) {
	t.Parallel()
	b := setup(t)
	shop, err := os.ReadFile("../page/testdata/shop.html")
	require.NoError(t, err)
	b.web.HTML("timachann.example", "/huile-de-ricin", string(shop))
	b.web.Redirect("timachann.example", "/ricin", http.StatusMovedPermanently, "/huile-de-ricin")
	b.web.Text("timachann.example", "/robots.txt", http.StatusOK, "User-agent: *\nDisallow: /panier\n")
	answer := b.analyze(t, b.web.URL("timachann.example", "/ricin"))
	require.Equal(t, http.StatusOK, answer.Status, answer)

	var wire mesh.SEOAnalysis
	require.NoError(t, json.Unmarshal(answer.Raw, &wire))
	got := strings.NewReplacer(wire.ID, "ANALYSIS", strings.TrimPrefix(b.web.URL("x", ""), "http://x"), ":PORT").Replace(string(answer.Raw))
	var pretty bytes.Buffer
	require.NoError(t, json.Indent(&pretty, []byte(got), "", "  "))
	golden := filepath.Join("testdata", "analysis.json")
	if *update {
		require.NoError(t, os.WriteFile(golden, pretty.Bytes(), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), pretty.String())
	require.GreaterOrEqual(t, len(wire.Audit.Checks), 25)
}

func TestAnalysesAreKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.web.HTML("a.example", "/", `<title>One</title><a href="/two">Two</a><a href="https://b.example/">B</a>`)
	b.web.HTML("a.example", "/two", `<title>Two</title>`)
	var first, second mesh.SEOAnalysis
	me, other := b.api.As(t, b.tenant), b.api.As(t, b.other)
	for url, into := range map[string]*mesh.SEOAnalysis{b.web.URL("a.example", ""): &first, b.web.URL("a.example", "/two"): &second} {
		answer := b.analyze(t, url)
		require.Equal(t, http.StatusOK, answer.Status, answer)
		require.NoError(t, json.Unmarshal(answer.Raw, into))
	}

	var full seo.Analysis
	me.Want(200, "GET", "/api/v1/seo/analyses/"+first.ID, nil, &full)
	require.Equal(t, b.web.URL("a.example", "/two"), full.Page.Links[0].URL)
	require.True(t, full.Page.Links[0].Internal)
	require.False(t, full.Page.Links[1].Internal)
	require.Equal(t, first.Audit.Score, full.Audit.Score)
	require.Len(t, full.Audit.Checks, len(first.Audit.Checks))
	require.NotEmpty(t, full.Audit.Checks[0].Title)

	var list struct {
		Analyses   []seo.Summary `json:"analyses"`
		NextCursor string        `json:"next_cursor"`
	}
	me.Want(200, "GET", "/api/v1/seo/analyses?limit=1", nil, &list)
	require.Len(t, list.Analyses, 1)
	newest := list.Analyses[0]
	me.Want(200, "GET", "/api/v1/seo/analyses?limit=1&cursor="+list.NextCursor, nil, &list)
	require.Len(t, list.Analyses, 1)
	require.NotEqual(t, newest.UUID, list.Analyses[0].UUID)
	me.Want(200, "GET", "/api/v1/seo/analyses?url="+b.web.URL("A.example", ""), nil, &list)
	require.Len(t, list.Analyses, 1)
	require.Equal(t, first.ID, list.Analyses[0].UUID.String())

	var audits struct {
		Audits []seo.AuditSummary `json:"audits"`
	}
	me.Want(200, "GET", "/api/v1/seo/audits?kind=page", nil, &audits)
	require.Len(t, audits.Audits, 2)
	me.Want(200, "GET", "/api/v1/seo/audits?kind=site", nil, &audits)
	require.Empty(t, audits.Audits)
	var audit seo.StoredAudit
	me.Want(200, "GET", "/api/v1/seo/audits/"+full.AuditUUID.String(), nil, &audit)
	require.Equal(t, full.Audit.Checks, audit.Checks)
	require.Positive(t, audit.Errors)

	other.Want(404, "GET", "/api/v1/seo/analyses/"+first.ID, nil, nil)
	other.Want(404, "GET", "/api/v1/seo/audits/"+full.AuditUUID.String(), nil, nil)
	other.Want(404, "DELETE", "/api/v1/seo/analyses/"+first.ID, nil, nil)
	other.Want(200, "GET", "/api/v1/seo/analyses", nil, &list)
	require.Empty(t, list.Analyses)
	me.Want(204, "DELETE", "/api/v1/seo/analyses/"+first.ID, nil, nil)
	me.Want(404, "GET", "/api/v1/seo/audits/"+full.AuditUUID.String(), nil, nil)
}

func TestATenantSpeaksForItself(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.web.HTML("a.example", "/", "x")
	body := map[string]any{"url": b.web.URL("a.example", "/"), "tenant_uuid": b.other}
	b.api.As(t, b.tenant).Want(403, "POST", "/api/v1/seo/analyze", body, nil)
	b.api.As(t, b.other, "seo:read").Want(403, "POST", "/api/v1/seo/analyze", body, nil)
	nobody := uuid.Must(uuid.NewV7())
	b.api.As(t, nobody).Want(422, "POST", "/api/v1/seo/analyze", map[string]any{"url": b.web.URL("a.example", "/"), "tenant_uuid": nobody}, nil)
	require.Zero(t, b.web.Hits("a.example", "/"))
}

func TestWhatCannotBeAnalysedSaysWhy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.web.Text("a.example", "/robots.txt", 200, "User-agent: OnsideBot\nDisallow: /private")
	b.web.HTML("a.example", "/private", "secret")
	b.web.Text("a.example", "/text", 200, "plain")
	b.web.Redirect("a.example", "/loop", 302, "/loop")
	b.web.Redirect("a.example", "/inside", 302, "http://169.254.169.254/latest/meta-data/")
	b.web.HTML("a.example", "/deep", strings.Repeat("<div>", 10_000))
	for path, status := range map[string]int{"/204": http.StatusNoContent, "/205": http.StatusResetContent, "/304": http.StatusNotModified} {
		b.web.Handle("a.example", path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
		})
	}
	for url, want := range map[string]string{
		b.web.URL("a.example", "/private"):      "robots.txt does not allow",
		b.web.URL("a.example", "/text"):         "text/plain",
		b.web.URL("a.example", "/loop"):         "lead back",
		b.web.URL("a.example", "/inside"):       "not public (link-local)",
		b.web.URL("a.example", "/deep"):         "512 levels",
		b.web.URL("a.example", "/204"):          "status 204, which has no content",
		b.web.URL("a.example", "/205"):          "status 205, which has no content",
		b.web.URL("a.example", "/304"):          "status 304, which has no content",
		"http://10.0.0.1/":                      "not public (private)",
		"http://[::ffff:10.0.0.1]/":             "not public",
		"http://127.0.0.1:1/":                   "nothing answers",
		"ftp://a.example/":                      "http:// or https://",
		"not an address":                        "must begin with",
		"http://root:hunter2@a.example/":        "credentials",
		"file:///etc/passwd":                    "http:// or https://",
		"https://a.example/\u0000":              "",
		"http://" + strings.Repeat("a", 2000):   "name or an IP",
		"javascript:alert(document.cookie)":     "http:// or https://",
		"http://metadata.google.internal:8081/": "nothing answers",
	} {
		answer := b.analyze(t, url)
		require.Equal(t, http.StatusUnprocessableEntity, answer.Status, "%s: %s", url, answer)
		require.Contains(t, answer.Body["detail"], want, url)
		require.NotContains(t, string(answer.Raw), "hunter2")
	}
	var list struct{ Analyses []seo.Summary }
	b.api.As(t, b.tenant).Want(200, "GET", "/api/v1/seo/analyses", nil, &list)
	require.Empty(t, list.Analyses)
}

// TestAnEmptyPageIsFoundEmpty: it is a page, and its audit says that it has nothing to find.
func TestAnEmptyPageIsFoundEmpty(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for path, body := range map[string]string{"/nothing": "", "/blank": " \n\t", "/skeleton": "<!doctype html><html><head></head><body>\n</body></html>"} {
		b.web.HTML("a.example", path, body)
		answer := b.analyze(t, b.web.URL("a.example", path))
		require.Equal(t, http.StatusOK, answer.Status, "%s: %s", path, answer)
		var wire mesh.SEOAnalysis
		require.NoError(t, json.Unmarshal(answer.Raw, &wire))
		require.LessOrEqual(t, wire.Audit.Score, 40, path)
		i := slices.IndexFunc(wire.Audit.Checks, func(c mesh.SEOCheck) bool { return c.ID == "content" })
		require.GreaterOrEqual(t, i, 0, path)
		require.False(t, wire.Audit.Checks[i].Passed)
		require.Equal(t, "error", wire.Audit.Checks[i].Severity)
	}
}

// TestHostilePages analyses what tries to break the analysis or its storage.
func TestHostilePages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, body := range map[string]string{
		"nul":     "<title>a\x00b</title><script type=application/ld+json>{\"\\u0000\":\"\\ud800\"}</script><meta property='og:\x00' content='\x00'>",
		"numbers": `<script type="application/ld+json">{"a":1e309,"b":123456789012345678901234567890}</script>`,
		"latin":   "<html lang='\xff'><title>\xe9\xe8</title><h1>\xff\xfe</h1>",
		"links":   strings.Repeat("<a href='/x?"+strings.Repeat("y", 100)+"'>z</a>", 10_000),
		"large":   "<title>Large</title>" + strings.Repeat("<p>word ", 400_000),
		"missing": "",
	} {
		b.web.HTML("a.example", "/"+name, body)
	}
	b.web.Handle("a.example", "/error", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=\xff")
		w.Header().Set("X-Robots-Tag", "\xffnoindex")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte("<title>Broken</title>"))
	})
	for _, name := range []string{"nul", "numbers", "latin", "links", "large", "missing", "error"} {
		answer := b.analyze(t, b.web.URL("a.example", "/"+name))
		require.Equal(t, http.StatusOK, answer.Status, "%s: %.300s", name, answer.Raw)
		var wire mesh.SEOAnalysis
		require.NoError(t, json.Unmarshal(answer.Raw, &wire))
		full := b.api.As(t, b.tenant).Want(200, "GET", "/api/v1/seo/analyses/"+wire.ID, nil, nil)
		require.Less(t, len(full.Raw), 4<<20, name)
	}
}
