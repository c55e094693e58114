package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/internal/ledger/ledgertest"
	"github.com/gaon-ai/gaon/internal/ledger/memory"
	"github.com/gaon-ai/gaon/proof"
)

// served is a log of n entries below /log/ of a server.
func served(t *testing.T, n int) (*memory.Ledger, string) {
	t.Helper()
	l, err := memory.Open(memory.NewDisk(), memory.Config{Key: ledgertest.Key(t)})
	if err != nil {
		t.Fatal(err)
	}
	add(t, l, n)
	mux := http.NewServeMux()
	mux.Handle("/log/", http.StripPrefix("/log", ledger.Handler(l)))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return l, server.URL + "/log"
}

func add(t *testing.T, l ledger.Ledger, n int) {
	t.Helper()
	head, err := l.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var batch [][]byte
	for i := range n {
		batch = append(batch, fmt.Appendf(nil, `{"seq":%d,"pad":"%s"}`, head.Size+int64(i), strings.Repeat("x", 100)))
	}
	if _, err := l.Append(t.Context(), head.Size, batch); err != nil {
		t.Fatal(err)
	}
}

// TestVerifyOverHTTP checks a served log from outside: whole, by receipt, and
// as a copy, while it grows.
func TestVerifyOverHTTP(t *testing.T) {
	l, url := served(t, 700)
	key := ledgertest.Key(t).Verifier()
	web := proof.Web(nil, url+"/")
	report, err := proof.VerifyLedger(t.Context(), web, proof.Options{Keys: []proof.VerifierKey{key}})
	if err != nil || report.Checkpoint.Size != 700 {
		t.Fatalf("%+v, %v", report, err)
	}
	old, err := web.ReadFile(t.Context(), proof.CheckpointPath)
	if err != nil {
		t.Fatal(err)
	}
	add(t, l, 300)
	text, err := proof.MakeReceipt(t.Context(), web, old, 650)
	if err != nil {
		t.Fatal(err)
	}
	list, err := l.Read(t.Context(), 650, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, index, err := proof.VerifyReceipt(text, list[0].Data, key); err != nil || index != 650 {
		t.Fatal(index, err)
	}
	report, err = proof.VerifyLedger(t.Context(), web, proof.Options{Keys: []proof.VerifierKey{key}, Earlier: [][]byte{old}})
	if err != nil || report.Checkpoint.Size != 1000 || report.Earlier != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	if _, err := proof.Export(t.Context(), web, t.TempDir(), nil); err != nil {
		t.Fatal(err)
	}
}

func TestServedFiles(t *testing.T) {
	_, url := served(t, 700)
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	for _, c := range []struct {
		method, path, accept  string
		status                int
		kind, cache, encoding string
	}{
		{"GET", "/checkpoint", "gzip", 200, "text/plain; charset=utf-8", "no-cache", ""},
		{"GET", "/tile/0/000", "gzip", 200, "application/octet-stream", "public, max-age=31536000, immutable", ""},
		{"GET", "/tile/0/002.p/188", "", 200, "application/octet-stream", "public, max-age=31536000, immutable", ""},
		{"GET", "/tile/1/000.p/2", "", 200, "application/octet-stream", "public, max-age=31536000, immutable", ""},
		{"GET", "/tile/entries/000", "", 200, "application/octet-stream", "public, max-age=31536000, immutable", ""},
		{"GET", "/tile/entries/000", "br, gzip;q=0.5", 200, "application/octet-stream", "public, max-age=31536000, immutable", "gzip"},
		{"GET", "/tile/entries/000", "gzip;q=0", 200, "application/octet-stream", "public, max-age=31536000, immutable", ""},
		{"HEAD", "/tile/entries/000", "gzip", 200, "application/octet-stream", "public, max-age=31536000, immutable", "gzip"},
		{"HEAD", "/checkpoint", "", 200, "text/plain; charset=utf-8", "no-cache", ""},
		{"GET", "/tile/0/003", "", 404, "text/plain; charset=utf-8", "no-store", ""},
		{"GET", "/tile/0/002.p/189", "", 404, "text/plain; charset=utf-8", "no-store", ""},
		{"GET", "/tile/data/000", "", 404, "text/plain; charset=utf-8", "no-store", ""},
		{"GET", "/", "", 404, "text/plain; charset=utf-8", "no-store", ""},
		{"GET", "/tile/0/%2e%2e/checkpoint", "", 404, "text/plain; charset=utf-8", "no-store", ""},
		{"POST", "/checkpoint", "", 405, "text/plain; charset=utf-8", "", ""},
		{"DELETE", "/tile/0/000", "", 405, "text/plain; charset=utf-8", "", ""},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, url+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept-Encoding", c.accept)
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		h := answer.Header
		if err != nil || answer.StatusCode != c.status || h.Get("Content-Type") != c.kind || h.Get("Cache-Control") != c.cache || h.Get("Content-Encoding") != c.encoding {
			t.Errorf("%s %s: %s %v %v", c.method, c.path, answer.Status, h, err)
		}
		if (len(body) > 0) != (c.method != "HEAD") {
			t.Errorf("%s %s: %d bytes", c.method, c.path, len(body))
		}
	}
}

// failing is a log whose disk is broken.
type failing struct{ err error }

func (f failing) ReadFile(context.Context, string) ([]byte, error) { return nil, f.err }

// TestServedFaults: a fault is told to the operator, not to the world.
func TestServedFaults(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
	}{
		{errors.New("secret path of a disk"), http.StatusInternalServerError},
		{ledger.ErrClosed, http.StatusServiceUnavailable},
	} {
		w := httptest.NewRecorder()
		ledger.Handler(failing{c.err}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/checkpoint", nil))
		if w.Code != c.status || strings.Contains(w.Body.String(), "secret") || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%v: status %d, %q", c.err, w.Code, w.Body)
		}
	}
}
