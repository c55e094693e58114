package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/gaon-ai/gaon/internal/unit"
)

// PutTree stores every file below dir and their listing, and returns the
// tree's name and the size of its files together. Only regular files and
// folders may be there: anything else is refused with *TreeError, before and
// while reading, so a job cannot slip in a link to a file that is not its own.
// Empty folders are not kept.
func PutTree(ctx context.Context, s Store, dir string) (unit.Digest, unit.Bytes, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", 0, fmt.Errorf("open tree: %w", err)
	}
	defer root.Close()
	t := Tree{Format: TreeFormat}
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if err := CheckPath(name); err != nil {
			return err
		}
		if !entry.Type().IsRegular() {
			return notRegular(name, entry.Type())
		}
		f, err := putFile(ctx, s, root, name)
		t.Files = append(t.Files, f)
		return err
	})
	if err != nil {
		return "", 0, err
	}
	d, err := PutTreeOf(ctx, s, t)
	return d, t.Size(), err
}

// putFile stores one file; it checks again what it opened, for the folder may
// still be changing.
func putFile(ctx context.Context, s Store, root *os.Root, name string) (File, error) {
	f, err := root.OpenFile(filepath.FromSlash(name), os.O_RDONLY|openFlags, 0)
	if err != nil {
		return File{}, fmt.Errorf("read tree file %q: %w", name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return File{}, fmt.Errorf("read tree file %q: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return File{}, notRegular(name, info.Mode().Type())
	}
	d, size, err := s.Put(ctx, f)
	if err != nil {
		return File{}, fmt.Errorf("store tree file %q: %w", name, err)
	}
	return File{name, d, size}, nil
}

func notRegular(name string, mode fs.FileMode) error {
	kind := "is not a regular file"
	switch {
	case mode&fs.ModeSymlink != 0:
		kind = "is a symbolic link"
	case mode&fs.ModeDevice != 0:
		kind = "is a device"
	case mode&fs.ModeNamedPipe != 0:
		kind = "is a named pipe"
	case mode&fs.ModeSocket != 0:
		kind = "is a socket"
	}
	return &TreeError{name, kind}
}

// Checkout writes the tree's files to dir, which must not be there yet or be
// an empty folder. Every byte is verified on its way; the files are read-only
// copies that share nothing with the store, because a job with enough rights
// could write through a hard link and change the blob for everybody.
//
// The folder appears whole or not at all: it is made beside dir and renamed.
// It is not fsynced: what a job reads can always be checked out again.
func Checkout(ctx context.Context, s Store, tree unit.Digest, dir string) (err error) {
	t, err := ReadTree(ctx, s, tree)
	if err != nil {
		return err
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("check out to %s: %w", dir, fs.ErrExist)
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), ".checkout-*")
	if err != nil {
		return fmt.Errorf("check out: %w", err)
	}
	defer func() {
		if err != nil {
			os.RemoveAll(temp)
		}
	}()
	for _, f := range t.Files {
		if err := checkoutFile(ctx, s, f, temp); err != nil {
			return fmt.Errorf("check out %q: %w", f.Path, err)
		}
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return fmt.Errorf("check out: %w", err)
	}
	// Remove takes an empty folder only; what appeared there meanwhile stays.
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("check out: %w", err)
	}
	if err := os.Rename(temp, dir); err != nil {
		return fmt.Errorf("check out: %w", err)
	}
	return nil
}

func checkoutFile(ctx context.Context, s Store, f File, dir string) error {
	name := filepath.Join(dir, filepath.FromSlash(f.Path))
	if folder := path.Dir(f.Path); folder != "." {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
	}
	r, err := s.Open(ctx, f.Digest)
	if err != nil {
		return err
	}
	defer r.Close()
	out, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, r)
	if err := errors.Join(err, out.Chmod(0o444), out.Close()); err != nil {
		return err
	}
	if unit.Bytes(n) != f.Size {
		return &TreeError{f.Path, fmt.Sprintf("has %d bytes, %d in the listing", n, f.Size)}
	}
	return nil
}

// Copy brings a tree and its files from src to dst, files first, so that dst
// never names what it does not have. Files that dst has are put again, which
// costs a read but makes them young: Collect must not sweep them meanwhile.
func Copy(ctx context.Context, dst, src Store, tree unit.Digest) error {
	t, err := ReadTree(ctx, src, tree)
	if err != nil {
		return err
	}
	for _, f := range t.Files {
		if err := copyBlob(ctx, dst, src, f.Digest); err != nil {
			return fmt.Errorf("copy tree file %q: %w", f.Path, err)
		}
	}
	d, err := PutTreeOf(ctx, dst, t)
	if err == nil && d != tree {
		err = &CorruptError{tree, d}
	}
	return err
}

func copyBlob(ctx context.Context, dst, src Store, d unit.Digest) error {
	r, err := src.Open(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	written, _, err := dst.Put(ctx, r)
	if err == nil && written != d {
		err = &CorruptError{d, written}
	}
	return err
}

// Verify reads the artifact from end to end, and if it is a tree every file of
// it: nil, *AbsentError, *CorruptError, or a fault of reading.
func Verify(ctx context.Context, s Store, d unit.Digest) error {
	t, isTree, err := readIfTree(ctx, s, d)
	if err != nil {
		return err
	}
	if !isTree {
		return verifyBlob(ctx, s, d)
	}
	for _, f := range t.Files {
		if err := verifyBlob(ctx, s, f.Digest); err != nil {
			return fmt.Errorf("tree file %q: %w", f.Path, err)
		}
	}
	return nil
}

func verifyBlob(ctx context.Context, s Store, d unit.Digest) error {
	r, err := s.Open(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return err
}
