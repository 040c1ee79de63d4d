package account_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/httpkit"
)

func TestKeysOverHTTP(t *testing.T) {
	t.Parallel()
	b := setup(t)
	router := httpkit.NewRouter(httpkit.RouterConfig{Title: "T", Version: "1", Authenticator: b.accounts})
	b.accounts.Register(router.API())
	handler := router.Handler()
	owner, _, err := b.accounts.CreateKey(t.Context(), b.tenant, account.NewKey{Kind: account.SecretKey, Name: "owner", Scopes: []string{"*"}})
	require.NoError(t, err)

	call := func(token, method, path, body string) (int, string) {
		request := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("Content-Type", "application/json")
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		return answer.Code, answer.Body.String()
	}
	status, body := call(owner, http.MethodPost, "/api/v1/keys", `{"kind":"secret","name":"reader","scopes":["contacts:read"]}`)
	require.Equal(t, http.StatusCreated, status, body)
	var made struct {
		Token string      `json:"token"`
		Key   account.Key `json:"key"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &made))

	status, body = call(made.Token, http.MethodPost, "/api/v1/keys", `{"kind":"secret","name":"more","scopes":["*"]}`)
	require.Equal(t, http.StatusForbidden, status, "a key cannot make itself a stronger one: %s", body)
	status, body = call(owner, http.MethodGet, "/api/v1/keys", "")
	require.Equal(t, http.StatusOK, status)
	require.NotContains(t, body, made.Token)
	for _, wrong := range []string{
		`{"kind":"master","name":"x"}`, `{"kind":"secret","name":"","scopes":["*"]}`, `{"kind":"secret","name":"x","scopes":["all"]}`,
		`{"kind":"secret","name":"x"}`, `{"kind":"write","name":"x","expires_at":"1970-01-01T00:00:00Z"}`, `{"kind":"write","name":"x","tenant":"y"}`,
		`{"kind":"write","name":"x","expires_at":"9999999-01-01"}`,
	} {
		status, body = call(owner, http.MethodPost, "/api/v1/keys", wrong)
		require.Equal(t, http.StatusUnprocessableEntity, status, "%s: %s", wrong, body)
	}

	status, body = call(owner, http.MethodDelete, "/api/v1/keys/"+made.Key.ID.String(), "")
	require.Equal(t, http.StatusNoContent, status, body)
	status, _ = call(made.Token, http.MethodGet, "/api/v1/keys", "")
	require.Equal(t, http.StatusUnauthorized, status)
	status, _ = call(owner, http.MethodDelete, "/api/v1/keys/not-an-id", "")
	require.Equal(t, http.StatusUnprocessableEntity, status)
}
