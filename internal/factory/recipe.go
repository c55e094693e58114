package factory

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/unit"
)

// Recipe is a factory run as data: what each stage does, what it may use, the
// gate the model must pass and how many people must approve it. Decimals are
// strings, so that a recipe has one meaning on every machine.
type Recipe struct {
	Name      string    `json:"name" yaml:"name"`
	Seed      int64     `json:"seed" yaml:"seed"`
	Curate    Curate    `json:"curate" yaml:"curate"`
	Tokenizer Tokenizer `json:"tokenizer" yaml:"tokenizer"`
	Train     Train     `json:"train" yaml:"train"`
	Evaluate  Evaluate  `json:"evaluate" yaml:"evaluate"`
	Gate      []string  `json:"gate" yaml:"gate"`           // conditions, all of which must hold
	Approvals int       `json:"approvals" yaml:"approvals"` // people with the role signer
	Serve     Serve     `json:"serve" yaml:"serve"`
}

// Resources is what one stage's job asks for.
type Resources struct {
	SlotsMin  int        `json:"slots_min,omitempty" yaml:"slots_min"`   // CPU slots it needs
	Slots     int        `json:"slots,omitempty" yaml:"slots"`           // and takes up to
	Memory    unit.Bytes `json:"memory,omitempty" yaml:"memory"`         // bytes
	TimeLimit int64      `json:"time_limit,omitempty" yaml:"time_limit"` // seconds
}

// Curate turns sources into a corpus.
type Curate struct {
	Languages []string `json:"languages" yaml:"languages"` // ISO 639-1
	HeldOut   int      `json:"held_out" yaml:"held_out"`   // documents in a thousand kept for evaluation
	Resources `yaml:",inline"`
}

// Tokenizer learns a vocabulary from the corpus.
type Tokenizer struct {
	Vocabulary int `json:"vocabulary" yaml:"vocabulary"`
	Resources  `yaml:",inline"`
}

// Train makes a Llama-architecture decoder.
type Train struct {
	Layers          int    `json:"layers" yaml:"layers"`
	Width           int    `json:"width" yaml:"width"`   // hidden size
	Hidden          int    `json:"hidden" yaml:"hidden"` // feed-forward size
	Heads           int    `json:"heads" yaml:"heads"`
	KVHeads         int    `json:"kv_heads" yaml:"kv_heads"`
	Context         int    `json:"context" yaml:"context"` // tokens
	Batch           int    `json:"batch" yaml:"batch"`     // sequences a step
	Steps           int    `json:"steps" yaml:"steps"`
	Warmup          int    `json:"warmup" yaml:"warmup"` // steps
	LearningRate    string `json:"learning_rate" yaml:"learning_rate"`
	WeightDecay     string `json:"weight_decay" yaml:"weight_decay"`
	CheckpointEvery int    `json:"checkpoint_every" yaml:"checkpoint_every"` // steps
	Resources       `yaml:",inline"`
}

// Evaluate measures the model on what it has not seen.
type Evaluate struct {
	Resources `yaml:",inline"`
}

// Serve opens an endpoint when the model is signed; no name, no endpoint.
type Serve struct {
	Name      string `json:"name" yaml:"name"`
	Resources `yaml:",inline"`
}

