package artifact_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gaon-ai/gaon/internal/artifact"
	"github.com/gaon-ai/gaon/internal/artifact/folder"
	"github.com/gaon-ai/gaon/internal/unit"
)

// forever is after anything a test puts.
const forever = unit.Instant(1) << 50

func nothingLives(unit.Digest) bool { return false }

func only(named ...unit.Digest) func(unit.Digest) bool {
	return func(d unit.Digest) bool { return slices.Contains(named, d) }
}

func TestCollect(t *testing.T) {
	s := newStore(t)
	tree := putTree(t, s, sample)
	loose, _, _ := s.Put(ctx, strings.NewReader("loose"))
	named, _, _ := s.Put(ctx, strings.NewReader("named"))
	other := putTree(t, s, map[string]string{"x": "two", "y": "only here"})
	removed, freed, err := artifact.Collect(ctx, s, only(tree, named), artifact.Sweep{Before: forever})
	if err != nil || removed != 3 { // loose, the other listing, "only here"
		t.Fatalf("removed %d, freed %s, %v; want 3", removed, freed, err)
	}
	for _, d := range []unit.Digest{tree, named} {
		if err := artifact.Verify(ctx, s, d); err != nil {
			t.Errorf("what the ledger names: %v", err)
		}
	}
	var absent *artifact.AbsentError
	for _, d := range []unit.Digest{loose, other, unit.DigestOf([]byte("only here"))} {
		if _, err := s.Size(ctx, d); !errors.As(err, &absent) {
			t.Errorf("%s is still there: %v", d, err)
		}
	}
	if removed, freed, err := artifact.Collect(ctx, s, only(tree, named), artifact.Sweep{Before: forever}); removed != 0 || freed != 0 || err != nil {
		t.Errorf("a second collection: %d, %s, %v", removed, freed, err)
	}
}

