package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/grant"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/internal/ledger/ledgertest"
	"github.com/gaon-ai/gaon/internal/ledger/memory"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/programme"
	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/internal/writer"
)

// fake is an attempt as the fake engine has it.
type fake struct {
	engine.Observation
	task   engine.Task
	result engine.Result
	stderr string
	serve  func(net.Conn)
}

// fault fails calls of one method of the fake engine. After says that the
// call does its work first: the answer is what gets lost.
type fault struct {
	err   error
	times int
	after bool
}

// fakeEngine runs nothing: the test says what becomes of an attempt. Its time
// is the bubble's.
type fakeEngine struct {
	mu        sync.Mutex // guards all below
	nodes     map[string]fleet.Node
	attempts  map[engine.Attempt]*fake
	started   map[engine.Attempt]int // how often Start began one
	stops     map[engine.Attempt]unit.Span
	forgotten map[engine.Attempt]bool // and whether keep/ was kept
	faults    map[string]*fault
	begin     func(*fake) // decides what an attempt does when it starts

	changed chan struct{}
}

func newFakeEngine() *fakeEngine {
	e := &fakeEngine{nodes: map[string]fleet.Node{}, attempts: map[engine.Attempt]*fake{}, started: map[engine.Attempt]int{},
		stops: map[engine.Attempt]unit.Span{}, forgotten: map[engine.Attempt]bool{}, faults: map[string]*fault{}, changed: make(chan struct{}, 1)}
	e.nodes["here"] = fakeNode(4)
	return e
}

func fakeNode(slots int) fleet.Node {
	n := fleet.Node{Country: "KR", Memory: 64 << 30, Enforce: fleet.Enforcement{Network: true, Inputs: true}}
	for i := range slots {
		n.Devices = append(n.Devices, fleet.Device{ID: fmt.Sprintf("cpu%d", i), Chip: fleet.CPUSlot})
	}
	return n
}

// enter takes the lock and says what the call must fail with, and when.
func (e *fakeEngine) enter(method string) (before, after error) {
	e.mu.Lock()
	f := e.faults[method]
	if f == nil || f.times == 0 {
		return nil, nil
	}
	f.times--
	if f.after {
		return nil, f.err
	}
	return f.err, nil
}

func (e *fakeEngine) signal() {
	select {
	case e.changed <- struct{}{}:
	default:
	}
}

func (e *fakeEngine) Nodes(context.Context) (map[string]fleet.Node, error) {
	before, _ := e.enter("Nodes")
	defer e.mu.Unlock()
	return maps.Clone(e.nodes), before
}

func (e *fakeEngine) Start(_ context.Context, t engine.Task) error {
	before, after := e.enter("Start")
	defer e.mu.Unlock()
	if before != nil {
		return before
	}
	if _, known := e.attempts[t.Attempt]; !known {
		e.started[t.Attempt]++
		f := &fake{task: t, Observation: engine.Observation{Attempt: t.Attempt, State: engine.Running, Started: now()}}
		e.attempts[t.Attempt] = f
		if e.begin != nil {
			e.begin(f)
		}
		e.signal()
	}
	return after
}

func (e *fakeEngine) Observe(_ context.Context, a engine.Attempt) (engine.Observation, error) {
	before, _ := e.enter("Observe")
	defer e.mu.Unlock()
	if before != nil {
		return engine.Observation{}, before
	}
	f, known := e.attempts[a]
	if !known {
		return engine.Observation{}, &engine.UnknownError{Attempt: a}
	}
	return f.Observation, nil
}

func (e *fakeEngine) List(context.Context) ([]engine.Observation, error) {
	before, _ := e.enter("List")
	defer e.mu.Unlock()
	var all []engine.Observation
	for _, f := range e.attempts {
		all = append(all, f.Observation)
	}
	return all, before
}

func (e *fakeEngine) Changed() <-chan struct{} { return e.changed }

func (e *fakeEngine) Stop(_ context.Context, a engine.Attempt, grace unit.Span) error {
	before, after := e.enter("Stop")
	defer e.mu.Unlock()
	f, known := e.attempts[a]
	if before != nil || !known {
		return before
	}
	e.stops[a] = grace
	if f.State != engine.Ended {
		f.State, f.Ended, f.Stopped, f.ExitCode = engine.Ended, now(), true, 143
		e.signal()
	}
	return after
}

func (e *fakeEngine) Collect(_ context.Context, a engine.Attempt) (engine.Result, error) {
	before, after := e.enter("Collect")
	defer e.mu.Unlock()
	if before != nil {
		return engine.Result{}, before
	}
	f, known := e.attempts[a]
	if !known || f.State != engine.Ended {
		return engine.Result{}, fmt.Errorf("collect %s, which has not ended", a)
	}
	return f.result, after
}

