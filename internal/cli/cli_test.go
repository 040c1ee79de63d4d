package cli

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// mainVariable makes this test binary be the program, so that a test may kill it.
const mainVariable = "MADANSARA_CLI_TEST_MAIN"

// soon bounds what a failing test waits for; it allows for a machine with much else to do.
const soon = 3 * time.Minute

func TestMain(m *testing.M) {
	if os.Getenv(mainVariable) != "" {
		os.Exit(Run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func call(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, process{environ: environ, stdout: &out, stderr: &errs})
	return code, out.String(), errs.String()
}

func TestConfigMasksSecrets(t *testing.T) {
	t.Parallel()
	code, out, _ := call(t, []string{"ENGARDE_DATABASE_URL=postgres://a:hunter2@b/c"}, "config")
	require.Zero(t, code)
	require.Contains(t, out, "ENGARDE_DATABASE_URL=postgres://a:********@b/c\n")
	require.Contains(t, out, "DB_POOL_SIZE=5\n")
	require.NotContains(t, out, "hunter2")
}

func TestExitCodesAndOneLineErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		environ []string
		args    []string
		code    int
		says    string
	}{
		"unknown command":     {nil, []string{"dance"}, exitUsage, "dance"},
		"unknown flag":        {nil, []string{"config", "--loud"}, exitUsage, "--loud"},
		"unknown service":     {nil, []string{"serve", "banana"}, exitUsage, "banana"},
		"bad variable":        {[]string{"PORT=x"}, []string{"config"}, exitUsage, "PORT="},
		"up in production":    {productionEnvironment(), []string{"up"}, exitUsage, "madansara serve"},
		"no database answers": {[]string{"ENGARDE_DATABASE_URL=postgres://a:hunter2@127.0.0.1:1/x?sslmode=disable"}, []string{"migrate"}, exitFailed, "ENGARDE_DATABASE_URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, _, errs := call(t, c.environ, c.args...)
			require.Equal(t, c.code, code, errs)
			require.Contains(t, errs, c.says)
			require.True(t, strings.HasPrefix(errs, "madansara: "), errs)
			require.Equal(t, 1, strings.Count(errs, "\n"), errs)
			require.NotContains(t, errs, "hunter2")
		})
	}
}

func productionEnvironment() []string {
	return []string{
		"ENVIRONMENT=production", "PUBLIC_BASE_URL=https://ms.example", "SECRET_KEY=" + strings.Repeat("k", 32),
		"SERVICE_MESH_SECRET=" + strings.Repeat("m", 32), "ENGARDE_DATABASE_URL=postgres://a:b@c/d?sslmode=require",
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	code, out, _ := call(t, nil, "version")
	require.Zero(t, code)
	require.True(t, strings.HasPrefix(out, "madansara "), out)
}

func TestAPortInUse(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", ":0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	port := listener.Addr().(*net.TCPAddr).Port
	code, _, errs := call(t, []string{"PORT=" + strconv.Itoa(port), "MADANSARA_DATA_DIR=" + t.TempDir()}, "up")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, fmt.Sprintf("port %d is in use", port))
	require.Contains(t, errs, "PORT=")
}

// world is a running `up`.
type world struct {
	cmd   *exec.Cmd
	said  map[string]string
	out   *bytes.Buffer
	ended chan error
}

func (w *world) password() string { return strings.Fields(w.said["Log-in"])[2] }

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

func dataFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "madansara-up-test-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return filepath.Join(dir, "data")
}

