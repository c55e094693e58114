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
		Progress: func(p corpus.Progress) {
			w.progress(p.Step, p.Bytes, p.BytesTotal, map[string]float64{"documents": float64(p.Documents)})
		},
	})
	if err != nil {
		return err
	}
	c := w.statement.Counts
	c["documents_in"], c["documents_train"], c["documents_heldout"] = report.DocumentsIn, report.DocumentsTrain, report.DocumentsHeldOut
	c["documents_dropped"], c["documents_duplicate"] = report.DocumentsDropped, report.Duplicates.Exact+report.Duplicates.Near
	c["documents_evaluation_overlap"], c["bytes_train"], c["bytes_heldout"] = report.Evaluation.Removed, report.BytesTrain, report.BytesHeldOut
	for _, found := range report.Personal {
		c["personal_replaced"] += found.Certain + found.Probable
	}
	for _, reason := range report.Reasons {
		c["dropped."+reason.Name] = reason.Documents
	}
	w.statement.Notes["tool"] = report.Tool
	return nil
}
