package dashboard_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/core/account"
)

func (b *bundle) exec(t *testing.T, tenant uuid.UUID, sql string, args ...any) {
	t.Helper()
	require.NoError(t, b.db.Tenant(t.Context(), tenant, func(ctx context.Context, tx engardedb.Tx) error {
		_, err := tx.Exec(ctx, sql, args...)
		return err
	}))
}

func (b *bundle) addContact(t *testing.T, tenant uuid.UUID, email, first, last, traits string) uuid.UUID {
	t.Helper()
	contact := id()
	b.exec(t, tenant, `insert into contacts values ($1, $2, $3, $4, $5, '', $6, $7, $7)`, tenant, contact, email, first, last, traits, b.clock.Now())
	return contact
}

var everyPage = []string{
	"/", "/customers", "/campaigns", "/campaigns/new", "/segments", "/segments/new", "/templates", "/templates/new", "/memory", "/memory/erase", "/settings",
}

func TestEveryPageNeedsALogIn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, path := range append([]string{"/customers/" + id().String(), "/campaigns/" + id().String()}, everyPage...) {
		answer := b.get(t, path)
		require.Equal(t, http.StatusSeeOther, answer.status, path)
		require.True(t, strings.HasPrefix(answer.header.Get("Location"), "/login"), path)
	}
	answer := b.post(t, "/campaigns", url.Values{"name": {"x"}})
	require.Equal(t, http.StatusSeeOther, answer.status)
	require.Equal(t, "/login", answer.header.Get("Location"))
}

func TestLogInAndOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	answer := b.post(t, "/login", url.Values{"email": {b.email}, "password": {"not the password"}})
	require.Equal(t, http.StatusUnauthorized, answer.status)
	answer.shows(t, "address or the password is wrong")
	answer.shows(t, `value="`+b.email+`"`, "the form keeps what was typed")
	answer.hides(t, "not the password")

	answer = b.post(t, "/login", url.Values{"email": {b.email}, "password": {password}, "next": {"/customers?q=a"}})
	require.Equal(t, http.StatusSeeOther, answer.status)
	require.Equal(t, "/customers?q=a", answer.header.Get("Location"))
	require.Equal(t, http.StatusOK, b.get(t, "/").status)

	answer = b.post(t, "/logout", nil)
	require.Equal(t, "/login", answer.header.Get("Location"))
	require.Equal(t, http.StatusSeeOther, b.get(t, "/").status)
}

func TestALogInLeadsToNoOtherSite(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, next := range []string{"https://evil.example/", "//evil.example", `/\evil.example`, "/\t/evil.example", "\t//evil.example", "javascript:alert(1)"} {
		answer := b.post(t, "/login", url.Values{"email": {b.email}, "password": {password}, "next": {next}})
		require.Equal(t, "/", answer.header.Get("Location"), next)
	}
}

func TestTooManyLogIns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var answer reply
	for range 12 {
		answer = b.post(t, "/login", url.Values{"email": {"nobody@example.org"}, "password": {"not the password"}})
	}
	require.Equal(t, http.StatusTooManyRequests, answer.status)
	answer.shows(t, "Too many log-in attempts")
}

func TestANewCompanySeesTheNextStep(t *testing.T) {
	t.Parallel()
	b := setup(t).logIn(t)
	for path, text := range map[string]string{
		"/": "Put the tracker on your site", "/customers": "No customer yet", "/campaigns": "No campaign yet",
		"/segments": "signed up, did not buy", "/templates": "No template yet", "/settings": "data-write-key",
		"/campaigns/new": "Choose a segment", "/segments/new": "Signed up, did not buy", "/templates/new": "contact.first_name",
	} {
		answer := b.get(t, path)
		require.Equal(t, http.StatusOK, answer.status, path)
		answer.shows(t, text, path)
		require.Contains(t, answer.header.Get("Content-Security-Policy"), "style-src 'self';", path)
		answer.hides(t, "<script>", path)
		answer.hides(t, `style="`, path)
	}
}

func TestAnotherCompanysDataIsNotFound(t *testing.T) {
	t.Parallel()
	b := setup(t).logIn(t)
	other, _ := b.company(t, "Another")
	contact := b.addContact(t, other, "secret@example.org", "Not", "Yours", "{}")
	answer := b.get(t, "/customers/"+contact.String())
	require.Equal(t, http.StatusNotFound, answer.status)
	answer.hides(t, "secret@example.org")
	b.get(t, "/customers").hides(t, "secret@example.org")
	for _, path := range []string{"/customers/no-id", "/campaigns/" + id().String(), "/segments/" + id().String(), "/templates/" + id().String()} {
		answer := b.get(t, path)
		require.Equal(t, http.StatusNotFound, answer.status, path)
		answer.shows(t, "does not exist", path)
	}
	require.Equal(t, http.StatusNotFound, b.post(t, "/campaigns/"+id().String()+"/start", nil).status)
	require.Equal(t, http.StatusNotFound, b.post(t, "/messages/"+id().String()+"/resolve", url.Values{"outcome": {"sent"}}).status)
}

