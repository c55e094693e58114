//go:build goexperiment.simd && amd64

package lm

import (
	"simd/archsimd"
	"unsafe"
)

// bestKernel asks the processor, not the build, what may run.
func bestKernel() kernelKind {
	switch {
	case supported(kernelAVX512):
		return kernelAVX512
	case supported(kernelAVX2):
		return kernelAVX2
	}
	return kernelGonum
}

func supported(k kernelKind) bool {
	switch k {
	case kernelAVX512:
		return archsimd.X86.AVX512() && supported(kernelAVX2)
	case kernelAVX2:
		return archsimd.X86.AVX2() && archsimd.X86.FMA()
	}
	return true
}

// gemmPanels is gemm over packed strips; gemm has checked the bounds.
//
// The register tile is 4 rows by one strip (two vectors): eight accumulators.
// Six rows were tried and spill, at a quarter of the speed.
func gemmPanels(m, n, k int, a []float32, rs, cs int, b panels, c []float32, ldc int, add bool) {
	w := b.width
	for l := 0; l < k; l += depthPart {
		depth := min(depthPart, k-l)
		more := add || l > 0
		first := 0
		if m == 1 {
			first = rowStrips(n, depth, a[l*cs:], cs, b, l, c, more)
		}
		for s := first; s*w < n; s++ {
			strip := unsafe.Pointer(&b.data[s*b.stride+l*w])
			cols := min(w, n-s*w)
			i := 0
			for ; i+tileRows <= m && cols == w; i += tileRows {
				tile(w, depth, unsafe.Pointer(&a[i*rs+l*cs]), rs, cs, strip, c[i*ldc+s*w:], ldc, more)
			}
			if i < m {
				edge(w, depth, m, i, cols, a[l*cs:], rs, cs, strip, c[s*w:], ldc, more)
			}
		}
	}
	done()
}

// rowStrips is the product of a single row, that of generation, for as many
// strips as come in fours: a tile would compute the row four times. It returns
// the number of strips done. Each element is summed as in a tile.
func rowStrips(n, depth int, a []float32, cs int, b panels, l int, c []float32, add bool) int {
	w, s := b.width, 0
	for ; (s+4)*w <= n; s += 4 {
		_ = b.data[(s+3)*b.stride+(l+depth)*w-1]
		out := c[s*w : (s+4)*w]
		from, stride := unsafe.Pointer(&b.data[s*b.stride+l*w]), uintptr(b.stride)*4
		if w == 32 {
			row512(depth, unsafe.Pointer(&a[0]), uintptr(cs)*4, from, stride, unsafe.Pointer(&out[0]), add)
		} else {
			row256(depth, unsafe.Pointer(&a[0]), uintptr(cs)*4, from, stride, unsafe.Pointer(&out[0]), add)
		}
	}
	return s
}

// edge computes what whole tiles leave over, rows i to m-1 of cols columns, in
// memory of its own. A tile always reads four rows: where there are fewer, the
// same row four times.
func edge(w, depth, m, i, cols int, a []float32, rs, cs int, strip unsafe.Pointer, c []float32, ldc int, add bool) {
	var out [tileRows * 32]float32
	for i < m {
		from, step, live := i, rs, min(tileRows, m-i)
		if live < tileRows {
			if from = m - tileRows; from < 0 {
				from, step, live = i, 0, 1
			}
		}
		// Rows from to i-1 of the tile, if any, are done already.
		skip := i - from
		if add {
			for r := skip; r < skip+live; r++ {
				copy(out[r*w:r*w+cols], c[(from+r)*ldc:])
			}
		}
		tile(w, depth, unsafe.Pointer(&a[from*rs]), step, cs, strip, out[:], w, add)
		for r := skip; r < skip+live; r++ {
			copy(c[(from+r)*ldc:(from+r)*ldc+cols], out[r*w:r*w+cols])
		}
		i += live
	}
}

