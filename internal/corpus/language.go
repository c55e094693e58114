package corpus

import (
	"math/bits"
	"strings"
	"unicode/utf8"
)

// Other is what Identify calls a text in none of Languages.
const Other = "other"

// Languages returns the languages that Identify names, in fixed order: ISO 639-1.
func Languages() []string { return []string{"ko", "en", "es", "id", "ms", "ja", "zh"} }

// Languages in Latin letters; those after latinMS are only told apart.
const (
	latinEN = iota
	latinES
	latinID
	latinMS
	latinPT
	latinFR
	latinIT
	latinDE
	latinNL
	latinVI
	latinTR
	latinPL
	latinTL
	latinNordic
	latinRO
	latinHU
	latinCount
)

var latinNames = [latinCount]string{latinEN: "en", latinES: "es", latinID: "id", latinMS: "ms"}

const (
	hangulWeight       = 2     // a syllable says about as much as two Latin letters
	ideographWeight    = 2     // so does a Han or kana character
	termsPerHangul     = 3     // Latin letters that are no words of a language may outweigh Hangul by so much
	kanaPerMille       = 50    // Japanese has at least this share of kana among kana and Han
	latinWordsMax      = 8_000 // words looked at; more change nothing
	latinWordMax       = 40    // bytes of a longest word looked up
	wordPoints         = 12    // a word of one language; shared words divide it
	affixPoints        = 2
	letterPoints       = 4
	latinCoverMin      = 130 // so many words of a thousand must be known in the best language
	latinShortWords    = 4   // texts up to so many words need
	latinShortCoverMin = 250
)

// latinIndex maps a word to the languages that have it.
var latinIndex = func() map[string]uint32 {
	index := map[string]uint32{}
	for lang, list := range latinWords {
		for _, w := range strings.Fields(list) {
			index[w] |= 1 << lang
		}
	}
	return index
}()

// scripts counts the letters of a text by script.
type scripts struct{ hangul, kana, han, latin, other int }

// Identify returns the language of a text and how sure that is, per mille. The
// script decides first, then the words. Where languages share their words, as
// Indonesian and Malay do, confidence is low even in long texts. A text that
// has no letters, or of a language that is not in Languages, is Other.
// Arithmetic is in integers: the answer is the same on every machine.
func Identify(text string) (lang string, confidence int) {
	s := countScripts(text)
	hangul, east, latin := s.hangul*hangulWeight, (s.kana+s.han)*ideographWeight, s.latin
	all := hangul + east + latin + s.other*ideographWeight
	switch {
	case all == 0:
		return Other, 0
	case hangul >= east && hangul >= latin && hangul >= s.other:
		return "ko", hangul * 1000 / all
	case east >= latin && east >= s.other:
		if s.kana*1000 >= (s.kana+s.han)*kanaPerMille {
			return "ja", east * 1000 / all
		}
		return "zh", east * 1000 / all
	case latin >= s.other:
		lang, confidence = identifyLatin(text)
		if lang == Other && hangul*termsPerHangul >= latin {
			return "ko", hangul * 1000 / all // terms and names in Korean sentences
		}
		return lang, confidence * latin / all
	}
	return Other, s.other * ideographWeight * 1000 / all
}

func countScripts(text string) (s scripts) {
	for _, r := range text {
		switch {
		case r < utf8.RuneSelf:
			if r|0x20 >= 'a' && r|0x20 <= 'z' {
				s.latin++
			}
		case isHangul(r) || r >= 0x3131 && r <= 0x318E || r >= 0x1100 && r <= 0x11FF:
			s.hangul++
		case r >= 0x3041 && r <= 0x30FF && r != 0x30FB || r >= 0xFF66 && r <= 0xFF9D:
			s.kana++
		case isIdeograph(r):
			s.han++
		case r >= 0xC0 && r <= 0x24F && r != 0xD7 && r != 0xF7 || r >= 0x1E00 && r <= 0x1EFF:
			s.latin++
		case r >= 0x370 && isLetter(r):
			s.other++
		}
	}
	return s
}

// identifyLatin scores the words. Ties go to the language listed first.
func identifyLatin(text string) (string, int) {
	var points, cover [latinCount]int
	var word [latinWordMax]byte
	n, words, long := 0, 0, false
	end := func() {
		if n > 0 && !long {
			scoreWord(&points, &cover, word[:n])
		}
		if n > 0 {
			words++
		}
		n, long = 0, false
	}
	for _, r := range text {
		if r == '¿' || r == '¡' {
			points[latinES] += letterPoints
		}
		apostrophe := (r == '\'' || r == 0x2019 || r == '-') && n > 0
		if !apostrophe && !isLetter(r) && !(n > 0 && r >= 0x300 && r <= 0x36F) {
			end()
			if words == latinWordsMax {
				break
			}
			continue
		}
		if r == 0x2019 {
			r = '\''
		}
		scoreLetter(&points, r)
		if r = foldRune(r); n+utf8.RuneLen(r) <= latinWordMax {
			n += utf8.EncodeRune(word[n:], r)
		} else {
			long = true
		}
	}
	end()
	best, second := 0, -1
	for lang := 1; lang < latinCount; lang++ {
		switch {
		case points[lang] > points[best]:
			best, second = lang, best
		case second < 0 || points[lang] > points[second]:
			second = lang
		}
	}
	least := latinCoverMin
	if words <= latinShortWords {
		least = latinShortCoverMin
	}
	if points[best] == 0 || cover[best]*1000 < least*words {
		return Other, 0
	}
	confidence := points[best] * 1000 / (points[best] + points[second])
	if latinNames[best] == "" {
		return Other, confidence
	}
	return latinNames[best], confidence
}

