package centre

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gaon-ai/gaon/internal/account"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/grant"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/model"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/policy"
)

func (c SubmitJob) decide(d *decision) error {
	g, err := d.s.Grants.MaySpend(c.Grant, d.at)
	if err != nil {
		return err
	}
	if err := d.may("submitJob", "Grant", string(c.Grant), g.Org); err != nil {
		return err
	}
	// Only the factory writes stages: a tenant's job must not pass for one.
	c.Run, c.Stage = "", ""
	if c.Label.Class == "" {
		c.Label.Class = policy.Internal
	}
	if c.Label, err = policy.MakeLabel(string(c.Label.Class), c.Label.Residency); err != nil {
		return &party.FieldError{Field: "label", Problem: err.Error()}
	}
	read, err := d.inputsLabel(g.Org, c.Inputs)
	if err != nil {
		return err
	}
	c.Label = c.Label.Join(read)
	id, err := d.submit(c.Spec, g.Org)
	d.made = string(id)
	return err
}

func (c StopJob) decide(d *decision) error {
	j, ok := d.s.Jobs.Get(c.Job)
	if !ok {
		return &party.UnknownError{Kind: "job", ID: string(c.Job)}
	}
	if err := d.may("stopJob", "Job", string(c.Job), j.Org); err != nil {
		return err
	}
	d.made = string(c.Job)
	return d.stop(c.Job, j, c.Reason)
}

// stop asks a running job to end, and ends a waiting one at once.
func (d *decision) stop(id job.ID, j job.Job, reason string) error {
	if j.Done() {
		return &NothingError{fmt.Sprintf("job %s is %s already", id, j.State)}
	}
	if j.Stopping {
		return &NothingError{fmt.Sprintf("job %s is asked to stop already", id)}
	}
	e, err := d.s.Jobs.Stop(id, reason)
	if err != nil {
		return err
	}
	d.add(e)
	if j.State == job.Waiting {
		cancelled, err := d.s.Jobs.Cancel(id, reason, d.at)
		if err != nil {
			return err
		}
		return d.end(cancelled, nil)
	}
	return nil
}

func (c PlaceJob) decide(d *decision) error {
	if err := d.may("placeJob", "Job", string(c.Job), ""); err != nil {
		return err
	}
	e, err := d.s.Jobs.Place(c.Job, c.Placement)
	if err != nil {
		return err
	}
	j, _ := d.s.Jobs.Get(c.Job)
	if err := d.s.placeable(j, c.Placement); err != nil {
		return err
	}
	if verdict := d.s.mayRun(c.Job, j, c.Node); !verdict.Allowed {
		return &policy.DeniedError{Request: d.s.runRequest(c.Job, j, c.Node), Verdict: verdict}
	}
	d.make(e, string(c.Job))
	return nil
}

// TakenError refuses a placement that the present no longer allows.
type TakenError struct {
	Node   fleet.NodeID
	Device string
	Why    string
}

// Code names the refusal for programs.
func (e *TakenError) Code() string { return "placement.taken" }

func (e *TakenError) Error() string {
	return fmt.Sprintf("device %s of node %s: %s", e.Device, e.Node, e.Why)
}

// placeable holds the placement against what is there and free now.
func (s *State) placeable(j job.Job, p job.Placement) error {
	node, ok := s.Fleet.Nodes.Get(p.Node)
	if !ok || node.Away {
		return &TakenError{p.Node, strings.Join(p.Devices, ","), "the node is not here"}
	}
	holders, memory := s.holdersOn(p.Node)
	if node.Memory-memory < j.Spec.Memory {
		return &TakenError{p.Node, "memory", fmt.Sprintf("%s are free, the job wants %s", node.Memory-memory, j.Spec.Memory)}
	}
	seen := map[string]bool{}
	for _, id := range p.Devices {
		at := slices.IndexFunc(node.Devices, func(d fleet.Device) bool { return d.ID == id })
		switch {
		case at < 0 || node.Devices[at].Chip != j.Chip:
			return &TakenError{p.Node, id, fmt.Sprintf("there is no such %s", j.Chip)}
		case seen[id]:
			return &TakenError{p.Node, id, "is named twice"}
		case holders[id] != "":
			return &TakenError{p.Node, id, "is held by job " + string(holders[id])}
		}
		seen[id] = true
	}
	return nil
}

