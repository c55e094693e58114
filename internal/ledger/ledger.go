// Package ledger is the append-only Merkle log of a centre: opaque entries in
// one order, each signed head covering all before it.
//
// It is not an event store: it does not know what an entry means, it never
// queues and it has no opinion on who may write. Personal details never stand
// in an entry; they go into sealed side records (package sealed).
//
// Begin with sqlite.Open (one machine) or memory.Open (tests and simulation).
// Every implementation passes ledgertest.Run. Anybody can check a Ledger with
// proof.VerifyLedger, since every Ledger is a proof.Source.
package ledger

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/proof"
)

// Limits of a ledger. A caller that needs more makes several batches.
const (
	EntryBytesMax    = proof.EntryBytesMax // an entry's length is a uint16 in a tile bundle
	BatchEntriesMax  = 4096
	BatchBytesMax    = 32 << 20
	BatchSidesMax    = 256
	SideBytesMax     = 1 << 20 // one sealed record
	SideNameBytesMax = 200     // subject and name, each
	SideKeyBytesMax  = 256
	ReadEntriesMax   = 65536
	ReadBytesMax     = 16 << 20 // Read stops after the entry that passes it
	SnapshotBytesMax = 4 << 30
	SnapshotsKept    = 2
)

// Entry is one leaf of the log.
type Entry struct {
	Seq  int64 // leaf index, from 0
	Data []byte
}

// Head is what the ledger has promised: Size entries with this root, and the
// signed note that says so (c2sp.org/tlog-checkpoint).
type Head struct {
	Size       int64
	Root       tlog.Hash
	Checkpoint []byte // shared; not to be changed
}

// Side is a record beside the log that, unlike an entry, can be erased. The
// ledger sees only ciphertext: package sealed makes and opens it.
type Side struct {
	Subject string // whose record it is: an opaque name that says nothing about the person
	Name    string // which record of the subject; a second one replaces the first
	Record  []byte // sealed bytes
}

// Snapshot is the state that replaying the first Size entries gave. Data is
// the writer's own encoding.
type Snapshot struct {
	Size      int64
	StateHash unit.Digest
	Data      []byte
}

// Ledger is implemented by sqlite and memory. All methods may be called from
// several goroutines; Appends are taken one after another.
//
// Each write is all or nothing. A write that fails has left nothing, unless
// errors.Is(err, ErrFatal): then the outcome is unknown, every later write
// fails the same way, and the caller must Close, open again and look.
type Ledger interface {
	// Source serves the log: "checkpoint", "tile/0/000", "tile/entries/000.p/7".
	proof.Source

	// Append adds the batch after entry based-1 and returns the new head.
	// When it returns, entries, tiles, signed checkpoint and side records are
	// durable, all in one transaction. Another size than based is refused with
	// *StaleError; a record for an erased subject with ErrErased. A batch may
	// be empty where there are sides to store.
	Append(ctx context.Context, based int64, batch [][]byte, sides ...Side) (Head, error)

	// Head returns the last durable head.
	Head(ctx context.Context) (Head, error)

	// Read returns entries from seq on, in order: at most max, and fewer where
	// the log ends or ReadBytesMax is passed. At the end of the log it returns
	// none; beyond it, an error.
	Read(ctx context.Context, from int64, max int) ([]Entry, error)

	Vault

	// SaveSnapshot keeps the snapshot, durably, and forgets all but the last
	// SnapshotsKept. It does not disturb Append.
	SaveSnapshot(ctx context.Context, s Snapshot) error

	// LatestSnapshot returns the newest snapshot that is whole and belongs to
	// this log, or ErrNotFound: then replay from 0.
	LatestSnapshot(ctx context.Context) (Snapshot, error)

	// Close waits for writes in progress. The ledger cannot be used after it.
	Close() error
}

// Vault keeps sealed records and the keys to them. Use package sealed.
type Vault interface {
	// SideKey returns the subject's key; ErrNotFound if it never had one,
	// ErrErased if it was destroyed.
	SideKey(ctx context.Context, subject string) ([]byte, error)

	// CreateSideKey stores a key, durably, for a subject that has none, and
	// returns the key that now stands: another caller's if that came first.
	CreateSideKey(ctx context.Context, subject string, key []byte) ([]byte, error)

	// SideRecord returns one record, ErrNotFound or ErrErased.
	SideRecord(ctx context.Context, subject, name string) ([]byte, error)

	// EraseSubject destroys the subject's key and records. When it returns nil
	// their bytes are in no file of the ledger any more. It is idempotent; an
	// unknown subject is marked erased too.
	EraseSubject(ctx context.Context, subject string) error
}

var (
	// ErrFatal marks a write whose outcome is unknown: stop and reload.
	ErrFatal = errors.New("outcome of the write is unknown: close the ledger and open it again")
	// ErrNotFound: no such record, key or snapshot.
	ErrNotFound = errors.New("not found")
	// ErrErased: the subject's key was destroyed.
	ErrErased = errors.New("erased")
	// ErrClosed: the ledger was closed.
	ErrClosed = errors.New("ledger is closed")
	// ErrFull: the disk has no room; nothing was written.
	ErrFull = errors.New("the disk is full; nothing was written")
)

