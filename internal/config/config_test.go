package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/config"
)

var production = map[string]string{
	"ENVIRONMENT": "production", "PUBLIC_BASE_URL": "https://ms.example.com",
	"SECRET_KEY": strings.Repeat("k", 32), "SERVICE_MESH_SECRET": strings.Repeat("m", 32),
	"ENGARDE_DATABASE_URL": "postgres://app:hunter2@db:5432/engarde?sslmode=require",
}

func with(base map[string]string, pairs ...string) map[string]string {
	out := maps.Clone(base)
	if out == nil {
		out = map[string]string{}
	}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	return out
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	c, err := config.Load(nil)
	require.NoError(t, err)
	require.Equal(t, 8002, c.Port)
	require.Equal(t, "development", c.Environment)
	require.Equal(t, "http://localhost:8002", c.PublicBaseURL)
	require.Empty(t, c.Database())
	pool := c.Pool("postgres://x", "role")
	require.Equal(t, 5, pool.PoolSize)
	require.Equal(t, 10, pool.MaxOverflow)
	require.Equal(t, 30*time.Second, pool.PoolTimeout)
	require.Equal(t, time.Hour, pool.PoolRecycle)
	require.False(t, pool.Echo)
}

func TestValues(t *testing.T) {
	t.Parallel()
	c, err := config.Load(map[string]string{
		"DATABASE_PUBLIC_URL": "postgres://a@b/c", "DB_POOL_TIMEOUT": "1.5", "DB_POOL_RECYCLE": "2m", "SQL_ECHO": "true",
		"CORS_ORIGINS": "https://a.example, https://b.example/", "PUBLIC_BASE_URL": "https://ms.example/", "LOG_LEVEL": "",
	})
	require.NoError(t, err)
	require.Equal(t, "postgres://a@b/c", c.Database())
	require.Equal(t, 1500*time.Millisecond, time.Duration(c.DBPoolTimeout))
	require.Equal(t, 2*time.Minute, time.Duration(c.DBPoolRecycle))
	require.True(t, c.SQLEcho)
	require.Equal(t, []string{"https://a.example", "https://b.example"}, c.CORSOrigins)
	require.Equal(t, "https://ms.example", c.PublicBaseURL)
	require.Equal(t, "info", c.LogLevel)

	c, err = config.Load(with(production, "DATABASE_PUBLIC_URL", "postgres://other/x"))
	require.NoError(t, err)
	require.Equal(t, production["ENGARDE_DATABASE_URL"], c.Database(), "ENGARDE_DATABASE_URL wins")
}

