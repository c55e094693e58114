package lm

import "math"

// rowPart is the number of rows (tokens) in one task. A task carries its rows
// through all of a block but attention, so its activations stay in the cache.
// It also fixes the order in which gains' gradients are summed.
const rowPart = 64

// headRows is the number of rows whose logits are held at once.
const headRows = 512

// rmsNorm writes x·rstd·gain to dst row by row and keeps rstd =
// 1/sqrt(mean(x²)+epsilon) per row where the backward pass will want it.
func rmsNorm(dst, x, gain, rstd []float32, d int, epsilon float64) {
	for r := 0; r*d < len(x); r++ {
		row := x[r*d : r*d+d]
		s := float32(1 / math.Sqrt(float64(dot(row, row))/float64(d)+epsilon))
		if rstd != nil {
			rstd[r] = s
		}
		scaleGain(dst[r*d:r*d+d], row, s, gain)
	}
}

// rmsNormGrad adds to dx the gradient in x, given dy, the gradient in the
// normalised rows, and to dgain the gradient in the gain:
//
//	dx = rstd·gain·dy - x·rstd³/d·Σ(gain·dy·x)
func rmsNormGrad(dx, dgain, dy, x, gain, rstd []float32, d int) {
	for r := 0; r*d < len(x); r++ {
		row, g, s := x[r*d:r*d+d], dy[r*d:r*d+d], rstd[r]
		pull := s * s * s / float32(d) * dot3(g, gain, row)
		gainGrad(dgain, g, row, s)
		normGrad(dx[r*d:r*d+d], g, gain, row, s, pull)
	}
}

// rotate turns each head in the row by the angles of one position: element i of
// the first half with element i of the second (Hugging Face's layout). turn is
// 1 forward and -1 for gradients, the inverse rotation.
func rotate(row, cos, sin []float32, turn float32) {
	half := len(cos)
	sin = sin[:half]
	for h := 0; h+2*half <= len(row); h += 2 * half {
		a, b := row[h:h+half], row[h+half:h+2*half]
		for i, c := range cos {
			s := turn * sin[i]
			x, y := a[i], b[i]
			a[i], b[i] = x*c-y*s, y*c+x*s
		}
	}
}

// layerState is what the forward pass keeps of one block for the backward one.
type layerState struct {
	x      []float32 // rows × hidden: the residual stream as it enters
	h1     []float32 // rows × hidden: normalised for attention
	rstd1  []float32 // rows
	qkv    []float32 // rows × qkvWidth: rotated queries and keys, values
	att    []float32 // rows × queryWidth: attention's output
	lse    []float32 // rows × heads: log Σ exp(score) of each query
	mid    []float32 // rows × hidden: the stream after attention
	h2     []float32 // rows × hidden: normalised for the feed-forward layer
	rstd2  []float32 // rows
	gateUp []float32 // rows × 2·inner: gate then up; backward replaces it by its gradient
	act    []float32 // rows × inner: silu(gate)·up
}

func newLayerState(c Config, rows int) layerState {
	f := func(width int) []float32 { return make([]float32, rows*width) }
	d := c.HiddenSize
	return layerState{
		x: f(d), h1: f(d), rstd1: f(1), qkv: f(c.qkvWidth()), att: f(c.queryWidth()), lse: f(c.Heads),
		mid: f(d), h2: f(d), rstd2: f(1), gateUp: f(2 * c.InnerSize), act: f(c.InnerSize),
	}
}

// activationFloats is the number of elements that training keeps per token.
func activationFloats(c Config) int64 {
	d := int64(c.HiddenSize)
	layer := 4*d + 2 + int64(c.qkvWidth()) + int64(c.queryWidth()) + int64(c.Heads) + 3*int64(c.InnerSize)
	passing := 5*d + int64(c.qkvWidth()) + int64(c.queryWidth()) + int64(c.InnerSize)
	return layer*int64(c.Layers) + passing
}

// pass holds the memory of forward and backward passes over a batch of
// sequences of equal length. It belongs to one training run.
type pass struct {
	m           *Model
	team        crew
	batch, span int // sequences, tokens in each
	rows        int // batch · span
	layers      []layerState
	top         []float32 // rows × hidden: the stream after the last block
	last        []float32 // rows × hidden: normalised, what the head sees
	rstd        []float32
	forward     packedWeights
	backward    packedWeights
	cos, sin    []float32
	logits      []float32 // headRows × vocab
	loss        []float64 // rows: nats of each target
	scratch     []attentionScratch
	grad        *gradients // nil where only losses are wanted
}

func newPass(m *Model, batch, span int, team crew, train bool) *pass {
	c := m.config
	rows := batch * span
	p := &pass{
		m: m, team: team, batch: batch, span: span, rows: rows,
		layers: make([]layerState, c.Layers),
		top:    make([]float32, rows*c.HiddenSize),
		last:   make([]float32, rows*c.HiddenSize),
		rstd:   make([]float32, rows),
		logits: make([]float32, min(headRows, rows)*c.VocabSize),
		loss:   make([]float64, rows),
	}
	p.cos, p.sin = c.rotary(span)
	p.scratch = make([]attentionScratch, team.workers)
	for w := range p.scratch {
		p.scratch[w] = newAttentionScratch(span, c.HeadDim)
	}
	for l := range p.layers {
		p.layers[l] = newLayerState(c, rows)
	}
	if train {
		p.grad = newGradients(m, rows)
	}
	return p
}

