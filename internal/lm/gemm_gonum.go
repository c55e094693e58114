//go:build !(goexperiment.simd && amd64)

package lm

// bestKernel: this build has no SIMD kernels.
func bestKernel() kernelKind { return kernelGonum }

func supported(k kernelKind) bool { return k == kernelGonum }

// gemmPanels is never reached: no panels are packed in this build.
func gemmPanels(int, int, int, []float32, int, int, panels, []float32, int, bool) {
	panic("lm: packed panels in a build without SIMD")
}
