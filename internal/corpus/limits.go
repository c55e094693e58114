package corpus

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits are the quality rules for one language. A bound of zero is no bound.
// Shares are per mille. What each means stands in Gopher (Rae et al. 2021,
// appendix A1.1) and FineWeb2 (Penedo et al. 2025); how the Korean ones were
// derived, in docs/curation.md.
type Limits struct {
	WordsMin       int `json:"words_min"`        // words: eojeols in Korean, characters in Han and kana
	WordsMax       int `json:"words_max"`        //
	WordLengthMin  int `json:"word_length_min"`  // mean length of a word, thousandths of a character
	WordLengthMax  int `json:"word_length_max"`  //
	SymbolsMax     int `json:"symbols_max"`      // "#" and ellipses, per thousand words
	BulletsMax     int `json:"bullets_max"`      // lines that begin with a bullet
	EllipsisMax    int `json:"ellipsis_max"`     // lines that end in an ellipsis
	LetterWordsMin int `json:"letter_words_min"` // words that have a letter
	// StopWords are words that any prose has; one that begins with "-" is an
	// ending of a word, as Korean particles are.
	StopWords             []string `json:"stop_words"`
	StopWordsMin          int      `json:"stop_words_min"`  // so many different ones
	PunctuatedMin         int      `json:"punctuated_min"`  // lines that end in a sentence mark
	LineBreaksMax         int      `json:"line_breaks_max"` // per thousand words
	DuplicateLinesMax     int      `json:"duplicate_lines_max"`
	DuplicateLineCharsMax int      `json:"duplicate_line_chars_max"`
	DuplicateParasMax     int      `json:"duplicate_paragraphs_max"`
	DuplicateParaCharsMax int      `json:"duplicate_paragraph_chars_max"`
	TopGramsMax           [3]int   `json:"top_grams_max"`      // characters in the most frequent 2-, 3-, 4-gram
	RepeatedGramsMax      [6]int   `json:"repeated_grams_max"` // characters in repeated 5- to 10-grams
	BrokenMax             int      `json:"broken_max"`         // U+FFFD, per thousand characters
}

// gopher are the limits of Gopher with those of FineWeb beside them.
var gopher = Limits{
	WordsMin: 50, WordsMax: 100_000, WordLengthMin: 3000, WordLengthMax: 10_000,
	SymbolsMax: 100, BulletsMax: 900, EllipsisMax: 300, LetterWordsMin: 800,
	StopWordsMin: 2, PunctuatedMin: 120, LineBreaksMax: 300,
	DuplicateLinesMax: 300, DuplicateLineCharsMax: 200, DuplicateParasMax: 300, DuplicateParaCharsMax: 200,
	TopGramsMax: [3]int{200, 180, 160}, RepeatedGramsMax: [6]int{150, 140, 130, 120, 110, 100},
	BrokenMax: 10,
}

