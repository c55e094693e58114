package proof

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	// EntryBytesMax is the longest entry: its length is a uint16 in a bundle
	// (c2sp.org/tlog-tiles, "Log entries").
	EntryBytesMax = 1<<16 - 1

	// EntriesLevel is the level of tiles that hold entries, not hashes.
	EntriesLevel = -1

	// CheckpointPath names the signed head of a log.
	CheckpointPath = "checkpoint"

	bundleBytesMax = TileWidth * (2 + EntryBytesMax)
	tilePathMax    = 64
	tileLevelMax   = TileLevels - 1
)

// Source is a log laid out as c2sp.org/tlog-tiles: ReadFile returns what
// stands at "checkpoint", "tile/0/x001/234.p/5" or "tile/entries/000". A path
// that is not there is an error with errors.Is(err, fs.ErrNotExist). A full
// tile may be missing where a partial one is asked for, and the other way
// round. Nothing a Source returns is trusted.
type Source interface {
	ReadFile(ctx context.Context, path string) ([]byte, error)
}

// TilePath returns the path of a tile of height 8: without the height, and
// with "entries" for EntriesLevel.
func TilePath(t tlog.Tile) string {
	path := strings.TrimPrefix(t.Path(), fmt.Sprintf("tile/%d/", TileHeight))
	if rest, ok := strings.CutPrefix(path, "data/"); ok {
		return "tile/entries/" + rest
	}
	return "tile/" + path
}

// ParseTilePath is the inverse of TilePath. It accepts one spelling a tile.
func ParseTilePath(path string) (tlog.Tile, error) {
	rest, ok := strings.CutPrefix(path, "tile/")
	if !ok || len(path) > tilePathMax || strings.HasPrefix(rest, "data/") {
		return tlog.Tile{}, fmt.Errorf("%q is not a tile path", clip(path))
	}
	if entries, is := strings.CutPrefix(rest, "entries/"); is {
		rest = "data/" + entries
	}
	t, err := tlog.ParseTilePath(fmt.Sprintf("tile/%d/%s", TileHeight, rest))
	if err != nil || t.L > tileLevelMax || t.N < 0 || t.N > 1<<(63-TileHeight)-1 || TilePath(t) != path {
		return tlog.Tile{}, fmt.Errorf("%q is not a tile path", clip(path))
	}
	return t, nil
}

// tileWidth returns how many hashes tile n of a level holds in a tree of size
// leaves; 0 when it is not there at all. Entry bundles are as wide as level 0.
func tileWidth(level int, n, size int64) int {
	count := size >> (TileHeight * max(level, 0))
	return int(min(max(count-n*TileWidth, 0), TileWidth))
}

// AppendEntry adds one entry to a bundle: its length as a big-endian uint16
// and its bytes.
func AppendEntry(bundle, entry []byte) ([]byte, error) {
	if len(entry) > EntryBytesMax {
		return nil, fmt.Errorf("entry of %d bytes, at most %d fit", len(entry), EntryBytesMax)
	}
	bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(entry)))
	return append(bundle, entry...), nil
}

// ParseBundle splits a bundle that must hold exactly count entries. On error
// it still returns the whole entries before the bad one. The entries share
// the bundle's memory.
func ParseBundle(bundle []byte, count int) ([][]byte, error) {
	if count < 0 || count > TileWidth {
		return nil, fmt.Errorf("a bundle holds 0 to %d entries, not %d", TileWidth, count)
	}
	entries := make([][]byte, 0, count)
	for len(entries) < count {
		if len(bundle) < 2 {
			return entries, fmt.Errorf("bundle ends after %d of %d entries", len(entries), count)
		}
		size := int(binary.BigEndian.Uint16(bundle))
		if len(bundle)-2 < size {
			return entries, fmt.Errorf("bundle ends inside entry %d of %d: %d bytes announced, %d left", len(entries), count, size, len(bundle)-2)
		}
		entries = append(entries, bundle[2:2+size:2+size])
		bundle = bundle[2+size:]
	}
	if len(bundle) > 0 {
		return entries, fmt.Errorf("%d bytes follow the bundle's last entry", len(bundle))
	}
	return entries, nil
}

// readTile fetches a tile, falling back from a partial one to the full one
// that may have replaced it (c2sp.org/tlog-tiles, "Partial Tiles"). For an
// entry bundle the full one's spare bytes are returned as well.
func readTile(ctx context.Context, src Source, t tlog.Tile) (data []byte, wide bool, err error) {
	data, err = src.ReadFile(ctx, TilePath(t))
	if t.W < TileWidth && errors.Is(err, fs.ErrNotExist) {
		full := t
		full.W = TileWidth
		if all, errFull := src.ReadFile(ctx, TilePath(full)); errFull == nil {
			data, wide, err = all, true, nil
		}
	}
	if err != nil {
		return nil, false, err
	}
	if len(data) > bundleBytesMax {
		return nil, false, fmt.Errorf("%s: %d bytes, at most %d are read", TilePath(t), len(data), bundleBytesMax)
	}
	return data, wide, nil
}

// readHashTile fetches a tile of hashes of exactly the asked width.
func readHashTile(ctx context.Context, src Source, t tlog.Tile) ([]byte, error) {
	data, wide, err := readTile(ctx, src, t)
	if err != nil {
		return nil, err
	}
	want := t.W * tlog.HashSize
	if wide && len(data) == TileWidth*tlog.HashSize {
		data = data[:want]
	}
	if len(data) != want {
		return nil, fmt.Errorf("%s: %d bytes, want %d", TilePath(t), len(data), want)
	}
	return data, nil
}

// tiles lets tlog's proofs read from a Source; replace stands in for stored
// tiles where given.
type tiles struct {
	ctx     context.Context
	src     Source
	replace map[tlog.Tile][]byte
}

func (r tiles) Height() int { return TileHeight }

func (r tiles) ReadTiles(want []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(want))
	for i, t := range want {
		if stand, ok := r.replace[t]; ok {
			data[i] = stand
			continue
		}
		var err error
		if data[i], err = readHashTile(r.ctx, r.src, t); err != nil {
			return nil, err
		}
	}
	return data, nil
}

func (r tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// HashReader reads the hashes of the tree that the checkpoint names; whatever
// it returns has been proved to be in that tree.
func HashReader(ctx context.Context, src Source, c Checkpoint) tlog.HashReader {
	return tlog.TileHashReader(tlog.Tree{N: c.Size, Hash: c.Root}, tiles{ctx: ctx, src: src})
}

// leafTilePath names the tile that holds an entry's hash in a log of size
// leaves, bundlePath the bundle that holds the entry.
func leafTilePath(seq, size int64) string { return tilePathOf(0, seq, size) }

func bundlePath(seq, size int64) string { return tilePathOf(EntriesLevel, seq, size) }

func tilePathOf(level int, seq, size int64) string {
	n := seq / TileWidth
	return TilePath(tlog.Tile{H: TileHeight, L: level, N: n, W: tileWidth(0, n, size)})
}
