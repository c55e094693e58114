package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/lm"
	"github.com/gaon-ai/gaon/internal/sample"
)

// testRecipe is small enough for a second and learns something all the same.
func testRecipe() factory.Recipe {
	return factory.Recipe{Name: "tiny", Seed: 7, Curate: factory.Curate{Languages: []string{"ko", "en"}, HeldOut: 60}, Tokenizer: factory.Tokenizer{Vocabulary: 400},
		Train: factory.Train{Layers: 1, Width: 32, Hidden: 64, Heads: 2, KVHeads: 1, Context: 64, Batch: 8, Steps: 40, Warmup: 4, CheckpointEvery: 10,
			LearningRate: "0.01", WeightDecay: "0.1"},
		Gate: []string{"bits_per_byte < baseline.byte_unigram", "contamination < 0.001"}, Approvals: 2, Serve: factory.Serve{Name: "tiny"}}
}

// folder lays out a stage's working folder as an engine does. Inputs are
// copied from where they lie.
func folder(t testing.TB, name string, recipe factory.Recipe, inputs map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	params, err := json.Marshal(factory.Params{Recipe: recipe, Run: "R1", Stage: name})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, paramsFile), params, 0o644)
	}
	for _, sub := range []string{outputFolder, keepFolder, inputFolder} {
		err = errors.Join(err, os.Mkdir(filepath.Join(dir, sub), 0o755))
	}
	for to, from := range inputs {
		err = errors.Join(err, os.CopyFS(filepath.Join(dir, inputFolder, to), os.DirFS(from)))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func mustRun(t testing.TB, name, dir string) factory.Statement {
	t.Helper()
	if err := Run(t.Context(), name, dir); err != nil {
		t.Fatalf("stage %s: %v", name, err)
	}
	var s factory.Statement
	if err := readJSON(filepath.Join(dir, statementFile), &s); err != nil {
		t.Fatal(err)
	}
	if s.Stage != name {
		t.Errorf("stage %s speaks for %q", name, s.Stage)
	}
	return s
}

// out is where a stage that ran left an output.
func out(dir, name string) string { return filepath.Join(dir, outputFolder, name) }

// made is a corpus and a tokenizer, made once for all tests.
type made struct{ sources, questions, corpus, tokenizer string }

var makeOnce struct {
	sync.Once
	made
	curated, learned factory.Statement
}

// ready makes the corpus and the tokenizer by their stages. They live in the
// folder that TestMain removes.
func ready(t *testing.T) made {
	t.Helper()
	makeOnce.Do(func() {
		dir := filepath.Join(shared, "sample")
		m := &makeOnce.made
		m.sources, m.questions = filepath.Join(dir, "texts"), filepath.Join(dir, "questions")
		if _, err := sample.Write(m.sources, m.questions); err != nil {
			t.Fatal(err)
		}
		curate := folder(t, factory.StageCurate, testRecipe(), map[string]string{"training-0": m.sources, "evaluation-0": m.questions})
		makeOnce.curated = mustRun(t, factory.StageCurate, curate)
		m.corpus = keep(t, out(curate, corpusOutput))
		learn := folder(t, factory.StageTokenizer, testRecipe(), map[string]string{"corpus": m.corpus})
		makeOnce.learned = mustRun(t, factory.StageTokenizer, learn)
		m.tokenizer = keep(t, out(learn, tokenizerOutput))
	})
	if makeOnce.made.tokenizer == "" {
		t.Fatal("corpus and tokenizer were not made; see the test that ran first")
	}
	return makeOnce.made
}

// shared outlives single tests.
var shared string

func TestMain(m *testing.M) {
	var err error
	if shared, err = os.MkdirTemp("", "gaon-stage-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	os.RemoveAll(shared)
	os.Exit(status)
}

func keep(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(shared, filepath.Base(dir))
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func trainFolder(t *testing.T, recipe factory.Recipe) string {
	t.Helper()
	m := ready(t)
	return folder(t, factory.StageTrain, recipe, map[string]string{"corpus": m.corpus, "tokenizer": m.tokenizer})
}

// sameFiles wants two folders to be equal, byte for byte.
func sameFiles(t *testing.T, want, got string) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(want, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		n++
		name, _ := filepath.Rel(want, path)
		a, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if b, err := os.ReadFile(filepath.Join(got, name)); err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs (%d and %d bytes, %v)", name, len(a), len(b), err)
		}
		return nil
	})
	if err != nil || n == 0 {
		t.Fatalf("%d files, %v", n, err)
	}
}

