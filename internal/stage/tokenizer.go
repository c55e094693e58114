package stage

import (
	"context"
	"iter"
	"math"
	"path/filepath"

	"github.com/gaon-ai/gaon/internal/corpus"
	"github.com/gaon-ai/gaon/internal/tokenizer"
	"github.com/gaon-ai/gaon/internal/unit"
)

// Names of outputs, which later stages read as inputs, and of reports in them.
const (
	corpusOutput     = "corpus"
	tokenizerOutput  = "tokenizer"
	modelOutput      = "model"
	trainingOutput   = "training"
	evaluationOutput = "evaluation"
	releaseOutput    = "release"

	tokenizerReport = "tokenizer-report.json"
)

// texts yields the texts of one file of a curated corpus.
func texts(path string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for document, err := range corpus.Documents(path) {
			if !yield(document.Text, err) {
				return
			}
		}
	}
}

func learnTokenizer(ctx context.Context, w *work) error {
	out, err := w.out(tokenizerOutput)
	if err != nil {
		return err
	}
	train := filepath.Join(w.in(corpusOutput), corpus.TrainFile)
	t, report, err := tokenizer.Train(ctx, tokenizer.Config{
		Vocab: w.params.Recipe.Tokenizer.Vocabulary, Workers: w.slots,
		Progress: func(done, total int) { w.progress("merges", int64(done), int64(total), nil) },
	}, texts(train))
	if err != nil {
		return err
	}
	if _, err := t.SaveModel(out, w.params.Recipe.Train.Context); err != nil {
		return err
	}
	held, err := t.Measure(ctx, texts(filepath.Join(w.in(corpusOutput), corpus.HeldOutFile)))
	if err != nil {
		return err
	}
	report.Seconds = 0 // the output is the same each time; the job's record has the time
	c := w.statement.Counts
	c["vocabulary"], c["merges"], c["documents"], c["bytes"], c["tokens"] = int64(report.Vocab), int64(report.Merges), report.Documents, report.Bytes, report.Tokens
	w.statement.Scores["tokens_per_eojeol"] = micro(report.TokensPerEojeol)
	w.statement.Scores["tokens_per_byte"] = micro(report.TokensPerByte)
	w.statement.Scores["held_out.tokens_per_eojeol"] = micro(held.TokensPerEojeol)
	w.statement.Scores["held_out.tokens_per_byte"] = micro(held.TokensPerByte)
	return w.writeJSON(filepath.Join(outputFolder, tokenizerOutput, tokenizerReport), struct {
		tokenizer.Report
		HeldOut tokenizer.Coverage `json:"held_out"`
	}{report, held})
}

// micro rounds a measured number to millionths.
func micro(v float64) unit.Micro { return unit.Micro(math.Round(v * 1e6)) }
