package evaluation_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/evaluation"
	"github.com/gaon-ai/gaon/internal/unit"
)

var trainTexts = []string{
	"가온은 나라의 계산 센터를 처음부터 끝까지 맡아 돌린다. 누가 얼마를 썼는지 장부에 남는다.",
	"장부는 고칠 수 없다. 한 글자라도 바뀌면 누구나 알아낼 수 있다. 센터가 멈추어도 장부는 남는다.",
	"봄이 오면 강가에 버들이 피고 아이들이 그 아래에서 논다. 강바람은 아직 차다.",
	"The centre keeps one ledger and the ledger is the only truth that anyone needs to read.",
}

var heldTexts = []string{
	"센터의 장부는 누구나 읽을 수 있고 고칠 수 없다.",
	"봄바람이 강가의 버들을 흔든다.",
}

var someItems = []evaluation.Item{
	{ID: "1", Question: "장부는", Choices: []string{"고칠 수 없다.", "zebra crossing zebra crossing"}, Answer: 0},
	{ID: "2", Question: "봄이 오면", Choices: []string{"qqqqqqqq", "강가에 버들이 피고", "wwwwww xx"}, Answer: 1},
	{ID: "3", Question: "The centre keeps", Choices: []string{"xylophone", "one ledger"}, Answer: 0},
}

func goodInput() evaluation.Input {
	return evaluation.Input{Train: docs(trainTexts), HeldOut: held(heldTexts), Items: someItems}
}

func trigram() *evaluation.ByteModel {
	m := evaluation.NewByteModel(3)
	for _, text := range trainTexts {
		m.Train(text)
	}
	return m
}

