package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/proof"
)

// reader is the pool that reads beside the writer. It sees what was committed
// before each of its statements.
type reader struct {
	path   string
	db     *sql.DB
	closed atomic.Bool

	entries, tile, edge, side *sql.Stmt
}

func openReader(ctx context.Context, path string) (*reader, error) {
	db, err := openDatabase(ctx, path, false, readersMax())
	if err != nil {
		return nil, err
	}
	r := &reader{path: path, db: db}
	for _, s := range []struct {
		at  **sql.Stmt
		sql string
	}{
		{&r.entries, `SELECT seq, data FROM entry WHERE seq >= ? AND seq < ? ORDER BY seq`},
		{&r.tile, `SELECT data FROM tile WHERE level = ? AND n = ?`},
		{&r.edge, `SELECT i, hash FROM edge WHERE level = ? AND i >= ? AND i < ? ORDER BY i`},
		{&r.side, `SELECT record FROM side WHERE subject = ? AND name = ? ORDER BY i DESC LIMIT 1`},
	} {
		if *s.at, err = db.PrepareContext(ctx, s.sql); err != nil {
			return nil, errors.Join(explain(path, err), r.close())
		}
	}
	return r, nil
}

func (r *reader) close() error {
	if r.closed.Swap(true) {
		return nil
	}
	var errs []error
	for _, s := range []*sql.Stmt{r.entries, r.tile, r.edge, r.side} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(append(errs, r.db.Close())...)
}

// Read implements ledger.Ledger.
func (l *Ledger) Read(ctx context.Context, from int64, max int) ([]ledger.Entry, error) {
	if err := l.readable(ctx); err != nil {
		return nil, err
	}
	count, err := ledger.CheckRead(from, max, l.head.Load().Size)
	if err != nil {
		return nil, err
	}
	list, err := l.r.read(ctx, from, count, ledger.ReadBytesMax)
	if err != nil {
		return nil, err
	}
	for i, e := range list {
		if e.Seq != from+int64(i) {
			return nil, ledger.Missing(from + int64(i))
		}
	}
	if count > 0 && len(list) == 0 {
		return nil, ledger.Missing(from)
	}
	return list, nil
}

// read returns the stored rows of a range, stopping after bytesMax.
func (r *reader) read(ctx context.Context, from int64, count, bytesMax int) ([]ledger.Entry, error) {
	rows, err := r.entries.QueryContext(ctx, from, from+int64(count))
	if err != nil {
		return nil, explain(r.path, err)
	}
	defer rows.Close()
	list := make([]ledger.Entry, 0, min(count, proof.TileWidth))
	for total := 0; total < bytesMax && rows.Next(); {
		var e ledger.Entry
		if err := rows.Scan(&e.Seq, &e.Data); err != nil {
			return nil, explain(r.path, err)
		}
		total += len(e.Data)
		list = append(list, e)
	}
	return list, explain(r.path, rows.Err())
}

// hashes returns the first t.W hashes of a tile. A full tile is one row; of
// others each hash is. The tile may fill between the two looks, so it is
// looked for again.
func (r *reader) hashes(ctx context.Context, t tlog.Tile) ([]byte, error) {
	for range 2 {
		var data []byte
		err := r.tile.QueryRowContext(ctx, t.L, t.N).Scan(&data)
		if err == nil {
			if len(data) != proof.TileWidth*tlog.HashSize {
				return nil, fmt.Errorf("%s: stored with %d bytes, want %d", proof.TilePath(t), len(data), proof.TileWidth*tlog.HashSize)
			}
			return data[:t.W*tlog.HashSize], nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return nil, explain(r.path, err)
		}
		first := t.N * proof.TileWidth
		list, err := r.edgeHashes(ctx, t.L, first, first+int64(t.W))
		if err != nil {
			return nil, err
		}
		if len(list) == t.W {
			return joinHashes(list), nil
		}
	}
	return nil, &fs.PathError{Op: "read", Path: proof.TilePath(t), Err: fs.ErrNotExist}
}

// edgeHashes returns the stored edge of a level from index first up to end, as
// far as it has no gap.
func (r *reader) edgeHashes(ctx context.Context, level int, first, end int64) ([]tlog.Hash, error) {
	rows, err := r.edge.QueryContext(ctx, level, first, end)
	if err != nil {
		return nil, explain(r.path, err)
	}
	defer rows.Close()
	var list []tlog.Hash
	for rows.Next() {
		var index int64
		var data []byte
		if err := rows.Scan(&index, &data); err != nil {
			return nil, explain(r.path, err)
		}
		if index != first+int64(len(list)) || len(data) != tlog.HashSize {
			break
		}
		list = append(list, tlog.Hash(data))
	}
	return list, explain(r.path, rows.Err())
}

func joinHashes(list []tlog.Hash) []byte {
	data := make([]byte, 0, len(list)*tlog.HashSize)
	for _, h := range list {
		data = append(data, h[:]...)
	}
	return data
}

// file answers ReadFile for a log that ends at head.
func (r *reader) file(ctx context.Context, path string, head ledger.Head) ([]byte, error) {
	entries := func(from int64, count int) ([]ledger.Entry, error) {
		return r.read(ctx, from, count, ledger.BatchBytesMax)
	}
	hashes := func(t tlog.Tile) ([]byte, error) { return r.hashes(ctx, t) }
	return ledger.ServeFile(path, head, entries, hashes)
}

// ReadFile implements proof.Source.
func (l *Ledger) ReadFile(ctx context.Context, path string) ([]byte, error) {
	if err := l.readable(ctx); err != nil {
		return nil, err
	}
	return l.r.file(ctx, path, *l.head.Load())
}

// StoredEntries implements proof.Counter.
func (l *Ledger) StoredEntries(ctx context.Context) (int64, error) {
	if err := l.readable(ctx); err != nil {
		return 0, err
	}
	return l.r.stored(ctx)
}

// stored returns the index after the last stored entry.
func (r *reader) stored(ctx context.Context) (int64, error) {
	var end int64
	err := r.db.QueryRowContext(ctx, `SELECT coalesce(max(seq) + 1, 0) FROM entry`).Scan(&end)
	return end, explain(r.path, err)
}

// checkpoint returns the stored head, unchecked.
func (r *reader) checkpoint(ctx context.Context) ([]byte, error) {
	var signed []byte
	err := r.db.QueryRowContext(ctx, `SELECT checkpoint FROM head WHERE one = 1`).Scan(&signed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, &proof.TamperedError{Kind: proof.KindCheckpoint, Seq: -1, Last: -1, Path: proof.CheckpointPath, Detail: "no signed head is stored"}
	}
	return signed, explain(r.path, err)
}
