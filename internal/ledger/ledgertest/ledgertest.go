// Package ledgertest is the one suite that every ledger passes.
//
// It is not a benchmark and not a crash test: those need to know what they
// kill, and live beside the implementation.
//
// Begin with Run, from a test of the implementation.
package ledgertest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/proof"
)

// Origin is the name of the log in the suite.
const Origin = "example.kr/ledgertest"

// Opener opens one and the same store, again and again: what was durable when
// the last Ledger was closed must be there.
type Opener func(fault ledger.Fault) (ledger.Ledger, error)

// Run checks an implementation. fresh makes an empty store that signs with key.
func Run(t *testing.T, fresh func(t *testing.T, key proof.SigningKey) Opener) {
	for _, c := range []struct {
		name string
		run  func(*store)
	}{
		{"a new ledger is empty and signed", emptyLedger},
		{"entries come back in order", order},
		{"an append on a stale size is refused", stale},
		{"of appends on one size one wins", oneWins},
		{"batches beyond the limits are refused", limits},
		{"tiles are those of the reference", tiles},
		{"all is there after opening again", durable},
		{"a failed append has left nothing", failedAndAbsent},
		{"a failed append may yet be present", failedYetPresent},
		{"readers see whole prefixes while entries are appended", concurrent},
		{"side records are kept, replaced and erased", vault},
		{"side records stand or fall with their batch", sidesAtomic},
		{"snapshots are kept and the newest is found", snapshots},
		{"a closed ledger refuses", closed},
	} {
		t.Run(c.name, func(t *testing.T) {
			key := Key(t)
			s := &store{T: t, key: key, opener: fresh(t, key), ctx: t.Context()}
			s.open(nil)
			c.run(s)
			s.close()
		})
	}
}

// Key makes the signing key of a test.
func Key(t testing.TB) proof.SigningKey {
	key, err := proof.GenerateSigningKey(seeded("key"), Origin)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// seeded is a stream of bytes that is the same in each run.
func seeded(name string) *rand.ChaCha8 { return rand.NewChaCha8(sha256.Sum256([]byte(name))) }

// store is an open ledger beside what it must hold.
type store struct {
	*testing.T
	ctx    context.Context
	key    proof.SigningKey
	opener Opener
	l      ledger.Ledger
	want   [][]byte
	hashes []tlog.Hash // the reference tree: tlog's stored hashes
}

func (s *store) open(fault ledger.Fault) {
	s.Helper()
	var err error
	if s.l, err = s.opener(fault); err != nil {
		s.Fatalf("open: %v", err)
	}
}

func (s *store) close() {
	s.Helper()
	if err := s.l.Close(); err != nil {
		s.Fatalf("close: %v", err)
	}
}

func (s *store) reopen(fault ledger.Fault) {
	s.Helper()
	s.close()
	s.open(fault)
}

// batch makes n entries that tell their place.
func (s *store) batch(n int) [][]byte {
	list := make([][]byte, n)
	for i := range list {
		seq := len(s.want) + i
		list[i] = fmt.Appendf(nil, `{"seq":%d,"pad":%q}`, seq, bytes.Repeat([]byte("x"), seq%97))
	}
	return list
}

// append appends n entries that must be accepted and checks the head.
func (s *store) append(n int, sides ...ledger.Side) ledger.Head {
	s.Helper()
	batch := s.batch(n)
	head, err := s.l.Append(s.ctx, int64(len(s.want)), batch, sides...)
	if err != nil {
		s.Fatalf("append %d entries at %d: %v", n, len(s.want), err)
	}
	s.accept(batch)
	s.mustBe(head)
	return head
}

// accept adds a batch to what the ledger must hold.
func (s *store) accept(batch [][]byte) {
	for _, data := range batch {
		more, err := tlog.StoredHashes(int64(len(s.want)), data, s.reference())
		if err != nil {
			s.Fatal(err)
		}
		s.hashes = append(s.hashes, more...)
		s.want = append(s.want, data)
	}
}

func (s *store) reference() tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		list := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			list[i] = s.hashes[index]
		}
		return list, nil
	})
}

