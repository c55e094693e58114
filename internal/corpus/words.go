package corpus

import (
	"math/bits"
	"unicode"
	"unicode/utf8"
)

// Two notions of a word live here.
//
// A field is what stands between blanks: an eojeol in Korean, a word with its
// punctuation in English. The quality rules count fields. Scripts without
// blanks (Han, kana) count each character as a field.
//
// A term is a run of letters and digits, folded to lower case, each Han or
// kana character alone. Duplicates and overlaps are searched over terms, so
// that punctuation and blanks cannot hide a copy.

const (
	hashMul  = 0x9E3779B97F4A7C15
	hashBase = 0xD6E8FEB86659FD93 // odd: the base of the rolling hash
)

// mix spreads the bits of a hash (the finaliser of splitmix64, Steele et al. 2014).
func mix(h uint64) uint64 {
	h ^= h >> 30
	h *= 0xBF58476D1CE4E5B9
	h ^= h >> 27
	h *= 0x94D049BB133111EB
	return h ^ h>>31
}

func hashRune(h uint64, r rune) uint64 {
	h = (h ^ uint64(r)) * hashMul
	return bits.RotateLeft64(h, 29)
}

func hashString(s string) uint64 {
	h := uint64(len(s))
	for i := 0; i < len(s); i++ {
		h = hashRune(h, rune(s[i]))
	}
	return mix(h)
}

func isHangul(r rune) bool { return r >= 0xAC00 && r <= 0xD7A3 }

// isIdeograph reports a character of a script written without blanks.
func isIdeograph(r rune) bool {
	return r >= 0x4E00 && r <= 0x9FFF || r >= 0x3041 && r <= 0x30FF && r != 0x30FB ||
		r >= 0x3400 && r <= 0x4DBF || r >= 0xF900 && r <= 0xFAFF ||
		r >= 0x20000 && r <= 0x3FFFF
}

func isLetter(r rune) bool {
	if r < utf8.RuneSelf {
		return r|0x20 >= 'a' && r|0x20 <= 'z'
	}
	return isHangul(r) || unicode.IsLetter(r)
}

func isDigit(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= '0' && r <= '9'
	}
	return r > 0x66F && !isHangul(r) && unicode.IsDigit(r)
}

func isBlank(r rune) bool {
	if r < utf8.RuneSelf {
		return r == ' ' || r == '\n' || r == '\t' || r == '\r' || r == '\v' || r == '\f'
	}
	return !isHangul(r) && unicode.IsSpace(r)
}

func foldRune(r rune) rune {
	switch {
	case r < utf8.RuneSelf:
		if r >= 'A' && r <= 'Z' {
			return r | 0x20
		}
		return r
	case r >= 0x1100 && r < 0x1E00 || r >= 0x2E80 && r < 0xA640 || r >= 0xAC00 && r < 0xFB00:
		return r // scripts without case: the table look-up is dear
	}
	return unicode.ToLower(r)
}

// appendTerms adds the hash of each term of text to dst. With foldDigits every
// digit counts as the same digit, so that pages that differ only in a number
// or a date look alike.
func appendTerms(dst []uint64, text string, foldDigits bool) []uint64 {
	const start = 0x243F6A8885A308D3
	h, open := uint64(start), false
	for _, r := range text {
		letter := isLetter(r)
		digit := !letter && isDigit(r)
		mark := !letter && !digit && open && r >= 0x300 && unicode.Is(unicode.Mn, r)
		if letter && isIdeograph(r) {
			if open {
				dst = append(dst, mix(h))
				h, open = start, false
			}
			dst = append(dst, mix(hashRune(start, r)))
			continue
		}
		if letter || digit || mark {
			if digit && foldDigits {
				r = '0'
			}
			h, open = hashRune(h, foldRune(r)), true
			continue
		}
		if open {
			dst = append(dst, mix(h))
			h, open = start, false
		}
	}
	if open {
		dst = append(dst, mix(h))
	}
	return dst
}

// rolling holds prefix hashes of a term sequence, so that the hash of any
// window costs one multiplication (Karp and Rabin 1987, modulo 2^64; the
// terms are themselves hashes, so its known weak inputs do not arise).
type rolling struct {
	prefix []uint64
	power  []uint64
}

func (w *rolling) reset(terms []uint64) {
	w.prefix = append(w.prefix[:0], 0)
	h := uint64(0)
	for _, t := range terms {
		h = h*hashBase + t
		w.prefix = append(w.prefix, h)
	}
	if len(w.power) == 0 {
		w.power = append(w.power, 1)
	}
}

// window returns the hash of terms [i, i+n).
func (w *rolling) window(i, n int) uint64 {
	for len(w.power) <= n {
		w.power = append(w.power, w.power[len(w.power)-1]*hashBase)
	}
	return mix(w.prefix[i+n] - w.prefix[i]*w.power[n] + uint64(n))
}

// isComposed reports text that NFC (with compat, NFKC) surely leaves as it is:
// characters alone that neither change nor join with one before them. Nearly
// all text is of that kind, and to see it costs a tenth of asking the tables
// of package norm, which took two fifths of a whole curation.
func isComposed(text string, compat bool) bool {
	for i := 0; i < len(text); {
		if text[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case isHangul(r), r >= 0x4E00 && r <= 0x9FFF, r >= 0x3041 && r <= 0x3094, r >= 0x30A1 && r <= 0x30FA:
		case r >= 0x3001 && r <= 0x3029, r >= 0x2015 && r <= 0x2016, r >= 0x2018 && r <= 0x2023, r == 0x203B:
		case r >= 0xC0 && r <= 0xFF, r == 0xAB, r == 0xB7, r == 0xBB, r == 0xBF, r == 0xA1:
		case !compat && (r >= 0x3131 && r <= 0x318E || r >= 0xFF01 && r <= 0xFF5E || r == 0x2026 || r >= 0x2500 && r <= 0x26FF):
		default:
			return false
		}
		i += size
	}
	return true
}
