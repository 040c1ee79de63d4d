package dbtest

import (
	"os"
	"syscall"
)

// roomNeeded is many times what the databases of tests that run side by side
// take: one is 11 MB.
const roomNeeded = 4 << 30

// folder is where the server's files go: memory, where there is enough of it
// (containers often have little) and TMPDIR names no other place. A database is
// some 900 files, and a disk's file system takes as long to make and remove
// them as the server does.
func folder() string {
	const memory = "/dev/shm"
	var found syscall.Statfs_t
	if os.Getenv("TMPDIR") == "" && syscall.Statfs(memory, &found) == nil && found.Bavail*uint64(found.Bsize) >= roomNeeded {
		return memory
	}
	return os.TempDir()
}
