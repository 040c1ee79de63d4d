package tracker_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/dev/browser"
)

// site serves pages whose script tag has the given extra attributes, on an
// origin that is not the recorder's, as in life.
func site(t *testing.T, rec *recorder, attributes string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><title>%[1]s</title><link rel=icon href="data:,">
<script>window.madansara = window.madansara || []</script>
<script async src="%[2]s/tracker.js" data-write-key="%[3]s" %[4]s></script>
<h1>Page</h1>
<a id=next href="/next?token=secret">Next   page ann@example.org</a>
<button id=plain>Buy <b id=inner>now</b></button>
<button id=named data-ms-event="Basket Opened">Basket</button>
<p id=text>nothing to click</p>
<div data-ms-private><button id=private>Account of Ann</button></div>
<form id=form><input id=email value="typed@example.org"><input id=password type=password value="hunter2">
<textarea id=area>a secret letter</textarea><select id=choice><option>chosen secret</option></select>
<label data-ms-event="Label Clicked" id=label>Card <input value="4111111111111111"></label></form>
`, r.URL.Path, rec.URL, writeKey, attributes)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// visit opens the page; its load event waits for the tracker, too.
func visit(url string) chromedp.Action[chromedp.Void] { return chromedp.Navigate(url) }

func js(source string) chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void](source)
}

func settle() chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		// Longer than the tracker ever waits before it sends: what has not come by then was not meant to.
		_, err := chromedp.Evaluate[bool](`new Promise(done => setTimeout(() => done(true), 900))`, chromedp.EvalAwaitPromise)(ctx, t)
		return err
	})
}

const storedKeys = `Object.keys(localStorage).concat(document.cookie ? document.cookie.split("; ").map(c => c.split("=")[0]) : []).sort().join()`

func TestTracker(t *testing.T) {
	t.Parallel()
	chromium := browser.New(t)
	type bundle struct {
		rec  *recorder
		page *browser.Page
		url  string
	}
	setup := func(t *testing.T, attributes string) bundle {
		t.Helper()
		rec := newRecorder(t)
		return bundle{rec: rec, page: chromium.Page(t), url: site(t, rec, attributes)}
	}

	t.Run("a page view carries how the visitor came", func(t *testing.T) {
		t.Parallel()
		b := setup(t, "")
		b.page.Run(t, visit(b.url+"/?utm_source=instagram&utm_campaign=noel&ms_message=m-1"))
		seen := b.rec.wait(t, "page")[0]
		require.Equal(t, map[string]string{"source": "instagram", "name": "noel"}, seen.Context.Campaign)
		require.Equal(t, "m-1", seen.Context.Message)
		require.Equal(t, b.url+"/?utm_source=instagram&utm_campaign=noel&ms_message=m-1", seen.Context.Page["url"])
		require.Equal(t, "/", seen.Properties["title"])
		require.NotEmpty(t, seen.Context.Timezone)
		require.NotEmpty(t, seen.Context.Locale)
		require.NotZero(t, seen.Context.Screen["width"])
		require.WithinDuration(t, time.Now(), seen.Timestamp, time.Minute)
		delivered(t, b.page)
		require.Equal(t, "ms_aid,ms_aid,ms_sid,ms_sid", browser.Eval[string](t, b.page, storedKeys))
		require.Equal(t, seen.AnonymousID, browser.Eval[string](t, b.page, `document.cookie.match(/ms_aid=([^;]*)/)[1]`))
		require.Empty(t, b.page.Problems())
	})

	t.Run("clicks tell labels and never what was typed", func(t *testing.T) {
		t.Parallel()
		b := setup(t, "")
		b.page.Run(t, visit(b.url))
		for _, id := range []string{"text", "inner", "named", "private", "email", "password", "area", "choice", "label"} {
			b.page.Run(t, js(fmt.Sprintf(`document.getElementById(%q).click()`, id)))
		}
		b.page.Run(t, browser.Type(chromedp.ID("email"), "x"))
		b.page.Follow(t, chromedp.Click(chromedp.ID("next")))
		// A label's click is also its input's, which bubbles back to it.
		events := b.rec.wait(t, "page", "track Element Clicked", "track Basket Opened", "track Label Clicked", "track Label Clicked", "track Element Clicked", "page")
		require.Equal(t, map[string]any{"text": "Buy now", "tag": "button", "id": "plain"}, events[1].Properties)
		link := events[len(events)-2].Properties
		require.Equal(t, map[string]any{"text": "Next page", "tag": "a", "id": "next", "href": b.url + "/next"}, link)
		for _, secret := range []string{"typed@example.org", "hunter2", "letter", "chosen", "4111", "Account of Ann", "ann@example.org"} {
			require.NotContains(t, b.rec.received(), secret)
		}
	})

	t.Run("identify names the visitor for the events after it, reset forgets", func(t *testing.T) {
		t.Parallel()
		b := setup(t, "")
		b.page.Run(t, visit(b.url), js(`madansara.identify({email: "ann@example.org"}); madansara.identify("u-1", {plan: "free"}); madansara.track("Signed Up", {n: 1})`))
		events := b.rec.wait(t, "page", "identify", "identify", "track Signed Up")
		require.Equal(t, map[string]any{"email": "ann@example.org"}, events[1].Traits)
		require.Empty(t, events[1].UserID)
		require.Equal(t, "u-1", events[2].UserID)
		require.Equal(t, "u-1", events[3].UserID)
		require.Equal(t, map[string]any{"n": 1.0}, events[3].Properties)
		b.page.Run(t, js(`madansara.reset(); madansara.track("Later")`))
		later := b.rec.wait(t, "page", "identify", "identify", "track Signed Up", "track Later")[4]
		require.Empty(t, later.UserID)
		require.NotEqual(t, events[0].AnonymousID, later.AnonymousID)
		require.NotEqual(t, events[0].Context.SessionID, later.Context.SessionID)
		require.NotContains(t, browser.Eval[string](t, b.page, `JSON.stringify(localStorage)`), "ann@example.org", "traits are sent, not kept")
	})

	t.Run("a single-page site's pages are pages", func(t *testing.T) {
		t.Parallel()
		b := setup(t, "")
		b.page.Run(t, visit(b.url+"/one"), js(`history.pushState({}, "", "/two"); document.title = "Two"`), settle(),
			js(`history.replaceState({}, "", "/two#part")`), js(`history.back()`), settle(), js(`location.hash = "#/three"`))
		events := b.rec.wait(t, "page", "page", "page", "page")
		require.Equal(t, "/two", events[1].Properties["path"])
		require.Equal(t, "Two", events[1].Properties["title"])
		require.Equal(t, b.url+"/one", events[1].Properties["referrer"])
		require.Equal(t, "/one", events[2].Properties["path"])
		require.Equal(t, b.url+"/one#/three", events[3].Properties["url"])
		require.Equal(t, events[0].Context.SessionID, events[3].Context.SessionID)
	})

	t.Run("sessions end after half an hour and by another campaign", func(t *testing.T) {
		t.Parallel()
		b := setup(t, "")
		age := `const s = JSON.parse(localStorage.ms_sid); s.last -= %d; localStorage.ms_sid = JSON.stringify(s)`
		b.page.Run(t, visit(b.url+"/?utm_source=a"), js(fmt.Sprintf(age, 29*60_000)), visit(b.url+"/inside"), js(fmt.Sprintf(age, 31*60_000)), visit(b.url+"/again"),
			visit(b.url+"/?utm_source=b"), visit(b.url+"/?utm_source=b"), settle())
		events := b.rec.wait(t, "page", "page", "page", "page", "page")
		session := func(i int) string { return events[i].Context.SessionID }
		require.Equal(t, session(0), session(1))
		require.Equal(t, "a", events[1].Context.Campaign["source"], "the session's campaign")
		require.NotEqual(t, session(1), session(2))
		require.Empty(t, events[2].Context.Campaign)
		require.NotEqual(t, session(2), session(3))
		require.Equal(t, session(3), session(4))
		require.Equal(t, events[0].AnonymousID, events[4].AnonymousID)
	})

	t.Run("calls made before the script loaded are kept", func(t *testing.T) {
		t.Parallel()
		b := setup(t, "")
		b.page.BeforeEachDocument(t, `window.madansara = [["track", "Early", {a: 1}], ["nonsense"], 7, ["page", "Home"]]; window.held = window.madansara`)
		b.page.Run(t, visit(b.url), js(`held.push(["track", "Held"]); madansara.track()`))
		events := b.rec.wait(t, "track Early", "page", "track Held", "track undefined")
		require.Equal(t, "Home", events[1].Name)
		require.Empty(t, b.page.Problems())
	})

	t.Run("waits as long as the server asks, then delivers", func(t *testing.T) {
		t.Parallel()
		b := setup(t, "")
		var refused atomic.Int32
		b.rec.answerWith(func(w http.ResponseWriter, _ *http.Request) bool {
			if refused.Add(1) > 1 {
				return false
			}
			w.Header().Set("Retry-After", "2")
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		})
		b.page.Run(t, visit(b.url), js(`madansara.track("Meanwhile")`), settle(), visit(b.url+"/reloaded"))
		b.rec.wait(t, "page", "track Meanwhile", "page")
		attempts := b.rec.attempts()
		require.GreaterOrEqual(t, attempts[1].Sub(attempts[0]), 2*time.Second, "not even a reload or leaving the page knocks earlier")
	})

	t.Run("what could not be sent offline is sent after a reload", func(t *testing.T) {
		t.Parallel()
		b := setup(t, "")
		b.page.Run(t, block(b.rec.URL+"/v1/*"), visit(b.url), js(`madansara.track("Offline")`), settle(), block(), visit(b.url+"/back"))
		events := b.rec.wait(t, "page", "track Offline", "page")
		require.Equal(t, events[0].AnonymousID, events[2].AnonymousID)
		delivered(t, b.page)
	})

	t.Run("the queue is bounded in number and in bytes", func(t *testing.T) {
		t.Parallel()
		b := setup(t, "")
		b.page.Run(t, block(b.rec.URL+"/v1/*"), visit(b.url), js(`for (let i = 0; i < 500; i++) madansara.track("n" + i)`))
		queue := `Object.keys(localStorage).filter(k => k.startsWith("ms_q")).flatMap(k => JSON.parse(localStorage[k]))`
		require.Equal(t, 200, browser.Eval[int](t, b.page, queue+`.length`))
		require.Equal(t, "n499", browser.Eval[string](t, b.page, `JSON.parse(`+queue+`.pop()).event`))
		b.page.Run(t, js(`for (let i = 0; i < 50; i++) madansara.track("big", {text: "é".repeat(15000)}); madansara.track("huge", {text: "x".repeat(40000)})`))
		bytes := browser.Eval[int](t, b.page, `new Blob(`+queue+`).size`)
		require.LessOrEqual(t, bytes, 256<<10)
		require.Greater(t, bytes, 200<<10)
		require.NotContains(t, browser.Eval[string](t, b.page, queue+`.map(e => JSON.parse(e).event).join()`), "huge")
	})

	t.Run("a beacon carries what happened as the page left", func(t *testing.T) {
		t.Parallel()
		b := setup(t, "")
		elsewhere := site(t, b.rec, `data-consent="required"`) // another origin, silent: nothing of the first's storage is taken over there
		b.page.Run(t, visit(b.url))
		b.rec.wait(t, "page")
		b.page.Follow(t, js(fmt.Sprintf(`madansara.track("Last Words"); location.href = %q`, elsewhere)))
		b.rec.wait(t, "page", "track Last Words")
	})

	t.Run("a server that refuses a batch for good is not asked again", func(t *testing.T) {
		t.Parallel()
		b := setup(t, "")
		b.rec.answerWith(func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusUnauthorized)
			return true
		})
		b.page.Run(t, visit(b.url), settle(), settle())
		require.Len(t, b.rec.attempts(), 1)
	})
}

// delivered waits until the page, too, knows that nothing is left to send.
func delivered(t *testing.T, page *browser.Page) {
	t.Helper()
	browser.Get(t, page, chromedp.Poll[bool](`!Object.keys(localStorage).some(k => k.startsWith("ms_q") || k === "ms_wait")`))
}

// block makes requests to those addresses fail as they do without a network.
func block(addresses ...string) chromedp.Action[chromedp.Void] {
	patterns := make([]*network.BlockPattern, 0, len(addresses))
	for _, address := range addresses {
		patterns = append(patterns, &network.BlockPattern{URLPattern: address, Block: true})
	}
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, network.SetBlockedURLs, network.SetBlockedURLsParams{URLPatterns: patterns})
		return err
	})
}
