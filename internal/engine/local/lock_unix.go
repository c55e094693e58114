//go:build unix

package local

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// folderLock is the ownership of the engine's folder. The kernel drops it when
// the process ends, however it ends.
type folderLock struct{ file *os.File }

// lockMax is how long the folder's lock may be another's before it is refused.
const lockMax = time.Second

func lockFolder(dir string) (*folderLock, error) {
	f, err := os.OpenFile(filepath.Join(dir, "engine.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open local engine: %w", err)
	}
	// A process that the last owner was just starting shares its lock until it
	// becomes that other program, so a lock counts only if it is kept.
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	for deadline := time.Now().Add(lockMax); errors.Is(err, syscall.EWOULDBLOCK) && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, &InUseError{dir}
		}
		return nil, fmt.Errorf("open local engine: lock %s: %w", dir, err)
	}
	return &folderLock{f}, nil
}

func (l *folderLock) release() error { return l.file.Close() }

var errLocked = errors.New("locked")

// takeLock takes the lock of an attempt for as long as this process lives. It
// is a POSIX record lock because that can be tested without being taken: an
// engine that looks never stands in a supervisor's way. It is bound to the
// process, not inherited by its children, and ends with any close of the file,
// so the file is opened here and nowhere else in a supervisor.
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart})
	if err != nil {
		f.Close()
		if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
			return nil, errLocked
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// lockFree tells whether nobody has the lock, without taking it.
func lockFree(path string) (bool, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	l := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &l); err != nil {
		return false, fmt.Errorf("look at lock %s: %w", path, err)
	}
	return l.Type == syscall.F_UNLCK, nil
}

// detach gives a supervisor a session of its own, so that no signal to the
// centre or its terminal reaches it.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// openInside opens a file that work wrote, wary of what it may be: a link to
// somebody else's file, or a pipe that never answers.
func openInside(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", filepath.Base(path))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
