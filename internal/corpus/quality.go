package corpus

import (
	"math/bits"
	"strings"
	"unicode/utf8"
)

// The measures of a text. They are integers: shares per mille, lengths in
// thousandths of a character, the rest counts.
const (
	measureWords = iota
	measureWordLength
	measureSymbols
	measureBullets
	measureEllipsis
	measureLetterWords
	measureStopWords
	measurePunctuated
	measureLineBreaks
	measureDuplicateLines
	measureDuplicateLineChars
	measureDuplicateParas
	measureDuplicateParaChars
	measureTop2
	measureTop3
	measureTop4
	measureRepeated5
	measureRepeated6
	measureRepeated7
	measureRepeated8
	measureRepeated9
	measureRepeated10
	measureBroken
	measureCount
)

// measureNames are the names in reports.
var measureNames = [measureCount]string{
	"words", "word_length", "symbols", "bullet_lines", "ellipsis_lines", "letter_words", "stop_words",
	"punctuated_lines", "line_breaks", "duplicate_lines", "duplicate_line_chars", "duplicate_paragraphs",
	"duplicate_paragraph_chars", "top_2grams", "top_3grams", "top_4grams", "repeated_5grams", "repeated_6grams",
	"repeated_7grams", "repeated_8grams", "repeated_9grams", "repeated_10grams", "broken_characters",
}

type measures [measureCount]uint32

const (
	perMille      = 1000
	measureMax    = 1 << 30
	stopCountMax  = 8       // stop words are counted up to here: more say nothing
	gramWordsMax  = 200_000 // texts of more words are not searched for repeated n-grams
	topGramMin    = 2       // the shortest n-gram whose most frequent one counts
	topGramMax    = 4
	repeatGramMin = 5
	repeatGramMax = 10
)

// measurer measures texts one after the other and keeps its buffers.
type measurer struct {
	hashes []uint64 // of each field
	runes  []int32  // characters of each field
	grams  rolling
	seen   counter
	stops  map[string]*stopWords // by language, made once
}

// measure fills m.
func (q *measurer) measure(m *measures, text, lang string, limits Limits) {
	*m = measures{}
	stops := q.stopWords(lang, limits)
	total, replaced := q.fields(m, text, stops)
	words := len(q.hashes)
	m[measureWords] = uint32(min(words, measureMax))
	m[measureBroken] = share(replaced, total)
	q.lines(m, text, words, total)
	q.paragraphs(m, text, total)
	if words <= gramWordsMax {
		q.repetition(m, total)
	}
}

func share(part, whole int) uint32 {
	if whole <= 0 {
		return 0
	}
	return uint32(min(int64(part)*perMille/int64(whole), measureMax))
}

// fields cuts the text into fields and measures what can be said of words. It
// returns the number of characters and of replacement characters.
func (q *measurer) fields(m *measures, text string, stops *stopWords) (total, replaced int) {
	q.hashes, q.runes = q.hashes[:0], q.runes[:0]
	var stopsSeen uint64
	letters, symbols, length := 0, 0, 0
	h, start, n, letter, afterIdeograph := uint64(0), 0, 0, false, false
	end := func(at int) {
		if n == 0 {
			return
		}
		q.hashes, q.runes = append(q.hashes, mix(h)), append(q.runes, int32(n))
		length += n
		if letter {
			letters++
		}
		if bits.OnesCount64(stopsSeen) < stopCountMax {
			stopsSeen |= stops.find(text[start:at])
		}
		h, n, letter = 0, 0, false
	}
	for i, r := range text {
		total++
		switch {
		case isBlank(r):
			end(i)
			afterIdeograph = false
			continue
		case isIdeograph(r):
			end(i)
			start, n, letter, h = i, 1, true, hashRune(0, r)
			end(i + utf8.RuneLen(r))
			afterIdeograph = true
			continue
		case r == '#' || r == '…':
			symbols++
		case r == '.' && strings.HasPrefix(text[i:], "...") && (i == 0 || text[i-1] != '.'):
			symbols++
		case r == utf8.RuneError:
			replaced++
		}
		isWord := isLetter(r)
		if afterIdeograph && !isWord && !isDigit(r) {
			continue // punctuation belongs to the character before it
		}
		afterIdeograph = false
		if n == 0 {
			start = i
		}
		h, n, letter = hashRune(h, r), n+1, letter || isWord
	}
	end(len(text))
	words := len(q.hashes)
	if words > 0 {
		m[measureWordLength] = share(length, words)
	}
	m[measureLetterWords] = share(letters, words)
	m[measureSymbols] = share(symbols, words)
	m[measureStopWords] = uint32(min(bits.OnesCount64(stopsSeen), stopCountMax))
	return total, replaced
}

