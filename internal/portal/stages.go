package portal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/grant"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/model"
	"github.com/gaon-ai/gaon/internal/schedule"
	"github.com/gaon-ai/gaon/internal/unit"
)

// stages is a run as a line of stages.
type stages struct {
	ID       factory.ID
	Name     string
	State    string
	Reason   string
	Org      string
	Grant    grant.ID
	Started  unit.Instant
	Elapsed  unit.Span
	Done     int // stages
	Stages   []stage
	Approve  bool // people must approve now
	Approved int
	Required int
}

// States of a stage beside those of its job.
const (
	pending = "pending" // it has no job yet
	serving = "serving" // its endpoint answers
)

// stage is one stage.
type stage struct {
	Run      factory.ID
	Name     string
	State    string // a job's, or pending
	Job      job.ID
	Attempt  int
	Elapsed  unit.Span
	Devices  int
	Chip     string
	Charged  unit.Credits
	Reason   string
	Why      schedule.Reason
	Progress *progress
	Facts    []fact
	Log      bool
}

// progress is how far a stage says it has come.
type progress struct {
	Step     string
	PerMille int64
	Left     unit.Span // an estimate; 0 is none
	Loss     string
}

// fact is a number with the key of its name in texts.
type fact struct{ Name, Value string }

// waits are the reasons of the waiting jobs.
type waits map[job.ID]schedule.Reason

func (p *Portal) why(state *centre.State, id job.ID) schedule.Reason {
	return p.reasons.get("", stamp{seq: state.Seq}, func(waits) waits {
		all := waits{}
		for _, reason := range schedule.Decide(state.View()).Wait {
			all[reason.Job] = reason
		}
		return all
	})[id]
}

func (p *Portal) stagesOf(state *centre.State, now unit.Instant, id factory.ID, run factory.Run) stages {
	org, _ := state.Party.Orgs.Get(run.Org)
	s := stages{ID: id, Name: run.Recipe.Name, State: run.State, Reason: run.Reason, Org: org.Name, Grant: run.Grant, Started: run.Started,
		Approve: run.State == factory.Awaiting, Approved: len(run.Approvals), Required: run.Recipe.Approvals}
	until := run.Ended
	if until == 0 {
		until = now
	}
	s.Elapsed = max(until.Sub(run.Started), 0)
	for _, name := range factory.Stages {
		if name == factory.StageServe && run.Recipe.Serve.Name == "" {
			continue
		}
		one := p.stageOf(state, now, id, run, name)
		if one.State == job.Succeeded || name == factory.StageServe && run.State == factory.Done {
			s.Done++
		}
		s.Stages = append(s.Stages, one)
	}
	return s
}

func (p *Portal) stageOf(state *centre.State, now unit.Instant, id factory.ID, run factory.Run, name string) stage {
	s := stage{Run: id, Name: name, State: pending}
	begun, ok := run.Stages[name]
	if !ok {
		return s
	}
	s.Job, s.State = begun.Job, begun.State
	j, known := state.Jobs.Get(begun.Job)
	if !known { // long ago; the ledger has it
		s.Facts = stageFacts(state, run, name, begun)
		return s
	}
	if !j.Done() || begun.State == job.Waiting {
		s.State = j.State
	}
	s.Attempt, s.Charged, s.Reason, s.Chip, s.Devices = j.Attempt, j.Charged, j.Reason, string(j.Chip), len(j.Placement.Devices)
	s.Log = j.Attempt > 0
	switch {
	case j.State == job.Waiting:
		s.Why = p.why(state, begun.Job)
		s.Elapsed = now.Sub(j.Submitted)
	case j.Started != 0 && j.Done():
		s.Elapsed = j.Ended.Sub(j.Started)
	case j.Started != 0:
		s.Elapsed = now.Sub(j.Started)
	}
	s.Elapsed = max(s.Elapsed, 0)
	if _, e, ok := state.Models.ByJob(begun.Job); ok && e.State == model.Ready && j.State == job.Running {
		s.State = serving
	}
	if j.State == job.Running && !j.Service {
		s.Progress = progressOf(p.progressNow(now, begun.Job, j), s.Elapsed)
	}
	s.Facts = stageFacts(state, run, name, begun)
	return s
}

