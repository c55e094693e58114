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

// Verify checks all that the folder shows: SQLite's own structure, every entry
// and hash against the signed head, and that the head published beside the
// database is still contained, which finds an older copy put in its place.
func (i *Inspection) Verify(ctx context.Context, opts proof.Options) (proof.Report, error) {
	published, err := os.ReadFile(filepath.Join(filepath.Dir(i.r.path), checkpointFile))
	if err == nil {
		if _, _, err := proof.OpenCheckpoint(published, opts.Keys...); err != nil {
			return proof.Report{}, &proof.TamperedError{Kind: proof.KindCheckpoint, Seq: -1, Last: -1, Path: checkpointFile, Cause: err,
				Detail: "the copy of the head beside " + ledgerFile + ": " + err.Error()}
		}
		// The server may have published a later head since Inspect.
		if c, err := proof.ReadCheckpoint(published); err == nil && !i.outrun(ctx, c) {
			opts.Earlier = append(append([][]byte(nil), opts.Earlier...), published)
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return proof.Report{}, fmt.Errorf("verify ledger: %w", err)
	}
	report, err := proof.VerifyLedger(ctx, i, opts)
	if err != nil {
		return report, err
	}
	return report, i.r.integrity(ctx)
}

// outrun reports whether the published head is beyond the inspected one only
// because the server appended meanwhile.
func (i *Inspection) outrun(ctx context.Context, published proof.Checkpoint) bool {
	if published.Size <= i.head.Size {
		return false
	}
	signed, err := i.r.checkpoint(ctx)
	if err != nil {
		return false
	}
	now, err := proof.ReadCheckpoint(signed)
	return err == nil && now.Size >= published.Size
}

// integrity lets SQLite check its pages and indexes. It reads the whole file.
func (r *reader) integrity(ctx context.Context) error {
	var first string
	if err := r.db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&first); err != nil {
		return explain(r.path, err)
	}
	if first != "ok" {
		return &ledger.HintError{
			Err:  fmt.Errorf("%s is damaged: every entry is as signed, yet SQLite finds: %s", r.path, first),
			Hint: "keep a copy of the data folder as it is, then restore the last backup",
		}
	}
	return nil
}
