package evaluation

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// gramWords is how many words in a row give an eval item away. An item of
// fewer words is given away by all of them in a row.
const gramWords = 8

// Contamination says how much of the test stands in the training documents. An
// eval item is a question with its choices, or a held-out document. It is
// contaminated if any eight words of it in a row (all, if it has fewer) stand
// in a row in one training document, after NFKC, lower case, and dropping all
// but letters and digits.
type Contamination struct {
	Items int     `json:"items"` // that have any word
	Found int     `json:"found"`
	Share float64 `json:"share"` // of all items
	// Choice and HeldOut are the shares among the questions and among the
	// held-out documents.
	Choice  float64 `json:"choice"`
	HeldOut float64 `json:"held_out"`
	// Examples are the first contaminated items, each with a place.
	Examples []Contaminated `json:"examples,omitempty"`
}

// Contaminated is an eval item found in the training documents.
type Contaminated struct {
	Of       string `json:"of"` // "choice" or "held_out"
	ID       string `json:"id"`
	Gram     string `json:"gram"`           // the words found
	Document int64  `json:"train_document"` // the first that holds them, from 0
}

// contamination looks for eval items in training documents, one pass over the
// latter. Words in a row are compared by a 64-bit hash: among a million eval
// grams and a billion training words one chance hit in 20,000 runs.
type contamination struct {
	items   []evalItem
	grams   map[uint64][]int32 // hash to items
	lengths [gramWords + 1]bool
	seen    int64 // training documents
	words   []string
	hashes  []uint64
	folder  wordFolder
}

type evalItem struct {
	kind, id string
	words    bool
	found    bool
	gram     string
	document int64
}

const (
	kindChoice  = "choice"
	kindHeldOut = "held_out"
)

func newContamination(input Input) *contamination {
	c := &contamination{grams: map[uint64][]int32{}}
	for _, item := range input.Items {
		c.addItem(kindChoice, item.ID, item.Question+"\n"+strings.Join(item.Choices, "\n"))
	}
	for _, d := range input.HeldOut {
		c.addItem(kindHeldOut, d.ID, d.Text)
	}
	return c
}

func (c *contamination) addItem(kind, id, text string) {
	at := int32(len(c.items))
	c.split(text)
	n := min(gramWords, len(c.words))
	c.items = append(c.items, evalItem{kind: kind, id: id, words: n > 0})
	if n == 0 {
		return
	}
	c.lengths[n] = true
	for i := 0; i+n <= len(c.words); i++ {
		h := c.hash(i, n)
		if list := c.grams[h]; len(list) == 0 || list[len(list)-1] != at {
			c.grams[h] = append(list, at)
		}
	}
}

// scan looks through one training document.
func (c *contamination) scan(text string) {
	document := c.seen
	c.seen++
	if len(c.grams) == 0 {
		return
	}
	c.split(text)
	for n, used := range c.lengths {
		if !used {
			continue
		}
		for i := 0; i+n <= len(c.words); i++ {
			h := c.hash(i, n)
			list, hit := c.grams[h]
			if !hit {
				continue
			}
			for _, at := range list {
				item := &c.items[at]
				item.found, item.document, item.gram = true, document, strings.Join(c.words[i:i+n], " ")
			}
			delete(c.grams, h) // the first document is enough
		}
	}
}

// split sets words and hashes to those of the text.
func (c *contamination) split(text string) {
	c.words = c.folder.words(c.words[:0], text)
	c.hashes = c.hashes[:0]
	for _, w := range c.words {
		h := uint64(14695981039346656037) // FNV-1a, 64 bits
		for i := range len(w) {
			h = (h ^ uint64(w[i])) * 1099511628211
		}
		c.hashes = append(c.hashes, mix(h))
	}
}

// hash combines the hashes of n words from i on, order and number included.
func (c *contamination) hash(i, n int) uint64 {
	h := uint64(n)
	for _, w := range c.hashes[i : i+n] {
		h = mix(h*0x9e3779b97f4a7c15 + w)
	}
	return h
}

func (c *contamination) foundItems() []Contaminated {
	var out []Contaminated
	for _, item := range c.items {
		if item.found {
			out = append(out, Contaminated{Of: item.kind, ID: item.id, Gram: item.gram, Document: item.document})
		}
	}
	slices.SortStableFunc(out, func(a, b Contaminated) int {
		return cmp.Or(cmp.Compare(a.Of, b.Of), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// searched counts the items that have any word.
func (c *contamination) searched() rawSearched {
	n := rawSearched{Kind: "searched"}
	for _, item := range c.items {
		n.count(item.kind, item.words)
	}
	return n
}

func (c *contamination) result() Contamination {
	var found rawSearched
	for _, item := range c.items {
		found.count(item.kind, item.found)
	}
	out := contaminationOf(c.searched(), found)
	out.Examples = c.foundItems()
	if len(out.Examples) > examplesMax {
		out.Examples = out.Examples[:examplesMax]
	}
	return out
}

// count adds an item of the kind if it counts.
func (s *rawSearched) count(kind string, counts bool) {
	switch {
	case !counts:
	case kind == kindChoice:
		s.Choice++
	default:
		s.HeldOut++
	}
}

// contaminationOf turns counts into shares.
func contaminationOf(searched, found rawSearched) Contamination {
	share := func(found, of int) float64 {
		if of == 0 {
			return 0
		}
		return float64(found) / float64(of)
	}
	out := Contamination{Items: searched.Choice + searched.HeldOut, Found: found.Choice + found.HeldOut}
	out.Share = share(out.Found, out.Items)
	out.Choice = share(found.Choice, searched.Choice)
	out.HeldOut = share(found.HeldOut, searched.HeldOut)
	return out
}

// wordFolder splits text into words that compare equal however they were
// typed. It keeps its buffer between texts.
type wordFolder struct{ buffer []byte }

// words appends the words of the text to dst.
func (f *wordFolder) words(dst []string, text string) []string {
	if !norm.NFKC.IsNormalString(text) {
		f.buffer = norm.NFKC.AppendString(f.buffer[:0], text)
		text = string(f.buffer)
	}
	text = strings.ToLower(text)
	start := -1
	for i, r := range text {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) {
			if start < 0 {
				start = i
			}
			continue
		}
		if start >= 0 {
			dst = append(dst, text[start:i])
			start = -1
		}
	}
	if start >= 0 {
		dst = append(dst, text[start:])
	}
	return dst
}
