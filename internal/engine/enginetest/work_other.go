//go:build !unix

package enginetest

import "os"

// Work does nothing here: no engine runs work on such a system.
func Work() {}

// Exit ends a helper process.
func Exit(code int) { os.Exit(code) }
