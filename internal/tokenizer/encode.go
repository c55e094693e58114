package tokenizer

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// Encode returns the ids of any bytes. Text that looks like a special token is
// plain text here: nobody can end a turn or begin a document by typing its
// mark. Use EncodeSpecial for text of your own that means its marks.
func (t *Tokenizer) Encode(text string) []uint32 {
	return t.AppendEncode(make([]uint32, 0, len(text)/4+4), text)
}

// AppendEncode appends the ids of the text to dst: Encode without a new slice.
func (t *Tokenizer) AppendEncode(dst []uint32, text string) []uint32 {
	cut := newCutter(t.pattern, text)
	for i := 0; i < len(text); {
		end := cut.next(i)
		if end == i+1 {
			dst = append(dst, t.bytes[text[i]])
		} else {
			dst = t.appendPiece(dst, text[i:end])
		}
		i = end
	}
	return dst
}

// EncodeSpecial is Encode with special tokens in the text recognised, the
// leftmost and longest first. Never give it text from outside.
func (t *Tokenizer) EncodeSpecial(text string) []uint32 {
	dst := make([]uint32, 0, len(text)/4+4)
	from := 0
	for i := 0; i < len(text); i++ {
		if !t.first[text[i]] {
			continue
		}
		if id, n := t.specialAt(text[i:]); n > 0 {
			dst = append(t.AppendEncode(dst, text[from:i]), id)
			from = i + n
			i = from - 1
		}
	}
	return t.AppendEncode(dst, text[from:])
}

func (t *Tokenizer) specialAt(text string) (id uint32, length int) {
	for _, s := range t.specials {
		if len(s.Text) > length && strings.HasPrefix(text, s.Text) {
			id, length = s.ID, len(s.Text)
		}
	}
	return id, length
}

// appendPiece appends the ids of one piece, from the cache if it is there.
func (t *Tokenizer) appendPiece(dst []uint32, piece string) []uint32 {
	if len(piece) > cachedBytesMax {
		return t.mergePiece(dst, piece)
	}
	slot := t.cache.slot(piece)
	if hit := slot.Load(); hit != nil && hit.piece == piece {
		return append(dst, hit.ids...)
	}
	from := len(dst)
	dst = t.mergePiece(dst, piece)
	slot.Store(&cachedPiece{piece: strings.Clone(piece), ids: append([]uint32(nil), dst[from:]...)})
	return dst
}

// mergePiece appends the ids of one piece.
func (t *Tokenizer) mergePiece(dst []uint32, piece string) []uint32 {
	if id, ok := t.whole[piece]; ok {
		return append(dst, id)
	}
	if len(piece) > shortBytesMax {
		return t.mergeLong(dst, piece)
	}
	return t.mergeShort(dst, piece)
}

// The cache maps pieces to ids: a word met before costs one hash. It is a
// table of pointers that any goroutine swaps whole, so readers need no lock;
// a newer piece simply pushes out the older one in its place.
const (
	cacheSlots     = 1 << 15
	cachedBytesMax = 48 // longer pieces seldom come twice
)

type cachedPiece struct {
	piece string
	ids   []uint32
}

type pieceCache struct {
	seed  maphash.Seed
	slots []atomic.Pointer[cachedPiece]
}

func newPieceCache() pieceCache {
	return pieceCache{seed: maphash.MakeSeed(), slots: make([]atomic.Pointer[cachedPiece], cacheSlots)}
}

func (c *pieceCache) slot(piece string) *atomic.Pointer[cachedPiece] {
	return &c.slots[maphash.String(c.seed, piece)%cacheSlots]
}

// shortBytesMax is the length up to which a piece is merged by rescanning it.
// Beyond, that would take quadratic time, and a heap does it.
const shortBytesMax = 96

// noRank stands for a pair that does not merge.
const noRank = ^uint32(0)

// mergeShort merges the pair of lowest rank, leftmost first, until no pair has
// a rank (Sennrich et al. 2016, section 3.2, in the order the merges were
// learned). It rescans all ranks for each merge, on the stack.
func (t *Tokenizer) mergeShort(dst []uint32, piece string) []uint32 {
	var symbols, ranks, merged [shortBytesMax]uint32
	n := len(piece)
	for i := range n {
		symbols[i] = t.bytes[piece[i]]
	}
	for i := range n - 1 {
		ranks[i], merged[i] = t.ranks.find(symbols[i], symbols[i+1])
	}
	ranks[n-1] = noRank
	for n > 1 {
		at := 0
		for i := 1; i < n-1; i++ {
			if ranks[i] < ranks[at] {
				at = i
			}
		}
		if ranks[at] == noRank {
			break
		}
		symbols[at] = merged[at]
		n--
		copy(symbols[at+1:n], symbols[at+2:n+1])
		copy(ranks[at+1:n], ranks[at+2:n+1])
		copy(merged[at+1:n], merged[at+2:n+1])
		if at+1 < n {
			ranks[at], merged[at] = t.ranks.find(symbols[at], symbols[at+1])
		} else {
			ranks[at] = noRank
		}
		if at > 0 {
			ranks[at-1], merged[at-1] = t.ranks.find(symbols[at-1], symbols[at])
		}
	}
	return append(dst, symbols[:n]...)
}

