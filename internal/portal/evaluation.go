package portal

import (
	"github.com/gaon-ai/gaon/internal/evaluation"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/unit"
)

// measured is how good a run's model is, and what its gate said.
type measured struct {
	Known      bool
	Bars       []bar // bits per byte: fewer is better
	Choice     *share
	Chance     string
	Overlap    string // share of evaluation items that were in the training text
	Compressor string
	Gate       *factory.Verdict
	Wanted     []string // the gate's conditions, where it has not decided yet
}

// bar is one bar of a chart.
type bar struct {
	Name  string // key in texts
	Value unit.Micro
	Width string // in per cent of the longest
	Own   bool
}

// share is a share of a whole, in per cent.
type share struct {
	Value string
	Low   string // lower end of its 95 % interval
}

func evaluationOf(run factory.Run) measured {
	m := measured{Gate: run.Gate, Wanted: run.Recipe.Gate}
	done := run.Stages[factory.StageEvaluate]
	if done.Statement == nil {
		return m
	}
	scores := done.Statement.Scores
	m.Known, m.Compressor = true, done.Statement.Notes["compressor"]
	longest := unit.Micro(1)
	for _, name := range []string{evaluation.ScoreBitsPerByte, evaluation.ScoreByteFivegram, evaluation.ScoreByteUnigram, evaluation.ScoreZstd} {
		if value, ok := scores[name]; ok {
			m.Bars = append(m.Bars, bar{Name: "score." + name, Value: value, Own: name == evaluation.ScoreBitsPerByte})
			longest = max(longest, value)
		}
	}
	for i := range m.Bars {
		share := float64(max(m.Bars[i].Value, 0)) / float64(longest)
		m.Bars[i].Width = decimal(unit.Micro(share*100_000_000), 2)
	}
	if accuracy, ok := scores[evaluation.ScoreChoiceAccuracy]; ok && done.Statement.Counts["questions"] > 0 {
		m.Choice = &share{percent(accuracy), percent(scores[evaluation.ScoreChoiceAccuracyLow])}
		m.Chance = percent(scores[evaluation.ScoreChoiceChance])
	}
	if overlap, ok := scores[evaluation.ScoreContamination]; ok {
		m.Overlap = percent(overlap)
	}
	return m
}
