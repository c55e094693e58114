package sealed_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/internal/ledger/ledgertest"
	"github.com/gaon-ai/gaon/internal/ledger/memory"
	"github.com/gaon-ai/gaon/internal/ledger/sealed"
	"github.com/gaon-ai/gaon/internal/ledger/sqlite"
	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/proof"
)

// tester is a ledger with its sealed records.
type tester struct {
	*testing.T
	l       ledger.Ledger
	records *sealed.Records
}

func newTester(t *testing.T, l ledger.Ledger, err error) *tester {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return &tester{t, l, sealed.New(l)}
}

func inMemory(t *testing.T) *tester {
	l, err := memory.Open(memory.NewDisk(), memory.Config{Key: ledgertest.Key(t)})
	return newTester(t, l, err)
}

func onDisk(t *testing.T, dir string) *tester {
	l, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir, Key: ledgertest.Key(t)})
	return newTester(t, l, err)
}

// admit seals details and appends an entry that binds them.
func (t *tester) admit(details string) (unit.Digest, ledger.Side) {
	t.Helper()
	bound, side, err := t.records.Close([]byte(details))
	if err != nil {
		t.Fatal(err)
	}
	t.append(bound, side)
	return bound, side
}

func (t *tester) append(bound unit.Digest, sides ...ledger.Side) {
	t.Helper()
	head, err := t.l.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := t.l.Append(t.Context(), head.Size, [][]byte{fmt.Appendf(nil, `{"details":%q}`, bound)}, sides...); err != nil {
		t.Fatal(err)
	}
}

func (t *tester) mustOpen(bound unit.Digest, want string) {
	t.Helper()
	got, err := t.records.Open(t.Context(), bound)
	if err != nil || string(got) != want {
		t.Fatalf("opened %q, %v; want %q", got, err, want)
	}
}

func (t *tester) mustFail(bound unit.Digest, want error) {
	t.Helper()
	if got, err := t.records.Open(t.Context(), bound); !errors.Is(err, want) {
		t.Fatalf("opened %q, %v; want %v", got, err, want)
	}
}

func TestRecords(t *testing.T) {
	tt := inMemory(t)
	anna, side := tt.admit(`{"name":"안나"}`)
	twin, other := tt.admit(`{"name":"안나"}`)
	if anna == twin || side.Subject == other.Subject || bytes.Equal(side.Record, other.Record) {
		t.Fatal("the same details give the same record: a list of names could be tried against it")
	}
	if bytes.Contains(side.Record, []byte("안나")) || strings.Contains(side.Subject+side.Name, "안나") {
		t.Fatal("the record shows the details")
	}
	tt.mustOpen(anna, `{"name":"안나"}`)
	tt.mustOpen(twin, `{"name":"안나"}`)

	d, err := tt.records.Disclose(t.Context(), anna)
	if err != nil || sealed.Bind(d.Salt, d.Details) != anna || sealed.Bind(d.Salt, []byte("someone else")) == anna {
		t.Fatalf("disclosed %+v, %v: it does not bind to %s", d, err, anna)
	}

	for range 2 {
		if err := tt.records.Erase(t.Context(), anna); err != nil {
			t.Fatal(err)
		}
		tt.mustFail(anna, ledger.ErrErased)
	}
	tt.mustOpen(twin, `{"name":"안나"}`)
	tt.mustFail(unit.DigestOf([]byte("nobody")), ledger.ErrNotFound)
	tt.mustVerify()
}

func (t *tester) mustVerify() {
	t.Helper()
	if _, err := proof.VerifyLedger(t.Context(), t.l, proof.Options{Keys: []proof.VerifierKey{ledgertest.Key(t).Verifier()}}); err != nil {
		t.Fatal(err)
	}
}