// engineTimeout bounds how long a page waits for an engine.
const engineTimeout = 2 * time.Second

// attemptOf finds who runs the job's present attempt.
func (p *Portal) attemptOf(id job.ID, j job.Job) (engine.Engine, engine.Attempt) {
	name, _, _ := strings.Cut(string(j.Placement.Node), "/")
	return p.Engines[name], engine.Attempt{Job: id, Number: j.Attempt}
}

// progressNow asks the engine at most twice a second, however many look.
func (p *Portal) progressNow(now unit.Instant, id job.ID, j job.Job) engine.Progress {
	e, attempt := p.attemptOf(id, j)
	if e == nil {
		return engine.Progress{}
	}
	return p.progress.get(attempt, stamp{moment: int64(now) / 500}, func(old engine.Progress) engine.Progress {
		ctx, stop := context.WithTimeout(context.Background(), engineTimeout)
		defer stop()
		said, err := e.Progress(ctx, attempt)
		if err != nil {
			p.noteEngine(err, attempt)
			return old
		}
		return said
	})
}

// noteEngine logs an engine's failure; that it does not know an attempt yet,
// or no more, is none.
func (p *Portal) noteEngine(err error, attempt engine.Attempt) {
	var unknown *engine.UnknownError
	if !errors.As(err, &unknown) {
		p.Log.Warn("engine does not say", "attempt", attempt, "err", err)
	}
}

func progressOf(said engine.Progress, elapsed unit.Span) *progress {
	if said.Total <= 0 {
		return nil
	}
	done := min(max(said.Done, 0), said.Total)
	out := &progress{Step: said.Step, PerMille: int64(float64(done) / float64(said.Total) * 1000)}
	if share := float64(done) / float64(said.Total); share > 0.02 && said.Step == "steps" {
		out.Left = unit.Span(float64(elapsed)/share) - elapsed
	}
	if loss, ok := said.Values["loss"]; ok {
		out.Loss = fmt.Sprintf("%.3f", loss)
	}
	return out
}

// countFacts are the counts worth showing of each stage, in order.
var countFacts = map[string][]string{
	factory.StageCurate:    {"documents_in", "documents_train", "documents_heldout", "documents_duplicate", "personal_replaced"},
	factory.StageTokenizer: {"vocabulary"},
	factory.StageTrain:     {"parameters", "steps", "tokens"},
	factory.StageEvaluate:  {"held_out_documents", "questions"},
	factory.StageSign:      {"files"},
}

// scoreFacts are the scores worth showing, with their decimals.
var scoreFacts = map[string][]struct {
	name   string
	places int
}{
	factory.StageTokenizer: {{"tokens_per_eojeol", 2}},
	factory.StageTrain:     {{"final_loss", 3}},
	factory.StageEvaluate:  {{"bits_per_byte", 3}},
}

func stageFacts(state *centre.State, run factory.Run, name string, done factory.Stage) []fact {
	var facts []fact
	if done.Statement != nil {
		for _, key := range countFacts[name] {
			if n, ok := done.Statement.Counts[key]; ok {
				facts = append(facts, fact{"fact." + key, group(n)})
			}
		}
		for _, score := range scoreFacts[name] {
			if m, ok := done.Statement.Scores[score.name]; ok {
				facts = append(facts, fact{"fact." + score.name, decimal(m, score.places)})
			}
		}
	}
	switch {
	case name == factory.StageGate && run.Gate != nil:
		held := 0
		for _, line := range run.Gate.Lines {
			if line.Holds {
				held++
			}
		}
		facts = append(facts, fact{"fact.conditions", fmt.Sprintf("%d / %d", held, len(run.Gate.Lines))})
	case name == factory.StageSign && run.Recipe.Approvals > 0:
		facts = append(facts, fact{"fact.approvals", fmt.Sprintf("%d / %d", len(run.Approvals), run.Recipe.Approvals)})
	case name == factory.StageServe:
		if id, e, ok := state.Models.ByJob(done.Job); ok {
			use := tokensOf(state, id)
			facts = append(facts, fact{"fact.endpoint", e.Name}, fact{"fact.requests", group(use.Requests)}, fact{"fact.answered", group(use.Completion)})
		}
	}
	return facts
}

