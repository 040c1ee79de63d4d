package integration_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/core/audit"
	"github.com/engardehq/madansara/internal/core/integration"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/mesh"
)

func TestCredentialsGoInAndDoNotComeOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := b.sendgrid(t, "default")
	require.Equal(t, map[string]string{"api_key": "…1234"}, made.Credentials)
	require.Equal(t, map[string]string{"from_email": "a@example.com"}, made.Settings)
	require.True(t, made.Enabled)
	path := "/api/v1/integrations/" + made.ID.String()
	answers := []answer{
		b.send(t, b.owner, http.MethodGet, path, ""),
		b.send(t, b.narrow, http.MethodGet, "/api/v1/integrations?provider=sendgrid", ""),
		b.send(t, b.owner, http.MethodPost, "/api/v1/integrations", `{"provider":"sendgrid","credentials":{"api_key":"`+apiKey+`"}}`),
		b.send(t, b.owner, http.MethodPost, "/api/v1/integrations", `{"provider":"sendgrid","name":"x","credentials":{"api_key":"`+apiKey+`\n"}}`),
		b.send(t, b.owner, http.MethodPost, "/api/v1/integrations", `{"provider":"sendgrid","name":"x","credentials":{"api_kye":"`+apiKey+`"}}`),
		b.send(t, b.owner, http.MethodPatch, path, `{"credentials":{"api_key":"`+apiKey+`","webhook_verification_key":"short"},"enabled":false}`),
	}
	for i, status := range []int{200, 200, 409, 422, 422, 200} {
		require.Equal(t, status, answers[i].status, answers[i].body)
		require.NotContains(t, answers[i].body, apiKey)
	}
	require.Contains(t, answers[5].body, `"webhook_verification_key":"…"`, "of a short one nothing is shown")
	require.NotContains(t, b.logged.String(), apiKey)

	// Nor do they stand in the database as they are.
	var row string
	require.NoError(t, dbtest.Pool(t, b.url, "").Pool().QueryRow(t.Context(), "select i::text || encode(credentials, 'escape') from integrations i").Scan(&row))
	require.NotContains(t, row, "very-secret")
	entries, _, err := b.log.List(t.Context(), b.tenant, audit.Filter{Object: made.ID.String()}, "", 10)
	require.NoError(t, err)
	require.Len(t, entries, 2)
	require.JSONEq(t, `{"credentials":["api_key","webhook_verification_key"],"enabled":false}`, string(entries[0].Details))
	require.JSONEq(t, `{"provider":"sendgrid","name":"default","credentials":["api_key"]}`, string(entries[1].Details))

	require.Equal(t, http.StatusForbidden, b.send(t, b.narrow, http.MethodDelete, path, "").status)
	require.Equal(t, http.StatusNoContent, b.send(t, b.owner, http.MethodDelete, path, "").status)
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		require.Equal(t, http.StatusNotFound, b.send(t, b.owner, method, path, "").status)
	}
	require.Equal(t, http.StatusNotFound, b.send(t, b.owner, http.MethodPatch, path, `{"enabled":true}`).status)
}

