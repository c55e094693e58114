package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/gaon-ai/gaon/internal/engine"
)

// Observe looks at one attempt.
func (e *Engine) Observe(ctx context.Context, a engine.Attempt) (engine.Observation, error) {
	at, err := e.known(a)
	if err != nil {
		return engine.Observation{}, err
	}
	return e.observe(at)
}

// List looks at every attempt not forgotten.
func (e *Engine) List(ctx context.Context) ([]engine.Observation, error) {
	list := []engine.Observation{}
	for _, at := range e.all() {
		if _, err := e.known(at.id); err != nil {
			continue
		}
		o, err := e.observe(at)
		if err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	return list, nil
}

func (e *Engine) observe(at *attempt) (engine.Observation, error) {
	at.mu.Lock()
	defer at.mu.Unlock()
	return at.look()
}

// look reads the attempt's state; if its supervisor is gone without a word it
// makes sure that nothing of it runs and records the loss. a.mu is held.
func (a *attempt) look() (engine.Observation, error) {
	if err := a.refresh(); err != nil {
		return engine.Observation{}, fmt.Errorf("observe attempt %s: %w", a.id, err)
	}
	o := engine.Observation{Attempt: a.id, State: engine.Starting}
	switch {
	case a.end != nil:
		o.State = engine.Ended
		if a.end.Lost {
			o.State = engine.Lost
		}
		o.Started, o.Ended, o.ExitCode, o.Reason = a.end.Started, a.end.Ended, a.end.ExitCode, a.end.Reason
		o.Stopped, o.CPU, o.Memory = a.end.Stopped, a.end.CPU, a.end.Memory
	case a.began != nil:
		o.State, o.Started = engine.Running, a.began.Started
	}
	return o, nil
}

// refresh reads what is on disk and finds out whether the attempt was lost.
// The order matters: a supervisor has the lock before it writes running.json
// and until it has written end.json. So running.json seen, then the lock free,
// then no end.json means that the supervisor is gone and no other will come.
// (With the lock looked at first, a supervisor that takes it and writes
// running.json just after would be taken for dead, and its work killed.)
func (a *attempt) refresh() error {
	if err := a.read(); err != nil || a.end != nil || a.began == nil {
		return err
	}
	free, err := lockFree(filepath.Join(a.dir, lockFile))
	if err != nil || !free {
		return err
	}
	if err := a.read(); err != nil || a.end != nil {
		return err
	}
	return a.lose()
}

// read fills in what is on disk. a.mu is held.
func (a *attempt) read() error {
	if a.end != nil {
		return nil
	}
	if a.began == nil {
		var r running
		if err := readState(a.dir, runningFile, &r); err == nil {
			a.began = &r
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	var end ending
	if err := readState(a.dir, endFile, &end); err == nil {
		a.end = &end
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// lose records that the supervisor died, after ending what it left: an attempt
// that is reported lost is tried again, and must not still be running then.
// a.mu is held.
func (a *attempt) lose() error {
	if err := endRemains(a.began.Process, filepath.Join(a.dir, workFolder)); err != nil {
		return fmt.Errorf("its supervisor is gone, and something of it cannot be ended: %w", err)
	}
	var l launch
	if err := readState(a.dir, taskFile, &l); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if l.Group != nil {
		if err := l.Group.end(); err != nil {
			return fmt.Errorf("its supervisor is gone, and something of it cannot be ended: %w", err)
		}
	}
	reason := "its supervisor was killed"
	if a.began.Process.Boot != bootID() {
		reason = "the machine was started anew"
	}
	return a.finish(ending{Lost: true, Started: a.began.Started, Ended: now(), Reason: reason})
}

func (a *attempt) finish(end ending) error {
	if err := writeState(a.dir, endFile, end); err != nil {
		return err
	}
	a.end = &end
	return nil
}

// watchEvery is how often live attempts are looked at.
const watchEvery = 100 * time.Millisecond

// watch signals changes, and launches again what was claimed and never began.
func (e *Engine) watch() {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-e.closing:
			return
		case <-ticker.C:
		}
		for _, at := range e.alive() {
			if e.attend(at) {
				e.signal()
			}
		}
	}
}

// attend looks at one attempt and says whether it changed.
func (e *Engine) attend(at *attempt) bool {
	at.mu.Lock()
	defer at.mu.Unlock()
	if at.forgotten || at.end != nil {
		e.setLive(at, false)
		return false
	}
	began := at.began != nil
	if _, err := at.look(); err != nil {
		e.log.Error("look at attempt", "attempt", at.id.String(), "error", err)
		return false
	}
	if at.end != nil || began != (at.began != nil) {
		return true
	}
	if at.began != nil || at.supervisor || time.Now().Before(at.retryAt) {
		return false
	}
	if free, err := lockFree(filepath.Join(at.dir, lockFile)); err != nil || !free {
		return false
	}
	return e.relaunch(at)
}

// relaunch starts the supervisor of an attempt that was claimed and never
// began, some times, and then gives up. at.mu is held.
func (e *Engine) relaunch(at *attempt) bool {
	if at.launches < launchesMax {
		if err := e.launch(at); err != nil {
			at.launches++
			at.retryAt = time.Now().Add(time.Second)
			e.log.Error("launch attempt", "attempt", at.id.String(), "error", err)
		}
		return false
	}
	// The lock keeps a late supervisor out while this is written.
	lock, err := takeLock(filepath.Join(at.dir, lockFile))
	if err != nil {
		return false // one has come after all
	}
	defer lock.Close()
	if err := at.read(); err != nil || at.began != nil || at.end != nil {
		return false
	}
	err = at.finish(ending{Ended: now(), ExitCode: cannotStartCode,
		Reason: "cannot be started: its supervisor ends before the work begins; see " + filepath.Join(at.dir, supervisorFile)})
	if err != nil {
		e.log.Error("give up attempt", "attempt", at.id.String(), "error", err)
	}
	return err == nil
}

// cannotStartCode is the exit code of work that could not be run, as a shell
// says it.
const cannotStartCode = 127
