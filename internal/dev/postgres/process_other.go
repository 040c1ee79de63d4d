//go:build !linux

package postgres

import (
	"os/exec"
	"syscall"
)

// superviseProcess starts cmd and waits for it. Outside Linux a server whose
// parent was killed with -9 lives on until the next start stops it.
func superviseProcess(cmd *exec.Cmd, owner *syscall.Credential, started chan<- error, done chan<- struct{}) {
	defer close(done)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner, Setpgid: true}
	err := cmd.Start()
	started <- err
	if err == nil {
		_ = cmd.Wait() // however it ended, done says so and the log says why
	}
}