// TestAMailServerIsOfThePublicInternet: otherwise a tenant could have us speak to what only we reach.
func TestAMailServerIsOfThePublicInternet(t *testing.T) {
	t.Parallel()
	b := setup(t)
	create := func(name, settings string) answer {
		return b.send(t, b.owner, http.MethodPost, "/api/v1/integrations", `{"provider":"smtp","name":"`+name+`","settings":`+settings+`}`)
	}
	for settings, place := range map[string]string{
		`{"host":"127.0.0.1"}`:                                "body.settings.host",
		`{"host":"::ffff:169.254.169.254"}`:                   "body.settings.host",
		`{"host":"10.1.2.3","port":"25"}`:                     "body.settings.host",
		`{"host":"smtp.example.com:25"}`:                      "body.settings.host",
		`{"host":"http://smtp.example.com"}`:                  "body.settings.host",
		`{"host":"smtp.example.com","port":"6379"}`:           "body.settings.port",
		`{"host":"smtp.example.com","port":"5432"}`:           "body.settings.port",
		`{"host":"smtp.example.com","port":"0"}`:              "body.settings.port",
		`{"host":"smtp.example.com","port":"65536"}`:          "body.settings.port",
		`{"host":"smtp.example.com","port":"smtp"}`:           "body.settings.port",
		`{"host":"smtp.example.com","port":"+587"}`:           "body.settings.port",
		`{"host":"smtp.example.com","port":"-1"}`:             "body.settings.port",
		`{"host":"1.1.1.1","port":"587","username":"a\nb"}`:   "body.settings.username",
		`{"host":"smtp.example.com","tls":"none"}`:            "body.settings.tls",
		`{"host":"localhost","tls":"none"}`:                   "body.settings.tls",
		`{"host":"smtp.example.com","tls":"ssl"}`:             "body.settings.tls",
		`{"host":"smtp.example.com","from_email":"Shop"}`:     "body.settings.from_email",
		`{"host":"a.example","from_email":"A <a@b.example>"}`: "body.settings.from_email",
	} {
		refused := create("refused", settings)
		require.Equal(t, http.StatusUnprocessableEntity, refused.status, settings)
		require.Contains(t, refused.body, place, settings)
	}
	for i, settings := range []string{`{"host":"smtp.example.com"}`, `{"host":"1.1.1.1","port":"465"}`, `{"host":"smtp.example.com","port":"2525","tls":"starttls"}`} {
		made := create(strings.Repeat("x", i+1), settings)
		require.Equal(t, http.StatusCreated, made.status, made.body)
	}
	list := b.send(t, b.owner, http.MethodGet, "/api/v1/integrations?provider=smtp", "")
	var of struct {
		Integrations []integration.Integration `json:"integrations"`
	}
	require.NoError(t, json.Unmarshal([]byte(list.body), &of))
	require.Len(t, of.Integrations, 3)
	moved := b.send(t, b.owner, http.MethodPatch, "/api/v1/integrations/"+of.Integrations[0].ID.String(), `{"settings":{"host":"192.168.0.1"},"credentials":{"password":"a password"}}`)
	require.Equal(t, http.StatusUnprocessableEntity, moved.status, moved.body)
	require.Contains(t, moved.body, "body.settings.host")
}

func TestServicesAreGivenCredentials(t *testing.T) {
	t.Parallel()
	b := setup(t)
	peer := b.peer(t, mesh.MadanSara)
	_, err := peer.Integration(t.Context(), b.tenant.String(), "sendgrid", "")
	require.ErrorIs(t, err, mesh.ErrNoIntegration)
	first := b.sendgrid(t, "marketing")
	given, err := peer.Integration(t.Context(), b.tenant.String(), "sendgrid", "")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"api_key": apiKey}, given.Credentials)
	require.Equal(t, map[string]string{"from_email": "a@example.com"}, given.Settings)
	require.Equal(t, first.ID.String(), given.IntegrationID)
	for _, printed := range []string{fmt.Sprint(given), fmt.Sprintf("%v %+v %#v", given, *given, *given), slog.AnyValue(given).Resolve().String()} {
		require.NotContains(t, printed, apiKey)
	}
	entries, _, err := b.log.List(t.Context(), b.tenant, audit.Filter{Action: "integration.credentials_read"}, "", 10)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, "service madan-sara", entries[0].Actor)
	require.Equal(t, first.ID.String(), entries[0].Object)

	second := b.sendgrid(t, "default")
	given, err = peer.Integration(t.Context(), b.tenant.String(), "sendgrid", "")
	require.NoError(t, err)
	require.Equal(t, second.ID.String(), given.IntegrationID, "the default comes first")
	given, err = peer.Integration(t.Context(), b.tenant.String(), "sendgrid", "marketing")
	require.NoError(t, err)
	require.Equal(t, first.ID.String(), given.IntegrationID)
	require.Equal(t, http.StatusOK, b.send(t, b.owner, http.MethodPatch, "/api/v1/integrations/"+first.ID.String(), `{"enabled":false}`).status)
	_, err = peer.Integration(t.Context(), b.tenant.String(), "sendgrid", "marketing")
	require.ErrorIs(t, err, mesh.ErrNoIntegration, "one that is switched off is as none")
	require.NotContains(t, b.logged.String(), apiKey)
}

