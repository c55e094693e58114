//go:build unix

package folder

import (
	"errors"
	"os"
	"syscall"
)

// flock retries where a signal came between.
func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func lockExclusive(f *os.File) error { return flock(f, syscall.LOCK_EX) }
func lockShared(f *os.File) error    { return flock(f, syscall.LOCK_SH) }
func unlock(f *os.File)              { _ = flock(f, syscall.LOCK_UN) }
func tryLockAlone(f *os.File) bool   { return flock(f, syscall.LOCK_EX|syscall.LOCK_NB) == nil }
func isFull(err error) bool          { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// syncFolder puts the folder's names on disk.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