func TestBadValuesNameTheVariableAndAnExample(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		base  map[string]string
		set   []string
		names string
		says  string
	}{
		{nil, []string{"PORT", "eighty"}, "PORT", "no whole number"},
		{nil, []string{"PORT", "70000"}, "PORT", "between 1 and 65535"},
		{nil, []string{"DB_POOL_SIZE", "0"}, "DB_POOL_SIZE", "between"},
		{nil, []string{"DB_MAX_OVERFLOW", "-1"}, "DB_MAX_OVERFLOW", "between"},
		{nil, []string{"DB_POOL_SIZE", "1", "DB_MAX_OVERFLOW", "1"}, "DB_MAX_OVERFLOW", "at least 3"},
		{nil, []string{"DB_POOL_TIMEOUT", "soon"}, "DB_POOL_TIMEOUT", "number of seconds"},
		{nil, []string{"DB_POOL_TIMEOUT", "NaN"}, "DB_POOL_TIMEOUT", "number of seconds"},
		{nil, []string{"DB_POOL_RECYCLE", "0"}, "DB_POOL_RECYCLE", "more than 0"},
		{nil, []string{"SEO_ANALYSES_RETENTION_DAYS", "-1"}, "SEO_ANALYSES_RETENTION_DAYS", "between"},
		{nil, []string{"RANKINGS_RETENTION_MONTHS", "-1"}, "RANKINGS_RETENTION_MONTHS", "between"},
		{nil, []string{"AUDIT_LOG_RETENTION_MONTHS", "11"}, "AUDIT_LOG_RETENTION_MONTHS", "between 12"},
		{nil, []string{"SQL_ECHO", "perhaps"}, "SQL_ECHO", "neither true nor false"},
		{nil, []string{"ENVIRONMENT", "prod"}, "ENVIRONMENT", "none of"},
		{nil, []string{"LOG_LEVEL", "loud"}, "LOG_LEVEL", "none of"},
		{nil, []string{"CORS_ORIGINS", "*"}, "CORS_ORIGINS", "no origin"},
		{nil, []string{"PUBLIC_BASE_URL", "ms.example.com"}, "PUBLIC_BASE_URL", "form"},
		{nil, []string{"SECRET_KEY", "short"}, "SECRET_KEY", "32"},
		{nil, []string{"API_RATE_LIMIT", "NaN"}, "API_RATE_LIMIT", "rate"},
		{nil, []string{"ENGARDE_DATABASE_URL", "mysql://x/y"}, "ENGARDE_DATABASE_URL", "no PostgreSQL URL"},
		{nil, []string{"ENGARDE_DATABASE_URL", "postgres://a:hunter2@b/c?sslmode=maybe"}, "ENGARDE_DATABASE_URL", "sslmode"},
		{production, []string{"ALLOW_LOOPBACK_URLS", "true"}, "ALLOW_LOOPBACK_URLS", "for development"},
		{nil, []string{"SMTP_FROM", "a@b.c"}, "SMTP_HOST", "not set although SMTP_FROM"},
		{nil, []string{"SMTP_HOST", "mx:25", "SMTP_FROM", "a@b.c"}, "SMTP_HOST", "no host name"},
		{nil, []string{"SMTP_HOST", "mx"}, "SMTP_FROM", "address"},
		{nil, []string{"SMTP_HOST", "mx", "SMTP_FROM", "a@b.c", "SMTP_USERNAME", "u"}, "SMTP_PASSWORD", "not set although SMTP_USERNAME"},
		{nil, []string{"SMTP_HOST", "mx", "SMTP_FROM", "a@b.c", "SMTP_USERNAME", "u", "SMTP_PASSWORD", "hunter2", "SMTP_TLS", "none"}, "SMTP_TLS", "in the clear"},
		{nil, []string{"SMTP_HOST", "mx", "SMTP_FROM", "a@b.c", "DKIM_DOMAIN", "b.c"}, "DKIM_SELECTOR", "all three"},
		{nil, []string{"SMTP_HOST", "mx", "SMTP_FROM", "a@b.c", "DKIM_DOMAIN", "b.c", "DKIM_SELECTOR", "s"}, "DKIM_PRIVATE_KEY", "all three"},
		{nil, []string{"SMTP_HOST", "mx", "SMTP_FROM", "a@b.c", "DKIM_DOMAIN", "b c", "DKIM_SELECTOR", "s", "DKIM_PRIVATE_KEY", dkimKey}, "DKIM_DOMAIN", "no domain"},
		{nil, []string{"SMTP_HOST", "mx", "SMTP_FROM", "a@b.c", "DKIM_DOMAIN", "b.c", "DKIM_SELECTOR", "s;t", "DKIM_PRIVATE_KEY", dkimKey}, "DKIM_SELECTOR", "no selector"},
		{nil, []string{"SMTP_HOST", "mx", "SMTP_FROM", "a@b.c", "DKIM_DOMAIN", "b.c", "DKIM_SELECTOR", "s", "DKIM_PRIVATE_KEY", "hunter2"}, "DKIM_PRIVATE_KEY", "no PEM"},
		{nil, []string{"SMTP_HOST", "mx", "SMTP_FROM", "a@b.c", "DKIM_DOMAIN", "b.c", "DKIM_SELECTOR", "s", "DKIM_PRIVATE_KEY", "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----"}, "DKIM_PRIVATE_KEY", "no private key"},
		{nil, []string{"DKIM_DOMAIN", "b.c", "DKIM_SELECTOR", "s", "DKIM_PRIVATE_KEY", dkimKey}, "SMTP_HOST", "although DKIM_DOMAIN"},
		{nil, []string{"SENTRY_DSN", "hunter2"}, "SENTRY_DSN", "no DSN"},
		{nil, []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT", "URL"},
		{production, []string{"ENGARDE_DATABASE_URL", ""}, "ENGARDE_DATABASE_URL", "needed in production"},
		{production, []string{"ENGARDE_DATABASE_URL", "postgres://a:hunter2@b/c?sslmode=prefer"}, "ENGARDE_DATABASE_URL", "without TLS"},
		{production, []string{"ENGARDE_DATABASE_URL", "postgres://a:hunter2@b/c?sslmode=disable"}, "ENGARDE_DATABASE_URL", "without TLS"},
		{production, []string{"SERVICE_MESH_SECRET", ""}, "SERVICE_MESH_SECRET", "needed outside development"},
		{production, []string{"SERVICE_MESH_SECRET", "hunter2"}, "SERVICE_MESH_SECRET", "32"},
		{production, []string{"SERVICE_MESH_SECRET_PREVIOUS", "hunter2"}, "SERVICE_MESH_SECRET_PREVIOUS", "32"},
		{production, []string{"ONSIDE_URL", "http://onside.example.com"}, "ONSIDE_URL", "https"},
		{nil, []string{"SERVICE_MESH_SECRET", "hunter2"}, "SERVICE_MESH_SECRET", "16"},
		{nil, []string{"SERVICE_MESH_ACCEPT_LEGACY", "true"}, "SERVICE_MESH_LEGACY_SECRET", "not set although SERVICE_MESH_ACCEPT_LEGACY"},
		{nil, []string{"SERVICE_MESH_LEGACY_SECRET", "hunter2"}, "SERVICE_MESH_LEGACY_SECRET", "16"},
		{production, []string{"SERVICE_MESH_LEGACY_SECRET", "hunter2 is not long enough"}, "SERVICE_MESH_LEGACY_SECRET", "32"},
		{production, []string{"SERVICE_MESH_ACCEPT_LEGACY", "true", "SERVICE_MESH_LEGACY_SECRET", strings.Repeat("m", 32)}, "SERVICE_MESH_LEGACY_SECRET", "is SERVICE_MESH_SECRET;"},
		{
			production,
			[]string{"SERVICE_MESH_SECRET_PREVIOUS", strings.Repeat("p", 32), "SERVICE_MESH_LEGACY_SECRET", strings.Repeat("p", 32)},
			"SERVICE_MESH_LEGACY_SECRET", "is SERVICE_MESH_SECRET_PREVIOUS;",
		},
		{nil, []string{"SERVICE_MESH_LEGACY_SOURCES", "onside,python-peer"}, "SERVICE_MESH_LEGACY_SOURCES", "python-peer"},
		{nil, []string{"SERVICE_MESH_TIMEOUT", "0"}, "SERVICE_MESH_TIMEOUT", "more than 0"},
		{nil, []string{"CIRCUIT_BREAKER_THRESHOLD", "0"}, "CIRCUIT_BREAKER_THRESHOLD", "between"},
		{nil, []string{"SANKORE_URL", "sankore:8003"}, "SANKORE_URL", "base URL"},
		{production, []string{"SECRET_KEY", ""}, "SECRET_KEY", "needed"},
		{production, []string{"PUBLIC_BASE_URL", ""}, "PUBLIC_BASE_URL", "needed"},
		{production, []string{"PUBLIC_BASE_URL", "http://ms.example"}, "PUBLIC_BASE_URL", "https"},
	} {
		t.Run(fmt.Sprint(c.set), func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(with(c.base, c.set...))
			require.Error(t, err)
			require.True(t, strings.HasPrefix(err.Error(), c.names), err)
			require.Contains(t, err.Error(), c.says)
			require.Contains(t, err.Error(), "for example: "+c.names+"=")
			require.NotContains(t, err.Error(), "hunter2")
			require.NotContains(t, err.Error(), "\n", "one problem, one line")
		})
	}
}

