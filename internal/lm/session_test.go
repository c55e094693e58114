package lm

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
)

// fullLogits returns the logits of every position from the pass that training
// uses, which keeps no cache.
func fullLogits(m *Model, tokens []uint32) [][]float32 {
	c := m.config
	p := newPass(m, 1, len(tokens), newCrew(2), false)
	p.pack()
	p.run(tokens)
	out := make([][]float32, len(tokens))
	row := make([]float32, c.HiddenSize)
	for t := range out {
		out[t] = make([]float32, c.VocabSize)
		rmsNorm(row, p.top[t*c.HiddenSize:(t+1)*c.HiddenSize], m.norm, nil, c.HiddenSize, c.NormEpsilon)
		gemm(1, c.VocabSize, c.HiddenSize, row, c.HiddenSize, 1, p.forward.head, out[t], c.VocabSize, false)
	}
	return out
}

func mustAppend(t *testing.T, s *Session, ids ...uint32) []float32 {
	t.Helper()
	logits, err := s.Append(ids)
	if err != nil {
		t.Fatal(err)
	}
	return logits
}

// sameBits compares logits to the bit.
func sameBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s: logit %d is %g, want %g", what, i, got[i], want[i])
		}
	}
}

// However a text is cut into calls, the cache gives the logits of the full pass
// to the bit: short and long parts, beyond each part size of the session.
func TestSessionEqualsFullPass(t *testing.T) {
	withKernels(t, func(t *testing.T) {
		for _, tied := range []bool{false, true} {
			c := tinyConfig()
			c.ContextLength, c.HeadDim, c.TieEmbeddings = 300, 34, tied // more than a panel wide
			m, err := New(c, 3)
			if err != nil {
				t.Fatal(err)
			}
			text := ids(4, c.ContextLength, c.VocabSize)
			want := fullLogits(m, text)
			for _, parts := range [][]int{{300}, {1, 1, 1, 64, 1, 65, 32, 33, 1, 101}, {150, 150}} {
				s, at := m.NewSession(), 0
				for _, n := range parts {
					sameBits(t, "part", mustAppend(t, s, text[at:at+n]...), want[at+n-1])
					at += n
				}
				if s.Len() != 300 {
					t.Fatalf("the session has read %d tokens", s.Len())
				}
			}
			s := m.NewSession()
			for i, id := range text[:140] {
				sameBits(t, "one by one", mustAppend(t, s, id), want[i])
			}
			// Another continuation, then back to the first.
			s.Truncate(60)
			mustAppend(t, s, ids(5, 90, c.VocabSize)...)
			s.Truncate(60)
			sameBits(t, "after truncation", mustAppend(t, s, text[60:200]...), want[199])
			s.Truncate(0)
			sameBits(t, "from the start", mustAppend(t, s, text[0]), want[0])
		}
	})
}

func TestSessionRefusals(t *testing.T) {
	m := tinyModel(t) // context 80, vocabulary 37
	s := m.NewSession()
	text := ids(1, 80, 37)
	mustAppend(t, s, text[:70]...)
	for _, row := range []struct {
		what string
		ids  []uint32
		says string
	}{
		{"nothing", nil, "no tokens"},
		{"one too many", text[:11], "70 tokens and 11 more"},
		{"an unknown id", []uint32{1, 37}, "token 1 of the input is id 37"},
		{"the greatest id", []uint32{math.MaxUint32}, "4294967295"},
	} {
		if _, err := s.Append(row.ids); err == nil || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v, want %q", row.what, err, row.says)
		}
		if s.Len() != 70 {
			t.Fatalf("%s: the session has %d tokens after the refusal, want 70", row.what, s.Len())
		}
	}
	sameBits(t, "after refusals", mustAppend(t, s, text[70:]...), fullLogits(m, text)[79])

	broken := tinyModel(t)
	broken.norm[3] = float32(math.Inf(1))
	if _, err := broken.NewSession().Append(text); !errors.Is(err, errNotFinite) {
		t.Errorf("weights without end: %v", err)
	}
	if _, err := broken.LogProbs(t.Context(), text); !errors.Is(err, errNotFinite) {
		t.Errorf("scores from weights without end: %v", err)
	}
}

