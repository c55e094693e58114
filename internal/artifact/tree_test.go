package artifact_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/artifact"
	"github.com/gaon-ai/gaon/internal/artifact/folder"
	"github.com/gaon-ai/gaon/internal/unit"
)

var ctx = context.Background()

func newStore(t testing.TB) *folder.Store {
	t.Helper()
	s, err := folder.Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func file(path string) artifact.File {
	return artifact.File{Path: path, Digest: unit.DigestOf([]byte(path)), Size: unit.Bytes(len(path))}
}

func TestListingIsWhatItAlwaysWas(t *testing.T) {
	listing, err := artifact.Tree{Files: []artifact.File{file("b"), file("a/글.txt"), file("a.txt"), file("<&>")}}.Listing()
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"format":"gaon.tree/1","files":[` +
		`{"path":"<&>","digest":"sha256:6b23c96867fb2b3082359dda58202ca9b084e97fcb5969922dcad6325f8ceb01","size":3},` +
		`{"path":"a.txt","digest":"sha256:18b7cb099a9ea3f50ba899b5ba81e0d377a5f3b16f8f6eeb8b3e58cd4692b993","size":5},` +
		`{"path":"a/글.txt","digest":"sha256:1ff661e29c9621bc7536cc3c852bf590597f65d6d9461ce297caece9ad3d550c","size":9},` +
		`{"path":"b","digest":"sha256:3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d","size":1}]}`
	if string(listing) != want {
		t.Fatalf("got\n%s\nwant\n%s", listing, want)
	}
	if empty, err := (artifact.Tree{}).Listing(); err != nil || string(empty) != `{"format":"gaon.tree/1","files":[]}` {
		t.Fatalf("the empty tree is %s, %v", empty, err)
	}
}

func TestParseTree(t *testing.T) {
	one := `{"path":"a","digest":"` + string(unit.DigestOf(nil)) + `","size":0}`
	two := `{"path":"b","digest":"` + string(unit.DigestOf(nil)) + `","size":0}`
	tree := func(files string) string { return `{"format":"gaon.tree/1","files":[` + files + `]}` }
	named := func(names ...string) string {
		var files []string
		for _, name := range names {
			files = append(files, strings.Replace(one, `"a"`, name, 1))
		}
		return tree(strings.Join(files, ","))
	}
	for _, row := range []struct{ name, listing, problem string }{ // problem empty: it parses
		{"the empty tree", tree(""), ""},
		{"two files", tree(one + "," + two), ""},
		{"a name in Korean, with spaces and dots", named(`"가 나/..다"`), ""},
		{"nothing", ``, "is no listing"},
		{"no JSON", `gaon`, "is no listing"},
		{"a list", `[]`, "is no listing"},
		{"null", `null`, "is of format"},
		{"a newer format", strings.Replace(tree(one), "/1", "/2", 1), "is of format"},
		{"files are null", `{"format":"gaon.tree/1","files":null}`, "canonical"},
		{"no files", `{"format":"gaon.tree/1"}`, "canonical"},
		{"a space", tree(one + ", " + two), "canonical"},
		{"a newline at the end", tree(one) + "\n", "canonical"},
		{"something after", tree(one) + "{}", "is no listing"},
		{"an unknown field", `{"format":"gaon.tree/1","files":[],"more":1}`, "canonical"},
		{"a field in capitals", `{"FORMAT":"gaon.tree/1","files":[]}`, "canonical"},
		{"a field twice", `{"format":"gaon.tree/1","files":[],"files":[]}`, "canonical"},
		{"out of order", tree(two + "," + one), "canonical"},
		{"an escaped name", named(`"\u0061"`), "canonical"},
		{"a file twice", tree(one + "," + one), "listed twice"},
		{"a size with an exponent", strings.Replace(tree(one), `:0}`, `:1e3}`, 1), "is no listing"},
		{"a negative size", strings.Replace(tree(one), `:0}`, `:-1}`, 1), "impossible size"},
		{"a size beyond 2^53", strings.Replace(tree(one), `:0}`, `:9007199254740993}`, 1), "impossible size"},
		{"no digest", tree(`{"path":"a","digest":"","size":0}`), "has no digest"},
		{"a digest in capitals", strings.Replace(tree(one), "e3b0", "E3B0", 1), "has no digest"},
		{"an empty path", named(`""`), "has no name"},
		{"an absolute path", named(`"/etc/passwd"`), "plain relative"},
		{"the parent", named(`".."`), "plain relative"},
		{"through the parent", named(`"../a"`), "plain relative"},
		{"in and out again", named(`"a/../b"`), "plain relative"},
		{"out in the middle", named(`"a/../../b"`), "plain relative"},
		{"a dot", named(`"."`), "plain relative"},
		{"a dot in front", named(`"./a"`), "plain relative"},
		{"a slash at the end", named(`"a/"`), "plain relative"},
		{"two slashes", named(`"a//b"`), "plain relative"},
		{"a backslash", named(`"a\\b"`), "backslash"},
		{"a drive letter", named(`"C:a"`), "colon"},
		{"a newline in a name", named(`"a\nb"`), "control"},
		{"a zero byte", named(`"a\u0000b"`), "control"},
		{"a line separator", named(`"a\u2028b"`), "control"},
		{"invalid UTF-8", named("\"a\xff\""), "canonical"},
		{"a name too long", named(`"` + strings.Repeat("a", 256) + `"`), "longer than 255"},
		{"a path too long", named(`"` + strings.Repeat("a/", 600) + `a"`), "longer than 1024"},
		{"two names that differ in case", named(`"A"`, `"a"`), "only in case"},
		{"two folders that differ in case", named(`"A/x"`, `"a/y"`), "only in case"},
		{"a file and a folder that differ in case", named(`"A"`, `"a/y"`), "only in case"},
		{"composed and decomposed Hangul", named("\"\u1100\u1161\"", "\"\uac00\""), "only in case or composition"},
		{"a sharp s and two s", named(`"ss"`, `"ß"`), "only in case"},
		{"a file that is also a folder", named(`"a"`, `"a/b"`), "as a file and as a folder"},
		{"the same, something between", named(`"a"`, `"a.txt"`, `"a/b/c"`), "as a file and as a folder"},
	} {
		t.Run(row.name, func(t *testing.T) {
			tree, err := artifact.ParseTree([]byte(row.listing))
			if row.problem == "" {
				if err != nil {
					t.Fatal(err)
				}
				if again, err := tree.Listing(); err != nil || string(again) != row.listing {
					t.Fatalf("written again as %s, %v", again, err)
				}
				return
			}
			var refused *artifact.TreeError
			if !errors.As(err, &refused) || refused.Code() != "artifact.tree" || !strings.Contains(err.Error(), row.problem) {
				t.Fatalf("want %q, got %v", row.problem, err)
			}
		})
	}
}

func FuzzParseTree(f *testing.F) {
	good, _ := artifact.Tree{Files: []artifact.File{file("a"), file("b/c"), file("글")}}.Listing()
	f.Add(good)
	f.Add([]byte(`{"format":"gaon.tree/1","files":[]}`))
	f.Add([]byte(`{"format":"gaon.tree/1","files":[{"path":"../a","digest":"sha256:0","size":1e9}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		tree, err := artifact.ParseTree(data)
		if err != nil {
			return
		}
		again, err := tree.Listing()
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("accepted %q, writes %q, %v", data, again, err)
		}
		for _, f := range tree.Files {
			if !filepath.IsLocal(filepath.FromSlash(f.Path)) {
				t.Fatalf("accepted path %q", f.Path)
			}
		}
	})
}

