package proof_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gaon-ai/gaon/proof"
)

func TestKeys(t *testing.T) {
	key := keyOf(t, "key", origin)
	again, err := proof.ParseSigningKey(key.Secret() + "\n")
	if err != nil || again.Origin() != origin || again.Verifier().String() != key.Verifier().String() {
		t.Fatalf("%v, %v", again, err)
	}
	for _, text := range []string{fmt.Sprint(key), fmt.Sprintf("%v %+v %#v", key, key, key)} {
		if strings.Contains(text, "PRIVATE") || strings.Contains(text, key.Secret()[len(key.Secret())-20:]) {
			t.Fatalf("a printed key shows its secret: %s", text)
		}
	}
	verifier, err := proof.ParseVerifierKey(" " + key.Verifier().String() + "\n")
	if err != nil || verifier.Name() != origin {
		t.Fatalf("%v, %v", verifier, err)
	}
	if _, err := proof.ParseVerifierKey(key.Secret()); err == nil || strings.Contains(err.Error(), key.Secret()) {
		t.Fatalf("a private key as verifier key: %v", err)
	}
	for _, text := range []string{"", "x", "a+b+c", key.Verifier().String() + "A", strings.Replace(key.Verifier().String(), "kr", "com", 1)} {
		if _, err := proof.ParseVerifierKey(text); err == nil {
			t.Errorf("verifier key %q was accepted", text)
		}
		if _, err := proof.ParseSigningKey(text); err == nil {
			t.Errorf("signing key %q was accepted", text)
		}
	}
	for _, name := range []string{"", "a b", "a+b", "a\nb", strings.Repeat("x", 256), "a\u00a0b", "\xff"} {
		if _, err := proof.GenerateSigningKey(rand.NewChaCha8([32]byte{}), name); err == nil {
			t.Errorf("origin %q was accepted", name)
		}
	}
	var none proof.SigningKey
	if _, err := proof.SignCheckpoint(proof.Checkpoint{Origin: origin}, none); err == nil {
		t.Error("the zero key signed")
	}
	if _, err := proof.SignCheckpoint(proof.Checkpoint{Origin: "example.kr/other"}, key); err == nil {
		t.Error("a key signed for another log")
	}
}

func TestCheckpoints(t *testing.T) {
	tt := newTester(t)
	root := tlog.RecordHash([]byte("x")).String()
	for _, c := range []struct{ name, text string }{
		{"nothing", ""},
		{"too few lines", origin + "\n1\n"},
		{"no line end", origin + "\n1\n" + root},
		{"an empty origin", "\n1\n" + root + "\n"},
		{"a space in the origin", "a b\n1\n" + root + "\n"},
		{"a negative size", origin + "\n-1\n" + root + "\n"},
		{"a size with zeros before it", origin + "\n01\n" + root + "\n"},
		{"a size with a plus", origin + "\n+1\n" + root + "\n"},
		{"a size beyond 63 bits", origin + "\n9223372036854775808\n" + root + "\n"},
		{"a size in words", origin + "\none\n" + root + "\n"},
		{"a short root", origin + "\n1\n" + root[:20] + "\n"},
		{"a root with stray bits", origin + "\n1\n" + root[:42] + "x=\n"},
		{"a root in URL form", origin + "\n1\n" + strings.Repeat("_", 43) + "=\n"},
		{"an empty extension line", origin + "\n1\n" + root + "\n\n"},
	} {
		if got, err := proof.ParseCheckpointText(c.text); err == nil {
			t.Errorf("%s: parsed as %+v", c.name, got)
		}
	}
	long := proof.Checkpoint{Origin: origin, Size: 1<<63 - 1, Root: tlog.RecordHash(nil), Extra: []string{"a", "b c"}}
	signed, err := proof.SignCheckpoint(long, tt.key)
	if err != nil {
		t.Fatal(err)
	}
	got, names, err := proof.OpenCheckpoint(signed, tt.keys()...)
	if err != nil || got.Text() != long.Text() || len(names) != 1 {
		t.Fatalf("%+v, %v, %v", got, names, err)
	}
	_, _, err = proof.OpenCheckpoint(signed, keyOf(t, "thief", origin).Verifier())
	if !errors.Is(err, proof.ErrSignature) || !strings.Contains(err.Error(), "no signature by a known key") {
		t.Fatal(err)
	}
	if _, _, err := proof.OpenCheckpoint(bytes.Repeat([]byte("x"), 1<<20), tt.keys()...); err == nil {
		t.Fatal("a checkpoint of a megabyte was read")
	}
}

