package lm

import (
	"math"
	"testing"
)

func tinyConfig() Config {
	return Config{
		VocabSize: 37, HiddenSize: 24, InnerSize: 40, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 6,
		ContextLength: 80, RopeTheta: 10000, NormEpsilon: 1e-5, BOS: 0, EOS: 0,
	}
}

// reference is the decoder written again, in float64, as plainly as the papers
// put it: one token at a time, no batches, no parts. It returns the logits of
// every position.
func reference(c Config, flat []float64, tokens []uint32) [][]float64 {
	at := 0
	take := func(n int) []float64 { at += n; return flat[at-n : at] }
	d, q, kv, f := c.HiddenSize, c.queryWidth(), c.kvWidth(), c.InnerSize
	embed := take(c.VocabSize * d)
	mul := func(w, x []float64, out int) []float64 {
		y := make([]float64, out)
		for o := range y {
			for i, v := range x {
				y[o] += w[o*len(x)+i] * v
			}
		}
		return y
	}
	norm := func(x, gain []float64) []float64 {
		sum := 0.0
		for _, v := range x {
			sum += v * v
		}
		y := make([]float64, len(x))
		for i, v := range x {
			y[i] = v / math.Sqrt(sum/float64(len(x))+c.NormEpsilon) * gain[i]
		}
		return y
	}
	turn := func(x []float64, p int) {
		half := c.HeadDim / 2
		for h := 0; h < len(x); h += c.HeadDim {
			for i := range half {
				sin, cos := math.Sincos(float64(p) * math.Pow(c.RopeTheta, -2*float64(i)/float64(c.HeadDim)))
				a, b := x[h+i], x[h+half+i]
				x[h+i], x[h+half+i] = a*cos-b*sin, b*cos+a*sin
			}
		}
	}
	stream := make([][]float64, len(tokens))
	for t, id := range tokens {
		stream[t] = append([]float64(nil), embed[int(id)*d:int(id)*d+d]...)
	}
	for range c.Layers {
		n1, wq, wk, wv, wo := take(d), take(q*d), take(kv*d), take(kv*d), take(d*q)
		n2, wg, wu, wd := take(d), take(f*d), take(f*d), take(d*f)
		var keys, values [][]float64
		for t, x := range stream {
			h := norm(x, n1)
			query, key := mul(wq, h, q), mul(wk, h, kv)
			turn(query, t)
			turn(key, t)
			keys, values = append(keys, key), append(values, mul(wv, h, kv))
			out := make([]float64, q)
			for head := range c.Heads {
				from := head / (c.Heads / c.KVHeads) * c.HeadDim
				scores, sum := make([]float64, t+1), 0.0
				for s := range scores {
					for i := range c.HeadDim {
						scores[s] += query[head*c.HeadDim+i] * keys[s][from+i]
					}
					scores[s] = math.Exp(scores[s] / math.Sqrt(float64(c.HeadDim)))
					sum += scores[s]
				}
				for s, w := range scores {
					for i := range c.HeadDim {
						out[head*c.HeadDim+i] += w / sum * values[s][from+i]
					}
				}
			}
			for i, v := range mul(wo, out, d) {
				x[i] += v
			}
		}
		for _, x := range stream {
			h := norm(x, n2)
			gate, up := mul(wg, h, f), mul(wu, h, f)
			for i, g := range gate {
				up[i] *= g / (1 + math.Exp(-g))
			}
			for i, v := range mul(wd, up, d) {
				x[i] += v
			}
		}
	}
	last := take(d)
	head := embed
	if !c.TieEmbeddings {
		head = take(c.VocabSize * d)
	}
	logits := make([][]float64, len(tokens))
	for t, x := range stream {
		logits[t] = mul(head, norm(x, last), c.VocabSize)
	}
	return logits
}