func (s *store) root() tlog.Hash {
	root, err := tlog.TreeHash(int64(len(s.want)), s.reference())
	if err != nil {
		s.Fatal(err)
	}
	return root
}

// mustBe checks a head against the reference tree and its signature.
func (s *store) mustBe(head ledger.Head) {
	s.Helper()
	if head.Size != int64(len(s.want)) || head.Root != s.root() {
		s.Fatalf("head is %d %s, want %d %s", head.Size, head.Root, len(s.want), s.root())
	}
	c, signers, err := proof.OpenCheckpoint(head.Checkpoint, s.key.Verifier())
	if err != nil {
		s.Fatal(err)
	}
	if c.Origin != Origin || c.Size != head.Size || c.Root != head.Root || len(signers) != 1 {
		s.Fatalf("checkpoint says %+v, signed by %v; the head is %d %s", c, signers, head.Size, head.Root)
	}
}

// mustHold checks head, entries and the whole log against the reference.
func (s *store) mustHold() {
	s.Helper()
	head, err := s.l.Head(s.ctx)
	if err != nil {
		s.Fatal(err)
	}
	s.mustBe(head)
	var got [][]byte
	for {
		list, err := s.l.Read(s.ctx, int64(len(got)), 100)
		if err != nil {
			s.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		for _, e := range list {
			if e.Seq != int64(len(got)) {
				s.Fatalf("entry %d came where %d should", e.Seq, len(got))
			}
			got = append(got, e.Data)
		}
	}
	if len(got) != len(s.want) {
		s.Fatalf("%d entries, want %d", len(got), len(s.want))
	}
	for i := range got {
		if !bytes.Equal(got[i], s.want[i]) {
			s.Fatalf("entry %d is %q, want %q", i, got[i], s.want[i])
		}
	}
	report, err := proof.VerifyLedger(s.ctx, s.l, proof.Options{Keys: []proof.VerifierKey{s.key.Verifier()}})
	if err != nil {
		s.Fatalf("verify: %v", err)
	}
	if report.Checkpoint.Size != int64(len(s.want)) {
		s.Fatalf("verified %d entries, want %d", report.Checkpoint.Size, len(s.want))
	}
}

func (s *store) mustFail(err, want error) {
	s.Helper()
	if !errors.Is(err, want) {
		s.Fatalf("error is %v, want %v", err, want)
	}
}

func emptyLedger(s *store) {
	s.mustHold()
	signed, err := s.l.ReadFile(s.ctx, proof.CheckpointPath)
	if err != nil {
		s.Fatal(err)
	}
	if _, _, err := proof.OpenCheckpoint(signed, s.key.Verifier()); err != nil {
		s.Fatal(err)
	}
	for _, path := range []string{"tile/0/000", "tile/0/000.p/1", "tile/entries/000.p/1"} {
		_, err := s.l.ReadFile(s.ctx, path)
		s.mustFail(err, fs.ErrNotExist)
	}
	s.reopen(nil)
	s.mustHold()
}

func order(s *store) {
	for _, n := range []int{1, 1, 3, 250, 1, 1, 511, 600} {
		s.append(n)
	}
	s.mustHold()
	size := int64(len(s.want))
	for _, c := range []struct {
		from int64
		max  int
		want int64
	}{{0, 1, 1}, {255, 2, 2}, {size - 1, 10, 1}, {size, 10, 0}, {10, 1 << 30, size - 10}} {
		list, err := s.l.Read(s.ctx, c.from, c.max)
		if err != nil || int64(len(list)) != c.want {
			s.Fatalf("read from %d at most %d: %d entries and %v, want %d", c.from, c.max, len(list), err, c.want)
		}
	}
	for _, bad := range []struct {
		from int64
		max  int
	}{{-1, 1}, {size + 1, 1}, {0, 0}, {0, -1}} {
		if list, err := s.l.Read(s.ctx, bad.from, bad.max); err == nil {
			s.Fatalf("read from %d at most %d: %d entries, want an error", bad.from, bad.max, len(list))
		}
	}
}

func stale(s *store) {
	s.append(5)
	for _, based := range []int64{-1, 0, 4, 6, 1 << 40} {
		_, err := s.l.Append(s.ctx, based, [][]byte{[]byte("late")})
		var refusal *ledger.StaleError
		if !errors.As(err, &refusal) || refusal.Size != 5 || refusal.Based != based || refusal.Code() != "ledger.stale" {
			s.Fatalf("append based on %d: %v, want a StaleError with size 5", based, err)
		}
	}
	s.mustHold()
}

func oneWins(s *store) {
	const writers, rounds = 8, 10
	for range rounds {
		based := int64(len(s.want))
		batches := make([][][]byte, writers)
		errs := make([]error, writers)
		var wg sync.WaitGroup
		for w := range writers {
			batches[w] = [][]byte{fmt.Appendf(nil, "by writer %d", w)}
			wg.Go(func() { _, errs[w] = s.l.Append(s.ctx, based, batches[w]) })
		}
		wg.Wait()
		won := 0
		for w, err := range errs {
			var refusal *ledger.StaleError
			if err == nil {
				won++
				s.accept(batches[w])
			} else if !errors.As(err, &refusal) {
				s.Fatal(err)
			}
		}
		if won != 1 {
			s.Fatalf("%d writers won, want 1", won)
		}
	}
	s.mustHold()
}

func limits(s *store) {
	side := ledger.Side{Subject: "s", Name: "n", Record: []byte("r")}
	with := func(change func(*ledger.Side)) []ledger.Side {
		c := side
		change(&c)
		return []ledger.Side{c}
	}
	one := [][]byte{[]byte("x")}
	for name, c := range map[string]struct {
		batch [][]byte
		sides []ledger.Side
	}{
		"nothing":              {nil, nil},
		"an empty entry":       {[][]byte{[]byte("a"), {}}, nil},
		"a long entry":         {[][]byte{make([]byte, ledger.EntryBytesMax+1)}, nil},
		"too many entries":     {many(ledger.BatchEntriesMax+1, 1), nil},
		"too many bytes":       {many(ledger.BatchBytesMax/ledger.EntryBytesMax+1, ledger.EntryBytesMax), nil},
		"a side of nobody":     {one, with(func(s *ledger.Side) { s.Subject = "" })},
		"a side without name":  {one, with(func(s *ledger.Side) { s.Name = "" })},
		"an empty side record": {one, with(func(s *ledger.Side) { s.Record = nil })},
		"a long side record":   {one, with(func(s *ledger.Side) { s.Record = make([]byte, ledger.SideBytesMax+1) })},
		"a long subject":       {one, with(func(s *ledger.Side) { s.Subject = string(make([]byte, ledger.SideNameBytesMax+1)) })},
		"too many sides":       {one, make([]ledger.Side, ledger.BatchSidesMax+1)},
	} {
		if _, err := s.l.Append(s.ctx, 0, c.batch, c.sides...); err == nil {
			s.Fatalf("%s was accepted", name)
		}
	}
	s.mustHold()
	longest := [][]byte{bytes.Repeat([]byte{0}, ledger.EntryBytesMax), []byte("\xff")}
	if _, err := s.l.Append(s.ctx, 0, longest); err != nil {
		s.Fatal(err)
	}
	s.accept(longest)
	most := many(ledger.BatchEntriesMax, 1)
	if _, err := s.l.Append(s.ctx, 2, most); err != nil {
		s.Fatal(err)
	}
	s.accept(most)
	s.mustHold()
}

func many(n, size int) [][]byte {
	list := make([][]byte, n)
	for i := range list {
		list[i] = bytes.Repeat([]byte("m"), size)
	}
	return list
}