func TestCollectLeavesTheYoung(t *testing.T) {
	s := newStore(t)
	putTree(t, s, sample)
	removed, _, err := artifact.Collect(ctx, s, nothingLives, artifact.Sweep{Before: unit.Instant(time.Now().Add(-time.Hour).UnixMilli())})
	if removed != 0 || err != nil {
		t.Fatalf("removed %d young blobs, %v", removed, err)
	}
	// A young listing keeps its files though they were put long before it.
	_, _, _ = s.Put(ctx, strings.NewReader("old loose blob"))
	listing, err := s.Stored(ctx, unit.DigestOf([]byte("old loose blob")))
	if err != nil {
		t.Fatal(err)
	}
	for unit.Instant(time.Now().UnixMilli()) <= listing {
		time.Sleep(time.Millisecond)
	}
	before := unit.Instant(time.Now().UnixMilli())
	tree, err := artifact.PutTreeOf(ctx, s, artifact.Tree{Files: []artifact.File{{Path: "b", Digest: unit.DigestOf([]byte("two")), Size: 3}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := artifact.Collect(ctx, s, nothingLives, artifact.Sweep{Before: before}); err != nil {
		t.Fatal(err)
	}
	if err := artifact.Verify(ctx, s, tree); err != nil {
		t.Fatalf("a young tree: %v", err)
	}
}

// TestCollectStops: what cannot be understood is no reason to remove anything.
func TestCollectStops(t *testing.T) {
	at := t.TempDir()
	s, err := folder.Open(at)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tree := putTree(t, s, sample)
	loose, _, _ := s.Put(ctx, strings.NewReader("loose"))
	newer, _, _ := s.Put(ctx, strings.NewReader(`{"format":"gaon.tree/2","files":{}}`))
	lookalike, _, _ := s.Put(ctx, strings.NewReader(`{"format":"gaon.tree/1","files":"a file that begins like a listing"}`))
	gone := unit.DigestOf([]byte("gone"))
	for _, row := range []struct {
		name string
		live []unit.Digest
		want string
	}{
		{"two roots are absent", []unit.Digest{tree, gone, unit.DigestOf([]byte("gone too"))}, "artifact.absent"},
		{"a root is a tree of a newer format", []unit.Digest{tree, newer}, "artifact.tree"},
	} {
		removed, _, err := artifact.Collect(ctx, s, only(row.live...), artifact.Sweep{Before: forever, Roots: slices.Values(row.live)})
		var coded interface{ Code() string }
		if removed != 0 || !errors.As(err, &coded) || coded.Code() != row.want {
			t.Errorf("%s: removed %d, %v; want %s", row.name, removed, err, row.want)
		}
	}
	if _, _, err := artifact.Collect(ctx, s, only(), artifact.Sweep{Before: forever, Roots: slices.Values([]unit.Digest{gone, unit.DigestOf([]byte("gone too"))})}); strings.Count(err.Error(), "is not in the store") != 2 {
		t.Errorf("both absent roots are reported: %v", err)
	}
	if err := overwrite(filepath.Join(at, "sha256", tree.Hex()[:2], tree.Hex()[2:]), `{"format":"gaon.tree/1","files":[]}`); err != nil {
		t.Fatal(err)
	}
	var corrupt *artifact.CorruptError
	if removed, _, err := artifact.Collect(ctx, s, only(tree), artifact.Sweep{Before: forever}); removed != 0 || !errors.As(err, &corrupt) {
		t.Errorf("a corrupt root: removed %d, %v", removed, err)
	}
	if removed, _, err := artifact.Collect(ctx, s, only(lookalike, loose), artifact.Sweep{Before: forever}); removed == 0 || err != nil {
		t.Errorf("a file that begins like a listing: removed %d, %v", removed, err)
	}
	if err := errors.Join(artifact.Verify(ctx, s, lookalike), artifact.Verify(ctx, s, loose)); err != nil {
		t.Error(err)
	}
}

// TestCollectProperty: random stores, trees and roots, with uploads beside the
// collection. What the ledger names stays whole with all its files, so does
// every tree whose upload was acknowledged meanwhile, and in the quiet case
// nothing else stays.
func TestCollectProperty(t *testing.T) {
	s := newStore(t)
	rapid.Check(t, func(rt *rapid.T) {
		defer func() { // the next case begins with an empty store
			for d := range s.Each(ctx) {
				if _, err := s.Delete(ctx, d, forever); err != nil {
					rt.Error(err)
				}
			}
		}()
		blob := func(i int) []byte { return bytes.Repeat(fmt.Append(nil, "blob ", i, " "), i) }
		tree := func(of []int) artifact.Tree {
			var tree artifact.Tree
			for _, i := range of {
				tree.Files = append(tree.Files, artifact.File{Path: fmt.Sprint("f", i), Digest: unit.DigestOf(blob(i)), Size: unit.Bytes(len(blob(i)))})
			}
			return tree
		}
		someBlobs := rapid.SliceOfNDistinct(rapid.IntRange(0, 15), 0, 5, rapid.ID[int])
		reach := map[unit.Digest][]unit.Digest{} // each artifact and what it needs
		for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, 15), 0, 10, rapid.ID[int]).Draw(rt, "blobs") {
			d, _, err := s.Put(ctx, bytes.NewReader(blob(i)))
			if err != nil {
				rt.Fatal(err)
			}
			reach[d] = []unit.Digest{d}
		}
		putTree := func(of []int) (unit.Digest, []unit.Digest, error) {
			needs := []unit.Digest{}
			for _, i := range of {
				d, _, err := s.Put(ctx, bytes.NewReader(blob(i)))
				if err != nil {
					return "", nil, err
				}
				needs = append(needs, d)
			}
			d, err := artifact.PutTreeOf(ctx, s, tree(of))
			return d, append(needs, d), err
		}
		for _, of := range rapid.SliceOfN(someBlobs, 0, 4).Draw(rt, "trees") {
			d, needs, err := putTree(of)
			if err != nil {
				rt.Fatal(err)
			}
			reach[d] = needs
			for _, need := range needs {
				if reach[need] == nil {
					reach[need] = []unit.Digest{need}
				}
			}
		}
		named := map[unit.Digest]bool{}
		for _, d := range slices.Sorted(maps.Keys(reach)) {
			if rapid.Bool().Draw(rt, "named") {
				named[d] = true
			}
		}
		uploads := rapid.SliceOfN(someBlobs, 0, 3).Draw(rt, "uploads beside")
		before := forever
		if len(uploads) > 0 {
			start := unit.Instant(time.Now().UnixMilli())
			for before = start; before <= start; before = unit.Instant(time.Now().UnixMilli()) {
				time.Sleep(time.Millisecond / 4)
			}
		}
		var beside sync.WaitGroup
		acknowledged := make([][]unit.Digest, len(uploads))
		pause := time.Duration(rand.IntN(300)) * time.Microsecond // only spreads the race
		for i, of := range uploads {
			beside.Go(func() {
				time.Sleep(pause)
				_, needs, err := putTree(of)
				if err != nil {
					rt.Errorf("upload beside a collection: %v", err)
				}
				acknowledged[i] = needs
			})
		}
		_, _, err := artifact.Collect(ctx, s, func(d unit.Digest) bool { return named[d] }, artifact.Sweep{Before: before, Roots: maps.Keys(named)})
		beside.Wait()
		if err != nil {
			rt.Fatal(err)
		}
		needed := map[unit.Digest]bool{}
		for d := range named {
			for _, need := range reach[d] {
				needed[need] = true
			}
		}
		for _, needs := range acknowledged {
			for _, need := range needs {
				needed[need] = true
			}
		}
		for d := range needed {
			if err := artifact.Verify(ctx, s, d); err != nil {
				rt.Errorf("needed: %v", err)
			}
		}
		if len(uploads) > 0 {
			return
		}
		for d := range s.Each(ctx) {
			if !needed[d] {
				rt.Errorf("%s stays, nobody needs it", d)
			}
		}
	})
}
