package evaluation_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"iter"
	"os"
	"path/filepath"
	"testing"

	"github.com/gaon-ai/gaon/internal/evaluation"
)

func docs(texts []string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, text := range texts {
			if !yield(text, nil) {
				return
			}
		}
	}
}

func held(texts []string) []evaluation.Document {
	out := make([]evaluation.Document, len(texts))
	for i, text := range texts {
		out[i].Text = text
	}
	return out
}

// reviews returns up to size bytes of Korean film reviews, one document each,
// from the shared data. Where the data is missing it skips, but never in CI.
func reviews(tb testing.TB, size int) []string {
	tb.Helper()
	f, err := os.Open(filepath.Join(sharedData(tb), "ko-nsmc", "reviews.jsonl.gz"))
	if err != nil {
		missing(tb, err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	var out []string
	for lines := bufio.NewScanner(z); size > 0 && lines.Scan(); {
		var row struct{ Text string }
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			tb.Fatal(err)
		}
		out = append(out, row.Text)
		size -= len(row.Text)
	}
	return out
}

func sharedData(tb testing.TB) string {
	tb.Helper()
	if dir := os.Getenv("GAON_SHARED_DATA"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		candidate := filepath.Join(dir, "shared", "data")
		if _, err := os.Stat(candidate); err == nil {
			return candidate
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			missing(tb, os.ErrNotExist)
		}
		dir = parent
	}
}

func missing(tb testing.TB, err error) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatalf("missing in CI: %v", err)
	}
	tb.Skipf("missing: %v", err)
}
