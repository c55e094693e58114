package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/internal/ledger/sealed"
	"github.com/gaon-ai/gaon/internal/ledger/sqlite"
	"github.com/gaon-ai/gaon/internal/unit"
)

// TestVersions opens data folders that older programs wrote. They stay in
// testdata for ever, one for each data version; a new version adds its own.
func TestVersions(t *testing.T) {
	for _, c := range []struct{ folder, root string }{
		{"version1", "49RylcmAim4NzGf0Fgg9SnIdvkD59zQbCAK87ysKMPk="},
	} {
		t.Run(c.folder, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS("testdata/"+c.folder)); err != nil {
				t.Fatal(err)
			}
			inspect(t, dir).mustVerify(260)
			l, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir, Key: key()})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			head, err := l.Head(t.Context())
			if err != nil || head.Root.String() != c.root {
				t.Fatalf("root %s, %v; want %s", head.Root, err, c.root)
			}
			list, err := l.Read(t.Context(), 0, 1000)
			if err != nil || len(list) != 260 {
				t.Fatalf("%d entries, %v", len(list), err)
			}
			for i, e := range list[:258] {
				if string(e.Data) != fmt.Sprintf(`{"n":%d}`, i) {
					t.Fatalf("entry %d is %q", i, e.Data)
				}
			}
			records := sealed.New(l)
			if got, err := records.Open(t.Context(), unit.Digest(list[258].Data)); err != nil || string(got) != "kept" {
				t.Fatalf("the sealed record is %q, %v", got, err)
			}
			if got, err := records.Open(t.Context(), unit.Digest(list[259].Data)); !errors.Is(err, ledger.ErrErased) {
				t.Fatalf("the erased record is %q, %v", got, err)
			}
			if s, err := l.LatestSnapshot(t.Context()); err != nil || s.Size != 260 || string(s.Data) != "state" {
				t.Fatalf("snapshot %+v, %v", s, err)
			}
			if _, err := l.Append(t.Context(), 260, [][]byte{[]byte("new")}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestSnapshotsDamaged: each byte of a snapshot counts; a damaged one is
// passed over for the one before it.
func TestSnapshotsDamaged(t *testing.T) {
	dir := grown(t, 300)
	l, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir, Key: key()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, size := range []int64{100, 200} {
		data := fmt.Appendf(nil, "state after %d", size)
		if err := l.SaveSnapshot(t.Context(), ledger.Snapshot{Size: size, StateHash: unit.DigestOf(data), Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	name := dir + "/snapshots/00000000000000000200.snapshot"
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	mustBe := func(what string, size int64) {
		t.Helper()
		s, err := l.LatestSnapshot(t.Context())
		if err != nil || s.Size != size || string(s.Data) != fmt.Sprintf("state after %d", size) {
			t.Fatalf("%s: snapshot of %d entries, %q, %v; want %d", what, s.Size, s.Data, err, size)
		}
	}
	mustBe("whole", 200)
	for at := range data {
		data[at] ^= 1
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		mustBe(fmt.Sprintf("byte %d changed", at), 100)
		data[at] ^= 1
	}
	if err := os.WriteFile(name, data[:len(data)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	mustBe("cut", 100)
	if err := os.WriteFile(dir+"/snapshots/00000000000000000250.snapshot.new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	mustBe("a half-written one beside it", 100)
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	mustBe("mended", 200)
}
