package sqlite

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/proof"
)

// TestFull plays a disk that fills up: SQLite is told how many pages the file
// may have. Each append then fails as a whole, with ErrFull, and the ledger
// goes on once there is room. child_linux_test.go does it with a real disk.
func TestFull(t *testing.T) {
	key, err := proof.GenerateSigningKey(rand.NewChaCha8([32]byte{1}), "example.kr/full")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	l, err := Open(t.Context(), Config{Dir: dir, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	limit := func(pages int) {
		t.Helper()
		// A limit below the present size leaves the file as long as it is.
		if _, err := l.w.conn.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
			t.Fatal(err)
		}
	}
	batch := [][]byte{[]byte(strings.Repeat("x", 30_000)), []byte("y")}
	size, refused := int64(0), 0
	for round := range 12 {
		limit(1 << 20)
		head, err := l.Append(t.Context(), size, [][]byte{fmt.Appendf(nil, "round %d", round)})
		if err != nil {
			t.Fatal(err)
		}
		size = head.Size
		var pages int
		if err := l.w.conn.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages); err != nil {
			t.Fatal(err)
		}
		limit(pages + round)
		side := ledger.Side{Subject: "s", Name: "n", Record: fmt.Appendf(nil, "record %d", round)}
		head, err = l.Append(t.Context(), size, batch, side)
		if err == nil {
			size = head.Size
			continue
		}
		refused++
		if !errors.Is(err, ledger.ErrFull) || errors.Is(err, ledger.ErrFatal) || !strings.Contains(err.Error(), "hint: free some space") {
			t.Fatalf("round %d: %v, want ErrFull with a hint", round, err)
		}
		if head, err := l.Head(t.Context()); err != nil || head.Size != size {
			t.Fatalf("round %d: %d entries, %v; want %d", round, head.Size, err, size)
		}
	}
	if refused < 5 || refused == 12 {
		t.Fatalf("%d of 12 appends met a full disk, want some and not all", refused)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err = Open(t.Context(), Config{Dir: dir, Key: key}); err != nil {
		t.Fatal(err)
	}
	report, err := proof.VerifyLedger(t.Context(), l, proof.Options{Keys: []proof.VerifierKey{key.Verifier()}})
	if err != nil || report.Checkpoint.Size != size {
		t.Fatalf("%d entries, %v; want %d", report.Checkpoint.Size, err, size)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// FuzzSnapshot: a snapshot opens only as what was written.
func FuzzSnapshot(f *testing.F) {
	f.Add([]byte(snapshotMagic))
	f.Add(make([]byte, snapshotHeader+32))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, _, err := parseSnapshot(data)
		if err == nil && (s.Size < 0 || len(s.Data) != len(data)-snapshotHeader-32) {
			t.Fatalf("%x was read as %+v", data, s)
		}
	})
}
