package segment_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/httpkit"
	"github.com/engardehq/madansara/internal/madansara/contact/segment"
)

type surface struct {
	handler       http.Handler
	tenant, other uuid.UUID
}

func setup(t *testing.T) surface {
	t.Helper()
	url, db := dbtest.App(t, "madan_sara_app")
	mux := http.NewServeMux()
	segment.New(db, clockwork.NewFakeClockAt(now)).Register(humago.New(mux, huma.DefaultConfig("Test", "1")))
	return surface{handler: mux, tenant: dbtest.Tenant(t, url), other: dbtest.Tenant(t, url)}
}

func (s surface) call(t *testing.T, tenant uuid.UUID, method, path, body string) (int, map[string]any) {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	ctx := httpkit.WithPrincipal(t.Context(), httpkit.Principal{Tenant: tenant, Name: "tester", Scopes: []string{"contacts:read", "contacts:write"}})
	request := httptest.NewRequest(method, path, reader).WithContext(ctx)
	request.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	s.handler.ServeHTTP(recorder, request)
	answer := map[string]any{}
	if recorder.Body.Len() > 0 {
		require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &answer), recorder.Body.String())
	}
	return recorder.Code, answer
}

func TestSegmentsLiveTheirLife(t *testing.T) {
	t.Parallel()
	s := setup(t)
	const rules = `{"all":[{"event":{"name":"Signed Up"}},{"not":{"conversion":{}}}]}`
	status, created := s.call(t, s.tenant, "POST", "/api/v1/segments", `{"name":"'; DROP TABLE segments; --","rules":`+rules+`}`)
	require.Equal(t, 201, status, created)
	require.Equal(t, "'; DROP TABLE segments; --", created["name"])
	one := "/api/v1/segments/" + created["segment_uuid"].(string)

	for _, step := range []struct {
		tenant             uuid.UUID
		method, path, body string
		status             int
	}{
		{s.tenant, "GET", one, "", 200},
		{s.tenant, "GET", one + "/count", "", 200},
		{s.tenant, "GET", "/api/v1/segments?limit=1", "", 200},
		{s.tenant, "GET", "/api/v1/segments/starters", "", 200},
		{s.tenant, "POST", "/api/v1/segments/preview", `{"rules":` + rules + `}`, 200},
		{s.other, "GET", one, "", 404},
		{s.other, "GET", one + "/count", "", 404},
		{s.other, "PUT", one, `{"name":"Mine now","rules":` + rules + `}`, 404},
		{s.other, "DELETE", one, "", 404},
		{s.tenant, "PUT", one, `{"name":"Renamed","rules":` + rules + `}`, 200},
		{s.tenant, "DELETE", one, "", 204},
		{s.tenant, "DELETE", one, "", 404},
	} {
		status, answer := s.call(t, step.tenant, step.method, step.path, step.body)
		require.Equal(t, step.status, status, "%s %s: %v", step.method, step.path, answer)
	}
}

func TestBadRulesAreRefusedWithTheirPlace(t *testing.T) {
	t.Parallel()
	s := setup(t)
	deep := strings.Repeat(`{"not":`, 7) + `{"created":{"after":"2020-01-01T00:00:00Z"}}` + strings.Repeat("}", 7)
	wide := `{"any":[` + strings.Repeat(`{"event":{"name":"a"}},`, 49) + `{"any":[{"event":{"name":"a"}}]}]}`
	for name, test := range map[string]struct {
		rules string
		want  string
	}{
		"nothing":             {`{}`, "exactly one of"},
		"two at once":         {`{"event":{"name":"a"},"visit":{}}`, "exactly one of"},
		"empty group":         {`{"all":[]}`, "holds no rule"},
		"too deep":            {deep, "deeper than 6"},
		"too many":            {wide, "at most 50"},
		"unknown field":       {`{"sql":"1=1"}`, ""},
		"unknown column":      {`{"field":{"name":"tenant_uuid","op":"exists"}}`, "traits.<name>"},
		"column injection":    {`{"field":{"name":"email) OR (1=1","op":"exists"}}`, "traits.<name>"},
		"unknown operator":    {`{"field":{"name":"email","op":"like","value":"%"}}`, ""},
		"value of wrong sort": {`{"field":{"name":"email","op":"gt","value":"a"}}`, "takes a number"},
		"value an object":     {`{"field":{"name":"email","op":"eq","value":{"a":1}}}`, "give text"},
		"value missing":       {`{"field":{"name":"email","op":"eq"}}`, "give text"},
		"NUL":                 {`{"event":{"name":"a\u0000b"}}`, "NUL"},
		"NUL in a value":      {`{"field":{"name":"traits.x","op":"eq","value":"\u0000"}}`, "NUL"},
		"negative days":       {`{"event":{"name":"a","within_days":-1}}`, ""},
		"huge days":           {`{"event":{"name":"a","within_days":99999999999999}}`, ""},
		"no name":             {`{"event":{"name":""}}`, ""},
		"long name":           {`{"event":{"name":"` + strings.Repeat("x", 201) + `"}}`, ""},
		"long trait":          {`{"field":{"name":"traits.` + strings.Repeat("x", 201) + `","op":"exists"}}`, ""},
		"bad consent":         {`{"consent":{"channel":"email","status":"maybe"}}`, ""},
		"bad campaign":        {`{"message":{"campaign_uuid":"1 OR 1=1","did":"sent"}}`, ""},
		"year 99999":          {`{"created":{"after":"99999-01-01T00:00:00Z"}}`, ""},
		"year 1":              {`{"created":{"after":"0001-01-02T00:00:00Z"}}`, "between the years"},
		"no bounds":           {`{"created":{}}`, "after, before or both"},
		"an array":            {`[]`, ""},
		"text":                {`"1=1"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, request := range []struct{ path, body string }{
				{"/api/v1/segments", `{"name":"S","rules":` + test.rules + `}`},
				{"/api/v1/segments/preview", `{"rules":` + test.rules + `}`},
			} {
				status, answer := s.call(t, s.tenant, "POST", request.path, request.body)
				require.Contains(t, []int{400, 422}, status, answer)
				raw, err := json.Marshal(answer)
				require.NoError(t, err)
				plain := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(string(raw))
				require.Contains(t, plain, test.want)
			}
		})
	}
}

func TestStartersAreValid(t *testing.T) {
	t.Parallel()
	require.NotEmpty(t, segment.Starters())
	for _, starter := range segment.Starters() {
		require.NoError(t, starter.Rules.Validate(), starter.Name)
	}
}
