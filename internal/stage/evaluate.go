package stage

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/gaon-ai/gaon/internal/corpus"
	"github.com/gaon-ai/gaon/internal/evaluation"
	"github.com/gaon-ai/gaon/internal/lm"
	"github.com/gaon-ai/gaon/internal/tokenizer"
)

// Files of the evaluation's output.
const (
	evaluationReport = "report.json"
	rawOutputs       = "raw.jsonl"
)

func evaluate(ctx context.Context, w *work) error {
	out, err := w.out(evaluationOutput)
	if err != nil {
		return err
	}
	scorer, err := loadScorer(w.in(modelOutput))
	if err != nil {
		return err
	}
	input := evaluation.Input{Train: texts(filepath.Join(w.in(corpusOutput), corpus.TrainFile))}
	for d, err := range corpus.Documents(filepath.Join(w.in(corpusOutput), corpus.HeldOutFile)) {
		if err != nil {
			return err
		}
		input.HeldOut = append(input.HeldOut, evaluation.Document{ID: d.ID, Text: d.Text})
	}
	if input.Items, err = w.questions(); err != nil {
		return err
	}
	raw, err := os.Create(filepath.Join(out, rawOutputs))
	if err != nil {
		return err
	}
	defer raw.Close()
	report, err := evaluation.Evaluate(ctx, evaluation.Config{
		Seed: uint64(w.params.Recipe.Seed), Workers: w.slots, Raw: raw, Folder: w.dir,
		Progress: func(part string, done, total int) { w.progress(part, int64(done), int64(total), nil) },
	}, scorer, input)
	if err != nil {
		return err
	}
	if err := raw.Sync(); err != nil {
		return err
	}
	w.statement.Scores = report.Scores
	c := w.statement.Counts
	c["held_out_documents"], c["held_out_bytes"], c["questions"] = report.HeldOut.Documents, report.HeldOut.Bytes, int64(len(input.Items))
	w.statement.Notes["compressor"] = report.Compressor.Name + " " + report.Compressor.Version
	w.statement.Notes["raw_outputs"] = string(report.Raw)
	return w.writeJSON(filepath.Join(outputFolder, evaluationOutput, evaluationReport), report)
}

// questions reads the multiple-choice questions of the evaluation datasets.
func (w *work) questions() ([]evaluation.Item, error) {
	folders, err := w.inputs("evaluation-")
	if err != nil {
		return nil, err
	}
	files, err := filesBelow(folders, ".jsonl")
	if err != nil {
		return nil, err
	}
	var all []evaluation.Item
	for _, path := range files {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		items, err := evaluation.ReadItems(filepath.Base(path), file)
		file.Close()
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
	}
	return all, nil
}

// rescore is the gate's stage: it calculates the scores again from the raw
// outputs, so that the centre can hold the two against each other. What the
// gate says the centre decides by itself, from the ledger.
func rescore(_ context.Context, w *work) error {
	raw, err := os.Open(filepath.Join(w.in(evaluationOutput), rawOutputs))
	if err != nil {
		return err
	}
	defer raw.Close()
	w.statement.Scores, err = evaluation.Rescore(raw, uint64(w.params.Recipe.Seed))
	return err
}

// scorer lets evaluation measure a model through its tokenizer.
type scorer struct {
	model *lm.Model
	words *tokenizer.Tokenizer
}

func loadScorer(dir string) (*scorer, error) {
	model, err := lm.Load(dir)
	if err != nil {
		return nil, err
	}
	words, err := tokenizer.Load(filepath.Join(dir, tokenizer.FileName))
	if err != nil {
		return nil, err
	}
	if model.Config().VocabSize < words.VocabSize() {
		return nil, fmt.Errorf("the tokenizer has %d tokens, the model only %d", words.VocabSize(), model.Config().VocabSize)
	}
	return &scorer{model, words}, nil
}

// begin is the sequence a document starts from: the begin mark, as in training.
func (s *scorer) begin() []uint32 {
	id, _ := s.words.SpecialID(tokenizer.BeginOfText)
	return []uint32{id}
}

// DocumentBits implements evaluation.Scorer.
func (s *scorer) DocumentBits(ctx context.Context, text string) (float64, error) {
	nats, err := s.model.LogProbs(ctx, s.words.AppendEncode(s.begin(), text))
	sum := 0.0
	for _, p := range nats {
		sum -= p
	}
	return sum / math.Ln2, err
}

// LogLikelihoods implements evaluation.Scorer.
func (s *scorer) LogLikelihoods(ctx context.Context, prefix string, continuations []string) ([]float64, error) {
	asked := s.words.AppendEncode(s.begin(), prefix)
	all := make([]float64, len(continuations))
	for i, text := range continuations {
		nats, err := s.model.LogProbs(ctx, s.words.AppendEncode(append([]uint32{}, asked...), text))
		if err != nil {
			return nil, err
		}
		for _, p := range nats[len(asked)-1:] {
			all[i] += p
		}
	}
	return all, nil
}
