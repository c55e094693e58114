package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/gaon-ai/gaon/internal/artifact/folder"
	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/internal/unit"
)

func TestJobRunsOnce(t *testing.T) {
	play(t, func(w *world) {
		id := w.submit()
		w.mustBe(id, job.Running, 1)
		w.engine.mu.Lock()
		task := w.engine.attempts[first(id)].task
		w.engine.mu.Unlock()
		if len(task.Devices) != 2 || task.Node != "here" || string(task.Params) != `{"n":1}` || len(task.Inputs) != 1 || task.Memory != 1<<30 || task.TimeLimit != unit.Hour {
			t.Errorf("the engine was told %+v", task)
		}
		w.pass(90 * time.Second)
		w.engine.change(first(id), ends(0))
		w.settle()
		j := w.mustBe(id, job.Succeeded, 1)
		if j.Use != 180 || j.Charged != unit.Price(180, j.Rate) || len(j.Outputs) != 1 || j.CPU != 3*unit.Second || j.Memory != 1<<20 {
			t.Errorf("on record: %+v", j)
		}
		w.pass(2 * time.Second)
		if keep, gone := w.engine.forgotten[first(id)]; !gone || keep {
			t.Errorf("forgotten %v, keep %v", gone, keep)
		}
		if text := w.logs.String(); text != "" {
			t.Errorf("logged:\n%s", text)
		}
	})
}

// Whatever goes wrong on the way, a job ends as it should, having begun once
// and paid once.
func TestJobOutlastsFaults(t *testing.T) {
	broken := errors.New("broken")
	ledgerFails := func(step ledger.Step) func(*world, job.ID) {
		return func(w *world, _ job.ID) { w.fault.Store(&step) }
	}
	engineFails := func(method string, f fault) func(*world, job.ID) {
		return func(w *world, _ job.ID) { w.engine.fail(method, f) }
	}
	nothing := func(*world, job.ID) {}
	for _, row := range []struct {
		name            string
		atStart, during func(*world, job.ID)
	}{
		{"the answer to a start is lost", engineFails("Start", fault{broken, 1, true}), nothing},
		{"it does not start at first", engineFails("Start", fault{broken, 3, false}), nothing},
		{"the engine is away when it should start", engineFails("Observe", fault{broken, 5, false}), nothing},
		{"the engine is away while it runs", nothing, engineFails("Observe", fault{broken, 5, false})},
		{"its list is not there", engineFails("List", fault{broken, 9, false}), engineFails("List", fault{broken, 9, false})},
		{"the disk is full at first", nothing, engineFails("Collect", fault{fmt.Errorf("collect: %w", &folder.FullError{Dir: "x"}), 4, false})},
		{"outputs cannot be stored at first", nothing, engineFails("Collect", fault{broken, 4, false})},
		{"the answer to a collect is lost", nothing, engineFails("Collect", fault{broken, 2, true})},
		{"its folder is not removed at first", nothing, engineFails("Forget", fault{broken, 3, false})},
		{"its folder is removed and nobody hears", nothing, engineFails("Forget", fault{broken, 1, true})},
		{"the ledger refuses the start's entry", func(w *world, id job.ID) {
			w.engine.begin = func(*fake) { ledgerFails(ledger.StepHead)(w, id) }
		}, nothing},
		{"the ledger refuses the end's entry", nothing, ledgerFails(ledger.StepCommit)},
		{"nobody knows whether the end was written", nothing, func(w *world, id job.ID) {
			ledgerFails(ledger.StepCommitted)(w, id)
			w.engine.change(first(id), ends(0))
			w.pass(5 * time.Second)
			select {
			case <-w.writer.Done():
			default:
				w.Error("the writer went on")
			}
			w.restart()
		}},
		{"the centre restarts before it runs", func(w *world, _ job.ID) { w.engine.fail("Start", fault{broken, 2, false}); w.restart() }, nothing},
		{"the centre restarts while it runs", nothing, func(w *world, _ job.ID) { w.restart() }},
		{"the centre was away when it ended", nothing, func(w *world, id job.ID) {
			w.stop()
			w.engine.change(first(id), ends(0))
			w.begin()
		}},
		{"two controllers drive one engine", func(w *world, _ job.ID) {
			ctx, halt := context.WithCancel(context.Background())
			old := w.halt
			w.halt = func() { halt(); old() }
			w.loops.Go(func() { Engine(ctx, w.writer, "local", w.engine, slog.New(w.logs)) })
			w.loops.Go(func() { Schedule(ctx, w.writer, slog.New(w.logs)) })
		}, nothing},
		{"signals come again and again", nothing, func(w *world, _ job.ID) {
			for range 20 {
				w.engine.signal()
				w.settle()
			}
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			play(t, func(w *world) {
				row.atStart(w, "")
				id := w.submit()
				w.pass(20 * time.Second)
				w.mustBe(id, job.Running, 1)
				row.during(w, id)
				w.settle()
				w.engine.mu.Lock()
				f, runs := w.engine.attempts[first(id)]
				runs = runs && f.State == engine.Running
				w.engine.mu.Unlock()
				if runs {
					w.engine.change(first(id), ends(0))
				}
				w.pass(30 * time.Second)
				if j := w.mustBe(id, job.Succeeded, 1); len(j.Outputs) != 1 {
					t.Errorf("outputs %v", j.Outputs)
				}
				if _, gone := w.engine.forgotten[first(id)]; !gone {
					t.Error("its folder was never removed")
				}
			})
		})
	}
}