func TestTilePaths(t *testing.T) {
	for _, c := range []struct {
		tile tlog.Tile
		path string
	}{
		{tlog.Tile{L: 0, N: 0, W: 256}, "tile/0/000"},
		{tlog.Tile{L: 1, N: 5, W: 7}, "tile/1/005.p/7"},
		{tlog.Tile{L: -1, N: 1234067, W: 256}, "tile/entries/x001/x234/067"},
		{tlog.Tile{L: 7, N: 1000, W: 255}, "tile/7/x001/000.p/255"},
	} {
		c.tile.H = proof.TileHeight
		if got := proof.TilePath(c.tile); got != c.path {
			t.Errorf("path %s, want %s", got, c.path)
		}
		if got, err := proof.ParseTilePath(c.path); err != nil || got != c.tile {
			t.Errorf("%s: %+v, %v", c.path, got, err)
		}
	}
	for _, path := range []string{
		"", "tile", "tile/", "tile/0", "tile/0/", "tile/0/0", "tile/0/00", "tile/0/0000", "tile/00/000", "tile/+1/000", "tile/8/000",
		"tile/-1/000", "tile/data/000", "tile/entries/", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/x000/000",
		"/tile/0/000", "tile/0/000/", "tile/0/../000", "tile/8/0/000", "tile/0/x999/x999/x999/x999/x999/x999/999",
		"tile/entries/entries/000", "tile/0/" + strings.Repeat("x000/", 30) + "000",
	} {
		if got, err := proof.ParseTilePath(path); err == nil {
			t.Errorf("%q was taken as %+v", path, got)
		}
	}
}

func TestBundles(t *testing.T) {
	var bundle []byte
	var err error
	list := [][]byte{[]byte("a"), bytes.Repeat([]byte("b"), proof.EntryBytesMax), []byte("c")}
	for _, e := range list {
		if bundle, err = proof.AppendEntry(bundle, e); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := proof.AppendEntry(nil, make([]byte, proof.EntryBytesMax+1)); err == nil {
		t.Error("an entry too long was added")
	}
	got, err := proof.ParseBundle(bundle, 3)
	if err != nil || len(got) != 3 || !bytes.Equal(got[1], list[1]) {
		t.Fatalf("%d entries, %v", len(got), err)
	}
	for _, c := range []struct {
		name   string
		bundle []byte
		count  int
		whole  int // entries before the bad one
	}{
		{"nothing", nil, 1, 0},
		{"half a length", []byte{0}, 1, 0},
		{"a length without bytes", []byte{0, 1}, 1, 0},
		{"one entry of two", []byte{0, 1, 'x'}, 2, 1},
		{"bytes after the last", []byte{0, 1, 'x', 0}, 1, 1},
		{"a negative count", nil, -1, 0},
		{"a count beyond a tile", nil, 257, 0},
	} {
		got, err := proof.ParseBundle(c.bundle, c.count)
		if err == nil || len(got) != c.whole {
			t.Errorf("%s: %d entries, %v; want %d and an error", c.name, len(got), err, c.whole)
		}
	}
}

// TestFrontier holds root, edge and tiles to tlog's own, leaf by leaf, and
// takes the tree up again from its edge at every size.
func TestFrontier(t *testing.T) {
	const size = 70_000
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var list []tlog.Hash
		for _, i := range indexes {
			list = append(list, stored[i])
		}
		return list, nil
	})
	f := new(proof.Frontier)
	full := 0
	for n := range int64(size) {
		leaf := tlog.RecordHash(entry(int(n)))
		more, err := tlog.StoredHashesForRecordHash(n, leaf, reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, more...)
		f.Add(leaf, func(tile tlog.Tile, hashes []tlog.Hash) {
			full++
			want, err := tlog.ReadTileData(tile, reader)
			if err != nil || !bytes.Equal(want, bytes.Join(raw(hashes), nil)) {
				t.Fatalf("tile %+v at size %d differs: %v", tile, n+1, err)
			}
		})
		if n > 1000 && n%97 != 0 && (n+1)%256 > 1 {
			continue
		}
		want, err := tlog.TreeHash(n+1, reader)
		if err != nil || f.Root() != want {
			t.Fatalf("root at size %d is %v, want %v, %v", n+1, f.Root(), want, err)
		}
		var edge [][]tlog.Hash
		for level := range proof.TileLevels {
			edge = append(edge, f.Edge(level))
		}
		again, err := proof.LoadFrontier(n+1, edge)
		if err != nil || again.Root() != want {
			t.Fatalf("loaded at size %d: %v", n+1, err)
		}
		if _, err := proof.LoadFrontier(n+2, edge); err == nil {
			t.Fatalf("the edge of %d leaves was taken for that of %d", n+1, n+2)
		}
	}
	if full != size/256+size/256/256 {
		t.Fatalf("%d full tiles", full)
	}
	if _, err := proof.LoadFrontier(-1, nil); err == nil {
		t.Fatal("a negative size was loaded")
	}
}
