package proof

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// earlierMax bounds how many old checkpoints one verification compares.
const earlierMax = 1 << 16

// Options say what to trust and whom to tell.
type Options struct {
	// Keys are trusted to sign the checkpoint; one must be the log's own.
	Keys []VerifierKey

	// Earlier are checkpoints that the log signed before, from receipts, from
	// a witness or from an old export: the log must still contain them. They
	// find what a head alone cannot show, a log cut back to an old head.
	Earlier [][]byte

	// Each, if not nil, is called for every entry in order, as it is read and
	// before the log as a whole is known to be good. The data is valid during
	// the call. An error ends the verification.
	Each func(seq int64, data []byte) error

	// Progress, if not nil, is called now and then with the entries checked.
	Progress func(done, total int64)
}

// Counter is implemented by a Source that knows how many entries it stores:
// more than were signed is a finding as well.
type Counter interface {
	StoredEntries(ctx context.Context) (int64, error)
}

// Report is what was found to be whole.
type Report struct {
	Checkpoint Checkpoint
	Signers    []string // names of the keys whose signatures hold
	Bytes      int64    // of entries
	Tiles      int      // tiles of hashes compared, bundles not counted
	Earlier    int      // older checkpoints that the log still contains
}

// VerifyLedger reads a whole log, hashes every entry again and compares the
// result with every stored tile and with the signed checkpoint (RFC 6962,
// section 2.1). A log that is not as it was signed gives a *TamperedError that
// names the first bad entry and says what was done to it. Memory stays
// bounded, whatever the size of the log.
func VerifyLedger(ctx context.Context, src Source, opts Options) (Report, error) {
	signed, err := src.ReadFile(ctx, CheckpointPath)
	if err != nil {
		return Report{}, fmt.Errorf("verify ledger: checkpoint: %w", err)
	}
	c, signers, err := OpenCheckpoint(signed, opts.Keys...)
	if err != nil {
		return Report{}, &TamperedError{Kind: KindCheckpoint, Seq: -1, Last: -1, Path: CheckpointPath, Detail: err.Error(), Cause: err}
	}
	v := &verification{ctx: ctx, src: src, opts: opts, head: c, report: Report{Checkpoint: c, Signers: signers}}
	if err := v.openEarlier(); err != nil {
		return v.report, err
	}
	for n := int64(0); n*TileWidth < c.Size; n++ {
		if err := v.tile(n); err != nil {
			return v.report, err
		}
	}
	v.upperEdges()
	if err := v.verdict(); err != nil {
		return v.report, err
	}
	return v.report, nil
}

// verification is one run of VerifyLedger. Two trees grow side by side: that
// of the entries as they are, and that of the stored leaf hashes. They are one
// until an entry does not hash to what is stored for it.
type verification struct {
	ctx    context.Context
	src    Source
	opts   Options
	head   Checkpoint
	report Report

	earlier []Checkpoint // still to compare, smallest first
	sameAt  int64        // size of the last earlier checkpoint that the entries contain
	forked  *Checkpoint  // first earlier checkpoint that they do not contain

	entries Frontier
	hashes  *Frontier // nil while it is the same as entries

	mismatch *mismatch      // first entry that does not hash to its stored hash
	broken   *TamperedError // first entry that could not be read; entries stopped there
	lost     *TamperedError // first leaf hashes that could not be read; hashes stopped there
	upper    *TamperedError // first upper tile that does not follow from the leaf hashes
}

// mismatch remembers the first bad pair and what shows how it came about.
type mismatch struct {
	seq       int64
	have      tlog.Hash // of the entry
	want      tlog.Hash // stored
	partner   int64     // the entry it changed places with, -1 if none
	wantNext  bool      // the next entry has the wanted hash: one was inserted
	haveLater bool      // the next stored hash is this entry's: one was removed
}

func (v *verification) openEarlier() error {
	if len(v.opts.Earlier) > earlierMax {
		return fmt.Errorf("verify ledger: %d earlier checkpoints, at most %d", len(v.opts.Earlier), earlierMax)
	}
	for i, signed := range v.opts.Earlier {
		c, _, err := OpenCheckpoint(signed, v.opts.Keys...)
		if err != nil {
			return fmt.Errorf("verify ledger: earlier checkpoint %d: %w", i, err)
		}
		if c.Origin != v.head.Origin {
			return fmt.Errorf("verify ledger: earlier checkpoint %d is of %s, the log is %s", i, c.Origin, v.head.Origin)
		}
		if c.Size > v.head.Size {
			return &TamperedError{Kind: KindTruncated, Seq: v.head.Size, Last: c.Size - 1,
				Detail: fmt.Sprintf("%d entries were signed before, the log ends at %d", c.Size, v.head.Size)}
		}
		v.earlier = append(v.earlier, c)
	}
	slices.SortStableFunc(v.earlier, func(a, b Checkpoint) int { return int(min(1, max(-1, a.Size-b.Size))) })
	v.compareEarlier()
	return nil
}

