package corpus

import (
	"slices"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Overlap is sought over runs of eight words, as the evaluation counts
// contamination: NFKC, lower case, letters, digits and marks only. A text of
// fewer words is given away by all of them in a row; one of fewer than three
// says too little to be anybody's property and is not indexed by itself.
const (
	overlapWords    = 8
	overlapWordsMin = 3
)

// Contamination finds texts that hold a run of words of other texts, which
// must not be trained on. Add everything first; after that Find may be called
// from many goroutines. The zero value is an empty index.
type Contamination struct {
	table   gramTable
	owner   []uint32 // by gram: the first item that has it
	names   []string
	lengths [overlapWords + 1]bool
	scratch overlapper
}

// Found says where a text overlaps: the item by the name it was added with,
// and the words in common as they stand in the text, bytes [Start, End).
type Found struct {
	Item       string
	Start, End int
}

// Add indexes a text under a name. Several parts of one item, such as a
// question and its choices, are added joined, and each alone that gives the
// item away.
func (c *Contamination) Add(name, text string) error {
	o := &c.scratch
	o.split(text)
	n := min(overlapWords, len(o.words))
	if n < overlapWordsMin {
		return nil
	}
	c.lengths[n] = true
	if len(c.names) == 0 || c.names[len(c.names)-1] != name {
		c.names = append(c.names, name)
	}
	for i := 0; i+n <= len(o.words); i++ {
		gram, fresh := c.table.insert(o.grams.window(i, n))
		if fresh {
			c.owner = append(c.owner, uint32(len(c.names)-1))
		}
		if int(gram) >= evaluationGramsMax {
			return &LimitError{File: name, Limit: limitEvaluation, Max: evaluationGramsMax, Seen: evaluationGramsMax + 1}
		}
	}
	return nil
}

// Find returns the first overlap of text with what was added.
func (c *Contamination) Find(text string) (Found, bool) {
	var o overlapper
	return c.find(&o, text)
}

// find is Find with the buffers of a worker.
func (c *Contamination) find(o *overlapper, text string) (Found, bool) {
	if len(c.owner) == 0 {
		return Found{}, false
	}
	o.split(text)
	var found Found
	ok := false
	o.hits(&c.table, &c.lengths, func(gram uint32, i, n int) bool {
		found, ok = Found{c.names[c.owner[gram]], o.words[i].start, o.words[i+n-1].end}, true
		return false
	})
	return found, ok
}

// overlapper cuts texts into words and keeps its buffers.
type overlapper struct {
	words  []wordPlace
	hashes []uint64
	grams  rolling
}

type wordPlace struct{ start, end int }

// split sets words and grams to those of the text. Places are those in the
// text given, also where NFKC changes it: then each blank-free piece of the
// text is folded by itself, and its words all bear the place of the piece.
func (o *overlapper) split(text string) {
	o.words, o.hashes = o.words[:0], o.hashes[:0]
	if isComposed(text, true) || norm.NFKC.IsNormalString(text) {
		o.piece(text, 0, 0)
	} else {
		start := 0
		for i, r := range text {
			if r == ' ' || r == '\n' {
				o.folded(text[start:i], start)
				start = i + 1
			}
		}
		o.folded(text[start:], start)
	}
	o.grams.reset(o.hashes)
}

func (o *overlapper) folded(piece string, at int) {
	if piece == "" {
		return
	}
	folded := piece
	if !isComposed(piece, true) {
		folded = norm.NFKC.String(piece)
	}
	o.piece(folded, at, at+len(piece))
}

// piece adds the words of a text that is in NFKC. With end set, every word
// gets the place [at, end); otherwise its own.
func (o *overlapper) piece(text string, at, end int) {
	const start = 0x13198A2E03707344
	h, open := uint64(start), -1
	shut := func(i int) {
		place := wordPlace{open, i}
		if end > 0 {
			place = wordPlace{at, end}
		}
		o.words, o.hashes = append(o.words, place), append(o.hashes, mix(h))
		h, open = start, -1
	}
	for i, r := range text {
		if isLetter(r) || isDigit(r) || r >= utf8.RuneSelf && !isHangul(r) && (unicode.IsMark(r) || unicode.IsDigit(r)) {
			if open < 0 {
				open = i
			}
			h = hashRune(h, lower(r))
			continue
		}
		if open >= 0 {
			shut(i)
		}
	}
	if open >= 0 {
		shut(len(text))
	}
}

// lower is unicode.ToLower with the ways out that most text takes.
func lower(r rune) rune {
	if r < utf8.RuneSelf || isHangul(r) || isIdeograph(r) {
		return foldRune(r)
	}
	return unicode.ToLower(r)
}

// hits calls f with each run of words of the text that the table holds, until
// f returns false.
func (o *overlapper) hits(t *gramTable, lengths *[overlapWords + 1]bool, f func(gram uint32, i, n int) bool) {
	for n, used := range lengths {
		if !used {
			continue
		}
		for i := 0; i+n <= len(o.words); i++ {
			if gram, ok := t.lookup(o.grams.window(i, n)); ok && !f(gram, i, n) {
				return
			}
		}
	}
}

// gramTable numbers 64-bit hashes in the order they come. Among 67 million of
// them and a billion words looked up, one chance hit in 270 runs.
type gramTable struct {
	keys []uint64 // 0: free
	ids  []uint32
	n    int
}

func (t *gramTable) insert(key uint64) (id uint32, fresh bool) {
	if 3*t.n >= 2*len(t.keys) {
		t.grow()
	}
	key = max(key, 1)
	for i := key & uint64(len(t.keys)-1); ; i = (i + 1) & uint64(len(t.keys)-1) {
		if t.keys[i] == key {
			return t.ids[i], false
		}
		if t.keys[i] == 0 {
			t.keys[i], t.ids[i] = key, uint32(t.n)
			t.n++
			return t.ids[i], true
		}
	}
}

func (t *gramTable) grow() {
	old := *t
	size := max(1024, 2*len(old.keys))
	t.keys, t.ids = make([]uint64, size), make([]uint32, size)
	for k, key := range old.keys {
		if key == 0 {
			continue
		}
		i := key & uint64(size-1)
		for t.keys[i] != 0 {
			i = (i + 1) & uint64(size-1)
		}
		t.keys[i], t.ids[i] = key, old.ids[k]
	}
}

func (t *gramTable) lookup(key uint64) (uint32, bool) {
	if t.n == 0 {
		return 0, false
	}
	key = max(key, 1)
	for i := key & uint64(len(t.keys)-1); ; i = (i + 1) & uint64(len(t.keys)-1) {
		switch t.keys[i] {
		case key:
			return t.ids[i], true
		case 0:
			return 0, false
		}
	}
}

// distinct sorts and leaves one of each.
func distinct(ids []uint32) []uint32 {
	slices.Sort(ids)
	return slices.Compact(ids)
}
