package outbox_test

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/mesh"
	"github.com/engardehq/madansara/mesh/problem"
)

// command is a curl line of the documentation.
var command = regexp.MustCompile(`(?m)^curl( -X POST)? -H "Authorization: Bearer \$KEY"(?: -H "Content-Type: application/json" -d '([^']*)')? "\$MADAN_SARA/api/v1/sync/outbox([^"]*)"$`)

// The commands of docs/MESH.md work, in their order, on a fact that Core refused.
func TestTheDocumentationsCommandsWork(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../../docs/MESH.md")
	require.NoError(t, err)
	page := string(raw)
	commands := command.FindAllStringSubmatch(page, -1)
	require.Len(t, commands, strings.Count(page, "\ncurl "), "a command that this test cannot read")
	require.NotEmpty(t, commands)

	a := setupAPI(t)
	a.core.set(func(mesh.SyncFact) *problem.Problem {
		return problem.New(http.StatusUnprocessableEntity, "invalid", "No.")
	}, nil)
	a.add(t, fact(uuid.New(), 1))
	a.start(t)
	a.await(t, "Core has refused the fact", func() bool { return len(a.list(t, "failed")) == 1 })
	id := a.list(t, "failed")[0].ID.String()
	for _, c := range commands {
		method, body, path := http.MethodGet, c[2], strings.ReplaceAll(c[3], "$FACT", id)
		if c[1] != "" {
			method = http.MethodPost
		}
		var answer any
		require.Equal(t, http.StatusOK, a.call(t, a.tenant.String()+"+sync:read+sync:write", method, path, body, &answer), "%s: %v", c[0], answer)
	}
	require.Len(t, a.list(t, "discarded"), 1)
}
