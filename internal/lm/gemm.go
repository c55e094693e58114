package lm

import (
	"fmt"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// kernelKind is a way to multiply matrices.
type kernelKind int

const (
	kernelGonum  kernelKind = iota // portable: gonum's native sgemm
	kernelAVX2                     // simd/archsimd, 256 bits with FMA
	kernelAVX512                   // simd/archsimd, 512 bits
)

// kernel is what this process uses; the build and the processor decide, tests
// may set it. It must not change while panels packed before are still in use.
var kernel = bestKernel()

// Kernel names the matrix kernel in use: "avx512", "avx2" or "gonum".
func Kernel() string { return [...]string{"gonum", "avx2", "avx512"}[kernel] }

// width is the number of columns in one packed panel, 0 where none are packed.
func (k kernelKind) width() int { return [...]int{0, 16, 32}[k] }

// Rows and depth of the parts that products are cut into. They fix the order of
// summation, so weights trained with other values differ in the last bits.
const (
	tileRows  = 4   // rows of one register tile
	depthPart = 256 // summands taken together: a panel part of 32 KiB stays in the L1 cache
	gonumRows = 64  // with gonumCols: below 4 of gonum's 64×64 blocks, so that
	gonumCols = 192 // gonum never starts goroutines of its own
)

// panels is the right operand of a product, k rows by n columns, laid out for
// the kernel: strips of width columns, each strip k rows deep and contiguous,
// the last padded with zeros. Without a SIMD kernel it is the plain matrix.
type panels struct {
	data   []float32
	k, n   int
	stride int // from one strip to the next; without SIMD, from one row to the next
	width  int
}

// pack lays out the k × n matrix whose element (l, j) is src[l*rs+j*cs],
// reusing p's memory where it suffices.
func (p *panels) pack(src []float32, k, n, rs, cs int) {
	if k < 1 || n < 1 || len(src) <= (k-1)*rs+(n-1)*cs {
		panic(fmt.Sprintf("lm: pack %d×%d with strides %d, %d from %d elements", k, n, rs, cs, len(src)))
	}
	width := kernel.width()
	stride := n
	size := k * n
	if width > 0 {
		stride = k * width
		size = blocks(n, width) * stride
	}
	if cap(p.data) < size {
		p.data = make([]float32, size)
	}
	*p = panels{data: p.data[:size], k: k, n: n, stride: stride, width: width}
	if width == 0 {
		packStrip(p.data, src, k, n, n, rs, cs)
		return
	}
	for s := range blocks(n, width) {
		from, to := block(s, width, n)
		packStrip(p.data[s*stride:(s+1)*stride], src[from*cs:], k, to-from, width, rs, cs)
	}
}

// packStrip copies n columns into rows of the given width, the rest zero.
func packStrip(dst, src []float32, k, n, width, rs, cs int) {
	if n < width {
		clear(dst)
	}
	if cs == 1 {
		for l := range k {
			copy(dst[l*width:l*width+n], src[l*rs:])
		}
		return
	}
	// Transposing: eight source rows at a time, so that reads run along rows and
	// each destination line is still in the cache for its next part.
	for from := 0; from < n; from += 8 {
		to := min(from+8, n)
		for l := range k {
			row := dst[l*width+from : l*width+to]
			at := l*rs + from*cs
			for j := range row {
				row[j] = src[at]
				at += cs
			}
		}
	}
}

// from returns the rows from l on.
func (p panels) from(l int) panels {
	step := p.width
	if step == 0 {
		step = p.n
	}
	p.data = p.data[l*step:]
	p.k -= l
	return p
}

// gemm computes c = a·b, or c += a·b if add, for the first k rows and n columns
// of b. Element (i, l) of a is a[i*rs+l*cs], where rs or cs must be 1; element
// (i, j) of c is c[i*ldc+j]. Each element is summed in the order of l, in parts
// of depthPart, whatever m and n are: how a caller cuts rows or columns into
// tasks never changes a bit of the result.
func gemm(m, n, k int, a []float32, rs, cs int, b panels, c []float32, ldc int, add bool) {
	if m < 1 || n < 1 || k < 1 {
		return
	}
	if k > b.k || n > b.n || len(a) <= (m-1)*rs+(k-1)*cs || len(c) < (m-1)*ldc+n || ldc < n || rs < 1 || cs < 1 {
		panic(fmt.Sprintf("lm: product %d×%d×%d does not fit its operands (b %d×%d)", m, n, k, b.k, b.n))
	}
	if b.width > 0 {
		gemmPanels(m, n, k, a, rs, cs, b, c, ldc, add)
		return
	}
	gemmGonum(m, n, k, a, rs, cs, b, c, ldc, add)
}

// gemmGonum is gemm by gonum, in parts too small for gonum to share out.
func gemmGonum(m, n, k int, a []float32, rs, cs int, b panels, c []float32, ldc int, add bool) {
	transA, lda := blas.NoTrans, max(rs, k) // a single row's stride may be anything
	if cs != 1 {
		transA, lda = blas.Trans, cs
	}
	beta := float32(1)
	if !add {
		beta = 0
	}
	for i := 0; i < m; i += gonumRows {
		rows := min(gonumRows, m-i)
		for j := 0; j < n; j += gonumCols {
			cols := min(gonumCols, n-j)
			gonum.Implementation{}.Sgemm(transA, blas.NoTrans, rows, cols, k, 1, a[i*rs:], lda,
				b.data[j:], b.stride, beta, c[i*ldc+j:], ldc)
		}
	}
}

// newPanels returns a k × n matrix of zeros, to be filled by set.
func newPanels(k, n int) panels {
	p := panels{k: k, n: n, width: kernel.width(), stride: n}
	if p.width == 0 {
		p.data = make([]float32, k*n)
		return p
	}
	p.stride = k * p.width
	p.data = make([]float32, blocks(n, p.width)*p.stride)
	return p
}

// place is where element (l, j) lies.
func (p panels) place(l, j int) int {
	if p.width == 0 {
		return l*p.stride + j
	}
	return j/p.width*p.stride + l*p.width + j%p.width
}

func (p panels) at(l, j int) float32     { return p.data[p.place(l, j)] }
func (p panels) set(l, j int, v float32) { p.data[p.place(l, j)] = v }

// setRow sets row l, n elements.
func (p panels) setRow(l int, row []float32) {
	if p.width == 0 {
		copy(p.data[l*p.stride:], row)
		return
	}
	for j := 0; j < len(row); j += p.width {
		copy(p.data[p.place(l, j):], row[j:min(j+p.width, len(row))])
	}
}

// setColumn sets column j, k elements.
func (p panels) setColumn(j int, column []float32) {
	step := p.width
	if step == 0 {
		step = p.stride
	}
	for at := p.place(0, j); len(column) > 0; at += step {
		p.data[at] = column[0]
		column = column[1:]
	}
}
