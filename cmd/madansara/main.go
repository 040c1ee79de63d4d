// Command madansara is the whole product in one program.
package main

import (
	"os"

	"github.com/engardehq/madansara/internal/cli"
)

func main() { os.Exit(cli.Run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr)) }