// Sessions of one model run side by side.
func TestSessionsSideBySide(t *testing.T) {
	m := tinyModel(t)
	text := ids(1, 80, 37)
	want := fullLogits(tinyModel(t), text)
	var group sync.WaitGroup
	for w := range 4 {
		group.Go(func() {
			s := m.NewSession()
			for i := range 80 - w {
				logits, err := s.Append(text[i : i+1])
				if err != nil || !slices.Equal(logits, want[i]) {
					t.Errorf("session %d, token %d: other logits, %v", w, i, err)
					return
				}
			}
		})
	}
	group.Wait()
}

func TestLogProbsEqualForward(t *testing.T) {
	withKernels(t, func(t *testing.T) {
		m := tinyModel(t)
		text := ids(1, 81, 37) // the context and one
		got, err := m.LogProbs(t.Context(), text)
		if err != nil || len(got) != 80 {
			t.Fatalf("%d numbers, %v", len(got), err)
		}
		p := newPass(m, 1, 80, newCrew(1), false)
		p.pack()
		p.run(text[:80])
		p.losses(text[1:])
		for i, nats := range p.loss {
			if got[i] != -nats {
				t.Fatalf("id %d: %.17g, the full pass says %.17g", i+1, got[i], -nats)
			}
		}
		for i, row := range fullLogits(m, text[:80]) {
			if want := logProb(row, text[i+1]); math.Abs(got[i]-want) > 1e-5 {
				t.Fatalf("id %d: %g, the logits say %g", i+1, got[i], want)
			}
		}
	})
}

