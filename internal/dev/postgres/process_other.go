//go:build !linux

package postgres

import (
	"os/exec"
	"syscall"
)

// superviseProcess starts cmd and waits for it. Outside Linux a server whose
// parent was killed with -9 lives on until the next start stops it.
func superviseProcess(cmd *exec.Cmd, started chan<- error, done chan<- struct{}) {
	defer close(done)
	cmd.SysProcAttr.Setpgid = true
	err := cmd.Start()
	started <- err
	if err == nil {
		_ = cmd.Wait() // however it ended, done says so and the log says why
	}
}

// runAs makes a command run as owner, nil being ourselves.
func runAs(cmd *exec.Cmd, owner *identity, _ string) {
	cmd.Dir = "/" // every path is absolute, and ours may be closed to owner
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
}
