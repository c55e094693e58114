package modelsign

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestEveryBundleByte flips each bit of each byte of a small bundle, and with
// GAON_TEST_LONG=1 puts each of the 255 other values into each byte: none may
// verify. Bytes outside the signed payload count too; the bundle is written in
// the one form in which each of them matters.
func TestEveryBundleByte(t *testing.T) {
	f := newFolder(t)
	good := f.sign()
	masks := []byte{1, 2, 4, 8, 16, 32, 64, 128}
	if os.Getenv("GAON_TEST_LONG") == "1" {
		masks = masks[:0]
		for mask := 1; mask < 256; mask++ {
			masks = append(masks, byte(mask))
		}
	}
	key := f.key.Public()
	for at := range good {
		for _, mask := range masks {
			bad := bytes.Clone(good)
			bad[at] ^= mask
			if m, err := VerifyBundle(bad, key); err == nil {
				t.Fatalf("byte %d changed from %q to %q and the bundle still verifies: %+v", at, good[at], bad[at], m)
			}
		}
	}
	for at := range good {
		if _, err := VerifyBundle(good[:at], key); err == nil {
			t.Fatalf("cut to %d bytes and the bundle still verifies", at)
		}
	}
}

// TestEveryFileByte flips each bit of each small file and one bit at 20
// random places of a large one; the file at fault must be named.
func TestEveryFileByte(t *testing.T) {
	f := newFolder(t)
	large := make([]byte, 3*readBytes+17)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	for i := range large {
		large[i] = byte(chance.Uint32())
	}
	f.write("large.bin", string(large))
	f.write("empty", "")
	b := f.sign()
	m := f.mustVerify(b)
	for _, name := range []string{"config.json", "tokenizer.json", "문서/설명.md"} {
		content, err := os.ReadFile(filepath.Join(f.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for bit := range 8 * len(content) {
			mustNotice(t, f, m, name, content, bit)
		}
	}
	for range 20 {
		mustNotice(t, f, m, "large.bin", large, chance.IntN(8*len(large)))
	}
}

func mustNotice(t *testing.T, f folder, m Manifest, name string, content []byte, bit int) {
	t.Helper()
	content[bit/8] ^= 1 << (bit % 8)
	f.write(name, string(content))
	err := m.Compare(f.dir)
	content[bit/8] ^= 1 << (bit % 8)
	f.write(name, string(content))
	var changed *ChangedError
	if !errors.As(err, &changed) || changed.Name != name {
		t.Fatalf("%s with bit %d flipped: got %v, want a ChangedError that names it", name, bit, err)
	}
}

func FuzzBundle(f *testing.F) {
	good, err := os.ReadFile(filepath.Join("testdata", "bundle.json"))
	if err != nil {
		f.Fatal(err)
	}
	key := testKey(f)
	f.Add(good)
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"x"}},"dsseEnvelope":{"payload":"QQ==","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"QQ=="}]}}`))
	want, err := VerifyBundle(good, key.Public())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		// Other bytes may verify only if they say the same (spaces, say).
		if m, err := VerifyBundle(data, key.Public()); err == nil && m.Root() != want.Root() {
			t.Fatalf("forged: %q", data)
		}
	})
}

func FuzzStatement(f *testing.F) {
	good, err := os.ReadFile(filepath.Join("testdata", "statement.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(fill(goodStatement)))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseStatement(data)
		if err != nil {
			return
		}
		again, err := Statement(m, "")
		if err != nil {
			t.Fatalf("accepted %q but cannot write it: %v", data, err)
		}
		back, err := parseStatement(again)
		if err != nil || back.Root() != m.Root() {
			t.Fatalf("accepted %q but not its own form %q: %v", data, again, err)
		}
	})
}

func FuzzKey(f *testing.F) {
	text, err := EncodePrivateKey(testKey(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, data []byte) {
		if key, err := ParsePrivateKey(data); err == nil {
			if _, err := EncodePrivateKey(key); err != nil {
				t.Fatal(err)
			}
		}
		_, _ = ParsePublicKey(data)
	})
}

func BenchmarkMeasure(b *testing.B) {
	dir := b.TempDir()
	for _, name := range []string{"a", "b", "c", "d"} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, 64<<20), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(4 * 64 << 20)
	for b.Loop() {
		if _, err := Measure(dir, nil); err != nil {
			b.Fatal(err)
		}
	}
}
