package tracker_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/dev/browser"
)

const withSignal = `Object.defineProperty(Navigator.prototype, "globalPrivacyControl", {get: () => true})`

func TestPrivacy(t *testing.T) {
	t.Parallel()
	chromium := browser.New(t)
	setup := func(t *testing.T, attributes string) (*recorder, *browser.Page, string) {
		t.Helper()
		rec := newRecorder(t)
		return rec, chromium.Page(t), site(t, rec, attributes)
	}
	everything := js(`madansara.page(); madansara.track("x"); madansara.identify("u", {email: "a@example.org"}); document.getElementById("plain").click()`)
	silent := func(t *testing.T, rec *recorder, page *browser.Page, keys string) {
		t.Helper()
		page.Run(t, settle())
		require.Equal(t, keys, browser.Eval[string](t, page, storedKeys))
		require.Empty(t, rec.attempts())
		require.Empty(t, page.Problems())
	}

	t.Run("Global Privacy Control: nothing kept, nothing sent, whatever the banner says", func(t *testing.T) {
		t.Parallel()
		rec, page, url := setup(t, "")
		page.BeforeEachDocument(t, withSignal)
		page.Run(t, visit(url), everything, js(`madansara.consent(true); madansara.track("y")`))
		silent(t, rec, page, "ms_consent")
		page.Run(t, visit(url+"/next"))
		silent(t, rec, page, "ms_consent")
	})

	t.Run("Global Privacy Control switched on later deletes the ids", func(t *testing.T) {
		t.Parallel()
		rec, page, url := setup(t, "")
		page.Run(t, visit(url))
		rec.wait(t, "page")
		page.BeforeEachDocument(t, withSignal)
		page.Run(t, visit(url), settle())
		require.Empty(t, browser.Eval[string](t, page, storedKeys))
		rec.wait(t, "page")
	})

	t.Run("consent required: nothing before the yes, then from this page on", func(t *testing.T) {
		t.Parallel()
		rec, page, url := setup(t, `data-consent="required"`)
		page.Run(t, visit(url+"/?utm_source=instagram"), everything)
		silent(t, rec, page, "")
		page.Run(t, js(`madansara.consent(true); madansara.consent(true)`))
		require.Equal(t, "instagram", rec.wait(t, "page")[0].Context.Campaign["source"])
		page.Run(t, visit(url+"/next"))
		rec.wait(t, "page", "page")
	})

	t.Run("consent refused before the script loaded", func(t *testing.T) {
		t.Parallel()
		rec, page, url := setup(t, "")
		page.BeforeEachDocument(t, `window.madansara = [["track", "Early"], ["consent", false]]`)
		page.Run(t, visit(url), everything)
		silent(t, rec, page, "ms_consent")
	})

	t.Run("consent withdrawn deletes the ids and what was not sent yet, in every tab", func(t *testing.T) {
		t.Parallel()
		rec, page, url := setup(t, "")
		page.Run(t, visit(url))
		rec.wait(t, "page")
		other := page.Tab(t)
		other.Run(t, visit(url+"/other"))
		rec.wait(t, "page", "page")
		rec.answerWith(func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		})
		other.Run(t, js(`madansara.track("Never Sent")`), settle())
		require.Len(t, rec.attempts(), 3, "the other tab holds an event that it will send again")
		page.Run(t, js(`madansara.track("Never Sent Either"); madansara.consent(false); madansara.track("Refused")`))
		rec.answerWith(nil)
		other.Run(t, js(`madansara.track("Refused Too")`), settle(), settle())
		require.Equal(t, "ms_consent", browser.Eval[string](t, page, storedKeys))
		require.Len(t, rec.attempts(), 3)
	})

	t.Run("consent per purpose: analytics decides, the answers travel along", func(t *testing.T) {
		t.Parallel()
		rec, page, url := setup(t, `data-consent="required"`)
		page.Run(t, visit(url), js(`madansara.consent({analytics: false, marketing: true})`), everything)
		silent(t, rec, page, "ms_consent")
		page.Run(t, js(`madansara.consent({analytics: true, marketing: false})`))
		seen := rec.wait(t, "page")[0]
		require.Equal(t, map[string]any{"categoryPreferences": map[string]any{"analytics": true, "marketing": false}}, seen.Context.Consent)
	})
}

func TestPageIsNeverHarmed(t *testing.T) {
	t.Parallel()
	chromium := browser.New(t)

	t.Run("by a server that hangs", func(t *testing.T) {
		t.Parallel()
		rec := newRecorder(t)
		release := make(chan struct{})
		t.Cleanup(func() { close(release) })
		rec.answerWith(func(_ http.ResponseWriter, r *http.Request) bool {
			select {
			case <-release:
			case <-r.Context().Done():
			}
			return true
		})
		page := chromium.Page(t)
		url := site(t, rec, "")
		start := time.Now()
		page.Run(t, visit(url), js(`madansara.track("x")`), settle())
		page.Follow(t, chromedp.Click(chromedp.ID("next")))
		page.Run(t, visit(url+"/third"))
		require.Less(t, time.Since(start), 14*time.Second)
		require.Equal(t, "/third", browser.Get(t, page, chromedp.Title()))
		require.NotEmpty(t, rec.attempts())
		require.Empty(t, page.Problems())
	})

	t.Run("by storage and cookies that are denied", func(t *testing.T) {
		t.Parallel()
		rec := newRecorder(t)
		page := chromium.Page(t)
		page.BeforeEachDocument(t, `
			Object.defineProperty(window, "localStorage", {get() { throw new DOMException("denied", "SecurityError") }});
			Object.defineProperty(Document.prototype, "cookie", {get() { throw new DOMException("denied") }, set() { throw new DOMException("denied") }})`)
		page.Run(t, visit(site(t, rec, "")), js(`madansara.track("x"); madansara.identify("u")`))
		events := rec.wait(t, "page", "track x", "identify")
		require.Equal(t, events[0].AnonymousID, events[2].AnonymousID, "one visitor as long as the page lives")
		require.Equal(t, events[0].Context.SessionID, events[2].Context.SessionID)
		require.Empty(t, page.Problems())
	})

	t.Run("by storage that is full", func(t *testing.T) {
		t.Parallel()
		rec := newRecorder(t)
		page := chromium.Page(t)
		page.BeforeEachDocument(t, `Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError") }`)
		page.Run(t, visit(site(t, rec, "")), js(`madansara.track("x")`))
		rec.wait(t, "page", "track x")
		require.Empty(t, page.Problems())
	})

	t.Run("by values that cannot be sent", func(t *testing.T) {
		t.Parallel()
		rec := newRecorder(t)
		page := chromium.Page(t)
		page.Run(t, visit(site(t, rec, "")), js(`
			const loop = {}; loop.loop = loop;
			madansara.track("loop", loop); madansara.track("big", {n: 1n}); madansara.push(null, 1, ["consent"], ["constructor", 1], ["__proto__"]);
			madansara.identify(null, {get email() { throw new Error("no") }}); madansara.track("<script>alert(1)</script>\u0000 ' OR 1=1 --")`), settle())
		require.Empty(t, page.Problems())
	})

	t.Run("by a tag without a write key", func(t *testing.T) {
		t.Parallel()
		rec := newRecorder(t)
		page := chromium.Page(t)
		page.Run(t, chromedp.Navigate(site(t, rec, `data-other`)), js(`
			const s = document.createElement("script"); s.src = document.querySelector("script[src]").src; document.head.append(s);
			madansara.push(["track", "x"])`))
		require.Empty(t, page.Problems())
	})
}
