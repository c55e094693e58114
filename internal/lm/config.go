package lm

import "math"

// Limits of a model this package will build, train or load. They bound memory
// before anything is allocated; a corrupt file cannot ask for more.
const (
	vocabSizeMax     = 1 << 18
	hiddenSizeMax    = 1 << 13
	innerSizeMax     = 1 << 15
	layersMax        = 128
	headsMax         = 128
	headDimMax       = 256
	contextLengthMax = 1 << 15
	parametersMax    = 1 << 31
)

// Config is the shape of a Llama decoder. Every size is a count of elements.
type Config struct {
	// VocabSize is the number of token ids; ids run from 0 to VocabSize-1.
	VocabSize int
	// HiddenSize is the width of the residual stream.
	HiddenSize int
	// InnerSize is the width of the SwiGLU feed-forward layer.
	InnerSize int
	// Layers is the number of decoder blocks.
	Layers int
	// Heads is the number of query heads; KVHeads, a divisor of it, the number
	// of key and value heads that they share.
	Heads, KVHeads int
	// HeadDim is the width of one head, an even number.
	HeadDim int
	// ContextLength is the greatest number of tokens in one sequence.
	ContextLength int
	// RopeTheta is the base of the rotary frequencies, 10000 in Llama.
	RopeTheta float64
	// NormEpsilon is added to the mean square in RMSNorm.
	NormEpsilon float64
	// TieEmbeddings makes the output matrix the input embedding itself.
	TieEmbeddings bool
	// BOS and EOS are the ids that begin and end a document, -1 if there is none.
	BOS, EOS int
}

// Validate says which field is wrong and what it may be.
func (c Config) Validate() error {
	for _, f := range []struct {
		name        string
		value, most int
	}{
		{"vocabulary size", c.VocabSize, vocabSizeMax},
		{"hidden size", c.HiddenSize, hiddenSizeMax},
		{"inner size", c.InnerSize, innerSizeMax},
		{"layers", c.Layers, layersMax},
		{"heads", c.Heads, headsMax},
		{"key-value heads", c.KVHeads, headsMax},
		{"head dimension", c.HeadDim, headDimMax},
		{"context length", c.ContextLength, contextLengthMax},
	} {
		if f.value < 1 || f.value > f.most {
			return badConfig(f.name, "is %d, want 1 to %d", f.value, f.most)
		}
	}
	if c.VocabSize < 2 {
		return badConfig("vocabulary size", "is 1, want at least 2: nothing can be predicted")
	}
	if c.Heads%c.KVHeads != 0 {
		return badConfig("key-value heads", "are %d, want a divisor of the %d heads", c.KVHeads, c.Heads)
	}
	if c.HeadDim%2 != 0 {
		return badConfig("head dimension", "is %d, want an even number: rotary positions turn pairs", c.HeadDim)
	}
	if !(c.RopeTheta > 1 && c.RopeTheta <= 1e9) {
		return badConfig("rope theta", "is %g, want more than 1 and at most 1e9", c.RopeTheta)
	}
	if !(c.NormEpsilon > 0 && c.NormEpsilon < 1) {
		return badConfig("norm epsilon", "is %g, want more than 0 and less than 1", c.NormEpsilon)
	}
	if c.BOS < -1 || c.BOS >= c.VocabSize {
		return badConfig("begin token", "is %d, want -1 (none) or less than the vocabulary's %d", c.BOS, c.VocabSize)
	}
	if c.EOS < -1 || c.EOS >= c.VocabSize {
		return badConfig("end token", "is %d, want -1 (none) or less than the vocabulary's %d", c.EOS, c.VocabSize)
	}
	if n := c.Parameters(); n > parametersMax {
		return badConfig("parameters", "are %d, want at most %d", n, int64(parametersMax))
	}
	return nil
}

// queryWidth is the width of all query heads side by side, kvWidth of all key
// heads (or value heads), qkvWidth of the three together.
func (c Config) queryWidth() int { return c.Heads * c.HeadDim }
func (c Config) kvWidth() int    { return c.KVHeads * c.HeadDim }
func (c Config) qkvWidth() int   { return c.queryWidth() + 2*c.kvWidth() }

// matrixParameters counts the weights that take part in matrix products, the
// output matrix included.
func (c Config) matrixParameters() int64 {
	layer := int64(c.HiddenSize) * (int64(c.qkvWidth()) + int64(c.queryWidth()) + 3*int64(c.InnerSize))
	return layer*int64(c.Layers) + int64(c.VocabSize)*int64(c.HiddenSize)
}

// Parameters counts the weights, a tied embedding once.
func (c Config) Parameters() int64 {
	n := c.matrixParameters() + int64(c.HiddenSize)*int64(2*c.Layers+1)
	if !c.TieEmbeddings {
		n += int64(c.VocabSize) * int64(c.HiddenSize)
	}
	return n
}

// ForwardFlops counts the floating-point operations of one forward pass over a
// sequence of the given number of tokens, a multiplication and an addition as
// two (Kaplan et al., arXiv:2001.08361, section 2.1):
//
//	2·t·W + 2·t·(t+1)·heads·headDim·layers
//
// where W counts the weights in matrix products, the output matrix included,
// and the second term is the causal half of the two attention products. Norms,
// activations and the embedding look-up are left out, as is customary.
func (c Config) ForwardFlops(tokens int) int64 {
	t := int64(tokens)
	return 2*t*c.matrixParameters() + 2*t*(t+1)*int64(c.queryWidth())*int64(c.Layers)
}

// TrainingFlops counts one training pass over such a sequence as three forward
// passes: one forward, two for the gradients of inputs and weights. What the
// backward pass of attention recomputes to save memory is not counted.
func (c Config) TrainingFlops(tokens int) int64 { return 3 * c.ForwardFlops(tokens) }

// rotary returns cos and sin of the rotary angles for positions 0 to n-1, each
// n × HeadDim/2: angle(p, i) = p · theta^(-2i/HeadDim) (RoFormer, section 3.2.2).
func (c Config) rotary(n int) (cos, sin []float32) {
	half := c.HeadDim / 2
	cos, sin = make([]float32, n*half), make([]float32, n*half)
	for i := range half {
		frequency := math.Pow(c.RopeTheta, -2*float64(i)/float64(c.HeadDim))
		for p := range n {
			s, co := math.Sincos(float64(p) * frequency)
			cos[p*half+i], sin[p*half+i] = float32(co), float32(s)
		}
	}
	return cos, sin
}
