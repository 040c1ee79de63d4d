// Package cli is the program's command line, one file a command.
//
// The exit code is 0 for success, 1 for a failure while running, 2 for a
// command line or configuration that cannot be used. Errors are one line each
// on standard error.
package cli
