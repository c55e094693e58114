package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/gaon-ai/gaon/internal/ledger"
)

// keyStore is keys.db: small, apart from the log, and rewritten whole when a
// key is destroyed. A key is stored before the first record under it; one
// that no record uses does no harm.
type keyStore struct {
	path string
	db   *sql.DB
	conn *sql.Conn // its only connection; the ledger's mu orders the writes
	read *sql.DB
	get  *sql.Stmt
}

func openKeys(ctx context.Context, path string) (*keyStore, error) {
	db, err := openDatabase(ctx, path, true, 1)
	if err != nil {
		return nil, err
	}
	k := &keyStore{path: path, db: db}
	if k.conn, err = db.Conn(ctx); err != nil {
		return nil, errors.Join(explain(path, err), k.close())
	}
	if err := migrate(ctx, k.conn, path, keyMigrations); err != nil {
		return nil, errors.Join(err, k.close())
	}
	if k.read, err = openDatabase(ctx, path, false, 2); err != nil {
		return nil, errors.Join(err, k.close())
	}
	if k.get, err = k.read.PrepareContext(ctx, `SELECT key FROM key WHERE subject = ?`); err != nil {
		return nil, errors.Join(explain(path, err), k.close())
	}
	return k, nil
}

func (k *keyStore) close() error {
	var errs []error
	if k.get != nil {
		errs = append(errs, k.get.Close())
	}
	if k.read != nil {
		errs = append(errs, k.read.Close())
	}
	if k.conn != nil {
		errs = append(errs, k.conn.Close())
	}
	return errors.Join(append(errs, k.db.Close())...)
}

// key returns the subject's key, ErrNotFound or ErrErased.
func (k *keyStore) key(ctx context.Context, subject string) ([]byte, error) {
	var key []byte
	err := k.get.QueryRowContext(ctx, subject).Scan(&key)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, fmt.Errorf("key of subject %q: %w", subject, ledger.ErrNotFound)
	case err != nil:
		return nil, explain(k.path, err)
	case key == nil:
		return nil, fmt.Errorf("key of subject %q: %w", subject, ledger.ErrErased)
	}
	return key, nil
}

// live refuses a subject that was erased.
func (k *keyStore) live(ctx context.Context, subject string) error {
	if _, err := k.key(ctx, subject); err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return err
	}
	return nil
}

// SideKey implements ledger.Vault.
func (l *Ledger) SideKey(ctx context.Context, subject string) ([]byte, error) {
	if err := l.readable(ctx); err != nil {
		return nil, err
	}
	return l.keys.key(ctx, subject)
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
	ctx = context.WithoutCancel(ctx)
	_, err := l.keys.conn.ExecContext(ctx, `INSERT INTO key (subject, key) VALUES (?, ?) ON CONFLICT (subject) DO NOTHING`, subject, key)
	if err != nil {
		return nil, fmt.Errorf("side key of %q: %w", subject, explain(l.keys.path, err))
	}
	return l.keys.key(ctx, subject)
}

// SideRecord implements ledger.Vault.
func (l *Ledger) SideRecord(ctx context.Context, subject, name string) ([]byte, error) {
	if err := l.readable(ctx); err != nil {
		return nil, err
	}
	if err := l.keys.live(ctx, subject); err != nil {
		return nil, err
	}
	var record []byte
	err := l.r.side.QueryRowContext(ctx, subject, name).Scan(&record)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("record %q of subject %q: %w", name, subject, ledger.ErrNotFound)
	}
	return record, explain(l.r.path, err)
}

// EraseSubject implements ledger.Vault. The mark in scrub stands from the
// moment the key is gone until its bytes are out of all files, so that a
// crash in between is made good by the next Open.
func (l *Ledger) EraseSubject(ctx context.Context, subject string) error {
	if err := ledger.CheckSideName(subject); err != nil {
		return fmt.Errorf("erase: subject: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writable(ctx); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	err := transaction(ctx, l.keys.conn, func() error {
		_, err := l.keys.conn.ExecContext(ctx, `INSERT INTO key (subject, key) VALUES (?, NULL)
			ON CONFLICT (subject) DO UPDATE SET key = NULL`, subject)
		if err != nil {
			return err
		}
		_, err = l.keys.conn.ExecContext(ctx, `INSERT INTO scrub (subject) VALUES (?) ON CONFLICT (subject) DO NOTHING`, subject)
		return err
	})
	if err != nil {
		return fmt.Errorf("erase %q: %w", subject, explain(l.keys.path, err))
	}
	// At this point the key cannot be read any more; its bytes may still lie
	// in unused parts of the files.
	return l.finishErasures(ctx)
}

// finishErasures wipes the records of erased subjects and rewrites keys.db
// without the bytes of their keys: VACUUM writes every page anew, so that no
// free space of a page keeps an old copy (see wipeSides).
func (l *Ledger) finishErasures(ctx context.Context) error {
	subjects, err := l.keys.unscrubbed(ctx)
	if err != nil || len(subjects) == 0 {
		return err
	}
	err = transaction(ctx, l.w.conn, func() error {
		for _, s := range subjects {
			if _, err := l.w.conn.ExecContext(ctx, wipeSides, s); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = emptyLog(ctx, l.w.conn)
	}
	if err != nil {
		return fmt.Errorf("erase: %w", explain(l.w.path, err))
	}
	for _, sql := range []string{`VACUUM`, "", `DELETE FROM scrub`, ""} {
		if sql == "" {
			err = emptyLog(ctx, l.keys.conn)
		} else {
			_, err = l.keys.conn.ExecContext(ctx, sql)
		}
		if err != nil {
			return fmt.Errorf("erase: %w", explain(l.keys.path, err))
		}
	}
	return nil
}

func (k *keyStore) unscrubbed(ctx context.Context) ([]string, error) {
	rows, err := k.conn.QueryContext(ctx, `SELECT subject FROM scrub ORDER BY subject`)
	if err != nil {
		return nil, explain(k.path, err)
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, explain(k.path, err)
		}
		list = append(list, s)
	}
	return list, explain(k.path, rows.Err())
}

// emptyLog moves the write-ahead log into the database and cuts the file to
// nothing, so that no old page stays in it. It waits for readers as long as
// the busy timeout allows.
func emptyLog(ctx context.Context, conn *sql.Conn) error {
	var busy, frames, moved int
	if err := conn.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &frames, &moved); err != nil {
		return err
	}
	if busy != 0 {
		return errors.New("a reader holds the write-ahead log; it will be emptied when the erasure is asked for again or the ledger is opened again")
	}
	return nil
}