// Faults that are no refusal are told to the operator.
func TestFaultsAreTold(t *testing.T) {
	play(t, func(w *world) {
		w.engine.fail("Start", fault{errors.New("no more processes"), 2, false})
		w.submit()
		w.pass(5 * time.Second)
		if w.logs.count("attempt does not start; it is tried again") == 0 || w.logs.count("no more processes") == 0 {
			t.Errorf("logged:\n%s", w.logs)
		}
	})
}

// outputError refuses outputs as engines do.
type outputError struct{}

func (outputError) Code() string  { return "attempt.output" }
func (outputError) Error() string { return "out/x is a link" }

func TestHowJobsEnd(t *testing.T) {
	long := strings.Repeat("가", 400)
	for _, row := range []struct {
		name, state, reason string
		fail                func(*fake)
	}{
		{"it failed and said why", job.Failed, "train: the loss is no number", func(f *fake) {
			f.stderr = "step 1\ngaon: train: the loss is no number\ngaon: hint: lower learning_rate\n\n"
			ends(1)(f)
		}},
		{"it failed without a word", job.Failed, "exit status 3", ends(3)},
		{"its last words are long", job.Failed, long[:900] + "…", func(f *fake) { f.stderr = long; ends(1)(f) }},
		{"its last line has no end", job.Failed, "said before", func(f *fake) { f.stderr = "said before\n" + strings.Repeat("x", 1<<20); ends(1)(f) }},
		{"its last words are no UTF-8", job.Failed, "a�b", func(f *fake) { f.stderr = "a\xffb"; ends(1)(f) }},
		{"the engine ended it", job.Failed, "time limit of 1h0m0s", func(f *fake) { ends(137)(f); f.Reason = "time limit of 1h0m0s"; f.stderr = "bye" }},
		{"the engine ended it with status 0", job.Failed, "memory limit", func(f *fake) { ends(0)(f); f.Reason = "memory limit" }},
		{"it ended well", job.Succeeded, "", ends(0)},
	} {
		t.Run(row.name, func(t *testing.T) {
			play(t, func(w *world) {
				id := w.submit()
				w.pass(10 * time.Second)
				w.engine.change(first(id), row.fail)
				w.pass(2 * time.Second)
				if j := w.mustBe(id, row.state, 1); j.Reason != row.reason || j.Charged == 0 {
					t.Errorf("reason %q, want %q; charged %s", j.Reason, row.reason, j.Charged)
				}
			})
		})
	}
	t.Run("it can never start", func(t *testing.T) {
		play(t, func(w *world) {
			w.engine.fail("Start", fault{&engine.CannotError{Problem: "there is no program ./x"}, 1, false})
			id := w.submit()
			if j := w.mustBe(id, job.Failed, 1); j.Reason != "there is no program ./x" || j.Charged != 0 {
				t.Errorf("%+v", j)
			}
		})
	})
	t.Run("its outputs cannot be taken", func(t *testing.T) {
		play(t, func(w *world) {
			w.engine.fail("Collect", fault{outputError{}, 1, false})
			id := w.submit()
			w.pass(10 * time.Second)
			w.engine.change(first(id), ends(0))
			w.settle()
			if j := w.mustBe(id, job.Failed, 1); j.Reason != "its outputs cannot be kept: out/x is a link" || len(j.Outputs) != 0 || j.Charged == 0 {
				t.Errorf("%+v", j)
			}
		})
	})
}

