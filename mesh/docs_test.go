package mesh_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The Go code of docs/MESH.md stands in the examples, which run as tests.
func TestTheDocumentationsCodeRuns(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/MESH.md")
	require.NoError(t, err)
	examples, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	blocks := strings.Split(string(page), "```go\n")[1:]
	require.NotEmpty(t, blocks)
	for _, block := range blocks {
		code, _, closed := strings.Cut(block, "```")
		require.True(t, closed)
		require.Contains(t, string(examples), code)
	}
}