func mustEvaluate(t *testing.T, config evaluation.Config, scorer evaluation.Scorer, input evaluation.Input) evaluation.Report {
	t.Helper()
	report, err := evaluation.Evaluate(context.Background(), config, scorer, input)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestEvaluate(t *testing.T) {
	var raw bytes.Buffer
	var parts = map[string]int{}
	config := evaluation.Config{Zstd: "-", Raw: &raw, Folder: t.TempDir(), Progress: func(part string, done, total int) { parts[part] = max(parts[part], done) }}
	r := mustEvaluate(t, config, trigram(), goodInput())

	if r.Train.Documents != 4 || r.HeldOut.Documents != 2 || r.Train.BaselineBytes != r.Train.Bytes {
		t.Errorf("counted %+v, %+v", r.Train, r.HeldOut)
	}
	if !(r.ByteFivegram < r.ByteUnigram && r.ByteUnigram < 8 && r.BitsPerByte < r.ByteUnigram && r.BitsPerByte > 0) {
		t.Errorf("bits per byte: scorer %.3f, unigram %.3f, 5-gram %.3f", r.BitsPerByte, r.ByteUnigram, r.ByteFivegram)
	}
	if r.Compressor.Name != "klauspost/compress" || r.Compressor.BitsPerByte > r.Compressor.Alone {
		t.Errorf("compressor %+v", r.Compressor)
	}
	if r.Choice == nil || r.Choice.Items != 3 || r.Choice.Accuracy.Correct != 2 {
		t.Errorf("choice %+v", r.Choice)
	}
	if want := (0.5 + 1.0/3 + 0.5) / 3; math.Abs(r.Choice.Chance-want) > 1e-12 {
		t.Errorf("chance %v, want %v", r.Choice.Chance, want)
	}
	if r.Raw != unit.DigestOf(raw.Bytes()) || strings.Count(raw.String(), "\n") != 7 {
		t.Errorf("raw outputs %s do not have the digest %s", raw.String(), r.Raw)
	}
	if parts["documents"] != 2 || parts["choice"] != 3 {
		t.Errorf("progress %v", parts)
	}
	for name, want := range map[string]float64{
		evaluation.ScoreBitsPerByte: r.BitsPerByte, evaluation.ScoreByteUnigram: r.ByteUnigram, evaluation.ScoreByteFivegram: r.ByteFivegram,
		evaluation.ScoreZstd: r.Compressor.BitsPerByte, evaluation.ScoreZstdPrefix: r.Compressor.Prefix,
		evaluation.ScoreZstdJoint: r.Compressor.Joint, evaluation.ScoreZstdAlone: r.Compressor.Alone,
		evaluation.ScoreChoiceAccuracy: 2.0 / 3, evaluation.ScoreChoiceAccuracyRaw: r.Choice.AccuracyRaw.Share, evaluation.ScoreChoiceChance: r.Choice.Chance,
		evaluation.ScoreChoiceAccuracyLow: r.Choice.Accuracy.Low, evaluation.ScoreContamination: 0, evaluation.ScoreContaminationChoice: 0, evaluation.ScoreContaminationHeldOut: 0,
	} {
		if got, ok := r.Scores[name]; !ok || got != unit.Micro(math.Round(want*1e6)) {
			t.Errorf("score %s is %v, want %v", name, got, want)
		}
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

// TestEvaluateSame: the number of workers does not show, nor does a second run.
func TestEvaluateSame(t *testing.T) {
	var want []byte
	for _, workers := range []int{1, 2, 8} {
		var raw bytes.Buffer
		report := mustEvaluate(t, evaluation.Config{Zstd: "-", Workers: workers, Raw: &raw, Seed: 7}, trigram(), goodInput())
		data, err := json.Marshal(report)
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = data
		}
		if !bytes.Equal(data, want) {
			t.Errorf("%d workers gave\n%s\nnot\n%s", workers, data, want)
		}
	}
}

// TestEvaluateWithoutItems: what was not measured is absent, not zero.
func TestEvaluateWithoutItems(t *testing.T) {
	report := mustEvaluate(t, evaluation.Config{Zstd: "-"}, trigram(), evaluation.Input{Train: docs(nil), HeldOut: held(heldTexts)})
	for _, name := range []string{evaluation.ScoreChoiceAccuracy, evaluation.ScoreChoiceChance, evaluation.ScoreContaminationChoice, evaluation.ScoreZstdPrefix, evaluation.ScoreZstdJoint} {
		if v, ok := report.Scores[name]; ok {
			t.Errorf("%s is %v though it was not measured", name, v)
		}
	}
	if math.Abs(report.ByteUnigram-8) > 1e-9 || math.Abs(report.ByteFivegram-8) > 1e-9 {
		t.Errorf("untrained baselines need %v and %v bits, want 8", report.ByteUnigram, report.ByteFivegram)
	}
}

// fixed is a scorer that says what the test tells it to.
type fixed struct {
	bits func(text string) (float64, error)
	nats func(prefix string, continuations []string) ([]float64, error)
}

func (f fixed) DocumentBits(_ context.Context, text string) (float64, error) {
	if f.bits == nil {
		return 1, nil
	}
	return f.bits(text)
}

func (f fixed) LogLikelihoods(_ context.Context, prefix string, continuations []string) ([]float64, error) {
	if f.nats == nil {
		return make([]float64, len(continuations)), nil
	}
	return f.nats(prefix, continuations)
}

func TestEvaluateRefused(t *testing.T) {
	says := func(v float64) fixed {
		return fixed{bits: func(string) (float64, error) { return v, nil }}
	}
	likes := func(v ...float64) fixed {
		return fixed{nats: func(string, []string) ([]float64, error) { return v, nil }}
	}
	broken := func(yield func(string, error) bool) {
		_ = yield("가", nil) && yield("", errors.New("disk on fire"))
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	train := func(seq iter.Seq2[string, error]) func(*evaluation.Input) {
		return func(in *evaluation.Input) { in.Train = seq }
	}
	for _, row := range []struct {
		name   string
		ctx    context.Context
		config evaluation.Config
		scorer evaluation.Scorer
		input  func(*evaluation.Input)
		want   string
	}{
		{name: "no held-out text", input: func(in *evaluation.Input) { in.HeldOut = held([]string{"", ""}) }, want: "no held-out text: set aside"},
		{name: "no training documents", input: train(nil), want: "scorer and training documents must be given"},
		{name: "bits are not a number", scorer: says(math.NaN()), want: "held-out document 0 (): NaN bits"},
		{name: "bits are infinite", scorer: says(math.Inf(1)), want: "+Inf bits"},
		{name: "bits are negative", scorer: says(-1), want: "-1 bits is no number"},
		{name: "scorer fails", scorer: fixed{bits: func(string) (float64, error) { return 0, errors.New("out of memory") }}, want: "document 0 (): out of memory"},
		{name: "too few likelihoods", scorer: likes(-1), want: "item 0 (1): 1 log-likelihoods for 2 choices"},
		{name: "likelihood above one", scorer: likes(-1, 0.5), want: "0.5 is no log-likelihood (choice 1)"},
		{name: "likelihood is not a number", scorer: likes(math.NaN(), -1), want: "NaN is no log-likelihood (choice 0)"},
		{name: "training documents fail", input: train(broken), want: "read training document 1: disk on fire"},
		{name: "cancelled", ctx: cancelled, want: "context canceled"},
		{name: "too many workers", config: evaluation.Config{Workers: 5000}, want: "5000 workers: want 1 to 1024"},
		{name: "negative workers", config: evaluation.Config{Workers: -1}, want: "-1 workers"},
		{name: "zstd is not there", config: evaluation.Config{Zstd: "/nowhere/zstd"}, want: "find the zstd command"},
		{name: "no folder", config: evaluation.Config{Folder: "/nowhere"}, want: "/nowhere"},
		{name: "raw outputs cannot be written", config: evaluation.Config{Raw: fullDisk{}}, want: "write raw outputs: disk full"},
		{name: "an item that was never checked", input: func(in *evaluation.Input) { in.Items = []evaluation.Item{{ID: "x", Question: "q"}} }, want: "item 0 (x): choices has 0 entries"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.ctx == nil {
				row.ctx = context.Background()
			}
			if row.scorer == nil {
				row.scorer = trigram()
			}
			if row.config.Zstd == "" {
				row.config.Zstd = "-"
			}
			in := goodInput()
			if row.input != nil {
				row.input(&in)
			}
			_, err := evaluation.Evaluate(row.ctx, row.config, row.scorer, in)
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error %v, want one with %q", err, row.want)
			}
		})
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// TestTies: a scorer that says the same of every choice gets what chance gets,
// whichever place the right answers stand in.
func TestTies(t *testing.T) {
	items := make([]evaluation.Item, 4000)
	for i := range items {
		items[i] = evaluation.Item{ID: fmt.Sprint(i), Question: "?", Choices: []string{"a", "b", "c", "d"}, Answer: 0}
	}
	report := mustEvaluate(t, evaluation.Config{Zstd: "-", Seed: 3}, fixed{}, evaluation.Input{Train: docs(nil), HeldOut: held(heldTexts), Items: items})
	if a := report.Choice.Accuracy; a.Low > 0.25 || a.High < 0.25 {
		t.Errorf("accuracy %+v does not hold chance", a)
	}
}

// TestRandomBytes: nothing predicts random bytes.
func TestRandomBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 4))
	noise := make([]byte, 1<<17)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	half := len(noise) / 2
	in := evaluation.Input{Train: docs([]string{string(noise[:half])}), HeldOut: held([]string{string(noise[half:])})}
	report := mustEvaluate(t, evaluation.Config{Zstd: "-"}, evaluation.NewByteModel(1), in)
	for name, got := range map[string]float64{"unigram": report.ByteUnigram, "5-gram": report.ByteFivegram, "compressor": report.Compressor.BitsPerByte, "scorer": report.BitsPerByte} {
		if got < 7.99 || got > 9.5 {
			t.Errorf("%s needs %.3f bits for a random byte", name, got)
		}
	}
	if math.Abs(report.ByteUnigram-8) > 0.01 {
		t.Errorf("unigram needs %.4f bits for a random byte, want 8", report.ByteUnigram)
	}
}

