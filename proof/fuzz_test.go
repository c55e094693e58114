package proof_test

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gaon-ai/gaon/proof"
)

// FuzzCheckpoint: whatever opens is what was signed, to the byte.
func FuzzCheckpoint(f *testing.F) {
	key := keyOf(f, "key", origin)
	c := proof.Checkpoint{Origin: origin, Size: 3, Root: tlog.RecordHash([]byte("x"))}
	signed, err := proof.SignCheckpoint(c, key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add([]byte(c.Text()))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := proof.ParseCheckpointText(string(data)); err == nil && c.Text() != string(data) {
			t.Fatalf("%q was read as %q", data, c.Text())
		}
		if c, err := proof.ReadCheckpoint(data); err == nil && !strings.HasPrefix(string(data), c.Text()) {
			t.Fatalf("%q was read as %q", data, c.Text())
		}
		if got, _, err := proof.OpenCheckpoint(data, key.Verifier()); err == nil && got.Text() != c.Text() {
			t.Fatalf("%q opened, and was never signed", data)
		}
	})
}

func FuzzTilePath(f *testing.F) {
	for _, path := range []string{"tile/0/000", "tile/1/x001/234.p/5", "tile/entries/000.p/255", "tile/7/x999/x999/x999/999"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		tile, err := proof.ParseTilePath(path)
		if err == nil && (proof.TilePath(tile) != path || tile.N < 0 || tile.W < 1 || tile.W > 256 || tile.L < -1 || tile.L > 7) {
			t.Fatalf("%q was read as %+v, which is written %q", path, tile, proof.TilePath(tile))
		}
	})
}

func FuzzBundle(f *testing.F) {
	f.Add([]byte{0, 1, 'x', 0, 0}, 2)
	f.Add([]byte{255, 255}, 1)
	f.Fuzz(func(t *testing.T, data []byte, count int) {
		list, err := proof.ParseBundle(data, count)
		var again []byte
		for _, e := range list {
			if again, _ = proof.AppendEntry(again, e); len(again) > len(data) {
				t.Fatalf("%d entries are longer than the bundle", len(list))
			}
		}
		if !bytes.HasPrefix(data, again) || err == nil && (len(again) != len(data) || len(list) != count) {
			t.Fatalf("%x gave %d of %d entries, %v", data, len(list), count, err)
		}
	})
}

// FuzzReceipt: whatever parses is written the same way, and nothing verifies
// but the true receipt.
func FuzzReceipt(f *testing.F) {
	key := keyOf(f, "key", origin)
	root := tlog.RecordHash(entry(0))
	signed, err := proof.SignCheckpoint(proof.Checkpoint{Origin: origin, Size: 1, Root: root}, key)
	if err != nil {
		f.Fatal(err)
	}
	good := proof.Receipt{Checkpoint: signed}
	f.Add(good.Text())
	f.Add(proof.Receipt{Index: 7, Path: []tlog.Hash{root, root}, Extra: []byte("x"), Checkpoint: signed}.Text())
	f.Add("c2sp.org/tlog-proof@v1\nindex 0\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := proof.ParseReceipt(text)
		if err == nil && r.Text() != text {
			t.Fatalf("%q is written %q", text, r.Text())
		}
		_, _, err = proof.VerifyReceipt(text, entry(0), key.Verifier())
		if err == nil && text != good.Text() && !strings.HasPrefix(text, good.Text()) {
			t.Fatalf("%q was verified", text)
		}
		if _, _, err := proof.VerifyReceipt(text, entry(1), key.Verifier()); err == nil {
			t.Fatalf("%q proves an entry that is not in the log", text)
		}
	})
}

func FuzzVerifierKey(f *testing.F) {
	key := keyOf(f, "key", origin)
	f.Add(key.Verifier().String())
	f.Add(key.Secret())
	f.Add("a+00000000+AA==")
	f.Fuzz(func(t *testing.T, text string) {
		if k, err := proof.ParseVerifierKey(text); err == nil {
			if again, err := proof.ParseVerifierKey(k.String()); err != nil || again.Name() != k.Name() {
				t.Fatalf("%q was read as %q, %v", text, k, err)
			}
		}
		if k, err := proof.ParseSigningKey(text); err == nil {
			if again, err := proof.ParseSigningKey(k.Secret()); err != nil || again.Verifier().String() != k.Verifier().String() {
				t.Fatalf("%q was read as %v, %v", text, k, err)
			}
		} else if len(text) > 20 && strings.Contains(err.Error(), text) {
			t.Fatalf("the error repeats what may be a secret: %v", err)
		}
	})
}
