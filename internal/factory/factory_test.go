package factory

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/dataset"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/unit"
)

func datasets(t *testing.T) *dataset.Book {
	t.Helper()
	b := new(dataset.Book)
	for _, d := range []struct {
		id, purpose string
		label       policy.Label
	}{
		{"D1", dataset.Training, policy.Label{Class: policy.Public}},
		{"D2", dataset.Training, policy.Label{Class: policy.Confidential, Residency: []string{"KR", "SG"}}},
		{"D3", dataset.Evaluation, policy.Label{Class: policy.Internal, Residency: []string{"KR"}}},
	} {
		e, err := b.Register(dataset.ID(d.id), dataset.Dataset{Name: d.id, Org: "O1", Licence: "CC0-1.0", Consent: "public record", Purpose: d.purpose, Tree: unit.DigestOf([]byte(d.id)), Label: d.label})
		if err != nil {
			t.Fatal(err)
		}
		b.ApplyRegistered(e)
	}
	return b
}

func TestStart(t *testing.T) {
	books := datasets(t)
	ids := func(words string) (all []dataset.ID) {
		for _, w := range strings.Fields(words) {
			all = append(all, dataset.ID(w))
		}
		return all
	}
	for _, row := range []struct {
		name, training, evaluation string
		change                     func(r *Recipe)
		want                       string // the label, or what the refusal says
	}{
		{"one public dataset", "D1", "", nil, "public@anywhere"},
		{"the label is the join of all", "D1 D2", "D3", nil, "confidential@KR"},
		{"nothing to learn from", "", "D3", nil, "training: wants one dataset or more"},
		{"too much", strings.Repeat("D1 ", sourcesMax+1), "", nil, "training: wants one dataset or more"},
		{"a dataset that is not there", "D9", "", nil, "there is no dataset D9"},
		{"evaluation data to learn from", "D3", "", nil, "training: dataset D3 is for evaluation only"},
		{"training data to evaluate on", "D1", "D2", nil, "evaluation: dataset D2 is for training only"},
		{"a bad recipe", "D1", "", func(r *Recipe) { r.Train.Layers = 0 }, "train.layers: "},
	} {
		r := recipe()
		if row.change != nil {
			row.change(&r)
		}
		e, err := new(Book).Start("R1", Run{Recipe: r, Org: "O1", Grant: "G1", Training: ids(row.training), Evaluation: ids(row.evaluation)}, books)
		switch {
		case err != nil && !strings.HasPrefix(err.Error(), row.want):
			t.Errorf("%s: %v, want %q", row.name, err, row.want)
		case err == nil && (e.Label.String() != row.want || e.Digest == "" || len(e.Sources) != len(e.Training)+len(e.Evaluation)):
			t.Errorf("%s: %+v, want %q", row.name, e, row.want)
		}
	}
}

// running is a run whose stages, one after the other, are in the states.
func running(states ...string) Run {
	r := Run{Recipe: recipe(), State: Running, Stages: map[string]Stage{}}
	for i, state := range states {
		name := Stages[i]
		r.Stages[name] = Stage{State: state, Outputs: []job.Output{{Name: "out-" + name, Tree: unit.DigestOf([]byte(name))}}}
	}
	return r
}

func TestNext(t *testing.T) {
	ok, waits := job.Succeeded, job.Waiting
	for _, row := range []struct {
		name string
		run  Run
		want string
	}{
		{"at the beginning", running(), "curate"},
		{"while curating", running(waits), ""},
		{"after curating", running(ok), "tokenizer"},
		{"after the tokenizer", running(ok, ok), "train"},
		{"after training", running(ok, ok, ok), "evaluate"},
		{"after evaluating", running(ok, ok, ok, ok), "gate"},
		{"after the gate", running(ok, ok, ok, ok, ok), "sign"},
		{"after signing", running(ok, ok, ok, ok, ok, ok), "serve"},
		{"while serving begins", running(ok, ok, ok, ok, ok, ok, waits), ""},
		{"after all", running(ok, ok, ok, ok, ok, ok, ok), ""},
		{"a stage failed", running(ok, ok, job.Failed), ""},
		{"a stage was stopped", running(job.Stopped), ""},
		{"people must approve first", func() Run { r := running(ok, ok, ok, ok, ok); r.State = Awaiting; return r }(), ""},
		{"the run failed", func() Run { r := running(ok); r.State = Failed; return r }(), ""},
		{"the run is done", func() Run { r := running(ok); r.State = Done; return r }(), ""},
		{"nothing is to be served", func() Run { r := running(ok, ok, ok, ok, ok, ok); r.Recipe.Serve.Name = ""; return r }(), ""},
	} {
		stage, wants := row.run.Next()
		if !wants {
			stage = ""
		}
		if stage != row.want {
			t.Errorf("%s: wants %q, want %q", row.name, stage, row.want)
		}
	}
}

