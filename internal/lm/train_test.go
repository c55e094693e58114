package lm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// language is a text in a made-up tongue: words of a fixed dictionary in a drawn
// order, each followed by the one letter that its length decides. One letter
// says little, the letters before it say much.
func language(seed uint64, n int) []uint32 {
	words := [][]uint32{{1, 2, 3}, {4, 2, 5, 6}, {7, 3, 2}, {6, 1}, {5, 5, 4, 7, 1}}
	var text []uint32
	for i := uint64(0); len(text) < n; i++ {
		w := words[philox{seed: seed}.below(i, len(words))]
		text = append(append(text, w...), uint32(8+len(w)%3))
	}
	return text[:n]
}

// unigramEntropy is the nats per token of the best guess that knows only how
// often each token occurs.
func unigramEntropy(tokens []uint32) float64 {
	counts := map[uint32]float64{}
	for _, id := range tokens {
		counts[id]++
	}
	h := 0.0
	for _, n := range counts {
		h -= n / float64(len(tokens)) * math.Log(n/float64(len(tokens)))
	}
	return h
}

func smallRun() TrainConfig {
	return TrainConfig{
		Model: Config{
			VocabSize: 12, HiddenSize: 24, InnerSize: 40, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 6,
			ContextLength: 20, RopeTheta: 10000, NormEpsilon: 1e-5, BOS: 0, EOS: 0,
		},
		Seed: 11, Steps: 30, Warmup: 3, Batch: 7, Workers: 1,
	}
}

func mustTrain(t *testing.T, c TrainConfig, tokens []uint32) (*Model, TrainReport) {
	t.Helper()
	m, report, err := Train(t.Context(), c, tokens)
	if err != nil {
		t.Fatal(err)
	}
	return m, report
}

func mustEqual(t *testing.T, what string, got, want *Model) {
	t.Helper()
	for i := range want.weights {
		if math.Float32bits(got.weights[i]) != math.Float32bits(want.weights[i]) {
			t.Fatalf("%s: weight %d is %g, want %g", what, i, got.weights[i], want.weights[i])
		}
	}
}

func TestTrainLearns(t *testing.T) {
	withKernels(t, func(t *testing.T) {
		c := smallRun()
		c.Steps, c.Workers = 150, 0
		tokens := language(1, 4000)
		var first, last Step
		c.Progress = func(s Step) {
			if s.Step == 1 {
				first = s
			}
			last = s
		}
		m, report := mustTrain(t, c, tokens)
		if guess := math.Log(float64(c.Model.VocabSize)); math.Abs(first.Loss-guess) > 0.3 {
			t.Errorf("the first loss is %.3f, want about log(vocabulary) = %.3f", first.Loss, guess)
		}
		held := language(2, 500)
		logProbs, err := m.LogProbs(t.Context(), held)
		if err != nil {
			t.Fatal(err)
		}
		nats := 0.0
		for _, l := range logProbs {
			nats -= l / float64(len(logProbs))
		}
		// The tongue itself: log(5 words) over a mean length of 4.4.
		if unigram, truth := unigramEntropy(held), math.Log(5)/4.4; nats > 0.5*unigram || nats < 0.9*truth {
			t.Errorf("held-out text costs %.3f nats per token; unigram %.3f, the tongue itself about %.3f", nats, unigram, truth)
		}
		if last.Step != 150 || last.Tokens != 150*7*20 || last.Flops != 150*7*c.Model.TrainingFlops(20) ||
			report.Tokens != last.Tokens || report.FinalLoss != last.Loss || report.Flops != last.Flops {
			t.Errorf("counts are wrong: %+v, %+v", last, report)
		}
		if math.Abs(last.LearningRate-LearningRateDefault/10) > 1e-12 {
			t.Errorf("the last learning rate is %g, want a tenth of %g", last.LearningRate, LearningRateDefault)
		}
	})
}

// The same seed gives the same weights whatever the number of goroutines, and
// another seed gives others. Rows make several parts.
func TestTrainIsTheSameOnAnyNumberOfWorkers(t *testing.T) {
	withKernels(t, func(t *testing.T) {
		c := smallRun()
		c.Steps, c.Batch = 12, 9
		tokens := language(1, 1000)
		one, _ := mustTrain(t, c, tokens)
		for _, workers := range []int{2, 3, 5, 0} {
			c.Workers = workers
			m, _ := mustTrain(t, c, tokens)
			mustEqual(t, "more workers", m, one)
		}
		c.Seed++
		if m, _ := mustTrain(t, c, tokens); slices.Equal(m.weights, one.weights) {
			t.Error("another seed gave the same weights")
		}
	})
}

