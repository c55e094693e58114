package corpus

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// The first step does everything that can be said of a document by itself, on
// all cores: it parses, cleans, tells the language, replaces personal data,
// measures, looks for evaluation items and makes the keys by which duplicates
// are found. Personal data is replaced before anything is written, so that
// work files hold none either.

const (
	documentWeight  = 8 // bytes of memory a byte of text may take while it is worked on
	exampleCutRunes = 4 * exampleRunesMax
	examplePartMax  = 64 << 10 // bytes of an unreadable line that are looked at for an example
)

// prepared is a batch after the first step.
type prepared struct {
	frame   spillFrame
	records []byte  // recordBytes for each document
	exact   []entry // documents are numbered within the batch
	bands   []entry
	flags   []uint8
}

// preparer is one worker of the first step.
type preparer struct {
	config    Config
	languages map[string]bool
	files     map[*inputFile]uint32
	index     *Contamination
	measurer  measurer
	over      overlapper
	terms     []uint64
	grams     rolling
	folded    []byte
	spill     []byte
	signature signature
}

func (p *preparer) batch(b *batch) (*prepared, error) {
	out := &prepared{}
	p.spill = p.spill[:0]
	for i := range b.docs {
		r := &b.docs[i]
		d := draft{file: p.files[r.file], size: uint32(r.end - r.start)}
		d.Source = r.source()
		if d.ID = r.id; d.ID == "" {
			d.ID = d.Source
		}
		p.draft(&d, r, b.buf[r.start:r.end])
		p.keys(&d, uint32(i), uint64(r.line), out)
		p.spill = appendDraft(p.spill, &d)
	}
	out.frame = pack(p.spill, len(b.docs))
	if cap(p.spill) > 16*batchBytesMin {
		p.spill = nil // one giant must not be held for ever
	}
	return out, nil
}

// draft fills d from the document as it stands in the file.
func (p *preparer) draft(d *draft, r *raw, data []byte) {
	early := func(reason, detail, example string) {
		d.early, d.reason, d.detail = true, reason, clip(detail, detailRunesMax)
		d.Text = exampleOf(example, p.config.Tokens)
	}
	if r.reason != "" {
		early(r.reason, r.detail, "")
		return
	}
	if r.line == 1 {
		data = trimMark(data)
	}
	if !utf8.Valid(data) {
		early(ReasonBadUTF8, fmt.Sprintf("byte %d is not UTF-8", invalidAt(data)), strings.ToValidUTF8(string(data[:min(len(data), examplePartMax)]), "\uFFFD"))
		return
	}
	text := string(data)
	if r.file.form == formLines {
		id, body, err := parseLine(data, p.config.TextField, p.config.IDField)
		if err != nil {
			reason := ReasonBadJSON
			if missing := missingError(""); errors.As(err, &missing) {
				reason = ReasonMissingText
			}
			early(reason, err.Error(), clipBytes(text, examplePartMax))
			return
		}
		if text = body; id != "" {
			d.ID = id
		}
	}
	d.ID, _ = Redact(d.ID, p.config.Tokens)
	d.size = uint32(len(text))
	text, _ = Clean(text)
	if text == "" {
		early(ReasonEmptyText, "", "")
		return
	}
	lang, confidence := Identify(text)
	d.Lang = lang
	text, spans := Redact(text, p.config.Tokens)
	if !p.languages[lang] {
		early(ReasonLanguage, fmt.Sprintf("%s, confidence %d per mille", lang, confidence), text)
		return
	}
	d.Text = text
	d.personal.add(spans)
	p.judge(d, len(spans))
}

