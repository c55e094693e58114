// Package sqlite is the ledger of a centre on one machine: one data folder,
// one server, one writer connection.
//
// It is not for several machines on a network file system: SQLite's locks and
// write-ahead log need a local disk.
//
// The folder holds ledger.db (entries, tiles, signed head, sealed records),
// keys.db (the keys to the sealed records, apart so that one can be destroyed
// without a trace), checkpoint (a recent signed head, to notice when ledger.db
// is replaced by an older copy), snapshots/ and lock.
//
// Begin with Open. Inspect reads a folder without the signing key and without
// owning it, for verification.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the database/sql driver "sqlite"

	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/proof"
)

// Names of the files in a data folder.
const (
	ledgerFile     = "ledger.db"
	keysFile       = "keys.db"
	checkpointFile = "checkpoint"
	snapshotFolder = "snapshots"
	lockFile       = "lock"
)

const (
	busyMillisMax  = 5000        // how long a write waits for a foreign lock on the file
	walBytesMax    = 64 << 20    // a longer write-ahead log is cut back after a checkpoint
	walPagesMax    = 2000        // pages after which SQLite moves the log into the database
	checkpointSpan = time.Second // how old the copy of the head in the checkpoint file may get
	folderMode     = os.FileMode(0o700)
	fileMode       = os.FileMode(0o600)
)

// Config says where the ledger is and whose.
type Config struct {
	Dir   string           // data folder, made if missing; owned by one process at a time
	Key   proof.SigningKey // signs the heads; its name is the log's origin
	Fault ledger.Fault     // fails writes on purpose; nil outside of tests
}

// Ledger implements ledger.Ledger.
type Ledger struct {
	cfg  Config
	lock *lock
	w    *writer
	r    *reader
	keys *keyStore
	head atomic.Pointer[ledger.Head] // the last durable head

	mu        sync.Mutex // one write at a time; guards what follows
	tree      *proof.Frontier
	broken    error     // why the outcome of a write is unknown
	published time.Time // when the checkpoint file was written
	closed    bool
	snapMu    sync.Mutex // one snapshot is written at a time
}

var _ ledger.Ledger = (*Ledger)(nil)

// Open opens the ledger in cfg.Dir, or begins one where the folder has none.
// It refuses a folder that another process owns, that a newer Gaon wrote,
// that belongs to another key, or whose newest entries, tiles and signed head
// do not fit together. It does not re-hash old entries: proof.VerifyLedger
// does.
func Open(ctx context.Context, cfg Config) (*Ledger, error) {
	if cfg.Dir == "" {
		return nil, errors.New("open ledger: no data folder was given")
	}
	if cfg.Key.Origin() == "" {
		return nil, errors.New("open ledger: no signing key was given")
	}
	if err := os.MkdirAll(filepath.Join(cfg.Dir, snapshotFolder), folderMode); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	held, err := acquire(cfg.Dir)
	if err != nil {
		return nil, err
	}
	l := &Ledger{cfg: cfg, lock: held}
	if err := l.load(ctx); err != nil {
		return nil, errors.Join(err, l.shut())
	}
	return l, nil
}

// load opens the databases and checks the newest part of the log.
func (l *Ledger) load(ctx context.Context) error {
	path := filepath.Join(l.cfg.Dir, ledgerFile)
	var err error
	if l.w, err = openWriter(ctx, path, l.cfg.Key); err != nil {
		return err
	}
	if l.r, err = openReader(ctx, path); err != nil {
		return err
	}
	if err := syncFolder(l.cfg.Dir); err != nil {
		return err
	}
	head, tree, err := checkTail(ctx, l.r, l.cfg.Key.Verifier())
	if err != nil {
		return refuseTail(l.cfg.Dir, err)
	}
	l.tree = tree
	l.head.Store(&head)
	if err := l.checkPublished(ctx, head); err != nil {
		return err
	}
	if l.keys, err = openKeys(ctx, filepath.Join(l.cfg.Dir, keysFile)); err != nil {
		return err
	}
	return l.finishErasures(ctx)
}

// Close implements ledger.Ledger.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	err := l.publish(l.head.Load().Checkpoint)
	return errors.Join(err, l.shut())
}

// shut releases whatever load had opened, the lock last.
func (l *Ledger) shut() error {
	var errs []error
	if l.r != nil {
		errs = append(errs, l.r.close())
	}
	if l.w != nil {
		errs = append(errs, l.w.close())
	}
	if l.keys != nil {
		errs = append(errs, l.keys.close())
	}
	errs = append(errs, l.lock.release())
	return errors.Join(errs...)
}

// Head implements ledger.Ledger.
func (l *Ledger) Head(ctx context.Context) (ledger.Head, error) {
	if err := l.readable(ctx); err != nil {
		return ledger.Head{}, err
	}
	return *l.head.Load(), nil
}

func (l *Ledger) readable(ctx context.Context) error {
	if l.r.closed.Load() {
		return ledger.ErrClosed
	}
	return ctx.Err()
}

// writable reports whether a write may begin; the caller holds mu.
func (l *Ledger) writable(ctx context.Context) error {
	switch {
	case l.closed:
		return ledger.ErrClosed
	case l.broken != nil:
		return fmt.Errorf("%w: %w", l.broken, ledger.ErrFatal)
	}
	return ctx.Err()
}

// dsn builds the driver's name for a database file. synchronous=FULL makes
// COMMIT wait for the disk; secure_delete overwrites what is deleted;
// temp_store keeps VACUUM from copying living keys into a temporary file;
// fullfsync makes macOS flush the drive's own cache and does nothing elsewhere.
func dsn(path string, write bool) string {
	q := url.Values{}
	q.Set("_busy_timeout", fmt.Sprint(busyMillisMax))
	q.Set("_synchronous", "FULL")
	q.Set("_dqs", "false")
	if write {
		q.Set("_journal_mode", "WAL")
		q["_pragma"] = []string{
			"secure_delete(ON)", "temp_store(MEMORY)", "fullfsync(ON)", "checkpoint_fullfsync(ON)",
			fmt.Sprintf("journal_size_limit(%d)", walBytesMax),
			fmt.Sprintf("wal_autocheckpoint(%d)", walPagesMax),
		}
	} else {
		q.Set("_query_only", "true")
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// openDatabase opens a pool of at most conns connections and touches the file.
func openDatabase(ctx context.Context, path string, write bool, conns int) (*sql.DB, error) {
	if write {
		// SQLite would make a file that everybody on the machine may read; its
		// log takes over the mode of the database.
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, fileMode)
		if err != nil {
			return nil, explain(path, err)
		}
		if err := f.Close(); err != nil {
			return nil, explain(path, err)
		}
	}
	db, err := sql.Open("sqlite", dsn(path, write))
	if err != nil {
		return nil, explain(path, err)
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(explain(path, err), db.Close())
	}
	return db, nil
}

// readersMax bounds the connections that read beside the writer.
func readersMax() int { return max(4, runtime.NumCPU()) }

// syncFolder makes new names in a folder durable.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return errors.Join(f.Sync(), f.Close())
}
