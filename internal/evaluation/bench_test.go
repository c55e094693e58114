package evaluation_test

import (
	"context"
	"testing"

	"github.com/gaon-ai/gaon/internal/evaluation"
)

// BenchmarkByteModelTrain learns 5-grams from 8 MB of Korean on one core.
func BenchmarkByteModelTrain(b *testing.B) {
	texts := reviews(b, 8<<20)
	b.SetBytes(8 << 20)
	for b.Loop() {
		m := evaluation.NewByteModel(5)
		for _, text := range texts {
			m.Train(text)
		}
	}
}

// BenchmarkByteModelScore scores 1 MB of held-out Korean on one core.
func BenchmarkByteModelScore(b *testing.B) {
	texts := reviews(b, 9<<20)
	m := evaluation.NewByteModel(5)
	for _, text := range texts[:len(texts)*8/9] {
		m.Train(text)
	}
	texts = texts[len(texts)*8/9:]
	size := 0
	for _, text := range texts {
		size += len(text)
	}
	b.SetBytes(int64(size))
	for b.Loop() {
		for _, text := range texts {
			if _, err := m.DocumentBits(context.Background(), text); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkEvaluate runs a whole evaluation, baselines and compressor included,
// with 2 MB to train on and 64 kB held out.
func BenchmarkEvaluate(b *testing.B) {
	texts := reviews(b, 2<<20)
	cut := len(texts) * 31 / 32
	m := evaluation.NewByteModel(3)
	for _, text := range texts[:cut] {
		m.Train(text)
	}
	for b.Loop() {
		report, err := evaluation.Evaluate(context.Background(), evaluation.Config{}, m,
			evaluation.Input{Train: docs(texts[:cut]), HeldOut: held(texts[cut:])})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(report.BitsPerByte, "bits/byte")
		b.ReportMetric(report.ByteFivegram, "5gram-bits/byte")
		b.ReportMetric(report.Compressor.BitsPerByte, "zstd-bits/byte")
	}
}
