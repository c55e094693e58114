package lm

import (
	"context"
	"slices"
)

// Generation says how a text goes on and when it ends.
type Generation struct {
	Sampling Sampling
	// TokensMax is the greatest number of tokens drawn; 0: until the context is
	// full.
	TokensMax int
	// Stop are the ids that end the text, beside the model's end token. They are
	// not handed on.
	Stop []uint32
}

// Finish says why a text ended.
type Finish string

// The names are those of the OpenAI API's finish_reason, but for FinishTaken.
const (
	FinishStop   Finish = "stop"   // the end token or one of Stop was drawn
	FinishLength Finish = "length" // TokensMax were drawn or the context is full
	FinishTaken  Finish = "taken"  // each wanted no more
)

// Token is a drawn token.
type Token struct {
	ID      uint32
	LogProb float64 // nats, under the model itself
	// Logits are those that it was drawn from, valid until each returns.
	Logits []float32
}

// Generate continues the prompt token by token and hands each to each, until
// that returns false. A prompt longer than the context is refused with
// *ContextError: the caller knows best what to leave out.
func (m *Model) Generate(ctx context.Context, prompt []uint32, g Generation, each func(Token) bool) (Finish, error) {
	return m.NewSession().Generate(ctx, prompt, g, each)
}

// Generate is Model.Generate after what the session has read already. The
// session keeps the prompt and the tokens handed on, the last one left out.
func (s *Session) Generate(ctx context.Context, prompt []uint32, g Generation, each func(Token) bool) (Finish, error) {
	if err := g.Sampling.Validate(); err != nil {
		return "", err
	}
	c := s.pass.m.config
	sampler := NewSampler(g.Sampling)
	logits, err := s.Append(prompt)
	for n := 1; err == nil; n++ {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		id, logprob := sampler.Next(logits)
		switch {
		case int(id) == c.EOS || slices.Contains(g.Stop, id):
			return FinishStop, nil
		case !each(Token{id, logprob, logits}):
			return FinishTaken, nil
		case n == g.TokensMax || s.length == c.ContextLength:
			return FinishLength, nil
		}
		logits, err = s.Append([]uint32{id})
	}
	return "", err
}
