package folder

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestRealFullDisk fills a small file system where the machine lets us mount
// one; the fault hook in TestFullDiskIsSaid covers the rest.
func TestRealFullDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "small")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Logf("no small file system to fill here (%v); the fault hook stands in", err)
		return
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	s := mustOpen(t, filepath.Join(dir, "store"))
	mustBeFull(t, s, make([]byte, 2<<20))
	nothingLeft(t, s)
	if _, _, err := s.Put(context.Background(), bytes.NewReader(make([]byte, 1000))); err != nil {
		t.Fatalf("what fits is refused after a full disk: %v", err)
	}
}
