package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	codes "modernc.org/sqlite/lib"

	"github.com/gaon-ai/gaon/internal/ledger"
)

// A migration takes a database from data version i to i+1; version 0 is an
// empty file. Migrations are appended, never changed: every old data folder
// must open.
var ledgerMigrations = []string{
	`CREATE TABLE entry (
		seq  INTEGER PRIMARY KEY, -- leaf index, from 0
		data BLOB NOT NULL
	) STRICT;
	CREATE TABLE tile ( -- full tiles: 256 hashes, written once
		level INTEGER NOT NULL,
		n     INTEGER NOT NULL,
		data  BLOB NOT NULL,
		PRIMARY KEY (level, n)
	) STRICT;
	CREATE TABLE edge ( -- hashes of tiles that are not full yet
		level INTEGER NOT NULL,
		i     INTEGER NOT NULL, -- index in the level, from the left of the tree
		hash  BLOB NOT NULL,
		PRIMARY KEY (level, i)
	) STRICT, WITHOUT ROWID;
	CREATE TABLE head ( -- one row: the signed head of what stands above
		one        INTEGER PRIMARY KEY CHECK (one = 1),
		checkpoint BLOB NOT NULL
	) STRICT;
	CREATE TABLE side ( -- sealed records: ciphertext only; the newest of a name counts
		i       INTEGER PRIMARY KEY AUTOINCREMENT, -- rows are only added: see wipeSides
		subject TEXT NOT NULL,
		name    TEXT NOT NULL,
		record  BLOB NOT NULL -- zeros: replaced or erased
	) STRICT;
	CREATE INDEX side_of ON side (subject, name);`,
}

var keyMigrations = []string{
	`CREATE TABLE key (
		subject TEXT PRIMARY KEY,
		key     BLOB -- NULL: destroyed
	) STRICT;
	CREATE TABLE scrub ( -- subjects whose erasure is not finished
		subject TEXT PRIMARY KEY
	) STRICT;`,
}

// migrate brings a database to the newest version this program knows, each
// step in a transaction of its own, and refuses a newer one.
func migrate(ctx context.Context, conn *sql.Conn, path string, steps []string) error {
	if _, err := conn.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS version (
		one  INTEGER PRIMARY KEY CHECK (one = 1),
		data INTEGER NOT NULL
	) STRICT`); err != nil {
		return explain(path, err)
	}
	have := 0
	err := conn.QueryRowContext(ctx, `SELECT data FROM version`).Scan(&have)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return explain(path, err)
	}
	if have > len(steps) {
		return &ledger.HintError{
			Err:  &NewerError{File: path, Have: have, Knows: len(steps)},
			Hint: "install the gaon that wrote it, or a later one; nothing was changed",
		}
	}
	for ; have < len(steps); have++ {
		err := transaction(ctx, conn, func() error {
			if _, err := conn.ExecContext(ctx, steps[have]); err != nil {
				return err
			}
			_, err := conn.ExecContext(ctx, `INSERT INTO version (one, data) VALUES (1, ?)
				ON CONFLICT (one) DO UPDATE SET data = excluded.data`, have+1)
			return err
		})
		if err != nil {
			return fmt.Errorf("migrate from data version %d: %w", have, explain(path, err))
		}
	}
	return nil
}

// transaction runs body between BEGIN IMMEDIATE and COMMIT on one connection
// and rolls back if either fails. A failed COMMIT is reported as *commitError:
// what it left is for the caller to find out.
func transaction(ctx context.Context, conn *sql.Conn, body func() error) error {
	// Nothing may interrupt a transaction half-way, so that its outcome depends
	// on the disk alone.
	ctx = context.WithoutCancel(ctx)
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := body(); err != nil {
		return errors.Join(err, rollback(ctx, conn))
	}
	if _, err := conn.ExecContext(ctx, "COMMIT"); err != nil {
		return &commitError{err: err, rollback: rollback(ctx, conn)}
	}
	return nil
}

// rollback ends a transaction that SQLite may have ended by itself already, as
// it does on a full disk: then there is nothing to roll back.
func rollback(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, "ROLLBACK"); err != nil && !noTransaction(err) {
		return fmt.Errorf("roll back: %w", err)
	}
	return nil
}

func noTransaction(err error) bool {
	const text = "no transaction is active"
	return primary(err) == codes.SQLITE_ERROR && strings.Contains(err.Error(), text)
}

// commitError: COMMIT itself failed.
type commitError struct{ err, rollback error }

func (e *commitError) Error() string {
	if e.rollback != nil {
		return fmt.Sprintf("commit: %v; %v", e.err, e.rollback)
	}
	return fmt.Sprintf("commit: %v", e.err)
}

func (e *commitError) Unwrap() error { return e.err }