// pack lays out the weights for the kernel, again after each change of them.
func (p *pass) pack() {
	p.m.packTransposed(&p.forward, p.team)
	if p.grad != nil {
		p.m.packPlain(&p.backward, p.team)
	}
}

// run carries the inputs, batch × span token ids, through all blocks. The ids
// have been checked to be in the vocabulary.
func (p *pass) run(inputs []uint32) {
	c := p.m.config
	parts := blocks(p.rows, rowPart)
	p.team.run(parts, func(_, t int) {
		from, to := block(t, rowPart, p.rows)
		d := c.HiddenSize
		for r := from; r < to; r++ {
			id := int(inputs[r])
			copy(p.layers[0].x[r*d:r*d+d], p.m.embed[id*d:])
		}
		p.beforeAttention(0, from, to)
	})
	for l := range p.layers {
		p.team.run(p.batch*c.KVHeads, func(worker, t int) {
			p.attention(l, t/c.KVHeads, t%c.KVHeads, &p.scratch[worker])
		})
		p.team.run(parts, func(_, t int) {
			from, to := block(t, rowPart, p.rows)
			p.afterAttention(l, from, to)
			if l+1 < len(p.layers) {
				p.beforeAttention(l+1, from, to)
			}
		})
	}
}

// beforeAttention makes rotated queries and keys, and values, of some rows.
func (p *pass) beforeAttention(l, from, to int) {
	c, w, s := p.m.config, p.m.layers[l], &p.layers[l]
	d, width, half := c.HiddenSize, c.qkvWidth(), c.HeadDim/2
	rmsNorm(s.h1[from*d:to*d], s.x[from*d:to*d], w.norm1, s.rstd1[from:to], d, c.NormEpsilon)
	qkv := s.qkv[from*width : to*width]
	gemm(to-from, width, d, s.h1[from*d:to*d], d, 1, p.forward.layers[l].qkv, qkv, width, false)
	turned := c.queryWidth() + c.kvWidth()
	for r := from; r < to; r++ {
		at := r % p.span * half
		rotate(s.qkv[r*width:r*width+turned], p.cos[at:at+half], p.sin[at:at+half], 1)
	}
}

// afterAttention carries some rows from attention's output to the stream that
// enters the next block.
func (p *pass) afterAttention(l, from, to int) {
	c, w, s, packed := p.m.config, p.m.layers[l], &p.layers[l], &p.forward.layers[l]
	d, q, f := c.HiddenSize, c.queryWidth(), c.InnerSize
	n := to - from
	mid := s.mid[from*d : to*d]
	copy(mid, s.x[from*d:to*d])
	gemm(n, d, q, s.att[from*q:to*q], q, 1, packed.out, mid, d, true)
	rmsNorm(s.h2[from*d:to*d], mid, w.norm2, s.rstd2[from:to], d, c.NormEpsilon)
	gemm(n, 2*f, d, s.h2[from*d:to*d], d, 1, packed.gateUp, s.gateUp[from*2*f:to*2*f], 2*f, false)
	for r := from; r < to; r++ {
		silu(s.act[r*f:r*f+f], s.gateUp[r*2*f:r*2*f+f], s.gateUp[r*2*f+f:r*2*f+2*f])
	}
	next := p.top
	if l+1 < len(p.layers) {
		next = p.layers[l+1].x
	}
	copy(next[from*d:to*d], mid)
	gemm(n, d, f, s.act[from*f:to*f], f, 1, packed.down, next[from*d:to*d], d, true)
}

// losses computes the nats of each target and, in training, starts the backward
// pass: gradients of the mean loss in the head and in p.grad.dx.
func (p *pass) losses(targets []uint32) {
	d := p.m.config.HiddenSize
	for first := 0; first < p.rows; first += headRows {
		rows := min(headRows, p.rows-first)
		p.team.run(blocks(rows, rowPart), func(_, t int) {
			from, to := block(t, rowPart, rows)
			a, b := first+from, first+to
			rmsNorm(p.last[a*d:b*d], p.top[a*d:b*d], p.m.norm, p.rstd[a:b], d, p.m.config.NormEpsilon)
			p.headRows(targets, first, from, to)
			if p.grad != nil {
				p.headGrad(first, from, to)
			}
		})
		if p.grad != nil {
			p.headWeightGrad(first, rows)
		}
	}
}

// headRows computes logits of rows first+from to first+to and their losses; in
// training the logits become the gradient of the mean loss in them:
// (softmax - one-hot)/rows.
func (p *pass) headRows(targets []uint32, first, from, to int) {
	c := p.m.config
	d, v := c.HiddenSize, c.VocabSize
	logits := p.logits[from*v : to*v]
	gemm(to-from, v, d, p.last[(first+from)*d:(first+to)*d], d, 1, p.forward.head, logits, v, false)
	for i := range to - from {
		r := first + from + i
		row := logits[i*v : i*v+v]
		target := targets[r]
		score := row[target]
		top := maximum(row)
		sum := expSum(row, 1, top)
		p.loss[r] = float64(top) + math.Log(float64(sum)) - float64(score)
		if p.grad != nil {
			scale(row, 1/(sum*float32(p.rows)))
			row[target] -= 1 / float32(p.rows)
		}
	}
}

// meanLoss adds the rows' losses in their order.
func (p *pass) meanLoss() float64 {
	sum := 0.0
	for _, l := range p.loss {
		sum += l
	}
	return sum / float64(p.rows)
}
