package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gaon-ai/gaon/internal/artifact"
	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/unit"
)

// attempt is what the engine remembers of one. The truth is on disk.
type attempt struct {
	id  engine.Attempt
	dir string

	mu         sync.Mutex
	claimed    bool    // its folder is there
	forgotten  bool    // only its logs are
	end        *ending // read from disk, final
	began      *running
	supervisor bool // one that this process started is alive
	launches   int
	retryAt    time.Time
	points     []pointMark
}

// launchesMax bounds how often a supervisor that dies before the work begins
// is started again.
const launchesMax = 5

func (e *Engine) dir(a engine.Attempt) string {
	return filepath.Join(e.jobs, string(a.Job), strconv.Itoa(a.Number))
}

func (e *Engine) keep(id job.ID) string { return filepath.Join(e.jobs, string(id), "keep") }

// get returns the attempt's place in memory, making one if needed.
func (e *Engine) get(a engine.Attempt) *attempt {
	e.mu.Lock()
	defer e.mu.Unlock()
	at, ok := e.attempts[a]
	if !ok {
		at = &attempt{id: a, dir: e.dir(a)}
		e.attempts[a] = at
	}
	return at
}

// known returns an attempt that was started and not forgotten.
func (e *Engine) known(a engine.Attempt) (*attempt, error) {
	e.mu.Lock()
	at, ok := e.attempts[a]
	e.mu.Unlock()
	if ok {
		at.mu.Lock()
		ok = at.claimed && !at.forgotten
		at.mu.Unlock()
	}
	if !ok {
		return nil, &engine.UnknownError{Attempt: a}
	}
	return at, nil
}

// all lists every attempt in memory.
func (e *Engine) all() []*attempt {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Values(e.attempts))
}

// alive lists the attempts that the watcher looks at: those not known to have
// ended. There are few of them however many there ever were.
func (e *Engine) alive() []*attempt {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Values(e.live))
}

// setLive adds an attempt to those the watcher looks at, or takes it away.
func (e *Engine) setLive(at *attempt, live bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if live {
		e.live[at.id] = at
	} else {
		delete(e.live, at.id)
	}
}

// find reads from disk which attempts there are.
func (e *Engine) find() error {
	jobs, err := os.ReadDir(e.jobs)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		tries, err := os.ReadDir(filepath.Join(e.jobs, j.Name()))
		if err != nil {
			return err
		}
		for _, try := range tries {
			number, err := strconv.Atoi(try.Name())
			if err != nil || number < 1 || try.Name() != strconv.Itoa(number) {
				continue // keep
			}
			at := e.get(engine.Attempt{Job: job.ID(j.Name()), Number: number})
			at.claimed = true
			at.forgotten = exists(filepath.Join(at.dir, forgottenFile))
			e.setLive(at, !at.forgotten)
		}
	}
	return nil
}

// groupName is the name of an attempt's control group.
func groupName(a engine.Attempt) string { return string(a.Job) + "." + strconv.Itoa(a.Number) }

// sweepGroups ends the control groups that no attempt needs any more: those
// of attempts whose end is written, or whose folder was removed.
func (e *Engine) sweepGroups() {
	if e.groups == nil {
		return
	}
	needed := map[string]bool{}
	for _, at := range e.alive() {
		needed[groupName(at.id)] = !exists(filepath.Join(at.dir, endFile))
	}
	for _, name := range e.groups.names() {
		if needed[name] {
			continue
		}
		if err := e.groups.below(name).end(); err != nil {
			e.log.Error("sweep control groups", "group", name, "error", err)
		}
	}
}

// Start claims the attempt's folder and launches its supervisor.
func (e *Engine) Start(ctx context.Context, t engine.Task) error {
	if err := e.check(t); err != nil {
		return err
	}
	at := e.get(t.Attempt)
	at.mu.Lock()
	defer at.mu.Unlock()
	if !at.claimed {
		if err := e.claim(ctx, at, t); err != nil {
			return err
		}
		// At this point the claim is durable; if we stop here, the watcher of
		// the next process launches it.
		at.claimed = true
		e.setLive(at, true)
		e.signal()
	}
	if at.forgotten || at.supervisor || at.begun() {
		return nil
	}
	return e.launch(at)
}

// begun says whether the work began, or ended before it could. at.mu is held.
func (a *attempt) begun() bool {
	return exists(filepath.Join(a.dir, runningFile)) || exists(filepath.Join(a.dir, endFile))
}