func TestFind(t *testing.T) {
	tree := artifact.Tree{Files: []artifact.File{file("a"), file("b"), file("c")}}
	if f, ok := tree.Find("b"); !ok || f.Path != "b" {
		t.Errorf("b: %v, %v", f, ok)
	}
	if f, ok := tree.Find("bb"); ok {
		t.Errorf("bb: %v", f)
	}
	if tree.Size() != 3 {
		t.Errorf("size %d", tree.Size())
	}
}

// write fills a folder with files, by path.
func write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		full := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

func putTree(t testing.TB, s artifact.Store, files map[string]string) unit.Digest {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, files)
	d, size, err := artifact.PutTree(ctx, s, dir)
	if err != nil {
		t.Fatal(err)
	}
	var want int
	for _, text := range files {
		want += len(text)
	}
	if size != unit.Bytes(want) {
		t.Fatalf("tree of %d bytes, want %d", size, want)
	}
	return d
}

var sample = map[string]string{"a.txt": "하나", "b/c.txt": "two", "b/d/e": "", "same": "two"}

func TestPutTreeAndCheckout(t *testing.T) {
	s := newStore(t)
	d := putTree(t, s, sample)
	if again := putTree(t, s, sample); again != d {
		t.Fatalf("equal folders are named %s and %s", d, again)
	}
	dir := filepath.Join(t.TempDir(), "in")
	if err := artifact.Checkout(ctx, s, d, dir); err != nil {
		t.Fatal(err)
	}
	mustHold(t, dir, sample)
	blob, _, _ := s.Put(ctx, strings.NewReader("하나"))
	// What a job does to its copy is no matter to the store.
	if err := errors.Join(os.Chmod(filepath.Join(dir, "a.txt"), 0o600), os.WriteFile(filepath.Join(dir, "a.txt"), []byte("mine"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := artifact.Verify(ctx, s, blob); err != nil {
		t.Fatal(err)
	}
}

func mustHold(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	found := 0
	err := filepath.WalkDir(dir, func(name string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		found++
		rel, _ := filepath.Rel(dir, name)
		data, err := os.ReadFile(name)
		if want, ok := files[filepath.ToSlash(rel)]; !ok || string(data) != want {
			t.Errorf("%s holds %q, want %q", rel, data, want)
		}
		if info, _ := entry.Info(); info.Mode().Perm() != 0o444 {
			t.Errorf("%s is %v, want read-only", rel, info.Mode())
		}
		return err
	})
	if err != nil || found != len(files) {
		t.Errorf("%d files, want %d; %v", found, len(files), err)
	}
}

func TestPutTreeRefuses(t *testing.T) {
	s := newStore(t)
	for _, row := range []struct {
		name, path, problem string
		make                func(name string) error
	}{
		{"a symbolic link to a file", "link", "is a symbolic link", func(name string) error { return os.Symlink("a.txt", name) }},
		{"a symbolic link out of the folder", "b/link", "is a symbolic link", func(name string) error { return os.Symlink("/etc/passwd", name) }},
		{"a symbolic link to a folder", "link", "is a symbolic link", func(name string) error { return os.Symlink("b", name) }},
		{"a named pipe", "pipe", "is a named pipe", mkfifo},
		{"a socket", "socket", "is a socket", listen},
		{"a backslash in a name", `a\b`, "backslash", touch},
		{"a newline in a name", "a\nb", "control", touch},
		{"a name that is no UTF-8", "a\xff", "UTF-8", touch},
		{"two names that differ in case", "A.TXT", "only in case", touch},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, sample)
			if err := row.make(filepath.Join(dir, row.path)); err != nil {
				t.Fatal(err)
			}
			_, _, err := artifact.PutTree(ctx, s, dir)
			var refused *artifact.TreeError
			if !errors.As(err, &refused) || refused.Path == "" || refused.Hint() == "" || !strings.Contains(err.Error(), row.problem) {
				t.Fatalf("want %q, got %v", row.problem, err)
			}
			if !strings.EqualFold(refused.Path, row.path) {
				t.Fatalf("names %q, want %q", refused.Path, row.path)
			}
		})
	}
	if _, _, err := artifact.PutTree(ctx, newStore(t), filepath.Join(t.TempDir(), "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an absent folder: %v", err)
	}
}