// interrupt trains until the given step and is cancelled there.
func interrupt(t *testing.T, c TrainConfig, tokens []uint32, at int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c.Progress = func(s Step) {
		if s.Step == at {
			cancel()
		}
	}
	m, report, err := Train(ctx, c, tokens)
	if m != nil || !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled at step %d: %v, want an error that wraps context.Canceled", at, err)
	}
	if report.Steps != at {
		t.Fatalf("cancelled at step %d, stopped at %d", at, report.Steps)
	}
}

func TestResumeContinuesToTheBit(t *testing.T) {
	c := smallRun()
	tokens := language(1, 700) // several epochs
	whole, want := mustTrain(t, c, tokens)
	seed := uint64(os.Getpid())
	t.Logf("seed %d", seed)
	for round := range uint64(4) {
		c.CheckpointFolder = filepath.Join(t.TempDir(), "run")
		c.CheckpointEvery = philox{seed: seed}.below(3*round, 5)
		at := 1 + philox{seed: seed}.below(3*round+1, c.Steps-1)
		again := at + philox{seed: seed}.below(3*round+2, c.Steps-at)
		c.Workers = 1 + int(round)
		interrupt(t, c, tokens, at)
		if again > at {
			c.Workers = 2
			interrupt(t, c, tokens, again)
		}
		c.Workers = 3
		m, report := mustTrain(t, c, tokens)
		mustEqual(t, "resumed", m, whole)
		if report.ResumedAt != again || report.FinalLoss != want.FinalLoss || report.Run != want.Run || report.Tokens != want.Tokens {
			t.Errorf("round %d, stopped at %d and %d: report %+v, want %+v", round, at, again, report, want)
		}
		// Once finished, the run is only read again.
		m, report = mustTrain(t, c, tokens)
		mustEqual(t, "read again", m, whole)
		if report.ResumedAt != c.Steps || report.FinalLoss != want.FinalLoss {
			t.Errorf("a finished run was resumed at %d, its loss %g: want %d, %g", report.ResumedAt, report.FinalLoss, c.Steps, want.FinalLoss)
		}
	}
}

