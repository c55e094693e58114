package evaluation

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// TestProbabilitiesSum: whatever was learned and whatever went before, the 256
// bytes have probabilities above zero that add up to one.
func TestProbabilitiesSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := NewByteModel(rapid.IntRange(1, 7).Draw(t, "order"))
		for _, text := range rapid.SliceOfN(rapid.StringN(0, 60, 200), 0, 8).Draw(t, "train") {
			if n := m.Train(text); n != len(text) {
				t.Fatalf("learned %d of %d bytes", n, len(text))
			}
		}
		history := rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "history")
		if rapid.Bool().Draw(t, "known") {
			m.Train("abcabcabd")
			history = []byte("xxabcab")
		}
		var packed uint64
		for _, b := range history {
			packed = packed<<8 | uint64(b)
		}
		sum := 0.0
		for b := range 256 {
			p := m.probability(packed, len(history), byte(b))
			if !(p > 0 && p <= 1) {
				t.Fatalf("P(%d) = %v", b, p)
			}
			sum += p
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Fatalf("probabilities add up to %v", sum)
		}
	})
}

// naive is Witten-Bell from its definition, with maps of strings.
type naive struct {
	order int
	count map[string]float64
	types map[string]map[byte]bool
}

func (n *naive) train(text string) {
	for i := range len(text) {
		for k := 0; k <= min(i, n.order-1); k++ {
			c := text[i-k : i]
			n.count["c"+c]++
			n.count["g"+text[i-k:i+1]]++
			if n.types[c] == nil {
				n.types[c] = map[byte]bool{}
			}
			n.types[c][text[i]] = true
		}
	}
}

func (n *naive) probability(c string, b byte) float64 {
	lower := 1.0 / 256
	if c != "" {
		lower = n.probability(c[1:], b)
	}
	types := float64(len(n.types[c]))
	if types == 0 {
		return lower
	}
	return (n.count["g"+c+string([]byte{b})] + types*lower) / (n.count["c"+c] + types)
}

func TestWittenBell(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for order := 1; order <= 7; order++ {
		m, want := NewByteModel(order), &naive{order: order, count: map[string]float64{}, types: map[string]map[byte]bool{}}
		random := func() string {
			text := make([]byte, 40+r.IntN(400))
			for i := range text {
				text[i] = "\x00ab\xff"[r.IntN(4)]
			}
			return string(text)
		}
		for range 20 {
			text := random()
			m.Train(text)
			want.train(text)
		}
		text := random() + "z" + random()
		bits := 0.0
		for i := range len(text) {
			bits -= math.Log2(want.probability(text[max(0, i-order+1):i], text[i]))
		}
		if got := m.bits(text); math.Abs(got-bits) > 1e-6 {
			t.Errorf("order %d: %v bits, by definition %v", order, got, bits)
		}
		if split := m.bits(text[:7]) + m.bitsAfter(text[:7], text[7:]); math.Abs(split-bits) > 1e-6 {
			t.Errorf("order %d: in two parts %v bits, whole %v", order, split, bits)
		}
	}
}

// TestByteModelFull: a full model says so and stays as it is.
func TestByteModelFull(t *testing.T) {
	m := NewByteModel(2)
	m.Train("abab")
	m.trained = modelBytesMax - 1
	if n := m.Train("ba"); n != 1 {
		t.Errorf("learned %d bytes, one was left", n)
	}
	before := m.bits("abba")
	if n := m.Train("bbbb"); n != 0 || m.bits("abba") != before {
		t.Errorf("a full model learned %d bytes", n)
	}
}

func TestWilson(t *testing.T) {
	for _, row := range []struct {
		k, n      int
		low, high float64
	}{
		{0, 10, 0, 0.2775}, {10, 10, 0.7225, 1}, {5, 10, 0.2366, 0.7634}, {81, 263, 0.2553, 0.3662}, {1, 1, 0.2065, 1},
	} {
		low, high := wilson(row.k, row.n)
		if math.Abs(low-row.low) > 6e-5 || math.Abs(high-row.high) > 6e-5 {
			t.Errorf("%d of %d: %.4f to %.4f, want %.4f to %.4f", row.k, row.n, low, high, row.low, row.high)
		}
	}
}