func touch(name string) error { return os.WriteFile(name, nil, 0o600) }

func TestPutTreeOfRefuses(t *testing.T) {
	s := newStore(t)
	d, _, _ := s.Put(ctx, strings.NewReader("here"))
	var absent *artifact.AbsentError
	if _, err := artifact.PutTreeOf(ctx, s, artifact.Tree{Files: []artifact.File{file("gone")}}); !errors.As(err, &absent) {
		t.Errorf("a file that is absent: %v", err)
	}
	var refused *artifact.TreeError
	if _, err := artifact.PutTreeOf(ctx, s, artifact.Tree{Files: []artifact.File{{Path: "a", Digest: d, Size: 5}}}); !errors.As(err, &refused) {
		t.Errorf("a wrong size: %v", err)
	}
	if _, err := artifact.PutTreeOf(ctx, s, artifact.Tree{Files: []artifact.File{{Path: "a", Digest: d, Size: 4}}}); err != nil {
		t.Errorf("a true tree: %v", err)
	}
}

// TestCheckoutLeavesNothing: whatever goes wrong, the folder is not there and
// nothing lies about beside it.
func TestCheckoutLeavesNothing(t *testing.T) {
	names := func(d unit.Digest) string { return filepath.Join("sha256", d.Hex()[:2], d.Hex()[2:]) }
	two := unit.DigestOf([]byte("two"))
	for _, row := range []struct {
		name  string
		given func(store string, tree unit.Digest) error
		want  string
	}{
		{"a file is gone", func(store string, _ unit.Digest) error { return os.Remove(filepath.Join(store, names(two))) }, "artifact.absent"},
		{"the listing is gone", func(store string, tree unit.Digest) error { return os.Remove(filepath.Join(store, names(tree))) }, "artifact.absent"},
		{"a file was changed", func(store string, _ unit.Digest) error { return overwrite(filepath.Join(store, names(two)), "tow") }, "artifact.corrupt"},
		{"a file was cut", func(store string, _ unit.Digest) error { return overwrite(filepath.Join(store, names(two)), "tw") }, "artifact.corrupt"},
		{"the listing was changed", func(store string, tree unit.Digest) error {
			return overwrite(filepath.Join(store, names(tree)), `{"format":"gaon.tree/1","files":[]}`)
		}, "artifact.corrupt"},
	} {
		t.Run(row.name, func(t *testing.T) {
			at := t.TempDir()
			s, err := folder.Open(at)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			d := putTree(t, s, sample)
			if err := row.given(at, d); err != nil {
				t.Fatal(err)
			}
			parent := t.TempDir()
			var coded interface{ Code() string }
			if err := artifact.Checkout(ctx, s, d, filepath.Join(parent, "in")); !errors.As(err, &coded) || coded.Code() != row.want {
				t.Errorf("check out: %v, want %s", err, row.want)
			}
			if left, _ := os.ReadDir(parent); len(left) != 0 {
				t.Errorf("left %v", left)
			}
			if err := artifact.Verify(ctx, s, d); !errors.As(err, &coded) || coded.Code() != row.want {
				t.Errorf("verify: %v, want %s", err, row.want)
			}
			if err := artifact.Copy(ctx, newStore(t), s, d); !errors.As(err, &coded) || coded.Code() != row.want {
				t.Errorf("copy: %v, want %s", err, row.want)
			}
		})
	}
}

