package dashboard_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/dev/browser"
)

var desk = browser.Size{Width: 1440, Height: 900}

func enter(t *testing.T, b *bundle, page *browser.Page) {
	t.Helper()
	page.Run(t, chromedp.Navigate(b.server.URL+"/login"))
	page.Screenshot(t, "login")
	page.Run(t,
		browser.Type(chromedp.ID("email"), b.email), browser.Type(chromedp.ID("password"), password),
		chromedp.Submit(chromedp.ID("password")), chromedp.WaitVisible(chromedp.ID("content")))
}

// drawn waits until every chart of the page is drawn and returns how many there are.
func drawn(t *testing.T, page *browser.Page) int {
	t.Helper()
	return browser.Eval[int](t, page, `new Promise((done, fail) => {
		const start = performance.now();
		(function look() {
			const charts = [...document.querySelectorAll("[data-chart]")];
			// An axis alone has few paths; bars and lines are paths with a size.
			if (charts.length && charts.every((c) => [...c.querySelectorAll("svg path")].some((p) => p.getBBox().height > 20))) return setTimeout(() => done(charts.length), 400);
			if (performance.now() - start > 90000) return fail(new Error("charts are not drawn"));
			requestAnimationFrame(look);
		})();
	})`)
}

// noSideways fails when the page can be scrolled to the side.
func noSideways(t *testing.T, page *browser.Page) {
	t.Helper()
	wide := browser.Eval[string](t, page, `(() => {
		const width = document.documentElement.clientWidth;
		if (document.documentElement.scrollWidth <= width) return "";
		return [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > width + 1).slice(0, 5).map((e) => e.tagName + "." + e.className).join(" ") || "scrolls";
	})()`)
	require.Empty(t, wide)
}

