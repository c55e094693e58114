package lm

import "math"

// queryPart is the number of queries whose scores are held at once.
const queryPart = 32

// attentionScratch is one worker's memory for attention over one sequence.
type attentionScratch struct {
	keysT, keys, valuesT, values, queries, grads panels
	scores, dscores                              []float32 // queryPart × span
}

func newAttentionScratch(span, _ int) attentionScratch {
	return attentionScratch{scores: make([]float32, queryPart*span), dscores: make([]float32, queryPart*span)}
}

// attention computes, for one sequence and the query heads that share one
// key-value head, softmax(q·kᵀ/sqrt(headDim))·v over the keys up to each query.
// Scores of later keys are computed only inside the last part of queries.
func (p *pass) attention(l, sequence, kv int, s *attentionScratch) {
	c, state := p.m.config, &p.layers[l]
	span, hd, width, q := p.span, c.HeadDim, c.qkvWidth(), c.queryWidth()
	qkv := state.qkv[sequence*span*width : (sequence+1)*span*width]
	att := state.att[sequence*span*q : (sequence+1)*span*q]
	s.keysT.pack(qkv[q+kv*hd:], hd, span, 1, width)
	s.values.pack(qkv[q+c.kvWidth()+kv*hd:], span, hd, width, 1)
	group := c.Heads / c.KVHeads
	for h := kv * group; h < (kv+1)*group; h++ {
		lse := state.lse[(sequence*c.Heads+h)*span:]
		for from := 0; from < span; from += queryPart {
			to := min(from+queryPart, span)
			gemm(to-from, to, hd, qkv[from*width+h*hd:], width, 1, s.keysT, s.scores, span, false)
			for i := from; i < to; i++ {
				row := s.scores[(i-from)*span : (i-from)*span+to]
				lse[i] = softmax(row, i+1, hd)
			}
			gemm(to-from, hd, to, s.scores, span, 1, s.values, att[from*q+h*hd:], q, false)
		}
	}
}

// softmax turns the first live scores of the row into probabilities, the rest
// into zeros, and returns log Σ exp(score/sqrt(headDim)).
func softmax(row []float32, live, headDim int) float32 {
	factor := float32(1 / math.Sqrt(float64(headDim)))
	shift := maximum(row[:live]) * factor
	sum := expSum(row[:live], factor, shift)
	scale(row[:live], 1/sum)
	clear(row[live:])
	return shift + float32(math.Log(float64(sum)))
}

// attentionGrad turns the gradient in attention's output into gradients in
// queries, keys and values before rotation, for one sequence and one key-value
// head. Probabilities are made again from the scores and lse (FlashAttention,
// section 3.1, algorithm 4 of appendix B).
func (p *pass) attentionGrad(l, sequence, kv int, s *attentionScratch) {
	c, state, g := p.m.config, &p.layers[l], p.grad
	span, hd, width, q := p.span, c.HeadDim, c.qkvWidth(), c.queryWidth()
	qkv := state.qkv[sequence*span*width : (sequence+1)*span*width]
	att := state.att[sequence*span*q : (sequence+1)*span*q]
	datt := g.datt[sequence*span*q : (sequence+1)*span*q]
	dqkv := g.dqkv[sequence*span*width : (sequence+1)*span*width]
	kAt, vAt := q+kv*hd, q+c.kvWidth()+kv*hd
	s.keysT.pack(qkv[kAt:], hd, span, 1, width)
	s.keys.pack(qkv[kAt:], span, hd, width, 1)
	s.valuesT.pack(qkv[vAt:], hd, span, 1, width)
	for i := range span {
		clear(dqkv[i*width+kAt : i*width+kAt+hd])
		clear(dqkv[i*width+vAt : i*width+vAt+hd])
	}
	factor := float32(1 / math.Sqrt(float64(hd)))
	group := c.Heads / c.KVHeads
	for h := kv * group; h < (kv+1)*group; h++ {
		lse := state.lse[(sequence*c.Heads+h)*span:]
		s.queries.pack(qkv[h*hd:], span, hd, width, 1)
		s.grads.pack(datt[h*hd:], span, hd, q, 1)
		for from := 0; from < span; from += queryPart {
			to := min(from+queryPart, span)
			n := to - from
			gemm(n, to, hd, qkv[from*width+h*hd:], width, 1, s.keysT, s.scores, span, false)
			gemm(n, to, hd, datt[from*q+h*hd:], q, 1, s.valuesT, s.dscores, span, false)
			for i := from; i < to; i++ {
				prob := s.scores[(i-from)*span : (i-from)*span+to]
				dprob := s.dscores[(i-from)*span : (i-from)*span+to]
				expSum(prob[:i+1], factor, lse[i])
				clear(prob[i+1:])
				mean := dot(datt[i*q+h*hd:i*q+h*hd+hd], att[i*q+h*hd:i*q+h*hd+hd])
				softmaxGrad(dprob[:i+1], prob[:i+1], mean, factor)
				clear(dprob[i+1:])
			}
			gemm(n, hd, to, s.dscores, span, 1, s.keys, dqkv[from*width+h*hd:], width, false)
			gemm(to, hd, n, s.dscores, 1, span, s.queries.from(from), dqkv[kAt:], width, true)
			gemm(to, hd, n, s.scores, 1, span, s.grads.from(from), dqkv[vAt:], width, true)
		}
	}
	half := hd / 2
	for i := range span {
		cos, sin := p.cos[i*half:i*half+half], p.sin[i*half:i*half+half]
		row := dqkv[i*width:]
		rotate(row[kv*group*hd:(kv+1)*group*hd], cos, sin, -1)
		rotate(row[kAt:kAt+hd], cos, sin, -1)
	}
}