// TestCompressorCommand measures with the zstd command itself.
func TestCompressorCommand(t *testing.T) {
	var train []string
	for i := range 400 {
		train = append(train, fmt.Sprintf("%s %d\n", trainTexts[i%len(trainTexts)], i*i))
	}
	in := goodInput()
	in.Train = docs(train)
	folder := t.TempDir()
	report, err := evaluation.Evaluate(context.Background(), evaluation.Config{Zstd: "zstd", Folder: folder}, trigram(), in)
	if err != nil {
		if strings.Contains(err.Error(), "find the zstd command") {
			missing(t, err)
		}
		t.Fatal(err)
	}
	c := report.Compressor
	if c.Name != "zstd" || c.Version == "" || !strings.HasPrefix(c.Arguments, "-19 ") {
		t.Errorf("compressor %+v does not name itself", c)
	}
	if !(c.Prefix > 0 && c.Prefix < c.Alone && c.Joint > 0 && c.BitsPerByte == min(c.Prefix, c.Joint)) {
		t.Errorf("held-out text repeats the training text, yet %+v", c)
	}
	left, err := os.ReadDir(folder)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestCompressorFails: a command that fails is named with what it said.
func TestCompressorFails(t *testing.T) {
	for name, script := range map[string]string{
		"exit status 3: no space": "#!/bin/sh\ntest \"$1\" = --version && echo 'zstd v9.9.9' && exit 0\necho 'no space' >&2; exit 3\n",
		"does not name a version": "#!/bin/sh\necho hello\n",
	} {
		path := t.TempDir() + "/zstd"
		if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		_, err := evaluation.Evaluate(context.Background(), evaluation.Config{Zstd: path}, trigram(), goodInput())
		if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), "\n", ""), name) {
			t.Errorf("error %v, want one with %q", err, name)
		}
	}
}
