// Package modelsign signs a model's folder and checks such a signature, in the
// OpenSSF Model Signing 1.0 format with the key method: a Sigstore bundle v0.3
// that holds a DSSE envelope with an in-toto statement naming every file.
//
// It is not a key store, it trusts no certificate and asks no server: the
// caller brings the public key it trusts, and everything is checked offline.
// It knows nothing of what the files mean; package passport does.
//
// Begin with Sign and Verify. Where the key lives elsewhere, the steps are
// Measure (hash the folder), Statement (what is to be signed) and
// SignStatement (beside the key).
//
// Specification: https://github.com/ossf/model-signing-spec spec/v1.0.md,
// cited below as OMS.
package modelsign

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/proof/internal/strict"
)

// Names fixed by the formats.
const (
	SignatureFile = "model.sig" // where a bundle stands inside the model's folder (OMS 9)

	PayloadType   = "application/vnd.in-toto+json"
	PredicateType = "https://model_signing/signature/v1.0"
	statementType = "https://in-toto.io/Statement/v1"

	methodFiles = "files"
	hashSHA256  = "sha256"
)

// Limits on what a signature may name. A statement of filesMax files with
// names of usual length is about 20 MB.
const (
	filesMax       = 100_000
	nameBytesMax   = 4096
	ignoreMax      = 1024
	bundleBytesMax = 64 << 20
)

// Excluded are the paths no signature covers, at the top of the folder only
// (OMS 6.2): a .git elsewhere is signed like any other file.
func Excluded() []string {
	return []string{".git", ".gitattributes", ".github", ".gitignore"}
}

// Manifest is what a signature says of a model: its files and their digests.
type Manifest struct {
	Name      string     // the model's name, informational (OMS 6.5)
	Resources []Resource // sorted by name in code point order, none twice
	Ignored   []string   // paths left out of the signature, with all below them
}

// Resource is one file: its path below the model's folder with "/" between
// the parts, and the SHA-256 of its content.
type Resource struct {
	Name   string
	Digest unit.Digest
}

// Root returns the model's root digest: SHA-256 over the concatenated raw
// digests of the files in the manifest's order (OMS 6.5.1).
func (m Manifest) Root() unit.Digest {
	sum := sha256.New()
	for _, r := range m.Resources {
		raw, _ := hex.DecodeString(r.Digest.Hex())
		sum.Write(raw)
	}
	return unit.NewDigest([sha256.Size]byte(sum.Sum(nil)))
}

// Digest returns the digest of the named file, and whether it is named at all.
func (m Manifest) Digest(name string) (unit.Digest, bool) {
	i := slices.IndexFunc(m.Resources, func(r Resource) bool { return r.Name == name })
	if i < 0 {
		return "", false
	}
	return m.Resources[i].Digest, true
}

// The in-toto statement (in-toto attestation framework, Statement v1) with the
// model signing predicate (OMS 5.2). The order of fields is the order of
// encoding.
type statement struct {
	Type          string    `json:"_type"`
	Subject       []subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     predicate `json:"predicate"`
}