func (e *Engine) check(t engine.Task) error {
	cannot := func(format string, args ...any) error {
		return &engine.CannotError{Attempt: t.Attempt, Problem: fmt.Sprintf(format, args...)}
	}
	switch {
	case !plainName(string(t.Job)) || t.Number < 1:
		return cannot("wants a plain job name and a number from 1")
	case len(t.Argv) == 0 || t.Argv[0] == "":
		return cannot("there is nothing to run")
	case slices.ContainsFunc(t.Argv, func(word string) bool { return strings.ContainsRune(word, 0) }):
		return cannot("a word of the command has a zero byte in it")
	case t.Node != "" && t.Node != e.config.NodeName:
		return cannot("this engine has node %s and no node %s", e.config.NodeName, t.Node)
	case t.TimeLimit < 0 || t.Memory < 0:
		return cannot("limits must not be negative")
	}
	for _, in := range t.Inputs {
		if !plainName(in.Name) {
			return cannot("input %q has no plain name", in.Name)
		}
	}
	return nil
}

// claim builds the attempt's folder aside and renames it into place.
func (e *Engine) claim(ctx context.Context, at *attempt, t engine.Task) error {
	parent := filepath.Dir(at.dir)
	keep := e.keep(t.Job)
	if err := os.MkdirAll(keep, 0o700); err != nil {
		return fmt.Errorf("claim attempt %s: %w", at.id, err)
	}
	temp, err := os.MkdirTemp(e.temp, "claim-*")
	if err != nil {
		return fmt.Errorf("claim attempt %s: %w", at.id, err)
	}
	defer removeAll(temp) // after the rename there is nothing
	l, err := e.plan(ctx, at, t)
	if err != nil {
		return err
	}
	if err := e.furnish(ctx, temp, l); err != nil {
		return err
	}
	err = writeState(temp, taskFile, l)
	if err == nil {
		err = os.Rename(temp, at.dir)
	}
	for _, dir := range []string{parent, e.jobs} {
		if err == nil {
			err = syncFolder(dir)
		}
	}
	if err != nil {
		return fmt.Errorf("claim attempt %s: %w", at.id, err)
	}
	return nil
}

// plan settles everything that the supervisor needs to know.
func (e *Engine) plan(ctx context.Context, at *attempt, t engine.Task) (launch, error) {
	l := launch{
		Version: launchVersion, Task: t, Argv: slices.Clone(t.Argv),
		Program: e.config.Program, Sandbox: e.config.Sandbox, Hide: e.config.Hide, Show: e.config.Show,
		Work: filepath.Join(at.dir, workFolder), Keep: e.keep(t.Job), LogBytesMax: int64(e.config.LogBytesMax),
		LimitGrace: e.config.LimitGrace,
	}
	if e.groups != nil {
		l.Group = e.groups.below(groupName(at.id))
	}
	if os.Geteuid() == 0 && e.config.Sandbox != SandboxNone {
		l.UserID = e.config.UserID
	}
	if l.Argv[0] == "gaon" {
		l.Argv[0] = programInside(l)
	}
	slots := 0
	found := map[string]device{}
	if slices.ContainsFunc(t.Devices, func(d fleet.Device) bool { return d.Chip != fleet.CPUSlot }) {
		for _, d := range e.devices(ctx) {
			found[d.ID] = d
		}
	}
	var given []device
	for _, d := range t.Devices {
		if d.Chip == fleet.CPUSlot {
			n, err := strconv.Atoi(strings.TrimPrefix(d.ID, "cpu"))
			if err != nil || n < 0 || n >= e.config.Slots {
				return l, &engine.CannotError{Attempt: at.id, Problem: fmt.Sprintf("this machine has no device %s", d.ID)}
			}
			slots++
			l.CPUs = append(l.CPUs, n)
			continue
		}
		known, ok := found[d.ID]
		if !ok {
			return l, &engine.CannotError{Attempt: at.id, Problem: fmt.Sprintf("this machine has no device %s", d.ID)}
		}
		given = append(given, known)
		l.DeviceNodes = append(l.DeviceNodes, known.nodes...)
	}
	if l.CPUs = affinity(l.CPUs); slots == 0 {
		slots = max(1, e.config.Slots)
	}
	l.Env = environment(l, slots, given)
	return l, nil
}

