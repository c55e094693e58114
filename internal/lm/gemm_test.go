package lm

import (
	"fmt"
	"math"
	"testing"
)

// kernels returns the matrix kernels this build and processor can run.
func kernels() []kernelKind {
	var all []kernelKind
	for _, k := range []kernelKind{kernelGonum, kernelAVX2, kernelAVX512} {
		if supported(k) {
			all = append(all, k)
		}
	}
	return all
}

// withKernels runs the test once for each kernel.
func withKernels(t *testing.T, test func(t *testing.T)) {
	best := kernel
	defer func() { kernel = best }()
	for _, k := range kernels() {
		kernel = k
		t.Run(Kernel(), test)
	}
}

func randoms(seed uint64, n int) []float32 {
	x := make([]float32, n)
	philox{seed: seed}.fillNormal(x, 1)
	return x
}

func TestGemm(t *testing.T) {
	withKernels(t, func(t *testing.T) {
		for _, s := range [][3]int{{1, 1, 1}, {1, 300, 270}, {4, 32, 8}, {3, 7, 5}, {64, 33, 300}, {65, 200, 17}, {130, 31, 513}, {6, 48, 2}} {
			m, n, k := s[0], s[1], s[2]
			a, b, c0 := randoms(1, m*k), randoms(2, k*n), randoms(3, m*n)
			for _, transA := range []bool{false, true} {
				for _, transB := range []bool{false, true} {
					for _, add := range []bool{false, true} {
						rs, cs, brs, bcs := k, 1, n, 1
						if transA {
							rs, cs = 1, m
						}
						if transB {
							brs, bcs = 1, k
						}
						var p panels
						p.pack(b, k, n, brs, bcs)
						c := append([]float32(nil), c0...)
						gemm(m, n, k, a, rs, cs, p, c, n, add)
						for i := range m {
							for j := range n {
								want := 0.0
								if add {
									want = float64(c0[i*n+j])
								}
								for l := range k {
									want += float64(a[i*rs+l*cs]) * float64(b[l*brs+j*bcs])
								}
								if math.Abs(want-float64(c[i*n+j])) > 1e-4*(1+math.Sqrt(float64(k))) {
									t.Fatalf("%v transA=%v transB=%v add=%v: c[%d,%d] = %g, want %g", s, transA, transB, add, i, j, c[i*n+j], want)
								}
							}
						}
					}
				}
			}
		}
	})
}

// How rows and columns are cut must not change a bit: this is what makes
// training independent of the number of threads.
func TestGemmCutsAgree(t *testing.T) {
	withKernels(t, func(t *testing.T) {
		m, n, k := 130, 296, 600
		a, b := randoms(1, m*k), randoms(2, k*n)
		var p panels
		p.pack(b, k, n, n, 1)
		whole := make([]float32, m*n)
		gemm(m, n, k, a, k, 1, p, whole, n, false)
		for _, rows := range []int{1, 3, 64} {
			parts := make([]float32, m*n)
			for i := 0; i < m; i += rows {
				gemm(min(rows, m-i), n, k, a[i*k:], k, 1, p, parts[i*n:], n, false)
			}
			for i := range whole {
				if whole[i] != parts[i] {
					t.Fatalf("rows cut by %d: element %d is %g, whole %g", rows, i, parts[i], whole[i])
				}
			}
		}
	})
}

func BenchmarkGemm(b *testing.B) {
	best := kernel
	defer func() { kernel = best }()
	const m, n, k = 1024, 704, 256
	x, w, c := randoms(1, m*k), randoms(2, k*n), make([]float32, m*n)
	for _, kk := range kernels() {
		kernel = kk
		for _, workers := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/threads=%d", Kernel(), workers), func(b *testing.B) {
				var p panels
				p.pack(w, k, n, n, 1)
				team := newCrew(workers)
				for b.Loop() {
					team.run(blocks(m, rowPart), func(_, t int) {
						from, to := block(t, rowPart, m)
						gemm(to-from, n, k, x[from*k:], k, 1, p, c[from*n:], n, false)
					})
				}
				b.ReportMetric(float64(b.N)*2*m*n*k/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}