func referenceLoss(c Config, flat []float64, inputs, targets []uint32, span int) float64 {
	sum := 0.0
	for at := 0; at < len(inputs); at += span {
		for t, row := range reference(c, flat, inputs[at:at+span]) {
			total := 0.0
			for _, l := range row {
				total += math.Exp(l)
			}
			sum += math.Log(total) - row[targets[at+t]]
		}
	}
	return sum / float64(len(inputs))
}

func ids(seed uint64, n, vocab int) []uint32 {
	x := make([]uint32, n)
	for i := range x {
		x[i] = uint32(philox{seed: seed}.below(uint64(i), vocab))
	}
	return x
}

// Every gradient is compared with a central difference of the float64
// reference, which shares no code with the model: a fault in either shows.
func TestGradients(t *testing.T) {
	withKernels(t, func(t *testing.T) {
		for _, tied := range []bool{false, true} {
			c := tinyConfig()
			c.TieEmbeddings = tied
			m, err := New(c, 7)
			if err != nil {
				t.Fatal(err)
			}
			for i := range m.weights { // far from symmetric starting values
				m.weights[i] += 0.3 * float32(philox{seed: 9}.unit(uint64(i))-0.5)
			}
			const batch, span = 2, 5
			inputs, targets := ids(1, batch*span, c.VocabSize), ids(2, batch*span, c.VocabSize)
			p := newPass(m, batch, span, newCrew(2), true)
			p.pack()
			p.run(inputs)
			p.losses(targets)
			p.backpropagate(inputs)

			flat := make([]float64, len(m.weights))
			for i, w := range m.weights {
				flat[i] = float64(w)
			}
			if got, want := p.meanLoss(), referenceLoss(c, flat, inputs, targets, span); math.Abs(got-want) > 1e-5 {
				t.Fatalf("tied=%v: loss %.8f, reference %.8f", tied, got, want)
			}
			checkGradients(t, m, p.grad.flat, func(i int, h float64) float64 {
				was := flat[i]
				flat[i] = was + h
				loss := referenceLoss(c, flat, inputs, targets, span)
				flat[i] = was
				return loss
			})
		}
	})
}

// checkGradients looks at every element of gains and at 40 of each matrix.
func checkGradients(t *testing.T, m *Model, grad []float32, loss func(i int, h float64) float64) {
	t.Helper()
	const h = 1e-4
	for _, tensor := range m.tensors {
		step := max(1, tensor.size()/40)
		if !tensor.decays() {
			step = 1
		}
		seen := false
		for i := tensor.offset; i < tensor.offset+tensor.size(); i += step {
			want := (loss(i, h) - loss(i, -h)) / (2 * h)
			got := float64(grad[i])
			if math.Abs(got-want) > 2e-5+2e-4*math.Abs(want) {
				t.Fatalf("%s element %d: gradient %.8f, difference quotient %.8f", tensor.name, i-tensor.offset, got, want)
			}
			seen = seen || want != 0
		}
		if !seen {
			t.Fatalf("%s: all gradients are zero, nothing was tested", tensor.name)
		}
	}
}

// Spans and widths that are no multiple of any part size, and more than one
// part of queries, rows and head rows.
func TestLossAgreesWithReference(t *testing.T) {
	withKernels(t, func(t *testing.T) {
		c := tinyConfig()
		m, _ := New(c, 3)
		const batch, span = 9, 71
		inputs, targets := ids(1, batch*span, c.VocabSize), ids(2, batch*span, c.VocabSize)
		p := newPass(m, batch, span, newCrew(0), false)
		p.pack()
		p.run(inputs)
		p.losses(targets)
		flat := make([]float64, len(m.weights))
		for i, w := range m.weights {
			flat[i] = float64(w)
		}
		if got, want := p.meanLoss(), referenceLoss(c, flat, inputs, targets, span); math.Abs(got-want) > 1e-5 {
			t.Fatalf("loss %.8f, reference %.8f", got, want)
		}
	})
}