// StartJob, LoseJob and FinishJob are observations that only the controller,
// who watches the engines, may report.
func (c StartJob) decide(d *decision) error {
	if err := d.may("observeJob", "Job", string(c.Job), ""); err != nil {
		return err
	}
	e, err := d.s.Jobs.Start(c.Job, c.Attempt, c.At)
	if err != nil {
		return err
	}
	d.make(e, string(c.Job))
	return nil
}

func (c LoseJob) decide(d *decision) error {
	if err := d.may("observeJob", "Job", string(c.Job), ""); err != nil {
		return err
	}
	e, more, err := d.s.Jobs.Lose(c.Job, c.Attempt, c.Reason)
	if err != nil {
		return err
	}
	d.made = string(c.Job)
	if more {
		d.add(e)
		return nil
	}
	// Stopped while it was being lost, or lost too often: either way it ends
	// now, and as the loss was not its own doing it is not charged for time.
	state := job.Failed
	if j, _ := d.s.Jobs.Get(c.Job); j.Stopping {
		state = job.Stopped
	}
	lost, err := d.s.Jobs.Abandon(c.Job, c.Attempt, state, c.Reason, d.at)
	if err != nil {
		return err
	}
	return d.end(lost, nil)
}

func (c FinishJob) decide(d *decision) error {
	if err := d.may("observeJob", "Job", string(c.Finished.ID), ""); err != nil {
		return err
	}
	if !slices.Contains([]string{job.Succeeded, job.Failed, job.Stopped}, c.Finished.State) {
		return &party.FieldError{Field: "state", Problem: fmt.Sprintf("%q is no end of a job", c.Finished.State)}
	}
	d.made = string(c.Finished.ID)
	return d.finish(c.Finished, c.Statement)
}

// finish records the end, settles the hold, and tells the run or endpoint
// that the job served, all in one entry: an end and its charge are recorded
// together or not at all.
func (d *decision) finish(f job.Finished, statement *factory.Statement) error {
	finished, err := d.s.Jobs.Finish(f)
	if err != nil {
		return err
	}
	return d.end(finished, statement)
}

// end is finish when use and charge are known.
func (d *decision) end(finished job.Finished, statement *factory.Statement) error {
	f := finished
	j, _ := d.s.Jobs.Get(f.ID)
	settled, err := d.s.Accounts.Settle(job.HoldName(f.ID), account.Revenue, finished.Charged)
	if err != nil {
		return err
	}
	finished.Charged = settled.Charge
	d.add(finished)
	d.add(settled)
	d.add(grant.Used{ID: j.Grant, Job: string(f.ID), Use: finished.Use, Charged: settled.Charge})
	if endpoint, e, serves := d.s.Models.ByJob(f.ID); serves && e.State != model.Closed {
		d.add(model.EndpointClosed{ID: endpoint, Reason: "its job ended: " + endOf(finished)})
	}
	if j.Run != "" {
		d.stageEnded(factory.ID(j.Run), j, finished, statement)
	}
	return nil
}

func endOf(f job.Finished) string {
	if f.Reason != "" {
		return f.State + ", " + f.Reason
	}
	return f.State
}

// stageEnded carries a stage's end into its run.
func (d *decision) stageEnded(id factory.ID, j job.Job, f job.Finished, statement *factory.Statement) {
	run, ok := d.s.Factory.Runs.Get(id)
	if !ok || run.State != factory.Running || run.Stages[j.Stage].Job != f.ID {
		return
	}
	ended := factory.StageEnded{ID: id, Stage: j.Stage, State: f.State, Outputs: f.Outputs, Statement: statement}
	switch {
	case j.Stage == factory.StageServe:
		// A serve stage never succeeds by ending: the run is done while it runs.
		ended.State = job.Failed
		d.add(ended)
		d.add(factory.RunEnded{ID: id, State: factory.Failed, Reason: "serving ended before it was ready: " + endOf(f)})
	case f.State != job.Succeeded:
		d.add(ended)
		d.add(factory.RunEnded{ID: id, State: factory.Failed, Reason: fmt.Sprintf("stage %s %s", j.Stage, endOf(f))})
	case statement == nil || statement.Stage != j.Stage:
		ended.State = job.Failed
		d.add(ended)
		d.add(factory.RunEnded{ID: id, State: factory.Failed, Reason: fmt.Sprintf("stage %s left no statement of its work", j.Stage)})
	default:
		d.add(ended)
		if j.Stage == factory.StageGate {
			d.gate(id, run, statement)
		}
	}
}

