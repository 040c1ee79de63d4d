package outreach_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/madansara/outreach"
)

// surface is the API as somebody of one tenant sees it.
type surface struct {
	handler   http.Handler
	principal httpkit.Principal
}

func (b *bundle) api(t *testing.T) surface {
	t.Helper()
	mux := http.NewServeMux()
	b.service.Register(humago.New(mux, huma.DefaultConfig("Test", "1")))
	return surface{handler: mux, principal: httpkit.Principal{Tenant: b.tenant, Name: "tester", Scopes: []string{"*"}}}
}

func (s surface) as(tenant uuid.UUID, scopes ...string) surface {
	s.principal = httpkit.Principal{Tenant: tenant, Name: "tester", Scopes: scopes}
	return s
}

func (s surface) call(t *testing.T, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	request := httptest.NewRequest(method, path, reader).WithContext(httpkit.WithPrincipal(t.Context(), s.principal))
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	s.handler.ServeHTTP(recorder, request)
	return recorder
}

func (b *bundle) messages(t *testing.T, f outreach.MessageFilter) []outreach.Message {
	t.Helper()
	messages, err := b.service.Messages(t.Context(), b.tenant, f, uuid.Nil, 200)
	require.NoError(t, err)
	return messages
}

func TestSinglesGoThroughThePipelineOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.template = b.newTemplate(t, b.tenant, "Order {{ data.order }}")
	b.start(t)
	ids := b.contacts(t, 3)
	api := b.api(t)
	body := func(contact uuid.UUID, order string) string {
		return `{"contact_uuid":"` + contact.String() + `","template_uuid":"` + b.template.String() + `","data":{"order":"` + order + `"}}`
	}
	first := api.call(t, http.MethodPost, "/api/v1/outreach/send", body(ids[0], "<b>1</b>"), "Idempotency-Key", "k'; --")
	require.Equal(t, http.StatusAccepted, first.Code, first.Body.String())
	again := api.call(t, http.MethodPost, "/api/v1/outreach/send", body(ids[0], "<b>1</b>"), "Idempotency-Key", "k'; --")
	require.Equal(t, first.Body.String(), again.Body.String())
	other := api.call(t, http.MethodPost, "/api/v1/outreach/send", body(ids[0], "2"), "Idempotency-Key", "k'; --")
	require.Equal(t, http.StatusConflict, other.Code, other.Body.String())
	duplicate := api.call(t, http.MethodPost, "/api/v1/outreach/send", body(ids[0], "<b>1</b>"))
	require.Contains(t, duplicate.Body.String(), `"code":"duplicate"`)

	batch := `{"messages":[` + body(ids[1], "2") + "," + body(ids[2], "3") + `]}`
	firstBatch := api.call(t, http.MethodPost, "/api/v1/outreach/send-batch", batch, "Idempotency-Key", "batch")
	require.Equal(t, http.StatusAccepted, firstBatch.Code, firstBatch.Body.String())
	require.Equal(t, firstBatch.Body.String(), api.call(t, http.MethodPost, "/api/v1/outreach/send-batch", batch, "Idempotency-Key", "batch").Body.String())
	bad := api.call(t, http.MethodPost, "/api/v1/outreach/send-batch", `{"messages":[`+body(ids[1], "9")+","+body(uuid.New(), "3")+`]}`)
	require.Equal(t, http.StatusNotFound, bad.Code)
	require.Contains(t, bad.Body.String(), "messages[1]")

	require.Eventually(t, func() bool {
		return len(b.messages(t, outreach.MessageFilter{Status: outreach.Sent})) == 3
	}, time.Minute, 20*time.Millisecond)
	require.Equal(t, 3, b.provider.count())
	require.Equal(t, "Order <b>1</b>", b.messages(t, outreach.MessageFilter{Contact: ids[0]})[0].Subject)
}

func TestOnlyADraftIsChangedAndStatesAreKept(t *testing.T) {
	t.Parallel()
	b := setup(t).start(t)
	api := b.api(t)
	draft := `{"name":"N","segment_uuid":"` + b.segment.String() + `","template_uuid":"` + b.template.String() + `"}`
	created := api.call(t, http.MethodPost, "/api/v1/outreach/campaigns", draft)
	require.Equal(t, http.StatusCreated, created.Code, created.Body.String())
	var campaign outreach.Campaign
	require.NoError(t, json.Unmarshal(created.Body.Bytes(), &campaign))
	one := "/api/v1/outreach/campaigns/" + campaign.UUID.String()
	for _, step := range []struct {
		method, path, body string
		status             int
	}{
		{http.MethodPost, one + "/pause", "", 409},
		{http.MethodPut, one, strings.Replace(draft, `"N"`, `"Renamed"`, 1), 200},
		{http.MethodPost, one + "/start", "", 200},
		{http.MethodPut, one, draft, 409},
		{http.MethodGet, one + "/status", "", 200},
		{http.MethodGet, one + "/decisions", "", 200},
		{http.MethodGet, "/api/v1/outreach/campaigns?status=draft", "", 200},
	} {
		answer := api.call(t, step.method, step.path, step.body)
		require.Equal(t, step.status, answer.Code, "%s %s: %s", step.method, step.path, answer.Body.String())
	}
	b.awaitStatus(t, campaign.UUID, outreach.Finished) // nobody is in the segment
	require.Equal(t, 409, api.call(t, http.MethodPost, one+"/start", "").Code)
}