func checkpoints(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestTheLastTwoCheckpointsAreKept(t *testing.T) {
	c := smallRun()
	c.Steps, c.CheckpointEvery, c.CheckpointFolder = 11, 3, t.TempDir()
	stray := filepath.Join(c.CheckpointFolder, temporary+"checkpoint-000000001.gaon-77")
	notes := filepath.Join(c.CheckpointFolder, "notes.txt")
	for _, path := range []string{stray, notes} {
		if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	mustTrain(t, c, language(1, 500))
	want := []string{"checkpoint-000000009.gaon", "checkpoint-000000011.gaon", "notes.txt"}
	if got := checkpoints(t, c.CheckpointFolder); !slices.Equal(got, want) {
		t.Errorf("the folder holds %v, want %v", got, want)
	}
}

// Whatever byte of the newest checkpoint is damaged, the one before is taken;
// where both are damaged, the run begins anew. The weights are the same always.
func TestDamagedCheckpoints(t *testing.T) {
	c := smallRun()
	c.Steps, c.CheckpointEvery, c.CheckpointFolder = 10, 3, t.TempDir()
	tokens := language(1, 500)
	whole, _ := mustTrain(t, c, tokens)
	newest, older := CheckpointPath(c.CheckpointFolder, 10), CheckpointPath(c.CheckpointFolder, 9)
	good, err := os.ReadFile(newest)
	if err != nil {
		t.Fatal(err)
	}
	goodOlder, _ := os.ReadFile(older)
	flip := func(at int) []byte {
		bad := slices.Clone(good)
		bad[at] ^= 1 << (at % 8)
		return bad
	}
	for _, row := range []struct {
		what          string
		newest, older []byte
		resumed       int
		damaged       int
	}{
		{"magic flipped", flip(3), goodOlder, 9, 1},
		{"version flipped", flip(8), goodOlder, 9, 1},
		{"length flipped", flip(13), goodOlder, 9, 1},
		{"header flipped", flip(30), goodOlder, 9, 1},
		{"seed flipped in the header", flip(strings.Index(string(good), `"Seed":11`) + 7), goodOlder, 9, 1},
		{"weight flipped", flip(len(good) / 4), goodOlder, 9, 1},
		{"moment flipped", flip(len(good) * 9 / 10), goodOlder, 9, 1},
		{"checksum flipped", flip(len(good) - 1), goodOlder, 9, 1},
		{"cut off", good[:len(good)-1], goodOlder, 9, 1},
		{"cut off in the header", good[:40], goodOlder, 9, 1},
		{"longer", append(slices.Clone(good), 0), goodOlder, 9, 1},
		{"empty", nil, goodOlder, 9, 1},
		{"both", flip(99), goodOlder[:999], 0, 2},
		{"none", good, goodOlder, 10, 0},
	} {
		for path, content := range map[string][]byte{newest: row.newest, older: row.older} {
			if err := os.WriteFile(path, content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		m, report, err := Train(t.Context(), c, tokens)
		if err != nil {
			t.Errorf("%s: %v", row.what, err)
			continue
		}
		mustEqual(t, row.what, m, whole)
		if report.ResumedAt != row.resumed || len(report.Damaged) != row.damaged {
			t.Errorf("%s: resumed at %d with %d damaged, want %d with %d", row.what, report.ResumedAt, len(report.Damaged), row.resumed, row.damaged)
		}
		if got := checkpoints(t, c.CheckpointFolder); len(got) != 2 {
			t.Errorf("%s: the folder holds %v afterwards, want two checkpoints", row.what, got)
		}
	}
}

func TestCheckpointsOfOtherRunsAreRefused(t *testing.T) {
	base := smallRun()
	base.Steps, base.CheckpointFolder = 4, t.TempDir()
	tokens := language(1, 500)
	mustTrain(t, base, tokens)
	for _, row := range []struct {
		field  string
		change func(c *TrainConfig)
		tokens []uint32
	}{
		{"Seed", func(c *TrainConfig) { c.Seed = 12 }, tokens},
		{"Steps", func(c *TrainConfig) { c.Steps = 5 }, tokens},
		{"Model.Layers", func(c *TrainConfig) { c.Model.Layers = 3 }, tokens},
		{"Model.RopeTheta", func(c *TrainConfig) { c.Model.RopeTheta = 500 }, tokens},
		{"LearningRate", func(c *TrainConfig) { c.LearningRate, c.LearningRateMin = 1e-3, LearningRateDefault/10 }, tokens},
		{"Data", func(c *TrainConfig) {}, language(2, 500)},
	} {
		c := base
		row.change(&c)
		_, _, err := Train(t.Context(), c, row.tokens)
		var other *OtherRunError
		if !errors.As(err, &other) || other.Field != row.field {
			t.Errorf("another %s: %v, want a refusal that names it", row.field, err)
		}
	}
	if err := os.Rename(CheckpointPath(base.CheckpointFolder, 4), CheckpointPath(base.CheckpointFolder, 3)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Train(t.Context(), base, tokens); err == nil || !strings.Contains(err.Error(), "renamed") {
		t.Errorf("a renamed checkpoint: %v, want an error that says so", err)
	}
}

func TestTrainRefusals(t *testing.T) {
	tokens := language(1, 500)
	for _, row := range []struct {
		what, code string
		change     func(c *TrainConfig)
		tokens     []uint32
		says       string
	}{
		{"no steps", "lm.config", func(c *TrainConfig) { c.Steps = 0 }, tokens, "steps is 0"},
		{"only warm-up", "lm.config", func(c *TrainConfig) { c.Warmup = c.Steps }, tokens, "warm-up"},
		{"no batch", "lm.config", func(c *TrainConfig) { c.Batch = 0 }, tokens, "batch is 0"},
		{"a batch that fills the memory", "lm.config", func(c *TrainConfig) { c.Batch, c.Model.ContextLength = 1<<14, 1<<15 }, tokens, "tokens a step"},
		{"a negative rate", "lm.config", func(c *TrainConfig) { c.LearningRate = -1 }, tokens, "learning rate"},
		{"a rate that is no number", "lm.config", func(c *TrainConfig) { c.LearningRate = math.NaN() }, tokens, "learning rate"},
		{"a least rate above the greatest", "lm.config", func(c *TrainConfig) { c.LearningRateMin = 1 }, tokens, "least learning rate"},
		{"beta above one", "lm.config", func(c *TrainConfig) { c.Beta2 = 1 }, tokens, "beta2"},
		{"an odd head", "lm.config", func(c *TrainConfig) { c.Model.HeadDim = 5 }, tokens, "even"},
		{"uneven sharing", "lm.config", func(c *TrainConfig) { c.Model.KVHeads = 3 }, tokens, "divisor"},
		{"too large a model", "lm.config", func(c *TrainConfig) { c.Model.VocabSize, c.Model.HiddenSize = 1<<18, 1<<13 }, tokens, "parameters"},
		{"a token beyond the vocabulary", "lm.token", func(*TrainConfig) {}, append(language(1, 30), 12), "token 30"},
		{"a text of one window without a target", "lm.corpus-short", func(*TrainConfig) {}, tokens[:20], "20 tokens"},
		{"no text", "lm.corpus-short", func(*TrainConfig) {}, nil, "0 tokens"},
		{"a decay that blows up", "lm.diverged", func(c *TrainConfig) { c.LearningRate, c.LearningRateMin, c.WeightDecay, c.Steps = 1, 1, 10, 90 }, tokens, "diverged"},
	} {
		c := smallRun()
		row.change(&c)
		m, _, err := Train(t.Context(), c, row.tokens)
		var coded interface{ Code() string }
		if m != nil || !errors.As(err, &coded) || coded.Code() != row.code || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v, want %s with %q", row.what, err, row.code, row.says)
		}
	}
	c := smallRun()
	c.Steps, c.Warmup = 2, 0
	mustTrain(t, c, tokens[:21]) // exactly one window
}

// Every token is read once an epoch, but for fewer than a window.
func TestWindows(t *testing.T) {
	const n, span, batch = 103, 10, 4
	tokens := make([]uint32, n)
	for i := range tokens {
		tokens[i] = uint32(i)
	}
	w := newWindows(5, tokens, span)
	inputs, targets := make([]uint32, batch*span), make([]uint32, batch*span)
	var read []uint32
	for step := range 15 { // 60 windows, 6 epochs of 10
		w.batch(step, inputs, targets)
		for i, id := range inputs {
			if targets[i] != (id+1)%n {
				t.Fatalf("step %d: %d is followed by %d", step, id, targets[i])
			}
		}
		read = append(read, inputs...)
		again, inputs2 := newWindows(5, tokens, span), make([]uint32, batch*span)
		if again.batch(step, inputs2, targets); !slices.Equal(inputs, inputs2) {
			t.Fatalf("step %d reads other tokens when entered directly", step)
		}
	}
	var starts []uint32
	for e := 0; e < len(read); e += 100 {
		epoch := slices.Clone(read[e : e+100])
		starts = append(starts, epoch[0])
		slices.Sort(epoch)
		if len(slices.Compact(epoch)) != 100 {
			t.Errorf("epoch %d reads a token twice", e/100)
		}
	}
	slices.Sort(starts)
	if len(slices.Compact(starts)) < 4 {
		t.Errorf("epochs begin at %v: they hardly differ", starts)
	}
}

func TestRate(t *testing.T) {
	c := TrainConfig{Steps: 110, Warmup: 10, LearningRate: 1, LearningRateMin: 0.2}
	for step, want := range map[int]float64{0: 0.1, 4: 0.5, 9: 1, 59: 0.6, 109: 0.2} {
		if got := c.rate(step); math.Abs(got-want) > 1e-12 {
			t.Errorf("the rate of step %d is %g, want %g", step, got, want)
		}
	}
}

// sealed returns the bytes with their checksum.
func sealed(data []byte) []byte {
	sum := sha256.Sum256(data)
	return append(slices.Clone(data), sum[:]...)
}

// The state of a checkpoint is checked even where its checksum holds.
func TestWellSealedNonsense(t *testing.T) {
	c := smallRun().withDefaults()
	r, err := newRun(c, language(1, 500))
	if err != nil {
		t.Fatal(err)
	}
	r.step, r.lastLoss = 7, 12
	var file bytes.Buffer
	if err := r.write(&file); err != nil {
		t.Fatal(err)
	}
	body := file.String()[:file.Len()-sha256.Size]
	for _, row := range []struct{ what, body, says string }{
		{"a later version", strings.Replace(body, checkpointMagic+"\x01", checkpointMagic+"\x02", 1), "version 2"},
		{"no JSON", strings.Replace(body, `{"Run"`, `["Run"`, 1), "header"},
		{"a step beyond the run", strings.Replace(body, `"Step":7,"Loss":12`, `"Step":77,"Loss":2`, 1), "0 to 30"},
		{"a negative step", strings.Replace(body, `"Step":7,"Loss":12`, `"Step":-7,"Loss":2`, 1), "0 to 30"},
		{"half a state", body[:len(body)-4], "bytes of state"},
	} {
		data := sealed([]byte(row.body))
		err := (&run{config: c, identity: r.identity}).read(bytes.NewReader(data), int64(len(data)), "checkpoint")
		mustRefuse(t, row.what, err, row.says)
	}
}
