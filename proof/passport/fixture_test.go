package passport

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/proof"
	"github.com/gaon-ai/gaon/proof/modelsign"
)

var update = flag.Bool("update", false, "write the golden files anew")

// testKey is the P-256 key of RFC 6979, appendix A.2.5: public knowledge, so
// that golden signatures can be made again by anyone.
func testKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	raw, _ := hex.DecodeString("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721")
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// otherKey is a second one, of somebody else.
func otherKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

const testOrigin = "example.kr/centre"

// log is a ledger in memory, with the same key each time.
type log struct {
	testing.TB
	key     proof.SigningKey
	entries [][]byte
	hashes  []tlog.Hash
}

func newLog(t testing.TB, seed byte) *log {
	t.Helper()
	key, err := proof.GenerateSigningKey(bytes.NewReader(bytes.Repeat([]byte{seed}, 32)), testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	return &log{TB: t, key: key}
}

func (l *log) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var found []tlog.Hash
	for _, i := range indexes {
		found = append(found, l.hashes[i])
	}
	return found, nil
}

// event is one event of an entry, as the centre writes it.
type event struct {
	Type string         `json:"type"`
	Data map[string]any `json:"data"`
}

// add appends an entry as the centre writes it and returns its index.
func (l *log) add(at unit.Instant, events ...event) int64 {
	l.Helper()
	entry, err := json.Marshal(map[string]any{"v": 1, "at": at, "by": "controller", "events": events})
	if err != nil {
		l.Fatal(err)
	}
	return l.append(entry)
}

func (l *log) append(entry []byte) int64 {
	l.Helper()
	n := int64(len(l.entries))
	hashes, err := tlog.StoredHashesForRecordHash(n, tlog.RecordHash(entry), l)
	if err != nil {
		l.Fatal(err)
	}
	l.entries, l.hashes = append(l.entries, entry), append(l.hashes, hashes...)
	return n
}

// entry proves an entry under the ledger's present head.
func (l *log) entry(of string, index int64) Entry {
	l.Helper()
	size := int64(len(l.entries))
	root, err := tlog.TreeHash(size, l)
	if err != nil {
		l.Fatal(err)
	}
	head, err := proof.SignCheckpoint(proof.Checkpoint{Origin: testOrigin, Size: size, Root: root}, l.key)
	if err != nil {
		l.Fatal(err)
	}
	path, err := tlog.ProveRecord(size, index, l)
	if err != nil {
		l.Fatal(err)
	}
	return Entry{Of: of, Index: index, Entry: l.entries[index], Receipt: proof.Receipt{Index: index, Path: path, Checkpoint: head}.Text()}
}

func (l *log) check() LedgerFunc { return LedgerKey(l.key.Verifier()) }

// release is a model's folder under test, whole and signed, and the ledger
// that recorded it.
type release struct {
	testing.TB
	dir      string
	log      *log
	keys     Keys
	passport Passport
}

// newRelease makes the whole thing; change, if not nil, may spoil the passport
// before its views are made and it is signed.
func newRelease(t testing.TB) *release {
	t.Helper()
	r := &release{TB: t, dir: filepath.Join(t.TempDir(), "gaon-mini"), log: newLog(t, 3)}
	r.keys = Keys{Model: testKey(t).Public(), Ledger: r.log.check(), NeedRelease: true}
	for name, content := range modelFiles {
		r.write(name, content)
	}
	p, err := Write(r.dir, r.fill())
	if err != nil {
		t.Fatal(err)
	}
	r.passport = p
	r.sign()
	return r
}

// sign signs the folder and has the ledger record the release.
func (r *release) sign() {
	r.Helper()
	bundle, err := modelsign.Sign(r.dir, testKey(r), modelsign.Config{Name: "gaon-mini", Ignore: Ignored()})
	if err != nil {
		r.Fatal(err)
	}
	r.write(modelsign.SignatureFile, string(bundle))
	index := r.log.add(instant(60), event{"model.signed/1", map[string]any{"id": "M41", "release": digest("release tree"),
		"bundle": unit.DigestOf(bundle), "passport": unit.DigestOf([]byte(r.read(File))), "signer": digest("key")}})
	r.log.add(instant(61), event{"party.joined/1", map[string]any{"id": "O9"}}) // a ledger goes on
	e := r.log.entry(EntryRelease, index)
	if err := WriteProof(r.dir, e.Index, e.Entry, e.Receipt); err != nil {
		r.Fatal(err)
	}
}

func (r *release) write(name, content string) {
	r.Helper()
	file := filepath.Join(r.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		r.Fatal(err)
	}
}

func (r *release) read(name string) string {
	r.Helper()
	data, err := os.ReadFile(filepath.Join(r.dir, filepath.FromSlash(name)))
	if err != nil {
		r.Fatal(err)
	}
	return string(data)
}

func (r *release) mustVerify() Verified {
	r.Helper()
	v, err := Verify(r.dir, r.keys)
	if err != nil || !v.OK() {
		r.Fatalf("refused: %v", err)
	}
	return v
}

// mustRefuse wants the check to fail with a problem that holds all the words.
func (r *release) mustRefuse(check string, words ...string) Verified {
	r.Helper()
	v, err := Verify(r.dir, r.keys)
	if err == nil || v.OK() {
		r.Fatalf("accepted, want %s to name %q", check, words)
	}
	o := v.Outcome(check)
	if o.State != Failed {
		r.Fatalf("%s %s, want it to fail: %v", check, o.State, err)
	}
	mustName(r, strings.Join(o.Problems, "\n"), words...)
	return v
}

func mustName(t testing.TB, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Fatalf("%q does not name %q", text, word)
		}
	}
}

// mustField wants a FieldError at the field among the joined errors.
func mustField(t testing.TB, err error, field, problem string) {
	t.Helper()
	var seen []string
	for _, e := range split(err) {
		var bad *FieldError
		if errors.As(e, &bad) && bad.Field == field && strings.Contains(bad.Problem, problem) {
			return
		}
		seen = append(seen, e.Error())
	}
	t.Fatalf("no error at %s with %q, have: %s", field, problem, strings.Join(seen, "; "))
}

func split(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, split(e)...)
		}
		return all
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// golden holds got against the file in testdata.
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

// digest stands for the digest of something that is only named.
func digest(name string) unit.Digest { return unit.NewDigest(sha256.Sum256([]byte(name))) }

// instant is some minutes into the day on which the model was made.
func instant(minutes int64) unit.Instant { return unit.Instant(1795500000000 + minutes*60_000) }

// tree lists files of the given contents as the artifact store does.
func tree(role, name string, files ...TreeFile) Material {
	listing, err := json.Marshal(Tree{Format: TreeFormat, Files: files})
	if err != nil {
		panic(err)
	}
	return Material{Role: role, Name: name, Digest: unit.DigestOf(listing), Listing: string(listing)}
}

func treeFile(path, content string) TreeFile {
	return TreeFile{Path: path, Digest: unit.DigestOf([]byte(content)), Size: unit.Bytes(len(content))}
}
