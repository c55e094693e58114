// Package evaluation measures how well something predicts text: bits per byte
// on held-out documents beside baselines trained on the same documents,
// multiple choice by log-likelihood, and how much of the test the training
// documents give away.
//
// It is not the gate: it says what the numbers are, and the recipe says which
// are good enough. It knows no model either; whatever implements Scorer can be
// measured, the baseline ByteModel too.
//
// Begin with Evaluate. ReadItems reads the questions of a multiple choice.
package evaluation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"runtime"
	"sync"

	"github.com/gaon-ai/gaon/internal/unit"
)

// Scorer is what is measured. Evaluate calls it from Config.Workers goroutines
// at once, so it must be safe for that; an answer must not depend on the
// order of calls.
type Scorer interface {
	// DocumentBits returns how many bits the scorer needs to write exactly
	// these bytes, -log2 of their probability, knowing only that a document
	// begins. The end of the document is not counted.
	DocumentBits(ctx context.Context, text string) (bits float64, err error)
	// LogLikelihoods returns, for each continuation, the natural logarithm of
	// its probability right after prefix at the beginning of a document.
	LogLikelihoods(ctx context.Context, prefix string, continuations []string) (nats []float64, err error)
}

// Document is one held-out text.
type Document struct {
	ID   string
	Text string
}

// Input is what to measure with.
type Input struct {
	// Train yields the documents the scorer was trained on, once. Baselines
	// learn from them and the test is searched for in them.
	Train iter.Seq2[string, error]
	// HeldOut are documents the scorer never saw. At least one byte.
	HeldOut []Document
	// Items are multiple-choice questions; there may be none.
	Items []Item
}

// Config says how to measure. The zero value is a good choice.
type Config struct {
	// Seed settles ties between choices of equal score.
	Seed uint64
	// Workers is how many goroutines call the scorer; 0 means one for each
	// processor. The report does not depend on it.
	Workers int
	// Folder is for temporary files; "" means the system's.
	Folder string
	// Zstd is the path of the zstd command; "" means the one on PATH, "-"
	// none. Without one a library in this program compresses, and the report
	// says so.
	Zstd string
	// Raw receives the raw outputs, one JSON object a line; nil drops them.
	// The report names their digest either way.
	Raw io.Writer
	// Progress, if set, is told after each document and item, one call at a
	// time, from any goroutine.
	Progress func(part string, done, total int)
}

// Limits of one evaluation.
const (
	heldOutBytesMax    = 256 << 20
	heldOutMax         = 1 << 20 // documents
	examplesMax        = 100     // contaminated items named in the report
	workersMax         = 1024
	documentBytesMax   = 64 << 20
	documentIDBytesMax = 1024
)

// Evaluate measures the scorer and returns the report. Everything in it is the
// same each time for the same input, configuration and scorer.
func Evaluate(ctx context.Context, config Config, scorer Scorer, input Input) (Report, error) {
	if config.Workers == 0 {
		config.Workers = runtime.GOMAXPROCS(0)
	}
	if config.Workers < 1 || config.Workers > workersMax {
		return Report{}, fmt.Errorf("%d workers: want 1 to %d", config.Workers, workersMax)
	}
	if scorer == nil || input.Train == nil {
		return Report{}, errors.New("nothing to evaluate: scorer and training documents must be given")
	}
	if err := checkHeldOut(input.HeldOut); err != nil {
		return Report{}, err
	}
	if err := checkItems(input.Items); err != nil {
		return Report{}, err
	}
	e := &evaluation{config: config, scorer: scorer, input: input}
	report, err := e.run(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("evaluate: %w", err)
	}
	return report, nil
}

func checkHeldOut(documents []Document) error {
	if len(documents) > heldOutMax {
		return fmt.Errorf("%d held-out documents, at most %d", len(documents), heldOutMax)
	}
	total := 0
	for i, d := range documents {
		switch {
		case len(d.Text) > documentBytesMax:
			return fmt.Errorf("held-out document %d has %d bytes, at most %d", i, len(d.Text), documentBytesMax)
		case len(d.ID) > documentIDBytesMax:
			return fmt.Errorf("held-out document %d has an id of %d bytes, at most %d", i, len(d.ID), documentIDBytesMax)
		}
		total += len(d.Text)
	}
	switch {
	case total == 0:
		return errors.New("no held-out text: set aside some documents before training")
	case total > heldOutBytesMax:
		return fmt.Errorf("%d bytes of held-out text, at most %d", total, heldOutBytesMax)
	}
	return nil
}

// evaluation is one run.
type evaluation struct {
	config   Config
	scorer   Scorer
	input    Input
	unigram  *ByteModel
	fivegram *ByteModel
	report   Report
	raw      *rawWriter
	mutex    sync.Mutex // guards calls of config.Progress
}

