// Package e2e holds the tests that use the product as its users do: the real
// binary, started by its one command, a browser, a shop, a mailbox.
package e2e
