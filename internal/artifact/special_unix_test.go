//go:build unix

package artifact_test

import (
	"net"
	"os"
	"path/filepath"
	"syscall"
)

func mkfifo(name string) error { return syscall.Mkfifo(name, 0o600) }

// listen leaves a socket behind; its name may be longer than a socket's may,
// so it is made elsewhere and moved.
func listen(name string) error {
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	short := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	return os.Rename(short, name)
}
