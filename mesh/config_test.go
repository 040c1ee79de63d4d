package mesh_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/mesh"
)

func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { value, set := env[name]; return value, set }
}

func TestTheEnvironmentConfiguresAMesh(t *testing.T) {
	t.Parallel()
	config, err := mesh.FromEnv(mesh.MadanSara, lookup(map[string]string{
		"SERVICE_MESH_SECRET": secret, "SERVICE_MESH_SECRET_PREVIOUS": secret + " of old", "SERVICE_MESH_TIMEOUT": "1.5",
		"CIRCUIT_BREAKER_THRESHOLD": "7", "ONSIDE_URL": "https://onside.example/base/",
	}))
	require.NoError(t, err)
	require.Equal(t, map[string]string{
		mesh.Core: "http://127.0.0.1:8000", mesh.Onside: "https://onside.example/base/", mesh.Sankore: "http://127.0.0.1:8003",
	}, config.Peers, "a service is no peer of itself")
	require.Equal(t, []string{secret, secret + " of old"}, config.Secrets)
	require.Equal(t, 1500*time.Millisecond, config.Timeout)
	require.Equal(t, 7, config.Breaker.Consecutive)
	m, err := mesh.New(config)
	require.NoError(t, err)
	m.Close()
}

func TestEveryWrongVariableIsNamed(t *testing.T) {
	t.Parallel()
	_, err := mesh.FromEnv(mesh.MadanSara, lookup(map[string]string{
		"SERVICE_MESH_SECRET_PREVIOUS": "short", "SERVICE_MESH_TIMEOUT": "soon", "CIRCUIT_BREAKER_THRESHOLD": "0", "SANKORE_URL": "sankore:8003",
	}))
	for _, name := range []string{"SERVICE_MESH_SECRET: is not set", "SERVICE_MESH_SECRET_PREVIOUS: has 5 bytes", "SERVICE_MESH_TIMEOUT: \"soon\"", "CIRCUIT_BREAKER_THRESHOLD: \"0\"", "SANKORE_URL"} {
		require.ErrorContains(t, err, name)
	}
	require.NotContains(t, err.Error(), "short", "a secret is not shown")
}

func TestAWrongConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]mesh.Config{
		"no secret":      {Service: "a"},
		"no service":     {Secrets: []string{secret}},
		"no scheme":      {Service: "a", Secrets: []string{secret}, Peers: map[string]string{"b": "b:80"}},
		"a user":         {Service: "a", Secrets: []string{secret}, Peers: map[string]string{"b": "http://u:p@b"}},
		"a query":        {Service: "a", Secrets: []string{secret}, Peers: map[string]string{"b": "http://b?x=1"}},
		"another scheme": {Service: "a", Secrets: []string{secret}, Peers: map[string]string{"b": "ftp://b"}},
	} {
		_, err := mesh.New(config)
		require.Error(t, err, name)
	}
}
