//go:build !unix

package enginetest

// Work does nothing here: no engine runs work on such a system.
func Work() {}
