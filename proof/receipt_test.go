package proof_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	merkle "github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/gaon-ai/gaon/proof"
)

func (t tester) receipt(src proof.Source, index int64) string {
	t.Helper()
	text, err := proof.MakeReceipt(t.Context(), src, nil, index)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestReceipts holds the receipts of every entry, at sizes around the borders
// of tiles, to an independent implementation of RFC 6962.
func TestReceipts(t *testing.T) {
	tt := newTester(t)
	l := tt.grow(tt.key, nil)
	for _, size := range []int{1, 2, 3, 7, 8, 255, 256, 257, 513, 600} {
		head, err := l.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		tt.add(l, entries(size)[head.Size:])
		for i := 0; i < size; i += 1 + size/40 {
			text := tt.receipt(l, int64(i))
			c, index, err := proof.VerifyReceipt(text, entry(i), tt.keys()...)
			if err != nil || index != int64(i) || c.Size != int64(size) || c.Origin != origin {
				t.Fatalf("entry %d of %d: index %d, checkpoint %+v, %v", i, size, index, c, err)
			}
			r, err := proof.ParseReceipt(text)
			if err != nil {
				t.Fatal(err)
			}
			leaf := rfc6962.DefaultHasher.HashLeaf(entry(i))
			if err := merkle.VerifyInclusion(rfc6962.DefaultHasher, uint64(i), uint64(size), leaf, raw(r.Path), c.Root[:]); err != nil {
				t.Fatalf("entry %d of %d: %v", i, size, err)
			}
		}
	}
}

func raw(list []tlog.Hash) [][]byte {
	var out [][]byte
	for _, h := range list {
		out = append(out, h[:])
	}
	return out
}

// TestConsistency: that a log only grew is provable from its tiles, to an
// independent implementation as well.
func TestConsistency(t *testing.T) {
	const size = 700
	tt := newTester(t)
	l := tt.grow(tt.key, nil)
	roots := []tlog.Hash{}
	for n := range size {
		tt.add(l, entries(n + 1)[n:])
		head, err := l.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, head.Root)
	}
	c, err := proof.ReadCheckpoint(tt.checkpoint(l))
	if err != nil {
		t.Fatal(err)
	}
	for n := int64(1); n <= size; n += 3 {
		path, err := tlog.ProveTree(size, n, proof.HashReader(t.Context(), l, c))
		if err != nil {
			t.Fatal(err)
		}
		old := roots[n-1]
		if err := merkle.VerifyConsistency(rfc6962.DefaultHasher, uint64(n), size, raw(path), old[:], c.Root[:]); err != nil {
			t.Fatalf("from %d to %d: %v", n, size, err)
		}
	}
}

// TestReceiptChanged changes each byte of a receipt, and the entry.
func TestReceiptChanged(t *testing.T) {
	tt := newTester(t)
	l := tt.grow(tt.key, entries(300))
	text := tt.receipt(l, 100)
	chance := seeds(t)
	for at := range len(text) {
		masks := []int{1 << chance.IntN(8), 1 + chance.IntN(255)}
		if os.Getenv("GAON_TEST_LONG") == "1" {
			masks = masks[:0]
			for mask := 1; mask < 256; mask++ {
				masks = append(masks, mask)
			}
		}
		for _, mask := range masks {
			changed := []byte(text)
			changed[at] ^= byte(mask)
			if _, _, err := proof.VerifyReceipt(string(changed), entry(100), tt.keys()...); err == nil {
				t.Fatalf("byte %d changed by %#x: verified\n%s", at, mask, changed)
			}
		}
		if _, _, err := proof.VerifyReceipt(text[:at], entry(100), tt.keys()...); err == nil {
			t.Fatalf("cut to %d bytes: verified", at)
		}
	}
	for at := range entry(100) {
		changed := entry(100)
		changed[at] ^= 1
		_, _, err := proof.VerifyReceipt(text, changed, tt.keys()...)
		var refused *proof.ReceiptError
		if !errors.As(err, &refused) || refused.Index != 100 || refused.Code() != "proof.receipt" {
			t.Fatalf("byte %d of the entry changed: %v", at, err)
		}
	}
}

