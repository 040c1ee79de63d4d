package tracker

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestScriptIsSmall(t *testing.T) {
	t.Parallel()
	compressed, err := compress(script)
	require.NoError(t, err)
	require.Less(t, len(compressed), 4096, "the tracker must stay under 4 KB gzip")
}

func TestHandler(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(Handler())
	t.Cleanup(server.Close)
	get := func(t *testing.T, method string, headers ...string) *http.Response {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/tracker.js", nil)
		require.NoError(t, err)
		for i := 0; i < len(headers); i += 2 {
			request.Header.Set(headers[i], headers[i+1])
		}
		// Without a transport of our own, Go would ask for gzip and hide it.
		response, err := (&http.Transport{DisableCompression: true}).RoundTrip(request)
		require.NoError(t, err)
		t.Cleanup(func() { response.Body.Close() })
		return response
	}

	plain := get(t, http.MethodGet)
	body, err := io.ReadAll(plain.Body)
	require.NoError(t, err)
	require.Equal(t, script, body)
	require.Equal(t, "text/javascript; charset=utf-8", plain.Header.Get("Content-Type"))
	require.Equal(t, "*", plain.Header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "Accept-Encoding", plain.Header.Get("Vary"))
	require.Contains(t, plain.Header.Get("Cache-Control"), "max-age=3600")

	packed := get(t, http.MethodGet, "Accept-Encoding", "gzip")
	reader, err := gzip.NewReader(packed.Body)
	require.NoError(t, err)
	body, err = io.ReadAll(reader)
	require.NoError(t, err)
	require.Equal(t, script, body)
	require.NotEqual(t, plain.Header.Get("ETag"), packed.Header.Get("ETag"))

	require.Equal(t, http.StatusNotModified, get(t, http.MethodGet, "If-None-Match", plain.Header.Get("ETag")).StatusCode)
	require.Equal(t, http.StatusMethodNotAllowed, get(t, http.MethodPost).StatusCode)
}
