package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/proof"
)

// checkTail loads the head and the tree's edge and checks that they and the
// newest entries belong together. It reads at most 256 entries and 255 hashes
// a tile level, whatever the size of the log.
func checkTail(ctx context.Context, r *reader, key proof.VerifierKey) (ledger.Head, *proof.Frontier, error) {
	signed, err := r.checkpoint(ctx)
	if err != nil {
		return ledger.Head{}, nil, err
	}
	c, _, err := proof.OpenCheckpoint(signed, key)
	if err != nil {
		return ledger.Head{}, nil, &proof.TamperedError{Kind: proof.KindCheckpoint, Seq: -1, Last: -1, Path: proof.CheckpointPath, Detail: err.Error(), Cause: err}
	}
	head := ledger.Head{Size: c.Size, Root: c.Root, Checkpoint: signed}
	end, err := r.stored(ctx)
	if err != nil {
		return head, nil, err
	}
	if end < c.Size {
		return head, nil, &proof.TamperedError{Kind: proof.KindTruncated, Seq: end, Last: c.Size - 1, Detail: fmt.Sprintf("%d entries are signed, %d are stored", c.Size, end)}
	}
	if end > c.Size {
		return head, nil, &proof.TamperedError{Kind: proof.KindInserted, Seq: c.Size, Last: end - 1, Detail: fmt.Sprintf("%d entries are stored, %d are signed: the head is older than the entries", end, c.Size)}
	}
	tree, err := loadTree(ctx, r, c)
	if err != nil {
		return head, nil, err
	}
	return head, tree, checkNewest(ctx, r, head, tree)
}

// loadTree rebuilds the frontier and compares its root with the signed one.
func loadTree(ctx context.Context, r *reader, c proof.Checkpoint) (*proof.Frontier, error) {
	edge := make([][]tlog.Hash, proof.TileLevels)
	for level := range edge {
		count := c.Size >> (proof.TileHeight * level)
		var err error
		if edge[level], err = r.edgeHashes(ctx, level, count&^(proof.TileWidth-1), count); err != nil {
			return nil, err
		}
	}
	tree, err := proof.LoadFrontier(c.Size, edge)
	if err != nil {
		return nil, &proof.TamperedError{Kind: proof.KindTile, Seq: 0, Last: c.Size - 1, Detail: err.Error()}
	}
	if tree.Root() != c.Root {
		return nil, &proof.TamperedError{Kind: proof.KindTile, Seq: 0, Last: c.Size - 1, Detail: "the newest stored hashes do not give the signed root"}
	}
	return tree, nil
}

// checkNewest re-hashes the entries of the last tile, full or not.
func checkNewest(ctx context.Context, r *reader, head ledger.Head, tree *proof.Frontier) error {
	if head.Size == 0 {
		return nil
	}
	hashes := tree.Edge(0)
	if len(hashes) == 0 {
		data, err := r.hashes(ctx, tlog.Tile{H: proof.TileHeight, L: 0, N: head.Size/proof.TileWidth - 1, W: proof.TileWidth})
		if err != nil {
			return err
		}
		for ; len(data) > 0; data = data[tlog.HashSize:] {
			hashes = append(hashes, tlog.Hash(data[:tlog.HashSize]))
		}
	}
	first := head.Size - int64(len(hashes))
	list, err := r.read(ctx, first, len(hashes), ledger.BatchBytesMax)
	if err != nil {
		return err
	}
	for i, h := range hashes {
		seq := first + int64(i)
		if i >= len(list) || list[i].Seq != seq {
			return ledger.Missing(seq)
		}
		if tlog.RecordHash(list[i].Data) != h {
			return &proof.TamperedError{Kind: proof.KindEdited, Seq: seq, Last: seq, Detail: "its hash is not the stored one"}
		}
	}
	return nil
}

// refuseTail says what to do about a log that does not fit together.
func refuseTail(dir string, err error) error {
	var tampered *proof.TamperedError
	if !errors.As(err, &tampered) {
		return err
	}
	hint := "keep a copy of the data folder as it is, find all that was changed with: gaon verify " + dir + ", then restore the last backup"
	if errors.Is(err, proof.ErrSignature) {
		hint = "start gaon with the key that this data folder was made with; if it was, the folder was changed: restore the last backup"
	}
	return &ledger.HintError{Err: fmt.Errorf("ledger in %s: %w", dir, err), Hint: hint}
}

// publish writes a copy of the head beside the database, so that an older
// copy of the database cannot take its place unnoticed. The caller holds mu.
func (l *Ledger) publish(signed []byte) error {
	return writeFile(filepath.Join(l.cfg.Dir, checkpointFile), signed)
}

// checkPublished refuses a database that is older than the published copy of
// its head, or whose history is another one.
func (l *Ledger) checkPublished(ctx context.Context, head ledger.Head) error {
	path := filepath.Join(l.cfg.Dir, checkpointFile)
	signed, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open ledger: %w", err)
	}
	refuse := func(err error, hint string) error {
		return &ledger.HintError{Err: fmt.Errorf("ledger in %s: %w", l.cfg.Dir, err), Hint: hint}
	}
	c, _, err := proof.OpenCheckpoint(signed, l.cfg.Key.Verifier())
	if err != nil {
		return refuse(fmt.Errorf("%s: %w", checkpointFile, err),
			"the file was damaged or is another centre's; if you are sure that "+ledgerFile+" is the newest, remove "+path)
	}
	if c.Size > head.Size {
		return refuse(&proof.TamperedError{Kind: proof.KindTruncated, Seq: head.Size, Last: c.Size - 1,
			Detail: fmt.Sprintf("the head has %d entries, yet %d were signed before: this is an older copy of the ledger", head.Size, c.Size)},
			"restore the newest copy of "+ledgerFile+"; to go on from this one and lose what came after, remove "+path)
	}
	root, err := ledger.RootAt(ctx, l, head, c.Size)
	if err != nil {
		return refuse(fmt.Errorf("compare with %s: %w", checkpointFile, err), "check the ledger with: gaon verify "+l.cfg.Dir)
	}
	if root != c.Root {
		return refuse(&proof.TamperedError{Kind: proof.KindRewritten, Seq: 0, Last: c.Size - 1,
			Detail: fmt.Sprintf("at %d entries another history was signed before", c.Size)},
			"restore the copy of "+ledgerFile+" that belongs to "+path)
	}
	return nil
}

// writeFile replaces a file as a whole, durably.
func writeFile(path string, parts ...[]byte) error {
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	for _, data := range parts {
		if _, err = f.Write(data); err != nil {
			break
		}
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(temp))
	}
	return syncFolder(filepath.Dir(path))
}
