// Package local is the engine of one machine: each attempt is a process in a
// sandbox of its own, watched by a supervisor that outlives the centre.
//
// It is not a container runtime: work sees this machine's programs and
// libraries, read-only, and nothing of the centre's data folder. It does not
// choose what runs; it checks only what would harm the machine.
//
// What an attempt is stands on disk, one folder each:
//
//	jobs/J31/2/task.json        what to run; its folder appears whole: the claim
//	jobs/J31/2/running.json     written before the work begins, so it begins once
//	jobs/J31/2/stop.json        somebody wants it to end
//	jobs/J31/2/end.json         how it ended; never changed again
//	jobs/J31/2/stdout.log       and stderr.log
//	jobs/J31/2/work/            the working folder
//	jobs/J31/keep/              bound to work/keep of every attempt at the job
//
// Under systemd the centre's service needs KillMode=process, or stopping the
// centre stops the supervisors, and with them all work.
//
// Begin with Open. The program that calls it must call Supervise when it is
// started as "gaon supervise FOLDER".
package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/gaon-ai/gaon/internal/artifact"
	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/unit"
)

// Kinds of sandbox, from the best down.
const (
	SandboxNamespaces = "namespaces" // Linux namespaces, set up by this program
	SandboxBubblewrap = "bubblewrap" // the same, set up by bwrap
	SandboxNone       = "none"       // a process group and nothing more
)

// Config says how to open an engine. Folder, Store and Country must be given.
type Config struct {
	Folder  string         // where attempts live; made if it is not there
	Store   artifact.Store // of inputs and outputs
	Country string         // where this machine stands: "KR"

	Program        string   // what the word "gaon" runs; this program by default
	SupervisorArgv []string // Program and "supervise" by default; the folder follows
	NodeName       string   // this machine's name by default
	Slots          int      // CPU slots to offer; as many as CPUs by default

	// Sandbox is one of the kinds above; by default the best that works here.
	Sandbox string
	// Hide are folders that work never sees: by default the one above Folder,
	// where the centre keeps its ledger and keys. Home folders are hidden too.
	Hide []string
	// Show are files and folders that work may read although they lie in a
	// hidden place, such as a Python environment in a home folder.
	Show []string
	// NoGroups has memory counted even where the kernel could limit it by
	// control groups.
	NoGroups bool
	// UserID is the user and group that work runs as when this program is
	// root: 65534, nobody, by default.
	UserID int
	// LogBytesMax bounds each stream of an attempt: 64 MiB by default.
	LogBytesMax unit.Bytes
	// LimitGrace is how long work has between SIGTERM and SIGKILL at its time
	// limit: 10 seconds by default.
	LimitGrace unit.Span

	Log *slog.Logger
}

const (
	logBytesMaxDefault = 64 << 20
	limitGraceDefault  = 10 * unit.Second
	nobody             = 65534
	devicesFresh       = 30 * time.Second // how long a look at the devices counts as now
)

// Engine runs work on this machine.
type Engine struct {
	config  Config
	jobs    string // folder of the attempts
	temp    string // folder of claims being made
	enforce fleet.Enforcement
	groups  *group // above the control groups of attempts; nil: none can be made
	log     *slog.Logger
	lock    *folderLock
	changed chan struct{}
	closing chan struct{}
	closed  sync.WaitGroup

	mu       sync.Mutex
	attempts map[engine.Attempt]*attempt
	live     map[engine.Attempt]*attempt // those the watcher looks at

	// A lock of its own: a tool that hangs must hold up nothing else.
	deviceMu sync.Mutex
	looked   time.Time // when found was taken
	found    []device
}

var _ engine.Engine = (*Engine)(nil)

// InUseError says that another process has the engine's folder.
type InUseError struct{ Folder string }

// Code names the refusal for programs.
func (e *InUseError) Code() string { return "engine.in-use" }

func (e *InUseError) Error() string {
	return fmt.Sprintf("the engine folder %s is in use by another process", e.Folder)
}

// Hint says what to do next.
func (e *InUseError) Hint() string {
	return "stop the other centre, or give this one another data folder"
}

