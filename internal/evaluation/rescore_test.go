package evaluation_test

import (
	"bytes"
	"maps"
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/evaluation"
)

func rawOf(t testing.TB) ([]byte, evaluation.Report) {
	var raw bytes.Buffer
	r, err := evaluation.Evaluate(t.Context(), evaluation.Config{Zstd: "-", Raw: &raw, Folder: t.TempDir(), Seed: 3}, trigram(), goodInput())
	if err != nil {
		t.Fatal(err)
	}
	return raw.Bytes(), r
}

func TestRescore(t *testing.T) {
	raw, report := rawOf(t)
	scores, err := evaluation.Rescore(bytes.NewReader(raw), 3)
	if err != nil || !maps.Equal(scores, report.Scores) {
		t.Fatalf("scores %v, %v; the report has %v", scores, err, report.Scores)
	}
}

// TestRescoreChanged: outputs that were cut or changed give an error or other
// scores, never the same.
func TestRescoreChanged(t *testing.T) {
	raw, report := rawOf(t)
	lines := strings.SplitAfter(string(raw), "\n")
	for _, row := range []struct{ name, text string }{
		{"empty", ""},
		{"no end", strings.Join(lines[:4], "")},
		{"half a line", string(raw[:len(raw)-9])},
		{"a document less", strings.Join(lines[1:], "")},
		{"a question less", strings.Join(append(append([]string{}, lines[:2]...), lines[3:]...), "")},
		{"another kind", strings.Replace(string(raw), `"searched"`, `"invented"`, 1)},
		{"other bits", strings.Replace(string(raw), `"bits":1`, `"bits":2`, 1)},
		{"other answer", strings.Replace(string(raw), `"answer":1`, `"answer":0`, 1)},
		{"answer outside", strings.Replace(string(raw), `"answer":1`, `"answer":9`, 1)},
		{"a leak", string(raw) + `{"kind":"contamination","of":"choice","id":"1"}` + "\n"},
	} {
		scores, err := evaluation.Rescore(strings.NewReader(row.text), 3)
		if err == nil && maps.Equal(scores, report.Scores) {
			t.Errorf("%s: the scores are the same", row.name)
		}
	}
}

func FuzzRescore(f *testing.F) {
	raw, _ := rawOf(f)
	f.Add(raw)
	f.Add([]byte(`{"kind":"choice","nats":[0],"bytes":[0]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if scores, err := evaluation.Rescore(bytes.NewReader(data), 3); err == nil && len(scores) == 0 {
			t.Error("no error and no scores")
		}
	})
}
