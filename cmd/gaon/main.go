// Command gaon runs a sovereign AI computing centre, end to end. It only
// wires; package cli holds the commands.
package main

import (
	"os"

	"github.com/gaon-ai/gaon/internal/cli"
)

// version is set by the release build.
var version = "0.1.0-dev"

func main() { os.Exit(cli.Main(version, os.Args[1:])) }