// compareEarlier checks the old checkpoints of the present size.
func (v *verification) compareEarlier() {
	for len(v.earlier) > 0 && v.earlier[0].Size == v.entries.Size() && v.forked == nil {
		c := v.earlier[0]
		v.earlier = v.earlier[1:]
		if v.entries.Root() != c.Root {
			v.forked = &c
			return
		}
		v.report.Earlier++
		v.sameAt = c.Size
	}
}

// tile checks one bundle of entries against the stored hashes of its leaves.
func (v *verification) tile(n int64) error {
	if err := v.ctx.Err(); err != nil {
		return err
	}
	first, width := n*TileWidth, tileWidth(0, n, v.head.Size)
	var stored []byte
	if v.lost == nil {
		t := tlog.Tile{H: TileHeight, L: 0, N: n, W: width}
		var err error
		if stored, err = readHashTile(v.ctx, v.src, t); err != nil {
			if v.ctx.Err() != nil {
				return v.ctx.Err()
			}
			v.lost = &TamperedError{Kind: KindTile, Seq: first, Last: first + int64(width) - 1, Path: TilePath(t), Detail: err.Error(), Cause: err}
		} else {
			v.report.Tiles++
		}
	}
	var list [][]byte
	if v.broken == nil {
		list = v.bundle(n, width)
	}
	for i := range width {
		var have, want *tlog.Hash
		if i < len(list) {
			h := tlog.RecordHash(list[i])
			have = &h
			v.report.Bytes += int64(len(list[i]))
			if v.opts.Each != nil {
				if err := v.opts.Each(first+int64(i), list[i]); err != nil {
					return fmt.Errorf("entry %d: %w", first+int64(i), err)
				}
			}
		}
		if stored != nil {
			h := tlog.Hash(stored[i*tlog.HashSize : (i+1)*tlog.HashSize])
			want = &h
		}
		v.leaf(first+int64(i), have, want)
	}
	if v.opts.Progress != nil && (n%64 == 63 || first+int64(width) == v.head.Size) {
		v.opts.Progress(first+int64(width), v.head.Size)
	}
	return v.ctx.Err()
}

// bundle reads the entries of a tile. On a fault it notes it and returns those
// before it.
func (v *verification) bundle(n int64, width int) [][]byte {
	t := tlog.Tile{H: TileHeight, L: EntriesLevel, N: n, W: width}
	first := n * TileWidth
	data, wide, err := readTile(v.ctx, v.src, t)
	if err != nil {
		v.broken = &TamperedError{Kind: KindRemoved, Seq: first, Last: first, Path: TilePath(t), Detail: err.Error(), Cause: err}
		var named *TamperedError
		if errors.As(err, &named) {
			v.broken.Kind, v.broken.Seq, v.broken.Last = named.Kind, named.Seq, named.Seq
		}
		if errors.Is(err, fs.ErrNotExist) {
			if list := v.shorter(t); len(list) > 0 {
				v.broken.Seq += int64(len(list))
				v.broken.Last = v.broken.Seq
				v.nameEnd(n, width, true)
				return list
			}
		}
		v.nameEnd(n, width, errors.Is(err, fs.ErrNotExist))
		return v.before(t)
	}
	count := width
	if wide {
		count = TileWidth
	}
	list, err := ParseBundle(data, count)
	if err != nil && len(list) < width {
		seq := first + int64(len(list))
		v.broken = &TamperedError{Kind: KindEdited, Seq: seq, Last: seq, Path: TilePath(t), Detail: err.Error(), Cause: err}
		v.nameEnd(n, width, len(data) == 0 || cutShort(data, len(list)))
	} else if err != nil {
		seq := first + int64(width)
		v.broken = &TamperedError{Kind: KindInserted, Seq: seq, Last: seq, Path: TilePath(t), Detail: err.Error(), Cause: err}
	}
	return list[:min(width, len(list))]
}

// cutShort reports whether the bundle ends exactly after count entries.
func cutShort(data []byte, count int) bool {
	_, err := ParseBundle(data, count)
	return err == nil
}