// Another tenant's ids are ids of nothing.
func TestOtherTenantsSeeNothing(t *testing.T) {
	t.Parallel()
	b := setup(t).start(t)
	ids := b.contacts(t, 1)
	c := b.startCampaign(t)
	b.awaitStatus(t, c.UUID, outreach.Finished)
	message := b.messages(t, outreach.MessageFilter{})[0]
	other := dbtest.Tenant(t, b.url)
	otherTemplate, otherSegment := b.newTemplate(t, other, "x"), b.newSegment(t, other, `{"created":{"after":"2000-01-01T00:00:00Z"}}`)
	api := b.api(t).as(other, "*")
	const base = "/api/v1/outreach"
	for _, step := range []struct {
		method, path, body string
		status             int
	}{
		{http.MethodGet, "/campaigns/" + c.UUID.String(), "", 404},
		{http.MethodPut, "/campaigns/" + c.UUID.String(), `{"name":"N","segment_uuid":"` + otherSegment.String() + `","template_uuid":"` + otherTemplate.String() + `"}`, 404},
		{http.MethodPost, "/campaigns/" + c.UUID.String() + "/start", "", 404},
		{http.MethodPost, "/campaigns/" + c.UUID.String() + "/pause", "", 404},
		{http.MethodGet, "/campaigns/" + c.UUID.String() + "/status", "", 404},
		{http.MethodGet, "/campaigns/" + c.UUID.String() + "/decisions", "", 404},
		{http.MethodGet, "/messages/" + message.UUID.String(), "", 404},
		{http.MethodPost, "/messages/" + message.UUID.String() + "/resolve", `{"outcome":"resend"}`, 404},
		{http.MethodPost, "/campaigns", `{"name":"N","segment_uuid":"` + b.segment.String() + `","template_uuid":"` + otherTemplate.String() + `"}`, 422},
		{http.MethodPost, "/campaigns", `{"name":"N","segment_uuid":"` + otherSegment.String() + `","template_uuid":"` + b.template.String() + `"}`, 422},
		{http.MethodPost, "/send", `{"contact_uuid":"` + ids[0].String() + `","template_uuid":"` + otherTemplate.String() + `"}`, 404},
		{http.MethodPost, "/send", `{"contact_uuid":"` + ids[0].String() + `","template_uuid":"` + b.template.String() + `"}`, 404},
		{http.MethodDelete, "/suppressions?address=person0@example.com", "", 404},
	} {
		answer := api.call(t, step.method, base+step.path, step.body)
		require.Equal(t, step.status, answer.Code, "%s %s: %s", step.method, step.path, answer.Body.String())
		require.Contains(t, answer.Header().Get("Content-Type"), "application/problem+json")
	}
	require.JSONEq(t, `[]`, field(t, api.call(t, http.MethodGet, base+"/messages", ""), "messages"))
	require.JSONEq(t, `[]`, field(t, api.call(t, http.MethodGet, base+"/campaigns", ""), "campaigns"))
	require.Equal(t, http.StatusForbidden, b.api(t).as(b.tenant, "ingest:write").call(t, http.MethodGet, base+"/messages", "").Code)
}

func field(t *testing.T, answer *httptest.ResponseRecorder, name string) string {
	t.Helper()
	require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
	var fields map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &fields))
	return string(fields[name])
}

