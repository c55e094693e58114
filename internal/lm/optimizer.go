package lm

import "math"

// adamw is the optimizer's state: the two moments, laid out like the weights.
type adamw struct{ m, v []float32 }

// Parts of the weights that are one task. They fix the order in which squares
// of the gradient are summed.
const (
	normPart = 1 << 14 // elements a task, summed in float64 over
	normRun  = 1 << 10 // runs of so many, summed in float32
	adamPart = 1 << 14
)

// gradNorm returns the Euclidean length of the gradient.
func gradNorm(grad []float32, team crew, sums []float64) float64 {
	parts := blocks(len(grad), normPart)
	team.run(parts, func(_, t int) {
		from, to := block(t, normPart, len(grad))
		sum := 0.0
		for ; from < to; from += normRun {
			run := grad[from:min(from+normRun, to)]
			sum += float64(dot(run, run))
		}
		sums[t] = sum
	})
	total := 0.0
	for _, s := range sums[:parts] {
		total += s
	}
	return math.Sqrt(total)
}

// clipFactor is what the gradient is multiplied by so that it is no longer than
// most; 1 where most is none. The 1e-6 is PyTorch's (clip_grad_norm_).
func clipFactor(norm, most float64) float64 {
	if most <= 0 || norm+1e-6 <= most {
		return 1
	}
	return most / (norm + 1e-6)
}

// rate is the learning rate of a step, counted from 0: it rises in equal steps
// to LearningRate over Warmup steps, then falls along half a cosine and is
// LearningRateMin at the last step (Loshchilov and Hutter, arXiv:1608.03983,
// formula 5, without restarts).
func (c TrainConfig) rate(step int) float64 {
	if step < c.Warmup {
		return c.LearningRate * float64(step+1) / float64(c.Warmup)
	}
	done := float64(step+1-c.Warmup) / float64(c.Steps-c.Warmup)
	return c.LearningRateMin + (c.LearningRate-c.LearningRateMin)*(1+math.Cos(math.Pi*done))/2
}

// update takes one step of AdamW, the step counted from 0.
func (a *adamw) update(m *Model, grad []float32, c TrainConfig, step int, rate, clip float64, team crew) {
	fix1 := 1 - math.Pow(c.Beta1, float64(step+1))
	fix2 := 1 - math.Pow(c.Beta2, float64(step+1))
	s := adamStep{
		clip: float32(clip), beta1: float32(c.Beta1), beta2: float32(c.Beta2),
		rate: float32(rate / fix1), rootFix: float32(1 / math.Sqrt(fix2)), epsilon: float32(c.Epsilon),
	}
	type part struct {
		from, to int
		keep     float32
	}
	var parts []part
	for _, t := range m.tensors {
		keep := float32(1)
		if t.decays() {
			keep = float32(1 - rate*c.WeightDecay)
		}
		for at := 0; at < t.size(); at += adamPart {
			parts = append(parts, part{t.offset + at, t.offset + min(at+adamPart, t.size()), keep})
		}
	}
	team.run(len(parts), func(_, t int) {
		p, s := parts[t], s
		s.keep = p.keep
		adam(m.weights[p.from:p.to], a.m[p.from:p.to], a.v[p.from:p.to], grad[p.from:p.to], s)
	})
}
