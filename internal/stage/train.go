package stage

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/gaon-ai/gaon/internal/corpus"
	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/lm"
	"github.com/gaon-ai/gaon/internal/tokenizer"
	"github.com/gaon-ai/gaon/internal/unit"
)

// Files of the training's output and of what is kept between attempts.
const (
	lossLog          = "loss.jsonl"
	trainingReport   = "report.json"
	checkpointFolder = "checkpoints"
	attemptsLog      = "attempts.jsonl"
)

// Begun is one attempt at a training, as it found itself.
type Begun struct {
	Attempt    int          `json:"attempt"`
	At         unit.Instant `json:"at"`
	Step       int          `json:"step"`                 // it went on from; 0 is from the beginning
	Checkpoint unit.Digest  `json:"checkpoint,omitempty"` // it went on from
	Stopped    unit.Instant `json:"stopped,omitempty"`    // when the attempt before it last finished a step
}

// TrainingReport is report.json of the training's output.
type TrainingReport struct {
	lm.TrainReport
	Attempts []Begun `json:"attempts"`
}

func train(ctx context.Context, w *work) error {
	out, err := w.out(modelOutput)
	if err != nil {
		return err
	}
	if _, err := w.out(trainingOutput); err != nil {
		return err
	}
	words, err := tokenizer.Load(filepath.Join(w.in(tokenizerOutput), tokenizer.FileName))
	if err != nil {
		return err
	}
	tokens, err := w.encode(ctx, words)
	if err != nil {
		return err
	}
	config, err := trainConfig(w.params.Recipe, words)
	if err != nil {
		return err
	}
	log := &lossWriter{w: w, found: w.found()}
	defer log.close()
	config.Workers = w.slots
	config.CheckpointFolder = w.path(keepFolder, checkpointFolder)
	config.Progress = log.step
	model, report, err := lm.Train(ctx, config, tokens)
	if err = errors.Join(err, log.err); err != nil {
		return err
	}
	if err := log.copyTo(w.path(outputFolder, trainingOutput, lossLog)); err != nil {
		return err
	}
	if err := model.Save(out); err != nil {
		return err
	}
	if _, err := words.SaveModel(out, w.params.Recipe.Train.Context); err != nil {
		return err
	}
	c := w.statement.Counts
	c["parameters"], c["steps"], c["tokens"], c["flop"] = model.Config().Parameters(), int64(report.Steps), report.Tokens, report.Flops
	c["corpus_tokens"], c["attempts"] = int64(len(tokens)), int64(len(log.attempts))
	w.statement.Scores["final_loss"] = micro(report.FinalLoss)
	w.statement.Notes["kernel"] = lm.Kernel()
	return w.writeJSON(filepath.Join(outputFolder, trainingOutput, trainingReport), TrainingReport{report, log.attempts})
}

// found looks at when an earlier attempt, if there was one, last got a step
// further.
func (w *work) found() Begun {
	b := Begun{At: unit.Instant(time.Now().UnixMilli())}
	if info, err := os.Stat(w.path(keepFolder, lossLog)); err == nil {
		b.Stopped = min(unit.Instant(info.ModTime().UnixMilli()), b.At)
	}
	return b
}

// checkpointDigest names the checkpoint that training went on from.
func (w *work) checkpointDigest(step int) (unit.Digest, error) {
	file, err := os.Open(lm.CheckpointPath(w.path(keepFolder, checkpointFolder), step))
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return unit.NewDigest([sha256.Size]byte(hash.Sum(nil))), nil
}

// encode turns the corpus into one row of tokens, each document between its
// begin and end marks.
func (w *work) encode(ctx context.Context, words *tokenizer.Tokenizer) ([]uint32, error) {
	begin, _ := words.SpecialID(tokenizer.BeginOfText)
	end, _ := words.SpecialID(tokenizer.EndOfText)
	var tokens []uint32
	for text, err := range texts(filepath.Join(w.in(corpusOutput), corpus.TrainFile)) {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return nil, err
		}
		tokens = append(words.AppendEncode(append(tokens, begin), text), end)
	}
	return tokens, nil
}