// gate decides the run's gate from the scores that evaluation recorded. The
// gate's own job calculated them a second time from the raw outputs; if the
// two disagree nothing can be trusted and the run fails.
func (d *decision) gate(id factory.ID, run factory.Run, recomputed *factory.Statement) {
	evaluated := run.Stages[factory.StageEvaluate].Statement
	if evaluated == nil || !maps.Equal(evaluated.Scores, recomputed.Scores) {
		d.add(factory.RunEnded{ID: id, State: factory.Failed, Reason: "the scores cannot be calculated again from the raw outputs of evaluation"})
		return
	}
	verdict := factory.DecideGate(run.Recipe.Gate, evaluated.Scores)
	decided := factory.GateDecided{ID: id, Verdict: verdict}
	if !verdict.Passed {
		d.add(decided)
		d.add(factory.RunEnded{ID: id, State: factory.Failed, Reason: "gate " + verdict.String()})
		return
	}
	decided.Model = d.id("M")
	tree, _ := run.Output("model")
	d.add(decided)
	d.add(model.Registered{ID: model.ID(decided.Model), Name: run.Recipe.Name, Org: run.Org, Run: string(id),
		Tree: tree, Scores: evaluated.Scores, Label: run.Label})
}

func (c StartRun) decide(d *decision) error {
	g, err := d.s.Grants.MaySpend(c.Grant, d.at)
	if err != nil {
		return err
	}
	if err := d.may("startRun", "Grant", string(c.Grant), g.Org); err != nil {
		return err
	}
	id := factory.ID(d.id("R"))
	e, err := d.s.Factory.Start(id, factory.Run{Recipe: c.Recipe, Org: g.Org, Grant: c.Grant,
		Training: c.Training, Evaluation: c.Evaluation}, &d.s.Datasets)
	if err != nil {
		return err
	}
	for _, source := range append(slices.Clone(c.Training), c.Evaluation...) {
		data, _ := d.s.Datasets.Datasets.Get(source)
		if data.Org != g.Org && data.Label.Class != policy.Public {
			return &party.FieldError{Field: "training", Problem: fmt.Sprintf("dataset %s belongs to another organisation and is %s", source, data.Label)}
		}
	}
	resource := policy.Resource{Kind: "Run", ID: string(id), Org: string(g.Org), Label: e.Label}
	request := policy.Request{Actor: policy.Actor{ID: Controller}, Action: "run", Resource: resource,
		Context: policy.Context{Country: d.s.Identity.Country, EnforcesNetwork: true, EnforcesInputs: true}}
	if err := d.s.Policy.Require(request); err != nil {
		return err
	}
	d.make(e, string(id))
	return nil
}

func (c SubmitStage) decide(d *decision) error {
	run, ok := d.s.Factory.Runs.Get(c.Run)
	if !ok {
		return &party.UnknownError{Kind: "run", ID: string(c.Run)}
	}
	if err := d.may("submitStage", "Run", string(c.Run), run.Org); err != nil {
		return err
	}
	if next, wants := run.Next(); !wants || next != c.Stage {
		return &factory.StateError{ID: c.Run, State: run.State, Step: "submit stage " + c.Stage}
	}
	if _, err := d.s.Grants.MaySpend(run.Grant, d.at); err != nil {
		return err
	}
	if c.Stage == factory.StageServe {
		return d.openEndpoint(c.Run, run)
	}
	spec, err := run.JobFor(c.Run, c.Stage, d.s.Fleet.Count(fleet.CPUSlot), "", c.Also...)
	if err != nil {
		return err
	}
	id, err := d.submit(spec, run.Org)
	if err != nil {
		return err
	}
	d.made = string(id)
	d.add(factory.StageSubmitted{ID: c.Run, Stage: c.Stage, Job: id})
	return nil
}