// environment is all that the work finds in it: nothing of this process's own
// environment, which may hold secrets.
func environment(l launch, slots int, given []device) []string {
	count := strconv.Itoa(slots)
	env := []string{
		"PATH=" + searchPath,
		"HOME=" + l.Work,
		"TMPDIR=" + filepath.Join(l.Work, "tmp"),
		"LANG=C.UTF-8",
		"GAON_JOB=" + string(l.Task.Job),
		"GAON_ATTEMPT=" + strconv.Itoa(l.Task.Number),
		"GAON_SLOTS=" + count,
		"GOMAXPROCS=" + count,
		"OMP_NUM_THREADS=" + count,
	}
	return append(env, deviceEnvironment(given)...)
}

const searchPath = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"

// furnish makes the working folder: inputs, parameters, places to write.
func (e *Engine) furnish(ctx context.Context, dir string, l launch) error {
	work := filepath.Join(dir, workFolder)
	fail := func(err error) error { return fmt.Errorf("claim attempt %s: %w", l.Task.Attempt, err) }
	for _, name := range []string{"", "in", "out", "tmp", "keep"} {
		if name == "keep" && l.Sandbox == SandboxNone {
			if err := os.Symlink(l.Keep, filepath.Join(work, name)); err != nil {
				return fail(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Join(work, name), 0o700); err != nil {
			return fail(err)
		}
	}
	if len(l.Task.Params) > 0 {
		if err := os.WriteFile(filepath.Join(work, "params.json"), l.Task.Params, 0o444); err != nil {
			return fail(err)
		}
	}
	for _, in := range l.Task.Inputs {
		err := artifact.Checkout(ctx, e.config.Store, in.Tree, filepath.Join(work, "in", in.Name))
		var absent *artifact.AbsentError
		var corrupt *artifact.CorruptError
		var noTree *artifact.TreeError
		if errors.As(err, &absent) || errors.As(err, &corrupt) || errors.As(err, &noTree) {
			return &engine.CannotError{Attempt: l.Task.Attempt, Problem: fmt.Sprintf("input %s: %v", in.Name, err)}
		}
		if err != nil {
			return fail(err)
		}
	}
	if err := sealInputs(filepath.Join(work, "in")); err != nil {
		return fail(err)
	}
	if l.UserID != 0 {
		for _, path := range []string{work, filepath.Join(work, "out"), filepath.Join(work, "tmp"), l.Keep} {
			if err := os.Lchown(path, l.UserID, l.UserID); err != nil {
				return fail(err)
			}
		}
	}
	return nil
}

// sealInputs takes away the right to write. In a sandbox the inputs are on a
// read-only mount besides; without one this stops accidents only.
func sealInputs(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mode := os.FileMode(0o444)
		if info.IsDir() || info.Mode()&0o100 != 0 {
			mode = 0o555
		}
		return os.Chmod(path, mode)
	})
}

// launch starts a supervisor. Starting one too many does no harm: the second
// finds the attempt locked, or begun, and goes. at.mu is held.
func (e *Engine) launch(at *attempt) error {
	out, err := os.OpenFile(filepath.Join(at.dir, supervisorFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("launch attempt %s: %w", at.id, err)
	}
	defer out.Close()
	argv := append(slices.Clone(e.config.SupervisorArgv), at.dir)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + searchPath, "LANG=C.UTF-8", "GOMAXPROCS=2", stageVariable + "=" + stageOutside}
	cmd.Stdout, cmd.Stderr = out, out
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("launch attempt %s: %w", at.id, err)
	}
	at.supervisor = true
	at.launches++
	go func() {
		cmd.Wait() // its exit status says nothing that the folder does not
		at.mu.Lock()
		at.supervisor = false
		at.retryAt = time.Now().Add(time.Duration(at.launches) * 100 * time.Millisecond)
		at.mu.Unlock()
		e.signal()
	}()
	return nil
}

// Stop asks the supervisor to end the attempt.
func (e *Engine) Stop(ctx context.Context, a engine.Attempt, grace unit.Span) error {
	at, err := e.known(a)
	if err != nil {
		return err
	}
	at.mu.Lock()
	defer at.mu.Unlock()
	if exists(filepath.Join(at.dir, endFile)) {
		return nil
	}
	want := stopping{KillAt: now().Add(max(grace, 0))}
	var old stopping
	if readState(at.dir, stopFile, &old) == nil && old.KillAt <= want.KillAt {
		return nil // asked already, and no later
	}
	if err := writeState(at.dir, stopFile, want); err != nil {
		return fmt.Errorf("stop attempt %s: %w", a, err)
	}
	return nil
}

func now() unit.Instant { return unit.Instant(time.Now().UnixMilli()) }
