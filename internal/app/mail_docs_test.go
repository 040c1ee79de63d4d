package app_test

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/core/integration"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/mesh"
)

// TestTheMailGuidesShellExamplesWork runs them as they stand.
func TestTheMailGuidesShellExamplesWork(t *testing.T) {
	t.Parallel()
	core := startService(t, mesh.Core, dbtest.URL(t))
	tenant, err := core.Accounts().CreateTenant(t.Context(), account.Tenant{Name: "Shop"})
	require.NoError(t, err)
	server := httptest.NewServer(core.Handler())
	t.Cleanup(server.Close)
	environment := append(os.Environ(), "CORE_URL="+server.URL, "API_KEY="+key(t, core, tenant, "integrations:read", "integrations:write"))
	answers := make([]integration.Integration, 0, 3)
	for _, example := range examples(t, "../../docs/MAIL.md", "sh") {
		command := exec.CommandContext(t.Context(), "sh", "-ec", example)
		command.Env = environment
		var errs strings.Builder
		command.Stderr = &errs
		out, err := command.Output()
		require.NoError(t, err, "%s\n%s\n%s", example, out, errs.String())
		require.NotContains(t, string(out), "the password of mailer")
		require.NotContains(t, string(out), "the new password of mailer")
		var answer integration.Integration
		require.NoError(t, json.Unmarshal(out, &answer), string(out))
		environment = append(environment, "INTEGRATION="+answer.ID.String())
		answers = append(answers, answer)
	}
	require.Len(t, answers, 3)
	require.Equal(t, "hello@shop.example", answers[0].Settings["from_email"])
	require.True(t, answers[1].Enabled)
	require.True(t, answers[1].UpdatedAt.After(answers[0].UpdatedAt))
	require.False(t, answers[2].Enabled)
}
