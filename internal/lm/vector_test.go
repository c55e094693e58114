package lm

import (
	"math"
	"testing"
)

func near(t *testing.T, what string, got, want []float32, tolerance float64) {
	t.Helper()
	for i := range got {
		g, w := float64(got[i]), float64(want[i])
		if math.IsNaN(g) != math.IsNaN(w) || math.Abs(g-w) > tolerance*(1+math.Abs(w)) {
			t.Fatalf("%s: element %d is %g, want %g", what, i, g, w)
		}
	}
}

func clone(x []float32) []float32 { return append([]float32(nil), x...) }

func TestExp(t *testing.T) {
	withKernels(t, func(t *testing.T) {
		var x []float32
		for v := float32(-87); v <= 88; v += 0.0137 {
			x = append(x, v)
		}
		y := clone(x)
		expSum(y, 1, 0)
		for i, v := range x {
			want := math.Exp(float64(v))
			if math.Abs(float64(y[i])-want) > 3e-7*want {
				t.Fatalf("exp(%g) = %g, want %g", v, y[i], want)
			}
		}
		nan := float32(math.NaN())
		odd := []float32{nan, -1000, 1000, 0, float32(math.Inf(-1)), nan, 0, 0, nan}
		expSum(odd, 1, 0)
		for i, isNaN := range []bool{true, false, false, false, false, true, false, false, true} {
			if (odd[i] != odd[i]) != isNaN {
				t.Fatalf("exp of element %d is %g: NaN must stay NaN and nothing else become it", i, odd[i])
			}
		}
		if odd[1] > 1e-37 || odd[2] < 1e38 || odd[3] != 1 {
			t.Fatalf("exp outside its range: %g", odd)
		}
	})
}

// Each fast form is compared with the portable one, at lengths around those of
// vectors.
func TestVectorForms(t *testing.T) {
	withKernels(t, func(t *testing.T) {
		for _, n := range []int{1, 7, 8, 9, 31, 32, 40, 67, 250} {
			x, y, z, w := randoms(1, n), randoms(2, n), randoms(3, n), randoms(4, n)
			near(t, "dot", []float32{dot(x, y), dot3(x, y, z), maximum(x)}, []float32{dotPlain(x, y), dot3Plain(x, y, z), maximumPlain(x)}, 1e-4)
			for _, f := range []struct {
				name       string
				fast, slow func(d []float32)
			}{
				{"axpy", func(d []float32) { axpy(d, 0.3, x) }, func(d []float32) { axpyPlain(d, 0.3, x) }},
				{"scaleGain", func(d []float32) { scaleGain(d, x, 2, y) }, func(d []float32) { scaleGainPlain(d, x, 2, y) }},
				{"normGrad", func(d []float32) { normGrad(d, x, y, z, 2, 3) }, func(d []float32) { normGradPlain(d, x, y, z, 2, 3) }},
				{"gainGrad", func(d []float32) { gainGrad(d, x, y, 2) }, func(d []float32) { gainGradPlain(d, x, y, 2) }},
				{"scale", func(d []float32) { scale(d, 7) }, func(d []float32) { scalePlain(d, 7) }},
				{"expSum", func(d []float32) { d[0] = expSum(d, 2, 1) }, func(d []float32) { d[0] = expSumPlain(d, 2, 1) }},
				{"silu", func(d []float32) { silu(d, x, y) }, func(d []float32) { siluPlain(d, x, y) }},
				{"softmaxGrad", func(d []float32) { softmaxGrad(d, x, 2, 3) }, func(d []float32) { softmaxGradPlain(d, x, 2, 3) }},
			} {
				a, b := clone(w), clone(w)
				f.fast(a)
				f.slow(b)
				near(t, f.name, a, b, 1e-4)
			}
			g1, u1, g2, u2 := clone(x), clone(y), clone(x), clone(y)
			siluGrad(z, g1, u1)
			siluGradPlain(z, g2, u2)
			near(t, "siluGrad gate", g1, g2, 1e-5)
			near(t, "siluGrad up", u1, u2, 1e-5)

			s := adamStep{clip: 0.5, beta1: 0.9, beta2: 0.95, rate: 0.01, rootFix: 1.2, epsilon: 1e-8, keep: 0.999}
			v := make([]float32, n)
			w1, m1, v1 := clone(w), clone(y), clone(v)
			w2, m2, v2 := clone(w), clone(y), clone(v)
			adam(w1, m1, v1, x, s)
			adamPlain(w2, m2, v2, x, s)
			near(t, "adam weight", w1, w2, 1e-5)
			near(t, "adam moment", append(m1, v1...), append(m2, v2...), 1e-5)
		}
	})
}

// The vectors are those that the authors publish with Random123
// (tests/kat_vectors, philox 4x32 10).
func TestPhiloxKnownAnswers(t *testing.T) {
	for _, row := range []struct {
		seed, stream, counter uint64
		want                  [4]uint32
	}{
		{0, 0, 0, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{^uint64(0), ^uint64(0), ^uint64(0), [4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88, [4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		if got := (philox{row.seed, row.stream}).at(row.counter); got != row.want {
			t.Errorf("philox(%x, %x, %x) = %x, want %x", row.seed, row.stream, row.counter, got, row.want)
		}
	}
}

func TestNormalNumbers(t *testing.T) {
	x := randoms(5, 200_000)
	sum, squares, far := 0.0, 0.0, 0
	for _, v := range x {
		sum += float64(v)
		squares += float64(v) * float64(v)
		if math.Abs(float64(v)) > 1.96 {
			far++
		}
	}
	n := float64(len(x))
	if mean, deviation, tail := sum/n, math.Sqrt(squares/n), float64(far)/n; math.Abs(mean) > 0.01 || math.Abs(deviation-1) > 0.01 || math.Abs(tail-0.05) > 0.005 {
		t.Fatalf("mean %.4f, deviation %.4f, share beyond 1.96 %.4f", mean, deviation, tail)
	}
}