func TestDataIsText(t *testing.T) {
	t.Parallel()
	b := setup(t).logIn(t)
	const evil = `<script>alert("x")</script>`
	contact := b.addContact(t, b.tenant, "a@example.org", evil, strings.Repeat("long", 60), `{"<b>k</b>":"<img src=x onerror=alert(1)>"}`)
	b.exec(t, b.tenant, `insert into segments values ($1, $2, $3, '{"event":{"name":"<i>x</i>"}}', now(), now())`, b.tenant, id(), evil)
	for _, path := range []string{"/customers", "/customers/" + contact.String(), "/segments", "/campaigns/new", "/customers?q=" + url.QueryEscape(evil)} {
		answer := b.get(t, path)
		require.Equal(t, http.StatusOK, answer.status, path)
		answer.hides(t, evil, path)
		answer.hides(t, "<img src=x", path)
		answer.shows(t, "&lt;script&gt;", path)
	}
}

func TestCustomersAreFoundAndPaged(t *testing.T) {
	t.Parallel()
	b := setup(t).logIn(t)
	for i := range 30 {
		b.addContact(t, b.tenant, "person"+string(rune('a'+i%26))+strings.Repeat("x", i)+"@example.org", "", "", "{}")
	}
	b.addContact(t, b.tenant, "percent@example.org", "100%", "Sure", "{}")
	first := b.get(t, "/customers")
	first.shows(t, "31 customers")
	first.shows(t, "page 1 of 2")
	b.get(t, "/customers?page=2").shows(t, "persona@example.org")
	found := b.get(t, "/customers?q="+url.QueryEscape("0%"))
	found.shows(t, "1 customer")
	found.shows(t, "percent@example.org")
	b.get(t, "/customers?q=nobody-like-this").shows(t, "Nobody found")
	require.Equal(t, http.StatusOK, b.get(t, "/customers?page=99999999999").status)
}

func TestAPersonIsErasedFromTheirPage(t *testing.T) {
	t.Parallel()
	b := setup(t).logIn(t)
	marie := b.addContact(t, b.tenant, "marie@example.org", "Marie", "Jean", "{}")
	other, _ := b.company(t, "Another")
	stranger := b.addContact(t, other, "secret@example.org", "Not", "Yours", "{}")
	page := "/customers/" + marie.String()
	b.get(t, page).shows(t, "Erase Marie Jean?")
	require.Equal(t, http.StatusNotFound, b.post(t, "/customers/"+stranger.String()+"/erase", nil).status)

	answer := b.post(t, page+"/erase", nil)
	require.Equal(t, http.StatusSeeOther, answer.status)
	b.get(t, answer.header.Get("Location")).shows(t, "The person is erased.")
	require.Equal(t, http.StatusNotFound, b.get(t, page).status)
	b.get(t, "/customers").hides(t, "marie@example.org")
	require.Equal(t, http.StatusNotFound, b.post(t, page+"/erase", nil).status)
}

func TestPeriodsThatCannotBeShown(t *testing.T) {
	t.Parallel()
	b := setup(t).logIn(t)
	for query, text := range map[string]string{
		"days=5": "is not one of", "from=2026-02-01": "needs two dates", "from=2026-02-02&to=2026-02-01": "ends before it starts",
		"from=1970-01-01&to=1970-01-03": "nothing to show before", "from=2010-01-01&to=2026-01-01": "two years", "from=9999-01-01&to=9999-01-02": "in the future", "from=x&to=%27": "needs two dates",
	} {
		answer := b.get(t, "/?"+query)
		require.Equal(t, http.StatusOK, answer.status, query)
		answer.shows(t, text, query)
	}
	b.get(t, "/?from=2026-11-01&to=2026-11-10").shows(t, "1 Nov – 10 Nov 2026")
}

