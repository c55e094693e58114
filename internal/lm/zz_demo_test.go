package lm_test

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gaon-ai/gaon/internal/lm"
	"github.com/gaon-ai/gaon/internal/sample"
	"github.com/gaon-ai/gaon/internal/tokenizer"
)

func num(name string, d float64) float64 {
	if v := os.Getenv(name); v != "" {
		f, _ := strconv.ParseFloat(v, 64)
		return f
	}
	return d
}

func TestZZDemo(t *testing.T) {
	docs := sample.Documents()
	var train, held []string
	for i, d := range docs {
		if i%12 == 5 {
			held = append(held, d.Text)
		} else {
			train = append(train, d.Text)
		}
	}
	seq := func(yield func(string, error) bool) {
		for _, s := range train {
			if !yield(s, nil) {
				return
			}
		}
	}
	vocab := int(num("V", 2048))
	tok, _, err := tokenizer.Train(t.Context(), tokenizer.Config{Vocab: vocab}, seq)
	if err != nil {
		t.Fatal(err)
	}
	bos, _ := tok.SpecialID(tokenizer.BeginOfText)
	eos, _ := tok.SpecialID(tokenizer.EndOfText)
	var ids []uint32
	bytes := 0
	for _, s := range train {
		ids = append(ids, bos)
		ids = tok.AppendEncode(ids, s)
		ids = append(ids, eos)
		bytes += len(s)
	}
	d := int(num("D", 192))
	c := lm.TrainConfig{
		Model: lm.Config{VocabSize: tok.VocabSize(), HiddenSize: d, InnerSize: d * 8 / 3 / 32 * 32, Layers: int(num("L", 4)), Heads: d / 32, KVHeads: d / 64, HeadDim: 32,
			ContextLength: int(num("T", 128)), RopeTheta: 10000, NormEpsilon: 1e-5, BOS: int(bos), EOS: int(eos), TieEmbeddings: num("TIE", 1) == 1},
		Seed: 1, Steps: int(num("S", 100)), Warmup: int(num("W", 10)), Batch: int(num("B", 16)), LearningRate: num("LR", 0), WeightDecay: num("WD", 0), Workers: int(num("WORKERS", 0)),
	}
	start := time.Now()
	m, r, err := lm.Train(t.Context(), c, ids)
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	nats, hb := 0.0, 0
	for _, s := range held {
		x := tok.AppendEncode([]uint32{bos}, s)
		lp, err := m.LogProbs(t.Context(), x)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lp {
			nats -= l
		}
		hb += len(s)
	}
	fmt.Printf("docs %d bytes %d tokens %d params %d; steps %d lr %g wd %g: final loss %.3f, held-out bits/byte %.4f; %.1f s, %.0f tok/s\n",
		len(train), bytes, len(ids), r.Parameters, c.Steps, c.LearningRate, c.WeightDecay, r.FinalLoss, nats/math.Ln2/float64(hb), took.Seconds(), float64(r.Tokens)/took.Seconds())
	if os.Getenv("GEN") != "" {
		var out []uint32
		m.Generate(t.Context(), tok.AppendEncode([]uint32{bos}, "아침에 "), lm.Generation{Sampling: lm.Sampling{Temperature: 0.8, TopP: 0.9}, TokensMax: 80}, func(k lm.Token) bool { out = append(out, k.ID); return true })
		fmt.Println(strings.ReplaceAll(string(tok.DecodeText(out)), "\n", "/"))
	}
}
