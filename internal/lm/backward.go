package lm

// gradients holds the gradient of the mean loss in every weight, and the
// memory the backward pass needs besides the forward one's.
type gradients struct {
	flat   []float32 // laid out like Model.weights
	embed  []float32
	layers []layerWeights
	norm   []float32
	head   []float32

	dx   []float32 // rows × hidden: gradient in the stream leaving the block at hand
	dmid []float32 // rows × hidden: gradient in the stream after attention
	dh   []float32 // rows × hidden: gradient in normalised rows
	dact []float32 // rows × inner
	datt []float32 // rows × queryWidth
	dqkv []float32 // rows × qkvWidth
	gain []float32 // parts × hidden: one part of rows' share of a gain's gradient
}

func newGradients(m *Model, rows int) *gradients {
	c := m.config
	d := c.HiddenSize
	g := &gradients{
		flat: make([]float32, len(m.weights)),
		dx:   make([]float32, rows*d), dmid: make([]float32, rows*d), dh: make([]float32, rows*d),
		dact: make([]float32, rows*c.InnerSize), datt: make([]float32, rows*c.queryWidth()),
		dqkv: make([]float32, rows*c.qkvWidth()),
		gain: make([]float32, blocks(rows, rowPart)*d),
	}
	g.embed, g.layers, g.norm, g.head = views(c, g.flat)
	return g
}

// headGrad carries the gradient of rows first+from to first+to from the logits
// to the stream that leaves the last block.
func (p *pass) headGrad(first, from, to int) {
	c, g := p.m.config, p.grad
	d, v := c.HiddenSize, c.VocabSize
	a, b := first+from, first+to
	gemm(to-from, d, v, p.logits[from*v:to*v], v, 1, p.backward.head, g.dh[a*d:b*d], d, false)
	part := g.gainPart(a/rowPart, d)
	clear(g.dx[a*d : b*d])
	rmsNormGrad(g.dx[a*d:b*d], part, g.dh[a*d:b*d], p.top[a*d:b*d], p.m.norm, p.rstd[a:b], d)
}

// gainPart returns a cleared share of a gain's gradient for one part of rows.
func (g *gradients) gainPart(part, d int) []float32 {
	share := g.gain[part*d : part*d+d]
	clear(share)
	return share
}

// sumGain adds the shares in their order.
func (g *gradients) sumGain(dst []float32) {
	d := len(dst)
	copy(dst, g.gain[:d])
	for at := d; at < len(g.gain); at += d {
		axpy(dst, 1, g.gain[at:at+d])
	}
}

// headWeightGrad adds the share of some rows to the gradient in the head.
func (p *pass) headWeightGrad(first, rows int) {
	c, g := p.m.config, p.grad
	d, v := c.HiddenSize, c.VocabSize
	p.weightGrads([]product{{
		dw: g.head, dy: p.logits[:rows*v], x: p.last[first*d : (first+rows)*d], out: v, in: d, rows: rows, add: first > 0,
	}})
}

// product is one weight gradient: dw (out × in) = dyᵀ·x over the rows.
type product struct {
	dw, dy, x []float32
	out, in   int
	rows      int
	add       bool
}

// Parts of a weight gradient that are one task: gradOuts rows of dw by
// gradIns columns. All rows of activations are summed within the task.
const (
	gradOuts = 256
	gradIns  = 64
)

// weightGrads computes some weight gradients at once, shared out by parts.
func (p *pass) weightGrads(all []product) {
	type part struct{ product, out, in int }
	var parts []part
	for i, w := range all {
		for in := 0; in < w.in; in += gradIns {
			for out := 0; out < w.out; out += gradOuts {
				parts = append(parts, part{i, out, in})
			}
		}
	}
	p.team.run(len(parts), func(worker, t int) {
		at := parts[t]
		w := all[at.product]
		ins, outs := min(gradIns, w.in-at.in), min(gradOuts, w.out-at.out)
		strip := &p.scratch[worker].grads
		strip.pack(w.x[at.in:], w.rows, ins, w.in, 1)
		gemm(outs, ins, w.rows, w.dy[at.out:], 1, w.out, *strip, w.dw[at.out*w.in+at.in:], w.in, w.add)
	})
}

