package tokenizer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"unicode"
)

// Report is what training found, as JSON for people and for the passport. All
// of it but Seconds is the same each time.
type Report struct {
	Pattern    Pattern   `json:"pattern"`
	VocabAsked int       `json:"vocab_asked"`
	Vocab      int       `json:"vocab"`
	Merges     int       `json:"merges"`
	Specials   []Special `json:"specials"`

	Documents        int64 `json:"documents"`
	DocumentsLeftOut int64 `json:"documents_left_out"` // beyond Config.BytesMax
	Bytes            int64 `json:"bytes"`
	BytesLongPieces  int64 `json:"bytes_long_pieces"` // in pieces too long to learn from, counted as one token a byte
	DistinctPieces   int64 `json:"distinct_pieces"`
	Coverage

	Seconds float64 `json:"seconds"`
}

// Coverage says how tightly a tokenizer packs text.
type Coverage struct {
	Tokens  int64 `json:"tokens"`
	Eojeols int64 `json:"eojeols"` // runs of characters that are not white space
	// TokensPerEojeol is tokens / eojeols, those of white space and line ends
	// included; TokensPerByte is tokens / bytes of UTF-8. Lower is tighter.
	TokensPerEojeol float64 `json:"tokens_per_eojeol"`
	TokensPerByte   float64 `json:"tokens_per_byte"`
}

func (r *Report) rates() { r.Coverage = newCoverage(r.Tokens, r.Eojeols, r.Bytes) }

func newCoverage(tokens, eojeols, bytes int64) Coverage {
	c := Coverage{Tokens: tokens, Eojeols: eojeols}
	if eojeols > 0 {
		c.TokensPerEojeol = float64(tokens) / float64(eojeols)
	}
	if bytes > 0 {
		c.TokensPerByte = float64(tokens) / float64(bytes)
	}
	return c
}

// Measure says how tightly the tokenizer packs documents, held-out ones say.
func (t *Tokenizer) Measure(ctx context.Context, docs iter.Seq2[string, error]) (Coverage, error) {
	var tokens, eojeols, bytes, seen int64
	var ids []uint32
	for text, err := range docs {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return Coverage{}, fmt.Errorf("measure document %d: %w", seen, err)
		}
		ids = t.AppendEncode(ids[:0], text)
		tokens += int64(len(ids))
		eojeols += countEojeols(text)
		bytes += int64(len(text))
		seen++
	}
	return newCoverage(tokens, eojeols, bytes), nil
}

// countEojeols counts the runs of characters that are not white space: eojeol
// in Korean, words in languages written with spaces.
func countEojeols(text string) int64 {
	var n int64
	inside := false
	for _, r := range text {
		white := unicode.IsSpace(r)
		if !white && !inside {
			n++
		}
		inside = !white
	}
	return n
}
