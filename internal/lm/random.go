package lm

import "math/bits"

// philox is the counter-based generator Philox-4x32 with 10 rounds (Salmon et
// al., SC 2011): the numbers at a counter are a pure function of key and
// counter, so a stream can be entered anywhere and needs no state to resume.
//
// The key is the run's seed; the counter's upper half names the stream (what
// the numbers are for), its lower half counts within it.
type philox struct {
	seed   uint64
	stream uint64
}

// Streams of one seed. The numbers are part of the meaning of a seed: they are
// appended to, never changed.
const (
	streamInit    = 1 << 32 // + tensor index
	streamWindows = 2 << 32 // + epoch
	streamPick    = 3 << 32
)

// at returns the four words at the counter.
func (p philox) at(counter uint64) [4]uint32 {
	const (
		m0, m1 = 0xD2511F53, 0xCD9E8D57
		w0, w1 = 0x9E3779B9, 0xBB67AE85
	)
	x := [4]uint32{uint32(counter), uint32(counter >> 32), uint32(p.stream), uint32(p.stream >> 32)}
	k0, k1 := uint32(p.seed), uint32(p.seed>>32)
	for range 10 {
		hi0, lo0 := bits.Mul32(m0, x[0])
		hi1, lo1 := bits.Mul32(m1, x[2])
		x = [4]uint32{hi1 ^ x[1] ^ k0, lo1, hi0 ^ x[3] ^ k1, lo0}
		k0 += w0
		k1 += w1
	}
	return x
}

// uint64 returns 64 bits at the counter.
func (p philox) uint64(counter uint64) uint64 {
	x := p.at(counter)
	return uint64(x[1])<<32 | uint64(x[0])
}

// below returns a number from 0 to n-1; the bias, at most n/2^64, is far below
// what any run could notice.
func (p philox) below(counter uint64, n int) int {
	hi, _ := bits.Mul64(p.uint64(counter), uint64(n))
	return int(hi)
}

// unit returns a number in [0, 1) with 53 bits.
func (p philox) unit(counter uint64) float64 {
	return float64(p.uint64(counter)>>11) / (1 << 53)
}

// fillNormal fills dst with numbers of mean 0 and the given standard deviation,
// near enough to normal for initial weights: each is the sum of eight 16-bit
// uniforms (Irwin-Hall), cut off at 4.9 deviations. Only integers are added, so
// every machine makes the same numbers, which math.Log would not promise.
func (p philox) fillNormal(dst []float32, deviation float64) {
	// One 16-bit uniform has variance (2^32-1)/12, eight have eight times that.
	const sumDeviation = 53509.97
	scale := float32(deviation / sumDeviation)
	for i := range dst {
		sum := int64(0)
		for _, w := range p.at(uint64(i)) {
			sum += int64(w&0xffff) + int64(w>>16)
		}
		dst[i] = float32(sum-4*0xffff) * scale
	}
}

// shuffle returns the numbers 0 to n-1 in an order drawn from the stream
// (Fisher-Yates; Knuth, TAOCP volume 2, section 3.4.2, algorithm P).
func (p philox) shuffle(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	for i := n - 1; i > 0; i-- {
		j := p.below(uint64(i), i+1)
		order[i], order[j] = order[j], order[i]
	}
	return order
}