func TestNobodyElseIsGivenThem(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sendgrid(t, "default")
	const path = "/api/v1/integrations/credentials/sendgrid"
	got := b.send(t, b.owner, http.MethodGet, path, "")
	require.Equal(t, http.StatusForbidden, got.status, "an owner's key: %s", got.body)
	require.Equal(t, http.StatusForbidden, b.send(t, b.narrow, http.MethodGet, path, "").status)
	require.Equal(t, http.StatusUnauthorized, b.send(t, "mssk_x", http.MethodGet, path, "").status)

	_, err := b.peer(t, mesh.Sankore).Integration(t.Context(), b.tenant.String(), "sendgrid", "")
	var failure *mesh.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, http.StatusForbidden, failure.Status, "a service that sends no mail")
	for _, name := range []string{"", "default"} {
		_, err = b.peer(t, mesh.MadanSara).Integration(t.Context(), dbtest.Tenant(t, b.url).String(), "sendgrid", name)
		require.ErrorIs(t, err, mesh.ErrNoIntegration, "another tenant")
	}
	_, err = b.peer(t, mesh.MadanSara).Integration(t.Context(), b.tenant.String(), "no such/../provider", "")
	require.ErrorIs(t, err, mesh.ErrNoIntegration)

	// The Python peers' secret in a header is not a signature.
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.server.URL+path, http.NoBody)
	require.NoError(t, err)
	request.Header.Set("X-Service-Secret", sentSecret)
	request.Header.Set("X-Service-Source", mesh.MadanSara)
	request.Header.Set("X-Test-Tenant", b.tenant.String())
	response, err := b.server.Client().Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusForbidden, response.StatusCode)
	entries, _, err := b.log.List(t.Context(), b.tenant, audit.Filter{Action: "integration.credentials_read"}, "", 10)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestACopiedRowDoesNotOpen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	mine := b.sendgrid(t, "default")
	thief := dbtest.Tenant(t, b.url)
	theirs, err := b.integrations.Create(t.Context(), thief, integration.Draft{Provider: "sendgrid", Credentials: map[string]string{"api_key": "mine"}, Enabled: true})
	require.NoError(t, err)
	_, err = dbtest.Pool(t, b.url, "").Pool().Exec(t.Context(),
		"update integrations set credentials = (select credentials from integrations where integration_uuid = $1) where integration_uuid = $2", mine.ID, theirs.ID)
	require.NoError(t, err)
	_, err = b.integrations.Reveal(t.Context(), mesh.MadanSara, thief, "sendgrid", "")
	require.ErrorContains(t, err, "cannot be decrypted")
	_, err = b.integrations.Reveal(t.Context(), mesh.MadanSara, b.tenant, "sendgrid", "")
	require.NoError(t, err)
}

func TestTenantsDoNotMeet(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := dbtest.Tenant(t, b.url)
	theirs, err := b.integrations.Create(t.Context(), other, integration.Draft{Provider: "webhook", Settings: map[string]string{"url": "https://example.com/"}})
	require.NoError(t, err)
	path := "/api/v1/integrations/" + theirs.ID.String()
	require.Equal(t, http.StatusNotFound, b.send(t, b.owner, http.MethodGet, path, "").status)
	require.Equal(t, http.StatusNotFound, b.send(t, b.owner, http.MethodPatch, path, `{"name":"mine"}`).status)
	require.Equal(t, http.StatusNotFound, b.send(t, b.owner, http.MethodDelete, path, "").status)
	require.NotContains(t, b.send(t, b.owner, http.MethodGet, "/api/v1/integrations", "").body, theirs.ID.String())
}

