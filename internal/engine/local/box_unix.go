//go:build unix && !linux

package local

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/gaon-ai/gaon/internal/unit"
)

// sandboxKinds: only Linux has more than process groups here.
var sandboxKinds = []string{SandboxNone}

// box is no sandbox on this system: work is a process group.
type box struct{}

func programInside(l launch) string { return l.Program }

func insideCommand(l launch) (*exec.Cmd, error) {
	if l.Sandbox != SandboxNone {
		return nil, fmt.Errorf("no sandbox of kind %q on this system", l.Sandbox)
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, os.Args[1:]...)
	cmd.Env = []string{stageVariable + "=" + stageInside, "PATH=" + searchPath}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd, nil
}

func furnishBox(launch) (box, error) { return box{}, nil }

func (box) confine(launch) (*syscall.SysProcAttr, error) {
	return &syscall.SysProcAttr{Setsid: true}, nil
}

func (box) started(int) {}

func (box) signalAll(first int, s syscall.Signal) { syscall.Kill(-first, s) }

func (box) usage(int) (unit.Bytes, int) { return 0, 0 }

// maxRSS: these systems count in bytes.
func maxRSS(use syscall.Rusage) unit.Bytes { return unit.Bytes(use.Maxrss) }

// processID names a process; without a start time it is not certain for ever.
type processID struct {
	PID  int    `json:"pid"`
	Boot string `json:"boot"`
}

func bootID() string { return "" }

func identify(kind string, pid int) (processID, error) { return processID{PID: pid}, nil }

// endRemains waits for the inside, which ends by itself when its supervisor is
// gone. It kills nothing: the number may be another process's by now.
func endRemains(id processID, work string) error {
	for range 500 {
		if err := syscall.Kill(id.PID, 0); errors.Is(err, syscall.ESRCH) {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("process %d does not end", id.PID)
}

func affinity([]int) []int { return nil }

// probeInside found nothing that holds work to anything.
func probeInside() int {
	_, err := os.Stdout.WriteString("{}\n")
	if err != nil {
		return 1
	}
	return 0
}