// shorter returns the entries of the widest partial bundle that stands where
// the wanted one is missing, as in a log that was cut back.
func (v *verification) shorter(t tlog.Tile) [][]byte {
	for t.W--; t.W > 0 && v.ctx.Err() == nil; t.W-- {
		data, err := v.src.ReadFile(v.ctx, TilePath(t))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil
		}
		list, _ := ParseBundle(data, t.W) // up to a bad entry, which is named then
		return list
	}
	return nil
}

// before returns the entries of a bundle up to the one that a storage said is
// missing, so that an earlier bad one in the same bundle is named first.
func (v *verification) before(t tlog.Tile) [][]byte {
	t.W = int(v.broken.Seq - t.N*TileWidth)
	if t.W <= 0 || t.W >= TileWidth {
		return nil
	}
	data, wide, err := readTile(v.ctx, v.src, t)
	if err != nil || wide {
		return nil
	}
	list, err := ParseBundle(data, t.W)
	if err != nil {
		return nil
	}
	return list
}

// nameEnd turns a missing entry into a truncation where nothing follows it.
func (v *verification) nameEnd(n int64, width int, gone bool) {
	if counter, ok := v.src.(Counter); ok {
		if stored, err := counter.StoredEntries(v.ctx); err == nil && stored <= v.broken.Seq {
			v.broken.Kind, v.broken.Last = KindTruncated, v.head.Size-1
		}
		return
	}
	if !gone {
		return
	}
	last := (v.head.Size - 1) / TileWidth
	if n < last {
		t := tlog.Tile{H: TileHeight, L: EntriesLevel, N: last, W: tileWidth(0, last, v.head.Size)}
		if _, _, err := readTile(v.ctx, v.src, t); err == nil {
			v.broken.Kind = KindRemoved
			return
		}
	}
	v.broken.Kind, v.broken.Last = KindTruncated, v.head.Size-1
}

// leaf adds one leaf to the trees. have or want is nil where the entry or its
// stored hash could not be read.
func (v *verification) leaf(seq int64, have, want *tlog.Hash) {
	if have != nil && want != nil {
		v.compareLeaf(seq, *have, *want)
	} else if v.hashes == nil && (have == nil || want == nil) {
		v.hashes = v.entries.Clone() // from here on they are two trees
	}
	follow := want
	if v.hashes == nil {
		follow = nil
	}
	if follow != nil && v.lost == nil {
		v.hashes.Add(*follow, v.upperTile)
	}
	if have != nil {
		full := v.upperTile
		if v.hashes != nil {
			full = nil // upper tiles must follow from the stored leaf hashes
		}
		v.entries.Add(*have, full)
		v.compareEarlier()
	}
}

func (v *verification) compareLeaf(seq int64, have, want tlog.Hash) {
	if m := v.mismatch; m != nil {
		if seq == m.seq+1 {
			m.wantNext, m.haveLater = have == m.want, want == m.have
		}
		if m.partner < 0 && have == m.want && want == m.have {
			m.partner = seq
		}
		return
	}
	if have != want {
		v.mismatch = &mismatch{seq: seq, have: have, want: want, partner: -1}
		if v.hashes == nil {
			v.hashes = v.entries.Clone()
		}
	}
}

// upperTile compares a tile that follows from the leaf hashes with the stored
// one. Level 0 is what the tree was made of.
func (v *verification) upperTile(t tlog.Tile, hashes []tlog.Hash) {
	if t.L == 0 || v.upper != nil || len(hashes) == 0 {
		return
	}
	span := int64(1) << (TileHeight * t.L) // entries below one hash
	first := t.N * TileWidth * span
	stored, err := readHashTile(v.ctx, v.src, t)
	if err != nil {
		v.upper = &TamperedError{Kind: KindTile, Seq: first, Last: min(first+int64(t.W)*span, v.head.Size) - 1, Path: TilePath(t), Detail: err.Error(), Cause: err}
		return
	}
	v.report.Tiles++
	for i, h := range hashes {
		if h != tlog.Hash(stored[i*tlog.HashSize:(i+1)*tlog.HashSize]) {
			from := first + int64(i)*span
			v.upper = &TamperedError{Kind: KindTile, Seq: from, Last: from + span - 1, Path: TilePath(t), Detail: fmt.Sprintf("hash %d of the tile", i)}
			return
		}
	}
}

// upperEdges compares the partial tiles above level 0.
func (v *verification) upperEdges() {
	tree := v.hashes
	if tree == nil {
		tree = &v.entries
	}
	if tree.Size() != v.head.Size {
		return
	}
	for level := 1; level < TileLevels; level++ {
		edge := tree.Edge(level)
		v.upperTile(tlog.Tile{H: TileHeight, L: level, N: tree.Size() >> (TileHeight * (level + 1)), W: len(edge)}, edge)
	}
}