func (e *fakeEngine) Forget(_ context.Context, a engine.Attempt, keep bool) error {
	before, after := e.enter("Forget")
	defer e.mu.Unlock()
	if before != nil {
		return before
	}
	if f, known := e.attempts[a]; known && (f.State == engine.Running || f.State == engine.Starting) {
		return fmt.Errorf("forget %s, which runs", a)
	}
	delete(e.attempts, a)
	e.forgotten[a] = keep
	return after
}

func (e *fakeEngine) Logs(_ context.Context, a engine.Attempt, stream string, _ int64) (io.ReadCloser, error) {
	before, _ := e.enter("Logs")
	defer e.mu.Unlock()
	f, known := e.attempts[a]
	if before != nil || !known || stream != engine.Stderr {
		return nil, errors.Join(before, errors.New("no such log"))
	}
	return io.NopCloser(strings.NewReader(f.stderr)), nil
}

func (e *fakeEngine) Progress(context.Context, engine.Attempt) (engine.Progress, error) {
	return engine.Progress{}, nil
}

func (e *fakeEngine) Metrics(context.Context, engine.Attempt, int) ([]engine.Metric, error) {
	return nil, nil
}

func (e *fakeEngine) Dial(_ context.Context, a engine.Attempt) (net.Conn, error) {
	before, _ := e.enter("Dial")
	defer e.mu.Unlock()
	f, known := e.attempts[a]
	if before != nil || !known || f.serve == nil {
		return nil, errors.Join(before, errors.New("connection refused"))
	}
	ours, theirs := net.Pipe()
	go f.serve(theirs)
	return ours, nil
}

// change lets the test decide what becomes of an attempt.
func (e *fakeEngine) change(a engine.Attempt, to func(*fake)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	to(e.attempts[a])
	e.signal()
}

func (e *fakeEngine) fail(method string, f fault) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults[method] = &f
}

// ends is an attempt that ends by itself with the exit code.
func ends(code int) func(*fake) {
	return func(f *fake) {
		f.State, f.Ended, f.ExitCode = engine.Ended, now(), code
		f.CPU, f.Memory = 3*unit.Second, 1<<20
		if code == 0 {
			f.result = engine.Result{Outputs: []job.Output{{Name: "result", Tree: digest("result"), Size: 7}}}
		}
	}
}

func now() unit.Instant { return unit.Instant(time.Now().UnixMilli()) }

func digest(name string) unit.Digest { return unit.DigestOf([]byte(name)) }

// world is a centre with one company and a grant, its controllers, and the
// fake engine they drive. It lives in a bubble whose time only moves when
// everything waits.
type world struct {
	*testing.T
	disk   *memory.Disk
	ledger *memory.Ledger
	writer *writer.Writer
	engine *fakeEngine
	fault  atomic.Pointer[ledger.Step] // where the next write fails
	logs   *logbook

	org    party.OrgID
	tenant string
	grant  grant.ID

	halt  context.CancelFunc
	loops sync.WaitGroup
}

// play runs a test on a centre whose controllers run.
func play(t *testing.T, script func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, disk: memory.NewDisk(), engine: newFakeEngine(), logs: &logbook{}}
		w.open()
		defer func() { // also after Fatal: a bubble must be empty at its end
			w.stop()
			w.writer.Close()
		}()
		w.found()
		w.begin()
		w.settle()
		script(w)
		w.mustBalance()
	})
}

func (w *world) open() {
	w.Helper()
	var err error
	w.ledger, err = memory.Open(w.disk, memory.Config{Key: ledgertest.Key(w), Fault: func(s ledger.Step) error {
		if at := w.fault.Load(); at != nil && *at == s {
			w.fault.Store(nil)
			return errors.New("disk says no")
		}
		return nil
	}})
	if err == nil {
		w.writer, err = writer.Open(context.Background(), writer.Config{Ledger: w.ledger, Now: now})
	}
	if err != nil {
		w.Fatal(err)
	}
}

// begin starts the controllers of the engine.
func (w *world) begin() {
	ctx, halt := context.WithCancel(context.Background())
	w.halt = halt
	log := slog.New(w.logs)
	w.loops.Go(func() { Schedule(ctx, w.writer, log) })
	w.loops.Go(func() { Engine(ctx, w.writer, "local", w.engine, log) })
}

func (w *world) stop() {
	if w.halt != nil {
		w.halt()
	}
	w.loops.Wait()
}

// restart is a new life of the centre over the same ledger and engine.
func (w *world) restart() {
	w.Helper()
	w.stop()
	w.writer.Close() // tells of the fault that stopped it, if one did
	if err := w.ledger.Close(); err != nil {
		w.Fatal(err)
	}
	w.open()
	w.begin()
	w.settle()
}

// settle waits until nothing more follows from what has happened.
func (w *world) settle() { synctest.Wait() }

