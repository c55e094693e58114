// Package engine is the one interface between the centre and whatever runs its
// work: this machine, Slurm, Kubernetes.
//
// An engine starts what it is told where it is told and says what became of
// it. It decides nothing: who may run what, where and when is settled before
// it is asked.
//
// Begin with Engine; package local is the engine of one machine, and every
// engine passes enginetest.
package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"

	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/unit"
)

// Attempt names one try at a job: what an engine knows work by.
type Attempt struct {
	Job    job.ID
	Number int
}

// String is the name in the centre's words: J31.2 is the second try at J31.
func (a Attempt) String() string { return fmt.Sprintf("%s.%d", a.Job, a.Number) }

// Task is what to run. The work finds, in its working folder:
//
//	params.json      Params, if there are any
//	in/NAME/         each input's files, read-only
//	out/             where it writes; each folder in it becomes an output
//	keep/            kept from one attempt at the job to the next: checkpoints
//	statement.json   written by a stage: what it says of its work
//	progress.json    written now and then, replaced whole: Progress
//	metrics.jsonl    appended: one Metric a line
//	serve.sock       a service listens on this Unix socket
//
// and in its environment GAON_JOB, GAON_ATTEMPT, GAON_SLOTS (how many CPU
// slots it has), and what its devices need, such as CUDA_VISIBLE_DEVICES.
type Task struct {
	Attempt
	Argv      []string // the word "gaon" first means this program itself
	Params    json.RawMessage
	Inputs    []job.Input
	Devices   []fleet.Device
	Node      string     // the engine's own name for the node
	Memory    unit.Bytes // limit
	TimeLimit unit.Span
	Network   bool
	Service   bool
}

// States of an attempt, as its engine sees it.
const (
	Starting = "starting" // asked for, not running yet
	Running  = "running"
	Ended    = "ended" // by itself, or because it was stopped
	Lost     = "lost"  // the engine knows that it was, and not what became of it
)

// Observation is what an engine knows of one attempt.
type Observation struct {
	Attempt
	State    string
	Started  unit.Instant // zero until it runs; by the engine's clock
	Ended    unit.Instant
	ExitCode int    // of the first process; 128 + the signal that killed it
	Reason   string // in words where the exit code does not tell: time limit, memory limit, cannot be started
	Stopped  bool   // it ended because Stop asked for it
	CPU      unit.Span
	Memory   unit.Bytes // peak
}

// Progress is how far work has come, as it says itself.
type Progress struct {
	Step   string             `json:"step,omitempty"`
	Done   int64              `json:"done"`
	Total  int64              `json:"total"`
	Values map[string]float64 `json:"values,omitempty"` // such as loss
}

// Metric is one measured point, such as the loss after a step.
type Metric struct {
	Step   int64              `json:"step"`
	Values map[string]float64 `json:"values"`
}

// Streams of an attempt's output.
const (
	Stdout = "stdout"
	Stderr = "stderr"
)

// Result is what an attempt that ended left behind.
type Result struct {
	Outputs   []job.Output
	Statement *factory.Statement // nil where it left none
}

// Engine runs attempts. All methods may be called from several goroutines, and
// again after the centre was killed: an engine remembers by itself.
type Engine interface {
	// Nodes lists the machines as they are now. Names are the engine's own.
	Nodes(ctx context.Context) (map[string]fleet.Node, error)

	// Start runs the task, once: asked again for the same attempt it changes
	// nothing and succeeds. When it returns nil the attempt is known to List
	// even if the machine stops at once. *CannotError says that this task can
	// never start here; any other error is worth another try.
	Start(ctx context.Context, t Task) error

	// Observe looks at one attempt; *UnknownError if the engine has none.
	Observe(ctx context.Context, a Attempt) (Observation, error)

	// List looks at every attempt not forgotten, in any order.
	List(ctx context.Context) ([]Observation, error)

	// Changed yields a signal after something may have changed. It may be
	// late or missed; callers also look now and then.
	Changed() <-chan struct{}

	// Stop ends an attempt: SIGTERM, and SIGKILL after the grace. It returns
	// at once, and is no error for one that has ended.
	Stop(ctx context.Context, a Attempt, grace unit.Span) error

	// Collect stores the outputs of an attempt that has ended and reads its
	// statement. Collecting again gives the same names. A refusal with the code
	// attempt.output says that what the work left cannot be taken.
	Collect(ctx context.Context, a Attempt) (Result, error)

	// Forget removes what an ended attempt left, logs aside. Until the last
	// attempt of a job is forgotten with keep false, keep/ stays.
	Forget(ctx context.Context, a Attempt, keep bool) error

	// Logs reads a stream of an attempt from offset on, to where it ends now.
	Logs(ctx context.Context, a Attempt, stream string, offset int64) (io.ReadCloser, error)

	// Progress and Metrics read what the work says of itself; absent is zero.
	// Metrics returns points from the from-th on, perhaps not all of them at
	// once: callers ask on from where they are.
	Progress(ctx context.Context, a Attempt) (Progress, error)
	Metrics(ctx context.Context, a Attempt, from int) ([]Metric, error)

	// Dial connects to the socket of a service.
	Dial(ctx context.Context, a Attempt) (net.Conn, error)
}

// UnknownError says that an engine has no such attempt.
type UnknownError struct{ Attempt Attempt }

// Code names the refusal for programs.
func (e *UnknownError) Code() string { return "attempt.unknown" }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("the engine knows no attempt %s", e.Attempt)
}

// CannotError says that a task can never start on this engine.
type CannotError struct {
	Attempt Attempt
	Problem string
}

// Code names the refusal for programs.
func (e *CannotError) Code() string { return "attempt.cannot" }

func (e *CannotError) Error() string {
	return fmt.Sprintf("attempt %s cannot start: %s", e.Attempt, e.Problem)
}
