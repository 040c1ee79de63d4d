package cli

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/app"
	"github.com/engardehq/madansara/internal/config"
	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/internal/telemetry"
	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/embed"
	"github.com/engardehq/madansara/zerodb/pgmem"
	"github.com/engardehq/madansara/zerodb/qdrant"
	"github.com/engardehq/madansara/zerodb/qdrant/qdranttest"
	"github.com/engardehq/madansara/zerodb/zerodbtest"
)

func TestTheMemoryIsMadeAndChecked(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	environ := []string{"ENGARDE_DATABASE_URL=" + url}
	for range 2 {
		code, out, errs := call(t, environ, "memory", "init")
		require.Zero(t, code, errs)
		require.Contains(t, out, "memories: current")
	}
	code, out, errs := call(t, environ, "memory", "check")
	require.Zero(t, code, out+errs)
	require.Equal(t, 11, strings.Count(out, "ok  "), out)
	require.Contains(t, out, "the embedded memory, with the embedder builtin")
	left, err := tenantsOf(t.Context(), url, "SELECT tenant_uuid FROM tenants")
	require.NoError(t, err)
	require.Empty(t, left, "the check's tenant is gone")

	code, out, errs = call(t, append(environ, "EMBEDDING_SERVICE_URL=http://127.0.0.1:1/v1/embeddings", "EMBEDDING_MODEL=x"), "memory", "check")
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "FAILED  reach the embedder", "what fails is said")
	require.Contains(t, out, "ok      store", "and the rest goes on")
	require.Contains(t, errs, "1 of 10 checks of the memory failed")
}

// TestCollectionsAreMadeAnewForAnotherEmbedder: Qdrant's vectors can't change their length.
func TestCollectionsAreMadeAnewForAnotherEmbedder(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	server := qdranttest.Start(t, qdranttest.Options{})
	environ := []string{"ENGARDE_DATABASE_URL=" + url, "ZERODB_URL=" + server.URL}
	old, err := qdrant.New(qdrant.Config{URL: server.URL, Dimension: 32})
	require.NoError(t, err)
	defer func() { require.NoError(t, old.Close()) }()
	_, err = old.Init(t.Context())
	require.NoError(t, err)
	client, err := zerodb.New(zerodb.Config{Backend: old, Embedder: &zerodbtest.Hashing{Dimensions: 32}})
	require.NoError(t, err)
	tenant := dbtest.Tenant(t, url)
	_, err = client.Tenant(tenant).Store(t.Context(), "walker_seo_001", zerodb.Semantic, "Marie prefers WhatsApp", nil, 0)
	require.NoError(t, err)

	code, out, errs := call(t, environ, "memory", "init")
	require.Zero(t, code, errs)
	require.Contains(t, out, "walker_semantic_memory: outdated")
	require.Contains(t, out, "memory init --rebuild")
	code, out, errs = call(t, environ, "memory", "init", "--rebuild")
	require.Zero(t, code, errs)
	require.Contains(t, out, "walker_semantic_memory: migrated (1 memories moved from vectors of 32 numbers to such of 256")
	code, out, errs = call(t, environ, "memory", "init", "--rebuild")
	require.Zero(t, code, errs)
	require.NotContains(t, out, "migrated", "there is nothing to do any more")
	code, out, errs = call(t, environ, "memory", "check")
	require.Zero(t, code, out+errs)
	kept, err := client.Tenant(tenant).Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, kept.Memories)
}