// Open opens the engine on its folder and finds the attempts that it ran, or
// still runs, from before. *InUseError if another process has the folder.
func Open(ctx context.Context, config Config) (*Engine, error) {
	// A program that does not know its supervisor's command would come here
	// again in each supervisor, start another, and so on until the machine
	// has no processes left.
	if os.Getenv(stageVariable) != "" {
		return nil, errors.New("open local engine: this process was started as a supervisor and must call local.Supervise instead")
	}
	if err := config.complete(); err != nil {
		return nil, fmt.Errorf("open local engine: %w", err)
	}
	e := &Engine{
		config: config, log: config.Log,
		jobs: filepath.Join(config.Folder, "jobs"), temp: filepath.Join(config.Folder, "temp"),
		changed: make(chan struct{}, 1), closing: make(chan struct{}),
		attempts: map[engine.Attempt]*attempt{}, live: map[engine.Attempt]*attempt{},
	}
	if err := os.MkdirAll(e.jobs, 0o700); err != nil {
		return nil, fmt.Errorf("open local engine: %w", err)
	}
	lock, err := lockFolder(config.Folder)
	if err != nil {
		return nil, err
	}
	e.lock = lock
	if err := e.load(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open local engine: %w", err), lock.release())
	}
	e.closed.Go(e.watch)
	return e, nil
}

func (e *Engine) load(ctx context.Context) error {
	// A claim that was being made when the centre stopped was never
	// acknowledged: whoever asked for it asks again.
	if err := removeAll(e.temp); err != nil {
		return err
	}
	if err := os.MkdirAll(e.temp, 0o700); err != nil {
		return err
	}
	sandbox, groups, enforce, err := probe(ctx, e.config)
	if err != nil {
		return err
	}
	e.config.Sandbox, e.groups, e.enforce = sandbox, groups, enforce
	if err := e.find(); err != nil {
		return err
	}
	e.sweepGroups()
	return nil
}

func (c *Config) complete() error {
	if c.Folder == "" || c.Store == nil || c.Country == "" {
		return errors.New("wants a folder, a store and a country")
	}
	folder, err := filepath.Abs(c.Folder)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	// The sandbox hides and shows by real paths.
	if c.Folder, err = filepath.EvalSymlinks(folder); err != nil {
		return err
	}
	if c.Program == "" {
		if c.Program, err = os.Executable(); err != nil {
			return err
		}
	}
	if c.Program, err = filepath.EvalSymlinks(c.Program); err != nil {
		return err
	}
	if c.Program, err = filepath.Abs(c.Program); err != nil {
		return err
	}
	if len(c.SupervisorArgv) == 0 {
		c.SupervisorArgv = []string{c.Program, "supervise"}
	}
	if c.NodeName == "" {
		if c.NodeName, err = os.Hostname(); err != nil || !plainName(c.NodeName) {
			c.NodeName = "local"
		}
	}
	if c.Slots <= 0 {
		c.Slots = runtime.NumCPU()
	}
	c.Hide = slices.Clone(c.Hide)
	if c.Hide == nil {
		c.Hide = []string{filepath.Dir(c.Folder)}
	}
	for i, dir := range c.Hide {
		// What is not there needs no hiding, and the root hides everything.
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			dir = real
		}
		if dir == "/" {
			dir = c.Folder
		}
		c.Hide[i] = dir
	}
	if c.UserID == 0 {
		c.UserID = nobody
	}
	if c.LogBytesMax <= 0 {
		c.LogBytesMax = logBytesMaxDefault
	}
	if c.LimitGrace <= 0 {
		c.LimitGrace = limitGraceDefault
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Close stops looking after attempts and gives the folder back. Attempts go
// on: the next Open finds them.
func (e *Engine) Close() error {
	select {
	case <-e.closing:
		return nil
	default:
	}
	close(e.closing)
	e.closed.Wait()
	return e.lock.release()
}

// Nodes returns this machine.
func (e *Engine) Nodes(ctx context.Context) (map[string]fleet.Node, error) {
	memory, err := machineMemory()
	if err != nil {
		return nil, fmt.Errorf("look at this machine: %w", err)
	}
	node := fleet.Node{Country: e.config.Country, Memory: memory, Enforce: e.enforce}
	for i := range e.config.Slots {
		node.Devices = append(node.Devices, fleet.Device{ID: fmt.Sprintf("cpu%d", i), Chip: fleet.CPUSlot})
	}
	for _, d := range e.devices(ctx) {
		node.Devices = append(node.Devices, d.Device)
	}
	return map[string]fleet.Node{e.config.NodeName: node}, nil
}

// devices looks for accelerators, not more often than devicesFresh.
func (e *Engine) devices(ctx context.Context) []device {
	e.deviceMu.Lock()
	defer e.deviceMu.Unlock()
	if e.looked.IsZero() || time.Since(e.looked) > devicesFresh {
		e.found, e.looked = findDevices(ctx, e.log), time.Now()
	}
	return e.found
}

// Folder is where an attempt is kept, for operators who look by hand.
func (e *Engine) Folder(a engine.Attempt) string { return e.dir(a) }

// Changed yields a signal after something may have changed.
func (e *Engine) Changed() <-chan struct{} { return e.changed }

func (e *Engine) signal() {
	select {
	case e.changed <- struct{}{}:
	default: // one is waiting already
	}
}

// plainName allows what is safe as one path element.
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
