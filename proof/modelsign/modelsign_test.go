package modelsign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gaon-ai/gaon/internal/unit"
)

var update = flag.Bool("update", false, "write the golden files anew")

// testKey is the P-256 key of RFC 6979, appendix A.2.5: public knowledge, so
// that golden signatures can be made again by anyone.
func testKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	return keyOn(t, elliptic.P256(), "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721")
}

func keyOn(t testing.TB, curve elliptic.Curve, scalar string) *ecdsa.PrivateKey {
	t.Helper()
	d, ok := new(big.Int).SetString(scalar, 16)
	if !ok {
		t.Fatalf("scalar %q", scalar)
	}
	key, err := ecdsa.ParseRawPrivateKey(curve, d.FillBytes(make([]byte, (curve.Params().BitSize+7)/8)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// folder is a model's folder under test; it carries the checks.
type folder struct {
	*testing.T
	dir string
	key *ecdsa.PrivateKey
}

func newFolder(t *testing.T) folder {
	f := folder{T: t, dir: filepath.Join(t.TempDir(), "한국어-모델"), key: testKey(t)}
	f.write("config.json", `{"hidden_size":64}`)
	f.write("model.safetensors", strings.Repeat("weights ", 1000))
	f.write("tokenizer.json", `{"model":{"type":"BPE"}}`)
	f.write("문서/설명.md", "모델 설명\n")
	return f
}

func (f folder) write(name, content string) {
	f.Helper()
	file := filepath.Join(f.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		f.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		f.Fatal(err)
	}
}

func (f folder) sign() []byte {
	f.Helper()
	b, err := Sign(f.dir, f.key, Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.write(SignatureFile, string(b))
	return b
}

func (f folder) mustVerify(b []byte) Manifest {
	f.Helper()
	m, err := Verify(f.dir, b, f.key.Public())
	if err != nil {
		f.Fatalf("refused: %v", err)
	}
	return m
}

// mustRefuse returns the refusal of type E that verification ends with.
func mustRefuse[E error](f folder, b []byte) E {
	f.Helper()
	_, err := Verify(f.dir, b, f.key.Public())
	var want E
	if !errors.As(err, &want) {
		f.Fatalf("got %v (%T), want a %T", err, err, want)
	}
	return want
}

func TestSignAndVerify(t *testing.T) {
	f := newFolder(t)
	b := f.sign()
	m := f.mustVerify(b)
	if m.Name != "한국어-모델" {
		t.Errorf("name %q", m.Name)
	}
	var names []string
	for _, r := range m.Resources {
		names = append(names, r.Name)
	}
	if got, want := strings.Join(names, " "), "config.json model.safetensors tokenizer.json 문서/설명.md"; got != want {
		t.Errorf("files %q, want %q", got, want)
	}
	if got, want := strings.Join(m.Ignored, " "), ".git .gitattributes .github .gitignore model.sig"; got != want {
		t.Errorf("ignored %q, want %q", got, want)
	}
	if d, ok := m.Digest("config.json"); !ok || d != unit.DigestOf([]byte(`{"hidden_size":64}`)) {
		t.Errorf("config.json: %s %v", d, ok)
	}
	if _, ok := m.Digest("model.sig"); ok {
		t.Error("the signature names itself")
	}
	if again := f.sign(); !bytes.Equal(again, b) {
		t.Error("signing the same folder twice gave different bundles")
	}
}

func TestCurves(t *testing.T) {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		t.Run(curve.Params().Name, func(t *testing.T) {
			f := newFolder(t)
			f.key = keyOn(t, curve, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
			f.mustVerify(f.sign())
		})
	}
	f := newFolder(t)
	f.key = keyOn(t, elliptic.P224(), "0123456789abcdef0123456789abcdef0123456789abcdef01234567")
	var bad *KeyError
	if _, err := Sign(f.dir, f.key, Config{}); !errors.As(err, &bad) {
		t.Errorf("P-224: got %v, want a KeyError", err)
	}
	_, edKey, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Sign(f.dir, edKey, Config{}); !errors.As(err, &bad) {
		t.Errorf("Ed25519: got %v, want a KeyError", err)
	}
}

func TestStandardExclusions(t *testing.T) {
	f := newFolder(t)
	f.write("sub/.git/config", "signed: not at the top")
	f.write("sub/.gitignore", "signed too")
	b := f.sign()
	f.write(".git/HEAD", "ref")
	f.write(".gitignore", "*.tmp")
	f.write(".gitattributes", "x")
	f.write(".github/workflows/ci.yml", "x")
	m := f.mustVerify(b)
	if _, ok := m.Digest("sub/.git/config"); !ok {
		t.Error("sub/.git/config is not covered")
	}
	f.write(".gitmodules", "x")
	if e := mustRefuse[*ExtraError](f, b); e.Name != ".gitmodules" {
		t.Errorf("named %q", e.Name)
	}
}

func TestIgnored(t *testing.T) {
	f := newFolder(t)
	f.write("cache/a", "1")
	f.write("sub/cache/a", "2")
	b, err := Sign(f.dir, f.key, Config{Name: "named", Ignore: []string{"cache", "passport.proof"}})
	if err != nil {
		t.Fatal(err)
	}
	f.write("passport.proof", "later")
	f.write("cache/b", "later")
	m := f.mustVerify(b)
	if m.Name != "named" {
		t.Errorf("name %q", m.Name)
	}
	if _, ok := m.Digest("sub/cache/a"); !ok {
		t.Error("sub/cache is ignored although only cache at the top was named")
	}
	f.write("cached", "an ignored path is not a prefix of names")
	if e := mustRefuse[*ExtraError](f, b); e.Name != "cached" {
		t.Errorf("named %q", e.Name)
	}
	for _, bad := range []string{"", "/x", "../x", "a/../b", "./a", "a/", "*.tmp", "a?", "a[b]", ".", "a//b", "\xff"} {
		var refused *FormatError
		if _, err := Sign(f.dir, f.key, Config{Ignore: []string{bad}}); !errors.As(err, &refused) {
			t.Errorf("ignore %q: got %v, want a FormatError", bad, err)
		}
		if _, err := Verify(f.dir, b, f.key.Public(), bad); !errors.As(err, &refused) {
			t.Errorf("verify with ignore %q: got %v, want a FormatError", bad, err)
		}
	}
}

func TestDifferences(t *testing.T) {
	t.Run("changed", func(t *testing.T) {
		f := newFolder(t)
		b := f.sign()
		f.write("config.json", `{"hidden_size":65}`)
		e := mustRefuse[*ChangedError](f, b)
		if e.Name != "config.json" || e.Want != unit.DigestOf([]byte(`{"hidden_size":64}`)) || e.Got != unit.DigestOf([]byte(`{"hidden_size":65}`)) {
			t.Errorf("%+v", e)
		}
	})
	t.Run("missing", func(t *testing.T) {
		f := newFolder(t)
		b := f.sign()
		if err := os.Remove(filepath.Join(f.dir, "문서", "설명.md")); err != nil {
			t.Fatal(err)
		}
		if e := mustRefuse[*MissingError](f, b); e.Name != "문서/설명.md" {
			t.Errorf("%+v", e)
		}
	})
	t.Run("extra", func(t *testing.T) {
		f := newFolder(t)
		b := f.sign()
		f.write("문서/악성.bin", "x")
		if e := mustRefuse[*ExtraError](f, b); e.Name != "문서/악성.bin" {
			t.Errorf("%+v", e)
		}
	})
	t.Run("swapped", func(t *testing.T) {
		f := newFolder(t)
		b := f.sign()
		f.write("config.json", `{"model":{"type":"BPE"}}`)
		f.write("tokenizer.json", `{"hidden_size":64}`)
		mustRefuse[*ChangedError](f, b)
	})
	t.Run("all at once, each named", func(t *testing.T) {
		f := newFolder(t)
		b := f.sign()
		f.write("config.json", "")
		f.write("new", "")
		if err := os.Remove(filepath.Join(f.dir, "tokenizer.json")); err != nil {
			t.Fatal(err)
		}
		_, err := Verify(f.dir, b, f.key.Public())
		want := `file "config.json" changed: signed ` + string(unit.DigestOf([]byte(`{"hidden_size":64}`))) + `, found ` + string(unit.DigestOf(nil)) +
			"\n" + `file "new" is not covered by the signature` + "\n" + `file "tokenizer.json" is signed but missing`
		if err == nil || err.Error() != want {
			t.Errorf("got\n%v\nwant\n%s", err, want)
		}
	})
	t.Run("no end of differences", func(t *testing.T) {
		f := newFolder(t)
		b := f.sign()
		for i := range 3 * differencesMax {
			f.write(fmt.Sprintf("extra/%03d", i), "x")
		}
		_, err := Verify(f.dir, b, f.key.Public())
		if got := strings.Count(err.Error(), "\n") + 1; got != differencesMax {
			t.Errorf("%d differences listed, want %d", got, differencesMax)
		}
	})
}

func TestKindsRefused(t *testing.T) {
	link := func(target string) func(f folder) {
		return func(f folder) {
			if err := os.Symlink(target, filepath.Join(f.dir, "odd")); err != nil {
				f.Fatal(err)
			}
		}
	}
	rows := []struct {
		name, kind string
		make       func(f folder)
	}{
		{"link to a file", "symbolic link", link("config.json")},
		{"link to a folder", "symbolic link", link("문서")},
		{"link to outside", "symbolic link", link("/etc/hostname")},
		{"link to nothing", "symbolic link", link("nowhere")},
		{"named pipe", "named pipe", func(f folder) {
			if err := syscall.Mkfifo(filepath.Join(f.dir, "odd"), 0o644); err != nil {
				f.Fatal(err)
			}
		}},
		{"socket", "socket", func(f folder) {
			f.Chdir(f.dir)
			l, err := net.Listen("unix", "odd")
			if err != nil {
				f.Fatal(err)
			}
			f.Cleanup(func() { l.Close() })
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			f := newFolder(t)
			b := f.sign()
			row.make(f)
			if e := mustRefuse[*KindError](f, b); e.Name != "odd" || e.Kind != row.kind {
				t.Errorf("%+v", e)
			}
			var refused *KindError
			if _, err := Sign(f.dir, f.key, Config{}); !errors.As(err, &refused) {
				t.Errorf("sign: got %v, want a KindError", err)
			}
		})
	}
	t.Run("a file replaced by a link to the same content", func(t *testing.T) {
		f := newFolder(t)
		b := f.sign()
		if err := os.Rename(filepath.Join(f.dir, "config.json"), filepath.Join(f.TempDir(), "c")); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("tokenizer.json", filepath.Join(f.dir, "config.json")); err != nil {
			t.Fatal(err)
		}
		if e := mustRefuse[*KindError](f, b); e.Name != "config.json" {
			t.Errorf("%+v", e)
		}
	})
	t.Run("name that is not text", func(t *testing.T) {
		f := newFolder(t)
		f.write("bad\xff", "x")
		var refused *FormatError
		if _, err := Sign(f.dir, f.key, Config{}); !errors.As(err, &refused) {
			t.Errorf("got %v, want a FormatError", err)
		}
	})
	t.Run("no files", func(t *testing.T) {
		var refused *FormatError
		if _, err := Sign(t.TempDir(), testKey(t), Config{}); !errors.As(err, &refused) {
			t.Errorf("got %v, want a FormatError", err)
		}
	})
	t.Run("no folder", func(t *testing.T) {
		if _, err := Sign(filepath.Join(t.TempDir(), "none"), testKey(t), Config{}); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	})
}

func TestSingleFile(t *testing.T) {
	f := newFolder(t)
	f.dir = filepath.Join(f.dir, "model.safetensors")
	b, err := Sign(f.dir, f.key, Config{})
	if err != nil {
		t.Fatal(err)
	}
	m := f.mustVerify(b)
	if len(m.Resources) != 1 || m.Resources[0].Name != "model.safetensors" || m.Name != "model.safetensors" {
		t.Errorf("%+v", m)
	}
}

// TestRoot holds to a figure published with the specification: the root digest
// over two files (test-vectors/v1.0/valid/key.bundle.json, decoded payload).
func TestRoot(t *testing.T) {
	m := Manifest{Resources: []Resource{
		{"signme-1", "sha256:bc9a717db6064a32cbe9eae6fc40651dd6d36ef1757183f590eff2b1765d7ebc"},
		{"signme-2", "sha256:32dcb1f8e1ae52d5963e56a6ba06ab58b424c15ed2a6b70d2feca1d089370028"},
	}}
	if got, want := m.Root(), unit.Digest("sha256:92745110b1ab4368471cbe31664e10174e954b113a3df333db860317b2c6dec4"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestHint holds to the fingerprint that the reference implementation writes
// for its own test key, a P-384 key published with it.
func TestHint(t *testing.T) {
	key, err := ParsePublicKey([]byte(`Public Key Information:
	Public Key Algorithm: EC/ECDSA
	Algorithm Security Level: Ultra (384 bits)
		Curve:	SECP384R1
		X:
			00:b2:ee:ab:64:60:53:8f:1b:6f:45:63:cc:8b:14:fe
			dc:7c:a7:75:5d:09:d1:86:ed:68:76:54:70:ee:03:10
			af:8e:24:73:bf:e1:ed:f6:6d:bf:df:6c:92:92:a5:18
			1c
		Y:
			06:c2:29:28:b7:15:8a:35:28:9b:21:4e:11:16:dd:ee
			ef:81:4c:f4:94:8c:66:43:42:ae:89:ee:54:ef:a7:f1
			00:5d:01:8e:2b:15:bd:44:fd:0c:19:7d:ea:02:4b:e2

Public Key ID:
	sha1:195eed014eeea416be215a6ebc3b5489d3e12acf
	sha256:c1e49d63327f85c7e2971aefd30b5a0d1c6b9b5e1a892e7f5fba995adace816d
Public Key PIN:
	pin-sha256:weSdYzJ/hcfilxrv0wtaDRxrm14aiS5/X7qZWtrOgW0=


-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEsu6rZGBTjxtvRWPMixT+3HyndV0J0Ybt
aHZUcO4DEK+OJHO/4e32bb/fbJKSpRgcBsIpKLcVijUomyFOERbd7u+BTPSUjGZD
Qq6J7lTvp/EAXQGOKxW9RP0MGX3qAkvi
-----END PUBLIC KEY-----
`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Hint(key)
	if want := "e8450dec4eb99dae995da9af1bc2cc9f76ed669ee2e744f57abba763df3e3f8e"; err != nil || got != want {
		t.Errorf("got %s %v, want %s", got, err, want)
	}
}

// TestPAE holds to the example of the DSSE protocol, extended to UTF-8 bytes.
func TestPAE(t *testing.T) {
	if got, want := string(PAE("http://example.com/HelloWorld", []byte("hello world"))), "DSSEv1 29 http://example.com/HelloWorld 11 hello world"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := string(PAE("", []byte("가"))), "DSSEv1 0  3 가"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestGolden holds the exact bytes of statement and bundle: a change here is a
// change of the format that others read.
func TestGolden(t *testing.T) {
	f := newFolder(t)
	m, err := Measure(f.dir, []string{SignatureFile})
	if err != nil {
		t.Fatal(err)
	}
	stmt, err := Statement(m, "가온-시험")
	if err != nil {
		t.Fatal(err)
	}
	b, err := SignStatement(stmt, f.key)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "statement.json", stmt)
	golden(t, "bundle.json", b)
	f.mustVerify(b)
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (run with -update and review):\n%s", file, got)
	}
}

// remoteKey plays a key store: it shows only crypto.Signer.
type remoteKey struct {
	crypto.Signer
	lie bool
}

func (r remoteKey) Sign(chance io.Reader, sum []byte, o crypto.SignerOpts) ([]byte, error) {
	if r.lie {
		sum = append([]byte{sum[0] ^ 1}, sum[1:]...)
	}
	return r.Signer.Sign(chance, sum, o)
}

func TestKeyElsewhere(t *testing.T) {
	f := newFolder(t)
	m, err := Measure(f.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	stmt, err := Statement(m, "")
	if err != nil {
		t.Fatal(err)
	}
	b, err := SignStatement(stmt, remoteKey{Signer: f.key})
	if err != nil {
		t.Fatal(err)
	}
	f.mustVerify(b)
	var refused *SignatureError
	if _, err := SignStatement(stmt, remoteKey{Signer: f.key, lie: true}); !errors.As(err, &refused) {
		t.Errorf("a lying key store: got %v, want a SignatureError", err)
	}
	var format *FormatError
	for _, bad := range []string{"", "{}", "hello", string(stmt) + " x", strings.Replace(string(stmt), "signature/v1.0", "signature/v1.1", 1)} {
		if _, err := SignStatement([]byte(bad), f.key); !errors.As(err, &format) {
			t.Errorf("signing %.30q: got %v, want a FormatError", bad, err)
		}
	}
}

func TestOtherKey(t *testing.T) {
	f := newFolder(t)
	b := f.sign()
	f.key = keyOn(t, elliptic.P256(), "01")
	mustRefuse[*SignatureError](f, b)
	// Without the hint only the mathematics can tell.
	b = bytes.Replace(b, []byte(hintOf(t, testKey(t))), []byte(hintOf(t, f.key)), 1)
	mustRefuse[*SignatureError](f, b)
	f.key = keyOn(t, elliptic.P384(), "01")
	mustRefuse[*SignatureError](f, b)
	for _, key := range []crypto.PublicKey{nil, (*ecdsa.PublicKey)(nil), &ecdsa.PublicKey{}, ed25519.PublicKey(make([]byte, 32)), "text"} {
		var bad *KeyError
		if _, err := Verify(f.dir, b, key); !errors.As(err, &bad) {
			t.Errorf("key %T: got %v, want a KeyError", key, err)
		}
	}
}

func hintOf(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	hint, err := Hint(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return hint
}
