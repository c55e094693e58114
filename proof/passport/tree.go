package passport

import (
	"fmt"
	"slices"

	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/proof/internal/strict"
)

// TreeFormat is the value of the field format of a tree's listing.
const TreeFormat = "gaon.tree/1"

// Tree is the listing of a tree of files, as the artifact store keeps it: the
// SHA-256 of its bytes is the tree's digest, so that a listing whose digest
// fits says which files, of which content, the tree has.
type Tree struct {
	Format string     `json:"format"`
	Files  []TreeFile `json:"files"` // sorted by path, none twice
}

// TreeFile is one file of a tree.
type TreeFile struct {
	Path   string      `json:"path"`
	Digest unit.Digest `json:"digest"`
	Size   unit.Bytes  `json:"size"`
}

// ParseTree reads a listing.
func ParseTree(listing []byte) (Tree, error) {
	var t Tree
	if err := strict.Decode(listing, &t); err != nil {
		return Tree{}, fmt.Errorf("listing of a tree: %w", err)
	}
	if t.Format != TreeFormat {
		return Tree{}, fmt.Errorf("listing of a tree: format %q is not known, want %q", t.Format, TreeFormat)
	}
	for i, file := range t.Files {
		if _, err := unit.ParseDigest(string(file.Digest)); err != nil {
			return Tree{}, fmt.Errorf("listing of a tree: files[%d]: %w", i, err)
		}
		if i > 0 && t.Files[i-1].Path >= file.Path {
			return Tree{}, fmt.Errorf("listing of a tree: files[%d]: %q is out of order or given twice", i, file.Path)
		}
	}
	return t, nil
}

// listed returns the files that the material is proved to have: those of its
// listing, if the listing's digest is the material's.
func listed(m Material) []TreeFile {
	if m.Listing == "" || unit.DigestOf([]byte(m.Listing)) != m.Digest {
		return nil
	}
	t, err := ParseTree([]byte(m.Listing))
	if err != nil {
		return nil
	}
	return t.Files
}

// covers tells whether the digest is one of the materials' or, by their
// listings, of one of their files.
func covers(materials []Material, digest unit.Digest) bool {
	return slices.ContainsFunc(materials, func(m Material) bool {
		return m.Digest == digest || slices.ContainsFunc(listed(m), func(f TreeFile) bool { return f.Digest == digest })
	})
}

// listing checks what a material says of its files.
func (f *finder) listing(field string, m Material) {
	if m.Listing == "" {
		f.need(len(m.Files) == 0, field+".files", "are named without the listing that proves them")
		return
	}
	if got := unit.DigestOf([]byte(m.Listing)); got != m.Digest {
		f.add(field+".listing", "has the digest %s, the material has %s", got, m.Digest)
		return
	}
	t, err := ParseTree([]byte(m.Listing))
	if err != nil {
		f.add(field+".listing", "%v", err)
		return
	}
	for i, file := range m.Files {
		f.need(slices.ContainsFunc(t.Files, func(t TreeFile) bool { return t.Path == file.Path && t.Digest == file.Digest }),
			fmt.Sprintf("%s.files[%d]", field, i), "%s (%s) is not in the listing", file.Path, file.Digest)
	}
}
