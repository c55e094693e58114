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
	var edge [tileRows * 32]float32
	for l := 0; l < k; l += depthPart {
		depth := min(depthPart, k-l)
		more := add || l > 0
		for s := 0; s*w < n; s++ {
			strip := unsafe.Pointer(&b.data[s*b.stride+l*w])
			cols := min(w, n-s*w)
			for i := 0; i < m; i += tileRows {
				var rows [tileRows]unsafe.Pointer
				for r := range rows {
					rows[r] = unsafe.Pointer(&a[min(i+r, m-1)*rs+l*cs])
				}
				out := c[i*ldc+s*w:]
				if cols == w && i+tileRows <= m {
					tile(w, depth, &rows, cs, strip, out, ldc, more)
					continue
				}
				// At the edges the tile is computed whole, in memory of its own.
				live := min(tileRows, m-i)
				if more {
					for r := range live {
						copy(edge[r*w:r*w+cols], out[r*ldc:])
					}
				}
				tile(w, depth, &rows, cs, strip, edge[:], w, more)
				for r := range live {
					copy(out[r*ldc:r*ldc+cols], edge[r*w:r*w+cols])
				}
			}
		}
	}
}

func tile(width, depth int, a *[tileRows]unsafe.Pointer, cs int, b unsafe.Pointer, c []float32, ldc int, add bool) {
	_ = c[(tileRows-1)*ldc+width-1] // the one bounds check of a tile
	if width == 32 {
		tile512(depth, a[0], a[1], a[2], a[3], uintptr(cs)*4, b, unsafe.Pointer(&c[0]), uintptr(ldc)*4, add)
		return
	}
	tile256(depth, a[0], a[1], a[2], a[3], uintptr(cs)*4, b, unsafe.Pointer(&c[0]), uintptr(ldc)*4, add)
}

type (
	vec16 = *[16]float32
	vec8  = *[8]float32
)

// tile512 adds depth outer products to a 4×32 tile. Slices instead of pointers
// were measured at 90 GFLOP/s where this reaches 113: the checks in the inner
// loop cost a fifth.
func tile512(depth int, a0, a1, a2, a3 unsafe.Pointer, cs uintptr, b, c unsafe.Pointer, ldc uintptr, add bool) {
	var c00, c01, c10, c11, c20, c21, c30, c31 archsimd.Float32x16
	r1, r2, r3 := unsafe.Add(c, ldc), unsafe.Add(c, 2*ldc), unsafe.Add(c, 3*ldc)
	if add {
		c00, c01 = archsimd.LoadFloat32x16(vec16(c)), archsimd.LoadFloat32x16(vec16(unsafe.Add(c, 64)))
		c10, c11 = archsimd.LoadFloat32x16(vec16(r1)), archsimd.LoadFloat32x16(vec16(unsafe.Add(r1, 64)))
		c20, c21 = archsimd.LoadFloat32x16(vec16(r2)), archsimd.LoadFloat32x16(vec16(unsafe.Add(r2, 64)))
		c30, c31 = archsimd.LoadFloat32x16(vec16(r3)), archsimd.LoadFloat32x16(vec16(unsafe.Add(r3, 64)))
	}
	for at := uintptr(0); depth > 0; depth-- {
		b0, b1 := archsimd.LoadFloat32x16(vec16(b)), archsimd.LoadFloat32x16(vec16(unsafe.Add(b, 64)))
		b = unsafe.Add(b, 128)
		x := archsimd.BroadcastFloat32x16(*(*float32)(unsafe.Add(a0, at)))
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
	c10.Store(vec16(r1))
	c11.Store(vec16(unsafe.Add(r1, 64)))
	c20.Store(vec16(r2))
	c21.Store(vec16(unsafe.Add(r2, 64)))
	c30.Store(vec16(r3))
	c31.Store(vec16(unsafe.Add(r3, 64)))
}

// tile256 is tile512 for processors without AVX-512: a 4×16 tile.
func tile256(depth int, a0, a1, a2, a3 unsafe.Pointer, cs uintptr, b, c unsafe.Pointer, ldc uintptr, add bool) {
	var c00, c01, c10, c11, c20, c21, c30, c31 archsimd.Float32x8
	r1, r2, r3 := unsafe.Add(c, ldc), unsafe.Add(c, 2*ldc), unsafe.Add(c, 3*ldc)
	if add {
		c00, c01 = archsimd.LoadFloat32x8(vec8(c)), archsimd.LoadFloat32x8(vec8(unsafe.Add(c, 32)))
		c10, c11 = archsimd.LoadFloat32x8(vec8(r1)), archsimd.LoadFloat32x8(vec8(unsafe.Add(r1, 32)))
		c20, c21 = archsimd.LoadFloat32x8(vec8(r2)), archsimd.LoadFloat32x8(vec8(unsafe.Add(r2, 32)))
		c30, c31 = archsimd.LoadFloat32x8(vec8(r3)), archsimd.LoadFloat32x8(vec8(unsafe.Add(r3, 32)))
	}
	for at := uintptr(0); depth > 0; depth-- {
		b0, b1 := archsimd.LoadFloat32x8(vec8(b)), archsimd.LoadFloat32x8(vec8(unsafe.Add(b, 32)))
		b = unsafe.Add(b, 64)
		x := archsimd.BroadcastFloat32x8(*(*float32)(unsafe.Add(a0, at)))
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
	c10.Store(vec8(r1))
	c11.Store(vec8(unsafe.Add(r1, 32)))
	c20.Store(vec8(r2))
	c21.Store(vec8(unsafe.Add(r2, 32)))
	c30.Store(vec8(r3))
	c31.Store(vec8(unsafe.Add(r3, 32)))
}