func TestRefused(t *testing.T) {
	tt := inMemory(t)
	for _, n := range []int{0, sealed.DetailsBytesMax + 1} {
		if _, _, err := tt.records.Close(make([]byte, n)); err == nil {
			t.Errorf("%d bytes of details were sealed", n)
		}
	}
	bound, side, err := tt.records.Close(make([]byte, sealed.DetailsBytesMax))
	if err != nil {
		t.Fatal(err)
	}
	// Its key stands, its record is not appended yet.
	tt.mustFail(bound, ledger.ErrNotFound)
	tt.append(bound, side)
	tt.mustOpen(bound, string(make([]byte, sealed.DetailsBytesMax)))
	for _, bad := range []unit.Digest{"", "sha256:", "sha256:xyz", bound[:20], unit.Digest(bound.Hex())} {
		if _, err := tt.records.Open(t.Context(), bad); err == nil {
			t.Errorf("%q was opened", bad)
		}
		if err := tt.records.Erase(t.Context(), bad); err == nil {
			t.Errorf("%q was erased", bad)
		}
	}
	if err := tt.l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := tt.records.Close([]byte("late")); !errors.Is(err, ledger.ErrClosed) {
		t.Error(err)
	}
	tt.mustFail(bound, ledger.ErrClosed)
}

// TestChanged changes each byte of a record: none opens as something else.
func TestChanged(t *testing.T) {
	tt := inMemory(t)
	bound, side := tt.admit(`{"name":"안나","email":"anna@example.kr"}`)
	_, foreign := tt.admit(`{"name":"베르타"}`)
	put := func(record []byte) {
		t.Helper()
		tt.append(bound, ledger.Side{Subject: side.Subject, Name: side.Name, Record: record})
	}
	for at := range side.Record {
		changed := bytes.Clone(side.Record)
		changed[at] ^= 0x40
		put(changed)
		tt.mustFail(bound, sealed.ErrDamaged)
	}
	for _, record := range [][]byte{{1}, side.Record[:len(side.Record)-1], append(bytes.Clone(side.Record), 0), foreign.Record} {
		put(record)
		tt.mustFail(bound, sealed.ErrDamaged)
	}
	put(side.Record)
	tt.mustOpen(bound, `{"name":"안나","email":"anna@example.kr"}`)
}

// TestErasedFromDisk: after an erasure neither the key nor the sealed record
// is in any file of the data folder, and the ledger verifies. Many people come
// and go, so that SQLite splits, merges and reuses pages.
func TestErasedFromDisk(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	tt := onDisk(t, dir)
	type person struct {
		bound   unit.Digest
		secrets map[string][]byte
		details string
	}
	var people []person
	var gone []person
	admit := func() {
		t.Helper()
		p := person{details: fmt.Sprintf(`{"name":"person %d","pad":%q}`, len(people)+len(gone), strings.Repeat("x", chance.IntN(3000)))}
		var side ledger.Side
		p.bound, side = tt.admit(p.details)
		key, err := tt.l.SideKey(t.Context(), side.Subject)
		if err != nil {
			t.Fatal(err)
		}
		p.secrets = map[string][]byte{"key": key, "details": []byte(p.details)}
		for at := 0; at+24 <= len(side.Record); at += 500 {
			p.secrets[fmt.Sprintf("sealed record from byte %d", at)] = side.Record[at : at+24]
		}
		people = append(people, p)
	}
	check := func() {
		t.Helper()
		stored := readAll(t, dir)
		for _, p := range gone {
			for what, secret := range p.secrets {
				for name, data := range stored {
					if bytes.Contains(data, secret) {
						t.Fatalf("the %s of an erased person is in %s", what, name)
					}
				}
			}
			tt.mustFail(p.bound, ledger.ErrErased)
		}
		for _, p := range people {
			tt.mustOpen(p.bound, p.details)
		}
	}
	for range 60 {
		admit()
	}
	// The probe itself must be able to see: a living key is in keys.db.
	if stored := readAll(t, dir); !bytes.Contains(append(stored["keys.db"], stored["keys.db-wal"]...), people[0].secrets["key"]) {
		t.Fatal("a living key was not found on disk: this test sees nothing")
	}
	for range 40 {
		i := chance.IntN(len(people))
		if err := tt.records.Erase(t.Context(), people[i].bound); err != nil {
			t.Fatal(err)
		}
		gone = append(gone, people[i])
		people = append(people[:i], people[i+1:]...)
		for range chance.IntN(3) {
			admit()
		}
		if len(gone)%10 == 0 {
			check()
		}
	}
	check()
	tt.mustVerify()
	if err := tt.l.Close(); err != nil {
		t.Fatal(err)
	}
	tt = onDisk(t, dir)
	check()
	tt.mustVerify()
	if err := tt.l.Close(); err != nil {
		t.Fatal(err)
	}
}

func readAll(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	stored := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		stored[filepath.Base(path)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return stored
}
