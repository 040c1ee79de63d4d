package page_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/unicode"

	"github.com/engardehq/madansara/internal/onside/page"
)

var update = flag.Bool("update", false, "write the golden files")

func source(t testing.TB, address, contentType, body string) page.Source {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	return page.Source{URL: u, Header: http.Header{"Content-Type": {contentType}}, Body: []byte(body)}
}

func analyze(t testing.TB, body string) *page.Page {
	t.Helper()
	p, err := page.Analyze(source(t, "https://timachann.example/a/b", "text/html; charset=utf-8", body))
	require.NoError(t, err)
	return p
}

func TestGolden(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile("testdata/shop.html")
	require.NoError(t, err)
	p, err := page.Analyze(source(t, "https://timachann.example/huile-de-ricin", "text/html", string(body)))
	require.NoError(t, err)
	got, err := json.MarshalIndent(p, "", "  ")
	require.NoError(t, err)
	golden := filepath.Join("testdata", "shop.json")
	if *update {
		require.NoError(t, os.WriteFile(golden, append(got, '\n'), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(bytes.TrimSpace(want)), string(got))
}

func TestEncodings(t *testing.T) {
	t.Parallel()
	const text = `<title>Café créole</title><p>Une tasse à deux gourdes`
	encoded := func(e encoding.Encoding, text string) string {
		out, err := e.NewEncoder().String(text)
		require.NoError(t, err)
		return out
	}
	for name, test := range map[string]struct {
		contentType, body, charset, title string
		declared                          bool
	}{
		"UTF-8":                {"text/html; charset=UTF-8", text, "utf-8", "Café créole", true},
		"UTF-8 undeclared":     {"text/html", text, "utf-8", "Café créole", false},
		"Latin in the header":  {"text/html; charset=iso-8859-1", encoded(charmap.Windows1252, text), "windows-1252", "Café créole", true},
		"Latin in a meta":      {"text/html", `<meta charset="latin1">` + encoded(charmap.Windows1252, text), "windows-1252", "Café créole", true},
		"Latin undeclared":     {"text/html", encoded(charmap.Windows1252, text), "windows-1252", "Café créole", false},
		"UTF-16 with its mark": {"text/html", encoded(unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), text), "utf-16le", "Café créole", true},
		"Shift_JIS":            {"text/html; charset=Shift_JIS", encoded(japanese.ShiftJIS, "<title>\u30b3\u30fc\u30d2\u30fc</title>"), "shift_jis", "\u30b3\u30fc\u30d2\u30fc", true},
		"a lie":                {"text/html; charset=utf-8", encoded(charmap.Windows1252, text), "utf-8", "Caf\uFFFD cr\uFFFDole", true},
		"unknown":              {"text/html; charset=klingon", text, "utf-8", "Café créole", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := page.Analyze(source(t, "https://a.example/", test.contentType, test.body))
			require.NoError(t, err)
			require.Equal(t, test.title, p.Title)
			require.Equal(t, test.charset, p.Charset)
			require.Equal(t, test.declared, p.CharsetDeclared)
		})
	}
}

func TestWhatIsNotHTML(t *testing.T) {
	t.Parallel()
	for contentType, body := range map[string]string{"application/pdf": "%PDF-1.7", "text/plain": "<html>", "image/png": "\x89PNG", "": "%PDF-1.7", "application/json": "{}"} {
		_, err := page.Analyze(source(t, "https://a.example/", contentType, body))
		require.ErrorIs(t, err, page.ErrNotHTML, contentType)
	}
	for contentType, body := range map[string]string{"TEXT/HTML": "", "text/html; charset": "x", "application/xhtml+xml": "", "": "<!doctype html>"} {
		_, err := page.Analyze(source(t, "https://a.example/", contentType, body))
		require.NoError(t, err, contentType)
	}
}

func TestMalformedHTML(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"nothing":          "",
		"no tags":          "hello",
		"never closed":     "<html><head><title>Open<body><h1>Still open<p>text<a href=/x>link",
		"crossed":          "<b><i>x</b></i><table><tr><td><table><a href=x><a href=y></table></p></div></span>",
		"half a tag":       "<p>text<a href='",
		"NUL and controls": "<title>a\x00b\x01c</title><p>\x00\x1b<a href='\x00'>x</a>",
		"not UTF-8":        "<title>\xff\xfe\xfd</title><img alt='\xc3\x28'>",
		"two bodies":       "<body><body lang=x></body></body><html lang=fr>",
		"attributes":       "<p " + strings.Repeat("a=b ", 20_000) + ">",
		"unclosed comment": "<!--" + strings.Repeat("<p>", 1000),
		"many formats":     strings.Repeat("<b>", 400) + strings.Repeat("</p>", 400),
		"a wide tree":      strings.Repeat("<p><a href=/x>y</a>", 20_000),
		"long text":        "<title>" + strings.Repeat("title ", 100_000) + "</title><h1>" + strings.Repeat("x", 1<<20),
		"headings":         strings.Repeat("<h1>a</h1>", 5000),
		"bad base":         "<base href='javascript:x'><a href=/y>z</a>",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireStorable(t, analyze(t, body))
		})
	}
	_, err := page.Analyze(source(t, "https://a.example/", "text/html", strings.Repeat("<div>", 100_000)))
	require.ErrorIs(t, err, page.ErrTooDeep)
}

