package lm

import (
	"fmt"
	"runtime"
	"testing"
)

// demoConfig is about the model of gaon demo: 2.6 million weights.
func demoConfig() Config {
	return Config{
		VocabSize: 2048, HiddenSize: 192, InnerSize: 512, Layers: 4, Heads: 6, KVHeads: 3, HeadDim: 32,
		ContextLength: 128, RopeTheta: 10000, NormEpsilon: 1e-5, BOS: 0, EOS: 1, TieEmbeddings: true,
	}
}

// benchConfig has 4.3 million weights, as many as the model with which other
// libraries were compared.
func benchConfig() Config {
	c := demoConfig()
	c.HiddenSize, c.InnerSize, c.Heads, c.KVHeads, c.TieEmbeddings = 256, 704, 8, 4, false
	return c
}

func BenchmarkTrain(b *testing.B) {
	for _, model := range []struct {
		name  string
		c     Config
		batch int
	}{{"demo/batch=16", demoConfig(), 16}, {"4.3M/batch=8", benchConfig(), 8}} {
		for _, workers := range []int{1, 2} {
			if workers > runtime.GOMAXPROCS(0) {
				continue
			}
			b.Run(fmt.Sprintf("%s/threads=%d", model.name, workers), func(b *testing.B) {
				m, err := New(model.c, 1)
				if err != nil {
					b.Fatal(err)
				}
				r := &run{
					config: TrainConfig{Model: model.c, Batch: model.batch, Steps: 1}.withDefaults(),
					team:   newCrew(workers), model: m,
					state: adamw{make([]float32, len(m.weights)), make([]float32, len(m.weights))},
				}
				p := newPass(m, model.batch, model.c.ContextLength, r.team, true)
				w := newWindows(1, ids(1, 10000, model.c.VocabSize), model.c.ContextLength)
				inputs, targets := make([]uint32, p.rows), make([]uint32, p.rows)
				sums := make([]float64, blocks(len(m.weights), normPart))
				step := 0
				for b.Loop() {
					w.batch(step, inputs, targets)
					r.update(p, inputs, targets, sums)
					step++
				}
				seconds := b.Elapsed().Seconds() / float64(b.N)
				b.ReportMetric(float64(p.rows)/seconds, "tokens/s")
				b.ReportMetric(float64(model.batch)*float64(model.c.TrainingFlops(model.c.ContextLength))/seconds/1e9, "GFLOP/s")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

func BenchmarkGenerate(b *testing.B) {
	for name, c := range map[string]Config{"demo": demoConfig(), "4.3M": benchConfig()} {
		m, err := New(c, 1)
		if err != nil {
			b.Fatal(err)
		}
		s := m.NewSession()
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if s.Len() == c.ContextLength {
					s.Truncate(0)
				}
				if _, err := s.Append([]uint32{7}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}

func BenchmarkLogProbs(b *testing.B) {
	m, err := New(demoConfig(), 1)
	if err != nil {
		b.Fatal(err)
	}
	text := ids(1, 129, m.config.VocabSize)
	for b.Loop() {
		if _, err := m.LogProbs(b.Context(), text); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*128/b.Elapsed().Seconds(), "tokens/s")
}
