package proof_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/gaon-ai/gaon/proof"
)

func TestExport(t *testing.T) {
	tt := newTester(t)
	for _, size := range []int{0, 1, 255, 256, 257, 512, 70_000} {
		l := tt.grow(tt.key, entries(size))
		dir := filepath.Join(t.TempDir(), "deep", "log")
		last := int64(-1)
		c, err := proof.Export(t.Context(), l, dir, func(done, total int64) {
			if done <= last || total != int64(size) {
				t.Fatalf("progress went from %d to %d of %d", last, done, total)
			}
			last = done
		})
		if err != nil || c.Size != int64(size) || size > 0 && last != int64(size) {
			t.Fatalf("%d entries: %+v, progress up to %d, %v", size, c, last, err)
		}
		tt.mustVerify(proof.Folder(os.DirFS(dir)), int64(size))
		if _, err := os.Stat(dir + ".new"); !errors.Is(err, os.ErrNotExist) {
			t.Fatal("a temporary folder was left behind")
		}
		// A copy of the copy is the same.
		again := tt.load(tt.export(proof.Folder(os.DirFS(dir))))
		for path, data := range tt.load(dir) {
			if string(again[path]) != string(data) {
				t.Fatalf("%s differs in a copy of the copy", path)
			}
		}
	}
}

// TestExportOldHead: the log grew meanwhile, and keeps only full tiles where
// the head needs partial ones.
func TestExportOldHead(t *testing.T) {
	tt := newTester(t)
	old := tt.checkpoint(tt.grow(tt.key, entries(300)))
	grown := tt.load(tt.export(tt.grow(tt.key, entries(512))))
	src := overlay{grown, files{proof.CheckpointPath: old, "tile/1/000.p/1": grown["tile/1/000.p/2"][:32]}}
	tt.mustVerify(tt.load(tt.export(src)), 300)
}

func TestExportRefuses(t *testing.T) {
	tt := newTester(t)
	l := tt.grow(tt.key, entries(300))
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	if err := os.Mkdir(log, 0o755); err != nil {
		t.Fatal(err)
	}
	// What an export left that was cut off does not stand in the way.
	if err := os.MkdirAll(filepath.Join(log+".new", "tile"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := proof.Export(t.Context(), l, log, nil); err != nil {
		t.Fatalf("into an empty folder: %v", err)
	}
	if _, err := proof.Export(t.Context(), l, log, nil); err == nil {
		t.Fatal("an export was written over another")
	}
	tt.mustVerify(proof.Folder(os.DirFS(log)), 300)

	ctx, cancel := context.WithCancel(t.Context())
	cancelled := filepath.Join(dir, "cancelled")
	_, err := proof.Export(ctx, l, cancelled, func(int64, int64) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing")
	if _, err := proof.Export(t.Context(), tt.log(300).with("tile/0/000", nil), missing, nil); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if _, err := proof.Export(t.Context(), files{}, missing, nil); err == nil {
		t.Fatal("a log without a head was exported")
	}
	for _, name := range []string{cancelled, missing, cancelled + ".new", missing + ".new"} {
		if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("%s was left behind", name)
		}
	}
}