// Check refuses a recipe no factory could follow, naming the field.
func (r Recipe) Check() error {
	if err := party.CheckName("name", r.Name); err != nil {
		return err
	}
	for _, f := range []struct{ name, text string }{{"name", r.Name}, {"serve.name", r.Serve.Name}} {
		if utf8.RuneCountInString(f.text) > nameRunesMax {
			return &party.FieldError{Field: f.name, Problem: fmt.Sprintf("is longer than %d characters", nameRunesMax)}
		}
	}
	t := r.Train
	for _, f := range []struct {
		name             string
		value, low, high int64
	}{
		{"curate.held_out", int64(r.Curate.HeldOut), 1, 500},
		{"tokenizer.vocabulary", int64(r.Tokenizer.Vocabulary), 300, 262_144},
		{"train.layers", int64(t.Layers), 1, 256},
		{"train.width", int64(t.Width), 8, 16_384},
		{"train.hidden", int64(t.Hidden), 8, 65_536},
		{"train.heads", int64(t.Heads), 1, 256},
		{"train.kv_heads", int64(t.KVHeads), 1, 256},
		{"train.context", int64(t.Context), 8, 131_072},
		{"train.batch", int64(t.Batch), 1, 65_536},
		{"train.steps", int64(t.Steps), 1, 100_000_000},
		{"train.warmup", int64(t.Warmup), 0, int64(t.Steps)},
		{"train.checkpoint_every", int64(t.CheckpointEvery), 1, 1_000_000},
		{"approvals", int64(r.Approvals), 0, approvalsMax},
	} {
		if f.value < f.low || f.value > f.high {
			return &party.FieldError{Field: f.name, Problem: fmt.Sprintf("%d is outside %d to %d", f.value, f.low, f.high)}
		}
	}
	if t.Width%t.Heads != 0 || t.Width/t.Heads%2 != 0 {
		return &party.FieldError{Field: "train.width", Problem: fmt.Sprintf("%d does not split into %d heads of an even size", t.Width, t.Heads)}
	}
	if t.Heads%t.KVHeads != 0 {
		return &party.FieldError{Field: "train.kv_heads", Problem: fmt.Sprintf("%d heads do not share %d key-value heads evenly", t.Heads, t.KVHeads)}
	}
	for _, f := range []struct{ name, text string }{{"train.learning_rate", t.LearningRate}, {"train.weight_decay", t.WeightDecay}} {
		if v, err := unit.ParseMicro(f.text); err != nil || v < 0 || v > 1_000_000 {
			return &party.FieldError{Field: f.name, Problem: fmt.Sprintf("%.40q is no decimal from 0 to 1 with at most six places", f.text)}
		}
	}
	if r.Serve.Name != "" {
		if err := party.CheckName("serve.name", r.Serve.Name); err != nil {
			return err
		}
	}
	if len(r.Curate.Languages) > languagesMax {
		return &party.FieldError{Field: "curate.languages", Problem: fmt.Sprintf("at most %d", languagesMax)}
	}
	for i, language := range r.Curate.Languages {
		if len(language) != 2 || strings.Trim(language, "abcdefghijklmnopqrstuvwxyz") != "" {
			return &party.FieldError{Field: fmt.Sprintf("curate.languages[%d]", i), Problem: fmt.Sprintf("%.10q is no language code such as ko", language)}
		}
	}
	if err := r.checkGate(); err != nil {
		return err
	}
	return r.checkResources()
}

// Four eyes: a passport wants two different people behind a release.
const (
	approvalsMin = 2
	approvalsMax = 16
)

// CheckFourEyes refuses a recipe whose model could never be released. The core
// does not ask: ledgers of old hold runs that only tried something out.
func (r Recipe) CheckFourEyes() error {
	if r.Approvals < approvalsMin {
		return &party.FieldError{Field: "approvals", Problem: fmt.Sprintf("%d is outside %d to %d: a release needs two people's approval", r.Approvals, approvalsMin, approvalsMax)}
	}
	return nil
}

// Bounds of a recipe. A recipe goes into the parameters of every stage's job,
// so one that passed here but did not fit there would never end.
const (
	nameRunesMax      = 100 // a stage or a model is added to it
	languagesMax      = 16
	conditionsMax     = 32
	conditionBytesMax = 200
	slotsMax          = 8192
	timeLimitMax      = 366 * 24 * 3600 // seconds
)

func (r Recipe) checkGate() error {
	if len(r.Gate) == 0 {
		return &party.FieldError{Field: "gate", Problem: "needs at least one condition, such as: bits_per_byte < baseline.byte_5gram"}
	}
	if len(r.Gate) > conditionsMax {
		return &party.FieldError{Field: "gate", Problem: fmt.Sprintf("at most %d conditions", conditionsMax)}
	}
	for i, text := range r.Gate {
		if len(text) > conditionBytesMax || !utf8.ValidString(text) {
			return &party.FieldError{Field: fmt.Sprintf("gate[%d]", i), Problem: fmt.Sprintf("wants UTF-8 of at most %d bytes", conditionBytesMax)}
		}
		if _, err := parseConditions(text); err != nil {
			return &party.FieldError{Field: fmt.Sprintf("gate[%d]", i), Problem: err.Error()}
		}
	}
	return nil
}