// backpropagate computes the gradient of the mean loss in all weights. losses
// has just been called.
func (p *pass) backpropagate(inputs []uint32) {
	c, g := p.m.config, p.grad
	parts := blocks(p.rows, rowPart)
	g.sumGain(g.norm)
	for l := len(p.layers) - 1; l >= 0; l-- {
		p.team.run(parts, func(_, t int) {
			from, to := block(t, rowPart, p.rows)
			p.feedForwardGrad(l, from, to)
		})
		g.sumGain(g.layers[l].norm2)
		p.team.run(p.batch*c.KVHeads, func(worker, t int) {
			p.attentionGrad(l, t/c.KVHeads, t%c.KVHeads, &p.scratch[worker])
		})
		p.layerWeightGrads(l)
		p.team.run(parts, func(_, t int) {
			from, to := block(t, rowPart, p.rows)
			p.inputGrad(l, from, to)
		})
		g.sumGain(g.layers[l].norm1)
	}
	p.embeddingGrad(inputs)
}

// feedForwardGrad carries some rows' gradient from the stream leaving block l
// to attention's output.
func (p *pass) feedForwardGrad(l, from, to int) {
	c, w, s, g, packed := p.m.config, p.m.layers[l], &p.layers[l], p.grad, &p.backward.layers[l]
	d, q, f := c.HiddenSize, c.queryWidth(), c.InnerSize
	n := to - from
	gemm(n, f, d, g.dx[from*d:to*d], d, 1, packed.down, g.dact[from*f:to*f], f, false)
	for r := from; r < to; r++ {
		siluGrad(g.dact[r*f:r*f+f], s.gateUp[r*2*f:r*2*f+f], s.gateUp[r*2*f+f:r*2*f+2*f])
	}
	gemm(n, d, 2*f, s.gateUp[from*2*f:to*2*f], 2*f, 1, packed.gateUp, g.dh[from*d:to*d], d, false)
	copy(g.dmid[from*d:to*d], g.dx[from*d:to*d])
	part := g.gainPart(from/rowPart, d)
	rmsNormGrad(g.dmid[from*d:to*d], part, g.dh[from*d:to*d], s.mid[from*d:to*d], w.norm2, s.rstd2[from:to], d)
	gemm(n, q, d, g.dmid[from*d:to*d], d, 1, packed.out, g.datt[from*q:to*q], q, false)
}

// layerWeightGrads needs dx as it left the block: it runs before inputGrad.
func (p *pass) layerWeightGrads(l int) {
	c, s, g := p.m.config, &p.layers[l], p.grad
	d, q, f, width := c.HiddenSize, c.queryWidth(), c.InnerSize, c.qkvWidth()
	dw := g.layers[l]
	p.weightGrads([]product{
		{dw: dw.gateUp, dy: s.gateUp, x: s.h2, out: 2 * f, in: d, rows: p.rows},
		{dw: dw.down, dy: g.dx, x: s.act, out: d, in: f, rows: p.rows},
		{dw: dw.qkv, dy: g.dqkv, x: s.h1, out: width, in: d, rows: p.rows},
		{dw: dw.out, dy: g.dmid, x: s.att, out: d, in: q, rows: p.rows},
	})
}

// inputGrad carries some rows' gradient from q, k, v to the stream entering
// block l, which is left in dx.
func (p *pass) inputGrad(l, from, to int) {
	c, w, s, g := p.m.config, p.m.layers[l], &p.layers[l], p.grad
	d, width := c.HiddenSize, c.qkvWidth()
	gemm(to-from, d, width, g.dqkv[from*width:to*width], width, 1, p.backward.layers[l].qkv, g.dh[from*d:to*d], d, false)
	dx := g.dx[from*d : to*d]
	copy(dx, g.dmid[from*d:to*d])
	part := g.gainPart(from/rowPart, d)
	rmsNormGrad(dx, part, g.dh[from*d:to*d], s.x[from*d:to*d], w.norm1, s.rstd1[from:to], d)
}

// embedPart is the number of columns of the embedding that one task sums.
const embedPart = 64

// embeddingGrad adds each row's gradient to its token's, rows in order. A tied
// embedding already holds the head's share.
func (p *pass) embeddingGrad(inputs []uint32) {
	c, g := p.m.config, p.grad
	d := c.HiddenSize
	p.team.run(blocks(d, embedPart), func(_, t int) {
		from, to := block(t, embedPart, d)
		if !c.TieEmbeddings {
			for v := range c.VocabSize {
				clear(g.embed[v*d+from : v*d+to])
			}
		}
		for r, id := range inputs {
			axpy(g.embed[int(id)*d+from:int(id)*d+to], 1, g.dx[r*d+from:r*d+to])
		}
	})
}