func TestFirstStages(t *testing.T) {
	m := ready(t)
	c := makeOnce.curated.Counts
	if c["documents_in"] != c["documents_train"]+c["documents_heldout"]+c["documents_dropped"] || c["documents_heldout"] == 0 || c["personal_replaced"] == 0 ||
		c["dropped.exact_duplicate"]+c["dropped.near_duplicate"] != c["documents_duplicate"] || c["documents_evaluation_overlap"] != 3 {
		t.Errorf("curate says %v", c)
	}
	c = makeOnce.learned.Counts
	if c["vocabulary"] != 400 || c["tokens"] == 0 || makeOnce.learned.Scores["held_out.tokens_per_byte"] == 0 {
		t.Errorf("tokenizer says %v, %v", c, makeOnce.learned.Scores)
	}
	// Asked again, a stage makes the same, whatever lies about from before.
	again := folder(t, factory.StageTokenizer, testRecipe(), map[string]string{"corpus": m.corpus})
	if err := errors.Join(os.MkdirAll(out(again, tokenizerOutput), 0o755), os.WriteFile(filepath.Join(out(again, tokenizerOutput), "left.txt"), []byte("x"), 0o644)); err != nil {
		t.Fatal(err)
	}
	mustRun(t, factory.StageTokenizer, again)
	sameFiles(t, m.tokenizer, out(again, tokenizerOutput))
	if _, err := os.Stat(filepath.Join(out(again, tokenizerOutput), "left.txt")); err == nil {
		t.Error("what an earlier attempt left is in the output")
	}
}

