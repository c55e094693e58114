package controller

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/internal/writer"
)

// Paces of the engine's follower.
const (
	lookEvery  = time.Second      // how often attempts are looked at without a signal
	nodesEvery = 10 * time.Second // how often nodes are
	stopGrace  = 10 * unit.Second // between SIGTERM and SIGKILL
)

// Engine drives one engine until the context ends: it reports its nodes,
// starts what is placed on them, and records what became of it. Name is the
// part before the slash in its nodes' ids.
func Engine(ctx context.Context, w *writer.Writer, name string, e engine.Engine, log *slog.Logger) {
	d := &driver{w: w, name: name, engine: e, log: log.With("engine", name)}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		state, moved := w.Watch()
		d.reportNodes(ctx, state)
		d.drive(ctx, state)
		d.tidy(ctx)
		select {
		case <-ctx.Done():
			return
		case <-w.Done():
			return
		case <-moved:
		case <-e.Changed():
		case <-tick.C:
		}
	}
}

type driver struct {
	w        *writer.Writer
	name     string
	engine   engine.Engine
	log      *slog.Logger
	reported time.Time
	strange  map[engine.Attempt]bool // attempts nobody here knows, told once
}

func (d *driver) order(ctx context.Context, step string, a engine.Attempt, c centre.Command) bool {
	return order(ctx, d.w, d.log, attemptKey(step, a.Job, a.Number), c)
}

// attemptKey names an observation, so that it is recorded once however often
// it is made.
func attemptKey(step string, id job.ID, attempt int) string {
	return fmt.Sprintf("%s/%s/%d", step, id, attempt)
}

// reportNodes records what the engine sees. A node it no longer names is away;
// an engine that does not answer says nothing about its nodes.
func (d *driver) reportNodes(ctx context.Context, state *centre.State) {
	if time.Since(d.reported) < nodesEvery {
		return
	}
	nodes, err := d.engine.Nodes(ctx)
	if err != nil {
		if ctx.Err() == nil {
			d.log.Warn("nodes cannot be seen", "err", err)
		}
		return
	}
	d.reported = time.Now()
	for name, node := range nodes {
		node.Engine = d.name
		order(ctx, d.w, d.log, "", centre.ReportNode{ID: d.nodeID(name), Node: node})
	}
	for id, node := range state.Fleet.Nodes.All() {
		name, mine := strings.CutPrefix(string(id), d.name+"/")
		if _, here := nodes[name]; mine && !here && !node.Away {
			node.Away = true
			order(ctx, d.w, d.log, "", centre.ReportNode{ID: id, Node: node})
		}
	}
}

func (d *driver) nodeID(name string) fleet.NodeID { return fleet.NodeID(d.name + "/" + name) }

// drive brings every attempt placed on this engine a step further.
func (d *driver) drive(ctx context.Context, state *centre.State) {
	for id, j := range state.Jobs.Live.All() {
		if node, mine := strings.CutPrefix(string(j.Placement.Node), d.name+"/"); mine && j.Alive() && ctx.Err() == nil {
			d.step(ctx, state, engine.Attempt{Job: id, Number: j.Attempt}, j, node)
		}
	}
}

func (d *driver) step(ctx context.Context, state *centre.State, a engine.Attempt, j job.Job, node string) {
	seen, err := d.engine.Observe(ctx, a)
	var unknown *engine.UnknownError
	switch {
	case errors.As(err, &unknown):
		d.unknown(ctx, state, a, j, node)
		return
	case err != nil:
		if ctx.Err() == nil {
			d.log.Warn("attempt cannot be seen", "attempt", a.String(), "err", err)
		}
		return
	}
	switch seen.State {
	case engine.Running:
		if j.State == job.Placed {
			d.order(ctx, "start", a, centre.StartJob{Job: a.Job, Attempt: a.Number, At: seen.Started})
		}
		fallthrough
	case engine.Starting:
		if j.Stopping {
			d.stop(ctx, a)
		}
	case engine.Ended:
		d.finish(ctx, a, j, seen)
	case engine.Lost:
		d.order(ctx, "lose", a, centre.LoseJob{Job: a.Job, Attempt: a.Number, Reason: orElse(seen.Reason, "its engine lost it")})
	}
}

// unknown starts what the engine has not been told of yet. An attempt that ran
// and is gone was lost; one that should stop before it began just ends.
func (d *driver) unknown(ctx context.Context, state *centre.State, a engine.Attempt, j job.Job, node string) {
	switch {
	case j.State == job.Running:
		d.order(ctx, "lose", a, centre.LoseJob{Job: a.Job, Attempt: a.Number, Reason: "its engine no longer knows it"})
		return
	case j.Stopping:
		d.order(ctx, "finish", a, centre.FinishJob{Finished: job.Finished{ID: a.Job, Attempt: a.Number, State: job.Stopped}})
		return
	}
	err := d.engine.Start(ctx, taskOf(state, a, j, node))
	var never *engine.CannotError
	switch {
	case errors.As(err, &never):
		d.order(ctx, "finish", a, centre.FinishJob{Finished: job.Finished{ID: a.Job, Attempt: a.Number, State: job.Failed, Reason: never.Problem}})
	case err != nil && ctx.Err() == nil:
		d.log.Error("attempt does not start; it is tried again", "attempt", a.String(), "err", err)
	}
}

