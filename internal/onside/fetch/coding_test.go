package fetch_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/onside/fetch"
)

// What nobody can read must not be audited as a page without a title.
func TestACompressionThatWasNotAskedForIsAnError(t *testing.T) {
	t.Parallel()
	coded := func(coding string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Content-Encoding", coding)
			text(http.StatusOK, "\x0b\x02\x80hello\x03")(w, r)
		}
	}
	address := site(t, map[string]http.HandlerFunc{"/br": coded("br"), "/same": coded("identity")})
	f := fetcher(t, fetch.Limits{})
	_, err := get(t, f, address+"/br")
	var failed *fetch.Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, fetch.BadAnswer, failed.Kind)
	require.ErrorContains(t, err, "br")
	_, err = get(t, f, address+"/same")
	require.NoError(t, err)
}