// openEndpoint submits the serve stage: its job serves an endpoint under the
// recipe's name, or under name and model when that name is taken.
func (d *decision) openEndpoint(id factory.ID, run factory.Run) error {
	name := run.Recipe.Serve.Name
	if _, taken := d.s.Models.Names.Get(name); taken {
		name += "-" + strings.ToLower(run.Model)
	}
	work, err := d.serve(id, run, name)
	if err != nil {
		return err
	}
	d.made = string(work)
	d.add(factory.StageSubmitted{ID: id, Stage: factory.StageServe, Job: work})
	return nil
}

func (c OpenEndpoint) decide(d *decision) error {
	m, ok := d.s.Models.Models.Get(c.Model)
	if !ok {
		return &party.UnknownError{Kind: "model", ID: string(c.Model)}
	}
	g, err := d.s.Grants.MaySpend(c.Grant, d.at)
	if err != nil {
		return err
	}
	if err := d.may("openEndpoint", "Grant", string(c.Grant), g.Org); err != nil {
		return err
	}
	if err := d.may("openEndpoint", "Model", string(c.Model), m.Org); err != nil {
		return err
	}
	if c.Name == "" {
		c.Name = m.Name
	}
	// The job is that of the model's run, paid by this grant.
	run, _ := d.s.Factory.Runs.Get(factory.ID(m.Run))
	run.Grant, run.Org, run.Model = c.Grant, g.Org, string(c.Model)
	if c.Resources != (factory.Resources{}) {
		run.Recipe.Serve.Resources = c.Resources
	}
	_, err = d.serve(factory.ID(m.Run), run, c.Name)
	return err
}

// serve submits a job that serves the run's signed model, and opens its
// endpoint.
func (d *decision) serve(id factory.ID, run factory.Run, name string) (job.ID, error) {
	signed, _ := d.s.Models.Models.Get(model.ID(run.Model))
	if signed.State != model.Signed {
		return "", &model.UnsignedError{Model: model.ID(run.Model), State: signed.State}
	}
	spec, err := run.JobFor(id, factory.StageServe, d.s.Fleet.Count(fleet.CPUSlot), d.s.Identity.ModelKey, job.Input{Name: "release", Tree: signed.Release})
	if err != nil {
		return "", err
	}
	resource := policy.Resource{Kind: "Model", ID: run.Model, Org: string(run.Org), Label: signed.Label}
	if err := d.s.May(d.at, Controller, "serve", resource); err != nil {
		return "", err
	}
	work, err := d.submit(spec, run.Org)
	if err != nil {
		return "", err
	}
	opened, err := d.s.Models.Serve(model.EndpointID(d.id("E")), name, model.ID(run.Model), work)
	if err != nil {
		return "", err
	}
	d.make(opened, string(opened.ID))
	return work, nil
}

func (c ApproveRelease) decide(d *decision) error {
	run, ok := d.s.Factory.Runs.Get(c.Run)
	if !ok {
		return &party.UnknownError{Kind: "run", ID: string(c.Run)}
	}
	if err := d.may("approveRelease", "Run", string(c.Run), run.Org); err != nil {
		return err
	}
	e, err := d.s.Factory.Approve(c.Run, party.PersonID(d.actor.ID))
	if err != nil {
		return err
	}
	d.make(e, string(c.Run))
	return nil
}

func (c RecordSignature) decide(d *decision) error {
	if err := d.may("recordSignature", "Model", string(c.ID), ""); err != nil {
		return err
	}
	e, err := d.s.Models.Sign(c.WasSigned)
	if err != nil {
		return err
	}
	m, _ := d.s.Models.Models.Get(c.ID)
	run, _ := d.s.Factory.Runs.Get(factory.ID(m.Run))
	if run.State != factory.Running {
		// Awaiting its approvals, or failed since: either way nobody may sign.
		return &factory.StateError{ID: factory.ID(m.Run), State: run.State, Step: "have its model signed"}
	}
	d.make(e, string(c.ID))
	if run.Recipe.Serve.Name == "" {
		d.add(factory.RunEnded{ID: factory.ID(m.Run), State: factory.Done})
	}
	return nil
}

