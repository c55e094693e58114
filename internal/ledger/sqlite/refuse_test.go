package sqlite_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/internal/ledger/ledgertest"
	"github.com/gaon-ai/gaon/internal/ledger/sqlite"
	"github.com/gaon-ai/gaon/proof"
)

// grown makes a data folder with n entries and closes it.
func grown(t *testing.T, n int64) string {
	t.Helper()
	dir := t.TempDir()
	grow(t, dir, 0, n)
	return dir
}

func grow(t *testing.T, dir string, from, to int64) {
	t.Helper()
	l, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir, Key: key()})
	if err != nil {
		t.Fatal(err)
	}
	for seq := from; seq < to; {
		var batch [][]byte
		for ; seq < to && len(batch) < 200; seq++ {
			batch = append(batch, entryAt(seq))
		}
		if _, err := l.Append(t.Context(), seq-int64(len(batch)), batch); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// execute changes a database behind the ledger's back.
func execute(t *testing.T, file, statement string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec(statement, args...)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func open(t *testing.T, dir string) error {
	t.Helper()
	l, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir, Key: key()})
	if err != nil {
		return err
	}
	return l.Close()
}

func mustHint(t *testing.T, err error, hint string) {
	t.Helper()
	var h *ledger.HintError
	if !errors.As(err, &h) || !strings.Contains(h.Hint, hint) {
		t.Fatalf("%v: want a hint with %q", err, hint)
	}
}

// holdChild owns a data folder until its standard input ends.
func holdChild(ctx context.Context, dir, _ string) error {
	l, err := sqlite.Open(ctx, sqlite.Config{Dir: dir, Key: key()})
	if err != nil {
		return err
	}
	fmt.Println("open")
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, l.Close())
}

// TestTwoServers: the second server on one data folder is refused, told whose
// it is, and starts once the first has ended.
func TestTwoServers(t *testing.T) {
	dir := grown(t, 10)
	c := child(t, "hold", dir, 0)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "open\n" {
		t.Fatalf("%q, %v", line, err)
	}
	err = open(t, dir)
	var inUse *sqlite.InUseError
	if !errors.As(err, &inUse) || inUse.Owner != "process "+strconv.Itoa(c.Process.Pid) || inUse.Code() != "ledger.in-use" {
		t.Fatalf("%v, want in use by process %d", err, c.Process.Pid)
	}
	mustHint(t, err, "stop that server")
	// Verification needs no ownership.
	inspect(t, dir).mustVerify(10)
	if err := errors.Join(in.Close(), c.Wait()); err != nil {
		t.Fatal(err)
	}
	if err := open(t, dir); err != nil {
		t.Fatal(err)
	}
}

func TestRefusals(t *testing.T) {
	dir := grown(t, 300)
	for _, file := range []string{"ledger.db", "keys.db"} {
		execute(t, filepath.Join(dir, file), `UPDATE version SET data = 99`)
		err := open(t, dir)
		var newer *sqlite.NewerError
		if !errors.As(err, &newer) || newer.Have != 99 || newer.Code() != "ledger.newer" || !strings.HasSuffix(newer.File, file) {
			t.Fatalf("%s of data version 99: %v", file, err)
		}
		mustHint(t, err, "install the gaon that wrote it")
		execute(t, filepath.Join(dir, file), `UPDATE version SET data = 1`)
		if err := open(t, dir); err != nil {
			t.Fatal(err)
		}
	}
	_, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir, Key: ledgertest.Key(t)})
	if !errors.Is(err, proof.ErrSignature) {
		t.Fatalf("another key: %v", err)
	}
	mustHint(t, err, "the key that this data folder was made with")
	for name, cfg := range map[string]sqlite.Config{"no folder": {Key: key()}, "no key": {Dir: t.TempDir()}} {
		if _, err := sqlite.Open(t.Context(), cfg); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open(t, file); err == nil {
		t.Error("a file was opened as data folder")
	}
	for name, content := range map[string]string{"no database": "not a database, yet longer than a header of SQLite is, which has one hundred bytes and not one more.", "cut": ""} {
		other := t.TempDir()
		data, err := os.ReadFile(filepath.Join(dir, "ledger.db"))
		if err != nil {
			t.Fatal(err)
		}
		if content == "" {
			content = string(data[:len(data)/2])
		}
		if err := os.WriteFile(filepath.Join(other, "ledger.db"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		mustHint(t, open(t, other), "restore the last backup")
		if name == "cut" {
			continue
		}
		if _, err := sqlite.Inspect(t.Context(), other); err == nil {
			t.Errorf("%s: inspected", name)
		}
	}
	if _, err := sqlite.Inspect(t.Context(), t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty folder was inspected: %v", err)
	}
}

// TestModes: no other user of the machine can read keys or records, whatever
// the mode of the folder.
func TestModes(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir, Key: key()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.CreateSideKey(t.Context(), "s", []byte("key")); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"ledger.db*", "keys.db*", "lock", "snapshots"} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %v, %v", pattern, names, err)
		}
		for _, name := range names {
			info, err := os.Stat(name)
			if err != nil || info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has mode %v, %v", name, info.Mode(), err)
			}
		}
	}
}
