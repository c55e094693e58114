package lm

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Sampling says how the next token is drawn. The zero value takes the most
// probable one.
type Sampling struct {
	// Temperature divides the logits; 0 takes the greatest.
	Temperature float64
	// TopP keeps the smallest set of most probable tokens whose probability
	// together reaches it; 0 and 1 keep all (Holtzman et al., arXiv:1904.09751).
	TopP float64
	// TopK keeps so many of the most probable tokens, before TopP; 0 keeps all.
	TopK int
	// FrequencyPenalty is taken from a token's logit for each time it was drawn,
	// PresencePenalty once if it was (OpenAI API reference, "Create chat
	// completion"). Tokens of the prompt do not count.
	FrequencyPenalty, PresencePenalty float64
	// Seed and the number of tokens drawn before decide the draw.
	Seed uint64
	// LogitBias is added to logits; ids beyond the vocabulary have no effect.
	LogitBias map[uint32]float64
}

// SamplingError refuses a sampling parameter.
type SamplingError struct {
	Parameter string // as in the OpenAI API: "top_p"
	Value     float64
	Want      string
}

func (e *SamplingError) Error() string {
	return fmt.Sprintf("%s is %g, want %s", e.Parameter, e.Value, e.Want)
}
func (e *SamplingError) Code() string { return "lm.sampling" }

// Validate says which parameter is wrong. The ranges are those of the OpenAI API.
func (s Sampling) Validate() error {
	for _, f := range []struct {
		name               string
		value, least, most float64
	}{
		{"temperature", s.Temperature, 0, 2},
		{"top_p", s.TopP, 0, 1},
		{"top_k", float64(s.TopK), 0, vocabSizeMax},
		{"frequency_penalty", s.FrequencyPenalty, -2, 2},
		{"presence_penalty", s.PresencePenalty, -2, 2},
	} {
		if !(f.value >= f.least && f.value <= f.most) {
			return &SamplingError{f.name, f.value, fmt.Sprintf("%g to %g", f.least, f.most)}
		}
	}
	for _, bias := range s.LogitBias {
		if !(bias >= -100 && bias <= 100) {
			return &SamplingError{"logit_bias", bias, "-100 to 100"}
		}
	}
	return nil
}

// Sampler draws tokens one after another and remembers which.
type Sampler struct {
	sampling Sampling
	drawn    uint64
	counts   map[uint32]int
	logits   []float64
	order    []uint32
}

// NewSampler starts a text. The sampling must be valid; one that is not panics.
func NewSampler(s Sampling) *Sampler {
	if err := s.Validate(); err != nil {
		panic(err)
	}
	return &Sampler{sampling: s, counts: map[uint32]int{}}
}

// Next draws a token from the logits, which it leaves as they are, and returns
// the natural logarithm of its probability under the model itself: at
// temperature 1, before penalties, bias and cuts. Of equal logits the lower id
// counts as the more probable.
func (s *Sampler) Next(logits []float32) (id uint32, logprob float64) {
	s.adjust(logits)
	if s.sampling.Temperature == 0 {
		for i, l := range s.logits {
			if l > s.logits[id] {
				id = uint32(i)
			}
		}
	} else {
		id = s.draw()
	}
	s.drawn++
	s.counts[id]++
	return id, logProb(logits, id)
}

// adjust sets s.logits to the logits after penalties and bias.
func (s *Sampler) adjust(logits []float32) {
	s.logits = s.logits[:0]
	for _, l := range logits {
		s.logits = append(s.logits, float64(l))
	}
	for id, n := range s.counts {
		if int(id) < len(logits) {
			s.logits[id] -= float64(n)*s.sampling.FrequencyPenalty + s.sampling.PresencePenalty
		}
	}
	for id, bias := range s.sampling.LogitBias {
		if int(id) < len(logits) {
			s.logits[id] += bias
		}
	}
}

// draw picks an id from s.logits, which it turns into weights e^(logit/T - top).
func (s *Sampler) draw() uint32 {
	p := s.sampling
	top := slices.Max(s.logits)
	s.order = s.order[:0]
	total := 0.0
	for i, l := range s.logits {
		s.logits[i] = math.Exp((l - top) / p.Temperature)
		total += s.logits[i]
		s.order = append(s.order, uint32(i))
	}
	if p.TopK > 0 && p.TopK < len(s.order) {
		s.sort()
		s.order = s.order[:p.TopK]
		total = s.sum()
	}
	if p.TopP > 0 && p.TopP < 1 {
		// Tokens below (1-p)/n of the probability hold less than 1-p together, so
		// none of them is needed to reach p: most of a large vocabulary goes
		// before it is sorted.
		least := (1 - p.TopP) / float64(len(s.order)) * total
		s.order = slices.DeleteFunc(s.order, func(id uint32) bool { return s.logits[id] < least })
		s.sort()
		sum := 0.0
		for i, id := range s.order {
			if sum += s.logits[id]; sum >= p.TopP*total {
				s.order = s.order[:i+1]
				break
			}
		}
		total = s.sum()
	}
	at := philox{seed: p.Seed, stream: streamPick}.unit(s.drawn) * total
	for _, id := range s.order {
		if at -= s.logits[id]; at < 0 {
			return id
		}
	}
	// Rounding left a little over: it belongs to the last token with any weight.
	for i := len(s.order) - 1; ; i-- {
		if s.logits[s.order[i]] > 0 {
			return s.order[i]
		}
	}
}

// sort puts the most probable ids first.
func (s *Sampler) sort() {
	slices.SortFunc(s.order, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(s.logits[b], s.logits[a]), cmp.Compare(a, b))
	})
}

func (s *Sampler) sum() float64 {
	total := 0.0
	for _, id := range s.order {
		total += s.logits[id]
	}
	return total
}

// Candidate is a token that might come next.
type Candidate struct {
	ID      uint32
	LogProb float64 // nats, under the model itself
}

// Top returns the n most probable tokens, the most probable first.
func Top(logits []float32, n int) []Candidate {
	n = max(min(n, len(logits)), 0)
	top := make([]Candidate, 0, n+1)
	for i, l := range logits {
		at := len(top)
		for at > 0 && float64(l) > top[at-1].LogProb {
			at--
		}
		if at < n {
			top = slices.Insert(top, at, Candidate{uint32(i), float64(l)})[:min(len(top)+1, n)]
		}
	}
	sum := logSum(logits)
	for i := range top {
		top[i].LogProb -= sum
	}
	return top
}
