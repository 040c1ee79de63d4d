package page_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/onside/page"
)

// A page that does not say what it is written in, and whose first kilobyte is plain, is
// UTF-8 when all of it is: taken for Windows-1252 its words and title would be garbage.
func TestAnUndeclaredEncodingIsToldByTheWholePage(t *testing.T) {
	t.Parallel()
	head := "<!doctype html><html><head><style>" + strings.Repeat("p{margin:0}", 120) + "</style>"
	for body, name := range map[string]string{
		"<title>Café à São Paulo</title></head><body>Été</body></html>":       "utf-8",
		"<title>Caf\xe9</title></head><body>\xc9t\xe9 toujours</body></html>": "windows-1252",
	} {
		p, err := page.Analyze(page.Source{
			URL: &url.URL{Scheme: "https", Host: "a.example", Path: "/"}, Header: http.Header{"Content-Type": {"text/html"}}, Body: []byte(head + body),
		})
		require.NoError(t, err)
		require.Equal(t, name, p.Charset)
		require.True(t, strings.HasPrefix(p.Title, "Café"), p.Title)
		require.False(t, p.CharsetDeclared)
	}
}
