package lm

import "fmt"

// ConfigError refuses a model's shape or a training run's settings.
type ConfigError struct {
	Field  string // in words: "vocabulary size"
	Reason string // "is 0, want 1 to 262144"
}

func (e *ConfigError) Error() string { return "lm config: " + e.Field + " " + e.Reason }
func (e *ConfigError) Code() string  { return "lm.config" }

func badConfig(field, format string, a ...any) error {
	return &ConfigError{field, fmt.Sprintf(format, a...)}
}

// TokenError refuses a token id that the vocabulary does not have.
type TokenError struct {
	At        int // place among the ids given, from 0
	ID        uint32
	VocabSize int
}

func (e *TokenError) Error() string {
	return fmt.Sprintf("token %d of the input is id %d, the model's vocabulary has ids below %d: was another tokenizer used?",
		e.At, e.ID, e.VocabSize)
}
func (e *TokenError) Code() string { return "lm.token" }

// checkTokens looks for ids outside the vocabulary.
func checkTokens(ids []uint32, vocab int) error {
	for i, id := range ids {
		if uint64(id) >= uint64(vocab) {
			return &TokenError{At: i, ID: id, VocabSize: vocab}
		}
	}
	return nil
}

// CorpusShortError refuses to train on fewer tokens than one window holds.
type CorpusShortError struct{ Have, Want int }

func (e *CorpusShortError) Error() string {
	return fmt.Sprintf("the corpus has %d tokens, one training window needs %d (the context and the token after it): "+
		"give more text or a shorter context", e.Have, e.Want)
}
func (e *CorpusShortError) Code() string { return "lm.corpus-short" }

// ContextError refuses ids beyond the model's context.
type ContextError struct{ Have, More, Limit int }

func (e *ContextError) Error() string {
	return fmt.Sprintf("%d tokens and %d more do not fit the model's context of %d tokens", e.Have, e.More, e.Limit)
}
func (e *ContextError) Code() string { return "lm.context" }

// DivergedError ends a training run whose loss or gradient is no longer a
// finite number.
type DivergedError struct {
	Step           int
	Loss, GradNorm float64
}

func (e *DivergedError) Error() string {
	return fmt.Sprintf("training diverged at step %d (loss %g, gradient norm %g): lower the learning rate or lengthen the warm-up",
		e.Step, e.Loss, e.GradNorm)
}
func (e *DivergedError) Code() string { return "lm.diverged" }

// FormatError refuses a file of a model or a checkpoint.
type FormatError struct {
	File   string
	Field  string // tensor or key, "" where it is the file as a whole
	Reason string
}

func (e *FormatError) Error() string {
	if e.Field == "" {
		return e.File + ": " + e.Reason
	}
	return fmt.Sprintf("%s: %s: %s", e.File, e.Field, e.Reason)
}
func (e *FormatError) Code() string { return "lm.format" }

func badFormat(file, field, format string, a ...any) error {
	return &FormatError{file, field, fmt.Sprintf(format, a...)}
}

// OtherRunError refuses to resume a run from the checkpoint of another one.
type OtherRunError struct {
	File       string
	Field      string // what differs, as in the checkpoint's header
	Have, Want string // in the checkpoint, in this run
}

func (e *OtherRunError) Error() string {
	return fmt.Sprintf("checkpoint %s belongs to another run: its %s is %s, this run's %s: choose another folder or delete it",
		e.File, e.Field, e.Have, e.Want)
}
func (e *OtherRunError) Code() string { return "lm.other-run" }