func overwrite(name, text string) error {
	return errors.Join(os.Chmod(name, 0o600), os.WriteFile(name, []byte(text), 0o600))
}

func TestCheckoutKeepsWhatIsThere(t *testing.T) {
	s := newStore(t)
	d := putTree(t, s, sample)
	dir := t.TempDir()
	write(t, dir, map[string]string{"mine": "keep"})
	if err := artifact.Checkout(ctx, s, d, dir); !errors.Is(err, os.ErrExist) {
		t.Fatalf("want a refusal, got %v", err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "mine")); string(data) != "keep" {
		t.Fatalf("%q, %v", data, err)
	}
	empty := t.TempDir()
	if err := artifact.Checkout(ctx, s, d, empty); err != nil {
		t.Fatalf("an empty folder: %v", err)
	}
	mustHold(t, empty, sample)
	blob, _, _ := s.Put(ctx, strings.NewReader("no tree"))
	var refused *artifact.TreeError
	if err := artifact.Checkout(ctx, s, blob, filepath.Join(t.TempDir(), "in")); !errors.As(err, &refused) {
		t.Fatalf("a blob that is no tree: %v", err)
	}
}

func TestCopy(t *testing.T) {
	src, dst := newStore(t), newStore(t)
	d := putTree(t, src, sample)
	if err := artifact.Copy(ctx, dst, src, d); err != nil {
		t.Fatal(err)
	}
	if err := artifact.Verify(ctx, dst, d); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "in")
	if err := artifact.Checkout(ctx, dst, d, dir); err != nil {
		t.Fatal(err)
	}
	mustHold(t, dir, sample)
	var absent *artifact.AbsentError
	if err := artifact.Copy(ctx, dst, src, unit.DigestOf([]byte("no tree"))); !errors.As(err, &absent) {
		t.Fatalf("an absent tree: %v", err)
	}
}

func ExampleTree_Listing() {
	listing, _ := artifact.Tree{Files: []artifact.File{{Path: "a.txt", Digest: unit.DigestOf([]byte("hi")), Size: 2}}}.Listing()
	fmt.Println(string(listing))
	// Output: {"format":"gaon.tree/1","files":[{"path":"a.txt","digest":"sha256:8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4","size":2}]}
}