// mergeLong does the same for a piece of any length: symbols in a linked list,
// candidate pairs in a heap ordered by rank and then place, each checked
// against the list when it comes out.
func (t *Tokenizer) mergeLong(dst []uint32, piece string) []uint32 {
	n := len(piece)
	w := longPiece{ranks: &t.ranks, symbols: make([]uint32, n), next: make([]int32, n), previous: make([]int32, n)}
	for i := range n {
		w.symbols[i] = t.bytes[piece[i]]
		w.next[i], w.previous[i] = int32(i+1), int32(i-1)
	}
	for i := range n - 1 {
		w.offer(int32(i))
	}
	for len(w.heap) > 0 {
		top := w.heap.pop()
		rank, at := uint32(top>>32), int32(uint32(top))
		right := w.next[at]
		if right < 0 || int(right) >= n {
			continue
		}
		if now, id := w.ranks.find(w.symbols[at], w.symbols[right]); now == rank {
			w.join(at, right, id)
		}
	}
	for i := int32(0); int(i) < n; i = w.next[i] {
		dst = append(dst, w.symbols[i])
	}
	return dst
}

type longPiece struct {
	ranks          *pairTable
	symbols        []uint32
	next, previous []int32 // next is -1 for a symbol merged away
	heap           rankHeap
}

// join makes the symbols at and right into id at the place of the left one.
func (w *longPiece) join(at, right int32, id uint32) {
	after := w.next[right]
	w.symbols[at], w.next[at], w.next[right] = id, after, -1
	if int(after) < len(w.symbols) {
		w.previous[after] = at
		w.offer(at)
	}
	if before := w.previous[at]; before >= 0 {
		w.offer(before)
	}
}

// offer puts the pair that begins at i into the heap if it merges.
func (w *longPiece) offer(i int32) {
	if rank, _ := w.ranks.find(w.symbols[i], w.symbols[w.next[i]]); rank != noRank {
		w.heap.push(uint64(rank)<<32 | uint64(i))
	}
}

// rankHeap is a binary heap of rank<<32 | place, the lowest first.
type rankHeap []uint64

func (h *rankHeap) push(v uint64) {
	s := append(*h, v)
	i := len(s) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if s[parent] <= s[i] {
			break
		}
		s[parent], s[i] = s[i], s[parent]
		i = parent
	}
	*h = s
}

func (h *rankHeap) pop() uint64 {
	s := *h
	top, n := s[0], len(s)-1
	s[0] = s[n]
	s = s[:n]
	for i := 0; ; {
		child := 2*i + 1
		if child >= n {
			break
		}
		if child+1 < n && s[child+1] < s[child] {
			child++
		}
		if s[i] <= s[child] {
			break
		}
		s[i], s[child] = s[child], s[i]
		i = child
	}
	*h = s
	return top
}

// pairTable finds the rank and id of a pair: open addressing over a power of
// two at most half full. A look-up takes 4.6 ns, in a Go map 11 ns.
type pairTable struct {
	shift uint
	slots []pairSlot
}

type pairSlot struct {
	pair     uint64 // left<<32 | right
	rank, id uint32 // id 0 with rank noRank marks an empty slot
}

func newPairTable(merges []merge) pairTable {
	size, shift := 16, uint(60)
	for size < 2*len(merges) {
		size, shift = 2*size, shift-1
	}
	p := pairTable{shift: shift, slots: make([]pairSlot, size)}
	for i := range p.slots {
		p.slots[i].rank = noRank
	}
	for rank, m := range merges {
		i := p.start(m.left, m.right)
		for p.slots[i].rank != noRank {
			i = (i + 1) & (len(p.slots) - 1)
		}
		p.slots[i] = pairSlot{pair: uint64(m.left)<<32 | uint64(m.right), rank: uint32(rank), id: m.id}
	}
	return p
}

// start is Fibonacci hashing: Knuth, The Art of Computer Programming 3, 6.4.
func (p *pairTable) start(left, right uint32) int {
	return int((uint64(left)<<32 | uint64(right)) * 0x9e3779b97f4a7c15 >> p.shift)
}

func (p *pairTable) find(left, right uint32) (rank, id uint32) {
	pair := uint64(left)<<32 | uint64(right)
	for i := p.start(left, right); ; i = (i + 1) & (len(p.slots) - 1) {
		s := &p.slots[i]
		if s.rank == noRank {
			return noRank, 0
		}
		if s.pair == pair {
			return s.rank, s.id
		}
	}
}
