// Package folder is an artifact store in a folder: one file a blob, under the
// first two digits of its name.
//
//	format          gaon.artifacts/1
//	lock            held by whoever puts or deletes, for an instant
//	users           held shared by every open store, alone while it tidies
//	sha256/ab/cdef… the blobs
//	tmp/            blobs being written
//
// It is not a cache: nothing leaves it but through Delete. It does not guard
// against others with rights to write in the folder, it finds out: reads verify.
//
// Begin with Open.
package folder

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gaon-ai/gaon/internal/artifact"
	"github.com/gaon-ai/gaon/internal/unit"
)

const format = "gaon.artifacts/1"

// Store is an open folder. Several processes may have one folder open.
type Store struct {
	dir   string
	users *os.File // lock: shared while the store is open

	// mu and the lock file together make the last step of Put and the whole
	// of Delete atomic, among goroutines and among processes.
	mu   sync.Mutex
	lock *os.File

	write func(io.Writer) io.Writer // tests put faults between Put and the disk
}

// FormatError refuses a folder that this program cannot use.
type FormatError struct{ Dir, Found string }

// Code names the refusal for programs.
func (e *FormatError) Code() string { return "artifact.format" }

func (e *FormatError) Error() string {
	if e.Found == "" {
		return fmt.Sprintf("folder %s is not an artifact store and not empty", e.Dir)
	}
	return fmt.Sprintf("artifact store %s is of format %q, this program reads %s", e.Dir, e.Found, format)
}

// Hint says what to do next.
func (e *FormatError) Hint() string {
	if e.Found == "" {
		return "name an empty folder or one that does not exist yet"
	}
	return "use the version of gaon that wrote it, or a newer one"
}

// FullError says that the disk has no room; nothing was stored.
type FullError struct {
	Dir     string
	Written unit.Bytes // before it was full
	Err     error
}

// Code names the fault for programs.
func (e *FullError) Code() string { return "artifact.disk-full" }

func (e *FullError) Error() string {
	return fmt.Sprintf("the disk of artifact store %s is full after %s of this file; nothing of it was kept", e.Dir, e.Written)
}

// Hint says what to do next.
func (e *FullError) Hint() string { return "free space on that disk, then do the same again" }

// Unwrap returns the system's error.
func (e *FullError) Unwrap() error { return e.Err }

// Open opens the store in dir, making it if the folder is empty or absent.
// What a crash left half written is removed, unless another process has the
// store open and may be writing it.
func Open(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open artifact store: %w", err)
	}
	s := &Store{dir: dir, write: func(w io.Writer) io.Writer { return w }}
	if err := s.prepare(); err != nil {
		s.Close()
		var refused *FormatError
		if errors.As(err, &refused) {
			return nil, err
		}
		return nil, fmt.Errorf("open artifact store %s: %w", dir, err)
	}
	return s, nil
}

