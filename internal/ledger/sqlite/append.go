package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	codes "modernc.org/sqlite/lib"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/proof"
)

// rowsPerInsert entries go into one INSERT, which spares the driver's cost of
// a statement each; the rest of a batch goes one by one.
const rowsPerInsert = 32

// wipeSides overwrites records with zeros of the same length, in their place.
//
// The obvious DELETE does not do, even with secure_delete: SQLite then merges
// pages, and what it moves may leave a copy in the free space of a page
// (measured: of 2,000 deleted records 3 could still be found in the file).
// Rows that are only added at the end and never change their length are never
// moved.
const wipeSides = `UPDATE side SET record = zeroblob(length(record)) WHERE subject = ?`

// writer is the one connection that writes, with its statements prepared.
type writer struct {
	path string
	db   *sql.DB
	conn *sql.Conn

	entry, entries, tile, edge, dropEdge, head, side, wipeSide *sql.Stmt
}

// openWriter opens the database, brings it to the newest version and, if it
// is new, signs the head of the empty log.
func openWriter(ctx context.Context, path string, key proof.SigningKey) (*writer, error) {
	db, err := openDatabase(ctx, path, true, 1)
	if err != nil {
		return nil, err
	}
	w := &writer{path: path, db: db}
	if w.conn, err = db.Conn(ctx); err != nil {
		return nil, errors.Join(explain(path, err), w.close())
	}
	if err := migrate(ctx, w.conn, path, ledgerMigrations); err != nil {
		return nil, errors.Join(err, w.close())
	}
	if err := errors.Join(w.begin(ctx, key), w.prepare(ctx)); err != nil {
		return nil, errors.Join(explain(path, err), w.close())
	}
	return w, nil
}

// begin stores the head of the empty log where there is neither head nor entry.
func (w *writer) begin(ctx context.Context, key proof.SigningKey) error {
	var heads, entries int
	err := w.conn.QueryRowContext(ctx,
		`SELECT (SELECT count(*) FROM head), (SELECT count(*) FROM (SELECT 1 FROM entry LIMIT 1))`).Scan(&heads, &entries)
	if err != nil || heads > 0 || entries > 0 {
		return err
	}
	g, err := ledger.Grow(new(proof.Frontier), nil, key)
	if err != nil {
		return err
	}
	return transaction(ctx, w.conn, func() error {
		_, err := w.conn.ExecContext(ctx, `INSERT INTO head (one, checkpoint) VALUES (1, ?)`, g.Head.Checkpoint)
		return err
	})
}

