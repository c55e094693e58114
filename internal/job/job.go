// Package job is a piece of work: what it asks for, and its life from waiting
// to finished. One job may need several attempts; only one is ever alive, and
// only the one that finishes is charged.
//
// It does not choose where a job runs; package schedule does.
//
// Begin with Spec and Book.Submit.
package job

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/grant"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/table"
	"github.com/gaon-ai/gaon/internal/unit"
)

// ID names a job: J31.
type ID string

// Input is a tree of the artifact store that the job reads as in/Name.
type Input struct {
	Name string      `json:"name"`
	Tree unit.Digest `json:"tree"`
}

// Output is a tree the job wrote as out/Name.
type Output struct {
	Name string      `json:"name"`
	Tree unit.Digest `json:"tree"`
	Size unit.Bytes  `json:"size"`
}

// Spec is what a job asks for.
type Spec struct {
	Name      string          `json:"name"`
	Grant     grant.ID        `json:"grant"`
	Run       string          `json:"run,omitempty"`   // the factory run it is a stage of
	Stage     string          `json:"stage,omitempty"` // which stage
	Argv      []string        `json:"argv"`            // the word "gaon" first means this program itself
	Params    json.RawMessage `json:"params,omitempty"`
	Inputs    []Input         `json:"inputs,omitempty"`
	Chip      fleet.Chip      `json:"chip"`
	CountMin  int             `json:"count_min"` // starts with at least this many devices …
	Count     int             `json:"count"`     // … and takes up to this many
	Memory    unit.Bytes      `json:"memory"`
	Network   bool            `json:"network,omitempty"`
	Service   bool            `json:"service,omitempty"` // serves until stopped
	TimeLimit unit.Span       `json:"time_limit"`
	Label     policy.Label    `json:"label"` // join of its inputs' labels
}

// States of a job, in the order of a life.
const (
	Waiting   = "waiting"
	Placed    = "placed"
	Running   = "running"
	Succeeded = "succeeded"
	Failed    = "failed"
	Stopped   = "stopped"
)

// Placement is where an attempt runs.
type Placement struct {
	Node    fleet.NodeID `json:"node"`
	Devices []string     `json:"devices"`
}

// Job is one job and its present attempt.
type Job struct {
	Spec
	Org       party.OrgID  `json:"org"`
	State     string       `json:"state"`
	Attempt   int          `json:"attempt"` // 1 is the first; 0 while it has never been placed
	Placement Placement    `json:"placement"`
	Rate      unit.Rate    `json:"rate"` // the chip's, as at submit
	Submitted unit.Instant `json:"submitted"`
	Started   unit.Instant `json:"started,omitempty"`
	Ended     unit.Instant `json:"ended,omitempty"`
	Stopping  bool         `json:"stopping,omitempty"`
	Order     int64        `json:"order"` // sequence number of the entry that submitted it

	ExitCode int              `json:"exit_code"`
	Reason   string           `json:"reason,omitempty"`
	Use      unit.ChipSeconds `json:"use"`
	Charged  unit.Credits     `json:"charged"`
	CPU      unit.Span        `json:"cpu"`
	Memory   unit.Bytes       `json:"memory_peak"`
	Outputs  []Output         `json:"outputs,omitempty"`
}

// Done says whether the job's life is over.
func (j Job) Done() bool {
	return j.State == Succeeded || j.State == Failed || j.State == Stopped
}

// Alive says whether an attempt holds devices now.
func (j Job) Alive() bool { return j.State == Placed || j.State == Running }

// finishedMax bounds how many finished jobs stay in the hot state; older ones
// are in the ledger and in the projections made from it.
const finishedMax = 10_000

// Book is the state. Live holds every job that is not done.
type Book struct {
	Live     table.Table[ID, Job] `json:"live"`
	Finished table.Table[ID, Job] `json:"finished"`
	// Ended orders the finished by the entry that ended them, so the oldest
	// leave first.
	Ended table.Table[string, ID] `json:"ended"`
}