func TestReceiptRefused(t *testing.T) {
	tt := newTester(t)
	l := tt.grow(tt.key, entries(300))
	good := tt.receipt(l, 5)
	r, err := proof.ParseReceipt(good)
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(*proof.Receipt)) string {
		c := r
		c.Path = append([]tlog.Hash(nil), r.Path...)
		change(&c)
		return c.Text()
	}
	for _, c := range []struct {
		name, text, says string
		entry            []byte
	}{
		{"another entry", good, "does not prove", entry(6)},
		{"another index", with(func(r *proof.Receipt) { r.Index = 4 }), "does not prove", entry(5)},
		{"an index beyond the log", with(func(r *proof.Receipt) { r.Index = 300 }), "not among the 300", entry(5)},
		{"a hash too few", with(func(r *proof.Receipt) { r.Path = r.Path[1:] }), "does not prove", entry(5)},
		{"a hash too many", with(func(r *proof.Receipt) { r.Path = append(r.Path, tlog.Hash{}) }), "does not prove", entry(5)},
		{"hashes in another order", with(func(r *proof.Receipt) { r.Path[0], r.Path[1] = r.Path[1], r.Path[0] }), "does not prove", entry(5)},
		{"more hashes than any tree has", with(func(r *proof.Receipt) { r.Path = make([]tlog.Hash, 64) }), "at most 63", entry(5)},
		{"extra data", with(func(r *proof.Receipt) { r.Extra = []byte("note") }), "no signature covers", entry(5)},
		{"the head of another log", with(func(r *proof.Receipt) {
			r.Checkpoint = tt.checkpoint(tt.grow(keyOf(t, "other", "example.kr/other"), entries(300)))
		}), "no signature by a known key", entry(5)},
		{"a later head", with(func(r *proof.Receipt) { r.Checkpoint = tt.checkpoint(tt.grow(tt.key, entries(301))) }), "does not prove", entry(5)},
		{"nothing", "", "no empty line", entry(5)},
		{"another format", strings.Replace(good, "@v1", "@v2", 1), "line 1", entry(5)},
		{"no index", strings.Replace(good, "index 5\n", "", 1), "begins with index", entry(5)},
		{"an index with a zero before it", strings.Replace(good, "index 5", "index 05", 1), "leading zeros", entry(5)},
		{"a negative index", strings.Replace(good, "index 5", "index -5", 1), "leading zeros", entry(5)},
		{"empty extra data", strings.Replace(good, "index 5", "extra \nindex 5", 1), "not base64", entry(5)},
		{"Windows line ends", strings.ReplaceAll(good, "\n", "\r\n"), "no empty line", entry(5)},
		{"a very long text", good + strings.Repeat("x", 1<<20), "at most", entry(5)},
	} {
		_, _, err := proof.VerifyReceipt(c.text, c.entry, tt.keys()...)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want an error that says %q", c.name, err, c.says)
		}
	}
	if _, _, err := proof.VerifyReceipt(good, entry(5)); err == nil {
		t.Error("a receipt was verified without any key")
	}
	for _, index := range []int64{-1, 300, 1 << 40} {
		if _, err := proof.MakeReceipt(t.Context(), l, nil, index); err == nil {
			t.Errorf("a receipt was made for entry %d of 300", index)
		}
	}
}

// TestReceiptOld: a receipt under an old head is made and holds while the log
// grows, and its checkpoint serves to check that log.
func TestReceiptOld(t *testing.T) {
	tt := newTester(t)
	l := tt.grow(tt.key, entries(300))
	old := tt.checkpoint(l)
	tt.add(l, entries(900)[300:])
	text, err := proof.MakeReceipt(t.Context(), l, old, 299)
	if err != nil {
		t.Fatal(err)
	}
	c, index, err := proof.VerifyReceipt(text, entry(299), tt.keys()...)
	if err != nil || c.Size != 300 || index != 299 {
		t.Fatalf("%+v, %d, %v", c, index, err)
	}
	r, err := proof.ParseReceipt(text)
	if err != nil {
		t.Fatal(err)
	}
	tt.mustVerify(l, 900, r.Checkpoint)
}

// TestReceiptFromTamperedLog: no receipt comes out of tiles that do not lead
// to the signed head.
func TestReceiptFromTamperedLog(t *testing.T) {
	tt := newTester(t)
	log := tt.log(300)
	changed := bytes.Clone(log["tile/0/000"])
	changed[0] ^= 1
	if _, err := proof.MakeReceipt(t.Context(), log.with("tile/0/000", changed), nil, 7); err == nil {
		t.Fatal("a receipt was made from a changed tile")
	}
}

// TestWitness: the signatures of witnesses are carried along, and one that is
// not known does no harm.
func TestWitness(t *testing.T) {
	tt := newTester(t)
	l := tt.grow(tt.key, entries(10))
	witness := keyOf(t, "witness", "witness.example")
	signer, err := note.NewSigner(witness.Secret())
	if err != nil {
		t.Fatal(err)
	}
	own, err := note.NewVerifier(tt.key.Verifier().String())
	if err != nil {
		t.Fatal(err)
	}
	opened, err := note.Open(tt.checkpoint(l), note.VerifierList(own))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(opened, signer)
	if err != nil {
		t.Fatal(err)
	}
	text, err := proof.MakeReceipt(t.Context(), l, signed, 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, keys := range [][]proof.VerifierKey{tt.keys(), append(tt.keys(), witness.Verifier())} {
		if _, _, err := proof.VerifyReceipt(text, entry(3), keys...); err != nil {
			t.Fatal(err)
		}
		_, names, err := proof.OpenCheckpoint(signed, keys...)
		if err != nil || len(names) != len(keys) {
			t.Fatalf("signed by %v, %v; want %d names", names, err, len(keys))
		}
	}
	// The witness alone is not the log.
	if _, _, err := proof.VerifyReceipt(text, entry(3), witness.Verifier()); err == nil || !strings.Contains(err.Error(), "not by the log itself") {
		t.Fatal(err)
	}
}

// TestReceiptForm pins the written form (c2sp.org/tlog-proof): it is for ever.
func TestReceiptForm(t *testing.T) {
	tt := newTester(t)
	text := tt.receipt(tt.grow(tt.key, entries(3)), 2)
	name := filepath.Join("testdata", "receipt"+proof.ReceiptExtension)
	golden, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(golden) {
		t.Fatalf("a receipt is now\n%s\nwas\n%s", text, golden)
	}
	if c, index, err := proof.VerifyReceipt(string(golden), entry(2), tt.keys()...); err != nil || index != 2 || c.Size != 3 {
		t.Fatal(c, index, err)
	}
	withExtra := proof.Receipt{Index: 1, Extra: []byte("x"), Checkpoint: []byte("c\n")}
	if got, want := withExtra.Text(), fmt.Sprintf("c2sp.org/tlog-proof@v1\nextra eA==\nindex 1\n\nc\n"); got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
}