func (r Recipe) checkResources() error {
	for _, s := range []struct {
		name string
		Resources
	}{{"curate", r.Curate.Resources}, {"tokenizer", r.Tokenizer.Resources}, {"train", r.Train.Resources},
		{"evaluate", r.Evaluate.Resources}, {"serve", r.Serve.Resources}} {
		if s.SlotsMin < 0 || s.SlotsMin > slotsMax || s.Slots < 0 || s.Slots > slotsMax || s.Slots > 0 && s.SlotsMin > s.Slots ||
			s.Memory < 0 || s.TimeLimit < 0 || s.TimeLimit > timeLimitMax {
			return &party.FieldError{Field: s.name, Problem: fmt.Sprintf(
				"wants 0 <= slots_min <= slots <= %d, no negative memory, and time_limit from 0 to %d seconds", slotsMax, timeLimitMax)}
		}
	}
	return nil
}

// A condition compares a score with another score or a number.
type condition struct {
	text  string
	score string
	op    string
	than  string
}

var operators = []string{"<", "<=", ">", ">="}

// parseConditions reads "a < b and c >= 0.5": three words a condition.
func parseConditions(text string) ([]condition, error) {
	var all []condition
	for _, part := range strings.Split(text, " and ") {
		words := strings.Fields(part)
		if len(words) != 3 || !slices.Contains(operators, words[1]) || !plainScore(words[0]) || !plainScore(words[2]) {
			return nil, fmt.Errorf("%.60q: want SCORE < SCORE-OR-NUMBER, with <, <=, > or >=", part)
		}
		if _, err := unit.ParseMicro(words[2]); err != nil && strings.ContainsAny(words[2][:1], "-.0123456789") {
			return nil, fmt.Errorf("%.60q: %w", part, err)
		}
		all = append(all, condition{strings.Join(words, " "), words[0], words[1], words[2]})
	}
	return all, nil
}

// plainScore says whether the word can be a score's name or a number.
func plainScore(word string) bool {
	for _, c := range word {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("_.-/", c) {
			return false
		}
	}
	return true
}

// Line is one decided condition of a gate.
type Line struct {
	Condition string     `json:"condition"`
	Value     unit.Micro `json:"value"`
	Limit     unit.Micro `json:"limit"`
	Holds     bool       `json:"holds"`
	Missing   string     `json:"missing,omitempty"` // a score that was not measured
}

// Verdict is a decided gate.
type Verdict struct {
	Passed bool   `json:"passed"`
	Lines  []Line `json:"lines"`
}

// DecideGate holds the scores against the conditions. A score that was not
// measured fails its condition: silence is no proof.
func DecideGate(gate []string, scores map[string]unit.Micro) Verdict {
	verdict := Verdict{Passed: len(gate) > 0}
	for _, text := range gate {
		conditions, err := parseConditions(text)
		if err != nil {
			verdict.Passed = false
			verdict.Lines = append(verdict.Lines, Line{Condition: text, Missing: err.Error()})
			continue
		}
		for _, c := range conditions {
			line := c.decide(scores)
			verdict.Passed = verdict.Passed && line.Holds
			verdict.Lines = append(verdict.Lines, line)
		}
	}
	return verdict
}

func (c condition) decide(scores map[string]unit.Micro) Line {
	line := Line{Condition: c.text}
	value, ok := scores[c.score]
	if !ok {
		line.Missing = c.score
		return line
	}
	limit, ok := scores[c.than]
	if !ok {
		number, err := unit.ParseMicro(c.than)
		if err != nil {
			line.Missing = c.than
			return line
		}
		limit = number
	}
	line.Value, line.Limit = value, limit
	switch c.op {
	case "<":
		line.Holds = value < limit
	case "<=":
		line.Holds = value <= limit
	case ">":
		line.Holds = value > limit
	case ">=":
		line.Holds = value >= limit
	}
	return line
}

// String writes the verdict in one line, the failing conditions with numbers.
func (v Verdict) String() string {
	if v.Passed {
		return fmt.Sprintf("passed all %d conditions", len(v.Lines))
	}
	var failed []string
	for _, line := range v.Lines {
		switch {
		case line.Missing != "":
			failed = append(failed, fmt.Sprintf("%s (%s was not measured)", line.Condition, line.Missing))
		case !line.Holds:
			failed = append(failed, fmt.Sprintf("%s (%s against %s)", line.Condition, line.Value, line.Limit))
		}
	}
	return "failed: " + strings.Join(failed, "; ")
}