func tile(width, depth int, a unsafe.Pointer, rs, cs int, b unsafe.Pointer, c []float32, ldc int, add bool) {
	_ = c[(tileRows-1)*ldc+width-1] // the one bounds check of a tile
	if width == 32 {
		tile512(depth, a, uintptr(rs)*4, uintptr(cs)*4, b, unsafe.Pointer(&c[0]), uintptr(ldc)*4, add)
		return
	}
	tile256(depth, a, uintptr(rs)*4, uintptr(cs)*4, b, unsafe.Pointer(&c[0]), uintptr(ldc)*4, add)
}

type (
	vec16 = *[16]float32
	vec8  = *[8]float32
)

// tile512 adds depth outer products to a 4×32 tile. Slices instead of pointers
// were measured at 90 GFLOP/s where this reaches 113: the checks in the inner
// loop cost a fifth. More pointers than these spill to memory inside the loop,
// and offsets grow instead of pointers because no pointer may leave its memory,
// not even after the last round.
func tile512(depth int, a unsafe.Pointer, rs, cs uintptr, b, c unsafe.Pointer, ldc uintptr, add bool) {
	var c00, c01, c10, c11, c20, c21, c30, c31 archsimd.Float32x16
	if add {
		at := c
		c00, c01 = archsimd.LoadFloat32x16(vec16(at)), archsimd.LoadFloat32x16(vec16(unsafe.Add(at, 64)))
		at = unsafe.Add(at, ldc)
		c10, c11 = archsimd.LoadFloat32x16(vec16(at)), archsimd.LoadFloat32x16(vec16(unsafe.Add(at, 64)))
		at = unsafe.Add(at, ldc)
		c20, c21 = archsimd.LoadFloat32x16(vec16(at)), archsimd.LoadFloat32x16(vec16(unsafe.Add(at, 64)))
		at = unsafe.Add(at, ldc)
		c30, c31 = archsimd.LoadFloat32x16(vec16(at)), archsimd.LoadFloat32x16(vec16(unsafe.Add(at, 64)))
	}
	a1, a2, a3 := unsafe.Add(a, rs), unsafe.Add(a, 2*rs), unsafe.Add(a, 3*rs)
	at, end := uintptr(0), uintptr(depth)*128
	for l := uintptr(0); l < end; l += 128 {
		b0, b1 := archsimd.LoadFloat32x16(vec16(unsafe.Add(b, l))), archsimd.LoadFloat32x16(vec16(unsafe.Add(b, l+64)))
		x := archsimd.BroadcastFloat32x16(*(*float32)(unsafe.Add(a, at)))
		c00, c01 = x.MulAdd(b0, c00), x.MulAdd(b1, c01)
		x = archsimd.BroadcastFloat32x16(*(*float32)(unsafe.Add(a1, at)))
		c10, c11 = x.MulAdd(b0, c10), x.MulAdd(b1, c11)
		x = archsimd.BroadcastFloat32x16(*(*float32)(unsafe.Add(a2, at)))
		c20, c21 = x.MulAdd(b0, c20), x.MulAdd(b1, c21)
		x = archsimd.BroadcastFloat32x16(*(*float32)(unsafe.Add(a3, at)))
		c30, c31 = x.MulAdd(b0, c30), x.MulAdd(b1, c31)
		at += cs
	}
	c00.Store(vec16(c))
	c01.Store(vec16(unsafe.Add(c, 64)))
	c = unsafe.Add(c, ldc)
	c10.Store(vec16(c))
	c11.Store(vec16(unsafe.Add(c, 64)))
	c = unsafe.Add(c, ldc)
	c20.Store(vec16(c))
	c21.Store(vec16(unsafe.Add(c, 64)))
	c = unsafe.Add(c, ldc)
	c30.Store(vec16(c))
	c31.Store(vec16(unsafe.Add(c, 64)))
}

