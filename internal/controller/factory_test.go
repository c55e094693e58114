package controller

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gaon-ai/gaon/internal/artifact/folder"
	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/dataset"
	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/model"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/unit"
)

// fakeSigner signs nothing, and fails as the test wants.
type fakeSigner struct {
	mu     sync.Mutex // guards all below
	chains int
	signs  int
	fails  map[string][]error // by method, one for each call
}

func (s *fakeSigner) next(method string) error {
	if len(s.fails[method]) == 0 {
		return nil
	}
	err := s.fails[method][0]
	s.fails[method] = s.fails[method][1:]
	return err
}

func (s *fakeSigner) Chain(_ context.Context, _ *centre.State, id factory.ID, _ factory.Run) (unit.Digest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chains++
	return digest("chain of " + string(id)), s.next("Chain")
}

func (s *fakeSigner) Sign(_ context.Context, _ *centre.State, _ factory.ID, run factory.Run) (model.WasSigned, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signs++
	return model.WasSigned{ID: model.ID(run.Model), Release: digest("release"), Bundle: digest("bundle"), Passport: digest("passport"), Signer: digest("signer")}, s.next("Sign")
}

// run is a factory run in a world whose engine does each stage in a second.
type run struct {
	*world
	signer  *fakeSigner
	id      factory.ID
	scores  map[string]unit.Micro
	signers []string
	stage   map[string]func(*fake) // what a stage does instead of ending well
	claims  map[string]*factory.Statement
}

// runFactory lets the script play with a run whose stages end well.
func runFactory(t *testing.T, script func(r *run)) {
	t.Helper()
	play(t, func(w *world) {
		r := &run{world: w, signer: &fakeSigner{fails: map[string][]error{}}, scores: map[string]unit.Micro{"bits_per_byte": 1_500_000, "baseline": 2_000_000},
			stage: map[string]func(*fake){}, claims: map[string]*factory.Statement{}}
		for range 2 {
			r.signers = append(r.signers, w.do(operator, centre.AddPerson{Org: w.org, Details: digest("signer"), Roles: []party.Role{{Name: party.Signer}}}))
		}
		w.engine.begin = r.begin
		ctx, halt := context.WithCancel(context.Background())
		engineHalt := w.halt
		w.halt = func() { halt(); engineHalt() }
		log := slog.New(w.logs)
		w.loops.Go(func() { Factory(ctx, w.writer, r.signer, log) })
		w.loops.Go(func() { Endpoints(ctx, w.writer, map[string]engine.Engine{"local": w.engine}, log) })
		script(r)
	})
}

// begin does a stage's work as soon as it starts.
func (r *run) begin(f *fake) {
	state := r.writer.State()
	j, _ := state.Jobs.Get(f.Job)
	if do, ok := r.stage[j.Stage]; ok {
		do(f)
		return
	}
	if j.Stage == factory.StageServe {
		f.serve = answer(http.StatusOK)
		return
	}
	output := map[string]string{factory.StageCurate: "corpus", factory.StageTokenizer: "tokenizer", factory.StageTrain: "model",
		factory.StageEvaluate: "evaluation", factory.StageSign: "release"}[j.Stage]
	f.State, f.Ended = engine.Ended, now().Add(unit.Second)
	f.result.Statement = &factory.Statement{Stage: j.Stage, Scores: r.scores}
	if claim, ok := r.claims[j.Stage]; ok {
		f.result.Statement = claim
	}
	if output != "" {
		f.result.Outputs = []job.Output{{Name: output, Tree: digest(output)}}
	}
}

// answer is a service that has one thing to say to each connection.
func answer(status int) func(net.Conn) {
	return func(c net.Conn) {
		defer c.Close()
		request, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil || request.URL.Path != HealthPath {
			return
		}
		(&http.Response{StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Close: true, Body: io.NopCloser(strings.NewReader(""))}).Write(c)
	}
}

func (r *run) start(change ...func(*factory.Recipe)) {
	r.Helper()
	source := r.do(r.tenant, centre.RegisterDataset{Dataset: dataset.Dataset{Name: "text", Org: r.org, Licence: "CC0-1.0", Consent: "own", Purpose: dataset.Training,
		Tree: digest("text"), Files: 1, Size: 1, Label: policy.Label{Class: policy.Internal}}})
	recipe := factory.Recipe{Name: "tiny", Curate: factory.Curate{HeldOut: 10}, Tokenizer: factory.Tokenizer{Vocabulary: 300},
		Train: factory.Train{Layers: 1, Width: 8, Hidden: 8, Heads: 1, KVHeads: 1, Context: 8, Batch: 1, Steps: 1, CheckpointEvery: 1, LearningRate: "0.1", WeightDecay: "0"},
		Gate:  []string{"bits_per_byte < baseline"}, Approvals: 2, Serve: factory.Serve{Name: "tiny"}}
	for _, c := range change {
		c(&recipe)
	}
	r.id = factory.ID(r.do(r.tenant, centre.StartRun{Grant: r.grant, Training: []dataset.ID{dataset.ID(source)}, Recipe: recipe}))
	r.pass(10 * time.Second)
}

