// Package tokenizer turns text into token ids and back by byte-level BPE, and
// learns such a tokenizer from documents.
//
// It is not a home for other kinds of tokenizer: no normaliser, no unknown
// token, no SentencePiece. Every byte string, valid UTF-8 or not, has ids, and
// the ids give exactly those bytes back.
//
// Begin with Train, which learns a Tokenizer; (*Tokenizer).Encode and Decode,
// which use it; and Save and Load, which keep it as a Hugging Face
// tokenizer.json. Chat writes a conversation as ids without letting anyone's
// text forge a turn.
package tokenizer

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The special tokens of Gaon's own models, in the order of their ids.
const (
	BeginOfText = "<|begin_of_text|>"
	EndOfText   = "<|end_of_text|>"
	User        = "<|user|>"
	Assistant   = "<|assistant|>"
	Pad         = "<|pad|>"
)

// Specials returns the special tokens of Gaon's own models. Their ids are
// their places in this list, whatever corpus the rest is learned from.
func Specials() []string { return []string{BeginOfText, EndOfText, User, Assistant, Pad} }

// Limits on what a tokenizer may hold.
const (
	vocabMax        = 1 << 20 // tokens, special ones included
	tokenBytesMax   = 1 << 12 // bytes of one learned token
	specialMax      = 1024    // special tokens
	specialBytesMax = 256     // bytes of one special token
)

// Tokenizer encodes and decodes. It is immutable but for a cache that any
// number of goroutines may share, so one Tokenizer serves a whole process.
type Tokenizer struct {
	pattern  Pattern
	tokens   []string          // id to the bytes it stands for
	special  []bool            // id to whether it is special
	specials []Special         // by id
	ids      map[string]uint32 // special text to id
	first    [256]bool         // first bytes of specials
	bytes    [256]uint32       // byte to id
	merges   []merge           // by rank
	ranks    pairTable         // pair to rank and id
	whole    map[string]uint32 // if set: pieces that are tokens as they stand
	cache    pieceCache
}

// Special is a special token: a mark that text can never spell.
type Special struct {
	Text string `json:"text"`
	ID   uint32 `json:"id"`
}

// merge says that left and right, side by side, become id.
type merge struct{ left, right, id uint32 }

// newTokenizer builds the lookup structures. The caller has checked that ids
// are in range and that merges name tokens whose bytes add up.
func newTokenizer(pattern Pattern, tokens []string, special []bool, merges []merge) (*Tokenizer, error) {
	t := &Tokenizer{pattern: pattern, tokens: tokens, special: special, merges: merges, ids: map[string]uint32{}}
	var seen [256]bool
	for id, text := range tokens {
		switch {
		case special[id]:
			t.specials = append(t.specials, Special{Text: text, ID: uint32(id)})
			t.ids[text] = uint32(id)
			t.first[text[0]] = true
		case len(text) == 1:
			t.bytes[text[0]], seen[text[0]] = uint32(id), true
		}
	}
	if missing := slices.Index(seen[:], false); missing >= 0 {
		return nil, fmt.Errorf("vocabulary has no token for byte 0x%02x (%q): a byte-level vocabulary holds all 256", missing, string(byteRunes[missing]))
	}
	t.ranks = newPairTable(merges)
	t.cache = newPieceCache()
	return t, nil
}

// takeWhole makes a piece that is a token that token, before any merge
// ("ignore_merges"). For a vocabulary that Train learned it changes nothing:
// the merges that made a token also make it from its own bytes. Vocabularies
// put together by other means may need it.
func (t *Tokenizer) takeWhole() {
	t.whole = make(map[string]uint32, len(t.tokens))
	for id, text := range t.tokens {
		if !t.special[id] {
			t.whole[text] = uint32(id)
		}
	}
}

// VocabSize returns the number of ids: they run from 0 to VocabSize()-1.
func (t *Tokenizer) VocabSize() int { return len(t.tokens) }

// Merges returns the number of learned merges.
func (t *Tokenizer) Merges() int { return len(t.merges) }

// Pattern returns the rule by which text is cut into pieces before merging.
func (t *Tokenizer) Pattern() Pattern { return t.pattern }

// Specials returns the special tokens by rising id.
func (t *Tokenizer) Specials() []Special { return slices.Clone(t.specials) }

// SpecialID returns the id of a special token, and whether there is one.
func (t *Tokenizer) SpecialID(text string) (uint32, bool) {
	id, ok := t.ids[text]
	return id, ok
}

// IsSpecial tells whether the id is a special token's.
func (t *Tokenizer) IsSpecial(id uint32) bool { return int(id) < len(t.special) && t.special[id] }

// Token returns the bytes an id stands for (for a special token its text) and
// whether the id exists.
func (t *Tokenizer) Token(id uint32) ([]byte, bool) {
	if int(id) >= len(t.tokens) {
		return nil, false
	}
	return []byte(t.tokens[id]), true
}

// Decode returns the bytes the ids stand for, special tokens written out.
// Ids beyond the vocabulary stand for nothing.
func (t *Tokenizer) Decode(ids []uint32) []byte { return t.decode(ids, true) }

// DecodeText is Decode with special tokens left out: what a reader should see.
func (t *Tokenizer) DecodeText(ids []uint32) []byte { return t.decode(ids, false) }

func (t *Tokenizer) decode(ids []uint32, special bool) []byte {
	size := 0
	for _, id := range ids {
		if int(id) < len(t.tokens) {
			size += len(t.tokens[id])
		}
	}
	out := make([]byte, 0, size)
	for _, id := range ids {
		if int(id) < len(t.tokens) && (special || !t.special[id]) {
			out = append(out, t.tokens[id]...)
		}
	}
	return out
}

// checkSpecials refuses special tokens that could not be told from text or
// that other readers of tokenizer.json would trip over.
func checkSpecials(special []string) error {
	if len(special) > specialMax {
		return fmt.Errorf("%d special tokens, at most %d", len(special), specialMax)
	}
	seen := make(map[string]bool, len(special))
	for i, text := range special {
		switch {
		case text == "":
			return fmt.Errorf("special token %d is empty", i)
		case len(text) < 2:
			return fmt.Errorf("special token %q is one byte long and would hide that byte: make it longer, such as <|%s|>", text, text)
		case len(text) > specialBytesMax:
			return fmt.Errorf("special token %d has %d bytes, at most %d", i, len(text), specialBytesMax)
		case !utf8.ValidString(text):
			return fmt.Errorf("special token %q is not UTF-8", text)
		case strings.ContainsFunc(text, unicode.IsSpace):
			return fmt.Errorf("special token %q holds white space", text)
		case seen[text]:
			return fmt.Errorf("special token %q is named twice", text)
		}
		seen[text] = true
	}
	return nil
}