func TestBadInputIsRefusedClearly(t *testing.T) {
	t.Parallel()
	b := setup(t).start(t)
	api := b.api(t)
	ids := b.contacts(t, 1)
	draft := func(change string) string {
		return `{"segment_uuid":"` + b.segment.String() + `","template_uuid":"` + b.template.String() + `",` + change + `}`
	}
	send := func(change string) string {
		return `{"contact_uuid":"` + ids[0].String() + `","template_uuid":"` + b.template.String() + `"` + change + `}`
	}
	const base = "/api/v1/outreach"
	for name, bad := range map[string]struct{ method, path, body string }{
		"malformed":          {http.MethodPost, "/campaigns", `{"name":`},
		"wrong type":         {http.MethodPost, "/campaigns", draft(`"name":5`)},
		"unknown field":      {http.MethodPost, "/campaigns", draft(`"name":"N","status":"running"`)},
		"no name":            {http.MethodPost, "/campaigns", draft(`"name":""`)},
		"long name":          {http.MethodPost, "/campaigns", draft(`"name":"` + strings.Repeat("x", 201) + `"`)},
		"NUL":                {http.MethodPost, "/campaigns", draft(`"name":"a\u0000b"`)},
		"invalid UTF-8":      {http.MethodPost, "/campaigns", draft("\"name\":\"a\xff\",\"from_name\":\"\\u0000\"")},
		"header injection":   {http.MethodPost, "/campaigns", draft(`"name":"N","from_name":"a\r\nBcc: x@example.com"`)},
		"address injection":  {http.MethodPost, "/campaigns", draft(`"name":"N","from_email":"a@example.com\r\nBcc: x@example.com"`)},
		"somebody's domain":  {http.MethodPost, "/campaigns", draft(`"name":"N","from_email":"ceo@bank.example"`)},
		"a domain's child":   {http.MethodPost, "/campaigns", draft(`"name":"N","from_email":"ceo@bank.example.com"`)},
		"no address":         {http.MethodPost, "/campaigns", draft(`"name":"N","from_email":"nobody"`)},
		"negative rate":      {http.MethodPost, "/campaigns", draft(`"name":"N","rate_per_second":-1`)},
		"huge rate":          {http.MethodPost, "/campaigns", draft(`"name":"N","rate_per_second":1e99`)},
		"other channel":      {http.MethodPost, "/campaigns", draft(`"name":"N","channel":"pigeon"`)},
		"no ids":             {http.MethodPost, "/campaigns", `{"name":"N"}`},
		"id not one":         {http.MethodGet, "/campaigns/1%20OR%201=1", ""},
		"status not one":     {http.MethodGet, "/campaigns?status=x'--", ""},
		"cursor not one":     {http.MethodGet, "/messages?cursor=x", ""},
		"limit":              {http.MethodGet, "/messages?limit=100000", ""},
		"code":               {http.MethodGet, "/campaigns/" + uuid.NewString() + "/decisions?code='--", ""},
		"outcome":            {http.MethodPost, "/messages/" + uuid.NewString() + "/resolve", `{"outcome":"queued"}`},
		"huge data":          {http.MethodPost, "/send", send(`,"data":{"x":"` + strings.Repeat("x", 20_000) + `"}`)},
		"data an array":      {http.MethodPost, "/send", send(`,"data":[1]`)},
		"NUL in data":        {http.MethodPost, "/send", send(`,"data":{"x":"\u0000"}`)},
		"too many":           {http.MethodPost, "/send-batch", `{"messages":[` + strings.Repeat(send("")+",", 500) + send("") + `]}`},
		"none":               {http.MethodPost, "/send-batch", `{"messages":[]}`},
		"suppress nobody":    {http.MethodPost, "/suppressions", `{"address":"no body"}`},
		"suppress NUL":       {http.MethodPost, "/suppressions", `{"address":"a\u0000@example.com"}`},
		"suppress why":       {http.MethodPost, "/suppressions", `{"address":"a@example.com","reason":"because"}`},
		"suppression cursor": {http.MethodGet, "/suppressions?cursor=nowhere", ""},
		"suppression NUL":    {http.MethodGet, "/suppressions?channel=%00", ""},
		"long key":           {http.MethodPost, "/send", send(`,"channel":"` + strings.Repeat("x", 300) + `"`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := api.call(t, bad.method, base+bad.path, bad.body)
			require.Contains(t, []int{400, 404, 413, 422}, answer.Code, answer.Body.String())
			require.Contains(t, answer.Header().Get("Content-Type"), "application/problem+json")
		})
	}
}

// SQL and HTML in text is text.
func TestHostileTextIsKeptAsItIs(t *testing.T) {
	t.Parallel()
	b := setup(t).start(t)
	hostile := `'; DROP TABLE outreach_campaigns; -- <script>alert(1)</script> {{ 1 | plus: 1 }} \x00 %s $1`
	c, err := b.service.Create(t.Context(), b.tenant, outreach.CampaignDraft{Name: hostile, FromName: hostile, Segment: b.segment, Template: b.template})
	require.NoError(t, err)
	require.Equal(t, hostile, c.Name)
	got, err := b.service.Get(t.Context(), b.tenant, c.UUID)
	require.NoError(t, err)
	require.Equal(t, c, got)
	require.NoError(t, b.service.Suppress(t.Context(), b.tenant, "email", `'--@example.com`, "manual"))
	listed, err := b.service.Suppressions(t.Context(), b.tenant, "", outreach.Suppression{}, 10)
	require.NoError(t, err)
	require.Equal(t, `'--@example.com`, listed[0].Address)
	require.NoError(t, b.service.Unsuppress(t.Context(), b.tenant, "email", `'--@example.com`))
}
