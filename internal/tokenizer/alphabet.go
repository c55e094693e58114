package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// byteRunes is the GPT-2 byte alphabet: a printable character for each byte,
// so that a vocabulary of byte strings can be written as text. Bytes that are
// printable in Latin-1 stand for themselves, the other 68 take the characters
// from U+0100 on in order (Radford et al. 2019, the released encoder's
// bytes_to_unicode).
var byteRunes, runeBytes = byteAlphabet()

// byteRuneMax bounds the characters of the alphabet: U+0100 plus 68.
const byteRuneMax = 0x100 + 68

func byteAlphabet() (runes [256]rune, back [byteRuneMax]int16) {
	for i := range back {
		back[i] = -1
	}
	spare := rune(0x100)
	for b := range 256 {
		printable := b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae
		if printable {
			runes[b] = rune(b)
		} else {
			runes[b] = spare
			spare++
		}
		back[runes[b]] = int16(b)
	}
	return runes, back
}

// bytesByRune lists all bytes in the order of their characters, which is the
// order in which GPT-2 and the Hugging Face trainer number them.
func bytesByRune() []byte {
	out := make([]byte, 0, 256)
	for _, b := range runeBytes {
		if b >= 0 {
			out = append(out, byte(b))
		}
	}
	return out
}

// spell writes bytes in the alphabet.
func spell(bytes string) string {
	var b strings.Builder
	b.Grow(2 * len(bytes))
	for i := range len(bytes) {
		b.WriteRune(byteRunes[bytes[i]])
	}
	return b.String()
}

// unspell reads bytes written in the alphabet, and tells whether all were.
func unspell(text string) (string, bool) {
	out := make([]byte, 0, len(text))
	for _, r := range text {
		if r >= byteRuneMax || r == utf8.RuneError || runeBytes[r] < 0 {
			return "", false
		}
		out = append(out, byte(runeBytes[r]))
	}
	return string(out), true
}
