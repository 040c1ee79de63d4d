package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// binary is the product, built once for all tests of this package.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "madansara-e2e-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "madansara")
	build := exec.Command("go", "build", "-o", path, "../cmd/madansara")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	return path, nil
})

// running is a started `madansara up` and what it printed about itself.
type running struct {
	cmd     *exec.Cmd
	printed map[string]string // "Dashboard" -> "http://localhost:8002/"
	log     *syncBuffer
	waited  chan error
}

// up starts `madansara up` in a data folder of its own, as on an empty
// machine: nothing of the test's environment but where programs are.
func up(t *testing.T, dataDir string) *running {
	t.Helper()
	program, err := binary()
	require.NoError(t, err)
	r := &running{printed: map[string]string{}, log: &syncBuffer{}, waited: make(chan error, 1)}
	r.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), program, "up")
	r.cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dataDir, "MADANSARA_DATA_DIR=" + dataDir,
		"PORT=" + freePort(t), "SHOP_PORT=" + freePort(t), "MAILBOX_PORT=" + freePort(t),
		"ENGARDE_CORE_URL=http://127.0.0.1:" + freePort(t), "ONSIDE_URL=http://127.0.0.1:" + freePort(t), "SANKORE_URL=http://127.0.0.1:" + freePort(t),
	}
	r.cmd.Stderr = r.log
	stdout, err := r.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, r.cmd.Start())
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			lines <- scanner.Text()
		}
		r.waited <- r.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill() // it has ended already unless the test failed
		for range lines {
		}
		if t.Failed() {
			t.Logf("madansara up said:\n%s", r.log)
		}
	})
	r.read(t, lines)
	return r
}

// read takes the lines up to the last one that `up` prints.
func (r *running) read(t *testing.T, lines <-chan string) {
	t.Helper()
	deadline := time.After(3 * time.Minute)
	for {
		select {
		case line, open := <-lines:
			require.True(t, open, "up ended while starting: %s", r.log)
			name, value, _ := strings.Cut(line, "  ")
			r.printed[strings.TrimSpace(name)] = strings.TrimSpace(value)
			if strings.HasPrefix(line, "Write key") {
				go func() { // whatever it prints later must not block it
					for range lines {
					}
				}()
				return
			}
		case <-deadline:
			require.FailNow(t, "up did not start", "%s", r.log)
		}
	}
}

func (r *running) url(t *testing.T, name string) string {
	t.Helper()
	require.Contains(t, r.printed, name)
	return strings.TrimSuffix(r.printed[name], "/")
}

// logIn returns the owner's e-mail address and password.
func (r *running) logIn(t *testing.T) (email, password string) {
	t.Helper()
	email, password, found := strings.Cut(r.printed["Log-in"], "password:")
	require.True(t, found, "log-in line: %q", r.printed["Log-in"])
	return strings.TrimSpace(email), strings.TrimSpace(password)
}

// stop asks the process to end, as a terminal's Ctrl-C does, and sees that it does.
func (r *running) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, r.cmd.Process.Signal(syscall.SIGINT))
	select {
	case err := <-r.waited:
		require.NoError(t, err, "%s", r.log)
	case <-time.After(2 * time.Minute):
		require.FailNow(t, "up does not stop", "%s", r.log)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port
}

// syncBuffer is a bytes.Buffer that a process writes while a test reads.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