type subject struct {
	_      struct{}          `strict:"open"`
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

type predicate struct {
	Serialization serialization `json:"serialization"`
	Resources     []resource    `json:"resources"`
}

type serialization struct {
	Method        string   `json:"method"`
	HashType      string   `json:"hash_type"`
	AllowSymlinks bool     `json:"allow_symlinks"`
	ShardSize     *int64   `json:"shard_size,omitempty"`
	IgnorePaths   []string `json:"ignore_paths,omitempty"`
}

// resource is an in-toto resource descriptor; a reader must let pass the
// fields it does not know here (OMS 5.2.1), and in the subject, which has the
// same form.
type resource struct {
	_         struct{} `strict:"open"`
	Name      string   `json:"name"`
	Digest    string   `json:"digest"`
	Algorithm string   `json:"algorithm"`
}

// Statement returns the in-toto statement over the manifest's files, ready to
// be signed. The same manifest always gives the same bytes. The name is the
// model's; empty takes the manifest's.
func Statement(m Manifest, name string) ([]byte, error) {
	if name == "" {
		name = m.Name
	}
	m.Name = name
	if err := m.check(); err != nil {
		return nil, err
	}
	s := statement{
		Type:          statementType,
		Subject:       []subject{{Name: name, Digest: map[string]string{hashSHA256: m.Root().Hex()}}},
		PredicateType: PredicateType,
		Predicate: predicate{
			Serialization: serialization{Method: methodFiles, HashType: hashSHA256, IgnorePaths: m.Ignored},
			Resources:     make([]resource, len(m.Resources)),
		},
	}
	for i, r := range m.Resources {
		s.Predicate.Resources[i] = resource{Name: r.Name, Digest: r.Digest.Hex(), Algorithm: hashSHA256}
	}
	return encode(s)
}

// encode writes JSON without the HTML escapes and the line feed that
// encoding/json adds by default.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// check refuses a manifest no statement may carry.
func (m Manifest) check() error {
	if m.Name == "" || !utf8.ValidString(m.Name) {
		return &FormatError{Field: "subject[0].name", Problem: "empty or not UTF-8"}
	}
	if len(m.Resources) == 0 {
		return &FormatError{Field: "predicate.resources", Problem: "no files: an empty model cannot be signed"}
	}
	if len(m.Resources) > filesMax {
		return &FormatError{Field: "predicate.resources", Problem: fmt.Sprintf("%d files, at most %d are allowed", len(m.Resources), filesMax)}
	}
	for i, r := range m.Resources {
		field := fmt.Sprintf("predicate.resources[%d]", i)
		if problem := nameProblem(r.Name); problem != "" {
			return &FormatError{Field: field + ".name", Problem: fmt.Sprintf("%q: %s", r.Name, problem)}
		}
		if _, err := unit.ParseDigest(string(r.Digest)); err != nil {
			return &FormatError{Field: field + ".digest", Problem: "not 64 lower-case hex digits"}
		}
		if i > 0 && m.Resources[i-1].Name >= r.Name {
			return &FormatError{Field: field + ".name", Problem: fmt.Sprintf("%q is out of order or given twice", r.Name)}
		}
	}
	return checkIgnored(m.Ignored, "predicate.serialization.ignore_paths")
}

// nameProblem says what is wrong with a path below the model's folder
// (OMS 6.1.2), or nothing.
func nameProblem(name string) string {
	switch {
	case name == "":
		return "empty path"
	case len(name) > nameBytesMax:
		return fmt.Sprintf("path longer than %d bytes", nameBytesMax)
	case !utf8.ValidString(name) || strings.ContainsRune(name, 0):
		return "path is not valid UTF-8 text"
	case strings.HasPrefix(name, "/"):
		return "path must be relative to the model's folder"
	case name == "." || name == ".." || strings.HasPrefix(name, "../"):
		return "path leaves or names the model's folder"
	case path.Clean(name) != name:
		return "path is not in its shortest form"
	}
	return ""
}

// checkIgnored checks the form of ignored paths (OMS 6.2.1). A pattern is
// refused: it could hide more than a reader expects.
func checkIgnored(paths []string, field string) error {
	if len(paths) > ignoreMax {
		return &FormatError{Field: field, Problem: fmt.Sprintf("%d paths, at most %d are allowed", len(paths), ignoreMax)}
	}
	for i, p := range paths {
		problem := nameProblem(p)
		if problem == "" && strings.ContainsAny(p, "*?[") {
			problem = "patterns are not allowed, name the path itself"
		}
		if problem != "" {
			return &FormatError{Field: fmt.Sprintf("%s[%d]", field, i), Problem: fmt.Sprintf("%q: %s", p, problem)}
		}
	}
	return nil
}

// parseStatement reads a signed statement back (OMS 8.3).
//
// Order is checked only through the root digest: the Python implementation
// sorts by path parts, so "a/x" stands before "a-b/x" there, and such a
// signature is as good as ours. The manifest returned is in code point order.
func parseStatement(data []byte) (Manifest, error) {
	var s statement
	if err := strict.Decode(data, &s); err != nil {
		return Manifest{}, formatError("statement", err)
	}
	switch {
	case s.Type != statementType:
		return Manifest{}, &FormatError{Field: "statement._type", Problem: fmt.Sprintf("%q, want %q", s.Type, statementType)}
	case s.PredicateType != PredicateType:
		return Manifest{}, &FormatError{Field: "statement.predicateType", Problem: fmt.Sprintf("%q, want %q", s.PredicateType, PredicateType)}
	case len(s.Subject) != 1:
		return Manifest{}, &FormatError{Field: "statement.subject", Problem: fmt.Sprintf("%d subjects, want 1", len(s.Subject))}
	}
	if err := checkSerialization(s.Predicate.Serialization); err != nil {
		return Manifest{}, err
	}
	m := Manifest{Name: s.Subject[0].Name, Ignored: s.Predicate.Serialization.IgnorePaths}
	for i, r := range s.Predicate.Resources {
		if r.Algorithm != hashSHA256 {
			return Manifest{}, &FormatError{Field: fmt.Sprintf("predicate.resources[%d].algorithm", i), Problem: fmt.Sprintf("%q is not supported, want sha256", r.Algorithm)}
		}
		m.Resources = append(m.Resources, Resource{Name: r.Name, Digest: unit.Digest("sha256:" + r.Digest)})
	}
	root := m.Root()
	slices.SortFunc(m.Resources, func(a, b Resource) int { return strings.Compare(a.Name, b.Name) })
	if err := m.check(); err != nil {
		return Manifest{}, err
	}
	if got := s.Subject[0].Digest[hashSHA256]; got != root.Hex() {
		return Manifest{}, &FormatError{Field: "subject[0].digest.sha256", Problem: fmt.Sprintf("%q, but the files listed give %s", got, root.Hex())}
	}
	return m, nil
}

func checkSerialization(s serialization) error {
	switch {
	case s.Method != methodFiles:
		return &FormatError{Field: "predicate.serialization.method", Problem: fmt.Sprintf("%q is not supported, want files", s.Method)}
	case s.ShardSize != nil:
		return &FormatError{Field: "predicate.serialization.shard_size", Problem: "must be absent with the method files"}
	case s.HashType != hashSHA256:
		return &FormatError{Field: "predicate.serialization.hash_type", Problem: fmt.Sprintf("%q is not supported, want sha256", s.HashType)}
	case s.AllowSymlinks:
		return &FormatError{Field: "predicate.serialization.allow_symlinks", Problem: "models with symbolic links are refused"}
	}
	return nil
}
