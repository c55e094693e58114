package proof

import (
	"crypto/sha256"
	"fmt"
	"math/bits"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	// TileHeight is fixed by c2sp.org/tlog-tiles: a tile is a subtree of
	// height 8, and its data are 256 hashes.
	TileHeight = 8
	// TileWidth is the number of hashes, or entries, in a full tile.
	TileWidth = 1 << TileHeight

	treeLevels = 64
	// TileLevels is how many levels of tiles a tree of up to 2^63 leaves has.
	TileLevels = treeLevels / TileHeight
)

// Frontier is the right edge of a growing Merkle tree (RFC 6962, section
// 2.1): enough to add leaves, to know the root, and to hand out each tile as
// it fills. It holds at most 255 hashes a tile level, whatever the size.
// The zero value is the empty tree. It is not safe for concurrent use.
type Frontier struct {
	size  int64
	peaks [treeLevels]tlog.Hash   // peaks[b] is the perfect subtree of 2^b leaves, where size has bit b
	edge  [TileLevels][]tlog.Hash // edge[l] are the hashes of the partial tile at level l, left to right
}

// LoadFrontier rebuilds the edge of a tree of size leaves from the hashes of
// its partial tiles: edge[l] holds (size>>8l)&255 hashes of level l.
func LoadFrontier(size int64, edge [][]tlog.Hash) (*Frontier, error) {
	if size < 0 {
		return nil, fmt.Errorf("tree size %d is negative", size)
	}
	f := &Frontier{size: size}
	for level := range TileLevels {
		want := int(size >> (TileHeight * level) & (TileWidth - 1))
		var have []tlog.Hash
		if level < len(edge) {
			have = edge[level]
		}
		if len(have) != want {
			return nil, fmt.Errorf("tree of %d leaves: the partial tile at level %d has %d hashes, want %d", size, level, len(have), want)
		}
		f.edge[level] = slices.Clone(have)
		for i, h := range have {
			bit := level * TileHeight
			for ; i>>(bit-level*TileHeight)&1 == 1; bit++ {
				h = tlog.NodeHash(f.peaks[bit], h)
			}
			f.peaks[bit] = h
		}
	}
	return f, nil
}

// Clone returns an independent copy.
func (f *Frontier) Clone() *Frontier {
	c := *f
	for l := range c.edge {
		c.edge[l] = slices.Clone(f.edge[l])
	}
	return &c
}

// Size returns the number of leaves.
func (f *Frontier) Size() int64 { return f.size }

// Edge returns the hashes of the partial tile at the level. The caller must
// not change them.
func (f *Frontier) Edge(level int) []tlog.Hash { return f.edge[level] }

// Add appends one leaf hash. Each tile that it fills is handed to full, from
// level 0 up, with hashes that are valid only during the call; full may be nil.
func (f *Frontier) Add(leaf tlog.Hash, full func(t tlog.Tile, hashes []tlog.Hash)) {
	h := leaf
	f.extend(0, h, full)
	bit := 0
	for ; f.size>>bit&1 == 1; bit++ {
		h = tlog.NodeHash(f.peaks[bit], h)
		// A perfect subtree of 256^l leaves is one hash of a tile at level l.
		if (bit+1)%TileHeight == 0 {
			f.extend((bit+1)/TileHeight, h, full)
		}
	}
	f.peaks[bit] = h
	f.size++
}

func (f *Frontier) extend(level int, h tlog.Hash, full func(tlog.Tile, []tlog.Hash)) {
	if f.edge[level] == nil {
		f.edge[level] = make([]tlog.Hash, 0, TileWidth)
	}
	f.edge[level] = append(f.edge[level], h)
	if len(f.edge[level]) < TileWidth {
		return
	}
	if full != nil {
		full(tlog.Tile{H: TileHeight, L: level, N: f.size >> (TileHeight * (level + 1)), W: TileWidth}, f.edge[level])
	}
	f.edge[level] = f.edge[level][:0]
}

// Root returns the tree head; that of the empty tree is the SHA-256 of nothing.
func (f *Frontier) Root() tlog.Hash {
	if f.size == 0 {
		return sha256.Sum256(nil)
	}
	rest := uint64(f.size)
	bit := bits.TrailingZeros64(rest)
	root := f.peaks[bit]
	for rest &= rest - 1; rest != 0; rest &= rest - 1 {
		root = tlog.NodeHash(f.peaks[bits.TrailingZeros64(rest)], root)
	}
	return root
}
