package tokenizer_test

import (
	"context"
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/tokenizer"
)

func trained(tb testing.TB, texts []string, config tokenizer.Config) (*tokenizer.Tokenizer, tokenizer.Report) {
	tb.Helper()
	t, report, err := tokenizer.Train(context.Background(), config, docs(texts))
	if err != nil {
		tb.Fatal(err)
	}
	return t, report
}

// BenchmarkTrain learns 8,192 ids from 8 MB of Korean reviews on all cores.
func BenchmarkTrain(b *testing.B) {
	texts := reviews(b, 8<<20)
	b.SetBytes(8 << 20)
	for b.Loop() {
		_, report := trained(b, texts, tokenizer.Config{Vocab: 8192})
		b.ReportMetric(report.TokensPerEojeol, "tokens/eojeol")
	}
}

// BenchmarkEncode encodes text that the tokenizer has not seen, on one core.
func BenchmarkEncode(b *testing.B) {
	texts := reviews(b, 9<<20)
	t, _ := trained(b, texts[:len(texts)*8/9], tokenizer.Config{Vocab: 8192})
	held := strings.Join(texts[len(texts)*8/9:], "\n")
	var ids []uint32
	b.SetBytes(int64(len(held)))
	for b.Loop() {
		ids = t.AppendEncode(ids[:0], held)
	}
}

// BenchmarkEncodeRandom encodes letters at random, where no cache helps.
func BenchmarkEncodeRandom(b *testing.B) {
	texts := reviews(b, 1<<20)
	t, _ := trained(b, texts, tokenizer.Config{Vocab: 8192})
	long := strings.Repeat("가나다라마바사아자차카타파하", 1<<15)
	var ids []uint32
	b.SetBytes(int64(len(long)))
	for b.Loop() {
		ids = t.AppendEncode(ids[:0], long)
	}
}

// BenchmarkDecode decodes the same text.
func BenchmarkDecode(b *testing.B) {
	texts := reviews(b, 1<<20)
	t, _ := trained(b, texts, tokenizer.Config{Vocab: 8192})
	held := strings.Join(texts, "\n")
	ids := t.Encode(held)
	b.SetBytes(int64(len(held)))
	for b.Loop() {
		t.Decode(ids)
	}
}
