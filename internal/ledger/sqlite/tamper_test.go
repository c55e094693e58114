package sqlite_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/gaon-ai/gaon/internal/ledger/sqlite"
	"github.com/gaon-ai/gaon/proof"
)

// inspection is an Inspect of a folder that carries the checks.
type inspection struct {
	*testing.T
	*sqlite.Inspection
}

func inspect(t *testing.T, dir string) inspection {
	t.Helper()
	i, err := sqlite.Inspect(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.Close() })
	return inspection{t, i}
}

func (i inspection) verify() (proof.Report, error) {
	return i.Inspection.Verify(i.T.Context(), proof.Options{Keys: []proof.VerifierKey{key().Verifier()}})
}

func (i inspection) mustVerify(size int64) {
	i.T.Helper()
	report, err := i.verify()
	if err != nil || report.Checkpoint.Size != size {
		i.T.Fatalf("verified %d entries, %v; want %d", report.Checkpoint.Size, err, size)
	}
}

// copyFolder copies the files of a closed data folder.
func copyFolder(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range []string{"ledger.db", "keys.db", "checkpoint"} {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// TestTampered is what somebody can do who may write to the database: gaon
// verify names it, and where it touches the newest part no server starts.
func TestTampered(t *testing.T) {
	good := grown(t, 700)
	inspect(t, good).mustVerify(700)
	older := grown(t, 400)
	oldHead, err := os.ReadFile(filepath.Join(older, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		sql    []string
		args   []any // of the first statement
		kind   proof.Kind
		seq    int64
		starts bool // the server does start: the change is in old history
	}{
		{name: "an old entry is edited", sql: []string{`UPDATE entry SET data = x'78' WHERE seq = 3`}, kind: proof.KindEdited, seq: 3, starts: true},
		{name: "a new entry is edited", sql: []string{`UPDATE entry SET data = x'78' WHERE seq = 690`}, kind: proof.KindEdited, seq: 690},
		{name: "two entries are swapped", sql: []string{`UPDATE entry SET seq = -1 WHERE seq = 5`, `UPDATE entry SET seq = 5 WHERE seq = 500`, `UPDATE entry SET seq = 500 WHERE seq = -1`}, kind: proof.KindSwapped, seq: 5, starts: true},
		{name: "an entry is removed", sql: []string{`DELETE FROM entry WHERE seq = 100`}, kind: proof.KindRemoved, seq: 100, starts: true},
		{name: "an entry is removed and the rest moved up", sql: []string{`DELETE FROM entry WHERE seq = 100`, `UPDATE entry SET seq = -seq WHERE seq > 100`, `UPDATE entry SET seq = -seq - 1 WHERE seq < 0`}, kind: proof.KindRemoved, seq: 100},
		{name: "the last entry is removed", sql: []string{`DELETE FROM entry WHERE seq = 699`}, kind: proof.KindTruncated, seq: 699},
		{name: "the end is cut off", sql: []string{`DELETE FROM entry WHERE seq >= 555`}, kind: proof.KindTruncated, seq: 555},
		{name: "all entries are removed", sql: []string{`DELETE FROM entry`}, kind: proof.KindTruncated, seq: 0},
		{name: "an entry is added", sql: []string{`INSERT INTO entry VALUES (700, x'78')`}, kind: proof.KindInserted, seq: 700},
		{name: "an old tile is changed", sql: []string{`UPDATE tile SET data = CAST(zeroblob(32) || substr(data, 33) AS BLOB) WHERE level = 0 AND n = 0`}, kind: proof.KindHash, seq: 0, starts: true},
		{name: "an old tile is removed", sql: []string{`DELETE FROM tile WHERE level = 0 AND n = 1`}, kind: proof.KindTile, seq: 256, starts: true},
		{name: "an old tile is cut", sql: []string{`UPDATE tile SET data = substr(data, 2) WHERE level = 0 AND n = 0`}, kind: proof.KindTile, seq: 0, starts: true},
		{name: "a new hash is changed", sql: []string{`UPDATE edge SET hash = zeroblob(32) WHERE level = 0 AND i = 600`}, kind: proof.KindHash, seq: 600},
		{name: "an upper hash is changed", sql: []string{`UPDATE edge SET hash = zeroblob(32) WHERE level = 1 AND i = 1`}, kind: proof.KindTile, seq: 256},
		{name: "a new hash is removed", sql: []string{`DELETE FROM edge WHERE level = 0 AND i = 600`}, kind: proof.KindTile, seq: 512},
		{name: "the head is an older one", sql: []string{`UPDATE head SET checkpoint = ?`}, args: []any{oldHead}, kind: proof.KindTruncated, seq: 400},
		{name: "the head is changed", sql: []string{`UPDATE head SET checkpoint = CAST(replace(CAST(checkpoint AS TEXT), '700', '699') AS BLOB)`}, kind: proof.KindCheckpoint, seq: -1},
		{name: "head and entries are removed", sql: []string{`DELETE FROM head`, `DELETE FROM entry`, `DELETE FROM edge`, `DELETE FROM tile`}, kind: proof.KindCheckpoint, seq: -1},
		{name: "the head is removed", sql: []string{`DELETE FROM head`}, kind: proof.KindCheckpoint, seq: -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyFolder(t, good)
			for i, statement := range c.sql {
				args := c.args
				if i > 0 {
					args = nil
				}
				execute(t, filepath.Join(dir, "ledger.db"), statement, args...)
			}
			i, err := sqlite.Inspect(t.Context(), dir)
			if err == nil {
				_, err = inspection{t, i}.verify()
				i.Close()
			}
			var found *proof.TamperedError
			if !errors.As(err, &found) || found.Kind != c.kind || found.Seq != c.seq {
				t.Fatalf("verify found %v, want %s at entry %d", err, c.kind, c.seq)
			}
			err = open(t, dir)
			if c.starts != (err == nil) {
				t.Fatalf("open: %v, want a start: %v", err, c.starts)
			}
			if err != nil {
				mustHint(t, err, "")
			}
		})
	}
}

// TestOldCopy: an older copy of the database, whole in itself, does not take
// the place of the newest unnoticed; nor does another history.
func TestOldCopy(t *testing.T) {
	dir := grown(t, 300)
	old, err := os.ReadFile(filepath.Join(dir, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	grow(t, dir, 300, 500)
	if err := os.WriteFile(filepath.Join(dir, "ledger.db"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	var found *proof.TamperedError
	if err := open(t, dir); !errors.As(err, &found) || found.Kind != proof.KindTruncated || found.Seq != 300 || found.Last != 499 {
		t.Fatalf("open: %v", err)
	}
	mustHint(t, open(t, dir), "restore the newest copy")
	if _, err := inspect(t, dir).verify(); !errors.As(err, &found) || found.Kind != proof.KindTruncated || found.Seq != 300 {
		t.Fatalf("verify: %v", err)
	}
	// The copy of the head is damaged.
	if err := os.WriteFile(filepath.Join(dir, "checkpoint"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustHint(t, open(t, dir), "remove "+filepath.Join(dir, "checkpoint"))
	if _, err := inspect(t, dir).verify(); !errors.As(err, &found) || found.Kind != proof.KindCheckpoint {
		t.Fatalf("verify: %v", err)
	}
	// A person who knows what they do removes it and goes on.
	if err := os.Remove(filepath.Join(dir, "checkpoint")); err != nil {
		t.Fatal(err)
	}
	if err := open(t, dir); err != nil {
		t.Fatal(err)
	}
	inspect(t, dir).mustVerify(300)
}

// TestFlippedBytes changes single bytes of the database file, by chance. Each
// is found by opening or by verifying, unless it is one of the bytes of a
// SQLite file that hold nothing: then every entry reads as before.
func TestFlippedBytes(t *testing.T) {
	flips := 150
	if os.Getenv("GAON_TEST_LONG") == "1" {
		flips = 5000
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	dir := grown(t, 700)
	path := filepath.Join(dir, "ledger.db")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for range flips {
		at, mask := chance.IntN(len(data)), byte(1+chance.IntN(255))
		data[at] ^= mask
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if seen, err := readsAsBefore(t, dir); err != nil {
			found++
		} else if seen != 700 {
			t.Fatalf("byte %d ^ %#x: verified with %d entries", at, mask, seen)
		}
		data[at] ^= mask
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	inspect(t, dir).mustVerify(700)
	t.Logf("%d of %d changes found, the others are in bytes that hold nothing (file of %d bytes)", found, flips, len(data))
	if found*2 < flips {
		t.Fatal("most of the file holds entries and hashes, yet most changes were not found")
	}
}

// readsAsBefore verifies a folder and compares each entry.
func readsAsBefore(t *testing.T, dir string) (int64, error) {
	i, err := sqlite.Inspect(t.Context(), dir)
	if err != nil {
		return 0, err
	}
	defer i.Close()
	_, err = i.Verify(t.Context(), proof.Options{Keys: []proof.VerifierKey{key().Verifier()}})
	if err != nil {
		return 0, err
	}
	seen := int64(0)
	_, err = proof.VerifyLedger(t.Context(), i, proof.Options{Keys: []proof.VerifierKey{key().Verifier()}, Each: func(seq int64, data []byte) error {
		if seen++; !bytes.Equal(data, entryAt(seq)) {
			t.Fatalf("entry %d was verified, and is %q", seq, data)
		}
		return nil
	}})
	return seen, err
}