func (w *world) ask(id job.ID) {
	w.Helper()
	w.do(w.tenant, centre.StopJob{Job: id, Reason: "enough"})
	w.settle()
}

func TestStop(t *testing.T) {
	t.Run("while it waits", func(t *testing.T) {
		play(t, func(w *world) {
			big := w.submit(func(s *job.Spec) { s.CountMin, s.Count = 4, 4 })
			id := w.submit()
			w.mustBe(id, job.Waiting, 0)
			w.ask(id)
			if j := w.mustBe(id, job.Stopped, 0); j.Charged != 0 || j.Reason != "enough" {
				t.Errorf("%+v", j)
			}
			w.ask(big)
		})
	})
	t.Run("before the engine takes it", func(t *testing.T) {
		play(t, func(w *world) {
			w.engine.fail("Start", fault{errors.New("busy"), 1000, false})
			id := w.submit()
			w.mustBe(id, job.Placed, 1)
			w.ask(id)
			if j := w.mustBe(id, job.Stopped, 1); j.Charged != 0 || w.engine.started[first(id)] != 0 {
				t.Errorf("%+v", j)
			}
		})
	})
	t.Run("while it runs", func(t *testing.T) {
		play(t, func(w *world) {
			id := w.submit()
			w.pass(30 * time.Second)
			w.engine.fail("Stop", fault{errors.New("no"), 2, false})
			w.ask(id)
			w.pass(5 * time.Second)
			j := w.mustBe(id, job.Stopped, 1)
			if j.Use < 60 || j.Charged == 0 || j.Reason != "enough" || len(j.Outputs) != 0 || w.engine.stops[first(id)] != stopGrace {
				t.Errorf("%+v, grace %d", j, w.engine.stops[first(id)])
			}
		})
	})
	t.Run("when it has just ended well", func(t *testing.T) {
		play(t, func(w *world) {
			id := w.submit()
			w.stop()
			w.engine.change(first(id), ends(0))
			w.ask(id)
			w.begin()
			w.settle()
			w.mustBe(id, job.Succeeded, 1)
		})
	})
	t.Run("when it is lost", func(t *testing.T) {
		play(t, func(w *world) {
			id := w.submit()
			w.engine.fail("Stop", fault{errors.New("no"), 1000, false})
			w.ask(id)
			w.engine.change(first(id), func(f *fake) { f.State = engine.Lost })
			w.settle()
			if j := w.mustBe(id, job.Stopped, 1); j.Charged != 0 {
				t.Errorf("%+v", j)
			}
		})
	})
}

func TestLost(t *testing.T) {
	t.Run("it begins again and only the attempt that ends is charged", func(t *testing.T) {
		play(t, func(w *world) {
			id := w.submit()
			w.pass(time.Minute)
			w.engine.change(first(id), func(f *fake) { f.State, f.Reason = engine.Lost, "the machine restarted" })
			w.settle()
			w.mustBe(id, job.Running, 2)
			if keep, gone := w.engine.forgotten[first(id)]; !gone || !keep {
				t.Errorf("first attempt forgotten %v, keep %v: what it kept is for the second", gone, keep)
			}
			w.pass(10 * time.Second)
			w.engine.change(second(id), ends(0))
			w.pass(2 * time.Second)
			if j := w.mustBe(id, job.Succeeded, 2); j.Use != 20 || j.Reason != "" {
				t.Errorf("%+v", j)
			}
			if keep, gone := w.engine.forgotten[second(id)]; !gone || keep {
				t.Errorf("second attempt forgotten %v, keep %v", gone, keep)
			}
		})
	})
	t.Run("the engine no longer knows a running attempt", func(t *testing.T) {
		play(t, func(w *world) {
			id := w.submit()
			w.stop()
			w.engine.mu.Lock()
			delete(w.engine.attempts, first(id))
			w.engine.mu.Unlock()
			w.begin()
			w.settle()
			w.mustBe(id, job.Running, 2)
		})
	})
	t.Run("too often", func(t *testing.T) {
		play(t, func(w *world) {
			w.engine.begin = func(f *fake) { f.State, f.Reason = engine.Lost, "power" }
			id := w.submit()
			w.pass(time.Minute)
			j := w.job(id)
			if j.State != job.Failed || j.Charged != 0 || j.Reason != "power" || len(w.engine.started) != j.Attempt || j.Attempt != 10 {
				t.Errorf("%+v after %d starts", j, len(w.engine.started))
			}
		})
	})
}