// Submitted records a job. Wire name job.submitted/1.
type Submitted struct {
	ID ID `json:"id"`
	Spec
	Org  party.OrgID `json:"org"`
	Rate unit.Rate   `json:"rate"`
	Hold string      `json:"hold"`
}

// WasPlaced records where an attempt will run. Wire name job.placed/1.
type WasPlaced struct {
	ID      ID  `json:"id"`
	Attempt int `json:"attempt"`
	Placement
}

// WasStarted records that the engine runs it. Wire name job.started/1.
type WasStarted struct {
	ID      ID           `json:"id"`
	Attempt int          `json:"attempt"`
	At      unit.Instant `json:"at"` // by the engine's clock
}

// WasRequeued records that an attempt was lost and the job waits again.
// Wire name job.requeued/1.
type WasRequeued struct {
	ID      ID     `json:"id"`
	Attempt int    `json:"attempt"`
	Reason  string `json:"reason"`
}

// StopAsked records that somebody wants it to end. Wire name job.stop-asked/1.
type StopAsked struct {
	ID     ID     `json:"id"`
	Reason string `json:"reason"`
}

// Finished records the end. Wire name job.finished/1.
type Finished struct {
	ID       ID               `json:"id"`
	Attempt  int              `json:"attempt"`
	State    string           `json:"state"`
	ExitCode int              `json:"exit_code"`
	Reason   string           `json:"reason,omitempty"`
	Started  unit.Instant     `json:"started,omitempty"`
	Ended    unit.Instant     `json:"ended"`
	Use      unit.ChipSeconds `json:"use"`
	Charged  unit.Credits     `json:"charged"`
	CPU      unit.Span        `json:"cpu"`
	Memory   unit.Bytes       `json:"memory_peak"`
	Outputs  []Output         `json:"outputs,omitempty"`
}

// StateError refuses a step that the job's present state does not allow.
type StateError struct {
	ID      ID
	State   string
	Attempt int
	Step    string
}

// Code names the refusal for programs.
func (e *StateError) Code() string { return "job.state" }

func (e *StateError) Error() string {
	return fmt.Sprintf("job %s is %s in attempt %d and cannot be %s", e.ID, e.State, e.Attempt, e.Step)
}

// Bounds of one job's specification.
const (
	argvMax     = 64
	inputsMax   = 64
	paramsMax   = 16 << 10
	countMax    = 8192
	timeMax     = 366 * unit.Day
	attemptsMax = 10 // lost attempts after which a job fails
)

// Check refuses a specification no centre could run.
func (s Spec) Check() error {
	if err := party.CheckName("name", s.Name); err != nil {
		return err
	}
	problem := func(field, text string) error { return &party.FieldError{Field: field, Problem: text} }
	switch {
	case len(s.Argv) == 0 || len(s.Argv) > argvMax:
		return problem("argv", fmt.Sprintf("wants 1 to %d words", argvMax))
	case len(s.Inputs) > inputsMax:
		return problem("inputs", fmt.Sprintf("at most %d", inputsMax))
	case len(s.Params) > paramsMax:
		return problem("params", fmt.Sprintf("at most %d bytes", paramsMax))
	case s.Chip == "":
		return problem("chip", "must be named, such as cpu-slot")
	case s.CountMin < 1 || s.Count < s.CountMin || s.Count > countMax:
		return problem("count", fmt.Sprintf("wants 1 <= count_min <= count <= %d", countMax))
	case len(s.Params) > 0 && !json.Valid(s.Params):
		return problem("params", "is no JSON")
	case s.Memory < 0:
		return problem("memory", "must not be negative")
	case s.TimeLimit < unit.Second || s.TimeLimit > timeMax:
		return problem("time_limit", "wants one second to 366 days")
	}
	seen := map[string]bool{}
	for i, in := range s.Inputs {
		if !plainName(in.Name) || seen[in.Name] {
			return problem(fmt.Sprintf("inputs[%d].name", i), fmt.Sprintf("%q: wants a plain name of its own", in.Name))
		}
		seen[in.Name] = true
		if _, err := unit.ParseDigest(string(in.Tree)); err != nil {
			return problem(fmt.Sprintf("inputs[%d].tree", i), err.Error())
		}
	}
	return nil
}

