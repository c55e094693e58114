// Package memory is a ledger in memory, for tests and for the simulator.
//
// It is not durable against the end of the process; a Disk outlives its
// Ledger, so that a crash and a restart can be played.
//
// Begin with Open(NewDisk(), Config{Key: key}).
package memory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/proof"
)

// Config says whose ledger it is.
type Config struct {
	Key   proof.SigningKey // signs the heads; its name is the log's origin
	Fault ledger.Fault     // fails writes on purpose; nil outside of tests
}

// Disk is what survives a crash. The zero value is not usable: NewDisk.
type Disk struct {
	mu        sync.RWMutex // guards all below
	open      bool
	entries   [][]byte
	tiles     map[tlog.Tile][]byte
	tree      *proof.Frontier
	head      ledger.Head
	keys      map[string][]byte // nil value: erased
	records   map[record][]byte
	snapshots []ledger.Snapshot // oldest first
}

type record struct{ subject, name string }

// NewDisk returns an empty disk.
func NewDisk() *Disk {
	return &Disk{
		tiles:   make(map[tlog.Tile][]byte),
		tree:    new(proof.Frontier),
		keys:    make(map[string][]byte),
		records: make(map[record][]byte),
	}
}

// Ledger implements ledger.Ledger.
type Ledger struct {
	cfg    Config
	disk   *Disk
	mu     sync.Mutex // one write at a time; guards broken
	broken bool
	closed atomic.Bool
}

var _ ledger.Ledger = (*Ledger)(nil)

// Open opens the disk's ledger, a new one if there is none.
func Open(disk *Disk, cfg Config) (*Ledger, error) {
	disk.mu.Lock()
	defer disk.mu.Unlock()
	if disk.open {
		return nil, errors.New("memory ledger: this disk is already open")
	}
	if disk.head.Checkpoint == nil {
		g, err := ledger.Grow(disk.tree, nil, cfg.Key)
		if err != nil {
			return nil, fmt.Errorf("memory ledger: %w", err)
		}
		disk.head = g.Head
	}
	if _, _, err := proof.OpenCheckpoint(disk.head.Checkpoint, cfg.Key.Verifier()); err != nil {
		return nil, fmt.Errorf("memory ledger: stored head: %w", err)
	}
	disk.open = true
	return &Ledger{cfg: cfg, disk: disk}, nil
}

// Append implements ledger.Ledger.
func (l *Ledger) Append(ctx context.Context, based int64, batch [][]byte, sides ...ledger.Side) (ledger.Head, error) {
	if err := ledger.CheckBatch(batch, sides); err != nil {
		return ledger.Head{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writable(ctx); err != nil {
		return ledger.Head{}, err
	}
	d := l.disk
	if based != d.head.Size { // only writers change the head, and this is the writer
		return ledger.Head{}, &ledger.StaleError{Based: based, Size: d.head.Size}
	}
	if err := d.checkSubjects(sides); err != nil {
		return ledger.Head{}, err
	}
	for _, step := range ledger.Steps()[:len(ledger.Steps())-1] {
		if err := l.cfg.Fault.At(step); err != nil {
			return ledger.Head{}, fmt.Errorf("append at %d: %s: %w", based, step, err)
		}
	}
	head := d.head
	if len(batch) > 0 {
		g, err := ledger.Grow(d.tree, batch, l.cfg.Key)
		if err != nil {
			return ledger.Head{}, fmt.Errorf("append at %d: %w", based, err)
		}
		d.commit(g, batch)
		head = g.Head
	}
	d.putSides(sides)
	if err := l.cfg.Fault.At(ledger.StepCommitted); err != nil {
		l.broken = true
		return ledger.Head{}, fmt.Errorf("append at %d: %w: %w", based, err, ledger.ErrFatal)
	}
	return head, nil
}

func (l *Ledger) writable(ctx context.Context) error {
	switch {
	case l.closed.Load():
		return ledger.ErrClosed
	case l.broken:
		return ledger.ErrFatal
	}
	return ctx.Err()
}

func (d *Disk) checkSubjects(sides []ledger.Side) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, s := range sides {
		if key, known := d.keys[s.Subject]; known && key == nil {
			return fmt.Errorf("append: subject %q: %w", s.Subject, ledger.ErrErased)
		}
	}
	return nil
}

func (d *Disk) commit(g *ledger.Growth, batch [][]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, data := range batch {
		d.entries = append(d.entries, bytes.Clone(data))
	}
	for _, t := range g.Full {
		d.tiles[t.Tile] = t.Data
	}
	d.tree, d.head = g.After, g.Head
}

func (d *Disk) putSides(sides []ledger.Side) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range sides {
		d.records[record{s.Subject, s.Name}] = bytes.Clone(s.Record)
	}
}

// Head implements ledger.Ledger.
func (l *Ledger) Head(ctx context.Context) (ledger.Head, error) {
	if err := l.readable(ctx); err != nil {
		return ledger.Head{}, err
	}
	l.disk.mu.RLock()
	defer l.disk.mu.RUnlock()
	return l.disk.head, nil
}

func (l *Ledger) readable(ctx context.Context) error {
	if l.closed.Load() {
		return ledger.ErrClosed
	}
	return ctx.Err()
}

// Read implements ledger.Ledger.
func (l *Ledger) Read(ctx context.Context, from int64, max int) ([]ledger.Entry, error) {
	if err := l.readable(ctx); err != nil {
		return nil, err
	}
	l.disk.mu.RLock()
	defer l.disk.mu.RUnlock()
	count, err := ledger.CheckRead(from, max, l.disk.head.Size)
	if err != nil {
		return nil, err
	}
	return l.disk.read(from, count, ledger.ReadBytesMax), nil
}

