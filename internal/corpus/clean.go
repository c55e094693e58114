package corpus

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Clean brings text to Unicode NFC (UAX 15), with one kind of line end and no
// characters that a reader cannot see: control characters, zero-width and
// bidirectional marks, byte order marks, soft hyphens and private-use
// characters. No-break and ideographic blanks become plain ones, trailing
// blanks and more than one empty line in a row go. It returns the text and how many
// characters were taken out. The joiners U+200C and U+200D stay, for emoji
// and Indic scripts need them.
func Clean(text string) (string, int) {
	if !isComposed(text, false) {
		text = norm.NFC.String(text)
	}
	if isClean(text) {
		return text, 0
	}
	var b strings.Builder
	b.Grow(len(text))
	removed, newlines, blanks := 0, 0, 0
	flush := func() {
		switch {
		case b.Len() == 0: // nothing before the first word
		case newlines > 0:
			b.WriteString("\n\n"[:min(newlines, 2)])
		default:
			for ; blanks > 0; blanks-- {
				b.WriteByte(' ')
			}
		}
		newlines, blanks = 0, 0
	}
	for i, r := range text {
		switch {
		case r == '\r':
			if i+1 < len(text) && text[i+1] == '\n' {
				continue
			}
			newlines, blanks = newlines+1, 0
		case r == '\n' || r == 0x85 || r == 0x2028 || r == 0x2029 || r == '\v' || r == '\f':
			newlines, blanks = newlines+1, 0
		case r == ' ' || r == '\t' || r == 0xA0 || r == 0x3000 || r >= 0x2000 && r <= 0x200A || r == 0x202F:
			if newlines > 0 && r == ' ' || newlines == 0 {
				blanks++
			}
		case isHidden(r):
			removed++
		default:
			if newlines > 0 && blanks > 0 && b.Len() > 0 {
				// Indentation means something in lists, verse and code.
				indent := blanks
				flush()
				for ; indent > 0; indent-- {
					b.WriteByte(' ')
				}
			} else {
				flush()
			}
			b.WriteRune(r)
		}
	}
	text = b.String()
	if removed > 0 {
		text = norm.NFC.String(text) // what was apart may now stand together and compose
	}
	return text, removed
}

// isClean is the fast way out: most text has nothing to take away.
func isClean(text string) bool {
	if text == "" || text[0] <= ' ' || text[len(text)-1] <= ' ' {
		return text == ""
	}
	newlines := 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\n':
			newlines++
			if newlines > 2 || text[i-1] == ' ' {
				return false
			}
			continue
		case c < ' ' || c == 0x7F:
			return false
		case c >= 0xC2 && (c == 0xC2 || c == 0xE2 || c == 0xE3 || c >= 0xEE):
			r, _ := utf8.DecodeRuneInString(text[i:])
			if isHidden(r) || r == 0x85 || r == 0xA0 || r == 0x3000 || r >= 0x2000 && r <= 0x200A ||
				r >= 0x2028 && r <= 0x202F {
				return false
			}
		}
		newlines = 0
	}
	return true
}

// isHidden reports characters that carry nothing a reader sees.
func isHidden(r rune) bool {
	switch {
	case r < 0x20:
		return r != '\n' && r != '\t'
	case r < 0x7F:
		return false
	case r < 0xA0:
		return r != 0x85
	case r == 0xAD, r == 0x200B, r == 0x200E, r == 0x200F, r >= 0x202A && r <= 0x202E,
		r >= 0x2060 && r <= 0x206F, r == 0xFEFF, r == 0x180E, r == 0x61C:
		return true
	case r >= 0xE000 && r <= 0xF8FF, r >= 0xF0000: // private use
		return true
	case r >= 0xFDD0 && r <= 0xFDEF, r&0xFFFE == 0xFFFE, r >= 0xFFF9 && r <= 0xFFFB:
		return true
	}
	return r >= 0xE0000 && r <= 0xE0FFF && (r < 0xE0020 || r > 0xE007F) // flags of regions use the rest
}

// normalised folds text for exact comparison: terms only, blanks and case
// gone. Texts of symbols alone compare as they are.
func normalised(dst []byte, text string) []byte {
	gap := false
	for _, r := range text {
		if isBlank(r) {
			gap = len(dst) > 0
			continue
		}
		if gap {
			dst, gap = append(dst, ' '), false
		}
		if r < utf8.RuneSelf {
			dst = append(dst, byte(foldRune(r)))
			continue
		}
		dst = utf8.AppendRune(dst, foldRune(r))
	}
	return dst
}
