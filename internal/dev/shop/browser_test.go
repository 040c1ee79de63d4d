package shop_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/dev/browser"
	"github.com/engardehq/madansara/internal/dev/shop"
	"github.com/engardehq/madansara/web/tracker"
)

// collector keeps the events of the pages and of the shop's server, each once.
type collector struct {
	*httptest.Server
	mu     sync.Mutex
	events map[string]map[string]any // by messageId
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{events: map[string]map[string]any{}}
	mux := http.NewServeMux()
	mux.Handle("/tracker.js", tracker.Handler())
	take := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		body, err := io.ReadAll(r.Body)
		var sent map[string]any
		if err != nil || json.Unmarshal(body, &sent) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		batch, several := sent["batch"].([]any)
		if !several {
			batch = []any{sent}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, e := range batch {
			event := e.(map[string]any)
			c.events[event["messageId"].(string)] = event
		}
	}
	mux.HandleFunc("POST /v1/batch", take)
	mux.HandleFunc("POST /v1/track", take)
	c.Server = httptest.NewServer(mux)
	t.Cleanup(c.Close)
	return c
}

// find returns the event of that name or type.
func (c *collector) find(t *testing.T, name string) map[string]any {
	t.Helper()
	var found map[string]any
	require.Eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, event := range c.events {
			if event["event"] == name || event["type"] == name {
				found = event
				return true
			}
		}
		return false
	}, time.Minute, 20*time.Millisecond, name)
	return found
}

func openShop(t *testing.T) (*collector, string) {
	t.Helper()
	events := newCollector(t)
	s, err := shop.New(shop.Config{
		TrackerURL: events.URL + "/tracker.js", IngestURL: events.URL, WriteKey: "wk_demo", Clock: clockwork.NewRealClock(),
		Logger: slog.New(slog.DiscardHandler), HTTPClient: events.Client(),
	})
	require.NoError(t, err)
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		server.Close()
		require.NoError(t, s.Close(context.WithoutCancel(t.Context())))
	})
	return events, server.URL
}

func TestVisitorBuysInABrowser(t *testing.T) {
	t.Parallel()
	events, url := openShop(t)
	page := browser.New(t).Page(t)

	page.Run(t, chromedp.Navigate(url+"/?utm_source=instagram"))
	page.Screenshot(t, "home")
	page.Run(t, browser.Type(chromedp.ID("offer-email"), "rose@example.org"), chromedp.Click(chromedp.ID("consent")))
	page.Follow(t, chromedp.Click(chromedp.ID("sign-up")))
	page.Screenshot(t, "welcome")
	page.Follow(t, chromedp.Click(chromedp.CSS(".note .button")))
	page.Screenshot(t, "product")
	page.Run(t, chromedp.SetValue(chromedp.ID("quantity"), "2"))
	page.Follow(t, chromedp.Click(chromedp.ID("add")))
	page.Screenshot(t, "cart")
	page.Follow(t, chromedp.Click(chromedp.ID("to-checkout")))
	page.Screenshot(t, "checkout")
	page.Run(t, browser.Type(chromedp.ID("name"), "Rose Jean"), browser.Type(chromedp.ID("email"), "rose@example.org"))
	page.Follow(t, chromedp.Click(chromedp.ID("buy")))
	page.Screenshot(t, "thanks")
	order := browser.Get(t, page, chromedp.Text(chromedp.ID("order-id")))
	require.Empty(t, page.Problems())

	first := events.find(t, "page")
	identify := events.find(t, "identify")
	require.Equal(t, map[string]any{"email": "rose@example.org", "marketing_consent": true}, identify["traits"])
	require.Equal(t, "coffee", events.find(t, "Product Viewed")["properties"].(map[string]any)["product_id"])
	require.EqualValues(t, 2, events.find(t, "Product Added")["properties"].(map[string]any)["quantity"])
	require.Equal(t, "37.8", fmt.Sprint(events.find(t, "Checkout Started")["properties"].(map[string]any)["value"]))
	completed := events.find(t, "Order Completed")
	require.Equal(t, order, completed["properties"].(map[string]any)["order_id"])
	require.Equal(t, "37.8", fmt.Sprint(completed["properties"].(map[string]any)["total"]))
	for _, event := range []map[string]any{identify, completed, events.find(t, "Signed Up")} {
		require.Equal(t, first["anonymousId"], event["anonymousId"], event)
		require.Equal(t, first["context"].(map[string]any)["sessionId"], event["context"].(map[string]any)["sessionId"], event)
	}
}

