package tokenizer

import (
	"context"
	"slices"
)

// learner holds the words of the corpus as symbols and, for each pair of
// neighbours, its count and the words it may stand in. A merge touches only
// those words, and a heap with stale entries finds the next pair: an entry
// whose count has since fallen goes back in with the present count.
type learner struct {
	words   []word
	symbols []uint32 // the words' symbols, one behind the other
	tokens  []string
	special []bool
	refused map[string]bool // special texts, which no merge may spell

	index   map[uint64]int32 // pair to its place in pairs
	pairs   []pairInfo
	created []int32 // places of the pairs that the current merge made
	heap    pairHeap
}

type word struct {
	from, length int32 // of symbols
	count        int64
}

type pairInfo struct {
	pair  uint64 // left<<32 | right
	count int64
	words []int32 // words that hold the pair, or once did
	fresh bool    // already in created
}

func newLearner(counts []pieceCount, tokens []string, special []bool, config Config) *learner {
	l := &learner{
		words: make([]word, 0, len(counts)), tokens: tokens, special: special,
		refused: make(map[string]bool), index: make(map[uint64]int32),
	}
	var ids [256]uint32
	for id, text := range tokens {
		if special[id] {
			l.refused[text] = true
		} else {
			ids[text[0]] = uint32(id)
		}
	}
	size := 0
	for _, c := range counts {
		size += len(c.piece)
	}
	l.symbols = make([]uint32, 0, size)
	for w, c := range counts {
		from := len(l.symbols)
		l.words = append(l.words, word{from: int32(from), length: int32(len(c.piece)), count: c.count})
		for i := range len(c.piece) {
			l.symbols = append(l.symbols, ids[c.piece[i]])
			if i > 0 {
				l.add(l.symbols[from+i-1], l.symbols[from+i], int32(w), c.count)
			}
		}
	}
	l.offer(int64(config.CountMin))
	return l
}

// learn merges until the vocabulary is full or no pair is frequent enough.
func (l *learner) learn(ctx context.Context, config Config) ([]merge, error) {
	total := config.Vocab - len(l.tokens)
	merges := make([]merge, 0, total)
	for len(merges) < total {
		if len(merges)%progressEvery == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if config.Progress != nil {
				config.Progress(len(merges), total)
			}
		}
		at, ok := l.best(int64(config.CountMin))
		if !ok {
			break
		}
		left, right := uint32(l.pairs[at].pair>>32), uint32(l.pairs[at].pair)
		text := l.tokens[left] + l.tokens[right]
		if l.refused[text] || len(text) > tokenBytesMax {
			l.pairs[at].count = 0
			continue
		}
		id := uint32(len(l.tokens))
		l.tokens, l.special = append(l.tokens, text), append(l.special, false)
		merges = append(merges, merge{left: left, right: right, id: id})
		words := l.pairs[at].words
		l.pairs[at].words = nil
		for _, w := range words {
			l.merge(w, left, right, id)
		}
		l.offer(int64(config.CountMin))
	}
	if config.Progress != nil {
		config.Progress(len(merges), total)
	}
	return merges, nil
}

// best takes the most frequent pair out of the heap.
func (l *learner) best(countMin int64) (int32, bool) {
	for len(l.heap) > 0 {
		top := l.heap.pop()
		now := l.pairs[top.at].count
		if now == top.count {
			return top.at, true
		}
		if now >= countMin {
			top.count = now
			l.heap.push(top)
		}
	}
	return 0, false
}

// offer puts the pairs of created into the heap. All other pairs can only have
// become rarer, which best finds out.
func (l *learner) offer(countMin int64) {
	for _, at := range l.created {
		p := &l.pairs[at]
		p.fresh = false
		if p.count >= countMin {
			l.heap.push(heapPair{count: p.count, pair: p.pair, at: at})
		}
	}
	l.created = l.created[:0]
}

// add counts a pair once more in a word.
func (l *learner) add(left, right uint32, w int32, count int64) {
	pair := uint64(left)<<32 | uint64(right)
	at, ok := l.index[pair]
	if !ok {
		at = int32(len(l.pairs))
		l.index[pair] = at
		l.pairs = append(l.pairs, pairInfo{pair: pair})
	}
	p := &l.pairs[at]
	p.count += count
	if !p.fresh {
		p.fresh = true
		l.created = append(l.created, at)
	}
	if n := len(p.words); n == 0 || p.words[n-1] != w {
		p.words = append(p.words, w)
	}
}

// drop counts a pair once less.
func (l *learner) drop(left, right uint32, count int64) {
	if at, ok := l.index[uint64(left)<<32|uint64(right)]; ok {
		l.pairs[at].count -= count
	}
}

// merge replaces left, right by id in one word, leftmost first, and moves the
// counts of the neighbours. Seen as a list that shrinks from the left, each
// replacement turns (before, left)(left, right)(right, after) into
// (before, id)(id, after), so runs such as a a a a need no special case.
func (l *learner) merge(w int32, left, right, id uint32) {
	info := &l.words[w]
	symbols := l.symbols[info.from : info.from+info.length]
	out := 0
	for i := 0; i < len(symbols); i, out = i+1, out+1 {
		if i+1 == len(symbols) || symbols[i] != left || symbols[i+1] != right {
			symbols[out] = symbols[i]
			continue
		}
		if out > 0 {
			l.drop(symbols[out-1], left, info.count)
			l.add(symbols[out-1], id, w, info.count)
		}
		if i+2 < len(symbols) {
			l.drop(right, symbols[i+2], info.count)
			l.add(id, symbols[i+2], w, info.count)
		}
		l.drop(left, right, info.count)
		symbols[out] = id
		i++
	}
	info.length = int32(out)
}

// tokenCount returns how many tokens the words have come down to.
func (l *learner) tokenCount() int64 {
	var n int64
	for _, w := range l.words {
		n += int64(w.length) * w.count
	}
	return n
}

// heapPair is a pair with the count it had when it went into the heap.
type heapPair struct {
	count int64
	pair  uint64
	at    int32
}

// before orders by count, the highest first, then by ids, the lowest first.
func (p heapPair) before(q heapPair) bool {
	if p.count != q.count {
		return p.count > q.count
	}
	return p.pair < q.pair
}

// pairHeap is a binary heap, the pair to merge next on top.
type pairHeap []heapPair

func (h *pairHeap) push(v heapPair) {
	s := append(*h, v)
	i := len(s) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if s[parent].before(v) {
			break
		}
		s[i] = s[parent]
		i = parent
	}
	s[i] = v
	*h = s
}

func (h *pairHeap) pop() heapPair {
	s := *h
	n := len(s) - 1
	top, v := s[0], s[n]
	s = slices.Delete(s, n, n+1)
	i := 0
	for {
		child := 2*i + 1
		if child >= n {
			break
		}
		if child+1 < n && s[child+1].before(s[child]) {
			child++
		}
		if !s[child].before(v) {
			break
		}
		s[i] = s[child]
		i = child
	}
	if n > 0 {
		s[i] = v
	}
	*h = s
	return top
}
