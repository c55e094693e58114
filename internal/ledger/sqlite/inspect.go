package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/proof"
)

// Inspection reads the log in a data folder for verification: it needs no
// signing key, takes no lock, writes nothing to the log and may run beside the
// server. It is a proof.Source and a proof.Counter.
type Inspection struct {
	r    *reader
	head ledger.Head
}

// Inspect opens the log in dir. Nothing in it is checked: that is the work of
// proof.VerifyLedger. It sees the log as it is now; what the server appends
// later it leaves out.
func Inspect(ctx context.Context, dir string) (*Inspection, error) {
	path := filepath.Join(dir, ledgerFile)
	if _, err := os.Stat(path); err != nil {
		return nil, &ledger.HintError{
			Err:  fmt.Errorf("no ledger in %s: %w", dir, err),
			Hint: "name the data folder of a centre, the one with " + ledgerFile + " in it",
		}
	}
	r, err := openReader(ctx, path)
	if err != nil {
		return nil, err
	}
	signed, err := r.checkpoint(ctx)
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	i := &Inspection{r: r, head: ledger.Head{Checkpoint: signed}}
	// The size only bounds what ReadFile looks for; a false one is found when
	// the checkpoint's signature is checked.
	if c, err := proof.ReadCheckpoint(signed); err == nil {
		i.head.Size, i.head.Root = c.Size, c.Root
	}
	return i, nil
}

// ReadFile implements proof.Source.
func (i *Inspection) ReadFile(ctx context.Context, path string) ([]byte, error) {
	return i.r.file(ctx, path, i.head)
}

// StoredEntries implements proof.Counter. Entries that were appended after
// Inspect are not counted, unless they have no head above them.
func (i *Inspection) StoredEntries(ctx context.Context) (int64, error) {
	end, err := i.r.stored(ctx)
	if err != nil || end <= i.head.Size {
		return end, err
	}
	signed, err := i.r.checkpoint(ctx)
	if err != nil {
		return 0, err
	}
	if c, err := proof.ReadCheckpoint(signed); err == nil && c.Size >= end {
		return i.head.Size, nil
	}
	return end, nil
}

// Close releases the files.
func (i *Inspection) Close() error { return i.r.close() }
