package stage

import (
	"context"

	"github.com/gaon-ai/gaon/internal/corpus"
)

func curate(ctx context.Context, w *work) error {
	out, err := w.out(corpusOutput)
	if err != nil {
		return err
	}
	sources, err := w.inputs("training-")
	if err != nil {
		return err
	}
	folders, err := w.inputs("evaluation-")
	if err != nil {
		return err
	}
	tests, err := filesBelow(folders, ".jsonl", ".jsonl.gz", ".jsonl.zst")
	if err != nil {
		return err
	}
	recipe := w.params.Recipe.Curate
	report, err := corpus.Curate(ctx, corpus.Config{
		Inputs: sources, Out: out, Evaluation: tests, HeldOut: recipe.HeldOut, Languages: recipe.Languages, Workers: w.slots,
		Progress: func(p corpus.Progress) { w.progress(p.Step, p.Bytes, p.BytesTotal, map[string]float64{"documents": float64(p.Documents)}) },
	})
	if err != nil {
		return err
	}
	_ = report
	return nil
}
