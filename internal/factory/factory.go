// Package factory is a run that turns data into a served model: curate,
// tokenizer, train, evaluate, gate, sign, serve. It knows the order, what each
// stage reads from the ones before it, and what the gate says.
//
// It does not do the work; each stage is a job, and the workshop packages do
// what the job asks.
//
// Begin with Book.Next, which says which stage a run wants next.
package factory

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/gaon-ai/gaon/internal/dataset"
	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/grant"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/table"
	"github.com/gaon-ai/gaon/internal/unit"
)

// ID names a run: R22.
type ID string

// The stages in their order.
const (
	StageCurate    = "curate"
	StageTokenizer = "tokenizer"
	StageTrain     = "train"
	StageEvaluate  = "evaluate"
	StageGate      = "gate"
	StageSign      = "sign"
	StageServe     = "serve"
)

// Stages lists them in order.
var Stages = []string{StageCurate, StageTokenizer, StageTrain, StageEvaluate, StageGate, StageSign, StageServe}

// States of a run.
const (
	Running  = "running"
	Awaiting = "awaiting-approval" // the gate is passed, people must sign
	Failed   = "failed"
	Done     = "done"
)

// Statement is what a finished stage says of its work. Its job's inputs and
// outputs are on record beside it.
type Statement struct {
	Stage  string                `json:"stage"`
	Counts map[string]int64      `json:"counts,omitempty"` // documents, tokens, steps, FLOPs …
	Scores map[string]unit.Micro `json:"scores,omitempty"`
	Notes  map[string]string     `json:"notes,omitempty"` // names, digests and versions
}

// Stage is one stage of a run.
type Stage struct {
	Job       job.ID       `json:"job"`
	State     string       `json:"state"` // the job's: waiting … succeeded, or failed
	Outputs   []job.Output `json:"outputs,omitempty"`
	Statement *Statement   `json:"statement,omitempty"`
	Entry     int64        `json:"entry,omitempty"` // sequence number of the entry that recorded its end
}

// Run is one run.
type Run struct {
	Recipe     Recipe           `json:"recipe"`
	Digest     unit.Digest      `json:"digest"` // of the recipe's JSON
	Org        party.OrgID      `json:"org"`
	Grant      grant.ID         `json:"grant"`
	Training   []dataset.ID     `json:"training"`
	Evaluation []dataset.ID     `json:"evaluation,omitempty"`
	Sources    []job.Input      `json:"sources"` // the datasets' trees as stage inputs
	Label      policy.Label     `json:"label"`
	State      string           `json:"state"`
	Reason     string           `json:"reason,omitempty"`
	Started    unit.Instant     `json:"started"`
	Ended      unit.Instant     `json:"ended,omitempty"`
	Stages     map[string]Stage `json:"stages"`
	Gate       *Verdict         `json:"gate,omitempty"`
	Approvals  []Approval       `json:"approvals,omitempty"`
	Model      string           `json:"model,omitempty"`
	Endpoint   string           `json:"endpoint,omitempty"`
}

// Approval is one person's signature under a release, by pseudonym.
type Approval struct {
	Person party.PersonID `json:"person"`
	At     unit.Instant   `json:"at"`
	Entry  int64          `json:"entry"` // sequence number of the entry that recorded it
}

// Book is the state.
type Book struct {
	Runs table.Table[ID, Run] `json:"runs"`
}

// RunStarted records a run. Wire name factory.run-started/1.
type RunStarted struct {
	ID         ID           `json:"id"`
	Recipe     Recipe       `json:"recipe"`
	Digest     unit.Digest  `json:"digest"`
	Org        party.OrgID  `json:"org"`
	Grant      grant.ID     `json:"grant"`
	Training   []dataset.ID `json:"training"`
	Evaluation []dataset.ID `json:"evaluation,omitempty"`
	Sources    []job.Input  `json:"sources"`
	Label      policy.Label `json:"label"`
}

// StageSubmitted records which job does a stage. Wire name factory.stage-submitted/1.
type StageSubmitted struct {
	ID    ID     `json:"id"`
	Stage string `json:"stage"`
	Job   job.ID `json:"job"`
}

// StageEnded records what became of a stage. Wire name factory.stage-ended/1.
type StageEnded struct {
	ID        ID           `json:"id"`
	Stage     string       `json:"stage"`
	State     string       `json:"state"` // succeeded or failed
	Outputs   []job.Output `json:"outputs,omitempty"`
	Statement *Statement   `json:"statement,omitempty"`
}

// GateDecided records the gate. Wire name factory.gate-decided/1.
type GateDecided struct {
	ID      ID      `json:"id"`
	Verdict Verdict `json:"verdict"`
	Model   string  `json:"model,omitempty"` // registered with it when passed
}

// Approved records one approval. Wire name factory.approved/1.
type Approved struct {
	ID     ID             `json:"id"`
	Person party.PersonID `json:"person"`
}

