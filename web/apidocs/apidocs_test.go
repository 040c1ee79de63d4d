package apidocs_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/web/apidocs"
)

func TestThePageAndItsFilesAreServed(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	apidocs.Mount(mux.Handle)
	get := func(path, encoding string) *httptest.ResponseRecorder {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		request.Header.Set("Accept-Encoding", encoding)
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, request)
		require.Equal(t, http.StatusOK, answer.Code, path)
		return answer
	}
	page := get("/docs", "").Body.String()
	require.NotContains(t, page, "http:", "nothing is loaded from elsewhere")
	require.NotContains(t, page, "https:")
	for _, match := range regexp.MustCompile(`src="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		get(match[1], "gzip")
	}
	packed, plain := get("/docs/scalar.js", "gzip, br"), get("/docs/scalar.js", "identity")
	require.Equal(t, "gzip", packed.Header().Get("Content-Encoding"))
	require.Empty(t, plain.Header().Get("Content-Encoding"))
	script, err := io.ReadAll(plain.Body)
	require.NoError(t, err)
	require.Contains(t, string(script[:1000]), "@scalar/api-reference")
	version := regexp.MustCompile(`api-reference@? ?([0-9.]+)`)
	require.Equal(t, version.FindStringSubmatch(string(script[:1000]))[1],
		version.FindStringSubmatch(get("/docs/LICENSE.txt", "").Body.String())[1], "the licence names another release")
}