func (c FailRun) decide(d *decision) error {
	run, ok := d.s.Factory.Runs.Get(c.Run)
	if !ok {
		return &party.UnknownError{Kind: "run", ID: string(c.Run)}
	}
	if err := d.may("failRun", "Run", string(c.Run), run.Org); err != nil {
		return err
	}
	if run.State != factory.Running && run.State != factory.Awaiting {
		return &factory.StateError{ID: c.Run, State: run.State, Step: "fail"}
	}
	d.make(factory.RunEnded{ID: c.Run, State: factory.Failed, Reason: c.Reason}, string(c.Run))
	// A stage that is still at work would go on at the tenant's cost.
	for _, name := range factory.Stages {
		id := run.Stages[name].Job
		if j, live := d.s.Jobs.Live.Get(id); live && !j.Stopping {
			return d.stopFor(id, j, c.Reason)
		}
	}
	return nil
}

// stopFor stops a job after its run or endpoint was ended in the same entry.
// A waiting one ends at once, and its end must not end them a second time.
func (d *decision) stopFor(id job.ID, j job.Job, reason string) error {
	before := len(d.events)
	if err := d.stop(id, j, reason); err != nil {
		return err
	}
	ended := map[string]bool{}
	for _, e := range d.events[:before] {
		ended[WireName(e)] = true
	}
	d.events = append(d.events[:before], slices.DeleteFunc(d.events[before:], func(e Event) bool { return ended[WireName(e)] })...)
	return nil
}

func (c ReportEndpoint) decide(d *decision) error {
	endpoint, ok := d.s.Models.Endpoints.Get(c.Endpoint)
	if !ok {
		return &party.UnknownError{Kind: "endpoint", ID: string(c.Endpoint)}
	}
	if err := d.may("reportEndpoint", "Endpoint", string(c.Endpoint), endpoint.Org); err != nil {
		return err
	}
	if !c.Ready {
		return d.closeEndpoint(c.Endpoint, endpoint, c.Reason)
	}
	changes, err := d.s.Models.Move(c.Endpoint, model.Ready)
	if err != nil || !changes {
		return err
	}
	d.make(model.EndpointReady{ID: c.Endpoint}, string(c.Endpoint))
	m, _ := d.s.Models.Models.Get(endpoint.Model)
	run, _ := d.s.Factory.Runs.Get(factory.ID(m.Run))
	if run.State == factory.Running && run.Stages[factory.StageServe].Job == endpoint.Job {
		d.add(factory.StageEnded{ID: factory.ID(m.Run), Stage: factory.StageServe, State: job.Succeeded})
		d.add(factory.RunEnded{ID: factory.ID(m.Run), State: factory.Done, Endpoint: string(c.Endpoint)})
	}
	return nil
}

func (c CloseEndpoint) decide(d *decision) error {
	endpoint, ok := d.s.Models.Endpoints.Get(c.Endpoint)
	if !ok {
		return &party.UnknownError{Kind: "endpoint", ID: string(c.Endpoint)}
	}
	if err := d.may("closeEndpoint", "Endpoint", string(c.Endpoint), endpoint.Org); err != nil {
		return err
	}
	return d.closeEndpoint(c.Endpoint, endpoint, "closed by "+d.actor.ID)
}

// closeEndpoint ends the endpoint; stopping its job then closes nothing twice,
// because the endpoint is closed by the time the job ends.
func (d *decision) closeEndpoint(id model.EndpointID, endpoint model.Endpoint, reason string) error {
	changes, err := d.s.Models.Move(id, model.Closed)
	if err != nil || !changes {
		return err
	}
	d.make(model.EndpointClosed{ID: id, Reason: reason}, string(id))
	m, _ := d.s.Models.Models.Get(endpoint.Model)
	if run, _ := d.s.Factory.Runs.Get(factory.ID(m.Run)); run.State == factory.Running && run.Stages[factory.StageServe].Job == endpoint.Job {
		d.add(factory.RunEnded{ID: factory.ID(m.Run), State: factory.Failed, Reason: "endpoint closed before it was ready: " + reason})
	}
	work, ok := d.s.Jobs.Live.Get(endpoint.Job)
	if !ok || work.Stopping {
		return nil
	}
	return d.stopFor(endpoint.Job, work, reason)
}

func (c MeterTokens) decide(d *decision) error {
	if err := d.may("meterTokens", "Endpoint", string(c.Endpoint), ""); err != nil {
		return err
	}
	e, err := d.s.Models.Meter(c.Metered)
	if err != nil {
		return err
	}
	d.make(e, string(c.Endpoint))
	return nil
}
