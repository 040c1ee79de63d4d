package audit_test

import (
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/onside/audit"
	"github.com/engardehq/madansara/internal/onside/fetch"
	"github.com/engardehq/madansara/internal/onside/page"
	"github.com/engardehq/madansara/internal/onside/robots"
)

// answer is a page as a site gave it; good passes every check.
type answer struct {
	url       string
	html      string
	status    int
	header    http.Header
	hops      []fetch.Hop
	firstByte time.Duration
	truncated bool
	robots    fetch.RobotsFile
}

func good(t testing.TB) answer {
	t.Helper()
	body, err := os.ReadFile("testdata/good.html")
	require.NoError(t, err)
	return answer{
		url: "https://timachann.example/castor-oil", html: string(body), status: http.StatusOK, firstByte: 200 * time.Millisecond,
		header: http.Header{
			"Content-Type": {"text/html; charset=utf-8"}, "Content-Encoding": {"gzip"},
			"Strict-Transport-Security": {"max-age=31536000"}, "X-Content-Type-Options": {"nosniff"},
		},
		hops:   []fetch.Hop{{URL: "http://timachann.example/castor-oil", Status: 301, To: "https://timachann.example/castor-oil"}},
		robots: fetch.RobotsFile{Status: 200, File: robots.Parse([]byte("User-agent: *\nDisallow: /cart\nSitemap: https://timachann.example/sitemap.xml"))},
	}
}

func run(t testing.TB, a answer) audit.Audit {
	t.Helper()
	u, err := url.Parse(a.url)
	require.NoError(t, err)
	p, err := page.Analyze(page.Source{URL: u, Header: a.header, Body: []byte(a.html)})
	require.NoError(t, err)
	return audit.Run(audit.Subject{
		Page: p, Asked: u, URL: u, Hops: a.hops, Status: a.status, Header: a.header, FirstByte: a.firstByte, Truncated: a.truncated, Robots: a.robots,
	})
}

func verdicts(a audit.Audit) map[string]audit.Check {
	checks := map[string]audit.Check{}
	for _, check := range a.Checks {
		checks[check.ID] = check
	}
	return checks
}

func TestAGoodPagePassesEveryCheck(t *testing.T) {
	t.Parallel()
	result := run(t, good(t))
	require.Greater(t, len(result.Checks), 50)
	for _, check := range result.Checks {
		require.True(t, check.Passed, "%s: %s", check.ID, check.Evidence)
		require.Empty(t, check.Advice)
		require.NotEmpty(t, check.Title)
	}
	require.Equal(t, 100, result.Score)
}

// replace is the good page with one thing changed.
func replace(old, with string) func(t *testing.T, a *answer) {
	return func(t *testing.T, a *answer) {
		t.Helper()
		require.Contains(t, a.html, old)
		a.html = strings.Replace(a.html, old, with, 1)
	}
}

func header(name, value string) func(*testing.T, *answer) {
	return func(_ *testing.T, a *answer) {
		a.header.Del(name)
		if value != "" {
			a.header.Set(name, value)
		}
	}
}

const canonical = `<link rel="canonical" href="https://timachann.example/castor-oil">`