func TestACampaignFromDraftToPause(t *testing.T) {
	t.Parallel()
	b := setup(t).logIn(t)
	b.addContact(t, b.tenant, "a@example.org", "Marie", "", "{}")

	answer := b.post(t, "/segments", segmentFields("Everybody", "field", "email", "exists", ""))
	require.Equal(t, http.StatusSeeOther, answer.status, answer.body)
	segmentID := idIn(t, answer.header.Get("Location"))
	b.get(t, "/segments/"+segmentID).shows(t, "1 customer now")

	answer = b.post(t, "/templates", url.Values{"name": {"Hi"}, "subject": {"Hello {{ contact.first_name }}"}, "body_html": {"<p>Hi</p>"}})
	require.Equal(t, http.StatusSeeOther, answer.status, answer.body)
	templateID := idIn(t, answer.header.Get("Location"))

	answer = b.post(t, "/campaigns", url.Values{"name": {"Kept name"}, "from_name": {"Kafe"}})
	require.Equal(t, http.StatusUnprocessableEntity, answer.status)
	answer.shows(t, `value="Kept name"`)
	answer.shows(t, "Choose whom to write to.")

	answer = b.post(t, "/campaigns", url.Values{"name": {"Spring"}, "segment": {segmentID}, "template": {templateID}, "from_name": {"Kafe"}})
	require.Equal(t, http.StatusSeeOther, answer.status, answer.body)
	path := "/campaigns/" + idIn(t, answer.header.Get("Location"))
	b.get(t, path).shows(t, "1 person is in the segment now")
	b.get(t, "/campaigns/segment-count?segment="+segmentID).shows(t, "1 person in it now")

	require.Equal(t, http.StatusConflict, b.post(t, path+"/pause", nil).status)
	started := b.post(t, path+"/start", nil)
	require.Equal(t, path+"?done=started", started.header.Get("Location"), started.body)
	b.get(t, path+"?done=started").shows(t, "on its way")
	require.Equal(t, path+"?done=paused", b.post(t, path+"/pause", nil).header.Get("Location"))
	b.get(t, path).shows(t, "Paused by "+b.email)
	b.get(t, "/campaigns").shows(t, "Spring")
}

func TestAPersonDecidesAboutUnknownMessages(t *testing.T) {
	t.Parallel()
	b := setup(t).logIn(t)
	shop := seed(t, b, 3)
	contact, message := b.addContact(t, b.tenant, "u@example.org", "Una", "", "{}"), id()
	b.exec(t, b.tenant, `insert into outreach_messages (tenant_uuid, message_uuid, campaign_uuid, contact_uuid, template_uuid, channel, address, status, not_before, created_at)
		values ($1, $2, $3, $4, $5, 'email', 'u@example.org', 'unknown', now(), now())`, b.tenant, message, shop.campaign, contact, shop.template)
	b.exec(t, b.tenant, `insert into outreach_decisions (tenant_uuid, decision_uuid, campaign_uuid, contact_uuid, outcome, channel, reasons, decided_at)
		values ($1, $2, $3, $4, 'skip', 'email', '[{"code":"no_consent","text":"Never agreed to email."}]', now())`, b.tenant, id(), shop.campaign, b.addContact(t, b.tenant, "s@example.org", "Skip", "Ped", "{}"))
	path := "/campaigns/" + shop.campaign.String()
	page := b.get(t, path+"?status=unknown")
	page.shows(t, "It was sent")
	page.shows(t, "Never agreed to e-mail")
	b.get(t, path+"?status=skipped").shows(t, "Never agreed to email.")

	require.Equal(t, http.StatusUnprocessableEntity, b.post(t, "/messages/"+message.String()+"/resolve", url.Values{"outcome": {"nonsense"}}).status)
	answer := b.post(t, "/messages/"+message.String()+"/resolve", url.Values{"outcome": {"sent"}})
	require.Equal(t, http.StatusSeeOther, answer.status, answer.body)
	b.get(t, path+"?status=sent").shows(t, "Decided by "+b.email)
	require.Equal(t, http.StatusConflict, b.post(t, "/messages/"+message.String()+"/resolve", url.Values{"outcome": {"sent"}}).status)
}

func TestSegmentsAreBuiltAndPreviewed(t *testing.T) {
	t.Parallel()
	b := setup(t).logIn(t)
	b.addContact(t, b.tenant, "a@example.org", "Marie", "", `{"plan":"pro"}`)
	fields := segmentFields("Pro", "field", "traits.plan", "eq", "pro")
	b.post(t, "/segments/preview", fields).shows(t, "1 customer now")
	fields.Set("value", "free")
	b.post(t, "/segments/preview", fields).shows(t, "0 customers now")
	fields.Set("kind", "event")
	fields.Set("text", "")
	b.post(t, "/segments/preview", fields).shows(t, "name the event")
	answer := b.post(t, "/segments", fields)
	require.Equal(t, http.StatusUnprocessableEntity, answer.status)
	answer.shows(t, `value="Pro"`)
}

