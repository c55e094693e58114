package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/unit"
)

// Names in an attempt's folder.
const (
	taskFile       = "task.json"
	runningFile    = "running.json"
	stopFile       = "stop.json"
	endFile        = "end.json"
	lockFile       = "lock"
	forgottenFile  = "forgotten"
	supervisorFile = "supervisor.log"
	workFolder     = "work"
)

// stateBytesMax bounds a state file; a task has at most 16 KiB of params.
const stateBytesMax = 1 << 20

// launch is what a supervisor and the process inside the sandbox are told.
type launch struct {
	Version     int         `json:"version"`
	Task        engine.Task `json:"task"`
	Argv        []string    `json:"argv"` // with "gaon" resolved
	Env         []string    `json:"env"`  // all of it
	Program     string      `json:"program"`
	Sandbox     string      `json:"sandbox"`
	Hide        []string    `json:"hide"`
	Show        []string    `json:"show"`
	Work        string      `json:"work"` // the working folder
	Keep        string      `json:"keep"`
	UserID      int         `json:"user"`    // 0: as this program
	CPUs        []int       `json:"cpus"`    // affinity; empty: any
	DeviceNodes []string    `json:"devices"` // files in /dev
	LogBytesMax int64       `json:"log_bytes_max"`
	LimitGrace  unit.Span   `json:"limit_grace"`
	Group       *group      `json:"group,omitempty"` // absent: memory is counted
}

const launchVersion = 1

// running says which process the work hangs on.
type running struct {
	Started unit.Instant `json:"started"`
	Process processID    `json:"process"`
}

// stopping asks to end an attempt.
type stopping struct {
	KillAt unit.Instant `json:"kill_at"` // SIGTERM at once, SIGKILL then
}

// ending is how an attempt ended.
type ending struct {
	Lost     bool         `json:"lost,omitempty"`
	Started  unit.Instant `json:"started,omitempty"` // zero if it never ran
	Ended    unit.Instant `json:"ended"`
	ExitCode int          `json:"exit_code"`
	Reason   string       `json:"reason,omitempty"`
	Stopped  bool         `json:"stopped,omitempty"`
	CPU      unit.Span    `json:"cpu"`
	Memory   unit.Bytes   `json:"memory"`
}

// writeState writes a state file whole and durable: after a crash it is there
// as given, or not at all.
func writeState(dir, name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+name+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", name, err), os.Remove(f.Name()))
	}
	return syncFolder(dir)
}

// readState reads a state file; fs.ErrNotExist if there is none.
func readState(dir, name string, v any) error {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, stateBytesMax))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(bytes.TrimSpace(data), v); err != nil {
		return fmt.Errorf("read %s: %w", filepath.Join(dir, name), err)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// syncTree makes everything below dir durable. Outputs must be on disk before
// end.json says that the work is done: after a power cut a finished attempt
// with empty files would be collected as if they were the result.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			if err == nil {
				err = syncFolder(path)
			}
			return err
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		f, err := openInside(path)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}

// removeAll removes a tree even where folders were made read-only.
func removeAll(dir string) error {
	if err := os.RemoveAll(dir); err == nil {
		return nil
	}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return errors.Join(err, os.RemoveAll(dir))
}

// lastLine is for messages of programs that failed.
func lastLine(text []byte) string {
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(lines[len(lines)-1])
}
