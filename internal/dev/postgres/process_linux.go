package postgres

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

// superviseProcess starts cmd and waits for it. The kernel ends the server when
// the thread that started it ends, so this goroutine keeps its thread: the
// server then dies with us even when we are killed with -9.
func superviseProcess(cmd *exec.Cmd, started chan<- error, done chan<- struct{}) {
	defer close(done)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// SIGINT asks for a fast shutdown; a group of its own keeps the terminal's
	// Ctrl-C from reaching the server before us.
	cmd.SysProcAttr.Pdeathsig = syscall.SIGINT
	cmd.SysProcAttr.Setpgid = true
	err := cmd.Start()
	started <- err
	if err == nil {
		_ = cmd.Wait() // however it ended, done says so and the log says why
	}
}

// capDACOverride lets a process into folders whose permissions shut it out.
const capDACOverride = 1

// runAs makes a command run as owner, nil being ourselves. Root's own folders
// (/root) are closed to others; there the server, which root started on root's
// data, is let in.
func runAs(cmd *exec.Cmd, owner *identity, data string) {
	cmd.Dir = "/" // every path is absolute, and ours may be closed to owner
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	if owner == nil || reachable(owner, []string{data, cmd.Path}) {
		return
	}
	// The capability is in effect from the first exec on, so that one must be
	// of a program anybody can reach; env then executes ours.
	cmd.SysProcAttr.AmbientCaps = []uintptr{capDACOverride}
	cmd.Path, cmd.Args = "/usr/bin/env", append([]string{"env"}, cmd.Args...)
}

// reachable reports whether owner may pass through every folder above the paths.
func reachable(owner *identity, paths []string) bool {
	for _, path := range paths {
		for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
			info, err := os.Stat(dir)
			if err != nil {
				return false
			}
			pass := info.Mode().Perm()
			if stat, ok := info.Sys().(*syscall.Stat_t); ok {
				switch {
				case stat.Uid == owner.Uid:
					pass >>= 6
				case stat.Gid == owner.Gid:
					pass >>= 3
				}
			}
			if pass&1 == 0 {
				return false
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return true
}