func requireStorable(t testing.TB, p *page.Page) {
	t.Helper()
	out, err := json.Marshal(p)
	require.NoError(t, err)
	require.True(t, utf8.Valid(out))
	require.NotContains(t, strings.ReplaceAll(string(out), `\\`, ""), `\u0000`)
	require.LessOrEqual(t, len([]rune(p.Title)), 1000)
	require.LessOrEqual(t, len(p.Links), 2000)
	require.LessOrEqual(t, len(p.Headings), 300)
	require.LessOrEqual(t, len(p.Links), p.Internal+p.External)
}

func TestDirectivesComeFromTagsAndHeaders(t *testing.T) {
	t.Parallel()
	for want, header := range map[string]string{
		"noindex": "noindex", "nofollow": "googlebot: nofollow", "unavailable_after: 25 jun 2010 15:00:00 pst": "unavailable_after: 25 Jun 2010 15:00:00 PST",
		"": "bingbot: noindex, nofollow",
	} {
		s := source(t, "https://a.example/", "text/html", "<meta name=Robots content='NOARCHIVE'>")
		s.Header.Set("X-Robots-Tag", header)
		p, err := page.Analyze(s)
		require.NoError(t, err)
		if want == "" {
			require.Equal(t, []string{"noarchive"}, p.Directives)
			continue
		}
		require.Equal(t, []string{want, "noarchive"}, p.Directives)
	}
}

func TestLinkHeaders(t *testing.T) {
	t.Parallel()
	s := source(t, "https://a.example/x", "text/html", "")
	s.Header["Link"] = []string{`</one>; rel="canonical", <https://a.example/fr,x>; rel=alternate; hreflang="fr"`, "<broken", `; rel=canonical`}
	p, err := page.Analyze(s)
	require.NoError(t, err)
	require.Equal(t, "https://a.example/one", p.Canonical)
	require.Equal(t, []page.Alternate{{Language: "fr", URL: "https://a.example/fr,x"}}, p.Hreflang)
}

func TestBaseHoldsForEveryLink(t *testing.T) {
	t.Parallel()
	p := analyze(t, `<a href="one">1</a><base href="https://other.example/dir/"><a href="two">2</a>`)
	require.Equal(t, "https://other.example/dir/one", p.Links[0].URL)
	require.False(t, p.Links[0].Internal)
	require.Equal(t, 2, p.External)
}

func TestInsecureParts(t *testing.T) {
	t.Parallel()
	p := analyze(t, `<link rel=stylesheet href=http://a.example/s.css><img src=//a.example/i.png><script src=http://a.example/x.js></script><form action=http://a.example/f></form><a href=http://a.example/>link</a>`)
	require.Equal(t, []string{"http://a.example/s.css", "http://a.example/x.js", "http://a.example/f"}, p.Insecure)
}

func TestStructuredDataIsReadOrSaysWhy(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"a":1}`: "", `[{"a":1}]`: "", `{"a":"\ud800\u0000"}`: "", `{"a":1e999999}`: "out of range", `{"a":` + strings.Repeat("9", 100) + `}`: "out of range",
		`{`: "breaks off", `{"a":1} x`: "follows", `"text"`: "neither", ``: "breaks off", `{a:1}`: "byte", strings.Repeat("[", 100) + strings.Repeat("]", 100): "deeper",
		`{"a":"` + strings.Repeat("x", 200<<10) + `"}`: "larger",
	} {
		p := analyze(t, `<script type="application/ld+json; charset=utf-8">`+text+`</script>`)
		requireStorable(t, p)
		if want == "" {
			require.Len(t, p.JSONLD, 1, text)
			require.True(t, json.Valid(p.JSONLD[0]))
			continue
		}
		require.Len(t, p.BadJSONLD, 1, text)
		require.Contains(t, p.BadJSONLD[0], want)
	}
}

func FuzzAnalyze(f *testing.F) {
	shop, err := os.ReadFile("testdata/shop.html")
	require.NoError(f, err)
	f.Add(string(shop), "text/html; charset=utf-8")
	f.Add("<table><a href=x><svg><title>", "text/html; charset=utf-16")
	f.Add("<meta name=robots content=',:,none'><link rel=canonical href=' '>", "text/html; charset=iso-2022-jp")
	f.Fuzz(func(t *testing.T, body, contentType string) {
		p, err := page.Analyze(source(t, "https://timachann.example/a", contentType, body))
		if err != nil {
			return
		}
		requireStorable(t, p)
	})
}