func (w *writer) prepare(ctx context.Context) error {
	many := `INSERT INTO entry (seq, data) VALUES (?, ?)` + strings.Repeat(`, (?, ?)`, rowsPerInsert-1)
	for _, s := range []struct {
		at  **sql.Stmt
		sql string
	}{
		{&w.entry, `INSERT INTO entry (seq, data) VALUES (?, ?)`},
		{&w.entries, many},
		{&w.tile, `INSERT INTO tile (level, n, data) VALUES (?, ?, ?)`},
		{&w.edge, `INSERT INTO edge (level, i, hash) VALUES (?, ?, ?)`},
		{&w.dropEdge, `DELETE FROM edge WHERE level = ? AND i < ?`},
		{&w.head, `UPDATE head SET checkpoint = ? WHERE one = 1 AND checkpoint = ?`},
		{&w.side, `INSERT INTO side (subject, name, record) VALUES (?, ?, ?)`},
		{&w.wipeSide, wipeSides + ` AND name = ?`},
	} {
		var err error
		if *s.at, err = w.conn.PrepareContext(ctx, s.sql); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) close() error {
	var errs []error
	for _, s := range []*sql.Stmt{w.entry, w.entries, w.tile, w.edge, w.dropEdge, w.head, w.side, w.wipeSide} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	if w.conn != nil {
		errs = append(errs, w.conn.Close())
	}
	return errors.Join(append(errs, w.db.Close())...)
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
	old := l.head.Load()
	if based != old.Size {
		return ledger.Head{}, &ledger.StaleError{Based: based, Size: old.Size}
	}
	for _, s := range sides {
		if err := l.keys.live(ctx, s.Subject); err != nil {
			return ledger.Head{}, fmt.Errorf("append: %w", err)
		}
	}
	// Ed25519 is deterministic, so an empty batch gives the same head again.
	g, err := ledger.Grow(l.tree, batch, l.cfg.Key)
	if err != nil {
		return ledger.Head{}, fmt.Errorf("append at %d: %w", based, err)
	}
	if err := l.store(ctx, g, old.Checkpoint, batch, sides); err != nil {
		return ledger.Head{}, fmt.Errorf("append at %d: %w", based, err)
	}
	// At this point the batch is durable; if we stop here, load finds it.
	l.tree = g.After
	l.head.Store(&g.Head)
	if now := time.Now(); now.Sub(l.published) >= checkpointSpan {
		// The copy of the head is a safeguard; without it nothing is lost, so
		// a failure to write it does not undo a batch that is durable.
		if l.publish(g.Head.Checkpoint) == nil {
			l.published = now
		}
	}
	return g.Head, nil
}

// store runs the one transaction of an append and sorts its failures into
// those that left nothing and those nobody can know about.
func (l *Ledger) store(ctx context.Context, g *ledger.Growth, oldHead []byte, batch [][]byte, sides []ledger.Side) error {
	ctx = context.WithoutCancel(ctx)
	if err := l.cfg.Fault.At(ledger.StepBegin); err != nil {
		return err
	}
	err := transaction(ctx, l.w.conn, func() error {
		return l.w.write(ctx, l.cfg.Fault, g, oldHead, batch, sides)
	})
	if err == nil {
		if err = l.cfg.Fault.At(ledger.StepCommitted); err == nil {
			return nil
		}
		return l.fail(err)
	}
	explained := explain(l.w.path, err)
	var failed *commitError
	if !errors.As(err, &failed) {
		// Nothing was committed, unless even the rollback failed.
		if l.w.at(ctx, oldHead) {
			return explained
		}
		return l.fail(explained)
	}
	// A full disk fails while frames are written, before the one that would
	// commit is whole: the batch is not there, and recovery cannot find it.
	// Of any other failure, such as of fsync, nobody can say what is on disk.
	if primary(err) == codes.SQLITE_FULL && failed.rollback == nil && l.w.at(ctx, oldHead) {
		return explained
	}
	return l.fail(explained)
}

// fail marks the outcome as unknown, for this write and all later ones.
func (l *Ledger) fail(err error) error {
	l.broken = err
	return fmt.Errorf("%w: %w", err, ledger.ErrFatal)
}

// at reports whether the stored head is this one.
func (w *writer) at(ctx context.Context, checkpoint []byte) bool {
	var stored []byte
	err := w.conn.QueryRowContext(ctx, `SELECT checkpoint FROM head WHERE one = 1`).Scan(&stored)
	return err == nil && bytes.Equal(stored, checkpoint)
}

// write stores all of a batch inside the open transaction.
func (w *writer) write(ctx context.Context, fault ledger.Fault, g *ledger.Growth, oldHead []byte, batch [][]byte, sides []ledger.Side) error {
	for _, step := range []struct {
		step ledger.Step
		do   func() error
	}{
		{ledger.StepEntries, func() error { return w.writeEntries(ctx, g.Based, batch) }},
		{ledger.StepTiles, func() error { return w.writeTiles(ctx, g) }},
		{ledger.StepSides, func() error { return w.writeSides(ctx, sides) }},
		{ledger.StepHead, func() error { return w.writeHead(ctx, g.Head.Checkpoint, oldHead) }},
	} {
		if err := fault.At(step.step); err != nil {
			return err
		}
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.step, err)
		}
	}
	return fault.At(ledger.StepCommit)
}

func (w *writer) writeEntries(ctx context.Context, seq int64, batch [][]byte) error {
	args := make([]any, 0, 2*rowsPerInsert)
	for len(batch) >= rowsPerInsert {
		args = args[:0]
		for _, data := range batch[:rowsPerInsert] {
			args = append(args, seq, data)
			seq++
		}
		if _, err := w.entries.ExecContext(ctx, args...); err != nil {
			return err
		}
		batch = batch[rowsPerInsert:]
	}
	for _, data := range batch {
		if _, err := w.entry.ExecContext(ctx, seq, data); err != nil {
			return err
		}
		seq++
	}
	return nil
}

func (w *writer) writeTiles(ctx context.Context, g *ledger.Growth) error {
	for _, t := range g.Full {
		if _, err := w.tile.ExecContext(ctx, t.L, t.N, t.Data); err != nil {
			return err
		}
		if _, err := w.dropEdge.ExecContext(ctx, t.L, (t.N+1)*proof.TileWidth); err != nil {
			return err
		}
	}
	return g.EachEdge(func(level int, index int64, h tlog.Hash) error {
		_, err := w.edge.ExecContext(ctx, level, index, h[:])
		return err
	})
}

func (w *writer) writeSides(ctx context.Context, sides []ledger.Side) error {
	for _, s := range sides {
		if _, err := w.wipeSide.ExecContext(ctx, s.Subject, s.Name); err != nil {
			return err
		}
		if _, err := w.side.ExecContext(ctx, s.Subject, s.Name, s.Record); err != nil {
			return err
		}
	}
	return nil
}

// writeHead replaces the head this process knows. Any other would mean that
// somebody else wrote to the file.
func (w *writer) writeHead(ctx context.Context, checkpoint, old []byte) error {
	if bytes.Equal(checkpoint, old) {
		return nil
	}
	result, err := w.head.ExecContext(ctx, checkpoint, old)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return errors.Join(errors.New("the stored head is not the one this server wrote: another program changed the ledger"), err)
	}
	return nil
}