// dkimKey is a key of RFC 8410, its line ends as in a one-line environment file.
const dkimKey = `-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----`

func TestDKIMKeys(t *testing.T) {
	t.Parallel()
	load := func(key string) (config.Config, error) {
		return config.Load(map[string]string{
			"SMTP_HOST": "mx", "SMTP_FROM": "a@b.c", "DKIM_DOMAIN": "mail.b.c", "DKIM_SELECTOR": "s1", "DKIM_PRIVATE_KEY": key,
		})
	}
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(rsaKey)
	require.NoError(t, err)
	for name, key := range map[string]string{
		"Ed25519": dkimKey, "PKCS #8": encode("PRIVATE KEY", pkcs8),
		"PKCS #1": encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)),
	} {
		c, err := load(key)
		require.NoError(t, err, name)
		signer, err := c.DKIMKey()
		require.NoError(t, err, name)
		require.NotNil(t, signer, name)
		require.NotContains(t, strings.Join(c.Lines(), "\n"), "PRIVATE KEY-", name)
	}
	elliptic, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(elliptic)
	require.NoError(t, err)
	_, err = load(encode("PRIVATE KEY", der))
	require.ErrorContains(t, err, "neither an RSA nor an Ed25519 key")
	none, err := config.Config{}.DKIMKey()
	require.NoError(t, err)
	require.Nil(t, none)
}

