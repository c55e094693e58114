//go:build !unix

package folder

import "os"

// Without flock one process at a time is the operator's promise.
func lockExclusive(*os.File) error { return nil }
func lockShared(*os.File) error    { return nil }
func unlock(*os.File)              {}
func tryLockAlone(*os.File) bool   { return true }
func isFull(error) bool            { return false }

// syncFolder: file systems here keep names without being asked.
func syncFolder(string) error { return nil }