// plainName allows what is safe as one path element everywhere.
func plainName(name string) bool {
	if name == "" || len(name) > 64 || name[0] == '.' {
		return false
	}
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// PriceMax is the most the job can cost: all its devices for all its time.
func (s Spec) PriceMax(rate unit.Rate) unit.Credits {
	return unit.Price(unit.ChipSeconds(s.TimeLimit.Seconds()*int64(s.Count)), rate)
}

// Submit asks to take the job in.
func (b *Book) Submit(id ID, spec Spec, org party.OrgID, rate unit.Rate) (Submitted, error) {
	if err := spec.Check(); err != nil {
		return Submitted{}, err
	}
	return Submitted{ID: id, Spec: spec, Org: org, Rate: rate, Hold: HoldName(id)}, nil
}

// HoldName is the name of a job's hold in the account book.
func HoldName(id ID) string { return "job/" + string(id) }

// Get finds a job, live or recently finished.
func (b *Book) Get(id ID) (Job, bool) {
	if j, ok := b.Live.Get(id); ok {
		return j, true
	}
	return b.Finished.Get(id)
}

// live returns the job if it is in one of the states.
func (b *Book) live(id ID, step string, states ...string) (Job, error) {
	j, ok := b.Get(id)
	if !ok {
		return Job{}, &party.UnknownError{Kind: "job", ID: string(id)}
	}
	if !slices.Contains(states, j.State) {
		return Job{}, &StateError{id, j.State, j.Attempt, step}
	}
	return j, nil
}

// attempt is live for what is reported of one attempt: a report that comes
// late is of an older one, and must not end the present.
func (b *Book) attempt(id ID, attempt int, step string, states ...string) (Job, error) {
	j, err := b.live(id, step, states...)
	if err == nil && attempt != j.Attempt {
		err = &StateError{id, j.State, j.Attempt, step}
	}
	return j, err
}

// Place asks to give the waiting job its devices.
func (b *Book) Place(id ID, where Placement) (WasPlaced, error) {
	j, err := b.live(id, "placed", Waiting)
	if err != nil {
		return WasPlaced{}, err
	}
	if n := len(where.Devices); n < j.CountMin || n > j.Count {
		return WasPlaced{}, &party.FieldError{Field: "devices", Problem: fmt.Sprintf("%d of them, the job wants %d to %d", n, j.CountMin, j.Count)}
	}
	return WasPlaced{id, j.Attempt + 1, where}, nil
}

// Start asks to record that the attempt runs.
func (b *Book) Start(id ID, attempt int, at unit.Instant) (WasStarted, error) {
	if _, err := b.attempt(id, attempt, "started", Placed); err != nil {
		return WasStarted{}, err
	}
	return WasStarted{id, attempt, at}, nil
}

// Lose asks to record that the attempt was lost through no fault of the job.
// It waits again and is not charged; after too many losses more is false and
// the caller finishes it as failed.
func (b *Book) Lose(id ID, attempt int, reason string) (e WasRequeued, more bool, err error) {
	j, err := b.attempt(id, attempt, "lost", Placed, Running)
	if err != nil {
		return WasRequeued{}, false, err
	}
	return WasRequeued{id, attempt, reason}, j.Attempt < attemptsMax && !j.Stopping, nil
}

// Stop asks to end the job.
func (b *Book) Stop(id ID, reason string) (StopAsked, error) {
	if _, err := b.live(id, "stopped", Waiting, Placed, Running); err != nil {
		return StopAsked{}, err
	}
	return StopAsked{id, reason}, nil
}

// Finish asks to record the end; Use and Charged are filled in from the
// devices held, the time and the rate at submit.
func (b *Book) Finish(e Finished) (Finished, error) {
	j, err := b.attempt(e.ID, e.Attempt, "finished", Placed, Running)
	if err != nil {
		return Finished{}, err
	}
	if e.Started == 0 {
		e.Started = j.Started
	}
	e.Use = 0 // never the caller's word
	if e.Started != 0 && e.Ended > e.Started {
		e.Use = unit.ChipSeconds(e.Ended.Sub(e.Started).Seconds() * int64(len(j.Placement.Devices)))
	}
	e.Charged = min(unit.Price(e.Use, j.Rate), j.PriceMax(j.Rate))
	return e, nil
}

// Cancel asks to record the end of a waiting job, which costs nothing.
func (b *Book) Cancel(id ID, reason string, at unit.Instant) (Finished, error) {
	j, err := b.live(id, "cancelled", Waiting)
	if err != nil {
		return Finished{}, err
	}
	return Finished{ID: id, Attempt: j.Attempt, State: Stopped, Reason: reason, Ended: at}, nil
}

// Abandon asks to record the end of an attempt that was lost, when there will
// be no other. The loss was not the job's doing, so nothing is charged.
func (b *Book) Abandon(id ID, attempt int, state, reason string, at unit.Instant) (Finished, error) {
	j, err := b.attempt(id, attempt, "abandoned", Placed, Running)
	if err != nil {
		return Finished{}, err
	}
	return Finished{ID: id, Attempt: attempt, State: state, Reason: reason, Started: j.Started, Ended: at}, nil
}

// ApplySubmitted records the job as waiting.
func (b *Book) ApplySubmitted(e Submitted, at unit.Instant, seq int64) {
	b.Live.Put(e.ID, Job{Spec: e.Spec, Org: e.Org, Rate: e.Rate, State: Waiting, Submitted: at, Order: seq})
}

// ApplyPlaced records the placement.
func (b *Book) ApplyPlaced(e WasPlaced) {
	j, _ := b.Live.Get(e.ID)
	j.State, j.Attempt, j.Placement = Placed, e.Attempt, e.Placement
	b.Live.Put(e.ID, j)
}

// ApplyStarted records the start.
func (b *Book) ApplyStarted(e WasStarted) {
	j, _ := b.Live.Get(e.ID)
	j.State, j.Started = Running, e.At
	b.Live.Put(e.ID, j)
}

// ApplyRequeued puts the job back in the queue.
func (b *Book) ApplyRequeued(e WasRequeued) {
	j, _ := b.Live.Get(e.ID)
	j.State, j.Placement, j.Started, j.Reason = Waiting, Placement{}, 0, e.Reason
	b.Live.Put(e.ID, j)
}

// ApplyStopAsked records the wish to end it.
func (b *Book) ApplyStopAsked(e StopAsked) {
	j, _ := b.Live.Get(e.ID)
	j.Stopping, j.Reason = true, e.Reason
	b.Live.Put(e.ID, j)
}

// ApplyFinished records the end; seq orders the finished by when they ended.
func (b *Book) ApplyFinished(e Finished, seq int64) {
	j, _ := b.Live.Get(e.ID)
	j.State, j.ExitCode, j.Started, j.Ended = e.State, e.ExitCode, e.Started, e.Ended
	j.Use, j.Charged, j.CPU, j.Memory, j.Outputs = e.Use, e.Charged, e.CPU, e.Memory, e.Outputs
	if e.Reason != "" || e.State == Succeeded {
		j.Reason = e.Reason // why an earlier attempt was lost is no matter now
	}
	b.Live.Delete(e.ID)
	b.Finished.Put(e.ID, j)
	b.Ended.Put(fmt.Sprintf("%016x/%s", seq, e.ID), e.ID)
	for b.Ended.Len() > finishedMax {
		order, oldest, _ := b.Ended.First()
		b.Ended.Delete(order)
		b.Finished.Delete(oldest)
	}
}

// Copy returns a book that later changes do not touch.
func (b *Book) Copy() Book { return Book{b.Live.Copy(), b.Finished.Copy(), b.Ended.Copy()} }