func TestHostileIntegrations(t *testing.T) {
	t.Parallel()
	b := setup(t)
	webhook := func(address string) string {
		return fmt.Sprintf(`{"provider":"webhook","name":"w","settings":{"url":%q}}`, address)
	}
	for name, body := range map[string]string{
		"no provider": `{}`, "unknown provider": `{"provider":"'; drop table integrations; --"}`, "credential missing": `{"provider":"sendgrid"}`,
		"setting missing": `{"provider":"whatsapp","credentials":{"access_token":"x"}}`, "empty": `{"provider":"sendgrid","credentials":{"api_key":""}}`,
		"a number": `{"provider":"sendgrid","credentials":{"api_key":5}}`, "a list": `{"provider":"sendgrid","credentials":["x"]}`,
		"blank":                  `{"provider":"sendgrid","credentials":{"api_key":" x"}}`,
		"a header more":          `{"provider":"sendgrid","credentials":{"api_key":"x\r\nX-Evil: 1"}}`,
		"NUL":                    `{"provider":"sendgrid","credentials":{"api_key":"x\u0000"}}`,
		"too long":               `{"provider":"sendgrid","credentials":{"api_key":"` + strings.Repeat("x", 8<<10+1) + `"}}`,
		"a secret in settings":   `{"provider":"sendgrid","settings":{"api_key":"x"},"credentials":{"api_key":"x"}}`,
		"a setting in secrets":   `{"provider":"sendgrid","credentials":{"api_key":"x","from_email":"a@example.com"}}`,
		"long name":              `{"provider":"sendgrid","name":"` + strings.Repeat("é", 201) + `","credentials":{"api_key":"x"}}`,
		"a field more":           `{"provider":"sendgrid","credentials":{"api_key":"x"},"key_id":"1"}`,
		"metadata service":       webhook("http://169.254.169.254/latest/meta-data/"),
		"loopback":               webhook("http://127.0.0.1:8000/"),
		"loopback, in one":       webhook("http://[::ffff:127.0.0.1]/"),
		"private":                webhook("https://10.0.0.5/"),
		"a file":                 webhook("file:///etc/passwd"),
		"a script":               webhook("javascript:alert(1)"),
		"with a password":        webhook("https://user:pass@example.com/"),
		"a port of a database":   webhook("https://example.com:5432/"),
		"no URL":                 webhook("::::"),
		"instance in a metadata": `{"provider":"salesforce","settings":{"instance_url":"http://metadata.google.internal%00/","client_id":"x"},"credentials":{"client_secret":"x","refresh_token":"x"}}`,
	} {
		got := b.send(t, b.owner, http.MethodPost, "/api/v1/integrations", body)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, "%s: %s", name, got.body)
	}
	require.Equal(t, http.StatusRequestEntityTooLarge,
		b.send(t, b.owner, http.MethodPost, "/api/v1/integrations", `{"provider":"`+strings.Repeat("x", 129<<10)+`"}`).status)
	require.JSONEq(t, `{"integrations":[]}`, b.send(t, b.owner, http.MethodGet, "/api/v1/integrations", "").body)

	require.Equal(t, http.StatusCreated, b.send(t, b.owner, http.MethodPost, "/api/v1/integrations", webhook("https://example.com/hook")).status)
	var one struct{ Integrations []integration.Integration }
	b.send(t, b.owner, http.MethodGet, "/api/v1/integrations", "").read(t, http.StatusOK, &one)
	path := "/api/v1/integrations/" + one.Integrations[0].ID.String()
	require.Equal(t, http.StatusUnprocessableEntity, b.send(t, b.owner, http.MethodPatch, path, `{"settings":{"url":"http://127.0.0.1/"}}`).status)
	require.Equal(t, http.StatusUnprocessableEntity, b.send(t, b.owner, http.MethodPatch, path, `{"settings":{}}`).status)
	require.Equal(t, http.StatusUnprocessableEntity, b.send(t, b.owner, http.MethodPatch, path, `{"name":""}`).status)
}