func TestJobFor(t *testing.T) {
	r := running(job.Succeeded, job.Succeeded, job.Succeeded, job.Succeeded, job.Succeeded)
	r.Grant, r.Label = "G1", policy.Label{Class: policy.Confidential}
	r.Sources = []job.Input{{Name: "training-0", Tree: unit.DigestOf([]byte("D1"))}}
	for _, row := range []struct {
		stage  string
		slots  int // in the whole centre
		inputs string
		counts string
	}{
		{"curate", 2, "training-0", "1 to 2"},
		{"tokenizer", 2, "out-curate", "1 to 2"},
		{"train", 128, "out-curate out-tokenizer", "1 to 64"},
		{"evaluate", 0, "training-0 out-curate out-tokenizer out-train", "1 to 1"},
		{"gate", 8, "out-evaluate", "1 to 1"},
		{"sign", 8, "out-curate out-tokenizer out-train out-evaluate out-gate", "1 to 1"},
		{"serve", 8, "", "1 to 1"},
	} {
		spec, err := r.JobFor("R1", row.stage, row.slots, "")
		if err != nil {
			t.Fatal(err)
		}
		var inputs []string
		for _, in := range spec.Inputs {
			inputs = append(inputs, in.Name)
		}
		if got := strings.Join(inputs, " "); got != row.inputs {
			t.Errorf("%s reads %q, want %q", row.stage, got, row.inputs)
		}
		if got := fmt.Sprintf("%d to %d", spec.CountMin, spec.Count); got != row.counts {
			t.Errorf("%s takes %s slots, want %s", row.stage, got, row.counts)
		}
		if err := spec.Check(); err != nil || spec.Label.Class != policy.Confidential || spec.Network || spec.Service != (row.stage == StageServe) || spec.Run != "R1" || spec.Stage != row.stage {
			t.Errorf("%s: %+v, %v", row.stage, spec, err)
		}
	}
	if tree, ok := r.Output("out-train"); !ok || tree != unit.DigestOf([]byte("train")) {
		t.Errorf("the output of training is %s", tree)
	}
	if tree, ok := r.Output("nothing"); ok {
		t.Errorf("an output nobody wrote is %s", tree)
	}
}

// TestFourEyesAreFour: a person approves once, and only a run that passed.
func TestFourEyesAreFour(t *testing.T) {
	b := new(Book)
	put := func(state string) { r := running(); r.State = state; b.Runs.Put("R1", r) }
	for _, state := range []string{Running, Failed, Done} {
		put(state)
		var refused *StateError
		if _, err := b.Approve("R1", "P1"); !errors.As(err, &refused) || refused.Code() != "run.state" {
			t.Errorf("a run that is %s: %v", state, err)
		}
	}
	if _, err := b.Approve("R9", "P1"); err == nil {
		t.Error("a run that is not there was approved")
	}
	put(Awaiting)
	for i, person := range []string{"P1", "P1", "P2"} {
		e, err := b.Approve("R1", "P1")
		if person == "P2" {
			e, err = b.Approve("R1", "P2")
		}
		if (err == nil) != (i != 1) {
			t.Fatalf("approval %d by %s: %v", i+1, person, err)
		}
		if err == nil {
			b.ApplyApproved(e, 5, 6)
		}
		r, _ := b.Runs.Get("R1")
		if want := map[bool]string{true: Running, false: Awaiting}[i == 2]; r.State != want {
			t.Fatalf("after approval %d the run is %s, want %s", i+1, r.State, want)
		}
	}
}

func TestCopiesAreApart(t *testing.T) {
	b := new(Book)
	b.ApplyRunStarted(RunStarted{ID: "R1", Recipe: recipe()}, 1)
	other := b.Copy()
	other.ApplyStageSubmitted(StageSubmitted{"R1", StageCurate, "J1"})
	other.ApplyGateDecided(GateDecided{"R1", Verdict{Passed: true}, "M1"})
	if r, _ := b.Runs.Get("R1"); len(r.Stages) != 0 || r.Gate != nil || r.State != Running {
		t.Errorf("a change to the copy changed the book: %+v", r)
	}
}