func taskOf(state *centre.State, a engine.Attempt, j job.Job, node string) engine.Task {
	task := engine.Task{Attempt: a, Argv: j.Argv, Params: j.Params, Inputs: j.Inputs, Node: node,
		Memory: j.Spec.Memory, TimeLimit: j.TimeLimit, Network: j.Network, Service: j.Service}
	there, _ := state.Fleet.Nodes.Get(j.Placement.Node)
	for _, device := range there.Devices {
		for _, id := range j.Placement.Devices {
			if device.ID == id {
				task.Devices = append(task.Devices, device)
			}
		}
	}
	return task
}

func (d *driver) stop(ctx context.Context, a engine.Attempt) {
	if err := d.engine.Stop(ctx, a, stopGrace); err != nil && ctx.Err() == nil {
		d.log.Error("attempt does not stop; it is tried again", "attempt", a.String(), "err", err)
	}
}

// finish records the end. What the attempt made is in the store before the
// ledger names it; if we stop in between, collecting again gives the same
// names.
func (d *driver) finish(ctx context.Context, a engine.Attempt, j job.Job, seen engine.Observation) {
	ended := centre.FinishJob{Finished: job.Finished{ID: a.Job, Attempt: a.Number, State: job.Succeeded, ExitCode: seen.ExitCode,
		Reason: seen.Reason, Started: seen.Started, Ended: seen.Ended, CPU: seen.CPU, Memory: seen.Memory}}
	f := &ended.Finished
	switch {
	case j.Stopping && (seen.Stopped || seen.ExitCode != 0):
		f.State, f.Reason = job.Stopped, orElse(j.Reason, seen.Reason)
	case seen.ExitCode != 0 || seen.Reason != "":
		f.State = job.Failed
		f.Reason = orElse(f.Reason, orElse(d.lastWords(ctx, a), fmt.Sprintf("exit status %d", seen.ExitCode)))
	default:
		result, err := d.engine.Collect(ctx, a)
		var refused interface{ Code() string }
		switch {
		case errors.As(err, &refused) && refused.Code() == outputRefused:
			f.State, f.Reason = job.Failed, "its outputs cannot be kept: "+err.Error()
		case err != nil:
			if ctx.Err() == nil {
				d.log.Error("outputs are not stored yet; it is tried again", "attempt", a.String(), "err", err)
			}
			return
		}
		f.Outputs, ended.Statement = result.Outputs, result.Statement
	}
	d.order(ctx, "finish", a, ended)
}

// outputRefused is the one code with which an engine says that an output can
// never be kept; faults, such as a full disk, may have codes of their own.
const outputRefused = "attempt.output"

// wordsMax bounds how much of what a failed job said last becomes its reason.
const (
	wordsReadMax = 16 << 10
	wordsMax     = 300
)

// lastWords is the last line a failed attempt printed as an error, without the
// hint after it.
func (d *driver) lastWords(ctx context.Context, a engine.Attempt) string {
	logs, err := d.engine.Logs(ctx, a, engine.Stderr, 0)
	if err != nil {
		return ""
	}
	defer logs.Close()
	last := ""
	lines := bufio.NewScanner(logs)
	lines.Buffer(make([]byte, 0, 4096), wordsReadMax)
	for lines.Scan() {
		line := strings.TrimSpace(strings.ToValidUTF8(lines.Text(), "�"))
		if line != "" && !strings.HasPrefix(line, "gaon: hint:") {
			last = strings.TrimPrefix(line, "gaon: ")
		}
	}
	if runes := []rune(last); len(runes) > wordsMax {
		return string(runes[:wordsMax]) + "…"
	}
	return last
}

// tidy removes what the ledger has recorded the end of, and stops attempts
// that were replaced. One that the ledger never heard of is reported and left
// alone: it may be somebody's.
func (d *driver) tidy(ctx context.Context) {
	attempts, err := d.engine.List(ctx)
	if err != nil {
		return // Observe has told of it
	}
	state := d.w.State() // newer than the attempts, so none of them is too new to be known
	for _, seen := range attempts {
		j, known := state.Jobs.Get(seen.Job)
		switch {
		case !known:
			if !d.strange[seen.Attempt] {
				d.log.Warn("the engine has an attempt that the ledger does not know; it is left alone", "attempt", seen.Attempt.String(), "state", seen.State)
				if d.strange == nil {
					d.strange = map[engine.Attempt]bool{}
				}
				d.strange[seen.Attempt] = true
			}
		case j.Alive() && j.Attempt == seen.Number || j.Attempt < seen.Number:
		case seen.State == engine.Running || seen.State == engine.Starting:
			d.stop(ctx, seen.Attempt)
		default:
			if err := d.engine.Forget(ctx, seen.Attempt, !j.Done()); err != nil && ctx.Err() == nil {
				d.log.Warn("work folder is not removed yet", "attempt", seen.Attempt.String(), "err", err)
			}
		}
	}
}

func orElse(text, otherwise string) string {
	if text != "" {
		return text
	}
	return otherwise
}