// faults is, by check, how to fail it.
var faults = map[string]func(*testing.T, *answer){
	"status":        func(_ *testing.T, a *answer) { a.status = http.StatusNotFound },
	"https":         func(_ *testing.T, a *answer) { a.url = "http://timachann.example/castor-oil" },
	"redirects":     func(_ *testing.T, a *answer) { a.hops = append(a.hops, a.hops[0]) },
	"redirect-kind": func(_ *testing.T, a *answer) { a.hops[0].Status = http.StatusFound },
	"response-time": func(_ *testing.T, a *answer) { a.firstByte = 801 * time.Millisecond },
	"html-size":     func(_ *testing.T, a *answer) { a.truncated = true },
	"compression":   header("Content-Encoding", ""),
	"dom-size":      replace("<nav>", strings.Repeat("<i></i>", 1400)+"<nav>"),
	"doctype":       replace("<!DOCTYPE html>", `<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN">`),
	"charset": func(t *testing.T, a *answer) {
		header("Content-Type", "text/html")(t, a)
		replace(`<meta charset="utf-8">`, "")(t, a)
	},
	"url-form":           func(_ *testing.T, a *answer) { a.url = "https://timachann.example/Castor_Oil" },
	"indexable":          replace("</head>", `<meta name="robots" content="noindex"></head>`),
	"followable":         header("X-Robots-Tag", "nofollow"),
	"robots-txt":         func(_ *testing.T, a *answer) { a.robots.File = robots.Parse([]byte("<html>")) },
	"sitemap":            func(_ *testing.T, a *answer) { a.robots.File = robots.Parse(nil) },
	"canonical":          replace(canonical, ""),
	"canonical-single":   replace(canonical, canonical+`<link rel="canonical" href="https://timachann.example/other">`),
	"canonical-form":     replace(canonical, `<link rel="canonical" href="/castor-oil">`),
	"canonical-self":     replace(canonical, `<link rel="canonical" href="https://timachann.example/oils">`),
	"head-elements":      replace(canonical, `<div></div>`+canonical),
	"refresh":            replace("</head>", `<meta http-equiv="refresh" content="0; url=/other"></head>`),
	"title":              replace("<title>Black castor oil, pressed by hand | Ti Machann</title>", ""),
	"title-length":       replace("<title>Black castor oil, pressed by hand | Ti Machann</title>", "<title>Castor oil</title>"),
	"title-single":       replace("</head>", "<title>Another title</title></head>"),
	"title-keyword":      replace("<title>Black castor oil, pressed by hand | Ti Machann</title>", "<title>Welcome to our wonderful shop of wonders</title>"),
	"description":        replace(`<meta name="description"`, `<meta name="x"`),
	"description-length": replace(`<meta name="description" content="`, `<meta name="description" content="`+strings.Repeat("Long. ", 20)),
	"description-single": replace("</head>", `<meta name="description" content="Another"></head>`),
	"h1":                 replace("<h1>Black castor oil</h1>", ""),
	"h1-single":          replace("</main>", "<h1>Another</h1></main>"),
	"h1-length":          replace("<h1>Black castor oil</h1>", "<h1>Black castor oil"+strings.Repeat(" and more", 10)+"</h1>"),
	"headings-filled":    replace("<h2>What else we press</h2>", "<h2><span></span></h2>"),
	"heading-order":      replace("<h2>What else we press</h2>", "<h4>What else we press</h4>"),
	"content":            func(_ *testing.T, a *answer) { a.html = "<!doctype html><html><body> </body></html>" },
	"word-count": func(_ *testing.T, a *answer) {
		a.html = a.html[:strings.Index(a.html, "That is where")] + a.html[strings.Index(a.html, "<h2>"):]
	},
	"text-share": replace("</body>", "<script>"+strings.Repeat("var x = 1;", 3000)+"</script></body>"),
	"filler":     replace("Nothing is added to it", "Lorem ipsum dolor sit amet"),
	"viewport":   replace(`<meta name="viewport" content="width=device-width, initial-scale=1">`, ""),
	"zoom":       replace("initial-scale=1", "initial-scale=1, user-scalable=no"),
	"image-alt":  replace(`alt="A bottle of black castor oil"`, ""),
	"image-size": replace(`width="400"`, ""),
	"internal-links": func(_ *testing.T, a *answer) {
		a.html = strings.NewReplacer(`<a href="/">`, "<i>", `<a href="/coconut-oil">`, "<i>").Replace(a.html)
	},
	"links-crawlable":       replace(`href="/coconut-oil"`, `href="javascript:open()"`),
	"link-text":             replace(">Coconut oil<", ">Click here!<"),
	"links-followed":        replace(`href="/coconut-oil"`, `href="/coconut-oil" rel="nofollow"`),
	"links-secure":          replace(`href="/coconut-oil"`, `href="http://timachann.example/coconut-oil"`),
	"links-local":           replace("https://partner.example/shea", "http://localhost:3000/shea"),
	"link-count":            replace("</main>", strings.Repeat(`<a href="/x">A page of ours</a>`, 300)+"</main>"),
	"lang":                  replace(`<html lang="en">`, "<html>"),
	"lang-true":             replace(`<html lang="en">`, `<html lang="fr">`),
	"hreflang-codes":        replace(`hreflang="fr-HT"`, `hreflang="fr_XX"`),
	"hreflang-self":         replace(`hreflang="en" href="https://timachann.example/castor-oil"`, `hreflang="en" href="/other"`),
	"hreflang-default":      replace(`hreflang="x-default"`, `hreflang="es"`),
	"open-graph":            replace(`<meta property="og:type" content="product">`, ""),
	"og-image":              replace(`property="og:image" content="https://timachann.example`, `property="og:image" content="`),
	"twitter-card":          replace(`<meta name="twitter:card" content="summary_large_image">`, ""),
	"structured-data":       replace(`application/ld+json`, `text/plain`),
	"structured-data-valid": replace(`"name": "Black castor oil"}`, `"name": "Black castor oil",}`),
	"favicon":               replace(`<link rel="icon" href="/icon.svg">`, ""),
	"mixed-content":         replace(`src="/castor-oil.jpg"`, `src="http://timachann.example/castor-oil.jpg"`),
	"hsts":                  header("Strict-Transport-Security", ""),
	"nosniff":               header("X-Content-Type-Options", ""),
}

func TestEachCheckFailsOnAFault(t *testing.T) {
	t.Parallel()
	for id := range verdicts(run(t, good(t))) {
		require.Contains(t, faults, id, "a check without a page that fails it")
	}
	for id, spoil := range faults {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			a := good(t)
			spoil(t, &a)
			result := run(t, a)
			check, is := verdicts(result)[id]
			require.True(t, is, "it does not apply")
			require.False(t, check.Passed, check.Evidence)
			require.NotEmpty(t, check.Advice)
			require.Less(t, result.Score, 100)
		})
	}
}

func TestScore(t *testing.T) {
	t.Parallel()
	check := func(id string, severity audit.Severity, passed bool) audit.Check {
		return audit.Check{ID: id, Severity: severity, Passed: passed}
	}
	for want, checks := range map[int][]audit.Check{
		0:   nil,
		100: {check("a", audit.Error, true), check("b", audit.Info, true)},
		71:  {check("a", audit.Error, true), check("b", audit.Warning, false)},
		93:  {check("a", audit.Error, true), check("b", audit.Warning, true), check("c", audit.Info, false)},
		40:  {check("indexable", audit.Error, false), check("b", audit.Error, true), check("c", audit.Error, true)},
		28:  {check("status", audit.Error, false), check("b", audit.Warning, true)},
	} {
		require.Equal(t, want, audit.Score(checks))
	}
}

func TestAnEmptyPageIsJudged(t *testing.T) {
	t.Parallel()
	result := run(t, answer{url: "http://127.0.0.1/", header: http.Header{"Content-Type": {"text/html"}}, status: http.StatusInternalServerError})
	require.NotEmpty(t, result.Checks)
	require.LessOrEqual(t, result.Score, 40)
}
