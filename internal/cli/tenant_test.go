package cli

import (
	"strings"
	"testing"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/dbtest"
)

// printed is what a command printed, by the first word of its lines.
func printed(out string) map[string]string {
	lines := map[string]string{}
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "  ")
		lines[name] = strings.TrimSpace(value)
	}
	return lines
}

func TestATenantIsMadeOnANewInstallation(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	environ := []string{"ENGARDE_DATABASE_URL=" + url}
	code, out, errs := call(t, environ, "tenant", "create", "--name", "Ti Machann", "--email", "Owner@Example.com", "--time-zone", "America/Port-au-Prince", "--currency", "HTG", "--api-key")
	require.Zero(t, code, errs)
	said := printed(out)
	accounts := account.New(dbtest.Pool(t, url, "engarde_core_app"), clockwork.NewRealClock())
	login, err := accounts.LogIn(t.Context(), "owner@example.com", said["Password"], "192.0.2.1")
	require.NoError(t, err, out)
	require.Equal(t, said["Tenant"], login.Tenant.String())
	tenant, err := accounts.Tenant(t.Context(), login.Tenant)
	require.NoError(t, err)
	require.Equal(t, []string{"Ti Machann", "America/Port-au-Prince", "HTG"}, []string{tenant.Name, tenant.TimeZone, tenant.Currency})
	principal, err := accounts.Key(t.Context(), said["API key"])
	require.NoError(t, err)
	require.Equal(t, []string{"*"}, principal.Scopes)

	code, out, errs = call(t, environ, "tenant", "reset-password", "owner@example.com")
	require.Zero(t, code, errs)
	_, err = accounts.LogIn(t.Context(), "owner@example.com", said["Password"], "192.0.2.1")
	require.Error(t, err)
	_, err = accounts.LogIn(t.Context(), "owner@example.com", printed(out)["Password"], "192.0.2.1")
	require.NoError(t, err)

	for says, args := range map[string][]string{
		"has a user already": {"create", "--name", "Second", "--email", "owner@example.com"},
		"e-mail address":     {"create", "--name", "Second", "--email", "nobody"},
		"time zone":          {"create", "--name", "Second", "--email", "a@example.com", "--time-zone", "Mars/Base"},
		"currency":           {"create", "--name", "Second", "--email", "a@example.com", "--currency", "ZZZ"},
		"--name":             {"create", "--email", "a@example.com"},
		"no user":            {"reset-password", "stranger@example.com"},
	} {
		code, out, errs := call(t, environ, append([]string{"tenant"}, args...)...)
		require.NotZero(t, code, out)
		require.Contains(t, errs, says)
		require.Empty(t, out)
	}
}
