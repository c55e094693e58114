//go:build !unix

package local

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// errSystem is why nothing runs here: without process groups no attempt could
// be ended whole.
var errSystem = errors.New("work runs on Linux, or without a sandbox on other Unix systems; not on this one")

var sandboxKinds = []string{SandboxNone}

// Supervise does nothing on this system.
func Supervise(string) int {
	fmt.Fprintln(os.Stderr, "gaon:", errSystem)
	return 1
}

type folderLock struct{ path string }

func lockFolder(dir string) (*folderLock, error) { return nil, errSystem }

func (l *folderLock) release() error { return nil }

func lockFree(string) (bool, error) { return true, nil }

func takeLock(string) (*os.File, error) { return nil, errSystem }

func detach(*exec.Cmd) {}

func openInside(path string) (*os.File, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", filepath.Base(path))
	}
	return os.Open(path)
}

func programInside(l launch) string { return l.Program }

type processID struct {
	PID  int    `json:"pid"`
	Boot string `json:"boot"`
}

func bootID() string { return "" }

func endRemains(processID, string) error { return errSystem }

func affinity([]int) []int { return nil }
