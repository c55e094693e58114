package corpus

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"

	"github.com/gaon-ai/gaon/internal/unit"
)

// Document is one document of a curated corpus, a line of train.jsonl.zst.
type Document struct {
	ID     string `json:"id"`
	Text   string `json:"text"`
	Source string `json:"source"` // file:line
	Lang   string `json:"lang"`   // as Identify names it
}

// Dropped is a line of dropped.jsonl.zst. The text itself is not kept.
type Dropped struct {
	ID     string `json:"id"`
	Source string `json:"source"`
	Reason string `json:"reason"`
	Detail string `json:"detail,omitempty"`
}

// Reasons why a document is dropped. They are wire names.
const (
	ReasonBadUTF8          = "bad_utf8"
	ReasonBadJSON          = "bad_json"
	ReasonTooLong          = "line_too_long"
	ReasonMissingText      = "missing_text"
	ReasonEmptyText        = "empty_text"
	ReasonLanguage         = "language"
	ReasonExactDuplicate   = "exact_duplicate"
	ReasonNearDuplicate    = "near_duplicate"
	ReasonBrokenText       = "broken_text"
	ReasonTooFewWords      = "too_few_words"
	ReasonTooManyWords     = "too_many_words"
	ReasonWordLength       = "word_length"
	ReasonSymbols          = "symbols"
	ReasonBullets          = "bullet_lines"
	ReasonEllipsis         = "ellipsis_lines"
	ReasonFewLetters       = "few_letters"
	ReasonFewStopWords     = "few_stop_words"
	ReasonLinePunctuation  = "line_punctuation"
	ReasonManyLines        = "many_lines"
	ReasonDuplicateLines   = "duplicate_lines"
	ReasonDuplicateParas   = "duplicate_paragraphs"
	ReasonRepeatedGrams    = "repeated_ngrams"
	ReasonTopGrams         = "top_ngrams"
	ReasonPersonalDense    = "mostly_personal_data"
	ReasonEvaluation       = "evaluation_overlap"
	ReasonHeldOutOverlap   = "heldout_overlap"
	personalWordsPerMille  = 300 // more than this share of words personal data: a list of people, not text
	personalSpansForDense  = 4
	detailRunesMax         = 200
	exampleRunesMax        = 240
	idBytesMax             = 256
	spillRecordBytesMax    = 2 << 30
	documentTextBytesFloor = 1
)

// draft is a document between the steps.
type draft struct {
	Document
	digest uint64 // the first 8 bytes of the exact digest: chooses the held-out share
}

var errSpill = errors.New("work file is damaged: another program wrote into the work folder")

// appendDraft writes the draft to a spill buffer.
func appendDraft(dst []byte, d draft) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, d.digest)
	for _, s := range [...]string{d.ID, d.Source, d.Lang, d.Text} {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	return dst
}

// readDraft reads what appendDraft wrote and returns the rest.
func readDraft(src []byte) (draft, []byte, error) {
	var d draft
	if len(src) < 8 {
		return d, nil, errSpill
	}
	d.digest = binary.LittleEndian.Uint64(src)
	src = src[8:]
	for _, s := range [...]*string{&d.ID, &d.Source, &d.Lang, &d.Text} {
		n, w := binary.Uvarint(src)
		if w <= 0 || n > uint64(len(src)-w) {
			return d, nil, errSpill
		}
		*s = string(src[w : w+int(n)])
		src = src[w+int(n):]
	}
	return d, src, nil
}

// appendJSONLine adds v as one line of JSON, without the HTML escapes that
// would turn < into \u003c.
func appendJSONLine(dst *bytes.Buffer, v any) {
	e := json.NewEncoder(dst)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("corpus: a struct of strings cannot fail to encode: " + err.Error())
	}
}

// clip cuts text to so many characters for a report.
func clip(text string, runes int) string {
	n := 0
	for i := range text {
		if n == runes {
			return text[:i] + "…"
		}
		n++
	}
	return text
}

func clipBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}

// heldOut reports whether the digest falls into the share kept apart.
func (d draft) heldOut(perMille int) bool { return d.digest%1000 < uint64(perMille) }

// size is what the document counts in bytes everywhere: its text.
func (d draft) size() int64 { return int64(unit.Bytes(len(d.Text))) }