// lines measures what can be said of lines; empty ones do not count.
func (q *measurer) lines(m *measures, text string, words, total int) {
	breaks := strings.Count(text, "\n")
	q.seen.reset(breaks + 1)
	lines, bullets, ellipses, punctuated, twice, twiceChars := 0, 0, 0, 0, 0, 0
	for rest, more := text, true; more; {
		var line string
		line, rest, more = strings.Cut(rest, "\n")
		if line = strings.Trim(line, " \t"); line == "" {
			continue
		}
		lines++
		if isBullet(line) {
			bullets++
		}
		if strings.HasSuffix(line, "...") || strings.HasSuffix(line, "…") {
			ellipses++
		}
		if endsSentence(line) {
			punctuated++
		}
		if q.seen.add(hashString(line)) > 1 {
			twice, twiceChars = twice+1, twiceChars+utf8.RuneCountInString(line)
		}
	}
	m[measureBullets], m[measureEllipsis] = share(bullets, lines), share(ellipses, lines)
	m[measurePunctuated] = share(punctuated, lines)
	m[measureLineBreaks] = share(breaks, words)
	m[measureDuplicateLines], m[measureDuplicateLineChars] = share(twice, lines), share(twiceChars, total)
}

// paragraphs are what empty lines part.
func (q *measurer) paragraphs(m *measures, text string, total int) {
	if !strings.Contains(text, "\n\n") {
		return
	}
	q.seen.reset(strings.Count(text, "\n\n") + 1)
	paras, twice, twiceChars := 0, 0, 0
	for rest, more := text, true; more; {
		var para string
		para, rest, more = strings.Cut(rest, "\n\n")
		if para = strings.Trim(para, " \t\n"); para == "" {
			continue
		}
		paras++
		if q.seen.add(hashString(para)) > 1 {
			twice, twiceChars = twice+1, twiceChars+utf8.RuneCountInString(para)
		}
	}
	m[measureDuplicateParas], m[measureDuplicateParaChars] = share(twice, paras), share(twiceChars, total)
}

func isBullet(line string) bool {
	if line[0] < utf8.RuneSelf {
		return strings.IndexByte("-*+", line[0]) >= 0 && (len(line) == 1 || line[1] == ' ')
	}
	r, _ := utf8.DecodeRuneInString(line)
	switch r {
	case '•', '●', '○', '◦', '■', '□', '▪', '▫', '▶', '▷', '►', '◆', '◇', '※', '·', '‣', '⁃', '–', '★', '☆', '✓', '✔', 'ㆍ':
		return true
	}
	return false
}

// endsSentence reports a line that ends in a sentence mark, with or without a
// closing quote or bracket behind it.
func endsSentence(line string) bool {
	r, _ := utf8.DecodeLastRuneInString(line)
	switch r {
	case '.', '!', '?', '…', '"', '\'', '”', '’', ')', ']', '。', '！', '？', '」', '』', '》', '）', ';', ':', '~':
		return true
	}
	return false
}

// repetition measures repeated word n-grams as Gopher does (Rae et al. 2021,
// table A1): of the most frequent 2- to 4-gram the share of characters it
// fills, of 5- to 10-grams the share of characters in repeated ones.
func (q *measurer) repetition(m *measures, total int) {
	q.grams.reset(q.hashes)
	for n := topGramMin; n <= topGramMax; n++ {
		if m[measureTop2+n-topGramMin] = q.top(n, total); m[measureTop2+n-topGramMin] == 0 {
			break // without a pair that stands twice no triple does
		}
	}
	for n := repeatGramMin; n <= repeatGramMax; n++ {
		if m[measureRepeated5+n-repeatGramMin] = q.repeated(n, total); m[measureRepeated5+n-repeatGramMin] == 0 {
			break
		}
	}
}

func (q *measurer) top(n, total int) uint32 {
	words := len(q.hashes)
	if words < n {
		return 0
	}
	q.seen.reset(words)
	best, bestAt := uint32(1), -1
	for i := 0; i+n <= words; i++ {
		if count := q.seen.add(q.grams.window(i, n)); count > best {
			best, bestAt = count, i
		}
	}
	if bestAt < 0 {
		return 0
	}
	return min(share(int(best)*q.chars(bestAt, n), total), perMille)
}

// chars is the length of the n-gram at i with single blanks in it.
func (q *measurer) chars(i, n int) int {
	sum := n - 1
	for _, r := range q.runes[i : i+n] {
		sum += int(r)
	}
	return sum
}

func (q *measurer) repeated(n, total int) uint32 {
	words := len(q.hashes)
	if words < n {
		return 0
	}
	q.seen.reset(words)
	chars := 0
	for i := 0; i+n <= words; {
		if q.seen.add(q.grams.window(i, n)) > 1 {
			chars += q.chars(i, n)
			i += n
			continue
		}
		i++
	}
	return min(share(chars, total), perMille)
}

// counter counts keys. It empties in no time by a change of stamp.
type counter struct {
	slots []struct {
		key          uint64
		stamp, count uint32
	}
	stamp uint32
	mask  uint64
}

// reset empties the counter and makes room for so many keys.
func (c *counter) reset(keys int) {
	size := 64
	for size < 2*keys {
		size *= 2
	}
	if size > len(c.slots) || c.stamp == 1<<32-1 {
		*c = counter{}
		c.slots = make([]struct {
			key          uint64
			stamp, count uint32
		}, size)
	}
	c.stamp++
	c.mask = uint64(size - 1)
}

// add counts the key and returns how often it was seen, this time included.
func (c *counter) add(key uint64) uint32 {
	for i := key & c.mask; ; i = (i + 1) & c.mask {
		s := &c.slots[i]
		if s.stamp != c.stamp {
			s.key, s.stamp, s.count = key, c.stamp, 1
			return 1
		}
		if s.key == key {
			s.count++
			return s.count
		}
	}
}