// A training that was interrupted goes on and ends as if it had not been.
func TestTrainResumes(t *testing.T) {
	whole := trainFolder(t, testRecipe())
	said := mustRun(t, factory.StageTrain, whole)
	if said.Counts["steps"] != 40 || said.Counts["attempts"] != 1 || said.Scores["final_loss"] == 0 || said.Counts["parameters"] == 0 {
		t.Errorf("train says %v", said)
	}
	first := trainFolder(t, testRecipe())
	interrupt(t, first, 13)
	if _, err := os.Stat(filepath.Join(first, statementFile)); err == nil {
		t.Error("an interrupted stage left a statement")
	}
	// The crash tore the last line of each log.
	for _, name := range []string{lossLog, attemptsLog} {
		file, err := os.OpenFile(filepath.Join(first, keepFolder, name), os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			_, err = file.WriteString(`{"step":9`)
			err = errors.Join(err, file.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	second := next(t, first)
	t.Setenv("GAON_ATTEMPT", "2")
	t.Setenv("GAON_SLOTS", "2") // another number of threads gives the same weights
	resumed := mustRun(t, factory.StageTrain, second)
	if resumed.Counts["attempts"] != 2 || resumed.Scores["final_loss"] != said.Scores["final_loss"] || resumed.Counts["tokens"] != said.Counts["tokens"] {
		t.Errorf("resumed: %v, whole: %v", resumed, said)
	}
	sameFiles(t, out(whole, modelOutput), out(second, modelOutput))
	log := wholeLog(t, filepath.Join(out(second, trainingOutput), lossLog), 40)
	if want, _ := os.ReadFile(filepath.Join(out(whole, trainingOutput), lossLog)); !bytes.Equal(want, log) {
		t.Errorf("the loss log differs:\n%s\nwant:\n%s", log, want)
	}
	var report TrainingReport
	if err := readJSON(filepath.Join(out(second, trainingOutput), trainingReport), &report); err != nil {
		t.Fatal(err)
	}
	a := report.Attempts
	if len(a) != 2 || a[0].Step != 0 || a[1].Attempt != 2 || a[1].Step < 10 || a[1].Checkpoint == "" || a[1].Stopped == 0 || a[1].Stopped > a[1].At || a[0].At > a[1].Stopped {
		t.Errorf("attempts %+v", a)
	}
	// Once more, with nothing left to do: the output is whole all the same.
	third := next(t, second)
	mustRun(t, factory.StageTrain, third)
	sameFiles(t, out(whole, modelOutput), out(third, modelOutput))
	wholeLog(t, filepath.Join(out(third, trainingOutput), lossLog), 40)
}

// interrupt runs a training and cancels it once it logged the step.
func interrupt(t *testing.T, dir string, step int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, factory.StageTrain, dir) }()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		data, err := os.ReadFile(filepath.Join(dir, metricsFile))
		if err == nil && bytes.Contains(data, fmt.Appendf(nil, `"step":%d,`, step)) {
			break
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted at step %d: %v", step, err)
	}
}

// next is the working folder of the next attempt: all it has of the one before
// is keep/.
func next(t *testing.T, before string) string {
	t.Helper()
	dir := trainFolder(t, testRecipe())
	if err := errors.Join(os.Remove(filepath.Join(dir, keepFolder)), os.Rename(filepath.Join(before, keepFolder), filepath.Join(dir, keepFolder))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// wholeLog wants a log of every step once, in order.
func wholeLog(t *testing.T, path string, steps int64) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	for i, line := range lines {
		var m engine.Metric
		if err := json.Unmarshal([]byte(line), &m); err != nil || m.Step != int64(i)+1 || m.Values["loss"] == 0 {
			t.Fatalf("line %d: %s", i+1, line)
		}
	}
	if int64(len(lines)) != steps {
		t.Errorf("%d steps in the log, want %d", len(lines), steps)
	}
	return data
}

// An honest model passes the gate that a badly trained one fails, on the very
// scores that their stages measured.
func TestGate(t *testing.T) {
	m := ready(t)
	honest := testRecipe()
	honest.Gate[0] = "bits_per_byte < baseline.zstd_alone"
	honest.Train.Width, honest.Train.Hidden, honest.Train.Steps, honest.Train.CheckpointEvery = 64, 128, 160, 80
	bad := honest
	bad.Train.Steps, bad.Train.LearningRate, bad.Train.Warmup = 1, "0.0001", 0
	for _, row := range []struct {
		name   string
		recipe factory.Recipe
		passes bool
	}{{"honest", honest, true}, {"badly trained", bad, false}} {
		dir := trainFolder(t, row.recipe)
		mustRun(t, factory.StageTrain, dir)
		evaluate := folder(t, factory.StageEvaluate, row.recipe, map[string]string{"corpus": m.corpus, "model": out(dir, modelOutput), "evaluation-0": m.questions})
		measured := mustRun(t, factory.StageEvaluate, evaluate)
		gate := folder(t, factory.StageGate, row.recipe, map[string]string{"evaluation": out(evaluate, evaluationOutput)})
		again := mustRun(t, factory.StageGate, gate)
		if fmt.Sprint(measured.Scores) != fmt.Sprint(again.Scores) || len(again.Scores) == 0 {
			t.Errorf("%s: measured %v, from the raw outputs %v", row.name, measured.Scores, again.Scores)
		}
		verdict := factory.DecideGate(row.recipe.Gate, again.Scores)
		if verdict.Passed != row.passes {
			t.Errorf("%s: %s", row.name, verdict)
		}
		if strict := factory.DecideGate([]string{"bits_per_byte < baseline.byte_5gram"}, again.Scores); !row.passes && strict.Passed {
			t.Errorf("%s passes the demo's gate: %s", row.name, strict)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	m := ready(t)
	recipe := testRecipe()
	all := map[string]string{"corpus": m.corpus, "tokenizer": m.tokenizer}
	edit := func(name, old, new string) func(t *testing.T) string {
		return func(t *testing.T) string {
			dir := folder(t, name, recipe, all)
			path := filepath.Join(dir, paramsFile)
			data, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, bytes.Replace(data, []byte(old), []byte(new), 1), 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
			return dir
		}
	}
	without := func(name string, inputs map[string]string) func(t *testing.T) string {
		return func(t *testing.T) string { return folder(t, name, recipe, inputs) }
	}
	empty := func(t *testing.T) string { return t.TempDir() }
	for _, row := range []struct {
		name, stage string
		dir         func(t *testing.T) string
		words       []string
	}{
		{"an unknown stage", "polish", empty, []string{"polish", "curate, tokenizer"}},
		{"no parameters", "train", empty, []string{"stage parameters", "params.json"}},
		{"an unknown key", "train", edit("train", `"run"`, `"budget":1,"run"`), []string{"params.json", "budget"}},
		{"an unknown key in the recipe", "train", edit("train", `"seed"`, `"sead":1,"seed"`), []string{"params.json", "sead"}},
		{"another stage's parameters", "train", edit("tokenizer", "", ""), []string{`"tokenizer"`, `"train"`}},
		{"no JSON", "train", edit("train", "{", "["), []string{"params.json"}},
		{"no texts", "curate", without("curate", nil), []string{"Inputs", "at least one"}},
		{"no corpus", "tokenizer", without("tokenizer", nil), []string{"train.jsonl.zst"}},
		{"no tokenizer", "train", without("train", map[string]string{"corpus": m.corpus}), []string{"tokenizer.json"}},
		{"no corpus to train on", "train", without("train", map[string]string{"tokenizer": m.tokenizer}), []string{"train.jsonl.zst"}},
		{"no model", "evaluate", without("evaluate", map[string]string{"corpus": m.corpus}), []string{"config.json"}},
		{"no raw outputs", "gate", without("gate", nil), []string{rawOutputs}},
		{"no model to release", "sign", without("sign", nil), []string{modelOutput}},
		{"no release", "serve", without("serve", nil), []string{"not served"}},
		{"a learning rate that is none", "train", edit("train", `"0.01"`, `"fast"`), []string{"train.learning_rate"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := row.dir(t)
			err := Run(t.Context(), row.stage, dir)
			if err == nil {
				t.Fatal("was done")
			}
			for _, word := range row.words {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%q does not name %q", err, word)
				}
			}
			if _, err := os.Stat(filepath.Join(dir, statementFile)); err == nil {
				t.Error("it left a statement of its work")
			}
		})
	}
}

// A model that knows fewer tokens than its tokenizer has must not be measured.
func TestScorerRefusesAnotherTokenizer(t *testing.T) {
	m := ready(t)
	dir := t.TempDir()
	small, err := lm.New(lm.Config{VocabSize: 300, HiddenSize: 8, InnerSize: 8, Layers: 1, Heads: 1, KVHeads: 1, HeadDim: 8, ContextLength: 8,
		RopeTheta: 10000, NormEpsilon: 1e-5, TieEmbeddings: true, EOS: 1}, 1)
	if err == nil {
		err = errors.Join(os.CopyFS(dir, os.DirFS(m.tokenizer)), small.Save(dir))
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := loadScorer(dir); err == nil || !strings.Contains(err.Error(), "400 tokens") {
		t.Errorf("%v", err)
	}
}