// DefaultLimits returns the limits for texts of a paragraph and more, by
// language. English has those of Gopher, Spanish, Indonesian and Malay those
// of FineWeb2; Korean ones count eojeols and were derived anew.
func DefaultLimits() map[string]Limits {
	english := gopher
	english.StopWords = strings.Fields("the be to of and that have with")

	spanish := gopher
	spanish.WordLengthMax, spanish.LetterWordsMin = 14_000, 825
	spanish.PunctuatedMin, spanish.LineBreaksMax, spanish.DuplicateLinesMax = 182, 138, 252
	spanish.TopGramsMax, spanish.RepeatedGramsMax = [3]int{156, 140, 125}, [6]int{145, 136, 127, 117, 108, 99}
	spanish.StopWords = strings.Fields("de la en el y a que del los se por un con una las su")

	indonesian := gopher
	indonesian.WordLengthMax, indonesian.LetterWordsMin = 12_000, 805
	indonesian.PunctuatedMin, indonesian.LineBreaksMax, indonesian.DuplicateLinesMax = 111, 157, 241
	indonesian.TopGramsMax, indonesian.RepeatedGramsMax = [3]int{194, 166, 145}, [6]int{166, 155, 144, 133, 122, 111}
	indonesian.StopWords = strings.Fields("dan yang di pada dari ini dengan adalah untuk dalam")

	malay := gopher
	malay.WordLengthMax, malay.LetterWordsMin = 11_000, 808
	malay.PunctuatedMin, malay.LineBreaksMax, malay.DuplicateLinesMax = 125, 214, 331
	malay.TopGramsMax, malay.RepeatedGramsMax = [3]int{264, 252, 225}, [6]int{185, 176, 166, 156, 145, 134}
	malay.StopWords = strings.Fields("dan di yang pada dalam dengan untuk ini")

	// Each Han or kana character is a word here, so word n-grams are short
	// and repeat by nature: only long ones count.
	ideographs := gopher
	ideographs.WordsMin, ideographs.WordLengthMin, ideographs.WordLengthMax = 100, 0, 3000
	ideographs.TopGramsMax, ideographs.LineBreaksMax = [3]int{}, 0
	japanese, chinese := ideographs, ideographs
	japanese.StopWords = strings.Fields("の に は を た が で て と し")
	chinese.StopWords = strings.Fields("的 是 在 一 有 不 了 和 人 中")

	return map[string]Limits{"ko": korean(), "en": english, "es": spanish, "id": indonesian, "ms": malay,
		"ja": japanese, "zh": chinese, Other: wordless(gopher)}
}

// korean are the limits for Korean prose. FineWeb2's limits for Korean count
// morphemes, so what counts words was derived anew from the same articles in
// English and Korean: they need 0.7306 eojeols a word, and an eojeol has 0.670
// of a word's length. A run of n eojeols therefore gets Gopher's limit for a
// run of n/0.7306 words. What counts lines is FineWeb2's. docs/curation.md
// tells it in full; TestKoreanLimits works it out again.
func korean() Limits {
	l := gopher
	l.WordsMin, l.WordsMax = 36, 73_000
	l.WordLengthMin, l.WordLengthMax = 2000, 6700
	l.SymbolsMax = 137
	l.StopWords = strings.Fields("-은 -는 -이 -가 -을 -를 -의 -에 -에서 -로 -도 -고 -다 -한 -와 -과")
	l.LineBreaksMax = 411
	l.PunctuatedMin, l.DuplicateLinesMax = 62, 374
	l.TopGramsMax, l.RepeatedGramsMax = [3]int{185, 158, 130}, [6]int{131, 118, 104, 90, 77, 63}
	return l
}

// wordless takes away the rule that needs to know the language's words.
func wordless(l Limits) Limits {
	l.StopWordsMin, l.StopWords = 0, nil
	return l
}

// ShortLimits returns limits for short texts such as reviews, posts and
// questions, by language: length, punctuation and line rules go, for one line
// cannot satisfy them; symbols, letters, brokenness and repetition stay.
func ShortLimits() map[string]Limits {
	limits := DefaultLimits()
	for lang, l := range limits {
		l.WordsMin, l.StopWordsMin, l.PunctuatedMin, l.LineBreaksMax = 3, 0, 0, 0
		l.WordLengthMin, l.WordLengthMax = l.WordLengthMin/2, l.WordLengthMax*2
		l.SymbolsMax, l.EllipsisMax = 500, 0
		l.TopGramsMax = [3]int{600, 600, 600}
		limits[lang] = l
	}
	return limits
}

// rule is one bound on one measure.
type rule struct {
	measure int
	reason  string
	min     bool
	bound   func(l *Limits) int
}

