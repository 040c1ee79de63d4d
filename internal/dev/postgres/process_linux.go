package postgres

import (
	"os/exec"
	"runtime"
	"syscall"
)

// superviseProcess starts cmd and waits for it. The kernel ends the server when
// the thread that started it ends, so this goroutine keeps its thread: the
// server then dies with us even when we are killed with -9.
func superviseProcess(cmd *exec.Cmd, owner *syscall.Credential, started chan<- error, done chan<- struct{}) {
	defer close(done)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// SIGINT asks for a fast shutdown; a group of its own keeps the terminal's
	// Ctrl-C from reaching the server before us.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner, Pdeathsig: syscall.SIGINT, Setpgid: true}
	err := cmd.Start()
	started <- err
	if err == nil {
		_ = cmd.Wait() // however it ended, done says so and the log says why
	}
}
