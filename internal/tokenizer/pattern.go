package tokenizer

import (
	"fmt"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Pattern names the rule that cuts text into pieces; merges never cross the
// border of a piece. The two patterns here are the ones every reader of
// tokenizer.json knows, llama.cpp included ("llama-bpe" and "gpt-2").
type Pattern uint8

// The patterns. Llama3 is the default: it keeps a word and its leading space
// together, cuts numbers by three digits and keeps line ends apart from words.
const (
	Llama3 Pattern = iota
	GPT2
)

// The regular expressions as tokenizer.json writes them. They are matched by
// the hand-written llama3Piece and gpt2Piece below: Go's regexp has no
// look-ahead, and without it cuts 35 MB/s where this cuts 266.
const (
	llama3Regex = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	gpt2Regex   = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
)

// String returns the name used in reports: "llama3" or "gpt2".
func (p Pattern) String() string {
	switch p {
	case Llama3:
		return "llama3"
	case GPT2:
		return "gpt2"
	}
	return fmt.Sprintf("pattern(%d)", uint8(p))
}

// MarshalText writes the name into reports.
func (p Pattern) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the name.
func (p *Pattern) UnmarshalText(text []byte) error {
	switch string(text) {
	case "llama3":
		*p = Llama3
	case "gpt2":
		*p = GPT2
	default:
		return fmt.Errorf("pattern %q: want llama3 or gpt2", text)
	}
	return nil
}

// class sorts characters the way the patterns do.
type class uint8

const (
	other   class = iota // [^\s\p{L}\p{N}], and bytes that are no UTF-8
	letter               // \p{L}
	number               // \p{N}
	space                // \s without line ends
	newline              // [\r\n]
)

// bmpClasses holds the class of every character below U+10000: one load
// instead of a binary search through Unicode's tables.
var bmpClasses = sync.OnceValue(func() *[1 << 16]class {
	var table [1 << 16]class
	for r := range table {
		table[r] = classOf(rune(r))
	}
	return &table
})

func classOf(r rune) class {
	switch {
	case r == '\r' || r == '\n':
		return newline
	case unicode.Is(unicode.White_Space, r):
		return space
	case unicode.Is(unicode.L, r):
		return letter
	case unicode.Is(unicode.N, r):
		return number
	}
	return other
}

// cutter cuts one text into pieces.
type cutter struct {
	text    string
	classes *[1 << 16]class
	gpt2    bool
}

func newCutter(pattern Pattern, text string) cutter {
	return cutter{text: text, classes: bmpClasses(), gpt2: pattern == GPT2}
}

// at returns the class and width in bytes of the character at i; beyond the
// end the width is 0. A byte that is no UTF-8 is one character of its own, as
// U+FFFD would be.
func (c *cutter) at(i int) (class, int) {
	if i >= len(c.text) {
		return other, 0
	}
	b := c.text[i]
	if b < utf8.RuneSelf {
		return c.classes[b], 1
	}
	r, width := utf8.DecodeRuneInString(c.text[i:])
	if width == 1 {
		return other, 1
	}
	if r < 1<<16 {
		return c.classes[r], width
	}
	return classOf(r), width
}

// run returns the end of the longest run of class k from i.
func (c *cutter) run(i int, k class) int {
	for {
		got, width := c.at(i)
		if width == 0 || got != k {
			return i
		}
		i += width
	}
}

// pieceBytesMax bounds one piece, so that text without any border (a gigabyte
// of one letter) is merged within bounded memory. Only here do the ids differ
// from those of an unbounded reader of the same tokenizer.json.
const pieceBytesMax = 1 << 20

// next returns the end of the piece that begins at i < len(text).
func (c *cutter) next(i int) int {
	var end int
	if c.gpt2 {
		end = c.gpt2Piece(i)
	} else {
		end = c.llama3Piece(i)
	}
	return min(end, i+pieceBytesMax)
}

// llama3Piece matches llama3Regex at i, its alternatives in order.
func (c *cutter) llama3Piece(i int) int {
	k, width := c.at(i)
	switch k {
	case letter:
		return c.run(i+width, letter)
	case number:
		for range 2 {
			if next, w := c.at(i + width); next == number {
				width += w
			}
		}
		return i + width
	case newline:
		return c.whiteSpace(i, true)
	}
	if k == other && c.text[i] == '\'' {
		if n := contraction(c.text[i+1:], true); n > 0 {
			return i + 1 + n
		}
	}
	after, _ := c.at(i + width)
	switch {
	case after == letter:
		return c.run(i+width, letter)
	case k == other:
		return c.run(c.run(i+width, other), newline)
	case c.text[i] == ' ' && after == other && i+width < len(c.text):
		return c.run(c.run(i+width, other), newline)
	}
	return c.whiteSpace(i, true)
}

// gpt2Piece matches gpt2Regex at i, its alternatives in order.
func (c *cutter) gpt2Piece(i int) int {
	k, width := c.at(i)
	if c.text[i] == '\'' {
		if n := contraction(c.text[i+1:], false); n > 0 {
			return i + 1 + n
		}
	}
	if c.text[i] == ' ' && i+1 < len(c.text) {
		if after, w := c.at(i + 1); after != space && after != newline {
			return c.run(i+1+w, after)
		}
	}
	if k != space && k != newline {
		return c.run(i+width, k)
	}
	return c.whiteSpace(i, false)
}

// whiteSpace matches what is left for white space from i on: with lines, up to
// the last line end of the run, \s*[\r\n]+; else all of the run but its last
// character, which goes with the word that follows, \s+(?!\S); else the run.
func (c *cutter) whiteSpace(i int, lines bool) int {
	end, last, lineEnd := i, i, -1
	for {
		k, width := c.at(end)
		if width == 0 || k != space && k != newline {
			break
		}
		last = end
		end += width
		if k == newline {
			lineEnd = end
		}
	}
	switch {
	case lines && lineEnd >= 0:
		return lineEnd
	case end == len(c.text) || last == i:
		return end
	}
	return last
}

// contraction returns the length of an English ending after an apostrophe: s,
// t, re, ve, m, ll, d. Folding case, U+017F (long s) is an s, as it is to
// Oniguruma, which Hugging Face's tokenizers use.
func contraction(text string, fold bool) int {
	if text == "" {
		return 0
	}
	lower := func(b byte) byte {
		if fold && b >= 'A' && b <= 'Z' {
			return b + 'a' - 'A'
		}
		return b
	}
	switch first := lower(text[0]); first {
	case 's', 't', 'm', 'd':
		return 1
	case 'r', 'v':
		if len(text) > 1 && lower(text[1]) == 'e' {
			return 2
		}
	case 'l':
		if len(text) > 1 && lower(text[1]) == 'l' {
			return 2
		}
	case "ſ"[0]:
		if fold && len(text) > 1 && text[1] == "ſ"[1] {
			return 2
		}
	}
	return 0
}