// tile256 is tile512 for processors without AVX-512: a 4×16 tile.
func tile256(depth int, a unsafe.Pointer, rs, cs uintptr, b, c unsafe.Pointer, ldc uintptr, add bool) {
	var c00, c01, c10, c11, c20, c21, c30, c31 archsimd.Float32x8
	if add {
		at := c
		c00, c01 = archsimd.LoadFloat32x8(vec8(at)), archsimd.LoadFloat32x8(vec8(unsafe.Add(at, 32)))
		at = unsafe.Add(at, ldc)
		c10, c11 = archsimd.LoadFloat32x8(vec8(at)), archsimd.LoadFloat32x8(vec8(unsafe.Add(at, 32)))
		at = unsafe.Add(at, ldc)
		c20, c21 = archsimd.LoadFloat32x8(vec8(at)), archsimd.LoadFloat32x8(vec8(unsafe.Add(at, 32)))
		at = unsafe.Add(at, ldc)
		c30, c31 = archsimd.LoadFloat32x8(vec8(at)), archsimd.LoadFloat32x8(vec8(unsafe.Add(at, 32)))
	}
	a1, a2, a3 := unsafe.Add(a, rs), unsafe.Add(a, 2*rs), unsafe.Add(a, 3*rs)
	at, end := uintptr(0), uintptr(depth)*64
	for l := uintptr(0); l < end; l += 64 {
		b0, b1 := archsimd.LoadFloat32x8(vec8(unsafe.Add(b, l))), archsimd.LoadFloat32x8(vec8(unsafe.Add(b, l+32)))
		x := archsimd.BroadcastFloat32x8(*(*float32)(unsafe.Add(a, at)))
		c00, c01 = x.MulAdd(b0, c00), x.MulAdd(b1, c01)
		x = archsimd.BroadcastFloat32x8(*(*float32)(unsafe.Add(a1, at)))
		c10, c11 = x.MulAdd(b0, c10), x.MulAdd(b1, c11)
		x = archsimd.BroadcastFloat32x8(*(*float32)(unsafe.Add(a2, at)))
		c20, c21 = x.MulAdd(b0, c20), x.MulAdd(b1, c21)
		x = archsimd.BroadcastFloat32x8(*(*float32)(unsafe.Add(a3, at)))
		c30, c31 = x.MulAdd(b0, c30), x.MulAdd(b1, c31)
		at += cs
	}
	c00.Store(vec8(c))
	c01.Store(vec8(unsafe.Add(c, 32)))
	c = unsafe.Add(c, ldc)
	c10.Store(vec8(c))
	c11.Store(vec8(unsafe.Add(c, 32)))
	c = unsafe.Add(c, ldc)
	c20.Store(vec8(c))
	c21.Store(vec8(unsafe.Add(c, 32)))
	c = unsafe.Add(c, ldc)
	c30.Store(vec8(c))
	c31.Store(vec8(unsafe.Add(c, 32)))
}

// row512 adds depth multiples of rows of four strips to one row.
func row512(depth int, a unsafe.Pointer, cs uintptr, b unsafe.Pointer, stride uintptr, c unsafe.Pointer, add bool) {
	var c00, c01, c10, c11, c20, c21, c30, c31 archsimd.Float32x16
	if add {
		c00, c01 = archsimd.LoadFloat32x16(vec16(c)), archsimd.LoadFloat32x16(vec16(unsafe.Add(c, 64)))
		c10, c11 = archsimd.LoadFloat32x16(vec16(unsafe.Add(c, 128))), archsimd.LoadFloat32x16(vec16(unsafe.Add(c, 192)))
		c20, c21 = archsimd.LoadFloat32x16(vec16(unsafe.Add(c, 256))), archsimd.LoadFloat32x16(vec16(unsafe.Add(c, 320)))
		c30, c31 = archsimd.LoadFloat32x16(vec16(unsafe.Add(c, 384))), archsimd.LoadFloat32x16(vec16(unsafe.Add(c, 448)))
	}
	at, end := uintptr(0), uintptr(depth)*128
	for l := uintptr(0); l < end; l += 128 {
		x := archsimd.BroadcastFloat32x16(*(*float32)(unsafe.Add(a, at)))
		c00, c01 = x.MulAdd(archsimd.LoadFloat32x16(vec16(unsafe.Add(b, l))), c00), x.MulAdd(archsimd.LoadFloat32x16(vec16(unsafe.Add(b, l+64))), c01)
		c10, c11 = x.MulAdd(archsimd.LoadFloat32x16(vec16(unsafe.Add(b, l+stride))), c10), x.MulAdd(archsimd.LoadFloat32x16(vec16(unsafe.Add(b, l+stride+64))), c11)
		c20, c21 = x.MulAdd(archsimd.LoadFloat32x16(vec16(unsafe.Add(b, l+2*stride))), c20), x.MulAdd(archsimd.LoadFloat32x16(vec16(unsafe.Add(b, l+2*stride+64))), c21)
		c30, c31 = x.MulAdd(archsimd.LoadFloat32x16(vec16(unsafe.Add(b, l+3*stride))), c30), x.MulAdd(archsimd.LoadFloat32x16(vec16(unsafe.Add(b, l+3*stride+64))), c31)
		at += cs
	}
	c00.Store(vec16(c))
	c01.Store(vec16(unsafe.Add(c, 64)))
	c10.Store(vec16(unsafe.Add(c, 128)))
	c11.Store(vec16(unsafe.Add(c, 192)))
	c20.Store(vec16(unsafe.Add(c, 256)))
	c21.Store(vec16(unsafe.Add(c, 320)))
	c30.Store(vec16(unsafe.Add(c, 384)))
	c31.Store(vec16(unsafe.Add(c, 448)))
}

