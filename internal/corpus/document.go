package corpus

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"slices"
)

// Document is one document of a curated corpus, a line of train.jsonl.zst.
type Document struct {
	ID     string `json:"id"`
	Text   string `json:"text"`
	Source string `json:"source"` // file:line
	Lang   string `json:"lang"`   // as Identify names it
	// Copies is how many documents of the input were this one or nearly so,
	// itself included; 0 where it is the only one.
	Copies int `json:"copies,omitempty"`
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
	ReasonBadUTF8         = "bad_utf8"
	ReasonBadJSON         = "bad_json"
	ReasonTooLong         = "line_too_long"
	ReasonMissingText     = "missing_text"
	ReasonEmptyText       = "empty_text"
	ReasonLanguage        = "language"
	ReasonExactDuplicate  = "exact_duplicate"
	ReasonNearDuplicate   = "near_duplicate"
	ReasonBrokenText      = "broken_text"
	ReasonTooFewWords     = "too_few_words"
	ReasonTooManyWords    = "too_many_words"
	ReasonWordLength      = "word_length"
	ReasonSymbols         = "symbols"
	ReasonBullets         = "bullet_lines"
	ReasonEllipsis        = "ellipsis_lines"
	ReasonFewLetters      = "few_letters"
	ReasonFewStopWords    = "few_stop_words"
	ReasonLinePunctuation = "line_punctuation"
	ReasonManyLines       = "many_lines"
	ReasonDuplicateLines  = "duplicate_lines"
	ReasonDuplicateParas  = "duplicate_paragraphs"
	ReasonRepeatedGrams   = "repeated_ngrams"
	ReasonTopGrams        = "top_ngrams"
	ReasonPersonalDense   = "mostly_personal_data"
	ReasonEvaluation      = "evaluation_overlap"
	ReasonHeldOutOverlap  = "heldout_overlap"
	personalWordsPerMille = 300 // more than this share of words personal data: a list of people, not text
	personalSpansForDense = 4
	detailRunesMax        = 200
	exampleRunesMax       = 240
	idBytesMax            = 256
	spillRecordBytesMax   = 2 << 30
)

// draft is a document between the steps. One that was dropped before it could
// be compared with others (early) holds no more than an example of its text.
type draft struct {
	Document
	early    bool
	reason   string // why it is dropped, duplicates aside
	detail   string
	file     uint32 // which input file it is from
	size     uint32 // bytes of its text as read
	digest   uint64 // the first 8 bytes of the exact digest: chooses the held-out share
	personal personalCounts
	measures measures
}

// personalCounts are spans replaced, by kind; certain ones in the first half.
type personalCounts [2 * personalKindCount]uint32

func (p *personalCounts) add(spans []Span) {
	for _, s := range spans {
		k := slices.Index(personalKinds[:], s.Kind)
		if !s.Certain {
			k += personalKindCount
		}
		p[k]++
	}
}

var errSpill = errors.New("work file is damaged: another program wrote into the work folder")

// appendDraft writes the draft to a spill buffer.
func appendDraft(dst []byte, d *draft) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, d.digest)
	dst = append(dst, boolByte(d.early))
	dst = binary.AppendUvarint(dst, uint64(d.file))
	dst = binary.AppendUvarint(dst, uint64(d.size))
	for _, s := range [...]string{d.ID, d.Source, d.Lang, d.reason, d.detail, d.Text} {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	if d.early {
		return dst
	}
	for _, v := range d.personal {
		dst = binary.AppendUvarint(dst, uint64(v))
	}
	for _, v := range d.measures {
		dst = binary.AppendUvarint(dst, uint64(v))
	}
	return dst
}

// readDraft reads what appendDraft wrote and returns the rest.
func readDraft(src []byte) (d draft, rest []byte, err error) {
	if len(src) < 9 {
		return d, nil, errSpill
	}
	d.digest, d.early = binary.LittleEndian.Uint64(src), src[8] != 0
	src = src[9:]
	number := func(v *uint32) {
		n, w := binary.Uvarint(src)
		if w <= 0 || n > math.MaxUint32 {
			src, err = nil, errSpill
			return
		}
		*v, src = uint32(n), src[w:]
	}
	number(&d.file)
	number(&d.size)
	for _, s := range [...]*string{&d.ID, &d.Source, &d.Lang, &d.reason, &d.detail, &d.Text} {
		var n uint32
		if number(&n); uint64(n) > uint64(len(src)) {
			return d, nil, errSpill
		}
		*s, src = string(src[:n]), src[n:]
	}
	if !d.early {
		for i := range d.personal {
			number(&d.personal[i])
		}
		for i := range d.measures {
			number(&d.measures[i])
		}
	}
	return d, src, err
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
