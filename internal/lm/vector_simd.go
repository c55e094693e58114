//go:build goexperiment.simd && amd64

package lm

import "simd/archsimd"

// Vectors of 256 bits serve every processor with AVX2. Wider ones where AVX-512
// exists could gain little: all these loops together take about a tenth of a
// training step, and most of them wait for memory. The last len%8 elements go through the portable form.

func splat(x float32) archsimd.Float32x8         { return archsimd.BroadcastFloat32x8(x) }
func load(x []float32, i int) archsimd.Float32x8 { return archsimd.LoadFloat32x8(vec8(x[i:])) }
func store(v archsimd.Float32x8, x []float32, i int) {
	v.Store(vec8(x[i:]))
}

// lanes adds up the eight lanes in a fixed order.
func lanes(v archsimd.Float32x8) float32 {
	var x [8]float32
	v.Store(&x)
	done()
	return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]))
}

// done marks the end of a function's vectors. Go's scalar code is in the older
// encoding (SSE), and while the upper halves of registers are in use each of its
// instructions costs about a hundred cycles: exponentials were 20 times slower.
// For the same reason no loop here keeps a scalar across a call, which would be
// loaded again each time.
func done() { archsimd.ClearAVXUpperBits() }

func plainOnly() bool { return kernel == kernelGonum }

// whole is the part of n that full vectors cover.
func whole(n int) int { return n &^ 7 }

func dot(x, y []float32) float32 {
	if plainOnly() {
		return dotPlain(x, y)
	}
	y = y[:len(x)]
	var s0, s1, s2, s3 archsimd.Float32x8
	i := 0
	for ; i+32 <= len(x); i += 32 {
		s0 = load(x, i).MulAdd(load(y, i), s0)
		s1 = load(x, i+8).MulAdd(load(y, i+8), s1)
		s2 = load(x, i+16).MulAdd(load(y, i+16), s2)
		s3 = load(x, i+24).MulAdd(load(y, i+24), s3)
	}
	for ; i+8 <= len(x); i += 8 {
		s0 = load(x, i).MulAdd(load(y, i), s0)
	}
	return lanes(s0.Add(s1).Add(s2.Add(s3))) + dotPlain(x[i:], y[i:])
}

func dot3(x, y, z []float32) float32 {
	if plainOnly() {
		return dot3Plain(x, y, z)
	}
	y, z = y[:len(x)], z[:len(x)]
	var s archsimd.Float32x8
	n := whole(len(x))
	for i := 0; i < n; i += 8 {
		s = load(x, i).Mul(load(y, i)).MulAdd(load(z, i), s)
	}
	return lanes(s) + dot3Plain(x[n:], y[n:], z[n:])
}

func axpy(dst []float32, a float32, x []float32) {
	if plainOnly() {
		axpyPlain(dst, a, x)
		return
	}
	x = x[:len(dst)]
	n, va := whole(len(dst)), splat(a)
	for i := 0; i < n; i += 8 {
		store(va.MulAdd(load(x, i), load(dst, i)), dst, i)
	}
	done()
	axpyPlain(dst[n:], a, x[n:])
}

func scaleGain(dst, x []float32, s float32, gain []float32) {
	if plainOnly() {
		scaleGainPlain(dst, x, s, gain)
		return
	}
	n, vs := whole(len(dst)), splat(s)
	for i := 0; i < n; i += 8 {
		store(load(x, i).Mul(vs).Mul(load(gain, i)), dst, i)
	}
	done()
	scaleGainPlain(dst[n:], x[n:], s, gain[n:])
}

func normGrad(dst, dy, gain, x []float32, s, pull float32) {
	if plainOnly() {
		normGradPlain(dst, dy, gain, x, s, pull)
		return
	}
	n, vs, vp := whole(len(dst)), splat(s), splat(-pull)
	for i := 0; i < n; i += 8 {
		sum := vp.MulAdd(load(x, i), load(dst, i))
		store(load(dy, i).Mul(vs).MulAdd(load(gain, i), sum), dst, i)
	}
	done()
	normGradPlain(dst[n:], dy[n:], gain[n:], x[n:], s, pull)
}

func gainGrad(dst, dy, x []float32, s float32) {
	if plainOnly() {
		gainGradPlain(dst, dy, x, s)
		return
	}
	n, vs := whole(len(dst)), splat(s)
	for i := 0; i < n; i += 8 {
		store(load(dy, i).Mul(vs).MulAdd(load(x, i), load(dst, i)), dst, i)
	}
	done()
	gainGradPlain(dst[n:], dy[n:], x[n:], s)
}

func scale(x []float32, s float32) {
	if plainOnly() {
		scalePlain(x, s)
		return
	}
	n, vs := whole(len(x)), splat(s)
	for i := 0; i < n; i += 8 {
		store(load(x, i).Mul(vs), x, i)
	}
	done()
	scalePlain(x[n:], s)
}