func (e *evaluation) run(ctx context.Context) (Report, error) {
	e.unigram, e.fivegram = NewByteModel(1), NewByteModel(5)
	e.raw = newRawWriter(e.config.Raw)
	e.report = Report{Format: reportFormat, Seed: e.config.Seed, Scores: map[string]unit.Micro{}}
	bench, err := newCompressorBench(e.config)
	if err != nil {
		return Report{}, err
	}
	defer bench.close()
	search := newContamination(e.input)
	if err := e.readTrain(ctx, bench, search); err != nil {
		return Report{}, err
	}
	for _, part := range []func(context.Context) error{e.documents, e.choices} {
		if err := part(ctx); err != nil {
			return Report{}, err
		}
	}
	if e.report.Compressor, err = bench.measure(ctx, e.input.HeldOut); err != nil {
		return Report{}, err
	}
	e.raw.write(rawCompressor{"compressor", e.report.Compressor})
	if err := e.contamination(search); err != nil {
		return Report{}, err
	}
	e.report.fillScores()
	e.report.Raw, err = e.raw.finish()
	return e.report, err
}

// readTrain passes once over the training documents.
func (e *evaluation) readTrain(ctx context.Context, bench *compressorBench, search *contamination) error {
	t := &e.report.Train
	digest := newTextDigest()
	for text, err := range e.input.Train {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return fmt.Errorf("read training document %d: %w", t.Documents, err)
		}
		t.Documents++
		t.Bytes += int64(len(text))
		digest.add(text)
		n := e.fivegram.Train(text)
		e.unigram.Train(text[:n])
		t.BaselineBytes += int64(n)
		if err := bench.add(text); err != nil {
			return err
		}
		search.scan(text)
	}
	t.Digest = digest.sum()
	return nil
}

// documents scores the held-out documents by the scorer and the byte models.
func (e *evaluation) documents(ctx context.Context) error {
	type bits struct{ scorer, unigram, fivegram float64 }
	held := e.input.HeldOut
	all := make([]bits, len(held))
	err := e.each(ctx, "documents", len(held), func(i int) error {
		text := held[i].Text
		got, err := e.scorer.DocumentBits(ctx, text)
		if err != nil {
			return fmt.Errorf("score held-out document %d (%s): %w", i, held[i].ID, err)
		}
		if math.IsNaN(got) || math.IsInf(got, 0) || got < 0 {
			return fmt.Errorf("score held-out document %d (%s): %v bits is no number of bits", i, held[i].ID, got)
		}
		all[i] = bits{got, e.unigram.bits(text), e.fivegram.bits(text)}
		return nil
	})
	if err != nil {
		return err
	}
	var sum bits
	digest := newTextDigest()
	h := &e.report.HeldOut
	for i, d := range held {
		h.Documents++
		h.Bytes += int64(len(d.Text))
		digest.add(d.Text)
		sum.scorer += all[i].scorer
		sum.unigram += all[i].unigram
		sum.fivegram += all[i].fivegram
		e.raw.write(rawDocument{"document", i, d.ID, len(d.Text), all[i].scorer, all[i].unigram, all[i].fivegram})
	}
	h.Digest = digest.sum()
	bytes := float64(h.Bytes)
	e.report.BitsPerByte = sum.scorer / bytes
	e.report.ByteUnigram = sum.unigram / bytes
	e.report.ByteFivegram = sum.fivegram / bytes
	return nil
}

// each calls one for 0 ≤ i < n on all workers and returns the error of the
// lowest i that failed, so that the error too is the same each time.
func (e *evaluation) each(ctx context.Context, part string, n int, one func(i int) error) error {
	var (
		group    sync.WaitGroup
		lock     sync.Mutex
		next     int
		done     int
		failedAt = n
		failure  error
	)
	take := func() (int, bool) {
		lock.Lock()
		defer lock.Unlock()
		if next >= failedAt || ctx.Err() != nil {
			return 0, false
		}
		next++
		return next - 1, true
	}
	for range min(e.config.Workers, n) {
		group.Go(func() {
			for {
				i, ok := take()
				if !ok {
					return
				}
				err := one(i)
				lock.Lock()
				if err != nil && i < failedAt {
					failedAt, failure = i, err
				}
				done++
				count := done
				lock.Unlock()
				e.progress(part, count, n)
			}
		})
	}
	group.Wait()
	if failure == nil {
		failure = ctx.Err()
	}
	return failure
}

func (e *evaluation) progress(part string, done, total int) {
	if e.config.Progress == nil {
		return
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.config.Progress(part, done, total)
}

// contamination records what the search found.
func (e *evaluation) contamination(search *contamination) error {
	e.report.Contamination = search.result()
	e.raw.write(search.searched())
	for _, f := range search.foundItems() {
		e.raw.write(rawContamination{"contamination", f.Of, f.ID, f.Gram, f.Document})
	}
	return nil
}
