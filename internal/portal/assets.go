package portal

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
)

// assetFiles are what the pages are made of besides HTML. What is not our own
// is put there by scripts/vendor-assets.sh, its licence beside it.
//
//go:embed assets
var assetFiles embed.FS

const assetsPath = "/assets/"

// assets serves the files under a name that changes with their bytes, so that
// browsers may keep them for ever.
type assets struct {
	version string
	files   map[string]asset
}

type asset struct {
	data, packed []byte // packed with gzip, nil where that gains nothing
	kind         string
}

// loadAssets reads and packs the files once for the whole process.
var loadAssets = sync.OnceValues(func() (*assets, error) {
	a := &assets{files: map[string]asset{}}
	entries, err := assetFiles.ReadDir("assets")
	if err != nil {
		return nil, err
	}
	all := sha256.New()
	for _, entry := range entries {
		data, err := assetFiles.ReadFile("assets/" + entry.Name())
		if err != nil {
			return nil, err
		}
		all.Write(data)
		file := asset{data: data, kind: mime.TypeByExtension(path.Ext(entry.Name()))}
		switch path.Ext(entry.Name()) { // the machine's own table may lack them
		case ".woff2":
			file.kind = "font/woff2"
		case ".js":
			file.kind = "text/javascript; charset=utf-8"
		}
		if file.packed, err = pack(data); err != nil {
			return nil, err
		}
		a.files[entry.Name()] = file
	}
	a.version = hex.EncodeToString(all.Sum(nil)[:6])
	return a, nil
})

func pack(data []byte) ([]byte, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if b.Len() > len(data)*9/10 {
		return nil, nil
	}
	return b.Bytes(), nil
}

// path is where a file is served.
func (a *assets) path(name string) string { return assetsPath + a.version + "/" + name }

// ServeHTTP answers for one file.
func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	version, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, assetsPath), "/")
	file, ok := a.files[name]
	if !ok || version != a.version {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", file.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Vary", "Accept-Encoding")
	data := file.data
	if file.packed != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		data = file.packed
	}
	_, _ = w.Write(data) // who asked may be gone
}