// up starts the program and waits until it has told everything.
func up(t *testing.T, data string) *world {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	w := &world{said: map[string]string{}, out: &bytes.Buffer{}, ended: make(chan error, 1)}
	w.cmd = exec.Command(program, "up")
	w.cmd.Env = append(os.Environ(), mainVariable+"=1", "MADANSARA_DATA_DIR="+data,
		"PORT="+freePort(t), "SHOP_PORT="+freePort(t), "MAILBOX_PORT="+freePort(t), "LOG_LEVEL=warn",
		"ENGARDE_CORE_URL=http://127.0.0.1:"+freePort(t), "ONSIDE_URL=http://127.0.0.1:"+freePort(t), "SANKORE_URL=http://127.0.0.1:"+freePort(t))
	w.cmd.Stderr = w.out
	stdout, err := w.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, w.cmd.Start())
	t.Cleanup(func() { _ = w.cmd.Process.Kill() })
	lines := bufio.NewScanner(stdout)
	for len(w.said) < 10 && lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		w.said[name] = strings.TrimSpace(value)
		if name == "API" || name == "Write" { // "API docs", "API key", "Write key"
			kind, rest, _ := strings.Cut(strings.TrimSpace(value), " ")
			delete(w.said, name)
			w.said[name+" "+kind] = strings.TrimSpace(rest)
		}
	}
	require.Len(t, w.said, 10, "up said: %v; %s", w.said, w.out)
	var drained sync.WaitGroup
	drained.Go(func() { _, _ = io.Copy(io.Discard, stdout) })
	go func() {
		drained.Wait()
		w.ended <- w.cmd.Wait()
	}()
	return w
}

func (w *world) stop(t *testing.T, signal os.Signal) error {
	t.Helper()
	require.NoError(t, w.cmd.Process.Signal(signal))
	select {
	case err := <-w.ended:
		return err
	case <-time.After(soon):
		t.Fatal("the program does not end")
		return nil
	}
}

func status(t *testing.T, client *http.Client, address string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	require.NoError(t, err)
	response, err := client.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

func logIn(t *testing.T, w *world) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	client := &http.Client{Jar: jar, Timeout: soon}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.said["Dashboard"]+"login",
		strings.NewReader(url.Values{"email": {ownerEmail}, "password": {w.password()}}.Encode()))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := client.Do(request)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.NotContains(t, string(body), `name="password"`, "still at the log-in page")
}

// TestUp is the first minute of a newcomer, an interrupted machine, and the next day.
func TestUp(t *testing.T) {
	t.Parallel()
	data := dataFolder(t)
	first := up(t, data)
	for _, name := range []string{"Shop", "Mailbox", "API docs"} {
		require.Equal(t, http.StatusOK, status(t, http.DefaultClient, first.said[name]), name)
	}
	require.Equal(t, http.StatusOK, status(t, http.DefaultClient, first.said["Dashboard"]+"health/ready"))
	logIn(t, first)
	require.Regexp(t, `^mssk_[0-9A-Za-z]{65}$`, first.said["API key"])
	for _, name := range []string{"demo.json", "secret-key"} {
		info, err := os.Stat(filepath.Join(data, name))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
	}

	code, _, errs := call(t, []string{"MADANSARA_DATA_DIR=" + data, "PORT=" + freePort(t)}, "migrate")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "in use by another madansara")

	require.Error(t, first.stop(t, syscall.SIGKILL))
	second := up(t, data)
	for _, name := range []string{"Log-in", "API key", "Write key"} {
		require.Equal(t, first.said[name], second.said[name], "a second run finds %s again", name)
	}
	logIn(t, second)
	require.NoError(t, second.stop(t, syscall.SIGINT), "Ctrl-C is a success: %s", second.out)

	require.NoError(t, os.Remove(filepath.Join(data, "demo.json")))
	third := up(t, data)
	require.NotEqual(t, first.said["API key"], third.said["API key"])
	logIn(t, third)
	require.NoError(t, third.stop(t, syscall.SIGTERM))
}

func TestServeRefusesADatabaseWithoutItsSchema(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	data := dataFolder(t)
	cfg, err := process{environ: []string{"MADANSARA_DATA_DIR=" + data}}.config()
	require.NoError(t, err)
	database, err := openDatabase(ctx, cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, database.stop()) }()
	code, _, errs := call(t, []string{"ENGARDE_DATABASE_URL=" + database.url, "PORT=" + freePort(t), "MADANSARA_DATA_DIR=" + data}, "serve")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "run: madansara migrate")
}