func maximum(x []float32) float32 {
	if plainOnly() || len(x) < 8 {
		return maximumPlain(x)
	}
	n, top := whole(len(x)), load(x, 0)
	for i := 8; i < n; i += 8 {
		top = top.Max(load(x, i))
	}
	var each [8]float32
	top.Store(&each)
	done()
	best := maximumPlain(each[:])
	for _, v := range x[n:] {
		best = max(best, v)
	}
	return best
}

// exp is expPlain in eight lanes, with fused multiply-add.
func exp(x archsimd.Float32x8) archsimd.Float32x8 {
	shift := splat(roundShift)
	// Max with the variable second lets NaN through on x86: it returns its
	// second operand when either is NaN.
	x = splat(expLeast).Max(splat(expMost).Min(x))
	moved := x.MulAdd(splat(log2e), shift)
	n := moved.Sub(shift)
	r := n.MulAdd(splat(-ln2High), x)
	r = n.MulAdd(splat(-ln2Low), r)
	p := r.MulAdd(splat(expC7), splat(expC6))
	p = p.MulAdd(r, splat(expC5))
	p = p.MulAdd(r, splat(expC4))
	p = p.MulAdd(r, splat(expC3))
	p = p.MulAdd(r, splat(expC2))
	p = p.MulAdd(r, splat(1))
	p = p.MulAdd(r, splat(1))
	return p.AsInt32x8().Add(moved.AsInt32x8().ShiftAllLeft(23)).AsFloat32x8()
}

func expSum(x []float32, scale, shift float32) float32 {
	if plainOnly() {
		return expSumPlain(x, scale, shift)
	}
	n := whole(len(x))
	return expSumVectors(x[:n], scale, shift) + expSumPlain(x[n:], scale, shift)
}

func expSumVectors(x []float32, scale, shift float32) float32 {
	vs, vt := splat(scale), splat(-shift)
	var sum archsimd.Float32x8
	for i := 0; i < len(x); i += 8 {
		e := exp(load(x, i).MulAdd(vs, vt))
		store(e, x, i)
		sum = sum.Add(e)
	}
	return lanes(sum)
}

func silu(dst, gate, up []float32) {
	if plainOnly() {
		siluPlain(dst, gate, up)
		return
	}
	n, one, zero := whole(len(dst)), splat(1), splat(0)
	for i := 0; i < n; i += 8 {
		g := load(gate, i)
		store(g.Div(one.Add(exp(zero.Sub(g)))).Mul(load(up, i)), dst, i)
	}
	done()
	siluPlain(dst[n:], gate[n:], up[n:])
}

func siluGrad(d, gate, up []float32) {
	if plainOnly() {
		siluGradPlain(d, gate, up)
		return
	}
	n, one, zero := whole(len(d)), splat(1), splat(0)
	for i := 0; i < n; i += 8 {
		g, u, dy := load(gate, i), load(up, i), load(d, i)
		s := one.Div(one.Add(exp(zero.Sub(g))))
		ds := dy.Mul(s)
		store(ds.Mul(g), up, i)
		store(ds.Mul(u).Mul(g.MulAdd(one.Sub(s), one)), gate, i)
	}
	done()
	siluGradPlain(d[n:], gate[n:], up[n:])
}

func softmaxGrad(dp, p []float32, mean, scale float32) {
	if plainOnly() {
		softmaxGradPlain(dp, p, mean, scale)
		return
	}
	n, vm, vs := whole(len(dp)), splat(mean), splat(scale)
	for i := 0; i < n; i += 8 {
		store(load(dp, i).Sub(vm).Mul(load(p, i)).Mul(vs), dp, i)
	}
	done()
	softmaxGradPlain(dp[n:], p[n:], mean, scale)
}

func adam(w, m, v, g []float32, s adamStep) {
	if plainOnly() {
		adamPlain(w, m, v, g, s)
		return
	}
	n := whole(len(w))
	clip, b1, b2 := splat(s.clip), splat(s.beta1), splat(s.beta2)
	a1, a2 := splat(1-s.beta1), splat(1-s.beta2)
	rate, rootFix, epsilon, keep := splat(s.rate), splat(s.rootFix), splat(s.epsilon), splat(s.keep)
	for i := 0; i < n; i += 8 {
		d := load(g, i).Mul(clip)
		mi := load(m, i).Mul(b1).Add(a1.Mul(d))
		vi := load(v, i).Mul(b2).Add(a2.Mul(d).Mul(d))
		store(mi, m, i)
		store(vi, v, i)
		step := rate.Mul(mi).Div(vi.Sqrt().MulAdd(rootFix, epsilon))
		store(load(w, i).Mul(keep).Sub(step), w, i)
	}
	done()
	adamPlain(w[n:], m[n:], v[n:], g[n:], s)
}
