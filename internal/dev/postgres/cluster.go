package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	embedded "github.com/fergusstrange/embedded-postgres"
)

// identity is a user of this machine.
type identity = syscall.Credential

// clusterOwner returns whom the server runs as: nil for ourselves, or, because
// PostgreSQL refuses root, an unprivileged user of this machine.
func clusterOwner() (*identity, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // nil is exec's own word for "as we are"
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, fmt.Errorf("embedded PostgreSQL: ids of user %s: %w", name, err)
		}
		return &identity{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("embedded PostgreSQL refuses root and there is no user postgres or nobody to run it as; run as another user")
}

func makeDir(dir string, owner *identity) error {
	// The server's own user must reach the folder, whoever makes its parents.
	if err := errors.Join(os.MkdirAll(filepath.Dir(dir), 0o711), os.MkdirAll(dir, 0o750)); err != nil { //nolint:gosec // 0711 shows nothing
		return fmt.Errorf("embedded PostgreSQL: make %s: %w", dir, err)
	}
	if owner == nil {
		return nil
	}
	if err := os.Chown(dir, int(owner.Uid), int(owner.Gid)); err != nil {
		return fmt.Errorf("embedded PostgreSQL: give %s to the server's user: %w", dir, err)
	}
	return nil
}

// lockDir takes the folder's lock, which the kernel gives back when this
// process ends, however it ends.
func lockDir(dir string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("embedded PostgreSQL: open the lock of %s: %w", dir, err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close() // it was never locked
		return nil, fmt.Errorf("embedded PostgreSQL: %s: %w (stop it, or name another folder)", dir, ErrInUse)
	}
	return lock, nil
}

// findBinaries returns a folder that holds initdb and postgres, version 15 or newer.
func findBinaries(ctx context.Context, named string) (string, error) {
	candidates := []string{named}
	if named == "" {
		candidates = installedBinaries()
	}
	for _, dir := range candidates {
		if version, err := serverVersion(ctx, dir); err == nil && version >= 15 {
			return dir, nil
		}
	}
	if named != "" {
		return "", fmt.Errorf("embedded PostgreSQL: no PostgreSQL 15 or newer in %s", named)
	}
	return download()
}

func installedBinaries() []string {
	var dirs []string
	if path, err := exec.LookPath("postgres"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", // Debian, Ubuntu
		"/usr/pgsql-*/bin",          // Red Hat
		"/opt/homebrew/opt/postgresql@*/bin",
		"/usr/local/opt/postgresql@*/bin",
		"/usr/local/pgsql/bin",
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			continue // the patterns are ours and well formed
		}
		slices.Reverse(found) // the newest first
		dirs = append(dirs, found...)
	}
	return dirs
}

func serverVersion(ctx context.Context, dir string) (int, error) {
	if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
		return 0, err
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(out)) // postgres (PostgreSQL) 15.18 (Debian ...)
	if len(fields) < 3 {
		return 0, fmt.Errorf("unexpected version %q", out)
	}
	major, _, _ := strings.Cut(fields[2], ".")
	return strconv.Atoi(major)
}

// download fetches PostgreSQL once through the embedded-postgres module, into
// the user's cache.
func download() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("embedded PostgreSQL: find the cache folder: %w", err)
	}
	dir := filepath.Join(cache, "madansara", "postgres-"+string(embedded.V17))
	if _, err := os.Stat(filepath.Join(dir, "bin", "postgres")); err == nil {
		return filepath.Join(dir, "bin"), nil
	}
	scratch, err := os.MkdirTemp("", "madansara-postgres-")
	if err != nil {
		return "", fmt.Errorf("embedded PostgreSQL: %w", err)
	}
	defer func() { _ = os.RemoveAll(scratch) }() // a temporary folder; the system clears it too
	db := embedded.NewDatabase(embedded.DefaultConfig().Version(embedded.V17).
		BinariesPath(dir).RuntimePath(filepath.Join(scratch, "run")).DataPath(filepath.Join(scratch, "data")))
	if err := db.Start(); err != nil {
		return "", fmt.Errorf("no PostgreSQL 15 or newer is installed and it could not be downloaded; install it (Debian: apt-get install postgresql): %w", err)
	}
	if err := db.Stop(); err != nil {
		return "", fmt.Errorf("embedded PostgreSQL: stop the first start: %w", err)
	}
	return filepath.Join(dir, "bin"), nil
}

func initCluster(ctx context.Context, binaries, data string, owner *identity) error {
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err == nil {
		return nil
	}
	// What an interrupted initdb left behind holds no data yet.
	if err := os.RemoveAll(data); err != nil {
		return fmt.Errorf("embedded PostgreSQL: clear %s: %w", data, err)
	}
	// Only this machine's loopback is listened on, so it trusts its connections.
	cmd := exec.CommandContext(ctx, filepath.Join(binaries, "initdb"),
		"-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions", "--no-sync")
	runAs(cmd, owner, data)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("embedded PostgreSQL: initdb: %w: %s", err, out)
	}
	return nil
}

// stopOrphan ends a server that outlived a killed parent. We hold the folder's
// lock, so no live process of ours owns it.
func stopOrphan(ctx context.Context, data string) error {
	pidFile := filepath.Join(data, "postmaster.pid")
	content, err := os.ReadFile(pidFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("embedded PostgreSQL: read %s: %w", pidFile, err)
	}
	lines := strings.Split(string(content), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || len(lines) < 2 || lines[1] != data || !isPostgres(pid, data) {
		return nil // the number was given to another program since; PostgreSQL clears the file itself
	}
	if err := syscall.Kill(pid, syscall.SIGINT); err != nil {
		return fmt.Errorf("embedded PostgreSQL: stop the orphaned server %d: %w", pid, err)
	}
	deadline, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for isPostgres(pid, data) {
		select {
		case <-deadline.Done():
			return fmt.Errorf("embedded PostgreSQL: the orphaned server %d does not stop: %w", pid, deadline.Err())
		case <-tick.C:
		}
	}
	return nil
}

func isPostgres(pid int, data string) bool {
	if runtime.GOOS != "linux" {
		return syscall.Kill(pid, 0) == nil
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.Contains(string(cmdline), data)
}
