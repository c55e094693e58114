package sample_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"

	"github.com/gaon-ai/gaon/internal/corpus"
	"github.com/gaon-ai/gaon/internal/evaluation"
	"github.com/gaon-ai/gaon/internal/sample"
)

// The prose is enough to learn from, and of several subjects and registers.
func TestProse(t *testing.T) {
	korean, latin, subjects, seen := 0, 0, map[string]int{}, map[string]bool{}
	number := regexp.MustCompile(`-\d+$`)
	for _, d := range sample.Documents() {
		if seen[d.ID] || !utf8.ValidString(d.Text) || len(d.Text) < 200 {
			t.Errorf("document %s: twice %v, %d bytes", d.ID, seen[d.ID], len(d.Text))
		}
		seen[d.ID] = true
		subjects[number.ReplaceAllString(d.ID, "")]++
		for _, r := range d.Text {
			switch {
			case unicode.Is(unicode.Hangul, r):
				korean += utf8.RuneLen(r)
			case unicode.Is(unicode.Latin, r):
				latin++
			}
		}
	}
	if korean < 300_000 {
		t.Errorf("%d bytes of Korean, want at least 300 kB", korean)
	}
	if latin < 10_000 || len(subjects) < 5 {
		t.Errorf("%d letters of Latin, subjects %v", latin, slices.Sorted(maps.Keys(subjects)))
	}
}

func TestQuestions(t *testing.T) {
	items, err := evaluation.ReadItems("choice.jsonl", bytes.NewReader(sample.Questions()))
	if err != nil {
		t.Fatal(err)
	}
	answers := map[int]int{}
	for _, item := range items {
		answers[item.Answer]++
	}
	// A guesser who always takes the same place must not do well.
	for place, n := range answers {
		if n*2 > len(items) {
			t.Errorf("%d of %d answers stand in place %d", n, len(items), place)
		}
	}
	if len(items) < 40 {
		t.Errorf("%d questions", len(items))
	}
}

func TestSeededIsTheSameEachTime(t *testing.T) {
	first, truth := sample.Seeded()
	again, _ := sample.Seeded()
	if !slices.Equal(first, again) {
		t.Error("two seedings differ")
	}
	if len(truth.Exact) == 0 || len(truth.Near) == 0 || len(truth.Junk) == 0 || len(truth.Contaminated) == 0 || len(truth.Personal) < 8 {
		t.Errorf("%+v", truth)
	}
	a, b := t.TempDir(), t.TempDir()
	for _, dir := range []string{a, b} {
		if _, err := sample.Write(dir, filepath.Join(dir, "eval")); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"part-0.jsonl", "part-1.jsonl.gz", "part-2.jsonl.zst", "eval/choice.jsonl"} {
		if !bytes.Equal(read(t, a, name), read(t, b, name)) {
			t.Errorf("%s differs from time to time: its digest would", name)
		}
	}
}

