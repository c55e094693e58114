package passport

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text lays a verified passport out for a terminal: lang is "ko" for Korean,
// anything else gives English.
func Text(v Verified, lang string) string {
	var w printer
	w.sheet(newSheet(v, lang))
	return w.b.String()
}

const (
	labelWidth  = 40 // columns
	columnMax   = 44
	digestShown = 16 // digits of a digest in a table; the page shows them all
)

// printer writes lines of plain text.
type printer struct{ b strings.Builder }

func (w *printer) line(indent int, text string) {
	w.b.WriteString(strings.Repeat(" ", indent) + text + "\n")
}

func (w *printer) sheet(s sheet) {
	w.line(0, s.Title)
	w.line(0, strings.Repeat("=", min(width(s.Title), 79)))
	w.b.WriteString("\n")
	w.line(0, s.Sign+" "+s.Verdict)
	if s.Advice != "" {
		w.line(2, s.Advice)
	}
	w.b.WriteString("\n")
	w.marks(s.Marks)
	w.facts(s.Facts)
	if s.Claims != "" {
		w.b.WriteString("\n")
		w.line(0, signs[Failed]+" "+s.Claims)
	}
	for _, p := range s.Parts {
		w.b.WriteString("\n")
		w.line(0, fmt.Sprintf("%d. %s", p.Number, p.Title))
		w.marks(p.Marks)
		w.facts(p.Facts)
		for _, g := range p.Grids {
			w.grid(g)
		}
	}
	w.b.WriteString("\n")
	w.line(0, s.Foot)
}

func (w *printer) marks(marks []mark) {
	for _, m := range marks {
		w.line(2, fmt.Sprintf("%s %s: %s", m.Sign, m.Name, m.Sentence))
		for _, problem := range m.Problems {
			w.line(6, problem)
		}
	}
}

func (w *printer) facts(facts []fact) {
	for _, f := range facts {
		w.line(2, pad(f.Label, labelWidth)+f.Value)
	}
}

// grid writes a table in columns as wide as what is in them.
func (w *printer) grid(g grid) {
	if len(g.Rows) == 0 {
		return
	}
	if g.Title != "" {
		w.line(2, g.Title)
	}
	wide := make([]int, len(g.Head))
	rows := append([][]string{g.Head}, g.Rows...)
	for i, row := range rows {
		cells := make([]string, len(row))
		for j, text := range row {
			cells[j] = short(text)
			wide[j] = max(wide[j], width(cells[j]))
		}
		rows[i] = cells
	}
	for _, row := range rows {
		var b strings.Builder
		for j, text := range row {
			if j == len(row)-1 {
				b.WriteString(text)
			} else {
				b.WriteString(pad(text, wide[j]+2))
			}
		}
		w.line(4, strings.TrimRight(b.String(), " "))
	}
}

// short cuts digests and long texts to a column's width.
func short(text string) string {
	if len(text) == 64 && strings.Trim(text, "0123456789abcdef") == "" {
		return text[:digestShown] + "…"
	}
	for width(text) > columnMax {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
		if width(text) <= columnMax {
			return text + "…"
		}
	}
	return text
}

func pad(text string, columns int) string {
	return text + strings.Repeat(" ", max(1, columns-width(text)))
}

// width counts a text's columns on a terminal: Hangul and other East Asian
// letters take two (Unicode Standard Annex 11, classes W and F).
func width(text string) int {
	n := 0
	for _, r := range text {
		n++
		if unicode.In(r, wideLetters) {
			n++
		}
	}
	return n
}

var wideLetters = &unicode.RangeTable{R16: []unicode.Range16{
	{0x1100, 0x115f, 1}, {0x2e80, 0x303e, 1}, {0x3041, 0xa4cf, 1}, {0xa960, 0xa97c, 1}, {0xac00, 0xd7a3, 1},
	{0xf900, 0xfaff, 1}, {0xfe30, 0xfe6f, 1}, {0xff00, 0xff60, 1}, {0xffe0, 0xffe6, 1},
}, R32: []unicode.Range32{{0x1f300, 0x1faff, 1}, {0x20000, 0x3fffd, 1}}}