// pass lets time go by.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (w *world) do(by string, c centre.Command) string {
	w.Helper()
	outcome, err := w.writer.Do(context.Background(), writer.Order{By: by, Command: c})
	if err != nil {
		w.Fatalf("%T: %v", c, err)
	}
	return outcome.Made
}

const operator = "P0"

func (w *world) found() {
	w.do(centre.Founder, centre.Found{Founded: centre.Founded{Name: "Centre", Country: "KR", Site: "site"}, Policy: policy.Default,
		Details: digest("operator"), Secret: digest("secret")})
	p := w.do(operator, centre.PublishProgramme{Programme: programme.Programme{Name: "Programme",
		Rule: programme.Rule{Ceiling: 1e12, PerOrg: 1e12, Length: 300 * unit.Day}}})
	call := w.do(operator, centre.OpenCall{Programme: programme.ID(p), Name: "Call", Budget: 1e13, Closes: now().Add(300 * unit.Day)})
	w.org = party.OrgID(w.do(operator, centre.AddOrganisation{Organisation: party.Organisation{Name: "한빛", Country: "KR", Kind: "company"}}))
	w.tenant = w.do(operator, centre.AddPerson{Org: w.org, Details: digest("tenant"), Roles: []party.Role{{Name: party.Tenant}}})
	w.do(w.tenant, centre.Apply{Call: programme.CallID(call), Org: w.org, Purpose: "models", Credits: 100 * unit.Credit})
	for id := range w.writer.State().Grants.Grants.All() {
		w.grant = id
	}
}

// submit submits a job of two slots and lets it settle.
func (w *world) submit(change ...func(*job.Spec)) job.ID {
	w.Helper()
	spec := job.Spec{Name: "work", Grant: w.grant, Argv: []string{"true"}, Params: json.RawMessage(`{"n":1}`), Chip: fleet.CPUSlot,
		Inputs: []job.Input{{Name: "data", Tree: digest("data")}}, CountMin: 2, Count: 2, Memory: 1 << 30, TimeLimit: unit.Hour}
	for _, c := range change {
		c(&spec)
	}
	id := job.ID(w.do(w.tenant, centre.SubmitJob{Spec: spec}))
	w.settle()
	return id
}

func (w *world) job(id job.ID) job.Job {
	w.Helper()
	j, ok := w.writer.State().Jobs.Get(id)
	if !ok {
		w.Fatalf("there is no job %s", id)
	}
	return j
}

// mustBe wants the job in a state, at an attempt.
func (w *world) mustBe(id job.ID, state string, attempt int) job.Job {
	w.Helper()
	j := w.job(id)
	if j.State != state || j.Attempt != attempt {
		w.Fatalf("job %s is %s at attempt %d (%s), want %s at %d\n%s", id, j.State, j.Attempt, j.Reason, state, attempt, w.logs)
	}
	return j
}

func first(id job.ID) engine.Attempt  { return engine.Attempt{Job: id, Number: 1} }
func second(id job.ID) engine.Attempt { return engine.Attempt{Job: id, Number: 2} }

// mustStartOnce wants every attempt that ever started to have started once.
func (w *world) mustStartOnce() {
	w.Helper()
	w.engine.mu.Lock()
	defer w.engine.mu.Unlock()
	for a, n := range w.engine.started {
		if n != 1 {
			w.Errorf("attempt %s began %d times", a, n)
		}
	}
}

// mustBalance wants every invariant to hold, and each job on the ledger to
// have ended and been charged at most once.
func (w *world) mustBalance() {
	w.Helper()
	w.mustStartOnce()
	if err := w.writer.State().Check(); err != nil {
		w.Error(err)
	}
	entries, err := w.ledger.Read(context.Background(), 0, 10_000)
	if err != nil {
		w.Fatal(err)
	}
	seen := map[string]int{}
	for _, raw := range entries {
		entry, err := centre.DecodeEntry(raw.Data)
		if err != nil {
			w.Fatal(err)
		}
		for _, e := range entry.Events {
			switch e := e.(type) {
			case job.Finished:
				seen["end of "+string(e.ID)]++
			case grant.Used:
				seen["charge for "+e.Job]++
			case job.WasStarted:
				seen[fmt.Sprintf("start of %s.%d", e.ID, e.Attempt)]++
			}
		}
	}
	for _, what := range slices.Sorted(maps.Keys(seen)) {
		if seen[what] != 1 {
			w.Errorf("%s is on record %d times", what, seen[what])
		}
	}
}

// logbook keeps what is logged at Warn and above.
type logbook struct {
	mu    sync.Mutex
	lines []string // guarded by mu
}

func (l *logbook) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

func (l *logbook) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	l.lines = append(l.lines, line)
	return nil
}

func (l *logbook) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *logbook) WithGroup(string) slog.Handler      { return l }

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

func (l *logbook) count(words string) int { return strings.Count(l.String(), words) }
