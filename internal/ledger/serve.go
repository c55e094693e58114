package ledger

import (
	"compress/gzip"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/gaon-ai/gaon/proof"
)

const (
	// cacheForever: what a tile's path names never changes.
	cacheForever = "public, max-age=31536000, immutable"
	// cacheHead: the head changes with every batch.
	cacheHead = "no-cache"

	gzipBytesMin = 1024 // shorter bundles gain nothing
)

// Handler serves a log as c2sp.org/tlog-tiles says: "checkpoint", "tile/…" and
// "tile/entries/…" below its root. Mount it with its prefix cut off:
//
//	mux.Handle("/log/", http.StripPrefix("/log", ledger.Handler(l)))
//
// It asks nobody who they are: entries are public to whoever reaches it.
// Personal details are in none of them.
func Handler(log proof.Source) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "a log is only read: use GET", http.StatusMethodNotAllowed)
			return
		}
		path := strings.TrimPrefix(r.URL.Path, "/")
		data, err := log.ReadFile(r.Context(), path)
		if err != nil {
			refuse(w, r, path, err)
			return
		}
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Access-Control-Allow-Origin", "*") // a page elsewhere may check the log too
		if path == proof.CheckpointPath {
			h.Set("Content-Type", "text/plain; charset=utf-8")
			h.Set("Cache-Control", cacheHead)
		} else {
			h.Set("Content-Type", "application/octet-stream")
			h.Set("Cache-Control", cacheForever)
		}
		send(w, r, data, strings.HasPrefix(path, "tile/entries/"))
	})
}

// send writes the answer, a bundle of entries compressed where the client can
// read that. Hashes do not compress.
func send(w http.ResponseWriter, r *http.Request, data []byte, entries bool) {
	if !entries {
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		if r.Method == http.MethodGet {
			_, _ = w.Write(data) // the client is gone: nobody is left to tell
		}
		return
	}
	w.Header().Add("Vary", "Accept-Encoding")
	if len(data) < gzipBytesMin || !acceptsGzip(r.Header.Get("Accept-Encoding")) {
		send(w, r, data, false)
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	if r.Method == http.MethodHead {
		return
	}
	z := gzip.NewWriter(w)
	_, _ = z.Write(data)
	_ = z.Close()
}

// acceptsGzip reads an Accept-Encoding header (RFC 9110, section 12.5.3).
func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, parameter, _ := strings.Cut(part, ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		q, found := strings.CutPrefix(strings.TrimSpace(parameter), "q=")
		weight, err := strconv.ParseFloat(q, 64)
		return !found || err == nil && weight > 0
	}
	return false
}

// refuse tells the client little and the operator all.
func refuse(w http.ResponseWriter, r *http.Request, path string, err error) {
	w.Header().Set("Cache-Control", "no-store")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		http.Error(w, "the log has no such file", http.StatusNotFound)
	case r.Context().Err() != nil:
		// The client went away.
	case errors.Is(err, ErrClosed):
		http.Error(w, "the centre is stopping: try again in a moment", http.StatusServiceUnavailable)
	default:
		slog.ErrorContext(r.Context(), "serve log", "path", path, "error", err)
		http.Error(w, "the log cannot be read now", http.StatusInternalServerError)
	}
}
