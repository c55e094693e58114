package passport

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/proof/modelsign"
)

// Kinds of views. The provenance of a stage is the kind "provenance-" and the
// stage's name.
const (
	ViewCycloneDX = "cyclonedx"
	ViewSPDX      = "spdx"
	ViewEU        = "eu-training-content"
	ViewNotice    = "notice-ko"
)

var viewKinds = []string{ViewCycloneDX, ViewSPDX, ViewEU, ViewNotice,
	"provenance-" + StageCurate, "provenance-" + StageTokenizer, "provenance-" + StageTrain, "provenance-" + StageEvaluate}

// viewOf makes one view and says where it stands.
type viewOf struct {
	kind, name, mediaType string
	make                  func(Passport) ([]byte, error)
}

func viewMakers(p Passport) []viewOf {
	makers := []viewOf{
		{ViewCycloneDX, "bom.cdx.json", "application/vnd.cyclonedx+json; version=1.6", CycloneDX},
		{ViewSPDX, "bom.spdx.json", "application/spdx+json", SPDX},
		{ViewEU, "eu-training-content.md", "text/markdown", EUTrainingContent},
		{ViewNotice, "notice-ko.md", "text/markdown", NoticeKo},
	}
	for _, s := range p.Stages {
		makers = append(makers, viewOf{"provenance-" + s.Kind, "provenance-" + s.Kind + ".json", "application/vnd.in-toto+json",
			func(p Passport) ([]byte, error) { return Provenance(p, s.Kind) }})
	}
	return makers
}

// Write completes the passport and puts it, with its views, into the model's
// folder, ready to be signed. It fills in what follows from the rest (format,
// independence, views) and returns the passport as written. A passport that
// Check refuses is not written.
//
// Views never restate the list of views, so there is no circle: they are made
// first, and the document then names their digests.
func Write(dir string, p Passport) (Passport, error) {
	p.Format = Format
	p.Independence = DeriveIndependence(p)
	p.Views = nil
	contents := map[string][]byte{}
	for _, v := range viewMakers(p) {
		data, err := v.make(p)
		if err != nil {
			return Passport{}, fmt.Errorf("view %s: %w", v.kind, err)
		}
		name := path.Join(ViewFolder, v.name)
		contents[name] = data
		p.Views = append(p.Views, View{Kind: v.kind, Path: name, MediaType: v.mediaType, Digest: unit.DigestOf(data)})
	}
	if err := Check(p); err != nil {
		return Passport{}, err
	}
	document, err := Encode(p)
	if err != nil {
		return Passport{}, err
	}
	if len(document) > passportBytesMax {
		return Passport{}, &FieldError{Field: "document", Problem: fmt.Sprintf("%d bytes, at most %d are read: leave out the listings that prove nothing, such as those of sources", len(document), passportBytesMax)}
	}
	if err := os.MkdirAll(filepath.Join(dir, ViewFolder), 0o755); err != nil {
		return Passport{}, fmt.Errorf("write views: %w", err)
	}
	for _, view := range p.Views {
		if err := writeFile(filepath.Join(dir, filepath.FromSlash(view.Path)), contents[view.Path]); err != nil {
			return Passport{}, err
		}
	}
	return p, writeFile(filepath.Join(dir, File), document)
}

// ListFiles lists the model's own files below dir, for Passport.Files: all but
// the passport, its views and its signature. Roles follow the names that
// Hugging Face gives such files.
func ListFiles(dir string) ([]ModelFile, error) {
	m, err := modelsign.Measure(dir, append(Ignored(), File, ViewFolder))
	if err != nil {
		return nil, err
	}
	files := make([]ModelFile, 0, len(m.Resources))
	for _, r := range m.Resources {
		info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(r.Name)))
		if err != nil {
			return nil, fmt.Errorf("list files: %w", err)
		}
		files = append(files, ModelFile{Path: r.Name, Role: roleOf(r.Name), Digest: r.Digest, Size: unit.Bytes(info.Size())})
	}
	return files, nil
}

func roleOf(name string) string {
	base := path.Base(name)
	switch {
	case strings.HasSuffix(base, ".safetensors"), strings.HasSuffix(base, ".gguf"):
		return FileWeights
	case slices.Contains([]string{"tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt"}, base):
		return FileTokenizer
	case strings.HasSuffix(base, "config.json"), strings.HasSuffix(base, ".safetensors.index.json"), base == "special_tokens_map.json":
		return FileConfiguration
	}
	return FileDocument
}

// stamp writes an instant as RFC 3339 in UTC, to the second as SPDX wants it.
func stamp(at unit.Instant) string {
	return time.UnixMilli(int64(at)).UTC().Format(time.RFC3339)
}

// day writes the date alone.
func day(at unit.Instant) string {
	if at == 0 {
		return notStated
	}
	return time.UnixMilli(int64(at)).UTC().Format(time.DateOnly)
}

// notStated stands in the views for what the passport does not know.
const notStated = "not stated"

func countText(n int64) string {
	if n == Unknown {
		return notStated
	}
	return fmt.Sprint(n)
}

// uuidOf makes a UUID that depends on the digest alone (RFC 9562, version 8).
func uuidOf(d unit.Digest) string {
	hex := []byte(d.Hex()[:32])
	hex[12] = '8'
	hex[16] = "89ab"[hex[16]%4]
	return fmt.Sprintf("%s-%s-%s-%s-%s", hex[:8], hex[8:12], hex[12:16], hex[16:20], hex[20:])
}
