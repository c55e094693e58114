package sqlite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/internal/unit"
)

// A snapshot is a file of its own, so that writing a large one neither blocks
// Append nor swells the log of the database:
//
//	magic, 8 bytes: "gaonsnp1"
//	size, 8 bytes big-endian
//	root of the log at that size, 32 bytes
//	SHA-256 named by the state hash, 32 bytes
//	data
//	SHA-256 of all above, 32 bytes
const (
	snapshotMagic  = "gaonsnp1"
	snapshotHeader = len(snapshotMagic) + 8 + 2*sha256.Size
	snapshotSuffix = ".snapshot"
)

// SaveSnapshot implements ledger.Ledger.
func (l *Ledger) SaveSnapshot(ctx context.Context, s ledger.Snapshot) error {
	if err := l.readable(ctx); err != nil {
		return err
	}
	head := *l.head.Load()
	if err := ledger.CheckSnapshot(s, head.Size); err != nil {
		return err
	}
	root, err := ledger.RootAt(ctx, l, head, s.Size)
	if err != nil {
		return fmt.Errorf("snapshot at %d: %w", s.Size, err)
	}
	header := make([]byte, 0, snapshotHeader)
	header = append(header, snapshotMagic...)
	header = binary.BigEndian.AppendUint64(header, uint64(s.Size))
	header = append(header, root[:]...)
	if header, err = appendHex(header, s.StateHash.Hex()); err != nil {
		return err
	}
	h := sha256.New()
	h.Write(header)
	h.Write(s.Data)
	l.snapMu.Lock()
	defer l.snapMu.Unlock()
	name := fmt.Sprintf("%020d%s", s.Size, snapshotSuffix)
	path := filepath.Join(l.cfg.Dir, snapshotFolder, name)
	if err := writeFile(path, header, s.Data, h.Sum(nil)); err != nil {
		return fmt.Errorf("snapshot at %d: %w", s.Size, err)
	}
	return l.dropSnapshots()
}

// dropSnapshots removes all but the newest.
func (l *Ledger) dropSnapshots() error {
	names, err := l.snapshots()
	if err != nil {
		return err
	}
	for _, name := range names[min(ledger.SnapshotsKept, len(names)):] {
		if err := os.Remove(filepath.Join(l.cfg.Dir, snapshotFolder, name)); err != nil {
			return fmt.Errorf("drop old snapshot: %w", err)
		}
	}
	return nil
}

// snapshots returns the names of the snapshot files, newest first.
func (l *Ledger) snapshots() ([]string, error) {
	files, err := os.ReadDir(filepath.Join(l.cfg.Dir, snapshotFolder))
	if err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	var names []string
	for _, f := range files {
		digits, ok := strings.CutSuffix(f.Name(), snapshotSuffix)
		if _, err := strconv.ParseUint(digits, 10, 63); ok && err == nil && len(digits) == 20 {
			names = append(names, f.Name())
		}
	}
	slices.Sort(names)
	slices.Reverse(names)
	return names, nil
}

// LatestSnapshot implements ledger.Ledger. A snapshot that is damaged, beyond
// the head or of another log is passed over: an older one, or replaying from
// the start, gives the same state.
func (l *Ledger) LatestSnapshot(ctx context.Context) (ledger.Snapshot, error) {
	if err := l.readable(ctx); err != nil {
		return ledger.Snapshot{}, err
	}
	names, err := l.snapshots()
	if err != nil {
		return ledger.Snapshot{}, err
	}
	head := *l.head.Load()
	passed := fmt.Errorf("snapshot: %w", ledger.ErrNotFound)
	for _, name := range names {
		s, root, err := readSnapshot(filepath.Join(l.cfg.Dir, snapshotFolder, name))
		if err == nil {
			var have tlog.Hash
			if have, err = ledger.RootAt(ctx, l, head, s.Size); err == nil && have != root {
				err = errors.New("it is of another ledger")
			}
		}
		if err == nil {
			return s, nil
		}
		if ctx.Err() != nil {
			return ledger.Snapshot{}, ctx.Err()
		}
		passed = fmt.Errorf("%w; %s passed over: %w", passed, name, err)
	}
	return ledger.Snapshot{}, passed
}

// readSnapshot returns a whole snapshot and the root it is bound to.
func readSnapshot(path string) (ledger.Snapshot, tlog.Hash, error) {
	info, err := os.Stat(path)
	if err != nil {
		return ledger.Snapshot{}, tlog.Hash{}, err
	}
	if info.Size() > ledger.SnapshotBytesMax+int64(snapshotHeader+sha256.Size) {
		return ledger.Snapshot{}, tlog.Hash{}, &fs.PathError{Op: "read", Path: path, Err: errors.New("too long for a snapshot")}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return ledger.Snapshot{}, tlog.Hash{}, err
	}
	return parseSnapshot(data)
}

func parseSnapshot(data []byte) (ledger.Snapshot, tlog.Hash, error) {
	var s ledger.Snapshot
	var root tlog.Hash
	if len(data) < snapshotHeader+sha256.Size || string(data[:len(snapshotMagic)]) != snapshotMagic {
		return s, root, errors.New("not a snapshot of this version")
	}
	body, sum := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	if have := sha256.Sum256(body); !bytes.Equal(have[:], sum) {
		return s, root, errors.New("its checksum does not match: the file is damaged")
	}
	rest := body[len(snapshotMagic):]
	s.Size = int64(binary.BigEndian.Uint64(rest))
	copy(root[:], rest[8:])
	s.StateHash = unit.NewDigest([sha256.Size]byte(rest[8+sha256.Size : 8+2*sha256.Size]))
	s.Data = body[snapshotHeader:]
	return s, root, nil
}

func appendHex(b []byte, digits string) ([]byte, error) {
	raw, err := hex.DecodeString(digits)
	if err != nil || len(raw) != sha256.Size {
		return nil, fmt.Errorf("snapshot: state hash %q is not a SHA-256", digits)
	}
	return append(b, raw...), nil
}
