package internal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/engardehq/madansara/"

// borders says, for the packages below a path, what they must not import.
// docs/ARCHITECTURE.md gives the reasons.
var borders = []struct {
	inside    string
	forbidden []string
	except    []string
}{
	{inside: "engardedb", forbidden: []string{"internal", "cmd", "db"}},
	{inside: "mesh", forbidden: []string{"internal", "engardedb", "cmd", "db"}},
	{inside: "zerodb", forbidden: []string{"internal", "mesh", "cmd", "db"}},
	{inside: "internal/fault", forbidden: []string{"internal", "engardedb"}},
	{inside: "internal/money", forbidden: []string{"internal", "engardedb"}, except: []string{"internal/fault"}},
	{inside: "internal/httpkit", forbidden: []string{"internal/core", "internal/madansara", "internal/app", "internal/dashboard"}},
	{inside: "internal/meshstore", forbidden: []string{"internal"}},
	{inside: "internal/core", forbidden: []string{"internal/madansara", "internal/dashboard", "internal/app"}},
	{inside: "internal/madansara", forbidden: []string{"internal/core", "internal/dashboard", "internal/app", "internal/dev", "internal/cli"}},
	{inside: "internal/ssrf", forbidden: []string{"internal", "engardedb", "cmd", "db"}},
	{inside: "internal/onside", forbidden: []string{"internal/core", "internal/madansara", "internal/sankore", "internal/dashboard", "internal/app", "internal/dev", "internal/cli"}},
	{inside: "internal/sankore", forbidden: []string{"internal/core", "internal/madansara", "internal/onside", "internal/dashboard", "internal/app", "internal/dev", "internal/cli"}},
	{inside: "internal/dashboard", forbidden: []string{"internal/app", "internal/dev", "internal/cli"}},
	{inside: "internal/app", forbidden: []string{"internal/dev", "internal/cli"}},
	{inside: "cmd", forbidden: []string{"internal", "engardedb"}, except: []string{"internal/cli"}},
}

func TestImportsGoDown(t *testing.T) {
	t.Parallel()
	for _, pkg := range packages(t) {
		for _, border := range borders {
			if !within(pkg.ImportPath, border.inside) {
				continue
			}
			for _, imported := range pkg.Imports {
				forbidden := withinAny(imported, border.forbidden) && !within(imported, border.inside) && !withinAny(imported, border.except)
				require.False(t, forbidden, "%s must not import %s", pkg.ImportPath, imported)
			}
		}
	}
}

func TestPackageNamesSayWhatTheyHold(t *testing.T) {
	t.Parallel()
	for _, pkg := range packages(t) {
		require.NotContains(t, []string{"util", "utils", "common", "helper", "helpers", "manager", "misc", "shared", "base", "models"}, pkg.Name, pkg.ImportPath)
	}
}

func TestFilesStayReadable(t *testing.T) {
	t.Parallel()
	const longest = 550
	for _, pkg := range packages(t) {
		for _, name := range append(pkg.GoFiles, append(pkg.TestGoFiles, pkg.XTestGoFiles...)...) {
			source, err := os.ReadFile(filepath.Join(pkg.Dir, name))
			require.NoError(t, err)
			if bytes.Contains(source[:min(len(source), 400)], []byte("DO NOT EDIT")) {
				continue
			}
			require.LessOrEqual(t, bytes.Count(source, []byte("\n")), longest, "%s/%s wants to be two files", pkg.ImportPath, name)
		}
	}
}

type goPackage struct {
	Dir, ImportPath, Name                       string
	GoFiles, TestGoFiles, XTestGoFiles, Imports []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=Dir,ImportPath,Name,GoFiles,TestGoFiles,XTestGoFiles,Imports", "./...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	require.NoError(t, err)
	var list []goPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var pkg goPackage
		err := decoder.Decode(&pkg)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		list = append(list, pkg)
	}
	require.NotEmpty(t, list)
	return list
}

func within(importPath, room string) bool {
	path, ours := strings.CutPrefix(importPath, module)
	return ours && (path == room || strings.HasPrefix(path, room+"/"))
}

func withinAny(importPath string, rooms []string) bool {
	for _, room := range rooms {
		if within(importPath, room) {
			return true
		}
	}
	return false
}