// read copies entries; the caller holds mu and has checked the range.
func (d *Disk) read(from int64, count, bytesMax int) []ledger.Entry {
	var list []ledger.Entry
	total := 0
	for seq := from; seq < from+int64(count) && total < bytesMax; seq++ {
		list = append(list, ledger.Entry{Seq: seq, Data: bytes.Clone(d.entries[seq])})
		total += len(d.entries[seq])
	}
	return list
}

// ReadFile implements proof.Source.
func (l *Ledger) ReadFile(ctx context.Context, path string) ([]byte, error) {
	if err := l.readable(ctx); err != nil {
		return nil, err
	}
	d := l.disk
	d.mu.RLock()
	defer d.mu.RUnlock()
	entries := func(from int64, count int) ([]ledger.Entry, error) {
		return d.read(from, count, ledger.BatchBytesMax), nil
	}
	hashes := func(t tlog.Tile) ([]byte, error) {
		whole := t
		whole.W = proof.TileWidth
		if data, ok := d.tiles[whole]; ok {
			return bytes.Clone(data[:t.W*tlog.HashSize]), nil
		}
		var data []byte
		for _, h := range d.tree.Edge(t.L)[:t.W] {
			data = append(data, h[:]...)
		}
		return data, nil
	}
	return ledger.ServeFile(path, d.head, entries, hashes)
}

// SideKey implements ledger.Vault.
func (l *Ledger) SideKey(ctx context.Context, subject string) ([]byte, error) {
	if err := l.readable(ctx); err != nil {
		return nil, err
	}
	l.disk.mu.RLock()
	defer l.disk.mu.RUnlock()
	return l.disk.key(subject)
}

func (d *Disk) key(subject string) ([]byte, error) {
	key, known := d.keys[subject]
	switch {
	case !known:
		return nil, fmt.Errorf("key of subject %q: %w", subject, ledger.ErrNotFound)
	case key == nil:
		return nil, fmt.Errorf("key of subject %q: %w", subject, ledger.ErrErased)
	}
	return bytes.Clone(key), nil
}

// CreateSideKey implements ledger.Vault.
func (l *Ledger) CreateSideKey(ctx context.Context, subject string, key []byte) ([]byte, error) {
	if err := errors.Join(ledger.CheckSideName(subject), ledger.CheckSideKey(key)); err != nil {
		return nil, fmt.Errorf("side key: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writable(ctx); err != nil {
		return nil, err
	}
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	if _, known := l.disk.keys[subject]; !known {
		l.disk.keys[subject] = bytes.Clone(key)
	}
	return l.disk.key(subject)
}

// SideRecord implements ledger.Vault.
func (l *Ledger) SideRecord(ctx context.Context, subject, name string) ([]byte, error) {
	if err := l.readable(ctx); err != nil {
		return nil, err
	}
	l.disk.mu.RLock()
	defer l.disk.mu.RUnlock()
	if _, err := l.disk.key(subject); errors.Is(err, ledger.ErrErased) {
		return nil, err
	}
	data, ok := l.disk.records[record{subject, name}]
	if !ok {
		return nil, fmt.Errorf("record %q of subject %q: %w", name, subject, ledger.ErrNotFound)
	}
	return bytes.Clone(data), nil
}

// EraseSubject implements ledger.Vault.
func (l *Ledger) EraseSubject(ctx context.Context, subject string) error {
	if err := ledger.CheckSideName(subject); err != nil {
		return fmt.Errorf("erase: subject: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writable(ctx); err != nil {
		return err
	}
	d := l.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.keys[subject])
	d.keys[subject] = nil
	for r, data := range d.records {
		if r.subject == subject {
			clear(data)
			delete(d.records, r)
		}
	}
	return nil
}

// SaveSnapshot implements ledger.Ledger.
func (l *Ledger) SaveSnapshot(ctx context.Context, s ledger.Snapshot) error {
	if err := l.readable(ctx); err != nil {
		return err
	}
	d := l.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := ledger.CheckSnapshot(s, d.head.Size); err != nil {
		return err
	}
	s.Data = bytes.Clone(s.Data)
	d.snapshots = slices.DeleteFunc(d.snapshots, func(old ledger.Snapshot) bool { return old.Size == s.Size })
	d.snapshots = append(d.snapshots, s)
	slices.SortFunc(d.snapshots, func(a, b ledger.Snapshot) int { return int(a.Size - b.Size) })
	d.snapshots = d.snapshots[max(0, len(d.snapshots)-ledger.SnapshotsKept):]
	return nil
}

// LatestSnapshot implements ledger.Ledger.
func (l *Ledger) LatestSnapshot(ctx context.Context) (ledger.Snapshot, error) {
	if err := l.readable(ctx); err != nil {
		return ledger.Snapshot{}, err
	}
	l.disk.mu.RLock()
	defer l.disk.mu.RUnlock()
	if len(l.disk.snapshots) == 0 {
		return ledger.Snapshot{}, fmt.Errorf("snapshot: %w", ledger.ErrNotFound)
	}
	s := l.disk.snapshots[len(l.disk.snapshots)-1]
	s.Data = bytes.Clone(s.Data)
	return s, nil
}

// Close implements ledger.Ledger. The disk keeps what was appended.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed.Swap(true) {
		return nil
	}
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	l.disk.open = false
	return nil
}
