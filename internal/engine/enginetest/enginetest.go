// Package enginetest is the one suite that every engine passes.
//
// It is not a test of scheduling, and not of what only one engine promises,
// such as surviving the death of its own supervisor; those tests live beside
// the engine.
//
// Begin with Run, from a test of the engine, in a binary whose TestMain calls
// Work first: the suite's work is that same binary.
package enginetest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gaon-ai/gaon/internal/artifact"
	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/unit"
)

// Word is the first argument with which a test binary is the work of the
// suite: "gaon enginetest BEHAVIOUR …".
const Word = "enginetest"

// secretVariable stands for the secrets in the centre's own environment.
const secretVariable = "GAON_SECRET"

// Config says what is under test.
type Config struct {
	// New opens an engine that knows no attempts.
	New func(t *testing.T) Instance
	// Attempts is how many the test of many runs at once; 200 if zero.
	Attempts int
}

// Instance is one engine and what the suite needs beside it.
type Instance struct {
	Engine engine.Engine
	Store  artifact.Store // the one that the engine uses
	// Restart stops the engine, not the work, and opens it again.
	Restart func(t *testing.T) engine.Engine
	// Secrets are files of the centre that work must never be able to read.
	Secrets []string
}

// waitMax is how long the suite waits for anything; nothing it runs takes a
// tenth of that.
const waitMax = 60 * time.Second

var cases = []struct {
	name string
	run  func(*suite)
}{
	{"work that succeeds leaves outputs and a statement", success},
	{"an exit code is told", exitCode},
	{"work killed by a signal is told as 128 and the signal", killed},
	{"work ends at its time limit", timeLimit},
	{"work that ends when asked is told as stopped", stopGently},
	{"work that does not end when asked is killed after the grace", stopHard},
	{"stopping again, or what has ended, is no error", stopAgain},
	{"a hundred starts of one attempt run it once", startOnce},
	{"work goes on while the engine is restarted", restartRunning},
	{"an end during a restart is told after it", restartEnded},
	{"an unknown attempt is refused everywhere", unknown},
	{"logs are bytes, from any offset", logs},
	{"progress and metrics are read as far as they are whole", progress},
	{"keep stays from one attempt to the next", keep},
	{"forgetting leaves the logs", forget},
	{"inputs cannot be changed", inputs},
	{"work without network reaches nobody", network},
	{"work cannot read the centre's files", secrets},
	{"the environment holds nothing of the centre's", environment},
	{"nothing of ended work lives on", orphaned},
	{"work that passes its memory limit is killed", memory},
	{"work has the CPUs that it was given", cpus},
	{"a missing input can never start", missingInput},
	{"a program that is not there ends with a reason", missingProgram},
	{"a device that is not there can never start", missingDevice},
	{"what is no output is refused", badOutputs},
	{"a statement that is none is refused", badStatement},
	{"a service is dialled by its socket", service},
	{"changes are signalled", changes},
	{"many attempts run at once", many},
}

// Run checks an engine.
func Run(t *testing.T, config Config) {
	s := &suite{T: t, Instance: config.New(t), attempts: config.Attempts}
	if s.attempts == 0 {
		s.attempts = 200
	}
	s.nodes()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			part := *s
			part.T = t
			c.run(&part)
			s.Engine = part.Engine // a restart opened another
		})
	}
}

// suite is an engine under test.
type suite struct {
	*testing.T
	Instance
	attempts int
	node     fleet.Node
	name     string // the node's
}

var lastJob atomic.Int64

// nodes learns where to run, and checks what is said of it.
func (s *suite) nodes() {
	s.Helper()
	nodes, err := s.Engine.Nodes(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	for name, node := range nodes {
		s.name, s.node = name, node
	}
	var book fleet.Book
	if _, _, err := book.Report(fleet.NodeID("test/"+s.name), s.node); err != nil {
		s.Fatalf("the centre would refuse node %+v: %v", s.node, err)
	}
	if len(s.node.Devices) == 0 || s.node.Devices[0].Chip != fleet.CPUSlot {
		s.Fatalf("the first device of node %+v is no CPU slot", s.node)
	}
}

// task is work that behaves so, on the first slot, under a new job's name.
func (s *suite) task(behaviour ...string) engine.Task {
	id := job.ID(fmt.Sprintf("J%d", lastJob.Add(1)))
	return engine.Task{
		Attempt: engine.Attempt{Job: id, Number: 1}, Argv: append([]string{"gaon", Word}, behaviour...),
		Devices: s.node.Devices[:1], Node: s.name, Memory: 2 << 30, TimeLimit: unit.Hour,
	}
}

func (s *suite) start(t engine.Task) engine.Attempt {
	s.Helper()
	if err := s.Engine.Start(s.Context(), t); err != nil {
		s.Fatalf("start %s: %v", t.Attempt, err)
	}
	return t.Attempt
}

// await waits until the attempt is in one of the states.
func (s *suite) await(a engine.Attempt, states ...string) engine.Observation {
	s.Helper()
	var o engine.Observation
	for deadline := time.Now().Add(waitMax); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var err error
		if o, err = s.Engine.Observe(s.Context(), a); err != nil {
			s.Fatalf("observe %s: %v", a, err)
		}
		if slices.Contains(states, o.State) {
			return o
		}
	}
	s.Fatalf("attempt %s is %s after %s, want %v; it said:\n%s", a, o.State, waitMax, states, s.log(a, engine.Stderr))
	return o
}