// trainConfig reads the recipe: its decimals are strings, so that a recipe has
// one meaning everywhere.
func trainConfig(r factory.Recipe, words *tokenizer.Tokenizer) (lm.TrainConfig, error) {
	t := r.Train
	rate, err := strconv.ParseFloat(t.LearningRate, 64)
	if err != nil {
		return lm.TrainConfig{}, fmt.Errorf("train.learning_rate: %w", err)
	}
	decay, err := strconv.ParseFloat(t.WeightDecay, 64)
	if err != nil {
		return lm.TrainConfig{}, fmt.Errorf("train.weight_decay: %w", err)
	}
	if decay == 0 {
		decay = -1 // package lm takes zero for its default
	}
	begin, _ := words.SpecialID(tokenizer.BeginOfText)
	end, _ := words.SpecialID(tokenizer.EndOfText)
	return lm.TrainConfig{
		Model: lm.Config{VocabSize: words.VocabSize(), HiddenSize: t.Width, InnerSize: t.Hidden, Layers: t.Layers, Heads: t.Heads,
			KVHeads: t.KVHeads, HeadDim: t.Width / t.Heads, ContextLength: t.Context, RopeTheta: 10_000, NormEpsilon: 1e-5,
			TieEmbeddings: true, BOS: int(begin), EOS: int(end)},
		Seed: uint64(r.Seed), Steps: t.Steps, Warmup: min(t.Warmup, t.Steps-1), Batch: t.Batch,
		LearningRate: rate, WeightDecay: decay, CheckpointEvery: t.CheckpointEvery,
	}, nil
}

// lossWriter keeps the loss of every step, over interruptions too: keep/ has
// the whole log, metrics.jsonl what the page follows.
type lossWriter struct {
	w        *work
	keep     *os.File
	live     *os.File
	attempts []Begun
	found    Begun // what an earlier attempt left
	err      error
}

// lossPoint is one line of the log; it reads as an engine.Metric.
func lossPoint(s lm.Step) engine.Metric {
	return engine.Metric{Step: int64(s.Step), Values: map[string]float64{"loss": s.Loss, "learning_rate": s.LearningRate, "grad_norm": s.GradNorm, "tokens": float64(s.Tokens)}}
}

// step records a finished step; the first error is told at the end.
func (l *lossWriter) step(s lm.Step) {
	if l.keep == nil && l.err == nil {
		l.err = l.begin(s.Step)
	}
	if l.err != nil {
		return
	}
	line, err := json.Marshal(lossPoint(s))
	if err == nil {
		_, err = l.keep.Write(append(line, '\n'))
	}
	if err == nil {
		_, err = l.live.Write(append(line, '\n'))
	}
	l.err = err
	l.w.progress("steps", int64(s.Step), int64(s.Steps), map[string]float64{"loss": s.Loss, "learning_rate": s.LearningRate})
}

// begin opens the logs before step first: what an earlier attempt logged from
// there on was lost with it and is done again.
func (l *lossWriter) begin(first int) error {
	kept, err := pointsBefore(l.w.path(keepFolder, lossLog), int64(first))
	if err != nil {
		return err
	}
	for _, to := range []struct {
		path string
		file **os.File
	}{{l.w.path(keepFolder, lossLog), &l.keep}, {l.w.path(metricsFile), &l.live}} {
		if err := writeWhole(to.path, kept); err != nil {
			return err
		}
		if *to.file, err = os.OpenFile(to.path, os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
			return err
		}
	}
	return l.noteAttempt(first - 1)
}

func (l *lossWriter) noteAttempt(step int) error {
	number, _ := strconv.Atoi(os.Getenv("GAON_ATTEMPT"))
	begun := l.found
	begun.Attempt, begun.Step = number, step
	var err error
	if step > 0 {
		if begun.Checkpoint, err = l.w.checkpointDigest(step); err != nil {
			return err
		}
	}
	path := l.w.path(keepFolder, attemptsLog)
	if l.attempts, err = readAttempts(path); err != nil {
		return err
	}
	l.attempts = append(l.attempts, begun)
	var log bytes.Buffer
	for lines, i := json.NewEncoder(&log), 0; i < len(l.attempts); i++ {
		if err := lines.Encode(l.attempts[i]); err != nil {
			return err
		}
	}
	return writeWhole(path, log.Bytes())
}

// readAttempts reads the log of attempts. A line that a crash tore is passed
// over: it must not keep every later attempt from going on.
func readAttempts(path string) (all []Begun, err error) {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for line := range bytes.Lines(data) {
		var b Begun
		if json.Unmarshal(line, &b) == nil {
			all = append(all, b)
		}
	}
	return all, nil
}

// pointsBefore returns the whole lines of the log whose step is below first.
func pointsBefore(path string, first int64) ([]byte, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var kept []byte
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var point engine.Metric
		if json.Unmarshal(lines.Bytes(), &point) == nil && point.Step < first {
			kept = append(append(kept, lines.Bytes()...), '\n')
		}
	}
	return kept, lines.Err()
}

// copyTo puts the whole log into the output. A run that had nothing left to do
// after its last checkpoint has only what it kept.
func (l *lossWriter) copyTo(path string) error {
	data, err := os.ReadFile(l.w.path(keepFolder, lossLog))
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

func (l *lossWriter) close() {
	for _, f := range []*os.File{l.keep, l.live} {
		if f != nil {
			f.Close() // errors of writing were told by Write
		}
	}
}