// scoreWord adds the points of a word in lower case. What is no whole word of
// a language may still have its form: the affixes of Malay and Indonesian, the
// endings of English and Spanish.
func scoreWord(points, cover *[latinCount]int, word []byte) {
	for len(word) > 0 && (word[len(word)-1] == '\'' || word[len(word)-1] == '-') {
		word = word[:len(word)-1]
	}
	if mask := latinIndex[string(word)]; mask != 0 {
		share := wordPoints / bits.OnesCount32(mask)
		for lang := range points {
			if mask>>lang&1 == 1 {
				points[lang] += max(1, share)
				cover[lang]++
			}
		}
		return
	}
	w := string(word)
	for _, a := range affixes {
		if len(w) >= a.least && strings.HasPrefix(w, a.prefix) && strings.HasSuffix(w, a.suffix) {
			for lang := range points {
				if a.langs>>lang&1 == 1 {
					points[lang] += a.points
					cover[lang]++
				}
			}
		}
	}
}

const (
	isMalay  = 1<<latinID | 1<<latinMS
	isIberic = 1<<latinES | 1<<latinPT
)

// affixes are forms of words; least is the shortest word in bytes they say
// anything about.
var affixes = []struct {
	prefix, suffix string
	least          int
	langs          uint32
	points         int
}{
	{"meng", "", 7, isMalay, affixPoints}, {"mem", "kan", 8, isMalay, affixPoints}, {"men", "kan", 8, isMalay, affixPoints},
	{"ber", "", 7, isMalay, affixPoints / 2}, {"ter", "", 7, isMalay, affixPoints / 2}, {"di", "kan", 7, isMalay, affixPoints},
	{"ke", "an", 7, isMalay, affixPoints}, {"pe", "an", 8, isMalay, affixPoints / 2}, {"", "nya", 6, isMalay, affixPoints},
	{"di", "i", 6, isMalay, affixPoints / 2}, {"se", "nya", 8, isMalay, affixPoints},
	{"", "itas", 7, 1 << latinID, 3 * affixPoints}, {"", "iti", 7, 1 << latinMS, 3 * affixPoints},
	{"", "isasi", 8, 1 << latinID, affixPoints}, {"", "lah", 6, 1 << latinMS, affixPoints / 2},
	{"", "tion", 6, 1<<latinEN | 1<<latinFR, affixPoints}, {"", "ing", 6, 1 << latinEN, affixPoints}, {"", "ly", 5, 1 << latinEN, affixPoints},
	{"", "ness", 7, 1 << latinEN, affixPoints}, {"", "'s", 4, 1 << latinEN, 2 * affixPoints}, {"", "ed", 5, 1 << latinEN, affixPoints},
	{"", "ción", 6, 1 << latinES, 3 * affixPoints}, {"", "ciones", 7, 1 << latinES, 3 * affixPoints}, {"", "mente", 8, isIberic | 1<<latinIT, affixPoints},
	{"", "dad", 6, 1 << latinES, 2 * affixPoints}, {"", "ados", 6, isIberic, affixPoints}, {"", "ó", 4, 1 << latinES, 2 * affixPoints},
	{"", "ção", 5, 1 << latinPT, 3 * affixPoints}, {"", "dade", 6, 1 << latinPT, 2 * affixPoints}, {"", "ões", 5, 1 << latinPT, 3 * affixPoints},
	{"", "zione", 7, 1 << latinIT, 3 * affixPoints}, {"", "ung", 6, 1 << latinDE, affixPoints}, {"", "lich", 6, 1 << latinDE, affixPoints},
}

// scoreLetter adds the points of letters that few languages have.
func scoreLetter(points *[latinCount]int, r rune) {
	if r < 0xC0 {
		return
	}
	var mask uint32
	switch r {
	case 'ñ', 'Ñ':
		mask = 1 << latinES
	case 'ã', 'õ', 'Ã', 'Õ':
		mask = 1 << latinPT
	case 'ß', 'ẞ':
		mask = 1 << latinDE
	case 'ä', 'Ä', 'ö', 'Ö':
		mask = 1<<latinDE | 1<<latinNordic | 1<<latinHU
	case 'å', 'Å', 'ø', 'Ø', 'æ', 'Æ':
		mask = 1 << latinNordic
	case 'œ', 'è', 'ê', 'ù', 'à':
		mask = 1 << latinFR
	case 'ł', 'ą', 'ę', 'ś', 'ż', 'ź', 'ć', 'ń':
		mask = 1 << latinPL
	case 'ğ', 'ş', 'ı', 'İ':
		mask = 1 << latinTR
	case 'ă', 'ș', 'ț':
		mask = 1 << latinRO
	case 'ő', 'ű':
		mask = 1 << latinHU
	case 'đ', 'ơ', 'ư':
		mask = 1 << latinVI
	default:
		if r >= 0x1EA0 && r <= 0x1EF9 {
			mask = 1 << latinVI
		}
	}
	for lang := range points {
		if mask>>lang&1 == 1 {
			points[lang] += letterPoints
		}
	}
}