func TestSignUpIsToldOnce(t *testing.T) {
	t.Parallel()
	_, url := openShop(t)
	page := browser.New(t).Page(t)
	page.Run(t, chromedp.Navigate(url), browser.Type(chromedp.ID("offer-email"), "rose@example.org"), chromedp.Click(chromedp.ID("consent")))
	page.Follow(t, chromedp.Click(chromedp.ID("sign-up")))
	require.Contains(t, browser.Eval[string](t, page, `document.body.dataset.calls`), "identify")
	page.Run(t, chromedp.Reload())
	require.Empty(t, browser.Eval[string](t, page, `document.body.dataset.calls`))
}

func TestVisitorSaysNo(t *testing.T) {
	t.Parallel()
	_, url := openShop(t)
	page := browser.New(t).Page(t)
	page.Run(t, chromedp.Navigate(url+"/privacy"))
	require.Contains(t, browser.Eval[string](t, page, `document.cookie`), tracker.CookieAnonymousID)
	page.Run(t, chromedp.Click(chromedp.ID("refuse")))
	require.Empty(t, browser.Eval[string](t, page, `document.cookie`))
	require.Equal(t, "ms_consent", browser.Eval[string](t, page, `Object.keys(localStorage).join()`))
	require.Contains(t, browser.Get(t, page, chromedp.Text(chromedp.ID("answer"))), "Nothing is recorded")
}

// TestPagesFit looks at each page on a phone and a desk, light and dark: nothing
// may stick out to the side, and no picture may be missing.
func TestPagesFit(t *testing.T) {
	t.Parallel()
	_, url := openShop(t)
	chromium := browser.New(t)
	for _, look := range []struct {
		name   string
		size   browser.Size
		scheme string
	}{{"desktop", browser.Desktop, "light"}, {"phone", browser.Phone, "light"}, {"dark", browser.Desktop, "dark"}, {"phone-dark", browser.Phone, "dark"}} {
		t.Run(look.name, func(t *testing.T) {
			t.Parallel()
			page := chromium.Page(t)
			page.Resize(t, look.size)
			browser.Get(t, page, func(ctx context.Context, target *chromedp.Target) (cdp.Empty, error) {
				return cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
					Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: look.scheme}},
				})
			})
			fits := func(name string) {
				require.Empty(t, browser.Eval[[]string](t, page, `[...document.querySelectorAll("body *")].filter(e => !e.closest(".skip, .hidden") && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))`), name)
				require.Empty(t, browser.Eval[[]string](t, page, `Promise.all([...document.images].map(i => i.decode().then(() => "", () => i.src))).then(all => all.filter(Boolean))`), name)
				page.Screenshot(t, name)
			}
			page.Run(t, chromedp.Navigate(url))
			fits("home")
			page.Run(t, browser.Type(chromedp.ID("offer-email"), "rose@"))
			page.Follow(t, chromedp.Click(chromedp.ID("sign-up")))
			fits("refused")
			page.Run(t, chromedp.Navigate(url+"/product/soap"))
			page.Follow(t, chromedp.Click(chromedp.ID("add")))
			page.Run(t, chromedp.Navigate(url+"/product/coffee"))
			fits("product")
			page.Follow(t, chromedp.Click(chromedp.ID("add")))
			fits("cart")
			page.Follow(t, chromedp.Click(chromedp.ID("to-checkout")))
			page.Follow(t, chromedp.Click(chromedp.ID("buy")))
			fits("checkout")
			page.Run(t, chromedp.Navigate(url+"/privacy"))
			fits("privacy")
			page.Run(t, chromedp.Navigate(url+"/nowhere"))
			fits("missing")
		})
	}
}