func (s *Store) prepare() (err error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	if err := s.checkFormat(); err != nil {
		return err
	}
	if s.lock, err = os.OpenFile(filepath.Join(s.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	if s.users, err = os.OpenFile(filepath.Join(s.dir, "users"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(s.dir, "tmp"), 0o700); err != nil {
		return err
	}
	// Alone: nobody is writing, so what is in tmp is a crash's.
	if alone := tryLockAlone(s.users); alone {
		if err := s.clearTemp(); err != nil {
			return err
		}
	}
	if err := lockShared(s.users); err != nil {
		return err
	}
	blobs := filepath.Join(s.dir, "sha256")
	if err := os.MkdirAll(blobs, 0o700); err != nil {
		return err
	}
	// A crash may have come between making a shard and syncing its name.
	return errors.Join(syncFolder(blobs), syncFolder(s.dir))
}

func (s *Store) clearTemp() error {
	left, err := os.ReadDir(filepath.Join(s.dir, "tmp"))
	if err != nil {
		return err
	}
	for _, entry := range left {
		if err := os.Remove(filepath.Join(s.dir, "tmp", entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// checkFormat reads the format file, or writes it in a folder that is empty.
func (s *Store) checkFormat() error {
	name := filepath.Join(s.dir, "format")
	data, err := os.ReadFile(name)
	if err == nil {
		if found := strings.TrimSpace(string(data)); found != format {
			return &FormatError{s.dir, fmt.Sprintf("%.60s", found)}
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), ".format-") {
			return &FormatError{Dir: s.dir}
		}
	}
	f, err := os.CreateTemp(s.dir, ".format-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(format + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return errors.Join(os.Rename(f.Name(), name), syncFolder(s.dir))
}

// Close gives the locks back. Readers that are open stay good.
func (s *Store) Close() error {
	var errs []error
	for _, f := range []*os.File{s.lock, s.users} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// path returns where the blob is; a name that is no digest is a bug of ours or
// came from outside unchecked, and must not become a path.
func (s *Store) path(d unit.Digest) (string, error) {
	if _, err := unit.ParseDigest(string(d)); err != nil {
		return "", err
	}
	return filepath.Join(s.dir, "sha256", d.Hex()[:2], d.Hex()[2:]), nil
}

// Put implements artifact.Store.
func (s *Store) Put(ctx context.Context, r io.Reader) (unit.Digest, unit.Bytes, error) {
	f, err := os.CreateTemp(filepath.Join(s.dir, "tmp"), "put-*")
	if err != nil {
		return "", 0, s.fault(0, err)
	}
	defer os.Remove(f.Name()) // after the rename there is nothing to remove
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(sum, s.write(f)), contextReader{ctx, r})
	if err := errors.Join(err, f.Chmod(0o444), f.Sync(), f.Close()); err != nil {
		return "", 0, s.fault(n, err)
	}
	d := unit.NewDigest([sha256.Size]byte(sum.Sum(nil)))
	if err := s.publish(f.Name(), d); err != nil {
		return "", 0, s.fault(n, err)
	}
	return d, unit.Bytes(n), nil
}

// publish gives the finished file its name. Renaming over a blob that is there
// already is on purpose: it heals one that was changed, and makes it young.
func (s *Store) publish(temp string, d unit.Digest) error {
	name, err := s.path(d)
	if err != nil {
		return err
	}
	if err := s.locked(func() error {
		now := time.Now()
		if err := os.Chtimes(temp, now, now); err != nil {
			return err
		}
		err := os.Rename(temp, name)
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		// The first blob of this shard. The shard's own name must be on disk
		// before the blob counts as stored.
		shard := filepath.Dir(name)
		if err := os.MkdirAll(shard, 0o700); err != nil {
			return err
		}
		return errors.Join(syncFolder(filepath.Dir(shard)), os.Rename(temp, name))
	}); err != nil {
		return err
	}
	// The blob can be seen but would not survive a power cut until the folder
	// is on disk; only then does Put return. If this fails the blob stays, as
	// nobody can tell any more whether it was there before: it is whole, and
	// unnamed it is collected in time.
	return syncFolder(filepath.Dir(name))
}

func (s *Store) locked(do func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := lockExclusive(s.lock); err != nil {
		return err
	}
	defer unlock(s.lock)
	return do()
}

func (s *Store) fault(written int64, err error) error {
	if isFull(err) {
		return &FullError{s.dir, unit.Bytes(written), err}
	}
	return fmt.Errorf("put artifact: %w", err)
}

// Open implements artifact.Store.
func (s *Store) Open(ctx context.Context, d unit.Digest) (io.ReadCloser, error) {
	name, err := s.path(d)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &artifact.AbsentError{Digest: d}
	}
	if err != nil {
		return nil, fmt.Errorf("open artifact: %w", err)
	}
	return &reader{ctx: ctx, f: f, sum: sha256.New(), want: d}, nil
}

// reader hashes what passes and compares at the end.
type reader struct {
	ctx  context.Context
	f    *os.File
	sum  hash.Hash
	want unit.Digest
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.f.Read(p)
	r.sum.Write(p[:n])
	if err == io.EOF {
		if found := unit.NewDigest([sha256.Size]byte(r.sum.Sum(nil))); found != r.want {
			return n, &artifact.CorruptError{Digest: r.want, Found: found}
		}
	} else if err != nil {
		err = fmt.Errorf("read artifact %s: %w", r.want, err)
	}
	return n, err
}

func (r *reader) Close() error { return r.f.Close() }

// Size implements artifact.Store.
func (s *Store) Size(_ context.Context, d unit.Digest) (unit.Bytes, error) {
	info, err := s.stat(d)
	if err != nil {
		return 0, err
	}
	return unit.Bytes(info.Size()), nil
}

// Stored implements artifact.Store.
func (s *Store) Stored(_ context.Context, d unit.Digest) (unit.Instant, error) {
	info, err := s.stat(d)
	if err != nil {
		return 0, err
	}
	return unit.Instant(info.ModTime().UnixMilli()), nil
}

func (s *Store) stat(d unit.Digest) (fs.FileInfo, error) {
	name, err := s.path(d)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &artifact.AbsentError{Digest: d}
	}
	if err != nil {
		return nil, fmt.Errorf("look at artifact: %w", err)
	}
	return info, nil
}

// Renew implements artifact.Store.
func (s *Store) Renew(_ context.Context, d unit.Digest) error {
	name, err := s.path(d)
	if err != nil {
		return err
	}
	err = s.locked(func() error {
		now := time.Now()
		return os.Chtimes(name, now, now)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return &artifact.AbsentError{Digest: d}
	}
	if err != nil {
		return fmt.Errorf("renew artifact: %w", err)
	}
	return nil
}

// Each implements artifact.Store.
func (s *Store) Each(ctx context.Context) iter.Seq2[unit.Digest, error] {
	return func(yield func(unit.Digest, error) bool) {
		for i := range 256 {
			shard := fmt.Sprintf("%02x", i)
			names, err := namesIn(filepath.Join(s.dir, "sha256", shard))
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield("", fmt.Errorf("list artifacts: %w", err))
				return
			}
			for _, name := range names {
				d, err := unit.ParseDigest("sha256:" + shard + name)
				if err != nil {
					continue // not ours
				}
				if !yield(d, nil) {
					return
				}
			}
		}
	}
}

// namesIn returns the folder's names in order, without looking at each file.
func namesIn(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // no blob of this shard was ever put
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// Delete implements artifact.Store.
func (s *Store) Delete(_ context.Context, d unit.Digest, before unit.Instant) (bool, error) {
	name, err := s.path(d)
	if err != nil {
		return false, err
	}
	gone := false
	err = s.locked(func() error {
		stored, err := s.Stored(context.Background(), d)
		var absent *artifact.AbsentError
		if errors.As(err, &absent) || err == nil && stored >= before {
			return nil
		}
		if err != nil {
			return err
		}
		gone = true
		return os.Remove(name)
	})
	if err != nil {
		return false, fmt.Errorf("delete artifact: %w", err)
	}
	return gone, nil
}

// contextReader stops reading when its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
