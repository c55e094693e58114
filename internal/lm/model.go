package lm

import (
	"fmt"
	"math"
	"strings"
	"sync"
)

// Model is a decoder's configuration and weights. Once trained or loaded it is
// read only, and any number of sessions may use it at the same time.
type Model struct {
	config  Config
	weights []float32
	tensors []tensor
	layers  []layerWeights
	embed   []float32 // vocab × hidden
	norm    []float32 // hidden
	head    []float32 // vocab × hidden, the same memory as embed where tied

	// Panels and rotary tables for inference, made on first use.
	once     sync.Once
	packed   packedWeights
	cos, sin []float32
}

// tensor is a named part of the weights, row by row.
type tensor struct {
	name   string
	shape  []int // one or two sizes
	offset int   // in elements
}

func (t tensor) size() int {
	n := 1
	for _, s := range t.shape {
		n *= s
	}
	return n
}

// decays says whether weight decay applies: to matrices, not to norm gains.
func (t tensor) decays() bool { return len(t.shape) == 2 }

// layerWeights are views of the weights of one block. Matrices are out × in as
// in Hugging Face files; those with the same input lie one after another, so
// that q, k, v are one product and gate, up another.
type layerWeights struct {
	norm1, norm2           []float32
	qkv, out, gateUp, down []float32
}

// layout names every tensor in the order in which it lies in memory.
func layout(c Config) []tensor {
	var all []tensor
	offset := 0
	add := func(name string, shape ...int) {
		t := tensor{name, shape, offset}
		all = append(all, t)
		offset += t.size()
	}
	add("model.embed_tokens.weight", c.VocabSize, c.HiddenSize)
	for l := range c.Layers {
		p := fmt.Sprintf("model.layers.%d.", l)
		add(p+"input_layernorm.weight", c.HiddenSize)
		add(p+"self_attn.q_proj.weight", c.queryWidth(), c.HiddenSize)
		add(p+"self_attn.k_proj.weight", c.kvWidth(), c.HiddenSize)
		add(p+"self_attn.v_proj.weight", c.kvWidth(), c.HiddenSize)
		add(p+"self_attn.o_proj.weight", c.HiddenSize, c.queryWidth())
		add(p+"post_attention_layernorm.weight", c.HiddenSize)
		add(p+"mlp.gate_proj.weight", c.InnerSize, c.HiddenSize)
		add(p+"mlp.up_proj.weight", c.InnerSize, c.HiddenSize)
		add(p+"mlp.down_proj.weight", c.HiddenSize, c.InnerSize)
	}
	add("model.norm.weight", c.HiddenSize)
	if !c.TieEmbeddings {
		add("lm_head.weight", c.VocabSize, c.HiddenSize)
	}
	return all
}

// emptyModel allocates a model with all weights zero.
func emptyModel(c Config) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	m := &Model{config: c, weights: make([]float32, c.Parameters()), tensors: layout(c)}
	m.embed, m.layers, m.norm, m.head = views(c, m.weights)
	return m, nil
}

// views cuts a flat slice laid out like the weights (weights or gradients).
func views(c Config, flat []float32) (embed []float32, layers []layerWeights, norm, head []float32) {
	take := func(n int) []float32 {
		part := flat[:n:n]
		flat = flat[n:]
		return part
	}
	d := c.HiddenSize
	embed = take(c.VocabSize * d)
	layers = make([]layerWeights, c.Layers)
	for l := range layers {
		w := &layers[l]
		w.norm1 = take(d)
		w.qkv = take(c.qkvWidth() * d)
		w.out = take(d * c.queryWidth())
		w.norm2 = take(d)
		w.gateUp = take(2 * c.InnerSize * d)
		w.down = take(d * c.InnerSize)
	}
	norm = take(d)
	head = embed
	if !c.TieEmbeddings {
		head = take(c.VocabSize * d)
	}
	return embed, layers, norm, head
}

// initDeviation is the standard deviation of initial embeddings, as in GPT-2 and
// Llama's Hugging Face default. For matrices it would be too small in narrow
// models.
const initDeviation = 0.02

// New returns an untrained model. Norm gains are one; embeddings are drawn with
// standard deviation 0.02, matrices with 1/sqrt(inputs), and those that write to
// the residual stream (o_proj, down_proj) with that over sqrt(2·layers), so that
// the stream keeps its size through the depth (GPT-2, section 2.3).
func New(c Config, seed uint64) (*Model, error) {
	m, err := emptyModel(c)
	if err != nil {
		return nil, err
	}
	for i, t := range m.tensors {
		part := m.weights[t.offset : t.offset+t.size()]
		if len(t.shape) == 1 {
			for j := range part {
				part[j] = 1
			}
			continue
		}
		deviation := initDeviation
		if i > 0 && t.name != "lm_head.weight" {
			deviation = 1 / math.Sqrt(float64(t.shape[1]))
			if strings.HasSuffix(t.name, ".o_proj.weight") || strings.HasSuffix(t.name, ".down_proj.weight") {
				deviation /= math.Sqrt(2 * float64(c.Layers))
			}
		}
		philox{seed: seed, stream: streamInit + uint64(i)}.fillNormal(part, deviation)
	}
	return m, nil
}

// Config returns the model's shape.
func (m *Model) Config() Config { return m.config }

// packedWeights are the weights laid out for products with rows of
// activations: forward multiplies by the transpose, backward by the matrix.
type packedWeights struct {
	layers []packedLayer
	head   panels
}

type packedLayer struct{ qkv, out, gateUp, down panels }

// packTransposed fills p for products x·Wᵀ, the forward direction.
func (m *Model) packTransposed(p *packedWeights, team crew) {
	c := m.config
	d, q, f := c.HiddenSize, c.queryWidth(), c.InnerSize
	if p.layers == nil {
		p.layers = make([]packedLayer, c.Layers)
	}
	team.run(4*c.Layers+1, func(_, t int) {
		if t == 4*c.Layers {
			p.head.pack(m.head, d, c.VocabSize, 1, d)
			return
		}
		w, to := m.layers[t/4], &p.layers[t/4]
		switch t % 4 {
		case 0:
			to.qkv.pack(w.qkv, d, c.qkvWidth(), 1, d)
		case 1:
			to.out.pack(w.out, q, d, 1, q)
		case 2:
			to.gateUp.pack(w.gateUp, d, 2*f, 1, d)
		case 3:
			to.down.pack(w.down, f, d, 1, f)
		}
	})
}

// packPlain fills p for products dy·W, the backward direction.
func (m *Model) packPlain(p *packedWeights, team crew) {
	c := m.config
	d, q, f := c.HiddenSize, c.queryWidth(), c.InnerSize
	if p.layers == nil {
		p.layers = make([]packedLayer, c.Layers)
	}
	team.run(4*c.Layers+1, func(_, t int) {
		if t == 4*c.Layers {
			p.head.pack(m.head, c.VocabSize, d, d, 1)
			return
		}
		w, to := m.layers[t/4], &p.layers[t/4]
		switch t % 4 {
		case 0:
			to.qkv.pack(w.qkv, c.qkvWidth(), d, d, 1)
		case 1:
			to.out.pack(w.out, d, q, q, 1)
		case 2:
			to.gateUp.pack(w.gateUp, 2*f, d, d, 1)
		case 3:
			to.down.pack(w.down, d, f, f, 1)
		}
	})
}
