package folder

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gaon-ai/gaon/internal/artifact"
	"github.com/gaon-ai/gaon/internal/artifact/artifacttest"
	"github.com/gaon-ai/gaon/internal/unit"
)

func mustOpen(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	artifacttest.Run(t, artifacttest.Config{
		Open: func(t *testing.T) artifact.Store { return mustOpen(t, t.TempDir()) },
		Change: func(t *testing.T, s artifact.Store, d unit.Digest, to []byte) {
			name, err := s.(*Store).path(d)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.Chmod(name, 0o644), os.WriteFile(name, to, 0o644)); err != nil {
				t.Fatal(err)
			}
		},
	})
}

func TestBlobsOutliveTheProcess(t *testing.T) {
	dir := t.TempDir()
	first := mustOpen(t, dir)
	d, _, err := first.Put(context.Background(), bytes.NewReader([]byte("kept")))
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	r, err := mustOpen(t, dir).Open(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || string(got) != "kept" {
		t.Fatalf("read %q, %v", got, err)
	}
}

func TestOpenFormats(t *testing.T) {
	for _, row := range []struct {
		name  string
		given func(dir string) error
		code  string // empty: opens
	}{
		{"an empty folder", func(string) error { return nil }, ""},
		{"a folder that is absent", os.Remove, ""},
		{"a first opening that was cut short", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, ".format-123"), []byte("gaon.ar"), 0o600)
		}, ""},
		{"a newer format", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "format"), []byte("gaon.artifacts/2\n"), 0o600)
		}, "artifact.format"},
		{"an empty format file", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "format"), nil, 0o600)
		}, "artifact.format"},
		{"somebody's own folder", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "thesis.txt"), []byte("mine"), 0o600)
		}, "artifact.format"},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			if err := errors.Join(os.Mkdir(dir, 0o700), row.given(dir)); err != nil {
				t.Fatal(err)
			}
			s, err := Open(dir)
			if err == nil {
				defer s.Close()
			}
			var refused interface {
				Code() string
				Hint() string
			}
			switch {
			case row.code == "" && err != nil:
				t.Fatal(err)
			case row.code != "" && (!errors.As(err, &refused) || refused.Code() != row.code || refused.Hint() == ""):
				t.Fatalf("want refusal %s, got %v", row.code, err)
			}
			if row.code != "" {
				if left, _ := os.ReadDir(dir); len(left) != 1 {
					t.Fatalf("a refused folder was changed: %v", left)
				}
			}
		})
	}
}

// TestLeftoversGo: what a crash left in tmp goes when the store is opened, but
// not while another process, which may be writing it, has the store open.
func TestLeftoversGo(t *testing.T) {
	dir := t.TempDir()
	first := mustOpen(t, dir)
	left := filepath.Join(dir, "tmp", "put-123")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, dir).Close()
	if _, err := os.Stat(left); err != nil {
		t.Fatalf("removed while another has the store open: %v", err)
	}
	first.Close()
	mustOpen(t, dir)
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("still there: %v", err)
	}
}

func nothingLeft(t *testing.T, s *Store) {
	t.Helper()
	if left, err := os.ReadDir(filepath.Join(s.dir, "tmp")); err != nil || len(left) != 0 {
		t.Errorf("left in tmp: %v, %v", left, err)
	}
	for d, err := range s.Each(context.Background()) {
		t.Errorf("left in the store: %s, %v", d, err)
	}
}

type fullWriter struct {
	w    io.Writer
	left int
	err  error
}

func (w *fullWriter) Write(p []byte) (int, error) {
	n, _ := w.w.Write(p[:min(len(p), w.left)])
	w.left -= n
	if n < len(p) {
		return n, w.err
	}
	return n, nil
}

func TestFullDiskIsSaid(t *testing.T) {
	for _, cause := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		s := mustOpen(t, t.TempDir())
		s.write = func(w io.Writer) io.Writer {
			return &fullWriter{w, 70_000, &os.PathError{Op: "write", Path: "x", Err: cause}}
		}
		mustBeFull(t, s, make([]byte, 100_000))
		nothingLeft(t, s)
	}
}

func mustBeFull(t *testing.T, s *Store, data []byte) {
	t.Helper()
	_, _, err := s.Put(context.Background(), bytes.NewReader(data))
	var full *FullError
	if !errors.As(err, &full) || full.Code() != "artifact.disk-full" || full.Hint() == "" || full.Dir != s.dir {
		t.Fatalf("want disk-full, got %v", err)
	}
}

func TestOtherFaultsAreNotFull(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	s.write = func(w io.Writer) io.Writer { return &fullWriter{w, 10, syscall.EIO} }
	_, _, err := s.Put(context.Background(), bytes.NewReader(make([]byte, 100)))
	var full *FullError
	if !errors.Is(err, syscall.EIO) || errors.As(err, &full) {
		t.Fatalf("want EIO, got %v", err)
	}
	nothingLeft(t, s)
}

func BenchmarkPut(b *testing.B) {
	s := mustOpen(b, b.TempDir())
	data := make([]byte, 16<<20)
	b.SetBytes(int64(len(data)))
	for i := 0; b.Loop(); i++ {
		data[0], data[1] = byte(i), byte(i>>8)
		if _, _, err := s.Put(context.Background(), bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPutSmall(b *testing.B) {
	s := mustOpen(b, b.TempDir())
	data := make([]byte, 1024)
	for i := 0; b.Loop(); i++ {
		data[0], data[1], data[2] = byte(i), byte(i>>8), byte(i>>16)
		if _, _, err := s.Put(context.Background(), bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	s := mustOpen(b, b.TempDir())
	data := make([]byte, 16<<20)
	d, _, err := s.Put(context.Background(), bytes.NewReader(data))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		r, err := s.Open(context.Background(), d)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			b.Fatal(err)
		}
		r.Close()
	}
}
