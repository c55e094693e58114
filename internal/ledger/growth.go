package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gaon-ai/gaon/proof"
)

// Growth is what appending a batch changes in the tree: the tiles it fills,
// the hashes of the new partial tiles, and the new signed head. It is worked
// out before anything is stored, from memory alone.
type Growth struct {
	Based int64
	Head  Head
	Full  []Tile                // tiles that the batch completed
	After *proof.Frontier       // the tree with the batch in it
	fresh [proof.TileLevels]int // edge hashes of After from this index on are new
}

// Tile is a full tile: 256 hashes, 8,192 bytes.
type Tile struct {
	tlog.Tile
	Data []byte
}

// Grow computes the growth of the tree by the batch and signs its head.
func Grow(before *proof.Frontier, batch [][]byte, key proof.SigningKey) (*Growth, error) {
	g := &Growth{Based: before.Size(), After: before.Clone()}
	for level := range proof.TileLevels {
		g.fresh[level] = len(before.Edge(level))
	}
	for _, data := range batch {
		g.After.Add(tlog.RecordHash(data), func(t tlog.Tile, hashes []tlog.Hash) {
			full := make([]byte, 0, proof.TileWidth*tlog.HashSize)
			for _, h := range hashes {
				full = append(full, h[:]...)
			}
			g.Full = append(g.Full, Tile{Tile: t, Data: full})
			g.fresh[t.L] = 0
		})
	}
	c := proof.Checkpoint{Origin: key.Origin(), Size: g.After.Size(), Root: g.After.Root()}
	signed, err := proof.SignCheckpoint(c, key)
	if err != nil {
		return nil, err
	}
	g.Head = Head{Size: c.Size, Root: c.Root, Checkpoint: signed}
	return g, nil
}

// EachEdge calls store for every hash of a partial tile that is not stored
// yet: index counts the hashes of the level from the left of the whole tree.
// Those of Full tiles are not among them and are to be dropped from the edge.
func (g *Growth) EachEdge(store func(level int, index int64, h tlog.Hash) error) error {
	for level := range proof.TileLevels {
		edge := g.After.Edge(level)
		base := g.Head.Size>>(proof.TileHeight*level) - int64(len(edge))
		for i := g.fresh[level]; i < len(edge); i++ {
			if err := store(level, base+int64(i), edge[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// ServeFile answers Source.ReadFile from the three kinds of things an
// implementation stores: the head, whole entries, and hashes of tiles. hashes
// must return the first t.W hashes of the tile, joined.
func ServeFile(path string, head Head,
	entries func(from int64, count int) ([]Entry, error),
	hashes func(t tlog.Tile) ([]byte, error),
) ([]byte, error) {
	if path == proof.CheckpointPath {
		return head.Checkpoint, nil
	}
	t, err := proof.ParseTilePath(path)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.Join(fs.ErrNotExist, err)}
	}
	level := max(t.L, 0)
	first := t.N * proof.TileWidth
	if first+int64(t.W) > head.Size>>(proof.TileHeight*level) {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fs.ErrNotExist}
	}
	if t.L != proof.EntriesLevel {
		return hashes(t)
	}
	list, err := entries(first, t.W)
	if err != nil {
		return nil, err
	}
	var bundle []byte
	for i, e := range list {
		if e.Seq != first+int64(i) {
			return nil, Missing(first + int64(i))
		}
		if bundle, err = proof.AppendEntry(bundle, e.Data); err != nil {
			return nil, fmt.Errorf("%s: entry %d: %w", path, e.Seq, err)
		}
	}
	if len(list) < t.W {
		return nil, Missing(first + int64(len(list)))
	}
	return bundle, nil
}

// Missing says that an entry below the signed size is not stored.
func Missing(seq int64) error {
	return &proof.TamperedError{Kind: proof.KindRemoved, Seq: seq, Last: seq, Detail: "it is not stored"}
}

// RootAt returns the root the log had at an earlier size, proved against the
// head from stored tiles.
func RootAt(ctx context.Context, src proof.Source, head Head, size int64) (tlog.Hash, error) {
	if size < 0 || size > head.Size {
		return tlog.Hash{}, fmt.Errorf("root at size %d: the ledger holds %d", size, head.Size)
	}
	if size == head.Size {
		return head.Root, nil
	}
	if size == 0 {
		return new(proof.Frontier).Root(), nil
	}
	return tlog.TreeHash(size, proof.HashReader(ctx, src, proof.Checkpoint{Size: head.Size, Root: head.Root}))
}