// RunEnded records the end of a run. Wire name factory.run-ended/1.
type RunEnded struct {
	ID       ID     `json:"id"`
	State    string `json:"state"` // done or failed
	Reason   string `json:"reason,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
}

// StateError refuses a step that the run's present state does not allow.
type StateError struct {
	ID    ID
	State string
	Step  string
}

// Code names the refusal for programs.
func (e *StateError) Code() string { return "run.state" }

func (e *StateError) Error() string {
	return fmt.Sprintf("run %s is %s and cannot %s", e.ID, e.State, e.Step)
}

// sourcesMax bounds the datasets of one run.
const sourcesMax = 32

// Start asks to begin a run over the datasets.
func (b *Book) Start(id ID, run Run, datasets *dataset.Book) (RunStarted, error) {
	if err := run.Recipe.Check(); err != nil {
		return RunStarted{}, err
	}
	if n := len(run.Training) + len(run.Evaluation); len(run.Training) == 0 || n > sourcesMax {
		return RunStarted{}, &party.FieldError{Field: "training", Problem: fmt.Sprintf("wants one dataset or more, %d in all at most", sourcesMax)}
	}
	encoded, err := json.Marshal(run.Recipe)
	if err != nil {
		return RunStarted{}, &party.FieldError{Field: "recipe", Problem: err.Error()}
	}
	e := RunStarted{ID: id, Recipe: run.Recipe, Digest: unit.DigestOf(encoded), Org: run.Org, Grant: run.Grant,
		Training: run.Training, Evaluation: run.Evaluation, Label: policy.Label{Class: policy.Public}}
	for _, group := range []struct {
		purpose string
		ids     []dataset.ID
	}{{dataset.Training, run.Training}, {dataset.Evaluation, run.Evaluation}} {
		for i, source := range group.ids {
			d, ok := datasets.Datasets.Get(source)
			if !ok {
				return RunStarted{}, &party.UnknownError{Kind: "dataset", ID: string(source)}
			}
			if d.Purpose != group.purpose {
				return RunStarted{}, &party.FieldError{Field: group.purpose, Problem: fmt.Sprintf("dataset %s is for %s only", source, d.Purpose)}
			}
			e.Sources = append(e.Sources, job.Input{Name: fmt.Sprintf("%s-%d", group.purpose, i), Tree: d.Tree})
			e.Label = e.Label.Join(d.Label)
		}
	}
	return e, nil
}

// Next says which stage the run wants a job for now, if any. Asking again
// gives the same answer until that stage is submitted.
func (r Run) Next() (string, bool) {
	if r.State != Running {
		return "", false
	}
	for _, stage := range Stages {
		done, begun := r.Stages[stage]
		if !begun {
			return stage, stage != StageServe || r.Recipe.Serve.Name != ""
		}
		if done.State != job.Succeeded {
			return "", false
		}
	}
	return "", false
}

// reads names, for each stage, which earlier stages' outputs its job is given.
var reads = map[string][]string{
	StageTokenizer: {StageCurate},
	StageTrain:     {StageCurate, StageTokenizer},
	StageEvaluate:  {StageCurate, StageTokenizer, StageTrain},
	StageGate:      {StageEvaluate},
	StageSign:      {StageCurate, StageTokenizer, StageTrain, StageEvaluate, StageGate},
}

// defaults is what a stage gets when its recipe is silent.
var defaults = map[string]Resources{
	StageCurate:    {1, 64, 2 << 30, 3600},
	StageTokenizer: {1, 64, 2 << 30, 3600},
	StageTrain:     {1, 64, 4 << 30, 24 * 3600},
	StageEvaluate:  {1, 64, 2 << 30, 3600},
	StageGate:      {1, 1, 512 << 20, 600},
	StageSign:      {1, 1, 1 << 30, 1800},
	StageServe:     {1, 1, 2 << 30, 30 * 24 * 3600},
}

func (r Recipe) resources(stage string) Resources {
	asked := map[string]Resources{
		StageCurate: r.Curate.Resources, StageTokenizer: r.Tokenizer.Resources, StageTrain: r.Train.Resources,
		StageEvaluate: r.Evaluate.Resources, StageServe: r.Serve.Resources,
	}[stage]
	use := defaults[stage]
	if asked.Slots > 0 {
		use.Slots = asked.Slots
		use.SlotsMin = min(use.SlotsMin, asked.Slots)
	}
	if asked.SlotsMin > 0 {
		use.SlotsMin = asked.SlotsMin
	}
	if asked.Memory > 0 {
		use.Memory = asked.Memory
	}
	if asked.TimeLimit > 0 {
		use.TimeLimit = asked.TimeLimit
	}
	use.Slots = max(use.Slots, use.SlotsMin)
	return use
}

// JobFor writes the specification of the stage's job. Also is what it reads
// besides the outputs of earlier stages: the chain of the run for the sign
// stage, the signed release for the serve stage. Trust is the key that a serve
// stage holds the release against, empty for the others.
func (r Run) JobFor(id ID, stage string, slotsTotal int, trust string, also ...job.Input) (job.Spec, error) {
	use := r.Recipe.resources(stage)
	use.Slots = max(use.SlotsMin, min(use.Slots, slotsTotal))
	params, err := json.Marshal(Params{Recipe: r.Recipe, Run: id, Stage: stage, Trust: trust})
	if err != nil {
		return job.Spec{}, &party.FieldError{Field: "params", Problem: err.Error()}
	}
	spec := job.Spec{
		Name: fmt.Sprintf("%s/%s", r.Recipe.Name, stage), Grant: r.Grant, Run: string(id), Stage: stage,
		Argv: []string{"gaon", "stage", stage}, Params: params, Chip: fleet.CPUSlot,
		CountMin: use.SlotsMin, Count: use.Slots, Memory: use.Memory, Service: stage == StageServe,
		TimeLimit: unit.Span(use.TimeLimit) * unit.Second, Label: r.Label,
	}
	if stage == StageCurate || stage == StageEvaluate {
		spec.Inputs = slices.Clone(r.Sources)
	}
	spec.Inputs = append(spec.Inputs, also...)
	for _, earlier := range reads[stage] {
		for _, output := range r.Stages[earlier].Outputs {
			spec.Inputs = append(spec.Inputs, job.Input{Name: output.Name, Tree: output.Tree})
		}
	}
	return spec, nil
}

// Params is what a stage's job finds in params.json.
type Params struct {
	Recipe Recipe `json:"recipe"`
	Run    ID     `json:"run"`
	Stage  string `json:"stage"`
	Trust  string `json:"trust,omitempty"` // PEM of the key that signs models
}

// Output returns the tree that a finished stage wrote under the name.
func (r Run) Output(name string) (unit.Digest, bool) {
	for _, stage := range Stages {
		for _, output := range r.Stages[stage].Outputs {
			if output.Name == name {
				return output.Tree, true
			}
		}
	}
	return "", false
}

// Approve asks to add one person's approval; the same person cannot approve
// twice, so that four eyes are four.
func (b *Book) Approve(id ID, person party.PersonID) (Approved, error) {
	r, ok := b.Runs.Get(id)
	if !ok {
		return Approved{}, &party.UnknownError{Kind: "run", ID: string(id)}
	}
	if r.State != Awaiting {
		return Approved{}, &StateError{id, r.State, "be approved"}
	}
	for _, approval := range r.Approvals {
		if approval.Person == person {
			return Approved{}, &party.FieldError{Field: "person", Problem: fmt.Sprintf("%s has approved already; %d more people must", person, r.Recipe.Approvals-len(r.Approvals))}
		}
	}
	return Approved{id, person}, nil
}

// ApplyRunStarted records the run.
func (b *Book) ApplyRunStarted(e RunStarted, at unit.Instant) {
	b.Runs.Put(e.ID, Run{Recipe: e.Recipe, Digest: e.Digest, Org: e.Org, Grant: e.Grant, Training: e.Training,
		Evaluation: e.Evaluation, Sources: e.Sources, Label: e.Label, State: Running, Started: at, Stages: map[string]Stage{}})
}

// setStage replaces one stage in a fresh map: older copies keep theirs.
func (b *Book) setStage(id ID, name string, stage Stage) {
	r, _ := b.Runs.Get(id)
	stages := make(map[string]Stage, len(r.Stages)+1)
	for k, v := range r.Stages {
		stages[k] = v
	}
	stages[name] = stage
	r.Stages = stages
	b.Runs.Put(id, r)
}

// ApplyStageSubmitted records the stage's job.
func (b *Book) ApplyStageSubmitted(e StageSubmitted) {
	b.setStage(e.ID, e.Stage, Stage{Job: e.Job, State: job.Waiting})
}

// ApplyStageEnded records what the stage made.
func (b *Book) ApplyStageEnded(e StageEnded, seq int64) {
	r, _ := b.Runs.Get(e.ID)
	stage := r.Stages[e.Stage]
	stage.State, stage.Outputs, stage.Statement, stage.Entry = e.State, e.Outputs, e.Statement, seq
	b.setStage(e.ID, e.Stage, stage)
}

// ApplyGateDecided records the verdict; a passed run waits for its approvals.
func (b *Book) ApplyGateDecided(e GateDecided) {
	r, _ := b.Runs.Get(e.ID)
	verdict := e.Verdict
	r.Gate, r.Model = &verdict, e.Model
	if verdict.Passed && r.Recipe.Approvals > 0 {
		r.State = Awaiting
	}
	b.Runs.Put(e.ID, r)
}

// ApplyApproved adds the approval; the last one lets the run go on.
func (b *Book) ApplyApproved(e Approved, at unit.Instant, seq int64) {
	r, _ := b.Runs.Get(e.ID)
	r.Approvals = append(slices.Clone(r.Approvals), Approval{e.Person, at, seq})
	if len(r.Approvals) >= r.Recipe.Approvals {
		r.State = Running
	}
	b.Runs.Put(e.ID, r)
}

// ApplyRunEnded records the end.
func (b *Book) ApplyRunEnded(e RunEnded, at unit.Instant) {
	r, _ := b.Runs.Get(e.ID)
	r.State, r.Reason, r.Endpoint, r.Ended = e.State, e.Reason, e.Endpoint, at
	b.Runs.Put(e.ID, r)
}

// Copy returns a book that later changes do not touch.
func (b *Book) Copy() Book { return Book{b.Runs.Copy()} }
