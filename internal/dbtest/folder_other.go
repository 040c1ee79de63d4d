//go:build !linux

package dbtest

import "os"

func folder() string { return os.TempDir() }