func (r *run) approve() {
	r.Helper()
	for _, person := range r.signers {
		r.do(person, centre.ApproveRelease{Run: r.id})
	}
	r.pass(10 * time.Second)
}

// mustBe wants the run in a state whose reason holds the words.
func (r *run) mustBe(state, words string) factory.Run {
	r.Helper()
	found, _ := r.writer.State().Factory.Runs.Get(r.id)
	if found.State != state || !strings.Contains(found.Reason, words) {
		r.Fatalf("the run is %s (%s), want %s (%s)\n%s", found.State, found.Reason, state, words, r.logs)
	}
	return found
}

func TestFactoryRun(t *testing.T) {
	runFactory(t, func(r *run) {
		r.start()
		r.mustBe(factory.Awaiting, "")
		r.approve()
		done := r.mustBe(factory.Done, "")
		for _, stage := range factory.Stages {
			if done.Stages[stage].Job == "" {
				t.Errorf("no job did stage %s", stage)
			}
		}
		e, ok := r.writer.State().Models.Endpoints.Get(model.EndpointID(done.Endpoint))
		if !ok || e.State != model.Ready || e.Name != "tiny" {
			t.Errorf("endpoint %q: %+v", done.Endpoint, e)
		}
		serving := r.job(e.Job)
		if serving.State != job.Running || !serving.Service || serving.Inputs[0].Tree != digest("release") {
			t.Errorf("the serving job: %+v", serving)
		}
		signs := r.job(done.Stages[factory.StageSign].Job)
		found := false
		for _, in := range signs.Inputs {
			found = found || in.Name == "chain" && in.Tree == digest("chain of "+string(r.id))
		}
		if !found || r.signer.signs != 1 {
			t.Errorf("the sign stage read %v; signed %d times", signs.Inputs, r.signer.signs)
		}
		r.do(r.tenant, centre.CloseEndpoint{Endpoint: model.EndpointID(done.Endpoint)})
		r.pass(5 * time.Second)
		if j := r.job(e.Job); j.State != job.Stopped || j.Charged == 0 {
			t.Errorf("the serving job ended %s, charged %s", j.State, j.Charged)
		}
	})
}

// refused is a refusal as the signer gives it.
type refused struct{}

func (refused) Code() string  { return "model.unsignable" }
func (refused) Error() string { return "the passport does not hold" }

func TestFactoryRunFails(t *testing.T) {
	for _, row := range []struct {
		name, reason string
		given        func(r *run)
		last         string // the last stage that has a job
	}{
		{"a stage fails", "stage tokenizer failed, no text left", func(r *run) {
			r.stage[factory.StageTokenizer] = func(f *fake) { f.stderr = "gaon: no text left"; ends(1)(f) }
		}, factory.StageTokenizer},
		{"a stage says nothing of its work", "stage train left no statement", func(r *run) { r.claims[factory.StageTrain] = nil }, factory.StageTrain},
		{"a stage speaks for another", "stage evaluate left no statement", func(r *run) {
			r.claims[factory.StageEvaluate] = &factory.Statement{Stage: factory.StageGate, Scores: r.scores}
		}, factory.StageEvaluate},
		{"the gate is not passed", "gate", func(r *run) { r.scores["bits_per_byte"] = 3_000_000 }, factory.StageGate},
		{"the scores do not come out again", "cannot be calculated again", func(r *run) {
			r.claims[factory.StageGate] = &factory.Statement{Stage: factory.StageGate, Scores: map[string]unit.Micro{"bits_per_byte": 1, "baseline": 2}}
		}, factory.StageGate},
		{"the passport is refused", "passport: the passport does not hold", func(r *run) { r.signer.fails["Chain"] = []error{refused{}} }, factory.StageGate},
		{"the signature is refused", "signing: the passport does not hold", func(r *run) { r.signer.fails["Sign"] = []error{refused{}} }, factory.StageSign},
		{"serving ends at once", "serving ended before it was ready", func(r *run) {
			r.stage[factory.StageServe] = func(f *fake) { f.stderr = "gaon: this model is not served"; ends(1)(f) }
		}, factory.StageServe},
	} {
		t.Run(row.name, func(t *testing.T) {
			runFactory(t, func(r *run) {
				row.given(r)
				r.start()
				if found, _ := r.writer.State().Factory.Runs.Get(r.id); found.State == factory.Awaiting {
					r.approve()
				}
				r.pass(5 * time.Minute)
				found := r.mustBe(factory.Failed, row.reason)
				after := false
				for _, stage := range factory.Stages {
					if has := found.Stages[stage].Job != ""; has == after {
						t.Errorf("stage %s: has a job %v", stage, has)
					}
					after = after || stage == row.last
				}
				for id, e := range r.writer.State().Models.Endpoints.All() {
					if e.State != model.Closed {
						t.Errorf("endpoint %s is %s", id, e.State)
					}
				}
			})
		})
	}
	t.Run("the credits do not reach", func(t *testing.T) {
		runFactory(t, func(r *run) {
			r.start(func(recipe *factory.Recipe) {
				recipe.Train.Resources = factory.Resources{SlotsMin: 4, Slots: 4, TimeLimit: 300 * 86400}
			})
			r.mustBe(factory.Failed, "stage train: ")
		})
	})
}

