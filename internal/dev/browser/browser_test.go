package browser_test

import (
	"bytes"
	"fmt"
	"image/png"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/dev/browser"
)

func TestBrowser(t *testing.T) {
	t.Parallel()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, `<!doctype html><link rel=icon href="data:,"><meta name=viewport content="width=device-width"><title>quiet</title><h1>Bonjou</h1>`)
		case "/loud":
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, `<!doctype html><link rel=icon href="data:,"><script>console.error("spoilt", 7)</script>
				<script src="/missing.js"></script><img src="http://cdn.example/x.png"><script>nowhere()</script>`)
		case "/restless":
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, `<!doctype html><link rel=icon href="data:,"><input id=name><script>
				setInterval(() => document.querySelector("#name").toggleAttribute("aria-busy"), 1)</script>`)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(site.Close)
	chromium := browser.New(t)

	t.Run("shows a page without complaint", func(t *testing.T) {
		t.Parallel()
		page := chromium.Page(t)
		page.Run(t, chromedp.Navigate(site.URL))
		require.Equal(t, "quiet", browser.Get(t, page, chromedp.Title()))
		require.Empty(t, page.Problems())
	})

	t.Run("hears every kind of complaint and reaches no other host", func(t *testing.T) {
		t.Parallel()
		page := chromium.Page(t)
		page.Run(t, chromedp.Navigate(site.URL+"/loud"))
		problems := fmt.Sprint(page.Problems())
		for _, complaint := range []string{`"spoilt" 7`, "404", "/missing.js", "ERR_NAME_NOT_RESOLVED", "nowhere is not defined"} {
			require.Contains(t, problems, complaint)
		}
	})

	t.Run("types into a field whose attributes change", func(t *testing.T) {
		t.Parallel()
		page := chromium.Page(t)
		page.Run(t, chromedp.Navigate(site.URL+"/restless"))
		for range 12 {
			page.Run(t, browser.Type(chromedp.ID("name"), "ab"))
		}
		require.Equal(t, strings.Repeat("ab", 12), browser.Eval[string](t, page, `document.querySelector("#name").value`))
	})

	t.Run("pages are different visitors, tabs the same", func(t *testing.T) {
		t.Parallel()
		one, other := chromium.Page(t), chromium.Page(t)
		one.Run(t, chromedp.Navigate(site.URL))
		one.Run(t, chromedp.Evaluate[chromedp.Void](`localStorage.setItem("who", "one")`))
		other.Run(t, chromedp.Navigate(site.URL))
		require.Equal(t, "nobody", browser.Eval[string](t, other, `localStorage.getItem("who") || "nobody"`))
		tab := one.Tab(t)
		tab.Run(t, chromedp.Navigate(site.URL))
		require.Equal(t, "one", browser.Eval[string](t, tab, `Promise.resolve(localStorage.getItem("who"))`))
	})

	t.Run("photographs at a phone's size", func(t *testing.T) {
		t.Parallel()
		page := chromium.Page(t)
		page.Resize(t, browser.Phone)
		page.Run(t, chromedp.Navigate(site.URL))
		size, err := png.DecodeConfig(bytes.NewReader(page.Picture(t)))
		require.NoError(t, err)
		require.Zero(t, size.Width%browser.Phone.Width, size.Width)
	})
}
