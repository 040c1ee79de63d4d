package outreach_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

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
