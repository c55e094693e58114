package evaluation

import (
	"context"
	"fmt"
	"math"
)

// ByteModel predicts the next byte from the bytes before it by interpolated
// Witten-Bell smoothing (Witten and Bell 1991, method C; Chen and Goodman 1998,
// section 2.4):
//
//	P(b | c) = (count(c b) + types(c) · P(b | c')) / (count(c) + types(c))
//
// where c' is c without its first byte, types(c) is how many different bytes
// were seen after c, and below the empty context stands 1/256. So every byte
// has a probability above zero and the 256 of them add up to one.
//
// Train and scoring must not overlap; any number of goroutines may score.
type ByteModel struct {
	order    int
	trained  int        // bytes
	grams    countTable // 1 to order bytes to count
	contexts countTable // 0 to order-1 bytes to count<<typeBits | types
}

// Limits of a byte model.
const (
	orderMax      = 7        // bytes and length must fit a uint64
	modelBytesMax = 64 << 20 // trained on
	gramsMax      = 1 << 25  // about 1 GiB
	typeBits      = 9        // types are 0 to 256
)

// NewByteModel returns a model of n-grams of up to order bytes, 1 to 7.
func NewByteModel(order int) *ByteModel {
	order = max(1, min(order, orderMax))
	return &ByteModel{order: order, grams: newCountTable(), contexts: newCountTable()}
}

// Train learns from one document and returns how many of its bytes: fewer than
// all means that the model is full, which it then stays.
func (m *ByteModel) Train(text string) int {
	var history uint64 // the bytes before, the latest lowest
	for i := range len(text) {
		if m.trained >= modelBytesMax || m.grams.used > gramsMax-orderMax {
			return i
		}
		m.trained++
		b := uint64(text[i])
		for k := 0; k <= min(i, m.order-1); k++ {
			context := m.contexts.at(contextKey(history, k))
			if m.grams.increment(contextKey(history<<8|b, k+1)) == 1 {
				*context++
			}
			*context += 1 << typeBits
		}
		history = history<<8 | b
	}
	return len(text)
}

// contextKey packs the latest k bytes of a history with their number.
func contextKey(history uint64, k int) uint64 {
	return history&(1<<(8*k)-1) | uint64(k+1)<<56
}

// probability returns P(b | history), where the history has n bytes.
func (m *ByteModel) probability(history uint64, n int, b byte) float64 {
	p := 1.0 / 256
	for k := 0; k <= min(n, m.order-1); k++ {
		context := m.contexts.get(contextKey(history, k))
		if context == 0 {
			break // a longer context was not seen either
		}
		count := m.grams.get(contextKey(history<<8|uint64(b), k+1))
		total, types := float64(context>>typeBits), float64(context&(1<<typeBits-1))
		p = (float64(count) + types*p) / (total + types)
	}
	return p
}

// bits returns -log2 P(text).
func (m *ByteModel) bits(text string) float64 { return m.bitsAfter("", text) }

func (m *ByteModel) bitsAfter(prefix, text string) float64 {
	var history uint64
	for i := range len(prefix) {
		history = history<<8 | uint64(prefix[i])
	}
	bits := 0.0
	for i := range len(text) {
		bits -= math.Log2(m.probability(history, len(prefix)+i, text[i]))
		history = history<<8 | uint64(text[i])
	}
	return bits
}

// DocumentBits makes the model a Scorer.
func (m *ByteModel) DocumentBits(ctx context.Context, text string) (float64, error) {
	return m.bits(text), ctx.Err()
}

// LogLikelihoods makes the model a Scorer.
func (m *ByteModel) LogLikelihoods(ctx context.Context, prefix string, continuations []string) ([]float64, error) {
	out := make([]float64, len(continuations))
	for i, c := range continuations {
		out[i] = -math.Ln2 * m.bitsAfter(prefix, c)
	}
	return out, ctx.Err()
}

// String names the model.
func (m *ByteModel) String() string {
	return fmt.Sprintf("byte %d-gram, interpolated Witten-Bell", m.order)
}

// countTable maps non-zero keys to counts: open addressing over a power of two
// at most 5/8 full.
type countTable struct {
	keys, values []uint64
	used         int
	shift        uint
}

func newCountTable() countTable {
	return countTable{keys: make([]uint64, 1<<10), values: make([]uint64, 1<<10), shift: 54}
}

// place returns where the key is or would go.
func (t *countTable) place(key uint64) int {
	mask := len(t.keys) - 1
	// Fibonacci hashing of the folded key: Knuth, TAOCP 3, section 6.4.
	i := int((key ^ key>>29) * 0x9e3779b97f4a7c15 >> t.shift)
	for t.keys[i] != 0 && t.keys[i] != key {
		i = (i + 1) & mask
	}
	return i
}

func (t *countTable) get(key uint64) uint64 { return t.values[t.place(key)] }

// at returns the place of the key's value, good until the next call.
func (t *countTable) at(key uint64) *uint64 {
	i := t.place(key)
	if t.keys[i] == 0 {
		if 8*(t.used+1) > 5*len(t.keys) {
			t.grow()
			i = t.place(key)
		}
		t.keys[i] = key
		t.used++
	}
	return &t.values[i]
}

func (t *countTable) increment(key uint64) uint64 {
	value := t.at(key)
	*value++
	return *value
}

func (t *countTable) grow() {
	old := *t
	t.keys, t.values = make([]uint64, 2*len(old.keys)), make([]uint64, 2*len(old.keys))
	t.shift--
	for i, key := range old.keys {
		if key != 0 {
			j := t.place(key)
			t.keys[j], t.values[j] = key, old.values[i]
		}
	}
}
