package conversion_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAnswersKeepTheirForm holds the answers that dashboards and other services
// read to what is in testdata. UPDATE_GOLDEN=1 rewrites the files; a change that
// takes a field away or renames one breaks those who read it.
func TestAnswersKeepTheirForm(t *testing.T) {
	t.Parallel()
	s := tell(t)
	for name, path := range map[string]string{
		"events":      "events",
		"journey":     "journey/marie@example.com",
		"stats":       "stats?from=2026-03-08&to=2026-03-09",
		"attribution": "attribution?from=2026-03-01&to=2026-03-31&model=position_based",
		"models":      "attribution/models",
		"campaign":    "campaigns/Spring/conversions?from=2026-03-01&to=2026-03-31&model=linear",
	} {
		var answer any
		require.Equal(t, 200, s.get(t, "/api/v1/conversion/"+path, &answer), name)
		got, err := json.MarshalIndent(answer, "", "  ")
		require.NoError(t, err)
		got = append(numberIDs(got), '\n')
		file := filepath.Join("testdata", name+".json")
		if os.Getenv("UPDATE_GOLDEN") != "" {
			require.NoError(t, os.MkdirAll("testdata", 0o755))
			require.NoError(t, os.WriteFile(file, got, 0o644))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), name)
	}
}

var anyUUID = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// numberIDs names the UUIDs, which differ from run to run, by their first
// appearance.
func numberIDs(text []byte) []byte {
	names := make(map[string][]byte)
	return anyUUID.ReplaceAllFunc(text, func(id []byte) []byte {
		if names[string(id)] == nil {
			names[string(id)] = fmt.Appendf(nil, "uuid-%d", len(names)+1)
		}
		return bytes.Clone(names[string(id)])
	})
}
