package lm

import "math"

// The functions here are the portable forms of the loops that are not matrix
// products. Each has a twin in vector_simd.go; vector_plain.go names these in a
// build without SIMD. Slices of one call have equal length.

// dotPlain returns the sum of x[i]·y[i], by four partial sums.
func dotPlain(x, y []float32) float32 {
	var s0, s1, s2, s3 float32
	y = y[:len(x)]
	i := 0
	for ; i+4 <= len(x); i += 4 {
		s0 += x[i] * y[i]
		s1 += x[i+1] * y[i+1]
		s2 += x[i+2] * y[i+2]
		s3 += x[i+3] * y[i+3]
	}
	for ; i < len(x); i++ {
		s0 += x[i] * y[i]
	}
	return (s0 + s1) + (s2 + s3)
}

// dot3Plain returns the sum of x[i]·y[i]·z[i].
func dot3Plain(x, y, z []float32) float32 {
	var s float32
	y, z = y[:len(x)], z[:len(x)]
	for i := range x {
		s += x[i] * y[i] * z[i]
	}
	return s
}

// axpyPlain adds a·x to dst.
func axpyPlain(dst []float32, a float32, x []float32) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] += a * x[i]
	}
}

// scaleGainPlain sets dst[i] = x[i]·s·gain[i], the end of RMSNorm.
func scaleGainPlain(dst, x []float32, s float32, gain []float32) {
	x, gain = x[:len(dst)], gain[:len(dst)]
	for i := range dst {
		dst[i] = x[i] * s * gain[i]
	}
}

// normGradPlain adds s·dy[i]·gain[i] - pull·x[i] to dst[i].
func normGradPlain(dst, dy, gain, x []float32, s, pull float32) {
	dy, gain, x = dy[:len(dst)], gain[:len(dst)], x[:len(dst)]
	for i := range dst {
		dst[i] += s*dy[i]*gain[i] - pull*x[i]
	}
}

// gainGradPlain adds s·dy[i]·x[i] to dst[i].
func gainGradPlain(dst, dy, x []float32, s float32) {
	dy, x = dy[:len(dst)], x[:len(dst)]
	for i := range dst {
		dst[i] += s * dy[i] * x[i]
	}
}

// scalePlain multiplies x by s.
func scalePlain(x []float32, s float32) {
	for i := range x {
		x[i] *= s
	}
}

// maximumPlain returns the greatest element of a non-empty x. NaN may be lost:
// the loss shows it.
func maximumPlain(x []float32) float32 {
	top := x[0]
	for _, v := range x {
		if v > top {
			top = v
		}
	}
	return top
}

// expPlain is e^x within two units in the last place for -87 ≤ x ≤ 88, and the
// value at the nearer bound outside: n·ln2 is split off exactly (Cody and
// Waite), the rest, at most ln2/2, goes into the Taylor series to the 7th power.
func expPlain(x float32) float32 {
	if x != x {
		return x
	}
	x = max(min(x, expMost), expLeast)
	n := x*log2e + roundShift - roundShift
	r := x - n*ln2High
	r -= n * ln2Low
	p := float32(expC7)
	p = p*r + expC6
	p = p*r + expC5
	p = p*r + expC4
	p = p*r + expC3
	p = p*r + expC2
	p = p*r + 1
	p = p*r + 1
	return math.Float32frombits(uint32(int32(math.Float32bits(p)) + int32(n)<<23))
}

const (
	expMost, expLeast = 88, -87
	log2e             = 1.4426950408889634
	// roundShift, 1.5·2^23, added and taken away, rounds to the nearest integer.
	roundShift = 12582912.0
	// ln2High has 9 trailing zero bits, so n·ln2High is exact for |n| < 512.
	ln2High = 0.693359375
	ln2Low  = -2.12194440054690583e-4
	expC2   = 1.0 / 2
	expC3   = 1.0 / 6
	expC4   = 1.0 / 24
	expC5   = 1.0 / 120
	expC6   = 1.0 / 720
	expC7   = 1.0 / 5040
)

// expSumPlain sets x[i] = e^(x[i]·scale - shift) and returns the sum.
func expSumPlain(x []float32, scale, shift float32) float32 {
	var sum float32
	for i, v := range x {
		e := expPlain(v*scale - shift)
		x[i] = e
		sum += e
	}
	return sum
}

// siluPlain sets dst[i] = silu(gate[i])·up[i], silu(x) = x/(1+e^-x).
func siluPlain(dst, gate, up []float32) {
	gate, up = gate[:len(dst)], up[:len(dst)]
	for i := range dst {
		g := gate[i]
		dst[i] = g / (1 + expPlain(-g)) * up[i]
	}
}

// siluGradPlain replaces gate and up by the gradients of a loss in them, given
// d, its gradient in silu(gate)·up:
//
//	silu'(x) = σ(x)·(1 + x·(1-σ(x)))
func siluGradPlain(d, gate, up []float32) {
	gate, up = gate[:len(d)], up[:len(d)]
	for i := range d {
		g := gate[i]
		s := 1 / (1 + expPlain(-g))
		u := up[i]
		up[i] = d[i] * g * s
		gate[i] = d[i] * u * s * (1 + g*(1-s))
	}
}

// softmaxGradPlain turns dp, the gradient in the probabilities p, into the
// gradient in the scores: dp[i] = p[i]·(dp[i]-mean)·scale, mean = Σ p·dp.
func softmaxGradPlain(dp, p []float32, mean, scale float32) {
	p = p[:len(dp)]
	for i := range dp {
		dp[i] = p[i] * (dp[i] - mean) * scale
	}
}

// adamStep holds one step's constants of AdamW for one tensor.
type adamStep struct {
	clip         float32 // factor on the gradient
	beta1, beta2 float32
	rate         float32 // learning rate over the first moment's bias correction
	rootFix      float32 // 1/sqrt of the second moment's bias correction
	epsilon      float32
	keep         float32 // 1 - learning rate · weight decay
}

// adamPlain updates weights w and moments m, v from the gradient g
// (Loshchilov and Hutter, algorithm 2).
func adamPlain(w, m, v, g []float32, s adamStep) {
	m, v, g = m[:len(w)], v[:len(w)], g[:len(w)]
	for i := range w {
		d := g[i] * s.clip
		m[i] = s.beta1*m[i] + (1-s.beta1)*d
		v[i] = s.beta2*v[i] + (1-s.beta2)*d*d
		root := float32(math.Sqrt(float64(v[i]))) * s.rootFix
		w[i] = s.keep*w[i] - s.rate*m[i]/(root+s.epsilon)
	}
}