func TestTheOlderFormHasASecretOfItsOwn(t *testing.T) {
	t.Parallel()
	legacy := strings.Repeat("l", 32)
	c, err := config.Load(with(production, "SERVICE_MESH_LEGACY_SECRET", legacy))
	require.NoError(t, err, "it may wait for its switch")
	require.Empty(t, c.LegacySecrets())
	c, err = config.Load(with(production, "SERVICE_MESH_LEGACY_SECRET", legacy, "SERVICE_MESH_ACCEPT_LEGACY", "true"))
	require.NoError(t, err)
	require.Equal(t, []string{legacy}, c.LegacySecrets())
	require.NotContains(t, c.MeshSecrets(), legacy)
	require.Equal(t, []string{"engarde-core", "onside", "madan-sara", "sankore"}, c.ServiceMeshLegacySources)
	require.NotContains(t, strings.Join(c.Lines(), "\n"), legacy)
}

func TestEveryProblemIsTold(t *testing.T) {
	t.Parallel()
	_, err := config.Load(map[string]string{"PORT": "x", "SQL_ECHO": "y"})
	require.ErrorContains(t, err, "PORT")
	require.ErrorContains(t, err, "SQL_ECHO")
	_, err = config.Load(map[string]string{"ENVIRONMENT": "production"})
	for _, name := range []string{"PUBLIC_BASE_URL", "SECRET_KEY", "SERVICE_MESH_SECRET", "ENGARDE_DATABASE_URL"} {
		require.ErrorContains(t, err, name)
	}
}

func TestSecretsAreMasked(t *testing.T) {
	t.Parallel()
	c, err := config.Load(with(production, "SENTRY_DSN", "https://hunter2@o1.ingest.sentry.io/1",
		"SMTP_HOST", "mx", "SMTP_FROM", "a@b.c", "SMTP_USERNAME", "u", "SMTP_PASSWORD", "hunter2"))
	require.NoError(t, err)
	lines := strings.Join(c.Lines(), "\n")
	require.Contains(t, lines, "ENGARDE_DATABASE_URL=postgres://app:********@db:5432/engarde?sslmode=require")
	require.Contains(t, lines, "DB_POOL_TIMEOUT=30\n")
	for _, printed := range []string{lines, fmt.Sprintf("%v %+v %#v", c, c, c)} {
		require.NotContains(t, printed, "hunter2")
		require.NotContains(t, printed, strings.Repeat("k", 32))
		require.NotContains(t, printed, strings.Repeat("m", 32))
	}
}
