package artifact

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/gaon-ai/gaon/internal/unit"
)

// TreeFormat is the format of the listings this program writes and reads.
const TreeFormat = "gaon.tree/1"

// treePrefix begins every listing of any version, and hardly anything else.
const treePrefix = `{"format":"gaon.tree/`

// Bounds of a tree. A listing takes about 130 bytes a file.
const (
	listingBytesMax = 64 << 20
	pathBytesMax    = 1024
	elementBytesMax = 255
	fileSizeMax     = unit.Bytes(1) << 53 // exact in every JSON reader
)

// Tree lists files by path. It is named by the digest of its Listing.
type Tree struct {
	Format string `json:"format"`
	Files  []File `json:"files"` // by path, in byte order
}

// File is one file of a tree.
type File struct {
	Path   string      `json:"path"` // relative, with slashes
	Digest unit.Digest `json:"digest"`
	Size   unit.Bytes  `json:"size"`
}

// Size returns the size of all files together.
func (t Tree) Size() unit.Bytes {
	var sum unit.Bytes
	for _, f := range t.Files {
		sum += f.Size
	}
	return sum
}

// Find returns the file at the path.
func (t Tree) Find(name string) (File, bool) {
	at, found := slices.BinarySearchFunc(t.Files, name, func(f File, name string) int { return strings.Compare(f.Path, name) })
	if !found {
		return File{}, false
	}
	return t.Files[at], true
}

// TreeError refuses a tree: a listing that is not what it should be, or a
// folder that holds what a tree cannot.
type TreeError struct {
	Path    string // of the file at fault, empty for the tree as a whole
	Problem string
}

// Code names the refusal for programs.
func (e *TreeError) Code() string { return "artifact.tree" }

func (e *TreeError) Error() string {
	if e.Path == "" {
		return "tree: " + e.Problem
	}
	return fmt.Sprintf("tree: file %q %s", e.Path, e.Problem)
}

// Hint says what to do next.
func (e *TreeError) Hint() string {
	return "keep regular files with plain names only; copy what a link points to instead of the link"
}

