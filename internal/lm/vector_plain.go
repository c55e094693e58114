//go:build !(goexperiment.simd && amd64)

package lm

func dot(x, y []float32) float32                            { return dotPlain(x, y) }
func dot3(x, y, z []float32) float32                        { return dot3Plain(x, y, z) }
func axpy(dst []float32, a float32, x []float32)            { axpyPlain(dst, a, x) }
func scaleGain(dst, x []float32, s float32, gain []float32) { scaleGainPlain(dst, x, s, gain) }
func normGrad(dst, dy, gain, x []float32, s, pull float32)  { normGradPlain(dst, dy, gain, x, s, pull) }
func gainGrad(dst, dy, x []float32, s float32)              { gainGradPlain(dst, dy, x, s) }
func scale(x []float32, s float32)                          { scalePlain(x, s) }
func maximum(x []float32) float32                           { return maximumPlain(x) }
func expSum(x []float32, scale, shift float32) float32      { return expSumPlain(x, scale, shift) }
func silu(dst, gate, up []float32)                          { siluPlain(dst, gate, up) }
func siluGrad(d, gate, up []float32)                        { siluGradPlain(d, gate, up) }
func softmaxGrad(dp, p []float32, mean, scale float32)      { softmaxGradPlain(dp, p, mean, scale) }
func adam(w, m, v, g []float32, s adamStep)                 { adamPlain(w, m, v, g, s) }