// StaleError: Append was based on another size than the ledger's.
type StaleError struct{ Based, Size int64 }

func (e *StaleError) Error() string {
	return fmt.Sprintf("append based on size %d, the ledger has %d", e.Based, e.Size)
}

// Code names the refusal.
func (e *StaleError) Code() string { return "ledger.stale" }

// HintError carries what a person should do next, on a line of its own.
type HintError struct {
	Err  error
	Hint string
}

func (e *HintError) Error() string { return e.Err.Error() + "\nhint: " + e.Hint }
func (e *HintError) Unwrap() error { return e.Err }

// Step is a point of a write where Config.Fault may fail it.
type Step string

// The steps of Append, in order. A failure up to StepCommit leaves nothing; at
// StepCommitted the batch is already durable, yet the caller cannot know.
const (
	StepBegin     Step = "begin"
	StepEntries   Step = "entries"
	StepTiles     Step = "tiles"
	StepSides     Step = "sides"
	StepHead      Step = "head"
	StepCommit    Step = "commit"
	StepCommitted Step = "committed"
)

// Steps lists them in order.
func Steps() []Step {
	return []Step{StepBegin, StepEntries, StepTiles, StepSides, StepHead, StepCommit, StepCommitted}
}

// Fault is called at each step of a write; an error fails the write there. It
// exists for tests and simulation.
type Fault func(Step) error

// At is f(step) for a Fault that may be nil.
func (f Fault) At(step Step) error {
	if f == nil {
		return nil
	}
	return f(step)
}

// CheckBatch refuses what no implementation takes.
func CheckBatch(batch [][]byte, sides []Side) error {
	if len(batch) == 0 && len(sides) == 0 {
		return errors.New("append: the batch is empty")
	}
	if len(batch) > BatchEntriesMax {
		return fmt.Errorf("append: %d entries in a batch, at most %d", len(batch), BatchEntriesMax)
	}
	if len(sides) > BatchSidesMax {
		return fmt.Errorf("append: %d side records in a batch, at most %d", len(sides), BatchSidesMax)
	}
	total := 0
	for i, e := range batch {
		if len(e) == 0 || len(e) > EntryBytesMax {
			return fmt.Errorf("append: entry %d of the batch has %d bytes, want 1 to %d", i, len(e), EntryBytesMax)
		}
		total += len(e)
	}
	if total > BatchBytesMax {
		return fmt.Errorf("append: %d bytes in a batch, at most %d", total, BatchBytesMax)
	}
	for i, s := range sides {
		if err := CheckSideName(s.Subject); err != nil {
			return fmt.Errorf("append: side record %d: subject: %w", i, err)
		}
		if err := CheckSideName(s.Name); err != nil {
			return fmt.Errorf("append: side record %d: name: %w", i, err)
		}
		if len(s.Record) == 0 || len(s.Record) > SideBytesMax {
			return fmt.Errorf("append: side record %d has %d bytes, want 1 to %d", i, len(s.Record), SideBytesMax)
		}
	}
	return nil
}

// CheckSideName refuses a subject or record name that is empty or too long.
func CheckSideName(name string) error {
	if name == "" || len(name) > SideNameBytesMax {
		return fmt.Errorf("%d bytes, want 1 to %d", len(name), SideNameBytesMax)
	}
	return nil
}

// CheckSideKey refuses a key that is empty or too long.
func CheckSideKey(key []byte) error {
	if len(key) == 0 || len(key) > SideKeyBytesMax {
		return fmt.Errorf("side key of %d bytes, want 1 to %d", len(key), SideKeyBytesMax)
	}
	return nil
}

// CheckRead refuses a range outside of a log of size entries and returns max
// cut to ReadEntriesMax.
func CheckRead(from int64, max int, size int64) (int, error) {
	if from < 0 || from > size {
		return 0, fmt.Errorf("read from entry %d: the ledger holds %d", from, size)
	}
	if max < 1 {
		return 0, fmt.Errorf("read at most %d entries: want 1 or more", max)
	}
	return int(min(int64(max), ReadEntriesMax, size-from)), nil
}

// CheckSnapshot refuses a snapshot that cannot be of a log of size entries.
func CheckSnapshot(s Snapshot, size int64) error {
	if s.Size < 0 || s.Size > size {
		return fmt.Errorf("snapshot of %d entries: the ledger holds %d", s.Size, size)
	}
	if int64(len(s.Data)) > SnapshotBytesMax {
		return fmt.Errorf("snapshot of %d bytes, at most %d", len(s.Data), int64(SnapshotBytesMax))
	}
	if _, err := unit.ParseDigest(string(s.StateHash)); err != nil {
		return fmt.Errorf("snapshot: state hash: %w", err)
	}
	return nil
}