// mustEnd waits for the end and checks the exit code.
func (s *suite) mustEnd(a engine.Attempt, code int) engine.Observation {
	s.Helper()
	o := s.await(a, engine.Ended, engine.Lost)
	if o.State != engine.Ended || o.ExitCode != code {
		s.Fatalf("attempt %s is %s with exit code %d (%s), want ended with %d; it said:\n%s",
			a, o.State, o.ExitCode, o.Reason, code, s.log(a, engine.Stderr))
	}
	if o.Started == 0 || o.Ended < o.Started {
		s.Fatalf("attempt %s started at %d and ended at %d", a, o.Started, o.Ended)
	}
	return o
}

func (s *suite) mustRefuse(err error, code string) {
	s.Helper()
	var refusal interface{ Code() string }
	if !errors.As(err, &refusal) || refusal.Code() != code {
		s.Fatalf("error is %v, want a refusal %s", err, code)
	}
}

func (s *suite) collect(a engine.Attempt) engine.Result {
	s.Helper()
	r, err := s.Engine.Collect(s.Context(), a)
	if err != nil {
		s.Fatalf("collect %s: %v", a, err)
	}
	return r
}

func (s *suite) log(a engine.Attempt, stream string) string {
	s.Helper()
	r, err := s.Engine.Logs(s.Context(), a, stream, 0)
	if err != nil {
		s.Fatalf("logs of %s: %v", a, err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		s.Fatalf("logs of %s: %v", a, err)
	}
	return string(data)
}

// tree stores files and names their tree.
func (s *suite) tree(files map[string]string) unit.Digest {
	s.Helper()
	dir := s.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			s.Fatal(err)
		}
	}
	tree, _, err := artifact.PutTree(s.Context(), s.Store, dir)
	if err != nil {
		s.Fatal(err)
	}
	return tree
}

// output reads an output's files back.
func (s *suite) output(r engine.Result, name string) map[string]string {
	s.Helper()
	files := map[string]string{}
	for _, out := range r.Outputs {
		if out.Name != name {
			continue
		}
		dir := filepath.Join(s.TempDir(), "out")
		if err := artifact.Checkout(s.Context(), s.Store, out.Tree, dir); err != nil {
			s.Fatal(err)
		}
		err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			rel, _ := filepath.Rel(dir, path)
			files[filepath.ToSlash(rel)] = string(data)
			return err
		})
		if err != nil {
			s.Fatal(err)
		}
		return files
	}
	s.Fatalf("there is no output %s among %v", name, r.Outputs)
	return nil
}

// awaitOutput waits until the work has said it.
func (s *suite) awaitOutput(a engine.Attempt, text string) {
	s.Helper()
	for deadline := time.Now().Add(waitMax); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if strings.Contains(s.log(a, engine.Stdout), text) {
			return
		}
		if o, err := s.Engine.Observe(s.Context(), a); err != nil || o.State == engine.Ended {
			s.Fatalf("attempt %s: %+v, %v, before it said %q; it said:\n%s", a, o, err, text, s.log(a, engine.Stderr))
		}
	}
	s.Fatalf("attempt %s did not say %q", a, text)
}

func many(s *suite) {
	tasks := make([]engine.Task, s.attempts)
	for i := range tasks {
		tasks[i] = s.task("exit", fmt.Sprint(i%100))
	}
	var wg sync.WaitGroup
	next := make(chan engine.Task)
	for range 8 {
		wg.Go(func() {
			for t := range next {
				if err := s.Engine.Start(s.Context(), t); err != nil {
					s.Errorf("start %s: %v", t.Attempt, err)
				}
			}
		})
	}
	for _, t := range tasks {
		next <- t
	}
	close(next)
	wg.Wait()
	for i, t := range tasks {
		s.mustEnd(t.Attempt, i%100)
	}
	list, err := s.Engine.List(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	listed := map[engine.Attempt]bool{}
	for _, o := range list {
		if listed[o.Attempt] {
			s.Fatalf("attempt %s is listed twice", o.Attempt)
		}
		listed[o.Attempt] = true
	}
	for _, t := range tasks {
		if !listed[t.Attempt] {
			s.Fatalf("attempt %s is not listed", t.Attempt)
		}
	}
}
