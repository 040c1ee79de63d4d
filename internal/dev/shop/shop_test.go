package shop_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/engardehq/madansara/internal/dev/shop"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ingest receives what the shop reports, as strictly as Segment's API does.
type ingest struct {
	*httptest.Server
	reports chan map[string]any

	mu     sync.Mutex
	refuse []int // statuses to answer first
}

func newIngest(t *testing.T) *ingest {
	t.Helper()
	in := &ingest{reports: make(chan map[string]any, 16)}
	in.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, password, _ := r.BasicAuth()
		if r.Method != http.MethodPost || r.URL.Path != "/v1/track" || key != "wk_demo" || password != "" || r.Header.Get("Content-Type") != "application/json" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		in.mu.Lock()
		defer in.mu.Unlock()
		if len(in.refuse) > 0 {
			w.Header().Set("Retry-After", "5")
			w.WriteHeader(in.refuse[0])
			in.refuse = in.refuse[1:]
			return
		}
		var report map[string]any
		decoder := json.NewDecoder(r.Body)
		decoder.UseNumber()
		if err := decoder.Decode(&report); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		in.reports <- report
	}))
	t.Cleanup(in.Close)
	return in
}

func (in *ingest) next(t *testing.T) map[string]any {
	t.Helper()
	select {
	case report := <-in.reports:
		return report
	case <-time.After(time.Minute):
		require.Fail(t, "no report came")
		return nil
	}
}

type bundle struct {
	*httptest.Server
	shop   *shop.Shop
	ingest *ingest
	clock  *clockwork.FakeClock
	client *http.Client
}

func setup(t *testing.T) bundle {
	t.Helper()
	in := newIngest(t)
	clock := clockwork.NewFakeClockAt(time.Date(2026, 3, 9, 12, 0, 0, 0, time.UTC))
	s, err := shop.New(shop.Config{
		TrackerURL: in.URL + "/tracker.js", IngestURL: in.URL, WriteKey: "wk_demo", Clock: clock,
		Logger: slog.New(slog.DiscardHandler), HTTPClient: in.Client(),
	})
	require.NoError(t, err)
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		server.Close()
		_ = s.Close(context.WithoutCancel(t.Context())) // some tests close it themselves, some leave reports behind
	})
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	client := server.Client()
	client.Jar = jar
	return bundle{Server: server, shop: s, ingest: in, clock: clock, client: client}
}

func (b bundle) get(t *testing.T, path string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.URL+path, nil)
	require.NoError(t, err)
	return b.do(t, request)
}

// post sends name-value pairs as a form and follows to the page it leads to.
func (b bundle) post(t *testing.T, path string, fields ...string) (int, string) {
	t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL+path, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(t, request)
}

func (b bundle) do(t *testing.T, request *http.Request) (int, string) {
	t.Helper()
	response, err := b.client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

func (b bundle) cookies(t *testing.T, pairs ...string) {
	t.Helper()
	u, err := url.Parse(b.URL)
	require.NoError(t, err)
	for i := 0; i < len(pairs); i += 2 {
		b.client.Jar.SetCookies(u, []*http.Cookie{{Name: pairs[i], Value: pairs[i+1], Path: "/"}})
	}
}

var tokenField = regexp.MustCompile(`name="token" value="([A-Z2-7]+)"`)

// checkout opens the checkout and returns the token of its form.
func (b bundle) checkout(t *testing.T) string {
	t.Helper()
	_, page := b.get(t, "/checkout")
	found := tokenField.FindStringSubmatch(page)
	require.NotNil(t, found, page)
	return found[1]
}

func TestPurchase(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.cookies(t, "ms_aid", "5f0c2b8e-0000-4000-8000-000000000001", "ms_sid", "5f0c2b8e-0000-4000-8000-000000000002")
	b.post(t, "/cart", "product", "coffee", "quantity", "2", "add", "yes")
	_, page := b.post(t, "/cart", "product", "soap", "quantity", "1", "add", "yes")
	require.Contains(t, page, `id="total" class="price">$47.70<`)

	b.ingest.refuse = []int{http.StatusServiceUnavailable}
	token := b.checkout(t)
	status, page := b.post(t, "/checkout", "token", token, "name", "Rose", "email", "rose@example.org", "total", "0.01")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, page, "Thank you, Rose!", "at once, although the report was refused")
	require.Contains(t, page, "$47.70", "the server's prices, not the form's")

	require.NoError(t, b.clock.BlockUntilContext(t.Context(), 1))
	b.clock.Advance(4900 * time.Millisecond)
	require.Empty(t, b.ingest.reports, "the server asked for five seconds")
	b.clock.Advance(time.Second)
	report := b.ingest.next(t)
	orderID := report["properties"].(map[string]any)["order_id"].(string)
	require.Contains(t, page, orderID)
	agent := report["context"].(map[string]any)["userAgent"]
	require.Equal(t, map[string]any{
		"messageId": "order-" + orderID, "anonymousId": "5f0c2b8e-0000-4000-8000-000000000001", "event": "Order Completed",
		"timestamp": "2026-03-09T12:00:00Z",
		"properties": map[string]any{
			"order_id": orderID, "total": json.Number("47.70"), "currency": "USD", "products": []any{
				map[string]any{"product_id": "coffee", "name": "Mountain coffee", "price": json.Number("18.90"), "currency": "USD", "quantity": json.Number("2")},
				map[string]any{"product_id": "soap", "name": "Vetiver soap", "price": json.Number("9.90"), "currency": "USD", "quantity": json.Number("1")},
			},
		},
		"context": map[string]any{
			"sessionId": "5f0c2b8e-0000-4000-8000-000000000002", "traits": map[string]any{"email": "rose@example.org", "name": "Rose"},
			"userAgent": agent, "library": map[string]any{"name": "ti-machann", "version": "1"},
		},
	}, report)

	_, again := b.post(t, "/checkout", "token", token, "name", "Rose", "email", "rose@example.org")
	require.Contains(t, again, orderID, "the form sent twice is one order")
	_, page = b.get(t, "/cart")
	require.Contains(t, page, "still empty")
	require.NoError(t, b.shop.Close(t.Context()))
	require.Empty(t, b.ingest.reports)
}

