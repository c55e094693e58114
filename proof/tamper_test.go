package proof_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gaon-ai/gaon/proof"
)

// small is a log with one full tile at level 0 and partial ones at 0 and 1.
const small = 300

func seeds(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// TestEveryByte changes each byte of each file of a log, one at a time: each
// change is found, and the entry it concerns is named. GAON_TEST_LONG=1 flips
// each of the eight bits, else one of them by chance.
func TestEveryByte(t *testing.T) {
	tt := newTester(t)
	log := tt.log(small)
	tt.mustVerify(log, small)
	chance := seeds(t)
	flips := 0
	for _, path := range sortedPaths(log) {
		data := log[path]
		changed := bytes.Clone(data)
		damaged := log.with(path, changed)
		for at := range data {
			bits := []int{chance.IntN(8)}
			if os.Getenv("GAON_TEST_LONG") == "1" {
				bits = []int{0, 1, 2, 3, 4, 5, 6, 7}
			}
			for _, bit := range bits {
				changed[at] ^= 1 << bit
				what := fmt.Sprintf("%s, byte %d, bit %d", path, at, bit)
				mustName(tt, what, tt.mustFind(what, damaged), path, data, at)
				changed[at] = data[at]
				flips++
			}
		}
	}
	tt.mustVerify(log, small)
	t.Logf("%d changes in %d files, all found", flips, len(log))
}

// mustName checks that a finding names the entry whose byte was changed.
func mustName(t tester, what string, found *proof.TamperedError, path string, data []byte, at int) {
	t.Helper()
	if path == proof.CheckpointPath {
		if found.Kind != proof.KindCheckpoint {
			t.Fatalf("%s: %v, want kind checkpoint", what, found)
		}
		return
	}
	tile, err := proof.ParseTilePath(path)
	if err != nil {
		t.Fatal(err)
	}
	first := tile.N * proof.TileWidth
	switch tile.L {
	case proof.EntriesLevel:
		seq := first
		for rest := at; ; seq++ {
			size := 2 + int(data[0])<<8 + int(data[1])
			if rest < size {
				break
			}
			rest, data = rest-size, data[size:]
		}
		if found.Seq != seq || found.Kind == proof.KindTile || found.Kind == proof.KindHash {
			t.Fatalf("%s: %v (%s at %d), want entry %d", what, found, found.Kind, found.Seq, seq)
		}
	case 0:
		seq := first + int64(at/tlog.HashSize)
		if found.Kind != proof.KindHash || found.Seq != seq || found.Last != seq || found.Path != path {
			t.Fatalf("%s: %v, want the hash of entry %d", what, found, seq)
		}
	default:
		span := int64(1) << (proof.TileHeight * tile.L)
		seq := (first + int64(at/tlog.HashSize)) * span
		if found.Kind != proof.KindTile || found.Seq != seq || found.Last != seq+span-1 || found.Path != path {
			t.Fatalf("%s: %v, want hashes over entries %d to %d", what, found, seq, seq+span-1)
		}
	}
}

// overlay is a log some of whose files are others.
type overlay struct {
	proof.Source
	files files
}

func (o overlay) ReadFile(ctx context.Context, path string) ([]byte, error) {
	if data, ok := o.files[path]; ok {
		return data, nil
	}
	return o.Source.ReadFile(ctx, path)
}

func sortedPaths(f files) []string {
	var list []string
	for path := range f {
		list = append(list, path)
	}
	slices.Sort(list)
	return list
}

// bundles replaces the entries of a log, in the files as a forger would who
// cannot sign: count entries, in bundles of the usual width.
func (f files) bundles(t tester, list [][]byte) files {
	t.Helper()
	c := files{}
	for path, data := range f {
		if !strings.HasPrefix(path, "tile/entries/") {
			c[path] = data
		}
	}
	for n := 0; n*proof.TileWidth < len(list); n++ {
		part := list[n*proof.TileWidth : min(len(list), (n+1)*proof.TileWidth)]
		var bundle []byte
		for _, e := range part {
			var err error
			if bundle, err = proof.AppendEntry(bundle, e); err != nil {
				t.Fatal(err)
			}
		}
		tile := tlog.Tile{H: proof.TileHeight, L: proof.EntriesLevel, N: int64(n), W: len(part)}
		c[proof.TilePath(tile)] = bundle
	}
	return c
}

// TestEntries is what can be done to entries, with the tiles as they were or
// made to fit.
func TestEntries(t *testing.T) {
	const size = 700
	tt := newTester(t)
	log := tt.log(size)
	edit := func(change func(list [][]byte) [][]byte) [][]byte { return change(entries(size)) }
	swap := func(a, b int) [][]byte {
		return edit(func(l [][]byte) [][]byte { l[a], l[b] = l[b], l[a]; return l })
	}
	remove := func(from, to int) [][]byte {
		return edit(func(l [][]byte) [][]byte { return slices.Delete(l, from, to) })
	}
	insert := func(at int) [][]byte {
		return edit(func(l [][]byte) [][]byte { return slices.Insert(l, at, []byte("forged"))[:size] })
	}
	replace := func(at int) [][]byte {
		return edit(func(l [][]byte) [][]byte { l[at] = []byte("forged"); return l })
	}
	for _, c := range []struct {
		name string
		list [][]byte
		kind proof.Kind
		seq  int64
		with int64
	}{
		{"the first entry is edited", replace(0), proof.KindEdited, 0, 0},
		{"an entry in the middle is edited", replace(300), proof.KindEdited, 300, 0},
		{"the last entry is edited", replace(699), proof.KindEdited, 699, 0},
		{"neighbours are swapped", swap(10, 11), proof.KindSwapped, 10, 11},
		{"entries of two tiles are swapped", swap(5, 600), proof.KindSwapped, 5, 600},
		{"the first and the last are swapped", swap(0, 699), proof.KindSwapped, 0, 699},
		{"an entry is removed", remove(100, 101), proof.KindRemoved, 100, 0},
		{"the first is removed", remove(0, 1), proof.KindRemoved, 0, 0},
		{"the last is removed", remove(699, 700), proof.KindTruncated, 699, 0},
		{"a whole tile and more is cut off", remove(400, 700), proof.KindTruncated, 400, 0},
		{"all is cut off", nil, proof.KindTruncated, 0, 0},
		{"an entry is inserted", insert(256), proof.KindInserted, 256, 0},
		{"an entry is inserted at the start", insert(0), proof.KindInserted, 0, 0},
		{"a run is turned round", edit(func(l [][]byte) [][]byte { slices.Reverse(l[50:60]); return l }), proof.KindSwapped, 50, 59},
	} {
		t.Run(c.name, func(t *testing.T) {
			tt := tester{t, tt.key}
			found := tt.mustFind("entries", log.bundles(tt, c.list))
			if found.Kind != c.kind || found.Seq != c.seq || c.kind == proof.KindSwapped && found.With != c.with {
				t.Fatalf("found %v: kind %s, entry %d, with %d", found, found.Kind, found.Seq, found.With)
			}
			if !strings.HasPrefix(found.Code(), "proof.") {
				t.Fatalf("code %q", found.Code())
			}
			if len(c.list) == 0 {
				return
			}
			// The forger makes all tiles fit, and keeps the old signed head.
			forged := tt.load(tt.export(tt.grow(tt.key, c.list)))
			forged[proof.CheckpointPath] = log[proof.CheckpointPath]
			found = tt.mustFind("a forged log under the old head", forged)
			if cut := found.Kind == proof.KindTruncated && strings.Contains(found.Detail, "cannot be told"); !cut && (found.Seq > c.seq || found.Last < c.seq) {
				t.Fatalf("found %v, between %d and %d; the forgery begins at %d", found, found.Seq, found.Last, c.seq)
			}
			// The forger even has the key: old checkpoints tell.
			forged = tt.load(tt.export(tt.grow(tt.key, c.list)))
			found = tt.mustFind("a log signed anew beside its old head", forged, log[proof.CheckpointPath])
			if found.Last < c.seq {
				t.Fatalf("found %v up to %d; the forgery begins at %d", found, found.Last, c.seq)
			}
		})
	}
}

// TestForgedWithKey: an old checkpoint narrows where the log was rewritten.
func TestForgedWithKey(t *testing.T) {
	tt := newTester(t)
	l := tt.grow(tt.key, nil)
	var old [][]byte
	for range 7 {
		head, err := l.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		old = append(old, head.Checkpoint)
		tt.add(l, entries(int(head.Size) + 100)[head.Size:])
	}
	tt.mustVerify(l, 700, old...)
	list := entries(700)
	list[450] = []byte("forged")
	found := tt.mustFind("forged", tt.grow(tt.key, list), old...)
	if found.Kind != proof.KindRewritten || found.Seq != 400 || found.Last != 499 {
		t.Fatalf("found %v, kind %s, want rewritten between 400 and 499", found, found.Kind)
	}
}

// TestFiles: whole files removed, cut, swapped, replaced.
func TestFiles(t *testing.T) {
	tt := newTester(t)
	log := tt.log(700)
	tile := func(level int, n int64, w int) string {
		return proof.TilePath(tlog.Tile{H: proof.TileHeight, L: level, N: n, W: w})
	}
	for _, path := range sortedPaths(log) {
		if path == proof.CheckpointPath {
			continue
		}
		for what, data := range map[string][]byte{
			"removed": nil, "emptied": {}, "cut": log[path][:len(log[path])-1], "longer": append(bytes.Clone(log[path]), 0),
			"halved": log[path][:len(log[path])/2],
		} {
			found := tt.mustFind(path+" "+what, log.with(path, data))
			if !strings.Contains(found.Path, strings.TrimSuffix(path, ".p/188")) {
				t.Fatalf("%s %s: found %v, which names %s", path, what, found, found.Path)
			}
		}
	}
	a, b := tile(proof.EntriesLevel, 0, 256), tile(proof.EntriesLevel, 1, 256)
	if found := tt.mustFind("bundles swapped", log.with(a, log[b]).with(b, log[a])); found.Seq != 0 {
		t.Fatalf("bundles swapped: %v", found)
	}
	a, b = tile(0, 0, 256), tile(0, 1, 256)
	if found := tt.mustFind("tiles swapped", log.with(a, log[b]).with(b, log[a])); found.Seq != 0 || found.Kind != proof.KindHash {
		t.Fatalf("tiles swapped: %v", found)
	}
	if _, err := tt.verify(log.with(proof.CheckpointPath, nil)); err == nil {
		t.Fatal("a log without a checkpoint was verified")
	}
}

// TestCheckpointReplaced: the head is another's, an older one, or was signed
// by somebody else.
func TestCheckpointReplaced(t *testing.T) {
	tt := newTester(t)
	l := tt.grow(tt.key, entries(400))
	older := tt.checkpoint(l)
	tt.add(l, entries(700)[400:])
	log := tt.load(tt.export(l))

	thief := keyOf(t, "thief", origin) // the same name, another key
	other := keyOf(t, "other", "example.kr/other")
	forged := tt.checkpoint(tt.grow(thief, entries(700)))
	for name, head := range map[string][]byte{
		"signed by another key of the same name": forged,
		"of another log":                         tt.checkpoint(tt.grow(other, entries(700))),
		"empty":                                  {},
		"no note":                                []byte("hello\n"),
		"without its signature":                  log[proof.CheckpointPath][:bytes.Index(log[proof.CheckpointPath], []byte("\n\n"))+2],
	} {
		if found := tt.mustFind(name, log.with(proof.CheckpointPath, head)); found.Kind != proof.KindCheckpoint {
			t.Fatalf("checkpoint %s: %v", name, found)
		}
	}
	// A head of this log, signed, yet of a size whose entries differ.
	list := entries(700)
	list[20] = []byte("forged")
	found := tt.mustFind("head of another history", log.with(proof.CheckpointPath, tt.checkpoint(tt.grow(tt.key, list))))
	if found.Kind != proof.KindRewritten {
		t.Fatalf("head of another history: %v", found)
	}
	// Cut back to an older head: true in itself, so only what was signed later tells.
	cut := overlay{l, files{proof.CheckpointPath: older}}
	tt.mustVerify(cut, 400)
	if found := tt.mustFind("cut back", cut, log[proof.CheckpointPath]); found.Kind != proof.KindTruncated || found.Seq != 400 || found.Last != 699 {
		t.Fatalf("cut back: %v", found)
	}
}

// TestFolderTampered does a few of these on a real folder, as gaon verify
// reads it.
func TestFolderTampered(t *testing.T) {
	tt := newTester(t)
	dir := tt.export(tt.grow(tt.key, entries(600)))
	src := proof.Folder(os.DirFS(dir))
	report := tt.mustVerify(src, 600)
	if report.Tiles != 4 || len(report.Signers) != 1 || report.Bytes == 0 {
		t.Fatalf("report %+v", report)
	}
	name := filepath.Join(dir, "tile", "entries", "001")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if found := tt.mustFind("edited on disk", src); found.Seq != 511 || found.Kind != proof.KindEdited || found.Path != "tile/entries/001" {
		t.Fatal(found)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if found := tt.mustFind("removed from disk", src); found.Seq != 256 || found.Kind != proof.KindRemoved {
		t.Fatal(found)
	}
}
