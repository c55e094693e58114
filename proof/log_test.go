package proof_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/gaon-ai/gaon/internal/ledger/memory"
	"github.com/gaon-ai/gaon/proof"
)

const origin = "example.kr/centre"

// files is a log as files in memory: quick to copy and to damage.
type files map[string][]byte

func (f files) ReadFile(_ context.Context, path string) ([]byte, error) {
	data, ok := f[path]
	if !ok {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fs.ErrNotExist}
	}
	return data, nil
}

// with returns a copy with one file changed; nil data removes it.
func (f files) with(path string, data []byte) files {
	c := maps.Clone(f)
	if data == nil {
		delete(c, path)
	} else {
		c[path] = data
	}
	return c
}

// tester builds logs and carries the checks.
type tester struct {
	*testing.T
	key proof.SigningKey
}

func newTester(t *testing.T) tester { return tester{t, keyOf(t, "key", origin)} }

func keyOf(t testing.TB, seed, origin string) proof.SigningKey {
	t.Helper()
	key, err := proof.GenerateSigningKey(rand.NewChaCha8(sha256.Sum256([]byte(seed))), origin)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (t tester) keys() []proof.VerifierKey { return []proof.VerifierKey{t.key.Verifier()} }

func entry(seq int) []byte { return fmt.Appendf(nil, `{"n":%d}`, seq*seq+seq) }

func entries(n int) [][]byte {
	list := make([][]byte, n)
	for i := range list {
		list[i] = entry(i)
	}
	return list
}

// grow returns a ledger in memory with these entries.
func (t tester) grow(key proof.SigningKey, list [][]byte) *memory.Ledger {
	t.Helper()
	l, err := memory.Open(memory.NewDisk(), memory.Config{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	t.add(l, list)
	return l
}

func (t tester) add(l *memory.Ledger, list [][]byte) {
	t.Helper()
	head, err := l.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for based := head.Size; len(list) > 0; {
		n := min(len(list), 1000)
		head, err := l.Append(t.Context(), based, list[:n])
		if err != nil {
			t.Fatal(err)
		}
		based, list = head.Size, list[n:]
	}
}

// export writes the log into a folder.
func (t tester) export(src proof.Source) string {
	t.Helper()
	dir := t.TempDir() + "/log"
	if _, err := proof.Export(t.Context(), src, dir, nil); err != nil {
		t.Fatal(err)
	}
	return dir
}

// load reads an exported folder back.
func (t tester) load(dir string) files {
	t.Helper()
	f := files{}
	root := os.DirFS(dir)
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f[path], err = fs.ReadFile(root, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// log returns the exported files of a log of n entries.
func (t tester) log(n int) files {
	t.Helper()
	return t.load(t.export(t.grow(t.key, entries(n))))
}

func (t tester) checkpoint(src proof.Source) []byte {
	t.Helper()
	signed, err := src.ReadFile(t.Context(), proof.CheckpointPath)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(signed)
}

func (t tester) verify(src proof.Source, earlier ...[]byte) (proof.Report, error) {
	return proof.VerifyLedger(t.Context(), src, proof.Options{Keys: t.keys(), Earlier: earlier})
}

func (t tester) mustVerify(src proof.Source, size int64, earlier ...[]byte) proof.Report {
	t.Helper()
	report, err := t.verify(src, earlier...)
	if err != nil {
		t.Fatal(err)
	}
	if report.Checkpoint.Size != size || report.Checkpoint.Origin != origin {
		t.Fatalf("verified %+v, want %d entries of %s", report.Checkpoint, size, origin)
	}
	return report
}

// mustFind verifies a log that must be found changed.
func (t tester) mustFind(what string, src proof.Source, earlier ...[]byte) *proof.TamperedError {
	t.Helper()
	report, err := t.verify(src, earlier...)
	var found *proof.TamperedError
	if !errors.As(err, &found) {
		t.Fatalf("%s: verified %+v with error %v, want a TamperedError", what, report, err)
	}
	return found
}