// A fault is the world's: the run waits until it is mended, and nobody signs
// twice for it.
func TestFactoryRunOutlastsFaults(t *testing.T) {
	broken := fmt.Errorf("store: %w", &folder.FullError{Dir: "x"})
	runFactory(t, func(r *run) {
		r.signer.fails["Chain"], r.signer.fails["Sign"] = []error{broken, broken}, []error{broken, broken}
		r.start()
		r.approve()
		r.pass(10 * time.Minute)
		r.mustBe(factory.Done, "")
		if r.logs.count("factory run waits for the fault to be mended") != 4 {
			t.Errorf("logged:\n%s", r.logs)
		}
	})
}

// An endpoint is ready when its service says so, and not before.
func TestEndpointReadiness(t *testing.T) {
	runFactory(t, func(r *run) {
		var serving engine.Attempt
		r.stage[factory.StageServe] = func(f *fake) { serving = f.Attempt }
		r.start()
		r.approve()
		for _, row := range []struct {
			name  string
			serve func(net.Conn)
		}{
			{"no socket yet", nil},
			{"still loading", answer(http.StatusServiceUnavailable)},
			{"hangs up", func(c net.Conn) { c.Close() }},
			{"says nothing", func(c net.Conn) { io.Copy(io.Discard, c); c.Close() }},
			{"says nonsense", func(c net.Conn) { go io.Copy(io.Discard, c); io.WriteString(c, "hello\n"); c.Close() }},
		} {
			r.engine.change(serving, func(f *fake) { f.serve = row.serve })
			r.pass(5 * time.Second)
			for _, e := range r.writer.State().Models.Endpoints.All() {
				if e.State != model.Opening {
					t.Fatalf("%s: the endpoint is %s", row.name, e.State)
				}
			}
			r.mustBe(factory.Running, "")
		}
		r.engine.change(serving, func(f *fake) { f.serve = answer(http.StatusOK) })
		r.pass(5 * time.Second)
		r.mustBe(factory.Done, "")
	})
}

func TestServiceClientOfNobody(t *testing.T) {
	if ServiceClient(map[string]engine.Engine{}, "J1", job.Job{Placement: job.Placement{Node: "slurm/a"}}) != nil {
		t.Error("a client without an engine")
	}
}

// fakeEraser destroys nothing, and fails as often as it is told.
type fakeEraser struct {
	mu     sync.Mutex // guards all below
	fails  int
	erased []unit.Digest
}

func (e *fakeEraser) Erase(_ context.Context, bound unit.Digest) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fails > 0 {
		e.fails--
		return errors.New("the disk is full")
	}
	e.erased = append(e.erased, bound)
	return nil
}

func TestErase(t *testing.T) {
	play(t, func(w *world) {
		eraser := &fakeEraser{fails: 1}
		follow := func() context.CancelFunc {
			ctx, halt := context.WithCancel(context.Background())
			w.loops.Go(func() { Erase(ctx, w.writer, eraser, slog.New(w.logs)) })
			w.settle()
			return halt
		}
		halt := follow()
		if len(eraser.erased) != 0 || w.logs.String() != "" {
			t.Fatalf("somebody is erased: %v\n%s", eraser.erased, w.logs)
		}
		w.do(operator, centre.ErasePerson{Person: party.PersonID(w.tenant)})
		w.pass(10 * time.Minute)
		if len(eraser.erased) != 1 || eraser.erased[0] != digest("tenant") {
			t.Errorf("erased %v, want %s once", eraser.erased, digest("tenant"))
		}
		if w.logs.count("are not erased yet") != 1 {
			t.Errorf("logged:\n%s", w.logs)
		}
		halt()
		halt = follow() // it remembers nothing, and erasing again does no harm
		if len(eraser.erased) != 2 {
			t.Errorf("after a restart: %v", eraser.erased)
		}
		halt()
	})
}
