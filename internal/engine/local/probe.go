package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/unit"
)

// A supervisor starts this program a second time, inside the sandbox, where
// this variable tells it so. The work itself gets another environment.
const (
	stageVariable = "GAON_SUPERVISE_STAGE"
	stageOutside  = "supervisor"
	stageInside   = "inside"
	stageProbe    = "probe"
)

// findings is what a piece of work found out about its own sandbox.
type findings struct {
	NetworkOff bool `json:"network_off"` // no interface but loopback
	ReadOnly   bool `json:"read_only"`   // inputs cannot be changed
	Hidden     bool `json:"hidden"`      // the data folder cannot be seen
	Alone      bool `json:"alone"`       // no foreign process can be seen
	Bound      bool `json:"bound"`       // its CPUs cannot be widened
	Memory     bool `json:"memory"`      // its memory can be counted
}

// probeMax is how long the trial of one kind of sandbox may take.
const probeMax = 30 * time.Second

// probe finds the best sandbox of this machine by running a piece of work in
// each kind, which tries to do what it should not, and whether control groups
// can be made for it: nil if not.
func probe(ctx context.Context, c Config) (string, *group, fleet.Enforcement, error) {
	kinds := sandboxKinds
	if c.Sandbox != "" {
		kinds = []string{c.Sandbox}
	}
	var groups *group
	noGroups := errors.New("not wanted")
	if !c.NoGroups {
		if groups, noGroups = findGroups(c.Folder); noGroups != nil {
			groups = nil
			c.Log.Info("memory of work is counted", "why", noGroups)
		}
	}
	var troubles []error
	for _, kind := range kinds {
		found, err := try(ctx, c, kind, groups)
		if err != nil && groups != nil {
			// It may be the group that fails, which is no reason to give up
			// the sandbox.
			if found, err2 := try(ctx, c, kind, nil); err2 == nil {
				c.Log.Warn("memory of work is counted", "why", err)
				return kind, nil, enforcement(kind, found, err, troubles), nil
			}
		}
		if err != nil {
			troubles = append(troubles, fmt.Errorf("sandbox by %s: %w", kind, err))
			continue
		}
		return kind, groups, enforcement(kind, found, noGroups, troubles), nil
	}
	return "", nil, fleet.Enforcement{}, fmt.Errorf("this machine can run no work: %w", errors.Join(troubles...))
}

// try runs the probe in a sandbox of the kind.
func try(ctx context.Context, c Config, kind string, groups *group) (findings, error) {
	var found findings
	temp := filepath.Join(c.Folder, "temp")
	dir, err := os.MkdirTemp(temp, "probe-*")
	if err != nil {
		return found, err
	}
	defer removeAll(dir)
	c.Sandbox = kind
	e := &Engine{config: c, jobs: dir, temp: temp, looked: time.Now(), attempts: map[engine.Attempt]*attempt{}, live: map[engine.Attempt]*attempt{}, changed: make(chan struct{}, 1), log: c.Log}
	at := e.get(engine.Attempt{Job: "probe", Number: 1})
	task := engine.Task{Attempt: at.id, Argv: []string{"gaon", "supervise", "."}, Memory: 1 << 30, TimeLimit: unit.Span(probeMax / time.Millisecond)}
	if err := os.MkdirAll(filepath.Join(at.dir, workFolder, "in", "sample"), 0o755); err != nil {
		return found, err
	}
	if err := os.MkdirAll(e.keep("probe"), 0o700); err != nil {
		return found, err
	}
	l, err := e.plan(ctx, at, task)
	if err != nil {
		return found, err
	}
	if groups != nil {
		l.Group = groups.below("probe") // no attempt's: those have a number
	}
	l.CPUs = affinity([]int{0})
	l.Env = append(l.Env, stageVariable+"="+stageProbe, "GAON_PROBE_HIDDEN="+filepath.Join(at.dir, taskFile))
	if err := e.furnish(ctx, at.dir, l); err != nil {
		return found, err
	}
	if err := writeState(at.dir, taskFile, l); err != nil {
		return found, err
	}
	if err := e.launch(at); err != nil {
		return found, err
	}
	return at.verdict(ctx)
}

// verdict waits for the probe and reads what it found.
func (a *attempt) verdict(ctx context.Context) (findings, error) {
	var found findings
	var end ending
	for deadline := time.Now().Add(probeMax); ; time.Sleep(5 * time.Millisecond) {
		if readState(a.dir, endFile, &end) == nil {
			break
		}
		a.mu.Lock()
		gone := !a.supervisor && !exists(filepath.Join(a.dir, endFile))
		a.mu.Unlock()
		said, _ := os.ReadFile(filepath.Join(a.dir, supervisorFile))
		if gone {
			return found, fmt.Errorf("the supervisor ended without a word: %s", lastLine(said))
		}
		if err := ctx.Err(); err != nil {
			return found, err
		}
		if time.Now().After(deadline) {
			return found, fmt.Errorf("it takes longer than %s: %s", probeMax, lastLine(said))
		}
	}
	if end.ExitCode != 0 {
		said, _ := os.ReadFile(filepath.Join(a.dir, engine.Stderr+".log"))
		return found, errors.New(strings.TrimSpace(end.Reason + " " + lastLine(said)))
	}
	data, err := os.ReadFile(filepath.Join(a.dir, engine.Stdout+".log"))
	if err == nil {
		err = json.Unmarshal(data, &found)
	}
	if err != nil {
		return found, fmt.Errorf("read what the probe found: %w", err)
	}
	return found, nil
}

// enforcement says in words what the findings mean; noGroups is why no control
// groups can be made, nil if they can.
func enforcement(kind string, found findings, noGroups error, troubles []error) fleet.Enforcement {
	f := fleet.Enforcement{
		Network: found.NetworkOff, Inputs: found.ReadOnly && found.Hidden && found.Alone,
		Memory: found.Memory || noGroups == nil, CPU: found.Bound,
	}
	remark := func(text string) { f.Remarks = append(f.Remarks, text) }
	if !f.Network {
		remark("Work cannot be kept off the network.")
	}
	if !f.Inputs {
		remark("Work can read and change whatever the user that runs the centre can, inputs and the data folder too.")
	}
	if noGroups == nil {
		// The kernel limits memory; there is nothing to remark.
	} else if f.Memory {
		remark("Memory is counted ten times a second: work that takes too much is killed, but may have passed its limit for a moment.")
	} else {
		remark("The memory of work is not limited.")
	}
	if !f.CPU {
		remark("Work is asked to use only its CPU slots and can take more.")
	}
	remark("The disk space of work is not limited.")
	if kind == SandboxNone {
		for _, err := range troubles {
			remark("Not available: " + strings.ReplaceAll(err.Error(), "\n", " ") + ".")
		}
	}
	return f
}
