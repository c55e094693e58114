package lm

import (
	"errors"
	"math"
)

// sessionRows is the number of tokens that go through the blocks together.
const sessionRows = rowPart

// Session reads one sequence, keeping the keys and values of what it has read,
// so that each further token costs one row of work instead of all of them. It
// gives the same logits to the bit as a pass over the whole sequence.
//
// A session runs on the goroutine that calls it and must not be used by two at
// once; sessions of one model may run side by side. It holds
// 2·layers·kvHeads·headDim floats a token, doubling as it grows.
type Session struct {
	pass   pass // batch of one; all layers share one state
	cache  []kvCache
	length int
	scores []float32 // queryPart × cache capacity
	logits []float32
}

// kvCache holds the keys and values of one key-value head in the layout that
// the products want.
type kvCache struct {
	keys   panels // headDim × capacity: column j is the rotated key of token j
	values panels // capacity × headDim: row j is the value of token j
}

// NewSession starts an empty sequence. The first one packs the weights for the
// kernel, which takes as much memory again as the weights.
func (m *Model) NewSession() *Session {
	m.once.Do(func() {
		m.packTransposed(&m.packed, newCrew(0))
		m.cos, m.sin = m.config.rotary(m.config.ContextLength)
	})
	c := m.config
	return &Session{
		pass:  pass{m: m, team: crew{1}, batch: 1, forward: m.packed, layers: make([]layerState, c.Layers)},
		cache: make([]kvCache, c.Layers*c.KVHeads),
	}
}

// Len is the number of tokens read.
func (s *Session) Len() int { return s.length }

// Truncate forgets all tokens from the n-th on, n from 0 to Len.
func (s *Session) Truncate(n int) {
	if n < 0 || n > s.length {
		panic("lm: truncate a session beyond its length")
	}
	s.length = n
}

var (
	errNoTokens  = errors.New("no tokens were given: at least one must be read before another can be predicted")
	errNotFinite = errors.New("the model's logits are not finite numbers: its weights are of no use")
)

// check says why the ids cannot be read.
func (s *Session) check(ids []uint32) error {
	c := s.pass.m.config
	if len(ids) == 0 {
		return errNoTokens
	}
	if len(ids) > c.ContextLength-s.length {
		return &ContextError{Have: s.length, More: len(ids), Limit: c.ContextLength}
	}
	return checkTokens(ids, c.VocabSize)
}

// Append reads the ids and returns the logits, VocabSize of them, of the token
// after the last. They are valid until the next call. If it fails (*TokenError,
// *ContextError, no ids) the session is as it was.
func (s *Session) Append(ids []uint32) (logits []float32, err error) {
	if err := s.check(ids); err != nil {
		return nil, err
	}
	before := s.length
	rows := 0
	for from := 0; from < len(ids); from += sessionRows {
		rows = min(sessionRows, len(ids)-from)
		s.advance(ids[from : from+rows])
	}
	p := &s.pass
	c, d := p.m.config, p.m.config.HiddenSize
	if s.logits == nil {
		s.logits = make([]float32, c.VocabSize)
	}
	last := p.last[:d]
	rmsNorm(last, p.top[(rows-1)*d:rows*d], p.m.norm, nil, d, c.NormEpsilon)
	gemm(1, c.VocabSize, d, last, d, 1, p.forward.head, s.logits, c.VocabSize, false)
	for _, l := range s.logits {
		if l-l != 0 {
			s.length = before
			return nil, errNotFinite
		}
	}
	return s.logits, nil
}

// advance carries at most sessionRows tokens, which fit, through the blocks and
// leaves their rows in pass.top.
func (s *Session) advance(ids []uint32) {
	p := &s.pass
	c, d, n := p.m.config, p.m.config.HiddenSize, len(ids)
	s.reserve(n)
	p.span, p.rows = n, n
	half := c.HeadDim / 2
	p.cos, p.sin = p.m.cos[s.length*half:], p.m.sin[s.length*half:]
	for r, id := range ids {
		copy(p.layers[0].x[r*d:r*d+d], p.m.embed[int(id)*d:])
	}
	for l := range p.layers {
		p.beforeAttention(l, 0, n)
		for kv := range c.KVHeads {
			s.attention(l, kv, n)
		}
		p.afterAttention(l, 0, n)
	}
	s.length += n
}

// attention is pass.attention for n new rows after those in the cache.
func (s *Session) attention(l, kv, n int) {
	c, state, cache := s.pass.m.config, &s.pass.layers[l], &s.cache[l*s.pass.m.config.KVHeads+kv]
	hd, width, q := c.HeadDim, c.qkvWidth(), c.queryWidth()
	kAt, vAt := q+kv*hd, q+c.kvWidth()+kv*hd
	for r := range n {
		cache.keys.setColumn(s.length+r, state.qkv[r*width+kAt:r*width+kAt+hd])
		cache.values.setRow(s.length+r, state.qkv[r*width+vAt:r*width+vAt+hd])
	}
	span := cache.values.k
	group := c.Heads / c.KVHeads
	for h := kv * group; h < (kv+1)*group; h++ {
		for from := 0; from < n; from += queryPart {
			to := min(from+queryPart, n)
			live := s.length + to
			gemm(to-from, live, hd, state.qkv[from*width+h*hd:], width, 1, cache.keys, s.scores, span, false)
			for i := from; i < to; i++ {
				softmax(s.scores[(i-from)*span:(i-from)*span+live], s.length+i+1, hd)
			}
			gemm(to-from, hd, live, s.scores, span, 1, cache.values, state.att[from*q+h*hd:], q, false)
		}
	}
}

// reserve makes room for n more tokens.
func (s *Session) reserve(n int) {
	p := &s.pass
	c := p.m.config
	if have := len(p.top) / c.HiddenSize; have < n {
		rows := 1
		if n > 1 {
			rows = sessionRows
		}
		state := newLayerState(c, rows)
		for l := range p.layers {
			p.layers[l] = state
		}
		p.top = make([]float32, rows*c.HiddenSize)
		p.last = make([]float32, rows*c.HiddenSize)
		p.rstd = make([]float32, rows)
	}
	have := 0
	if s.scores != nil {
		have = len(s.scores) / queryPart
	}
	if s.length+n <= have {
		return
	}
	capacity := min(max(sessionRows, 2*have, s.length+n), c.ContextLength)
	s.scores = make([]float32, queryPart*capacity)
	for i, old := range s.cache {
		s.cache[i] = kvCache{keys: newPanels(c.HeadDim, capacity), values: newPanels(capacity, c.HeadDim)}
		for j := range s.length {
			for e := range c.HeadDim {
				s.cache[i].keys.set(e, j, old.keys.at(e, j))
				s.cache[i].values.set(j, e, old.values.at(j, e))
			}
		}
	}
}

// logProb returns log softmax of the logits at id.
func logProb(logits []float32, id uint32) float64 {
	return float64(logits[id]) - logSum(logits)
}

// logSum returns log Σ exp(logit).
func logSum(logits []float32) float64 {
	top := float64(maximum(logits))
	sum := 0.0
	for _, l := range logits {
		sum += math.Exp(float64(l) - top)
	}
	return top + math.Log(sum)
}