func TestMemoriesMoveToQdrantAndBack(t *testing.T) {
	t.Parallel()
	url, db := dbtest.App(t, "madan_sara_app")
	server := qdranttest.Start(t, qdranttest.Options{})
	environ := []string{"ENGARDE_DATABASE_URL=" + url, "ZERODB_URL=" + server.URL}
	code, out, errs := call(t, environ, "memory", "init")
	require.Zero(t, code, errs)
	require.Equal(t, 6, strings.Count(out, "_memory: "), out)
	code, out, errs = call(t, environ, "memory", "check")
	require.Zero(t, code, out+errs)
	require.Contains(t, out, "the qdrant memory")

	client, err := zerodb.New(zerodb.Config{Backend: pgmem.New(db, pgmem.Config{}), Embedder: newBuiltin(t)})
	require.NoError(t, err)
	tenants := []uuid.UUID{dbtest.Tenant(t, url), dbtest.Tenant(t, url)}
	for i, tenant := range tenants {
		for _, content := range []string{"Marie prefers e-mail", "Marie prefers WhatsApp"} {
			_, err := client.Tenant(tenant).Store(t.Context(), "walker_seo_001", zerodb.Semantic, fmt.Sprintf("%s, says tenant %d", content, i), zerodb.Metadata{"key": "channel"}, 0)
			require.NoError(t, err)
		}
	}
	code, out, errs = call(t, environ, "memory", "migrate", "--to", "qdrant")
	require.Zero(t, code, errs)
	require.Contains(t, out, "4 memories are in qdrant now")
	for _, tenant := range tenants {
		_, err := client.Tenant(tenant).Erase(t.Context(), zerodb.Erasure{Subject: "nobody", Mentioning: []string{"Marie"}})
		require.NoError(t, err)
	}
	stranger, err := qdrant.New(qdrant.Config{URL: server.URL})
	require.NoError(t, err)
	defer func() { require.NoError(t, stranger.Close()) }()
	elsewhere, err := zerodb.New(zerodb.Config{Backend: stranger})
	require.NoError(t, err)
	gone := uuid.Must(uuid.NewV7())
	_, err = elsewhere.Tenant(gone).Store(t.Context(), "walker_seo_001", zerodb.Semantic, "of a tenant that is no more", nil, 0)
	require.NoError(t, err)
	code, out, errs = call(t, environ, "memory", "migrate", "--to", "embedded")
	require.Zero(t, code, errs)
	require.Contains(t, out, "4 memories are in embedded now")
	require.Contains(t, out, "tenant "+gone.String()+": has memories in qdrant and is not in the database")
	for i, tenant := range tenants {
		hits, err := client.Tenant(tenant).Retrieve(t.Context(), "walker_seo_001", "what does Marie prefer", "", 10, 0)
		require.NoError(t, err)
		require.Len(t, hits, 1, "versions stay versions")
		require.Equal(t, fmt.Sprintf("Marie prefers WhatsApp, says tenant %d", i), hits[0].Memory.Content)
		require.NotNil(t, hits[0].Memory.Vector)
	}
	code, _, errs = call(t, environ[:1], "memory", "migrate", "--to", "qdrant")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "ZERODB_URL")
}

// TestAnAssistantSpeaksToTheProgram starts the program as an assistant does, and uses
// its tools with the official client.
func TestAnAssistantSpeaksToTheProgram(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load(map[string]string{"SECRET_KEY": strings.Repeat("k", 32), "SERVICE_MESH_SECRET": strings.Repeat("m", 32), "DB_POOL_SIZE": "2"})
	require.NoError(t, err)
	observed, err := telemetry.Start(t.Context(), telemetry.Options{Service: "madan-sara", Version: "test", Level: "error", Output: os.Stderr})
	require.NoError(t, err)
	service, err := app.New(t.Context(), app.Options{Config: cfg, DatabaseURL: dbtest.URL(t), Version: "test", Telemetry: observed, Clock: clockwork.NewRealClock()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, service.Close(context.WithoutCancel(t.Context()))) })
	server := httptest.NewServer(service.Handler())
	t.Cleanup(server.Close)
	tenant, err := service.Accounts().CreateTenant(t.Context(), account.Tenant{Name: "Shop"})
	require.NoError(t, err)
	token, _, err := service.Accounts().CreateKey(t.Context(), tenant, account.NewKey{Kind: account.SecretKey, Name: "desk", Scopes: []string{"memory:read", "memory:write"}})
	require.NoError(t, err)

	command := exec.CommandContext(t.Context(), os.Args[0], "mcp", "--agent", "walker_seo_001")
	command.Env = append(os.Environ(), mainVariable+"=1", "ENGARDE_BASE_URL="+server.URL, "ENGARDE_API_KEY="+token)
	session, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), &mcp.CommandTransport{Command: command}, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, session.Close()) }()
	use := func(tool string, arguments map[string]any) (string, bool) {
		result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: arguments})
		require.NoError(t, err)
		return result.Content[0].(*mcp.TextContent).Text, result.IsError
	}
	said, failed := use("memory_store", map[string]any{"content": "Marie prefers WhatsApp", "type": "semantic", "subject": "customer:42"})
	require.False(t, failed, said)
	said, failed = use("memory_recall", map[string]any{"query": "how does Marie want to be reached, WhatsApp?"})
	require.False(t, failed, said)
	require.Contains(t, said, `"Marie prefers WhatsApp" (semantic, by "walker_seo_001"`)
	said, failed = use("campaign_status", nil)
	require.True(t, failed)
	require.Contains(t, said, `outreach:read`, "the error names the scope that the key lacks")
	server.Close()
	said, failed = use("memory_recall", map[string]any{"query": "Marie"})
	require.True(t, failed)
	require.Contains(t, said, "can't be reached")

	for name, c := range map[string]struct {
		environ []string
		says    string
	}{
		"no key":     {[]string{"ENGARDE_BASE_URL=" + server.URL}, "ENGARDE_API_KEY is not set"},
		"no address": {[]string{"ENGARDE_API_KEY=" + token}, "ENGARDE_BASE_URL is not set"},
	} {
		code, _, errs := call(t, c.environ, "mcp")
		require.Equal(t, exitUsage, code, name)
		require.Contains(t, errs, c.says, name)
		require.NotContains(t, errs, token, name)
	}
}

func newBuiltin(t testing.TB) *embed.Builtin {
	t.Helper()
	builtin, err := embed.NewBuiltin()
	require.NoError(t, err)
	return builtin
}