// An attempt that was replaced is ended when it comes back, and one that
// nobody here knows is somebody else's.
func TestAttemptsOutOfPlace(t *testing.T) {
	t.Run("a replaced attempt comes back", func(t *testing.T) {
		play(t, func(w *world) {
			id := w.submit()
			w.engine.mu.Lock()
			gone := w.engine.attempts[first(id)]
			delete(w.engine.attempts, first(id))
			w.engine.mu.Unlock()
			w.pass(2 * time.Second)
			w.mustBe(id, job.Running, 2)
			w.engine.mu.Lock()
			w.engine.attempts[first(id)] = gone
			w.engine.mu.Unlock()
			w.pass(3 * time.Second)
			if _, stopped := w.engine.stops[first(id)]; !stopped {
				t.Error("the first attempt runs beside the second")
			}
			if keep, removed := w.engine.forgotten[first(id)]; !removed || !keep {
				t.Errorf("forgotten %v, keep %v", removed, keep)
			}
			w.mustBe(id, job.Running, 2)
			if _, stopped := w.engine.stops[second(id)]; stopped {
				t.Error("the present attempt was stopped")
			}
		})
	})
	t.Run("an attempt nobody knows", func(t *testing.T) {
		play(t, func(w *world) {
			stranger := engine.Attempt{Job: "J99999", Number: 1}
			w.engine.mu.Lock()
			w.engine.attempts[stranger] = &fake{Observation: engine.Observation{Attempt: stranger, State: engine.Running}}
			w.engine.mu.Unlock()
			w.pass(time.Minute)
			w.engine.mu.Lock()
			_, there := w.engine.attempts[stranger]
			w.engine.mu.Unlock()
			if _, stopped := w.engine.stops[stranger]; !there || stopped {
				t.Errorf("there %v, stopped %v", there, stopped)
			}
			if n := w.logs.count("the ledger does not know"); n != 1 {
				t.Errorf("warned %d times:\n%s", n, w.logs)
			}
		})
	})
}

func TestNodes(t *testing.T) {
	play(t, func(w *world) {
		away := func(name string) bool {
			t.Helper()
			n, ok := w.writer.State().Fleet.Nodes.Get(fleet.NodeID("local/" + name))
			if !ok || n.Engine != "local" {
				t.Fatalf("node %s: %+v", name, n)
			}
			return n.Away
		}
		set := func(change func()) {
			w.engine.mu.Lock()
			change()
			w.engine.mu.Unlock()
			w.pass(nodesEvery + lookEvery)
		}
		if away("here") {
			t.Error("the first report is missing")
		}
		id := w.submit()
		waits := w.submit(func(s *job.Spec) { s.CountMin, s.Count = 4, 4 })
		seq := w.writer.State().Seq
		w.pass(10 * nodesEvery)
		if grown := w.writer.State().Seq - seq; grown != 0 {
			t.Errorf("%d entries tell of nodes that did not change", grown)
		}
		set(func() { w.engine.nodes["there"] = fakeNode(1); delete(w.engine.nodes, "here") })
		if !away("here") || away("there") {
			t.Error("the node that left is not away, or the new one is")
		}
		w.mustBe(id, job.Running, 1) // its attempt says itself what becomes of it
		w.mustBe(waits, job.Waiting, 0)
		w.engine.fail("Nodes", fault{errors.New("no answer"), 1000, false})
		set(func() { clear(w.engine.nodes) })
		if away("there") {
			t.Error("an engine that does not answer said that a node left")
		}
		w.engine.fail("Nodes", fault{})
		set(func() { w.engine.nodes["here"] = fakeNode(8) })
		w.pass(nodesEvery)
		if away("here") || !away("there") {
			t.Error("the node that came back is away, or the one that left is not")
		}
		w.mustBe(waits, job.Running, 1)
		w.ask(id)
		w.ask(waits)
	})
}

// What another engine runs is no business of this one.
func TestOtherEngines(t *testing.T) {
	play(t, func(w *world) {
		w.do(centre.Controller, centre.ReportNode{ID: "slurm/a", Node: fakeNode(16)})
		id := w.submit(func(s *job.Spec) { s.CountMin, s.Count = 16, 16 })
		w.pass(time.Minute)
		w.mustBe(id, job.Placed, 1)
		if n, _ := w.writer.State().Fleet.Nodes.Get("slurm/a"); n.Away || len(w.engine.started) != 0 {
			t.Errorf("away %v, started %v", n.Away, w.engine.started)
		}
	})
}
