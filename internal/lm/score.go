package lm

import (
	"context"
	"sync"
)

// LogProbs returns the natural logarithm of the probability of each id after
// the first, given those before it: len(ids)-1 numbers.
//
// Ids that fit the context in one piece are each given all that stands before.
// Longer ones are read through windows as long as the context, T: the first
// scores ids 1 to T; each further one begins T/2 ids (rounded down) after the
// one before and scores the ids that it did not reach; the last is moved back
// to end at the last id. So every id is given all before it or at least T/2 ids,
// and no window knows more than T. The rule reads each id about twice.
//
// Windows are shared out over the cores; the numbers do not depend on it. It
// fails with *TokenError, or with ctx's error.
func (m *Model) LogProbs(ctx context.Context, ids []uint32) ([]float64, error) {
	if len(ids) == 0 {
		return nil, errNoTokens
	}
	if err := checkTokens(ids, m.config.VocabSize); err != nil {
		return nil, err
	}
	all := scoreWindows(len(ids), m.config.ContextLength)
	out := make([]float64, len(ids)-1)
	team := newCrew(0)
	sessions := make([]*Session, team.workers)
	var once sync.Once
	var failed error
	team.run(len(all), func(worker, t int) {
		if sessions[worker] == nil {
			sessions[worker] = m.NewSession()
		}
		w := all[t]
		if err := sessions[worker].score(ctx, ids[w.from:w.to+1], w.first-w.from, out[w.first:w.to]); err != nil {
			once.Do(func() { failed = err })
		}
	})
	if failed != nil {
		return nil, failed
	}
	return out, nil
}

// scoreWindow reads ids from to to-1 and scores those after ids first to to-1.
type scoreWindow struct{ from, to, first int }

// scoreWindows covers n ids by the rule of LogProbs.
func scoreWindows(n, context int) []scoreWindow {
	inputs := n - 1 // the last id is only predicted
	var all []scoreWindow
	for done := 0; done < inputs; {
		w := scoreWindow{from: 0, to: min(context, inputs), first: done}
		if done > 0 {
			w.to = min(all[len(all)-1].from+max(context/2, 1)+context, inputs)
			w.from = w.to - context
		}
		all = append(all, w)
		done = w.to
	}
	return all
}

// score reads all ids but the last, from an empty session, and fills out with
// the log-probabilities of the ids after input first.
func (s *Session) score(ctx context.Context, ids []uint32, first int, out []float64) error {
	s.Truncate(0)
	p := &s.pass
	c, d := p.m.config, p.m.config.HiddenSize
	inputs := len(ids) - 1
	for from := 0; from < inputs; from += sessionRows {
		if err := ctx.Err(); err != nil {
			return err
		}
		to := min(from+sessionRows, inputs)
		s.advance(ids[from:to])
		if to <= first {
			continue
		}
		if p.logits == nil {
			p.logits = make([]float32, sessionRows*c.VocabSize)
			p.loss = make([]float64, sessionRows)
		}
		rows := to - from
		rmsNorm(p.last[:rows*d], p.top[:rows*d], p.m.norm, nil, d, c.NormEpsilon)
		p.headRows(ids[from+1:to+1], 0, 0, rows)
		for r := max(first-from, 0); r < rows; r++ {
			nats := p.loss[r]
			if nats-nats != 0 {
				return errNotFinite
			}
			out[from+r-first] = -nats
		}
	}
	return nil
}