// TestCredentialsDoNotFollowToAnotherPlace is about a key that may change integrations: it
// must not learn a credential by having it sent to itself.
func TestCredentialsDoNotFollowToAnotherPlace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, test := range []struct{ provider, settings, secrets, elsewhere, same string }{
		{"smtp", `{"host":"smtp.example.com","username":"a"}`, `{"password":"secret"}`, `{"host":"evil.example","username":"a"}`, `{"host":"smtp.example.com","username":"b"}`},
		{"smtp", `{"host":"smtp.example.com"}`, `{"password":"secret"}`, `{"host":"smtp.example.com","port":"2525"}`, `{"host":"smtp.example.com","username":"b"}`},
		{"smtp", `{"host":"smtp.example.com","tls":"tls"}`, `{"password":"secret"}`, `{"host":"smtp.example.com","tls":"starttls"}`, `{"host":"smtp.example.com","tls":"tls","from_name":"b"}`},
		{
			"salesforce", `{"instance_url":"https://a.example.com","client_id":"a"}`, `{"client_secret":"x","refresh_token":"y"}`,
			`{"instance_url":"https://evil.example","client_id":"a"}`, `{"instance_url":"https://a.example.com","client_id":"b"}`,
		},
	} {
		var made integration.Integration
		b.send(t, b.owner, http.MethodPost, "/api/v1/integrations",
			fmt.Sprintf(`{"provider":%q,"name":%q,"settings":%s,"credentials":%s}`, test.provider, test.elsewhere, test.settings, test.secrets)).read(t, http.StatusCreated, &made)
		path := "/api/v1/integrations/" + made.ID.String()
		refused := b.send(t, b.owner, http.MethodPatch, path, `{"settings":`+test.elsewhere+`}`)
		require.Equal(t, http.StatusUnprocessableEntity, refused.status, refused.body)
		require.Contains(t, refused.body, "body.credentials")
		b.send(t, b.owner, http.MethodPatch, path, `{"settings":`+test.same+`}`).read(t, http.StatusOK, &made)
		b.send(t, b.owner, http.MethodPatch, path, `{"settings":`+test.elsewhere+`,"credentials":`+test.secrets+`}`).read(t, http.StatusOK, &made)
	}
	// Where there is no credential nothing can follow.
	var made integration.Integration
	b.send(t, b.owner, http.MethodPost, "/api/v1/integrations", `{"provider":"webhook","settings":{"url":"https://example.com/a"}}`).read(t, http.StatusCreated, &made)
	b.send(t, b.owner, http.MethodPatch, "/api/v1/integrations/"+made.ID.String(), `{"settings":{"url":"https://example.com/b"}}`).read(t, http.StatusOK, &made)
}

func TestProviders(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var list struct{ Providers []integration.Provider }
	b.send(t, b.narrow, http.MethodGet, "/api/v1/integrations/providers", "").read(t, http.StatusOK, &list)
	require.Len(t, list.Providers, len(integration.Providers))
	seen := map[string]bool{}
	for _, provider := range list.Providers {
		require.False(t, seen[provider.ID], provider.ID)
		seen[provider.ID] = true
		require.NotEmpty(t, provider.UsedBy, provider.ID)
		fields := map[string]bool{}
		settings, credentials := map[string]string{}, map[string]string{}
		for _, field := range provider.Fields {
			require.False(t, fields[field.Name], "%s.%s", provider.ID, field.Name)
			fields[field.Name] = true
			values := settings
			if field.Secret {
				values = credentials
			}
			if values[field.Name] = "value-of-" + field.Name; field.URL {
				values[field.Name] = "https://example.com/"
			}
			switch {
			case field.Name == "port":
				values[field.Name] = "465"
			case field.Email:
				values[field.Name] = "hello@example.com"
			case len(field.Values) > 0:
				values[field.Name] = field.Values[0]
			}
		}
		made, err := b.integrations.Create(t.Context(), b.tenant, integration.Draft{Provider: provider.ID, Settings: settings, Credentials: credentials, Enabled: true})
		require.NoError(t, err, provider.ID)
		for _, service := range []string{mesh.MadanSara, mesh.Onside, mesh.Sankore} {
			given, err := b.integrations.Reveal(t.Context(), service, b.tenant, provider.ID, "")
			if !strings.Contains(strings.Join(provider.UsedBy, " "), service) {
				require.Error(t, err, "%s of %s", service, provider.ID)
				continue
			}
			require.NoError(t, err, provider.ID)
			require.Equal(t, credentials, given.Credentials)
		}
		require.NotEqual(t, uuid.Nil, made.ID)
	}
}