// judge measures the text and finds a reason to drop it, if there is one.
func (p *preparer) judge(d *draft, spans int) {
	limits, ok := p.config.Limits[d.Lang]
	if !ok {
		limits = p.config.Limits[Other]
	}
	p.measurer.measure(&d.measures, d.Text, d.Lang, limits)
	words := int(d.measures[measureWords])
	if spans >= personalSpansForDense && spans*perMille > words*personalWordsPerMille {
		d.reason, d.detail = ReasonPersonalDense, fmt.Sprintf("%d pieces of personal data in %d words", spans, words)
		return
	}
	if d.reason, d.detail = limits.verdict(&d.measures); d.reason != "" {
		return
	}
	if found, ok := p.index.find(&p.over, d.Text); ok {
		d.reason = ReasonEvaluation
		d.detail = found.Item + ": " + clip(d.Text[found.Start:found.End], detailRunesMax)
	}
}

// keys adds to out what the document is compared by.
func (p *preparer) keys(d *draft, number uint32, line uint64, out *prepared) {
	flags := uint8(0)
	p.terms = p.terms[:0]
	if d.early {
		flags = flagEarly
	} else {
		p.folded = normalised(p.folded[:0], d.Text)
		sum := sha256.Sum256(p.folded)
		hi, lo := binary.BigEndian.Uint64(sum[:]), binary.BigEndian.Uint64(sum[8:])
		d.digest = hi
		out.exact = append(out.exact, entry{hi, lo, number})
		p.terms = appendTerms(p.terms, d.Text, true)
		if d.reason == "" {
			flags = flagKept
			if len(p.terms) >= overlapWords {
				flags |= flagMeasurable
			}
		}
	}
	if len(p.terms) > 0 {
		sketch(&p.signature, p.terms, &p.grams)
		lang := hashString(d.Lang)
		for i := range bands {
			out.bands = append(out.bands, entry{p.signature.band(i, lang), 0, number})
		}
	} else {
		p.signature = signature{}
	}
	out.flags = append(out.flags, flags)
	out.records = p.signature.append(out.records)
	out.records = binary.LittleEndian.AppendUint16(out.records, uint16(d.digest%perMille))
	out.records = binary.LittleEndian.AppendUint32(out.records, uint32(len(d.Text)))
	out.records = binary.LittleEndian.AppendUint32(out.records, d.file)
	out.records = binary.LittleEndian.AppendUint64(out.records, line)
}

// recordBytes is what the file of records holds of each document: signature,
// digest per mille, bytes, file, line.
const recordBytes = signatureBytes + 2 + 4 + 4 + 8

// exampleOf cuts a text for a report, personal data replaced first.
func exampleOf(text string, tokens TokenStyle) string {
	text, _ = Clean(text)
	text, _ = Redact(clip(text, exampleCutRunes), tokens)
	return clip(text, exampleRunesMax)
}

func invalidAt(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(data)
}

// missingError says what is wrong with the field that should hold the text.
type missingError string

func (e missingError) Error() string { return string(e) }

// parseLine takes the text and the name out of a line of JSON. A field may be
// a path with dots where no field has the whole name.
func parseLine(line []byte, textField, idField string) (id, text string, err error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return "", "", err
	}
	value := lookupField(fields, textField)
	if value == nil || string(value) == "null" {
		return "", "", missingError(fmt.Sprintf("no field %q", textField))
	}
	if err := json.Unmarshal(value, &text); err != nil {
		return "", "", missingError(fmt.Sprintf("field %q is no string", textField))
	}
	if value := lookupField(fields, idField); value != nil && string(value) != "null" {
		if json.Unmarshal(value, &id) != nil && value[0] != '{' && value[0] != '[' {
			id = string(value) // a number
		}
	}
	return clipBytes(id, idBytesMax), text, nil
}

func lookupField(fields map[string]json.RawMessage, name string) json.RawMessage {
	if v, ok := fields[name]; ok {
		return v
	}
	first, rest, found := strings.Cut(name, ".")
	if !found {
		return nil
	}
	var inner map[string]json.RawMessage
	if json.Unmarshal(fields[first], &inner) != nil {
		return nil
	}
	return lookupField(inner, rest)
}
