package serving

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"

	"github.com/gaon-ai/gaon/internal/lm"
)

// Reasons why an answer ended.
const (
	finishStop   = "stop"
	finishLength = "length"
)

// Usage counts the tokens of a request. The begin mark that is put before a
// prompt counts; an end mark that the model draws does not.
type Usage struct {
	Prompt     int64 `json:"prompt_tokens"`
	Completion int64 `json:"completion_tokens"`
	Total      int64 `json:"total_tokens"`
}

// sink takes the answers as they come, one after another, each begun, written
// and ended. An error ends everything: nobody listens any more.
type sink interface {
	begin(index int, u Usage) error
	write(index int, p piece, u Usage) error
	end(index int, reason string, u Usage) error
}

// serve answers one request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, parse func(map[string]json.RawMessage) (*request, error)) {
	ctx := r.Context()
	body, err := ReadBody(w, r)
	var q *request
	if err == nil {
		q, err = parse(body)
	}
	var a *reading
	if err == nil {
		a, err = s.ready(q)
	}
	var session *lm.Session
	if err == nil {
		session, err = s.take(ctx)
	}
	if err != nil {
		fail(w, ctx, err)
		return
	}
	defer func() { s.slots <- session }()
	head := s.head(a)
	if a.stream {
		s.serveStream(ctx, w, r, session, a, head)
		return
	}
	out := &collected{a: a, server: s}
	usage, err := s.answer(ctx, session, a, out)
	if err != nil {
		fail(w, ctx, err)
		return
	}
	head.Choices, head.Usage = out.choices, usage
	extendDeadline(w)
	WriteJSON(w, http.StatusOK, head)
}

// fail answers with the problem. Internal text stays inside.
func fail(w http.ResponseWriter, ctx context.Context, err error) {
	var p *Problem
	switch {
	case ctx.Err() != nil:
		return // nobody listens
	case errors.As(err, &p):
		p.Write(w)
	default:
		slog.Error("answer failed", "err", err)
		internal().Write(w)
	}
}

func internal() *Problem {
	return &Problem{Status: http.StatusInternalServerError, Type: ServerError, Kind: "internal_error",
		Message: "the model could not answer this: its operator finds the cause in the job's log"}
}

// answer writes all answers of the request with the session, which it leaves
// as it likes.
func (s *Server) answer(ctx context.Context, session *lm.Session, a *reading, out sink) (Usage, error) {
	var usage Usage
	if !a.seeded {
		a.sampling.Seed = rand.Uint64()
	}
	for i, in := range a.inputs {
		session.Truncate(0)
		usage.Prompt += int64(len(in.ids))
		usage.Total += int64(len(in.ids))
		for n := range a.n {
			c := &choice{Server: s, session: session, a: a, in: in, index: i*a.n + n, out: out, usage: &usage}
			c.seed = a.sampling.Seed + uint64(c.index)*seedStep
			if err := c.run(ctx); err != nil {
				return usage, err
			}
		}
	}
	return usage, nil
}

// seedStep, 2^64 divided by the golden ratio, keeps the seeds of a request's
// answers away from those of requests with the next seed.
const seedStep = 0x9e3779b97f4a7c15

// choice is one answer under way.
type choice struct {
	*Server
	session *lm.Session
	a       *reading
	in      input
	index   int
	seed    uint64
	out     sink
	usage   *Usage
	text    *writing
}

func (c *choice) run(ctx context.Context) error {
	c.text = newWriting(c.words, c.a.stops, c.a.logprobs)
	if err := c.out.begin(c.index, *c.usage); err != nil {
		return err
	}
	if err := c.echo(ctx); err != nil {
		return err
	}
	reason, err := c.draw(ctx)
	if err != nil {
		return err
	}
	if err := c.send(c.text.finish()); err != nil {
		return err
	}
	if c.text.stopped {
		reason = finishStop
	}
	return c.out.end(c.index, reason, *c.usage)
}

func (c *choice) send(p piece) error {
	if p.text == "" && len(p.entries) == 0 {
		return nil
	}
	return c.out.write(c.index, p, *c.usage)
}

// echo sends the prompt before the answer. Its log-probabilities cost a pass
// of their own, one token after another.
func (c *choice) echo(ctx context.Context) error {
	if !c.a.echo {
		return nil
	}
	p := piece{text: c.in.text}
	if c.a.logprobs {
		c.session.Truncate(0)
		before := newWriting(c.words, nil, true)
		var logits []float32
		for i, id := range c.in.ids {
			e := entry{id: id}
			if i > 0 {
				e = c.entry(id, logits)
			}
			if i >= c.in.added {
				p.entries = append(p.entries, before.push(e).entries...)
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			var err error
			if logits, err = c.session.Append(c.in.ids[i : i+1]); err != nil {
				return err
			}
		}
		p.entries = append(p.entries, before.finish().entries...)
		p.entries = append(p.entries, before.pending...)
	}
	c.text.skip(c.in.text)
	return c.send(p)
}

func (c *choice) entry(id uint32, logits []float32) entry {
	return entry{id: id, known: true, logprob: logProbOf(logits, id), top: lm.Top(logits, c.a.top)}
}

// logProbOf is log softmax of the logits at id.
func logProbOf(logits []float32, id uint32) float64 {
	best := lm.Top(logits, 1)[0]
	return best.LogProb + float64(logits[id]) - float64(logits[best.ID])
}

// draw lets the model go on.
func (c *choice) draw(ctx context.Context) (string, error) {
	if c.in.max == 0 {
		return finishLength, nil
	}
	// The session holds the prompt and perhaps an earlier answer: the last
	// token of the prompt is read again, for its logits.
	if last := len(c.in.ids) - 1; c.session.Len() > last {
		c.session.Truncate(last)
	}
	g := lm.Generation{Sampling: c.a.sampling, TokensMax: c.in.max, Stop: c.ends}
	g.Sampling.Seed = c.seed
	var failed error
	finish, err := c.session.Generate(ctx, c.in.ids[c.session.Len():], g, func(t lm.Token) bool {
		c.usage.Completion++
		c.usage.Total++
		c.drawn.Add(1)
		e := entry{id: t.ID, logprob: t.LogProb, known: true}
		if c.a.logprobs {
			e.top = lm.Top(t.Logits, c.a.top)
		}
		failed = c.send(c.text.push(e))
		return failed == nil && !c.text.stopped
	})
	if err = errors.Join(failed, err); err != nil {
		return "", err
	}
	if finish == lm.FinishLength {
		return finishLength, nil
	}
	return finishStop, nil
}
