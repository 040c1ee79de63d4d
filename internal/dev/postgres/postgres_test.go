package postgres_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/dev/postgres"
)

// childVariable names the folder of a server that this test binary, run as a
// child, starts and keeps until it is killed.
const childVariable = "MADANSARA_POSTGRES_CHILD"

const soon = 30 * time.Second

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		os.Exit(child(dir))
	}
	os.Exit(m.Run())
}

func child(dir string) int {
	server, err := postgres.Start(context.Background(), postgres.Options{Dir: dir})
	if err != nil {
		fmt.Println("failed:", err)
		return 1
	}
	fmt.Println(server.URL("postgres"))
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent goes, if it does not kill us
	if err := server.Stop(); err != nil {
		return 1
	}
	return 0
}

// folder is one that the server's own user can reach.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "madansara-postgres-test-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o711))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return filepath.Join(dir, "cluster")
}

func start(t *testing.T, dir string) *postgres.Server {
	t.Helper()
	server, err := postgres.Start(t.Context(), postgres.Options{Dir: dir})
	require.NoError(t, err)
	return server
}

func execute(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), sql)
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
}

func serverPID(t *testing.T, dir string) int {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	require.NoError(t, err)
	line, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(line)
	require.NoError(t, err)
	return pid
}

func alive(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

func TestStartStopAndStartAgain(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	server := start(t, dir)
	require.NoError(t, server.CreateDatabase(t.Context(), `odd "name`))
	require.NoError(t, server.CreateDatabase(t.Context(), `odd "name`), "creating it twice is no error")
	execute(t, server.URL(`odd "name`), "create table kept ()")
	pid := serverPID(t, dir)
	require.NoError(t, server.Stop())
	require.False(t, alive(pid))

	server = start(t, dir)
	execute(t, server.URL(`odd "name`), "select from kept")
	require.NoError(t, server.Stop())
	<-server.Done()
}

func TestOneFolderHasOneServer(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	server := start(t, dir)
	_, err := postgres.Start(t.Context(), postgres.Options{Dir: dir})
	require.ErrorIs(t, err, postgres.ErrInUse)
	require.ErrorContains(t, err, dir)
	execute(t, server.URL("postgres"), "select 1")
	require.NoError(t, server.Stop())
}

func TestTheServerIsNotRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root has to drop rights")
	}
	dir := folder(t)
	server := start(t, dir)
	info, err := os.Stat(fmt.Sprintf("/proc/%d", serverPID(t, dir)))
	require.NoError(t, err)
	stat, ok := info.Sys().(*syscall.Stat_t)
	require.True(t, ok)
	require.NotZero(t, stat.Uid)
	require.NoError(t, server.Stop())
}

func TestRootsOwnFolderIsReached(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("only root drops rights, and only Linux lets it keep the one it needs")
	}
	closed := t.TempDir()
	require.NoError(t, os.Chmod(closed, 0o700))
	server := start(t, filepath.Join(closed, "data", "cluster"))
	execute(t, server.URL("postgres"), "select 1")
	require.NoError(t, server.Stop())
}

func TestKillingTheParentEndsTheServerAndLosesNothing(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere the orphan is stopped by the next start")
	}
	dir := folder(t)
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), childVariable+"="+dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	defer func() { _ = stdin.Close() }()
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	url := strings.TrimSpace(line)
	execute(t, url, "create table kept as select 1")
	_, err = postgres.Start(t.Context(), postgres.Options{Dir: dir})
	require.ErrorIs(t, err, postgres.ErrInUse, "also from another process")
	pid := serverPID(t, dir)

	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	// The next start does not wait for us to see the server gone.
	server := start(t, dir)
	require.False(t, alive(pid) && serverPID(t, dir) == pid, "the orphan still owns the folder")
	execute(t, server.URL("postgres"), "select from kept")
	require.NoError(t, server.Stop())
	require.Eventually(t, func() bool { return !alive(pid) }, soon, 10*time.Millisecond)
}

func TestAnInterruptedInitIsBegunAgain(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "data", "base"), 0o750))
	server := start(t, dir)
	require.NoError(t, server.Stop())
}

func TestBinariesThatAreNotThere(t *testing.T) {
	t.Parallel()
	_, err := postgres.Start(t.Context(), postgres.Options{Dir: folder(t), Binaries: "/nowhere"})
	require.ErrorContains(t, err, "/nowhere")
}

func TestACancelledStartLeavesNothingRunning(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := postgres.Start(ctx, postgres.Options{Dir: dir})
	require.Error(t, err)
	server := start(t, dir)
	require.NoError(t, server.Stop())
}
