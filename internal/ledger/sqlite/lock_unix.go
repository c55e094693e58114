//go:build unix

package sqlite

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/gaon-ai/gaon/internal/ledger"
)

// lock is the ownership of a data folder. The kernel drops it when the process
// ends, however it ends; the number in the file is only for people.
type lock struct{ file *os.File }

// acquire takes the folder, or says which process has it.
func acquire(dir string) (*lock, error) {
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, &ledger.HintError{
				Err:  fmt.Errorf("cannot lock data folder %s: %w", dir, err),
				Hint: "keep the data folder on a local disk",
			}
		}
		return nil, inUse(dir, f)
	}
	l := &lock{f}
	text := strconv.Itoa(os.Getpid()) + "\n"
	_, err = f.WriteAt([]byte(text), 0)
	if err := errors.Join(err, f.Truncate(int64(len(text)))); err != nil {
		return nil, errors.Join(fmt.Errorf("open ledger: write %s: %w", path, err), l.release())
	}
	return l, nil
}

func inUse(dir string, f *os.File) error {
	owner := "another process"
	text := make([]byte, 16)
	n, err := f.ReadAt(text, 0)
	if pid := strings.TrimSpace(string(text[:n])); (err == nil || errors.Is(err, io.EOF)) && pid != "" {
		owner = "process " + pid
	}
	return &ledger.HintError{
		Err:  &InUseError{Dir: dir, Owner: owner},
		Hint: "stop that server, or start this one on another data folder",
	}
}

func (l *lock) release() error {
	if l == nil || l.file == nil {
		return nil
	}
	f := l.file
	l.file = nil
	return f.Close()
}
