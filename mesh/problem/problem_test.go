package problem_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/mesh/problem"
)

func TestAProblemSurvivesTheWire(t *testing.T) {
	t.Parallel()
	recorder := httptest.NewRecorder()
	sent := problem.New(http.StatusConflict, "order_closed", "The order is closed.")
	sent.Errors = []problem.Place{{Location: "body.order", Message: "closed"}}
	problem.Write(recorder, sent)
	response := recorder.Result()
	defer response.Body.Close()
	require.Equal(t, sent, problem.Read(response))
	require.EqualError(t, sent, "409 order_closed: The order is closed.")
}

func TestWhatIsNoProblemIsMadeOne(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ media, body string }{
		{"text/html", `{"code":"x"}`},
		{"", `{"code":"x"}`},
		{"application/problem+json", `{"code":`},
		{"application/problem+json", strings.Repeat(" ", problem.MaxBytes) + `{"code":"x"}`},
	} {
		response := &http.Response{StatusCode: http.StatusBadGateway, Header: http.Header{"Content-Type": {c.media}}, Body: io.NopCloser(strings.NewReader(c.body))}
		require.Equal(t, problem.New(http.StatusBadGateway, "", ""), problem.Read(response))
	}
}

func TestRetryAfterIsReadInBothForms(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                              0,
		"7":                             7 * time.Second,
		"-7":                            0,
		"99999999999999999999":          0,
		"soon":                          0,
		"Fri, 02 Jan 2026 03:04:15 GMT": 10 * time.Second,
		"Fri, 02 Jan 2026 03:04:00 GMT": 0,
	} {
		require.Equal(t, want, problem.RetryAfter(http.Header{"Retry-After": {value}}, now), value)
	}
	header := http.Header{}
	problem.SetRetryAfter(header, 1200*time.Millisecond)
	require.Equal(t, "2", header.Get("Retry-After"))
	problem.SetRetryAfter(header, 0)
	require.Equal(t, "1", header.Get("Retry-After"))
}