func TestTemplatesShowTheirMistakes(t *testing.T) {
	t.Parallel()
	b := setup(t).logIn(t)
	form := url.Values{"name": {"T"}, "subject": {"Hi {{ contact.first_name }}"}, "body_html": {"<p>one</p>\n{% if %}"}}
	answer := b.post(t, "/templates", form)
	require.Equal(t, http.StatusUnprocessableEntity, answer.status)
	answer.shows(t, "{% if %}", "the form keeps what was typed")
	answer.shows(t, "line 2")
	b.post(t, "/templates/preview", form).shows(t, "line 2")

	b.addContact(t, b.tenant, "a@example.org", `Ti <b>Marie</b>`, "", "{}")
	form.Set("body_html", "<p>Dear {{ contact.first_name }}</p>")
	preview := b.post(t, "/templates/preview", form)
	preview.shows(t, "<p>Dear Ti &lt;b&gt;Marie&lt;/b&gt;</p>")
	require.Contains(t, preview.header.Get("Content-Security-Policy"), "sandbox;")
	require.Equal(t, "SAMEORIGIN", preview.header.Get("X-Frame-Options"))

	path := b.post(t, "/templates", form).header.Get("Location")
	form.Set("subject", "Changed")
	require.Equal(t, http.StatusSeeOther, b.post(t, strings.TrimSuffix(path, "?done=saved"), form).status)
	b.get(t, path).shows(t, `value="Changed"`)
	require.Equal(t, http.StatusNotFound, b.post(t, "/templates/"+id().String(), form).status)
}

func TestKeysAreShownOnceAndRevoked(t *testing.T) {
	t.Parallel()
	b := setup(t).logIn(t)
	answer := b.post(t, "/settings/keys", url.Values{"kind": {"write"}, "name": {"shop"}})
	require.Equal(t, http.StatusCreated, answer.status, answer.body)
	answer.shows(t, "shown only this once")
	keys, err := b.users.Keys(t.Context(), b.tenant)
	require.NoError(t, err)
	require.Len(t, keys, 1)
	again := b.get(t, "/settings")
	again.hides(t, "shown only this once")
	require.Equal(t, "/settings?done=revoked", b.post(t, "/settings/keys/"+keys[0].ID.String()+"/revoke", nil).header.Get("Location"))
	b.get(t, "/settings").shows(t, "Revoked")
	answer = b.post(t, "/settings/keys", url.Values{"kind": {"write"}, "name": {strings.Repeat("n", 300)}})
	require.Equal(t, http.StatusUnprocessableEntity, answer.status)
}

func TestAViewerChangesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.users.CreateUser(t.Context(), b.tenant, account.User{Email: "viewer@example.org", Name: "V", Role: account.Viewer, Password: password})
	require.NoError(t, err)
	b.email = "viewer@example.org"
	b.logIn(t)
	for _, path := range everyPage {
		want := http.StatusOK
		if path == "/memory/erase" {
			want = http.StatusForbidden
		}
		require.Equal(t, want, b.get(t, path).status, path)
	}
	b.get(t, "/settings").hides(t, "Create a key")
	for _, path := range []string{"/campaigns", "/segments", "/templates", "/settings/keys", "/campaigns/" + id().String() + "/start", "/customers/" + id().String() + "/erase"} {
		require.Equal(t, http.StatusForbidden, b.post(t, path, url.Values{"name": {"x"}}).status, path)
	}
}

func TestAnotherSitesFormIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t).logIn(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.server.URL+"/settings/keys", strings.NewReader("kind=secret&name=x"))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Sec-Fetch-Site", "cross-site")
	response, err := b.client.Do(request)
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, read(t, response).status)
}

func TestStaticFilesAreKeptByBrowsers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	page := b.get(t, "/login").body
	for _, name := range []string{"app.css", "app.js", "htmx.js", "charts.js", "logo.svg"} {
		start := strings.Index(page, "/static/")
		hash := strings.Split(page[start:], "/")[2]
		answer := b.get(t, "/static/"+hash+"/"+name)
		require.Equal(t, http.StatusOK, answer.status, name)
		require.Contains(t, answer.header.Get("Cache-Control"), "immutable")
	}
	require.Equal(t, http.StatusOK, b.get(t, "/static/old/app.css").status)
	require.Equal(t, http.StatusNotFound, b.get(t, "/static/x/nothing.js").status)
	require.Equal(t, http.StatusNotFound, b.get(t, "/static/x/").status)
}

func segmentFields(name, kind, text, op, value string) url.Values {
	return url.Values{
		"name": {name}, "match": {"all"}, "kind": {kind}, "text": {text}, "op": {op}, "value": {value},
		"did": {"sent"}, "consent": {"granted"}, "days": {""},
	}
}

// idIn returns the id in a path such as /segments/<id>?done=saved.
func idIn(t *testing.T, location string) string {
	t.Helper()
	path, _, _ := strings.Cut(location, "?")
	parts := strings.Split(path, "/")
	parsed, err := uuid.Parse(parts[len(parts)-1])
	require.NoError(t, err, location)
	return parsed.String()
}

func grouped(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10)
	}
	return grouped(n/1000) + fmt.Sprintf(",%03d", n%1000)
}