func read(t *testing.T, parts ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// junkReasons are those for which a document that is no prose may be dropped.
var junkReasons = []string{corpus.ReasonLanguage, corpus.ReasonTooFewWords, corpus.ReasonTooManyWords, corpus.ReasonWordLength, corpus.ReasonSymbols,
	corpus.ReasonBullets, corpus.ReasonEllipsis, corpus.ReasonFewLetters, corpus.ReasonFewStopWords, corpus.ReasonLinePunctuation, corpus.ReasonManyLines,
	corpus.ReasonDuplicateLines, corpus.ReasonDuplicateParas, corpus.ReasonRepeatedGrams, corpus.ReasonTopGrams}

// Curation finds everything that was sown and drops nothing else.
func TestCurationFindsTheTruth(t *testing.T) {
	dir := t.TempDir()
	in, questions, out := filepath.Join(dir, "texts"), filepath.Join(dir, "questions"), filepath.Join(dir, "out")
	truth, err := sample.Write(in, questions)
	if err == nil {
		err = os.Mkdir(out, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	report, err := corpus.Curate(t.Context(), corpus.Config{Inputs: []string{in}, Out: out, Evaluation: []string{filepath.Join(questions, "choice.jsonl")},
		HeldOut: 60, Languages: []string{"ko", "en"}, Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	kept, dropped := map[string]bool{}, map[string]string{}
	for _, name := range []string{corpus.TrainFile, corpus.HeldOutFile} {
		for d, err := range corpus.Documents(filepath.Join(out, name)) {
			if err != nil {
				t.Fatal(err)
			}
			kept[d.ID] = true
		}
	}
	for _, d := range droppedIn(t, out) {
		dropped[d.ID] = d.Reason
	}
	families := map[string][]string{} // a document and its twins
	for _, d := range sample.Documents() {
		families[d.ID] = []string{d.ID}
	}
	if len(families) != truth.Originals {
		t.Errorf("%d documents, the truth says %d", len(families), truth.Originals)
	}
	for _, id := range append(slices.Clone(truth.Exact), truth.Near...) {
		_, original, _ := strings.Cut(id, "-")
		families[original] = append(families[original], id)
	}
	for original, family := range families {
		left := 0
		for _, id := range family {
			switch {
			case kept[id]:
				left++
			case !slices.Contains([]string{corpus.ReasonExactDuplicate, corpus.ReasonNearDuplicate}, dropped[id]):
				t.Errorf("%s was dropped for %q", id, dropped[id])
			}
		}
		if left != 1 {
			t.Errorf("of %v %d are kept, want one", family, left)
		}
		delete(families, original)
	}
	for _, id := range truth.Junk {
		if !slices.Contains(junkReasons, dropped[id]) {
			t.Errorf("junk %s: kept %v, reason %q", id, kept[id], dropped[id])
		}
	}
	for _, id := range truth.Contaminated {
		if dropped[id] != corpus.ReasonEvaluation {
			t.Errorf("leak %s: kept %v, reason %q", id, kept[id], dropped[id])
		}
	}
	if report.Duplicates.Exact != int64(len(truth.Exact)) || report.Duplicates.Near != int64(len(truth.Near)) || report.Evaluation.Removed != int64(len(truth.Contaminated)) {
		t.Errorf("report: %d exact, %d near, %d leaked; sown %d, %d, %d", report.Duplicates.Exact, report.Duplicates.Near, report.Evaluation.Removed,
			len(truth.Exact), len(truth.Near), len(truth.Contaminated))
	}
	if want := len(truth.Exact) + len(truth.Near) + len(truth.Junk) + len(truth.Contaminated); len(dropped) != want {
		t.Errorf("%d documents were dropped, %d sown", len(dropped), want)
	}
	noPersonal(t, out, truth.PersonalValues)
}

func droppedIn(t *testing.T, out string) (all []corpus.Dropped) {
	t.Helper()
	lines := bufio.NewScanner(bytes.NewReader(unpacked(t, filepath.Join(out, corpus.DroppedFile))))
	for lines.Scan() {
		var d corpus.Dropped
		if err := json.Unmarshal(lines.Bytes(), &d); err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

func unpacked(t *testing.T, path string) []byte {
	t.Helper()
	data := read(t, path)
	if filepath.Ext(path) != ".zst" {
		return data
	}
	r, err := zstd.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// noPersonal wants none of the values in any file that curation wrote.
func noPersonal(t *testing.T, out string, values []string) {
	t.Helper()
	entries, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
		text := unpacked(t, filepath.Join(out, entry.Name()))
		for _, value := range values {
			if bytes.Contains(text, []byte(value)) {
				t.Errorf("%s holds %s", entry.Name(), value)
			}
		}
	}
	for _, name := range []string{corpus.TrainFile, corpus.HeldOutFile, corpus.DroppedFile, corpus.ReportFile} {
		if !slices.Contains(names, name) {
			t.Errorf("no %s among %v", name, names)
		}
	}
	if !slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, ".html") }) || len(values) == 0 {
		t.Errorf("files %v, %d values", names, len(values))
	}
}