// tokensOf adds up what was asked of an endpoint with any key.
func tokensOf(state *centre.State, id model.EndpointID) model.Tokens {
	var sum model.Tokens
	for name, use := range state.Models.Use.All() {
		if strings.HasPrefix(name, string(id)+"/") {
			sum.Requests += use.Requests
			sum.Prompt += use.Prompt
			sum.Completion += use.Completion
		}
	}
	return sum
}

// logBytesMax is how much of a log's end a page shows.
const logBytesMax = 32 << 10

// stageLog is the end of what a stage printed.
type stageLog struct {
	Run     factory.ID
	Stage   string
	Job     job.ID
	Live    bool
	Streams []logStream
}

type logStream struct {
	Name string
	Text string
	Cut  bool // there is more before it
}

// showLog is a page of its own, or the part of it that htmx asks for.
func (p *Portal) showLog(w http.ResponseWriter, r *http.Request, v *visit) {
	id, run, ok := v.run(r.PathValue("run"))
	begun, has := run.Stages[r.PathValue("stage")]
	j, known := v.State.Jobs.Get(begun.Job)
	if !ok || !has || !known || !v.may("Job", string(begun.Job), j.Org) {
		p.missing(w, v)
		return
	}
	log := stageLog{Run: id, Stage: r.PathValue("stage"), Job: begun.Job, Live: !j.Done()}
	for _, stream := range []string{engine.Stderr, engine.Stdout} {
		if text, cut := p.tail(v.Now, begun.Job, j, stream); text != "" {
			log.Streams = append(log.Streams, logStream{stream, text, cut})
		}
	}
	v.Title = v.say("stage." + log.Stage)
	if r.Header.Get("HX-Request") != "" {
		p.show(w, v, http.StatusOK, "log-part", log)
		return
	}
	p.show(w, v, http.StatusOK, "log", log)
}

// logKey names one stream of one attempt.
type logKey struct {
	attempt engine.Attempt
	stream  string
}

// logEnd is the end of a stream, as far as it was read: only what came since
// is read again.
type logEnd struct {
	read int64 // bytes
	last []byte
}

// tail returns the end of a stream, whole lines, and whether there is more
// before it.
func (p *Portal) tail(now unit.Instant, id job.ID, j job.Job, stream string) (text string, cut bool) {
	e, attempt := p.attemptOf(id, j)
	if e == nil || j.Attempt == 0 {
		return "", false
	}
	end := p.logs.get(logKey{attempt, stream}, stamp{moment: int64(now) / 500}, func(old logEnd) logEnd {
		ctx, stop := context.WithTimeout(context.Background(), engineTimeout)
		defer stop()
		r, err := e.Logs(ctx, attempt, stream, old.read)
		if err != nil {
			p.noteEngine(err, attempt)
			return old
		}
		defer r.Close()
		end, err := old.readOn(r)
		if err != nil {
			p.noteEngine(err, attempt)
		}
		return end
	})
	last := end.last
	cut = end.read > int64(len(last))
	if i := strings.IndexByte(string(last), '\n'); cut && i >= 0 {
		last = last[i+1:]
	}
	return strings.ToValidUTF8(string(last), "\uFFFD"), cut
}

// readOn reads what came since and keeps the last logBytesMax bytes.
func (l logEnd) readOn(r io.Reader) (logEnd, error) {
	buffer := append(make([]byte, 0, 2*logBytesMax), l.last...)
	for {
		if len(buffer) == cap(buffer) {
			buffer = append(buffer[:0], buffer[len(buffer)-logBytesMax:]...)
		}
		n, err := r.Read(buffer[len(buffer):cap(buffer)])
		buffer, l.read = buffer[:len(buffer)+n], l.read+int64(n)
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			l.last = slices.Clone(buffer[max(0, len(buffer)-logBytesMax):])
			return l, err
		}
	}
}