func TestOrderThatIsRefusedForGoodDoesNotHoldTheNext(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.cookies(t, "ms_aid", "5f0c2b8e-0000-4000-8000-000000000001")
	b.ingest.refuse = []int{http.StatusUnprocessableEntity}
	for range 2 {
		b.post(t, "/cart", "product", "cacao", "quantity", "1", "add", "yes")
		b.post(t, "/checkout", "token", b.checkout(t), "name", "Rose", "email", "rose@example.org")
	}
	b.ingest.next(t)
	require.NoError(t, b.shop.Close(t.Context()))
	require.Empty(t, b.ingest.reports)
}

func TestCloseReportsWhatIsLeft(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.cookies(t, "ms_aid", "5f0c2b8e-0000-4000-8000-000000000001")
	b.ingest.refuse = []int{http.StatusTooManyRequests}
	b.post(t, "/cart", "product", "cacao", "quantity", "1", "add", "yes")
	b.post(t, "/checkout", "token", b.checkout(t), "name", "Rose", "email", "rose@example.org")
	require.NoError(t, b.clock.BlockUntilContext(t.Context(), 1))
	require.NoError(t, b.shop.Close(t.Context()))
	require.Equal(t, "Order Completed", b.ingest.next(t)["event"])
}

func TestVisitorWhoIsNotRecordedCanBuy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, id := range []string{"", "short", "a<script>a", strings.Repeat("a", 65)} {
		b.cookies(t, "ms_aid", id)
		b.post(t, "/cart", "product", "soap", "quantity", "3", "add", "yes")
		_, page := b.post(t, "/checkout", "token", b.checkout(t), "name", "Rose", "email", "rose@example.org")
		require.Contains(t, page, "$29.70")
	}
	require.NoError(t, b.shop.Close(t.Context()))
	require.Empty(t, b.ingest.reports)
}

func TestCart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, cookie := range map[string]string{
		"nonsense": "%00<script>", "unknown product": "gold.3", "negative": "coffee.-2", "huge": "coffee.99999999999999999999", "long": strings.Repeat("coffee.1-", 100),
	} {
		b.cookies(t, "ti_cart", cookie)
		status, page := b.get(t, "/cart")
		require.Equal(t, http.StatusOK, status, name)
		require.Contains(t, page, "still empty", name)
	}
	b.cookies(t, "ti_cart", "coffee.500")
	_, page := b.get(t, "/cart")
	require.Contains(t, page, "$378.00", "twenty at most")
	for _, fields := range [][]string{{"product", "gold", "quantity", "1"}, {"product", "soap"}, {"product", "soap", "quantity", "-1"}, {"product", "soap", "quantity", "21"}, {"product", "soap", "quantity", "1e9"}} {
		status, _ := b.post(t, "/cart", fields...)
		require.Equal(t, http.StatusUnprocessableEntity, status, fields)
	}
	_, page = b.post(t, "/cart", "product", "coffee", "quantity", "0")
	require.Contains(t, page, "still empty")
	_, page = b.get(t, "/checkout")
	require.Contains(t, page, "still empty", "nothing to check out")
	_, page = b.post(t, "/checkout", "token", strings.Repeat("A", 26), "name", "Rose", "email", "rose@example.org")
	require.Contains(t, page, "still empty", "nothing to buy")
}

func TestSignUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	status, page := b.post(t, "/offers", "email", "rose@example.org")
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Contains(t, page, "Tick the box")
	require.Contains(t, page, `value="rose@example.org"`, "what was typed stays")

	_, page = b.post(t, "/offers", "email", "rose@example.org", "consent", "yes")
	require.Contains(t, page, "You are on the list")
	require.Contains(t, page, `data-calls="[[&#34;identify&#34;,{&#34;email&#34;:&#34;rose@example.org&#34;,&#34;marketing_consent&#34;:true}],[&#34;track&#34;,&#34;Signed Up&#34;`)
}

func TestHostileInput(t *testing.T) {
	t.Parallel()
	b := setup(t)
	hostile := []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `{{.WriteKey}}`, `' OR 1=1; DROP TABLE orders; --`, "nul\x00", "\xff\xfe",
		"line\r\nSet-Cookie: a=b", strings.Repeat("x", 300), `javascript:alert(1)`, "\u202Egnp.exe",
	}
	for _, text := range hostile {
		for _, field := range []string{"name", "email"} {
			b.post(t, "/cart", "product", "coffee", "quantity", "1")
			fields := map[string]string{"name": "Rose", "email": "rose@example.org"}
			fields[field] = text
			status, page := b.post(t, "/checkout", "token", b.checkout(t), "name", fields["name"], "email", fields["email"])
			require.Contains(t, []int{http.StatusOK, http.StatusUnprocessableEntity}, status, "%s %q", field, text)
			require.NotContains(t, page, "<script>alert", "%s %q", field, text)
			require.NotContains(t, page, "<img src=x", "%s %q", field, text)
			require.NotContains(t, page, "wk_demo<", "%s %q", field, text)
		}
		status, page := b.post(t, "/offers", "email", text, "consent", "yes")
		require.Equal(t, http.StatusUnprocessableEntity, status, "%q", text)
		require.NotContains(t, page, "<script>alert", "%q", text)
		_, page = b.post(t, "/offers", "email", "a@example.org", "consent", text)
		require.Contains(t, page, "Tick the box", "%q", text)
		for _, path := range []string{"/product/", "/order/", "/offers/", "/assets/"} {
			status, page := b.get(t, path+url.PathEscape(text))
			require.Contains(t, []int{http.StatusNotFound, http.StatusBadRequest, http.StatusInternalServerError}, status, "%s%q", path, text)
			require.NotContains(t, page, "<script>alert", "%s%q", path, text)
		}
	}
	status, _ := b.post(t, "/offers", "email", strings.Repeat("a", 20<<10))
	require.Equal(t, http.StatusBadRequest, status, "a form too large")
}

func TestAnotherSiteCannotPostForTheVisitor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL+"/offers", strings.NewReader("email=a%40example.org&consent=yes"))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", "https://evil.example")
	request.Header.Set("Sec-Fetch-Site", "cross-site")
	status, _ := b.do(t, request)
	require.Equal(t, http.StatusForbidden, status)
}

func TestEmailAddresses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, bad := range []string{"", "rose", "rose@", "@example.org", "rose@localhost", "Rose <rose@example.org>", `"a b"@example.org`, "a@b@example.org", "a@.", "rose@example.org, b@example.org", strings.Repeat("a", 250) + "@example.org"} {
		status, _ := b.post(t, "/offers", "email", bad, "consent", "yes")
		require.Equal(t, http.StatusUnprocessableEntity, status, bad)
	}
	for _, good := range []string{"rose@example.org", " rose+market@ti-machann.example.ht ", "o'neil@example.org"} {
		status, page := b.post(t, "/offers", "email", good, "consent", "yes")
		require.Equal(t, http.StatusOK, status, good)
		require.Contains(t, page, "You are on the list", good)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "127.0.0.1:8002", "ftp://a", "http://"} {
		_, err := shop.New(shop.Config{TrackerURL: address, IngestURL: "http://a"})
		require.ErrorContains(t, err, "TrackerURL")
		_, err = shop.New(shop.Config{TrackerURL: "http://a/tracker.js", IngestURL: address})
		require.ErrorContains(t, err, "IngestURL")
	}
}