// Listing returns the tree's bytes: JSON without spaces, files by path. There
// is one listing for one set of files, so equal folders have equal names.
func (t Tree) Listing() ([]byte, error) {
	files := slices.Clone(t.Files)
	if files == nil {
		files = []File{}
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	t = Tree{TreeFormat, files}
	if err := t.check(); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(t); err != nil {
		return nil, err
	}
	if out.Len() > listingBytesMax {
		return nil, &TreeError{"", fmt.Sprintf("its listing is longer than %s: pack small files together", unit.Bytes(listingBytesMax))}
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// ParseTree reads a listing. It accepts exactly the bytes that Listing writes,
// so a tree has one name and no reader can see another tree in the same bytes.
func ParseTree(data []byte) (Tree, error) {
	if len(data) > listingBytesMax {
		return Tree{}, &TreeError{"", fmt.Sprintf("its listing is longer than %s", unit.Bytes(listingBytesMax))}
	}
	var t Tree
	if err := json.Unmarshal(data, &t); err != nil {
		return Tree{}, &TreeError{"", "is no listing: " + err.Error()}
	}
	if t.Format != TreeFormat {
		return Tree{}, &TreeError{"", fmt.Sprintf("is of format %.40q, this program reads %s", t.Format, TreeFormat)}
	}
	written, err := t.Listing()
	if err != nil {
		return Tree{}, err
	}
	if !bytes.Equal(written, data) {
		return Tree{}, &TreeError{"", "is not in its one canonical form"}
	}
	return t, nil
}

// check holds every file against the rules; Files is sorted by path.
func (t Tree) check() error {
	folded := map[string]string{} // each path and folder, as a careless file system sees it
	folders := map[string]bool{}
	fold := cases.Fold()
	for i, f := range t.Files {
		if err := CheckPath(f.Path); err != nil {
			return err
		}
		if _, err := unit.ParseDigest(string(f.Digest)); err != nil {
			return &TreeError{f.Path, "has no digest: " + err.Error()}
		}
		if f.Size < 0 || f.Size > fileSizeMax {
			return &TreeError{f.Path, fmt.Sprintf("has an impossible size of %d", f.Size)}
		}
		if i > 0 && t.Files[i-1].Path == f.Path {
			return &TreeError{f.Path, "is listed twice"}
		}
		// Some file systems take A for a, or composed Hangul for decomposed:
		// there two files would silently become one.
		for p := f.Path; p != "."; p = path.Dir(p) {
			key := norm.NFC.String(fold.String(norm.NFC.String(p)))
			if other, seen := folded[key]; seen && other != p {
				return &TreeError{f.Path, fmt.Sprintf("differs from %q only in case or composition", other)}
			}
			if p != f.Path && folders[p] {
				break // it and all above it were seen
			}
			folded[key] = p
			folders[p] = folders[p] || p != f.Path
		}
	}
	for _, f := range t.Files {
		if folders[f.Path] {
			return &TreeError{f.Path, "is listed as a file and as a folder"}
		}
	}
	return nil
}

// CheckPath refuses what is no safe path inside a folder on every system.
func CheckPath(p string) error {
	problem := ""
	switch {
	case p == "":
		problem = "has no name"
	case len(p) > pathBytesMax:
		problem = fmt.Sprintf("has a path longer than %d bytes", pathBytesMax)
	case !utf8.ValidString(p):
		problem = "has a name that is not valid UTF-8"
	case strings.ContainsFunc(p, func(r rune) bool { return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp) }):
		problem = "has control characters in its name"
	case strings.ContainsAny(p, `\:`):
		problem = "has a backslash or colon in its name"
	case strings.HasPrefix(p, "/") || path.Clean(p) != p || p == "." || p == ".." || strings.HasPrefix(p, "../"):
		problem = "is not a plain relative path"
	case slices.ContainsFunc(strings.Split(p, "/"), func(e string) bool { return len(e) > elementBytesMax }):
		problem = fmt.Sprintf("has a name longer than %d bytes", elementBytesMax)
	default:
		return nil
	}
	if len(p) > 80 {
		p = strings.ToValidUTF8(p[:80], "") + "…"
	}
	return &TreeError{p, problem}
}

// PutTreeOf stores the listing of a tree whose files are in the store, and
// renews them: a tree is never younger than its files when it appears, so
// Collect cannot take them from under it.
// It returns *AbsentError for a file that is not, and *TreeError for one of
// another size than the tree says.
func PutTreeOf(ctx context.Context, s Store, t Tree) (unit.Digest, error) {
	listing, err := t.Listing()
	if err != nil {
		return "", err
	}
	for _, f := range t.Files {
		if err := s.Renew(ctx, f.Digest); err != nil {
			return "", fmt.Errorf("tree file %q: %w", f.Path, err)
		}
		size, err := s.Size(ctx, f.Digest)
		if err != nil {
			return "", fmt.Errorf("tree file %q: %w", f.Path, err)
		}
		if size != f.Size {
			return "", &TreeError{f.Path, fmt.Sprintf("has %d bytes in the store, %d in the listing", size, f.Size)}
		}
	}
	d, _, err := s.Put(ctx, bytes.NewReader(listing))
	return d, err
}

// ReadTree reads a listing from the store, verified and checked: *AbsentError,
// *CorruptError, or *TreeError when the blob is no tree.
func ReadTree(ctx context.Context, s Store, d unit.Digest) (Tree, error) {
	r, err := s.Open(ctx, d)
	if err != nil {
		return Tree{}, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, listingBytesMax+1))
	if err != nil {
		return Tree{}, err
	}
	return ParseTree(data)
}

// Renew makes an artifact count as put now, with all its files if it is a tree.
// Whoever is about to write an entry that names an artifact stored long ago
// calls it first, so that no collection takes it in between.
func Renew(ctx context.Context, s Store, d unit.Digest) error {
	t, isTree, err := readIfTree(ctx, s, d)
	if err != nil {
		return err
	}
	if isTree {
		for _, f := range t.Files {
			if err := s.Renew(ctx, f.Digest); err != nil {
				return fmt.Errorf("tree file %q: %w", f.Path, err)
			}
		}
	}
	return s.Renew(ctx, d)
}

// readIfTree returns the tree if the blob is one. It reads no more of other
// blobs than their beginning. A listing of a newer version is an error: this
// program cannot know what it names.
func readIfTree(ctx context.Context, s Store, d unit.Digest) (Tree, bool, error) {
	r, err := s.Open(ctx, d)
	if err != nil {
		return Tree{}, false, err
	}
	defer r.Close()
	head := make([]byte, len(treePrefix))
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && err != io.EOF {
		return Tree{}, false, err
	}
	if string(head[:n]) != treePrefix {
		return Tree{}, false, nil
	}
	data, err := io.ReadAll(io.LimitReader(r, listingBytesMax+1))
	if err != nil {
		return Tree{}, false, err
	}
	t, err := ParseTree(append(head, data...))
	if err == nil {
		return t, true, nil
	}
	var any struct{ Format string }
	if json.Unmarshal(append(head, data...), &any) == nil && any.Format != TreeFormat {
		return Tree{}, false, fmt.Errorf("artifact %s: %w", d, err)
	}
	return Tree{}, false, nil // a file that only begins like a listing
}
