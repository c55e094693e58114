//go:build !unix

package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gaon-ai/gaon/internal/ledger"
)

// lock is the ownership of a data folder: a file that only its maker removes.
// It outlives a crash, unlike the kernel's lock on Unix.
type lock struct{ path string }

func acquire(dir string) (*lock, error) {
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if errors.Is(err, os.ErrExist) {
		owner, _ := os.ReadFile(path) // only for the message
		return nil, &ledger.HintError{
			Err:  &InUseError{Dir: dir, Owner: "process " + string(owner)},
			Hint: "stop that server; if none runs, remove " + path,
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	_, err = fmt.Fprintf(f, "%d", os.Getpid())
	return &lock{path}, errors.Join(err, f.Close())
}

func (l *lock) release() error {
	if l == nil || l.path == "" {
		return nil
	}
	path := l.path
	l.path = ""
	return os.Remove(path)
}