// Beyond the context each id has at least half of it before it, and the number
// is that of the last tokens alone.
func TestLogProbsOfLongText(t *testing.T) {
	m := tinyModel(t)
	const span = 80
	for _, n := range []int{1, 2, 80, 81, 82, 120, 121, 122, 200, 333} {
		text := ids(uint64(n), n, 37)
		got, err := m.LogProbs(t.Context(), text)
		if err != nil || len(got) != n-1 {
			t.Fatalf("%d ids: %d numbers, %v", n, len(got), err)
		}
		next := 0
		for _, w := range scoreWindows(n, span) {
			if w.first != next || w.to-w.from > span || w.from < 0 || w.to >= n {
				t.Fatalf("%d ids: window %+v after id %d", n, w, next)
			}
			if w.from > 0 && w.first+1-w.from < span/2 {
				t.Fatalf("%d ids: window %+v gives its first id only %d before it", n, w, w.first+1-w.from)
			}
			next = w.to
			rows := fullLogits(m, text[w.from:w.to])
			for i := w.first; i < w.to; i++ {
				if want := logProb(rows[i-w.from], text[i+1]); math.Abs(got[i]-want) > 1e-5 {
					t.Fatalf("%d ids: id %d has %g, want %g", n, i+1, got[i], want)
				}
			}
		}
		if next != n-1 {
			t.Fatalf("%d ids: only %d were scored", n, next)
		}
	}
	for _, short := range []int{1, 2, 3, 7} {
		if all := scoreWindows(20, short); all[len(all)-1].to != 19 {
			t.Errorf("context %d: windows %v", short, all)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.LogProbs(ctx, ids(1, 50, 37)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := m.LogProbs(t.Context(), nil); err == nil {
		t.Error("no ids were scored")
	}
	if _, err := m.LogProbs(t.Context(), []uint32{1, 40}); err == nil || !strings.Contains(err.Error(), "id 40") {
		t.Errorf("an unknown id: %v", err)
	}
}

func TestSampler(t *testing.T) {
	logits := []float32{1, 3, 2, 3, -1, 0}
	share := func(s Sampling, draws int) map[uint32]float64 {
		counts := map[uint32]float64{}
		for i := range draws {
			s.Seed = uint64(i)
			id, _ := NewSampler(s).Next(logits)
			counts[id] += 1 / float64(draws)
		}
		return counts
	}
	probabilities := func(temperature float64, ids ...uint32) map[uint32]float64 {
		total, p := 0.0, map[uint32]float64{}
		for _, id := range ids {
			p[id] = math.Exp(float64(logits[id]) / temperature)
			total += p[id]
		}
		for _, id := range ids {
			p[id] /= total
		}
		return p
	}
	for _, row := range []struct {
		what string
		s    Sampling
		want map[uint32]float64
	}{
		{"temperature 0 takes the greatest, the lower id of two", Sampling{}, map[uint32]float64{1: 1}},
		{"temperature 1 draws from the model", Sampling{Temperature: 1}, probabilities(1, 0, 1, 2, 3, 4, 5)},
		{"temperature 2 is flatter", Sampling{Temperature: 2}, probabilities(2, 0, 1, 2, 3, 4, 5)},
		{"a low temperature is nearly greedy", Sampling{Temperature: 0.01}, map[uint32]float64{1: 0.5, 3: 0.5}},
		{"top_k 1", Sampling{Temperature: 1, TopK: 1}, map[uint32]float64{1: 1}},
		{"top_k 3", Sampling{Temperature: 1, TopK: 3}, probabilities(1, 1, 2, 3)},
		{"top_k beyond the vocabulary", Sampling{Temperature: 1, TopK: 99}, probabilities(1, 0, 1, 2, 3, 4, 5)},
		{"top_p 0.5 needs both of the greatest", Sampling{Temperature: 1, TopP: 0.5}, probabilities(1, 1, 3)},
		{"top_p 0.9 needs three", Sampling{Temperature: 1, TopP: 0.9}, probabilities(1, 1, 2, 3)},
		{"top_p next to nothing keeps one", Sampling{Temperature: 1, TopP: 1e-9}, map[uint32]float64{1: 1}},
		{"top_p 1 keeps all", Sampling{Temperature: 1, TopP: 1}, probabilities(1, 0, 1, 2, 3, 4, 5)},
		{"top_p after top_k", Sampling{Temperature: 1, TopK: 2, TopP: 0.4}, map[uint32]float64{1: 1}},
		{"a bias wins", Sampling{LogitBias: map[uint32]float64{4: 100, 77: 100}}, map[uint32]float64{4: 1}},
		{"a bias bans", Sampling{LogitBias: map[uint32]float64{1: -100, 3: -100}}, map[uint32]float64{2: 1}},
	} {
		got := share(row.s, 4000)
		for id := range uint32(6) {
			if math.Abs(got[id]-row.want[id]) > 0.03 || row.want[id] == 0 && got[id] > 0 {
				t.Errorf("%s: id %d was drawn in %.3f of cases, want %.3f", row.what, id, got[id], row.want[id])
			}
		}
	}
	s := NewSampler(Sampling{Temperature: 0.7, TopP: 0.9, PresencePenalty: 1})
	for range 5 {
		if id, logprob := s.Next(logits); math.Abs(logprob-math.Log(probabilities(1, 0, 1, 2, 3, 4, 5)[id])) > 1e-6 {
			t.Errorf("the log-probability of %d is %g, want the model's own", id, logprob)
		}
	}
	if !slices.Equal(logits, []float32{1, 3, 2, 3, -1, 0}) {
		t.Error("the sampler changed the logits")
	}
}

func TestSamplerPenalties(t *testing.T) {
	logits := []float32{1, 3, 2.4}
	draw := func(s Sampling) []uint32 {
		sampler, out := NewSampler(s), []uint32(nil)
		for range 6 {
			id, _ := sampler.Next(logits)
			out = append(out, id)
		}
		return out
	}
	for _, row := range []struct {
		what string
		s    Sampling
		want []uint32
	}{
		{"none", Sampling{}, []uint32{1, 1, 1, 1, 1, 1}},
		{"presence counts once", Sampling{PresencePenalty: 1}, []uint32{1, 2, 1, 1, 1, 1}},
		{"frequency counts each", Sampling{FrequencyPenalty: 1}, []uint32{1, 2, 1, 2, 0, 1}},
		{"a negative penalty is a reward", Sampling{FrequencyPenalty: -1}, []uint32{1, 1, 1, 1, 1, 1}},
	} {
		if got := draw(row.s); !slices.Equal(got, row.want) {
			t.Errorf("%s: drew %v, want %v", row.what, got, row.want)
		}
	}
}

func TestSamplingRefusals(t *testing.T) {
	for _, row := range []struct {
		names string
		s     Sampling
	}{
		{"temperature", Sampling{Temperature: -0.1}},
		{"temperature", Sampling{Temperature: 2.1}},
		{"temperature", Sampling{Temperature: math.NaN()}},
		{"top_p", Sampling{TopP: 1.1}},
		{"top_k", Sampling{TopK: -1}},
		{"frequency_penalty", Sampling{FrequencyPenalty: 3}},
		{"presence_penalty", Sampling{PresencePenalty: math.Inf(-1)}},
		{"logit_bias", Sampling{LogitBias: map[uint32]float64{1: math.NaN()}}},
	} {
		var refusal *SamplingError
		if err := row.s.Validate(); !errors.As(err, &refusal) || refusal.Parameter != row.names {
			t.Errorf("%+v: %v, want a refusal of %s", row.s, err, row.names)
		}
	}
}

func TestTop(t *testing.T) {
	logits := []float32{1, 3, 2, 3, -1, 0}
	for n, want := range map[int][]uint32{-1: {}, 0: {}, 1: {1}, 4: {1, 3, 2, 0}, 6: {1, 3, 2, 0, 5, 4}, 20: {1, 3, 2, 0, 5, 4}} {
		got := []uint32{}
		for _, c := range Top(logits, n) {
			got = append(got, c.ID)
			if math.Abs(c.LogProb-logProb(logits, c.ID)) > 1e-9 {
				t.Errorf("top %d: id %d has %g, want %g", n, c.ID, c.LogProb, logProb(logits, c.ID))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("top %d is %v, want %v", n, got, want)
		}
	}
}

func generate(t *testing.T, m *Model, prompt []uint32, g Generation) ([]uint32, Finish) {
	t.Helper()
	var out []uint32
	finish, err := m.Generate(t.Context(), prompt, g, func(token Token) bool {
		if math.Abs(token.LogProb-logProb(token.Logits, token.ID)) > 1e-9 {
			t.Errorf("token %d has %g", token.ID, token.LogProb)
		}
		out = append(out, token.ID)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, finish
}

func TestGenerate(t *testing.T) {
	m := tinyModel(t)
	m.config.EOS = -1
	prompt := ids(1, 10, 37)
	warm := Generation{Sampling: Sampling{Temperature: 1, TopP: 0.95, Seed: 5}, TokensMax: 30}
	one, finish := generate(t, m, prompt, warm)
	if len(one) != 30 || finish != FinishLength {
		t.Fatalf("%d tokens, %s", len(one), finish)
	}
	if again, _ := generate(t, m, prompt, warm); !slices.Equal(again, one) {
		t.Error("the same seed gave another text")
	}
	warm.Sampling.Seed = 6
	if other, _ := generate(t, m, prompt, warm); slices.Equal(other, one) {
		t.Error("another seed gave the same text")
	}
	warm.Sampling.Seed = 5

	// Greedy generation is what the full pass says, without a cache.
	greedy, finish := generate(t, m, prompt, Generation{})
	if len(prompt)+len(greedy) != 81 || finish != FinishLength {
		t.Fatalf("the context of 80 and the token after it were not filled: %d, %s", len(greedy), finish)
	}
	text := slices.Clone(prompt)
	for i, id := range greedy {
		rows := fullLogits(m, text)
		if best := Top(rows[len(rows)-1], 1)[0].ID; best != id {
			t.Fatalf("greedy token %d is %d, the full pass says %d", i, id, best)
		}
		text = append(text, id)
	}

	warm.Stop = []uint32{one[7]}
	first := slices.Index(one, one[7])
	if got, finish := generate(t, m, prompt, warm); !slices.Equal(got, one[:first]) || finish != FinishStop {
		t.Errorf("stopped with %s after %v, want %v", finish, got, one[:first])
	}
	warm.Stop = nil
	m.config.EOS = int(one[7])
	if got, finish := generate(t, m, prompt, warm); !slices.Equal(got, one[:first]) || finish != FinishStop {
		t.Errorf("the end token: %s after %v, want %v", finish, got, one[:first])
	}
	m.config.EOS = -1

	taken, _ := m.Generate(t.Context(), prompt, warm, func(Token) bool { return false })
	if taken != FinishTaken {
		t.Errorf("nobody wanted more: %s", taken)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := m.Generate(ctx, prompt, warm, func(Token) bool { cancel(); return true }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	var long *ContextError
	if _, err := m.Generate(t.Context(), ids(1, 81, 37), warm, nil); !errors.As(err, &long) || long.Limit != 80 {
		t.Errorf("a prompt beyond the context: %v", err)
	}
	if _, err := m.Generate(t.Context(), prompt, Generation{Sampling: Sampling{TopP: 7}}, nil); err == nil {
		t.Error("top_p 7 was taken")
	}
}