// row256 adds depth multiples of rows of four strips to one row.
func row256(depth int, a unsafe.Pointer, cs uintptr, b unsafe.Pointer, stride uintptr, c unsafe.Pointer, add bool) {
	var c00, c01, c10, c11, c20, c21, c30, c31 archsimd.Float32x8
	if add {
		c00, c01 = archsimd.LoadFloat32x8(vec8(c)), archsimd.LoadFloat32x8(vec8(unsafe.Add(c, 32)))
		c10, c11 = archsimd.LoadFloat32x8(vec8(unsafe.Add(c, 64))), archsimd.LoadFloat32x8(vec8(unsafe.Add(c, 96)))
		c20, c21 = archsimd.LoadFloat32x8(vec8(unsafe.Add(c, 128))), archsimd.LoadFloat32x8(vec8(unsafe.Add(c, 160)))
		c30, c31 = archsimd.LoadFloat32x8(vec8(unsafe.Add(c, 192))), archsimd.LoadFloat32x8(vec8(unsafe.Add(c, 224)))
	}
	at, end := uintptr(0), uintptr(depth)*64
	for l := uintptr(0); l < end; l += 64 {
		x := archsimd.BroadcastFloat32x8(*(*float32)(unsafe.Add(a, at)))
		c00, c01 = x.MulAdd(archsimd.LoadFloat32x8(vec8(unsafe.Add(b, l))), c00), x.MulAdd(archsimd.LoadFloat32x8(vec8(unsafe.Add(b, l+32))), c01)
		c10, c11 = x.MulAdd(archsimd.LoadFloat32x8(vec8(unsafe.Add(b, l+stride))), c10), x.MulAdd(archsimd.LoadFloat32x8(vec8(unsafe.Add(b, l+stride+32))), c11)
		c20, c21 = x.MulAdd(archsimd.LoadFloat32x8(vec8(unsafe.Add(b, l+2*stride))), c20), x.MulAdd(archsimd.LoadFloat32x8(vec8(unsafe.Add(b, l+2*stride+32))), c21)
		c30, c31 = x.MulAdd(archsimd.LoadFloat32x8(vec8(unsafe.Add(b, l+3*stride))), c30), x.MulAdd(archsimd.LoadFloat32x8(vec8(unsafe.Add(b, l+3*stride+32))), c31)
		at += cs
	}
	c00.Store(vec8(c))
	c01.Store(vec8(unsafe.Add(c, 32)))
	c10.Store(vec8(unsafe.Add(c, 64)))
	c11.Store(vec8(unsafe.Add(c, 96)))
	c20.Store(vec8(unsafe.Add(c, 128)))
	c21.Store(vec8(unsafe.Add(c, 160)))
	c30.Store(vec8(unsafe.Add(c, 192)))
	c31.Store(vec8(unsafe.Add(c, 224)))
}