func TestBrowser(t *testing.T) {
	t.Parallel()
	b := setup(t)
	shop := seed(t, b, 60)
	chromium := browser.New(t)

	t.Run("overview", func(t *testing.T) {
		t.Parallel()
		page := chromium.Page(t)
		page.Resize(t, desk)
		enter(t, b, page)
		require.Equal(t, 5, drawn(t, page))
		page.Screenshot(t, "overview")
		revenue := browser.Eval[string](t, page, `document.querySelector("#attribution table tbody").textContent`)

		// The page renews itself: what happened meanwhile appears, drawn.
		b.exec(t, b.tenant, `insert into conversion_events (tenant_uuid, conversion_uuid, external_id, name, revenue_minor, currency, occurred_at, received_at)
			values ($1, $2, 'live-1', 'Live order', 123456700, 'USD', $3, $3)`, b.tenant, id(), b.clock.Now())
		browser.Eval[bool](t, page, `document.querySelector("[data-poll]").dispatchEvent(new Event("every"))`)
		page.Run(t, chromedp.WaitVisible(chromedp.Search(`//td[contains(., "Live order")]`)))
		require.Equal(t, 5, drawn(t, page))
		require.Contains(t, browser.Eval[string](t, page, `document.querySelector("#chart-c1 svg").textContent`), "M")
		b.exec(t, b.tenant, `delete from conversion_events where external_id = 'live-1'`)

		page.Run(t, chromedp.Click(chromedp.CSS(`a[href*="model=compare"]`)), chromedp.WaitVisible(chromedp.CSS(`#chart-channels-compare svg`)))
		require.Equal(t, 5, drawn(t, page))
		page.Screenshot(t, "overview-compare")
		page.Run(t, chromedp.Click(chromedp.CSS(`#attribution a[href*="metric=conversions"]`)), chromedp.WaitVisible(chromedp.CSS(`#attribution a[href*="metric=conversions"][aria-current]`)))
		require.NotEqual(t, revenue, browser.Eval[string](t, page, `document.querySelector("#attribution table tbody").textContent`))

		page.Run(t, chromedp.Click(chromedp.CSS(`.side [data-theme-toggle]`)))
		require.Equal(t, "dark", browser.Eval[string](t, page, `document.documentElement.dataset.theme`))
		page.Run(t, chromedp.Navigate(b.server.URL+"/?days=90"))
		require.Equal(t, "dark", browser.Eval[string](t, page, `document.documentElement.dataset.theme`), "the choice stays")
		drawn(t, page)
		page.Screenshot(t, "overview-dark")
		require.Empty(t, page.Problems())
	})
	t.Run("customer", func(t *testing.T) {
		t.Parallel()
		page := chromium.Page(t)
		page.Resize(t, desk)
		enter(t, b, page)
		page.Run(t, chromedp.Navigate(b.server.URL+"/customers"))
		page.Screenshot(t, "customers")
		page.Run(t, chromedp.Navigate(b.server.URL+"/customers/"+shop.customer.String()))
		page.Screenshot(t, "customer")
		page.Run(t, chromedp.Click(chromedp.CSS(`[popovertarget=erase]`)), chromedp.WaitVisible(chromedp.ID("erase")))
		page.Screenshot(t, "customer-erase")
		page.Run(t, chromedp.Click(chromedp.CSS(`[popovertargetaction=hide]`)), chromedp.WaitNotVisible(chromedp.ID("erase")))
		page.Resize(t, browser.Phone)
		noSideways(t, page)
		page.Screenshot(t, "customer-phone")
		page.Run(t, chromedp.Navigate(b.server.URL+"/customers"))
		noSideways(t, page)
		page.Screenshot(t, "customers-phone")
		require.Empty(t, page.Problems())
	})
	t.Run("campaigns", func(t *testing.T) {
		t.Parallel()
		page := chromium.Page(t)
		page.Resize(t, desk)
		enter(t, b, page)
		visit(t, b, page, "campaigns", "/campaigns")
		visit(t, b, page, "campaign", "/campaigns/"+shop.campaign.String())
		visit(t, b, page, "campaign-unknown", "/campaigns/"+shop.campaign.String()+"?status=unknown")
		page.Run(t, chromedp.Click(chromedp.CSS(`[popovertarget=pause]`)), chromedp.WaitVisible(chromedp.ID("pause")))
		page.Screenshot(t, "campaign-pause")
		visit(t, b, page, "campaign-new", "/campaigns/new")
		page.Run(t, browser.Type(chromedp.ID("segment"), "Signed"), chromedp.WaitVisible(chromedp.CSS("#members .hint")))
		require.Contains(t, browser.Eval[string](t, page, `document.querySelector("#members").textContent`), "in it now")
		page.Screenshot(t, "campaign-new")
		require.Empty(t, page.Problems())
	})
	t.Run("segments", func(t *testing.T) {
		t.Parallel()
		page := chromium.Page(t)
		page.Resize(t, desk)
		enter(t, b, page)
		visit(t, b, page, "segments", "/segments")
		page.Run(t, chromedp.Navigate(b.server.URL+"/segments/new"), chromedp.WaitVisible(chromedp.CSS("#members-card .person")))
		page.Screenshot(t, "segment-new")
		page.Run(t, chromedp.Click(chromedp.CSS("[data-add-row]")))
		require.Equal(t, 3, browser.Eval[int](t, page, `document.querySelectorAll("#rules [data-row]").length`))
		page.Run(t, chromedp.Click(chromedp.CSS("#rules [data-row]:last-child [data-remove-row]")), chromedp.Click(chromedp.ID("save")), chromedp.WaitVisible(chromedp.CSS(".notice.good")))
		require.Empty(t, page.Problems())
	})
	t.Run("templates", func(t *testing.T) {
		t.Parallel()
		page := chromium.Page(t)
		page.Resize(t, desk)
		enter(t, b, page)
		visit(t, b, page, "templates", "/templates")
		page.Run(t, chromedp.Navigate(b.server.URL+"/templates/"+shop.template.String()))
		browser.Eval[bool](t, page, `new Promise((done) => document.querySelector("iframe").addEventListener("load", () => setTimeout(() => done(true), 200), { once: true }))`)
		page.Screenshot(t, "template")
		require.Empty(t, page.Problems())
	})
	t.Run("settings", func(t *testing.T) {
		t.Parallel()
		page := chromium.Page(t)
		page.Resize(t, desk)
		enter(t, b, page)
		page.Run(t, chromedp.Navigate(b.server.URL+"/settings"), browser.Type(chromedp.CSS(`form[action="/settings/keys"] input[name=name]`), "Shop"),
			chromedp.Click(chromedp.CSS(`form[action="/settings/keys"] button`)), chromedp.WaitVisible(chromedp.ID("token")))
		page.Screenshot(t, "settings")
		page.Run(t, chromedp.Click(chromedp.CSS(`[data-copy=snippet]`)))
		require.Empty(t, page.Problems())
	})
	t.Run("phone", func(t *testing.T) {
		t.Parallel()
		page := chromium.Page(t)
		page.Resize(t, browser.Size{Width: 360, Height: 780, Mobile: true})
		enter(t, b, page)
		drawn(t, page)
		noSideways(t, page)
		page.Screenshot(t, "overview-phone")
		for name, path := range map[string]string{
			"campaigns-phone": "/campaigns", "campaign-phone": "/campaigns/" + shop.campaign.String(), "campaign-new-phone": "/campaigns/new",
			"segments-phone": "/segments", "segment-new-phone": "/segments/new", "templates-phone": "/templates",
			"template-phone": "/templates/" + shop.template.String(), "settings-phone": "/settings",
		} {
			visit(t, b, page, name, path)
			noSideways(t, page)
		}
		require.Empty(t, page.Problems())
	})
}

func visit(t *testing.T, b *bundle, page *browser.Page, name, path string) {
	t.Helper()
	page.Run(t, chromedp.Navigate(b.server.URL+path))
	page.Screenshot(t, name)
}

func TestBrowserWithLongTextsAndNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	chromium := browser.New(t)
	page := chromium.Page(t)
	page.Resize(t, desk)
	enter(t, b, page)
	visit(t, b, page, "empty-overview", "/")
	visit(t, b, page, "empty-campaigns", "/campaigns")

	long := strings.Repeat("Jean-Baptiste", 12)
	contact := b.addContact(t, b.tenant, strings.Repeat("a", 60)+"@"+strings.Repeat("subdomain.", 12)+"example.org", long, long, `{"`+strings.Repeat("key", 30)+`":"`+strings.Repeat("value", 60)+`"}`)
	for _, size := range []browser.Size{desk, {Width: 360, Height: 780, Mobile: true}} {
		page.Resize(t, size)
		for name, path := range map[string]string{"long-customers": "/customers", "long-customer": "/customers/" + contact.String(), "missing": "/customers/" + id().String()} {
			page.Run(t, chromedp.Navigate(b.server.URL+path))
			noSideways(t, page)
			page.Screenshot(t, name+"-"+strconv.Itoa(size.Width))
		}
		visit(t, b, page, "empty-overview-"+strconv.Itoa(size.Width), "/")
		noSideways(t, page)
	}
	for _, problem := range page.Problems() {
		require.Contains(t, problem, "404") // of the missing customer
	}
}
