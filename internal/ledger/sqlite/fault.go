package sqlite

import (
	"errors"
	"fmt"
	"io/fs"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"github.com/gaon-ai/gaon/internal/ledger"
)

// InUseError: another process owns the data folder.
type InUseError struct {
	Dir   string
	Owner string // "process 1234"
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("data folder %s is in use by %s", e.Dir, e.Owner)
}

// Code names the refusal.
func (e *InUseError) Code() string { return "ledger.in-use" }

// NewerError: a newer Gaon wrote the data folder.
type NewerError struct {
	File        string
	Have, Knows int // data versions
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("%s has data version %d, this gaon knows up to %d", e.File, e.Have, e.Knows)
}

// Code names the refusal.
func (e *NewerError) Code() string { return "ledger.newer" }

// primary returns SQLite's primary result code, 0 if err has none.
func primary(err error) int {
	var e *driver.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code() & 0xff // the rest are extended codes: sqlite.org/rescode.html
}

// explain adds to a driver's error which file it was about and what to do.
func explain(path string, err error) error {
	if err == nil {
		return nil
	}
	hint := ""
	wrapped := fmt.Errorf("%s: %w", path, err)
	switch primary(err) {
	case codes.SQLITE_FULL:
		wrapped = fmt.Errorf("%s: %w: %w", path, ledger.ErrFull, err)
		hint = "free some space on the disk and try again"
	case codes.SQLITE_BUSY, codes.SQLITE_LOCKED:
		wrapped = fmt.Errorf("%s is locked by another program: %w", path, err)
		hint = "close the program that has the file open, such as a database browser or a backup, and try again"
	case codes.SQLITE_CORRUPT, codes.SQLITE_NOTADB:
		wrapped = fmt.Errorf("%s is damaged: %w", path, err)
		hint = "keep a copy of the data folder as it is, then restore the last backup"
	case codes.SQLITE_READONLY, codes.SQLITE_PERM, codes.SQLITE_AUTH:
		hint = "give the user that runs gaon the right to write there"
	case codes.SQLITE_CANTOPEN:
		hint = "check that the folder exists and that the user that runs gaon may write there"
	default:
		if errors.Is(err, fs.ErrPermission) {
			hint = "give the user that runs gaon the right to write there"
		}
	}
	if hint == "" {
		return wrapped
	}
	return &ledger.HintError{Err: wrapped, Hint: hint}
}
