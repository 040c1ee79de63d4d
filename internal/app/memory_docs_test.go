package app_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/dbtest"
	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/embed"
	"github.com/engardehq/madansara/zerodb/pgmem"
)

const memoryGuide = "../../docs/MEMORY.md"

// examples returns the code blocks of a page in a language.
func examples(t *testing.T, path, language string) (blocks []string) {
	t.Helper()
	page, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, match := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		blocks = append(blocks, match[1])
	}
	require.NotEmpty(t, blocks)
	return blocks
}

// TestTheGuidesShellExamplesWork runs them as they stand.
func TestTheGuidesShellExamplesWork(t *testing.T) {
	t.Parallel()
	service := start(t, dbtest.URL(t))
	tenant, err := service.Accounts().CreateTenant(t.Context(), account.Tenant{Name: "Shop"})
	require.NoError(t, err)
	server := httptest.NewServer(service.Handler())
	t.Cleanup(server.Close)
	answers := make([]string, 0, 4)
	for _, example := range examples(t, memoryGuide, "sh") {
		command := exec.CommandContext(t.Context(), "sh", "-ec", example)
		command.Env = append(os.Environ(), "MADANSARA_URL="+server.URL, "API_KEY="+key(t, service, tenant, "memory:read", "memory:write"))
		var errs strings.Builder
		command.Stderr = &errs
		out, err := command.Output()
		require.NoError(t, err, "%s\n%s\n%s", example, out, errs.String())
		require.True(t, json.Valid(out), string(out))
		answers = append(answers, string(out))
	}
	require.Len(t, answers, 4)
	require.Contains(t, answers[0], `"outcome":"created"`)
	require.Contains(t, answers[1], "Marie prefers WhatsApp to e-mail")
	require.Contains(t, answers[2], "Marie prefers WhatsApp to e-mail")
	require.Contains(t, answers[3], `"erased":1`)
}

// TestTheGuidesConfigurationIsJSON reads what is pasted into an assistant's configuration.
func TestTheGuidesConfigurationIsJSON(t *testing.T) {
	t.Parallel()
	var configuration struct {
		Servers map[string]struct {
			Command string
			Args    []string
			Env     map[string]string
		} `json:"mcpServers"`
	}
	require.NoError(t, json.Unmarshal([]byte(examples(t, memoryGuide, "json")[0]), &configuration))
	require.Equal(t, "mcp", configuration.Servers["madansara"].Args[0])
	require.Contains(t, configuration.Servers["madansara"].Env, "ENGARDE_API_KEY")
}

// TestTheGuidesGoExampleWorks holds guided, which the test runs, to the page's text.
func TestTheGuidesGoExampleWorks(t *testing.T) {
	t.Parallel()
	url, db := dbtest.App(t, "madan_sara_app")
	known, hits, err := guided(t.Context(), db, dbtest.Tenant(t, url))
	require.NoError(t, err)
	require.Len(t, hits, 1)
	require.Contains(t, known.Text, "Marie prefers WhatsApp to e-mail")
	source, err := os.ReadFile("memory_docs_test.go")
	require.NoError(t, err)
	flat := func(code string) string {
		return strings.Join(strings.Fields(strings.ReplaceAll(code, "return zerodb.AgentContext{}, nil, err", "return err")), " ")
	}
	shown := examples(t, memoryGuide, "go")[0]
	shown = strings.ReplaceAll(strings.ReplaceAll(shown, " // db is an *engardedb.DB", ""), " // known.Text goes into the prompt", "")
	require.Contains(t, flat(string(source)), flat(strings.ReplaceAll(shown, "defer client.Close(ctx)", "defer func() { _ = client.Close(ctx) }()")))
}

func guided(ctx context.Context, db *engardedb.DB, tenant uuid.UUID) (zerodb.AgentContext, []zerodb.Hit, error) {
	backend := pgmem.New(db, pgmem.Config{})
	embedder, err := embed.NewBuiltin()
	if err != nil {
		return zerodb.AgentContext{}, nil, err
	}
	client, err := zerodb.New(zerodb.Config{Backend: backend, Embedder: embedder})
	if err != nil {
		return zerodb.AgentContext{}, nil, err
	}
	defer func() { _ = client.Close(ctx) }()
	memory := client.Tenant(tenant)
	_, err = memory.Store(ctx, "walker_seo_001", zerodb.Semantic, "Marie prefers WhatsApp to e-mail",
		zerodb.Metadata{"subject": "customer:42", "predicate": "preferred channel"}, 0)
	if err != nil {
		return zerodb.AgentContext{}, nil, err
	}
	hits, err := memory.Retrieve(ctx, "walker_seo_001", "how does Marie want to be reached?", "", 5, 0)
	if err != nil {
		return zerodb.AgentContext{}, nil, err
	}
	known, err := memory.AgentContext(ctx, "walker_seo_001")
	return known, hits, err
}