// rules are tried in this order; the first that fails gives the reason.
var rules = func() []rule {
	list := []rule{
		{measureBroken, ReasonBrokenText, false, func(l *Limits) int { return l.BrokenMax }},
		{measureWords, ReasonTooFewWords, true, func(l *Limits) int { return l.WordsMin }},
		{measureWords, ReasonTooManyWords, false, func(l *Limits) int { return l.WordsMax }},
		{measureDuplicateLines, ReasonDuplicateLines, false, func(l *Limits) int { return l.DuplicateLinesMax }},
		{measureDuplicateLineChars, ReasonDuplicateLines, false, func(l *Limits) int { return l.DuplicateLineCharsMax }},
		{measureDuplicateParas, ReasonDuplicateParas, false, func(l *Limits) int { return l.DuplicateParasMax }},
		{measureDuplicateParaChars, ReasonDuplicateParas, false, func(l *Limits) int { return l.DuplicateParaCharsMax }},
		{measureWordLength, ReasonWordLength, true, func(l *Limits) int { return l.WordLengthMin }},
		{measureWordLength, ReasonWordLength, false, func(l *Limits) int { return l.WordLengthMax }},
		{measureSymbols, ReasonSymbols, false, func(l *Limits) int { return l.SymbolsMax }},
		{measureBullets, ReasonBullets, false, func(l *Limits) int { return l.BulletsMax }},
		{measureEllipsis, ReasonEllipsis, false, func(l *Limits) int { return l.EllipsisMax }},
		{measureLetterWords, ReasonFewLetters, true, func(l *Limits) int { return l.LetterWordsMin }},
		{measureStopWords, ReasonFewStopWords, true, func(l *Limits) int { return l.StopWordsMin }},
		{measurePunctuated, ReasonLinePunctuation, true, func(l *Limits) int { return l.PunctuatedMin }},
		{measureLineBreaks, ReasonManyLines, false, func(l *Limits) int { return l.LineBreaksMax }},
	}
	for n := range 3 {
		list = append(list, rule{measureTop2 + n, ReasonTopGrams, false, func(l *Limits) int { return l.TopGramsMax[n] }})
	}
	for n := range 6 {
		list = append(list, rule{measureRepeated5 + n, ReasonRepeatedGrams, false, func(l *Limits) int { return l.RepeatedGramsMax[n] }})
	}
	return list
}()

// verdict returns why a text of these measures is dropped, or "".
func (l *Limits) verdict(m *measures) (reason, detail string) {
	for _, r := range rules {
		bound, seen := r.bound(l), int(m[r.measure])
		switch {
		case bound == 0:
		case r.min && seen < bound:
			return r.reason, fmt.Sprintf("%s %d, at least %d", measureNames[r.measure], seen, bound)
		case !r.min && seen > bound:
			return r.reason, fmt.Sprintf("%s %d, at most %d", measureNames[r.measure], seen, bound)
		}
	}
	return "", ""
}

// stopWords finds the stop words of one language, each a bit.
type stopWords struct {
	whole  map[string]uint64
	ending map[string]uint64 // of one or two characters
}

func (q *measurer) stopWords(lang string, l Limits) *stopWords {
	if s := q.stops[lang]; s != nil {
		return s
	}
	s := &stopWords{map[string]uint64{}, map[string]uint64{}}
	for i, w := range l.StopWords {
		bit := uint64(1) << (i % 64)
		if ending, ok := strings.CutPrefix(w, "-"); ok {
			s.ending[ending] = bit
		} else {
			s.whole[w] = bit
		}
	}
	if q.stops == nil {
		q.stops = map[string]*stopWords{}
	}
	q.stops[lang] = s
	return s
}

const stopWordBytesMax = 32

// find returns the bit of the stop word that the field is or ends in.
func (s *stopWords) find(field string) uint64 {
	if len(s.whole) > 0 && len(field) <= stopWordBytesMax {
		var word [stopWordBytesMax * 2]byte
		n := 0
		for _, r := range field {
			if isLetter(r) {
				n += utf8.EncodeRune(word[n:], foldRune(r))
			}
		}
		if bit := s.whole[string(word[:n])]; bit != 0 {
			return bit
		}
	}
	if len(s.ending) == 0 {
		return 0
	}
	field = strings.TrimRightFunc(field, unicode.IsPunct)
	_, last := utf8.DecodeLastRuneInString(field)
	_, before := utf8.DecodeLastRuneInString(field[:len(field)-last])
	return s.ending[field[len(field)-last:]] | s.ending[field[len(field)-last-before:]]
}
